"""Compares fifty steps of training with Transformers: losses, weights, averages, buffers.

vizoo_training_steps (test/support/training_steps.cpp) trains by vizoo's losses, optimizers,
schedule, clipping and moving average; training_reference.py does the same in Transformers, from the
same weights, in the same order of data. AdamW in float64 has to follow within 1e-6, SGD in float32
within 1e-4: each loss relative to itself, and each tensor relative to its largest element.

Float32 is compared where it can be: where Transformers' own float32 run is within a tenth of this
of its float64 run. A model with norms over a batch and kinks, as LeViT's, may magnify rounding by
more in fifty steps; another case is drawn then. So it is when the weights hardly move.
"""

import json
import os
from dataclasses import replace

import torch
from safetensors.torch import save_file

from parity.commands import run_command_case
from parity.door import read_tensors, run_program
from parity.training_cases import MODELS, NO_CLIPPING, draw_case
from parity.training_reference import train

TOLERANCES = {"adamw": 1e-6, "sgd": 1e-4}
LEAST_CHANGE = 50  # tolerances: weights that stand still would agree with any program
ROUNDING = 0.1  # of a tolerance, at most, between the reference in float32 and in float64
MAX_DRAWS = 20
CASES = 2 * len(MODELS)  # each model with both optimizers
PROGRAM = "vizoo_training_steps"


def make_training_tasks(options, families, program):
    steps = program.with_name(PROGRAM)
    if options.class_name:
        return []
    if not os.access(steps, os.X_OK):
        raise SystemExit(f"parity: no {steps}; build the tests, or leave this part out")
    names = [family.name for family in families]
    indices = range(options.training_cases) if options.case is None else [options.case]
    return [{"seed": options.seed, "index": index, "program": str(steps),
             "keep": options.keep or options.case is not None}
            for index in indices if MODELS[index % len(MODELS)] in names]


def run_training_case(task):
    def compare(_rng, program, folder, record):
        case, expected = draw_suitable_case(task["seed"], task["index"])
        record.update(case.describe(), tensors=len(expected), changed=change(case, expected))
        got = run_steps(program, case, folder)
        record["differences"], record["worst"] = differences(case, expected, got)

    return run_command_case(task, "training", "--training", compare)


def draw_suitable_case(seed, index):
    """A case that says something of a program, and what Transformers makes of it."""
    for attempt in range(MAX_DRAWS):
        case = draw_case(seed, index, attempt)
        expected = train(case)
        tolerance = TOLERANCES[case.recipe["optimizer"]]
        if not change(case, expected) > LEAST_CHANGE * tolerance:
            continue
        if case.recipe["dtype"] == "float64":
            return case, expected
        precise = train(replace(case, recipe={**case.recipe, "dtype": "float64"}))
        rounding = max(relative_difference(name, precise[name].double(), tensor.double())
                       for name, tensor in expected.items() if is_judged(case, name))
        if rounding <= ROUNDING * tolerance:
            return case, expected
    raise RuntimeError(f"none of {MAX_DRAWS} cases trains, and not beyond rounding")


def is_judged(case, name):
    """All but the norm of float32 gradients, which jump where rounding takes the side of a kink."""
    return name != "gradient_norm" or case.recipe["dtype"] == "float64"


def run_steps(program, case, folder):
    """What vizoo_training_steps makes of the case."""
    case.model.save_pretrained(folder / "model", safe_serialization=True)
    save_file(case.inputs, folder / "inputs.safetensors")
    (folder / "recipe.json").write_text(json.dumps(case.recipe, indent=2) + "\n")
    names = ("model", "inputs.safetensors", "recipe.json", "outputs.safetensors")
    run_program([program, *(str(folder / name) for name in names)])
    return read_tensors(folder / "outputs.safetensors")


def differences(case, expected, got):
    """(lines on what differs, {kind of tensor: [largest relative difference, where]})."""
    lines = [f"{name}: missing" for name in sorted(expected.keys() - got.keys())]
    lines += [f"{name}: too many" for name in sorted(got.keys() - expected.keys())]
    tolerance, worst = TOLERANCES[case.recipe["optimizer"]], {}
    for name in sorted(expected.keys() & got.keys()):
        right, ours = expected[name], got[name]
        if right.shape != ours.shape or right.dtype != ours.dtype:
            lines.append(f"{name}: expected {right.dtype} {list(right.shape)}, "
                         f"got {ours.dtype} {list(ours.shape)}")
            continue
        error = relative_difference(name, right.double(), ours.double())
        kind = name.split(".")[0]
        if not error <= worst.get(kind, [-1.0])[0]:
            worst[kind] = [error, name]
        if is_judged(case, name) and not error <= tolerance:
            lines.append(f"{name}: off by {error:.3g}, expected at most {tolerance:g}")
    return lines, worst


def relative_difference(name, right, ours):
    if right.numel() == 0:
        return 0.0
    error = (right - ours).abs()
    if "." in name:  # of a model
        return (error.max() / right.abs().max().clamp_min(1e-30)).item()
    return (error / right.abs().clamp_min(1e-30)).max().item()  # of each step


def change(case, trained):
    """Median over the trained weights of how far they are from where they began."""
    values = []
    for name, parameter in case.model.named_parameters():
        before, after = parameter.detach().double(), trained[f"weight.{name}"].double()
        moved = relative_difference("weight.", before, after)
        values += [moved] if moved > 0 else []
    return torch.tensor(values).median().item() if values else 0.0


# What a recipe has to hold for a fault of training_reference.py to show.
FAULTS = {
    "weight decay": {"weight_decay": 0.3},
    "decoupled decay": {"weight_decay": 0.3},
    "layer decay": {"layer_decay": 0.8},
    "frozen parameters": {"frozen": ["*.encoder.*"]},
    "schedule": {"schedule": "cosine"},
    "clipping": {"max_norm": 0.3},
    "parts": {"parts": 3},
    "label smoothing": {"label_smoothing": 0.1},
    "moving average": {"average_warmup": True, "average_decay": 0.99},
    "heads": {},
}


def self_test(seed, say):
    """(passed, failed): each fault is found, and no other difference is."""
    passed = failed = 0
    calm = {"steps": 8, "layer_decay": 1.0, "max_norm": NO_CLIPPING, "parts": 1, "frozen": [],
            "warmup_steps": 0, "label_smoothing": 0.0, "average_warmup": False}
    levit = MODELS.index("levit")
    for fault, settings in FAULTS.items():
        drawn = draw_case(seed, levit)
        case = replace(drawn, recipe={**drawn.recipe, **calm, **settings})
        right, wrong = train(case), train(case, fault)
        found = bool(differences(case, right, wrong)[0])
        fine = found and not differences(case, right, train(case))[0]
        passed, failed = passed + fine, failed + (not fine)
        say(f"{'ok' if fine else 'FAILED'}: training: {fault}")
    return passed, failed
