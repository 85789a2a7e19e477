"""Training in Transformers: its models, losses and schedules, torch's optimizers and clipping.

What the program decides by names of parameters (weight decay, layer-wise rates) is decided here by
the modules that hold them.
"""

import copy
import fnmatch

import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import get_scheduler

from parity.reference import DTYPES
from parity.training_cases import IGNORED

WEIGHED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)


def train(case, fault=None):
    """{name: tensor} as vizoo_training_steps writes it; `fault`: what to get wrong."""
    recipe = case.recipe
    dtype = DTYPES[recipe["dtype"]]
    model = copy.deepcopy(case.model).to(dtype).train()
    inputs = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor
              for name, tensor in case.inputs.items()}
    if recipe["objective"] == "binary":
        model.config.problem_type = "multi_label_classification"
    for name, parameter in model.named_parameters():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in recipe["frozen"]):
            parameter.requires_grad_(fault == "frozen parameters")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, schedule = make_optimizer(model, recipe, fault)
    average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    losses, norms, rates = [], [], []
    for step in range(recipe["steps"]):
        batch = {name: tensor[step % len(tensor)] for name, tensor in inputs.items()}
        optimizer.zero_grad()
        losses.append(backward(model, batch, recipe, fault))
        most = float("inf") if fault == "clipping" else recipe["max_norm"]
        norms.append(nn.utils.clip_grad_norm_(trained, most).item())
        rates.append(optimizer.param_groups[-1]["lr"])
        optimizer.step()
        schedule.step()
        decay = average_decay(recipe, step + (fault == "moving average"))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                average[name] = decay * average[name] + (1 - decay) * parameter
    result = {"loss": torch.tensor(losses, dtype=torch.float64),
              "gradient_norm": torch.tensor(norms, dtype=torch.float64),
              "learning_rate": torch.tensor(rates, dtype=torch.float64)}
    for name, parameter in model.named_parameters():
        result[f"weight.{name}"] = parameter.detach()
        result[f"average.{name}"] = average[name]
    kept = model.state_dict()  # not what is derived, as LeViT's indices of biases
    for name, buffer in model.named_buffers():
        if name in kept:
            result[f"buffer.{name}"] = buffer
    return result


def make_optimizer(model, recipe, fault):
    """A group for each parameter, and an empty one last whose rate is the schedule's own."""
    far = distances(model)
    decayed = {id(module.weight) for name, module in model.named_modules()
               if isinstance(module, WEIGHED) and not name.endswith("position_embeddings")}
    groups = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        decays = id(parameter) in decayed or fault == "weight decay"
        scale = 1.0 if fault == "layer decay" else recipe["layer_decay"] ** far.get(id(parameter), 0)
        groups.append({"params": [parameter], "lr": recipe["learning_rate"] * scale,
                       "weight_decay": recipe["weight_decay"] if decays else 0.0})
    groups.append({"params": [nn.Parameter(torch.zeros(()))], "lr": recipe["learning_rate"]})
    if recipe["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=0.1, momentum=recipe["momentum"],
                                    nesterov=recipe["nesterov"])
    else:
        kind = torch.optim.Adam if fault == "decoupled decay" else torch.optim.AdamW
        optimizer = kind(groups, betas=(0.9, recipe["beta2"]), eps=1e-8)
    name = recipe["schedule"]
    if name == "constant" and recipe["warmup_steps"]:
        name = "constant_with_warmup"
    schedule = get_scheduler(name, optimizer, recipe["warmup_steps"], recipe["steps"])
    if fault == "schedule":
        optimizer.step()  # nothing has a gradient yet
        schedule.step()
    return optimizer, schedule


def distances(model):
    """{id of a parameter: blocks between it and the head, plus one}; what is missing is behind."""
    base = getattr(model, model.base_model_prefix)
    encoder, kind = base.encoder, model.base_model_prefix
    stem, blocks = [base.embeddings] if hasattr(base, "embeddings") else [], []
    if kind == "convnext":
        for stage in encoder.stages:
            blocks += [[stage.downsampling_layer, stage.layers[0]]] + [[x] for x in stage.layers[1:]]
    elif kind == "levit":
        stem, blocks = [base.patch_embeddings], [[x] for y in encoder.stages for x in y.layers]
    elif kind == "dinat":
        before = []
        for level in encoder.levels:
            blocks += [before + [level.layers[0]]] + [[x] for x in level.layers[1:]]
            before = [level.downsample] if level.downsample is not None else []
    elif kind == "poolformer":
        stem = [encoder.patch_embeddings[0]]
        for index, stage in enumerate(encoder.block):
            before = [encoder.patch_embeddings[index]] if index else []
            blocks += [before + [stage[0]]] + [[x] for x in stage[1:]]
    elif kind == "dinov2":
        blocks = [[x] for x in encoder.layer]
    else:
        stem.append(base.input_preprocessor)
        blocks = [[encoder.cross_attention]] + [[x] for x in encoder.self_attends]
    result = {}
    for distance, modules in enumerate(reversed([stem] + blocks), 1):
        for module in modules:
            result.update({id(parameter): distance for parameter in module.parameters()})
    return result


def average_decay(recipe, step):
    """Of the moving average in a step that is counted from 0."""
    if not recipe["average_warmup"]:
        return recipe["average_decay"]
    return min(recipe["average_decay"], 1 - (1 + step) ** (-2 / 3))


def backward(model, batch, recipe, fault):
    """Leaves the gradients of the mean over the batch; returns it.

    A model without a norm over the batch takes it as a whole, which the program's sums over parts
    must equal.
    """
    normalises = any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
                     for module in model.modules())
    parts = recipe["parts"] if normalises or fault == "parts" else 1
    size = len(batch["labels"])
    total = 0.0
    for part in range(parts):
        first, last = size * part // parts, size * (part + 1) // parts
        arguments = {name: tensor[first:last] for name, tensor in batch.items()}
        share = 1 / parts if fault == "parts" else (last - first) / size
        loss = share * mean_loss(model, arguments, recipe, fault)
        loss.backward()
        total += loss.item()
    return total


def mean_loss(model, arguments, recipe, fault):
    labels, objective = arguments.pop("labels"), recipe["objective"]
    smoothing = 0.0 if fault == "label smoothing" else recipe["label_smoothing"]
    if objective in ("binary", "masked_language_modeling") or \
            objective == "classification" and smoothing == 0:
        return model(**arguments, labels=labels).loss
    if objective == "classification":
        return cross_entropy(model(**arguments).logits, labels, label_smoothing=smoothing)
    if objective == "flow":
        return (model(**arguments).logits - labels.permute(0, 2, 3, 1)).norm(dim=-1).mean()
    teacher = arguments.pop("teacher_logits")
    output = model(**arguments)
    first, second = output.cls_logits, output.distillation_logits
    if fault == "heads":
        first, second = second, first
    weight, temperature = recipe["distillation_weight"], recipe["temperature"]
    if recipe["distillation"] == "hard":
        taught = cross_entropy(second, teacher.argmax(-1))
    else:
        taught = temperature**2 * kl_div(
            log_softmax(second / temperature, -1), log_softmax(teacher / temperature, -1),
            reduction="batchmean", log_target=True)
    return (1 - weight) * cross_entropy(first, labels, label_smoothing=smoothing) + weight * taught
