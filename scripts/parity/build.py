"""Makes a case: checkpoint in a folder, inputs away from kinks, cotangent of the right shape."""

import json
from contextlib import ExitStack
from dataclasses import replace

import torch
from safetensors.torch import load_file

from parity import reference
from parity.case import Case, case_random

KINK_MARGIN = 8.0
MAX_DRAWS = 20
REDRAWN = ("pixel_values", "query_pixel_values", "inputs")


def build_case(family, seed, index, folder):
    """Case `index` of `seed`, saved below `folder`. The same numbers for the same arguments."""
    rng = case_random(family.name, seed, index)
    generator = torch.Generator().manual_seed(rng.getrandbits(48))
    torch.manual_seed(rng.getrandbits(48))  # for what a constructor draws
    case = Case(family.name, seed, index, family.classes[index % len(family.classes)])
    model = family.random_case(case, rng, generator)
    case.folder = folder / "model"
    save_model(case, model)
    if hasattr(family, "edit_checkpoint"):
        family.edit_checkpoint(case, rng)
    path = case.folder / "config.json"
    config = json.loads(path.read_text())
    if hasattr(family, "edit_config"):
        family.edit_config(case, rng, config)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    case.config = config
    complete_inputs(family, case, generator)
    return case


def save_model(case, model):
    if "dtype" in case.save:
        model = model.to(reference.DTYPES[case.save["dtype"]])
    options = {}
    if "shards" in case.save:
        size = sum(tensor.nbytes for tensor in model.state_dict().values())
        options["max_shard_size"] = max(1, size // case.save["shards"])
    model.save_pretrained(case.folder, safe_serialization=True, **options)


def complete_inputs(family, case, generator):
    """Draws the real inputs until no activation is at a kink, then the cotangent.

    Outputs are continuous there, so only gradients need this; a case with so many activations that
    some always are at a kink goes without gradients. What a model selects by comparing numbers must
    be the same for every rounding, gradients or not.
    """
    model = reference.load(case)
    outputs, clear = _clear_of_kinks(family, case, model)
    settled = _is_settled(family, case, model)
    for _ in range(MAX_DRAWS):
        if settled and (clear or not case.options.gradients):
            break
        for name, values in case.inputs.items():
            # `inputs.image` is a part of `inputs`.
            if name.split(".")[0] in REDRAWN and values.is_floating_point():
                scale = values.std() if values.numel() > 1 else 1.0
                case.inputs[name] = scale * torch.randn(values.shape, generator=generator)
        outputs, clear = _clear_of_kinks(family, case, model)
        settled = _is_settled(family, case, model)
    if not settled:
        family.avoid_selection(case)
        outputs, clear = _clear_of_kinks(family, case, model)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in outputs.values()):
        raise RuntimeError(f"case {case.index} of seed {case.seed}: the reference is not finite")
    if not clear:
        case.options.gradients = None
    field = case.options.gradients
    if field and outputs[field].dim():
        case.inputs["cotangent"] = torch.randn(outputs[field].shape, generator=generator)


def _is_settled(family, case, model):
    return family.is_settled(case, model) if hasattr(family, "is_settled") else True


def _clear_of_kinks(family, case, model):
    """Outputs, and whether float32 and float64 are on the same side of every kink, with margin.

    At a kink (x = 0 of a ReLU) the gradient jumps: when rounding alone decides the side, two right
    programs differ by a whole element.
    """
    kinks = family.kinks(case) if hasattr(family, "kinks") else []
    forward_only = replace(case, options=replace(case.options, gradients=None))
    values = {}
    runs = {}
    tape = reference.RandomTape()
    for dtype, context in (("float32", tape.record()), ("float64", tape.replay())):
        values[dtype] = []
        with ExitStack() as stack:
            for module in model.modules():
                for kind, function in kinks:
                    if isinstance(module, kind):
                        handle = module.register_forward_pre_hook(
                            lambda _, inputs, f=function, to=values[dtype]: to.append(f(inputs[0])))
                        stack.callback(handle.remove)
            runs[dtype] = reference.run(model, forward_only, dtype, context)
    clear = all(
        bool((high.abs() > KINK_MARGIN * (low.double() - high).abs().max()).all())
        for low, high in zip(values["float32"], values["float64"]))
    return runs["float32"], clear


def checkpoint_tensors(case):
    """All tensors of the saved checkpoint, sharded or not."""
    result = {}
    for path in sorted(case.folder.glob("*.safetensors")):
        result.update(load_file(path))
    return result
