"""Loads what `vizoo train` saved in Transformers: the same names, and the same logits.

Each case trains one of the models of training_cases.py for some steps from fresh weights, on
folders of random pictures. The final folder and the newest checkpoint have to load in Transformers
with nothing missing and nothing left over, and answer as `vizoo forward` does.
"""

import json

import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

from parity import training_cases
from parity.commands import run_command_case
from parity.door import read_tensors, run_program

STEPS, PICTURES = 3, 2
TOLERANCE = 2e-5  # of the largest logit: both compute in float32
SIDES = {"levit": 64, "dinat": 24, "perceiver": 5}


def make_trained_tasks(options, families, program):
    if options.class_name:
        return []
    names = [family.name for family in families]
    indices = range(options.trained_cases) if options.case is None else [options.case]
    models = training_cases.MODELS
    return [{"seed": options.seed, "index": index, "program": str(program),
             "keep": options.keep or options.case is not None}
            for index in indices if models[index % len(models)] in names]


def run_trained_case(task):
    return run_command_case(task, "trained", "--trained",
                            lambda *arguments: compare(task["index"], *arguments))


def compare(index, rng, program, folder, record):
    name = training_cases.MODELS[index % len(training_cases.MODELS)]
    model = getattr(training_cases, name)(rng)
    while not hasattr(model.config, "num_labels") or "ImageClassification" not in \
            type(model).__name__:
        model = getattr(training_cases, name)(rng)  # one of Perceiver's other tasks
    side = SIDES.get(name, 16)
    write_start(model, side, folder / "start")
    write_pictures(rng, folder / "pictures", model.config.id2label.values())
    options = ["--steps", STEPS, "--batch", 6, "--learning-rate", 1e-3, "--threads", 1,
               "--recipe", rng.choice(("from-scratch", "fine-tune")), "--seed", rng.getrandbits(30)]
    if rng.random() < 0.5:
        options += ["--ema", 0.5]
    record.update({"class": type(model).__name__, "config": model.config.to_diff_dict(),
                   "options": list(map(str, options))})
    trained = folder / "trained"
    run_program([program, "train", "--config", str(folder / "start"), "--class",
                 type(model).__name__, "--train", str(folder / "pictures"), "--output", str(trained),
                 *map(str, options)])
    checkpoint = trained / "checkpoints" / f"step-{STEPS:08}"
    generator = torch.Generator().manual_seed(rng.getrandbits(40))
    pixel_values = torch.randn((3, 3, side, side), generator=generator)
    argument = "inputs" if name == "perceiver" else "pixel_values"
    worst = 0.0
    for path in (trained, checkpoint):
        loaded, information = type(model).from_pretrained(path, output_loading_info=True)
        for problem, names in information.items():
            if names:
                record["differences"].append(f"{path.name}: {problem}: {sorted(names)[:5]}")
        with torch.no_grad():
            expected = loaded.eval()(**{argument: pixel_values}).logits
        save_file({argument: pixel_values}, folder / "inputs.safetensors")
        run_program([program, "forward", "--model", str(path), "--inputs",
                     str(folder / "inputs.safetensors"), "--outputs",
                     str(folder / "outputs.safetensors")])
        logits = read_tensors(folder / "outputs.safetensors")["logits"]
        difference = ((logits - expected).abs().max() / expected.abs().max()).item()
        worst = max(worst, difference)
        if not difference <= TOLERANCE:
            record["differences"].append(f"{path.name}: logits differ by {difference:.2e}")
        record["tensors"] += 1
    record["worst"] = worst


def write_start(model, side, folder):
    """config.json and preprocessor_config.json: what --config takes."""
    folder.mkdir()
    config = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(config))
    transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)


def write_pictures(rng, folder, names):
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(PICTURES):
            height, width = rng.randint(20, 90), rng.randint(20, 90)
            Image.frombytes("RGB", (width, height), rng.randbytes(3 * height * width)).save(
                folder / name / f"{number}.png")
