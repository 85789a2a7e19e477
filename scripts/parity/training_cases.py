"""What is trained beside Transformers: small models, batches of data, hyper-parameters.

Case k trains model k mod 6, in float64 by AdamW and, from case 6 on and in every other round, in
float32 by SGD: in float32 AdamW turns the rounding noise of a gradient that is 0, such as that of a
bias of attention's keys, into full steps.
"""

from dataclasses import dataclass, field

import torch
import transformers

from parity.case import case_random
from parity.families.levit import calibrate
from parity.families.perceiver_parts import FLOW, LEARNED, MASKED_LM
from parity.parameters import fill

MODELS = ("convnext", "poolformer", "levit", "dinov2", "dinat", "perceiver")
STEPS = 50
BATCHES = 5  # used in turn
LABELS = 7
VOCABULARY, LENGTH = 30, 9  # of the language model
IGNORED = -100
NO_CLIPPING = 1e9


@dataclass
class TrainingCase:
    model_name: str
    model: torch.nn.Module
    recipe: dict
    # Arguments of forward, `labels` and `teacher_logits`, each [BATCHES, batch size, ...].
    inputs: dict = field(default_factory=dict)

    def describe(self):
        return {"model": self.model_name, "class": type(self.model).__name__,
                "recipe": self.recipe, "config": self.model.config.to_diff_dict(),
                "inputs": {name: list(tensor.shape) for name, tensor in self.inputs.items()}}


def draw_case(seed, index, attempt=0):
    """Case `index` of `seed`, or another one in its place: the same for the same arguments."""
    rng = case_random("training", seed, (index, attempt))
    generator = torch.Generator().manual_seed(rng.getrandbits(48))
    torch.manual_seed(rng.getrandbits(48))  # for what a constructor draws
    name = MODELS[index % len(MODELS)]
    optimizer = "sgd" if index // len(MODELS) % 2 else "adamw"
    model = {"convnext": convnext, "poolformer": poolformer, "levit": levit, "dinov2": dinov2,
             "dinat": dinat, "perceiver": perceiver}[name](rng)
    fill(model, generator)
    case = TrainingCase(name, model, draw_recipe(rng, optimizer))
    case.recipe["model_class"] = type(model).__name__
    draw_inputs(case, rng, generator)
    if name == "levit":
        calibrate(model, case.inputs["pixel_values"].flatten(0, 1), generator)
    model.train()
    return case


def draw_recipe(rng, optimizer):
    adaptive = optimizer == "adamw"
    momentum = rng.choice((0.0, 0.8, 0.9))
    rates = (1e-3, 3e-3) if adaptive else (0.03, 0.1)
    return {
        "steps": STEPS,
        "dtype": "float64" if adaptive else "float32",
        "optimizer": optimizer,
        "learning_rate": rng.choice(rates),
        "beta2": rng.choice((0.999, 0.95)),
        "momentum": momentum,
        "nesterov": momentum > 0 and rng.random() < 0.5,
        "weight_decay": rng.choice((0.0, 0.05, 0.3)),
        "layer_decay": rng.choice((1.0, 1.0, 0.9, 0.75)),
        "schedule": rng.choice(("cosine", "linear", "constant")),
        "warmup_steps": rng.choice((0, 0, 5, 12)),
        "max_norm": rng.choice((NO_CLIPPING, 3.0, 1.0, 1.0)),
        "parts": rng.choice((1, 1, 2, 3)),
        "label_smoothing": rng.choice((0.0, 0.0, 0.1)),
        "average_decay": rng.choice((0.9, 0.99)),
        "average_warmup": rng.random() < 0.4,
        "frozen": [],
    }


def labels(rng):
    return {"num_labels": LABELS, "hidden_act": rng.choice(("gelu", "gelu", "silu"))}


def convnext(rng):
    stages = rng.choice((2, 3))
    return transformers.ConvNextForImageClassification(transformers.ConvNextConfig(
        patch_size=2, num_stages=stages, drop_path_rate=0.0,
        hidden_sizes=[rng.randint(6, 14) for _ in range(stages)],
        depths=[rng.randint(1, 2) for _ in range(stages)], **labels(rng)))


def poolformer(rng):
    blocks = rng.choice((2, 3))
    return transformers.PoolFormerForImageClassification(transformers.PoolFormerConfig(
        num_encoder_blocks=blocks, depths=[rng.randint(1, 2) for _ in range(blocks)],
        hidden_sizes=[rng.randint(6, 14) for _ in range(blocks)], patch_sizes=[3] * blocks,
        strides=[2] * blocks, padding=[1] * blocks, mlp_ratio=2.0, drop_path_rate=0.0,
        use_layer_scale=rng.random() < 0.7, **labels(rng)))


