"""Golden values: parameters and inputs from a hash, so that any language can make them."""

import math
from contextlib import nullcontext

import torch
import transformers

from parity.naming import flatten_output, nest_arguments
from parity.reference import interpolates_by_size, interpolation_by_size

V_LEAVES = ("cls_token", "mask_token", "position_embeddings", "rpb", "attention_biases",
            "register_tokens")
PRINTED_DIGITS = 3e-6  # relative: the values have seven digits


def name_hash(name):
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def uniform(name, count):
    """`count` numbers in [0, 1) that depend on `name` and their position only."""
    mask = 0xFFFFFFFF
    x = torch.arange(count, dtype=torch.int64) * 0x9E3779B9 & mask
    x = x ^ name_hash(name)
    x = x ^ (x >> 16)
    x = (x * 0x85EBCA6B) & mask
    x = x ^ (x >> 13)
    x = (x * 0xC2B2AE35) & mask
    x = x ^ (x >> 16)
    return x.double() / 2**32


def golden_parameter(name, shape):
    """The value of the state-dict entry `name`, float32."""
    leaf = name.rsplit(".", 1)[-1]
    count = math.prod(shape)
    u = uniform(name, count)
    v = u - 0.5
    if leaf == "num_batches_tracked":
        value = torch.zeros(count)
    elif leaf == "running_var":
        value = 0.5 + u
    elif leaf in V_LEAVES:
        value = v
    elif leaf.startswith("layer_scale") or leaf == "lambda1":
        value = 0.5 + 0.5 * v
    elif leaf == "weight" and len(shape) == 1:
        value = 1 + 0.5 * v
    elif leaf == "weight":
        value = v * math.sqrt(12 / (count / shape[0]))
    else:
        value = 0.4 * v
    return value.float().reshape(shape)


def golden_input(shape, name="pixel_values"):
    return (4 * (uniform(name, math.prod(shape)) - 0.5)).float().reshape(shape)


def golden_model(class_name, config):
    model = getattr(transformers, class_name)(config)
    state = {key: golden_parameter(key, tuple(value.shape)).to(value.dtype)
             for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    return model.eval()


def golden_inputs(golden, case):
    """The arguments of a case by name, in float64."""
    shapes = dict(case.get("real_inputs", {}))
    if "input_shape" in case or "input_shape" in golden:
        shapes["pixel_values"] = case.get("input_shape", golden.get("input_shape"))
    inputs = {name: golden_input(shape, name).double() for name, shape in shapes.items()}
    given = dict(case.get("inputs", {}))
    if "labels" in case:
        given["labels"] = case["labels"]
    for name, values in given.items():
        tensor = torch.tensor(values)
        inputs[name] = tensor.double() if tensor.is_floating_point() else tensor
    return inputs


def golden_outputs(family, golden, case):
    """Every output, buffer and gradient of a case by name, in float64."""
    config = family.golden_config(golden, case)
    model = golden_model(case["class"], config).double()
    model = model.get_submodule(case.get("submodule", "")).train(case.get("train_mode", False))
    inputs = golden_inputs(golden, case)
    cotangent = inputs.pop("cotangent", None)
    if any(row["name"].startswith(("attentions", "cross_attentions")) for row in case["rows"]):
        inputs["output_attentions"] = True
    by_size = interpolates_by_size(case.get("model_args", {}))
    field = case.get("gradients")
    with torch.set_grad_enabled(field is not None), \
            interpolation_by_size() if by_size else nullcontext():
        outputs = flatten_output(model(**nest_arguments(inputs), output_hidden_states=True))
    if field is not None:
        (outputs[field] if cotangent is None else (outputs[field] * cotangent).sum()).backward()
        outputs.update((f"grad.{name}", parameter.grad)
                       for name, parameter in model.named_parameters())
    outputs.update((f"buffer.{name}", buffer) for name, buffer in model.named_buffers())
    return outputs


def check_golden(family):
    """The largest relative deviation of the reference from the family's golden rows."""
    golden = family.golden()
    worst = 0.0
    for case in golden["cases"]:
        outputs = golden_outputs(family, golden, case)
        for row in case["rows"]:
            tensor = outputs[row["name"]].detach()
            if "shape" in row and list(tensor.shape) != row["shape"]:
                raise SystemExit(f"golden {row['name']}: expected shape {row['shape']}, "
                                 f"got {list(tensor.shape)}")
            for got, expected in _pairs(tensor.flatten(), row):
                worst = max(worst, abs(got - expected) / max(abs(expected), 0.1))
    if worst > PRINTED_DIGITS:
        raise SystemExit(f"golden values: the reference differs by {worst:.2e}")
    return worst


def _pairs(flat, row):
    flat = flat.double()
    for key, value in (("mean", flat.mean()), ("mean_abs", flat.abs().mean())):
        if key in row:
            yield float(value), row[key]
    yield from zip(flat.tolist(), row.get("first", []))
    yield from zip(flat[len(flat) - len(row.get("last", [])):].tolist(), row.get("last", []))