def levit(rng):
    return transformers.LevitForImageClassificationWithTeacher(transformers.LevitConfig(
        image_size=64, patch_size=16, hidden_sizes=[16, 24, 24], num_attention_heads=[2, 2, 3],
        depths=[1, rng.randint(1, 2), 1], key_dim=[4, 6, 4], mlp_ratio=[2, 2, 2],
        attention_ratio=[2, 2, 2], drop_path_rate=0, num_labels=LABELS))


def dinov2(rng):
    heads = rng.randint(1, 3)
    return transformers.Dinov2ForImageClassification(transformers.Dinov2Config(
        hidden_size=8 * heads, num_attention_heads=heads, num_hidden_layers=rng.randint(2, 3),
        mlp_ratio=2, image_size=16, patch_size=4, qkv_bias=rng.random() < 0.7,
        use_swiglu_ffn=rng.random() < 0.4, drop_path_rate=0.0, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, **labels(rng)))


def dinat(rng):
    return transformers.DinatForImageClassification(transformers.DinatConfig(
        embed_dim=8, depths=[2, 2], num_heads=[2, 4], kernel_size=3, dilations=[[1, 2], [1, 2]],
        mlp_ratio=2.0, qkv_bias=rng.random() < 0.7, drop_path_rate=0.0, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, layer_scale_init_value=rng.choice((0.0, 0.1)),
        **labels(rng)))


def perceiver(rng):
    class_name, task = rng.choice((
        (MASKED_LM, {"vocab_size": VOCABULARY, "max_position_embeddings": LENGTH, "d_model": 16}),
        (LEARNED, {"image_size": 5, "d_model": 512}),
        (FLOW, {"train_size": [5, 6], "d_model": 322})))
    return getattr(transformers, class_name)(transformers.PerceiverConfig(
        num_latents=5, d_latents=16, num_blocks=rng.choice((1, 2)),
        num_self_attends_per_block=rng.choice((1, 2)), num_self_attention_heads=2,
        num_cross_attention_heads=1, attention_probs_dropout_prob=0.0, num_labels=LABELS,
        **task))


def draw_inputs(case, rng, generator):
    """Data of the model's task, and the recipe's objective that goes with it."""
    # A norm over a batch needs one; odd sizes, so that parts are not all equal.
    batch = 21 if case.model_name == "levit" else rng.choice((5, 7))
    shape = (BATCHES, batch)

    def real(*sizes):
        return torch.randn((*shape, *sizes), generator=generator)

    class_name, recipe = type(case.model).__name__, case.recipe
    if class_name == MASKED_LM:
        recipe["objective"], recipe["label_smoothing"] = "masked_language_modeling", 0.0
        tokens = torch.randint(0, VOCABULARY, (*shape, LENGTH), generator=generator)
        hidden = torch.rand(tokens.shape, generator=generator) < 0.4
        hidden[:, :, 0] = True  # something to predict in every part
        case.inputs = {"inputs": tokens.masked_fill(hidden, 3),
                       "labels": tokens.masked_fill(~hidden, IGNORED)}
        return
    if class_name == FLOW:
        recipe["objective"], recipe["label_smoothing"] = "flow", 0.0
        if recipe["optimizer"] == "sgd":
            recipe["learning_rate"] *= 30  # the model divides by 100, and with it its gradients
        case.inputs = {"inputs": real(2, 27, 5, 6), "labels": real(2, 5, 6)}
        return
    side = {"levit": 64, "dinat": 24, "perceiver": 5}.get(case.model_name, 16)
    name = "inputs" if case.model_name == "perceiver" else "pixel_values"
    case.inputs = {name: real(3, side, side),
                   "labels": torch.randint(0, LABELS, shape, generator=generator)}
    recipe["objective"] = "classification"
    if case.model_name == "levit":
        recipe.update(objective="distillation", distillation=rng.choice(("hard", "soft")),
                      distillation_weight=rng.choice((0.5, 0.1)),
                      temperature=rng.choice((1.0, 3.0)),
                      parts=rng.choice((1, 1, 2)))
        if recipe["optimizer"] == "sgd":
            recipe["learning_rate"] *= 0.3  # norms over a few values magnify rounding
        case.inputs["teacher_logits"] = teacher_logits(rng, generator, case.inputs[name])
    elif rng.random() < 0.25:
        recipe["objective"] = "binary"
        case.inputs["labels"] = (real(LABELS) < 0).float()
    if rng.random() < 0.25 and case.model_name in ("convnext", "dinov2", "dinat"):
        recipe["frozen"] = [f"{case.model_name}.embeddings.*"]


def teacher_logits(rng, generator, images):
    """What a small ConvNeXT says of every image."""
    teacher = convnext(rng)
    fill(teacher, generator)
    with torch.no_grad():
        logits = teacher.eval()(images.flatten(0, 1)).logits
    return 2 * logits.unflatten(0, images.shape[:2])
