"""Compares `vizoo preprocess` with Transformers: pixels byte for byte, and after normalisation."""

import json
import shutil
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms.v2.functional import pil_to_tensor

from parity import v5
from parity.case import case_random
from parity.door import Program, ProgramError
from parity.images import random_image
from parity.tolerance import PIXEL_TOLERANCE

BYTES = {"do_rescale": False, "do_normalize": False}
BACKENDS = ("pil", "torchvision")
MAX_UPSCALED = 4_000_000  # pixels; a 1 x 7 image at 384 is fine, a 1 x 500 one is a memory test
_worker = v5.Worker("parity.v5_processor")


def make_processor_tasks(options, families, program):
    count = options.processor_cases if options.processor_cases is not None else options.cases
    tasks = []
    for family in families:
        if not hasattr(family, "processor") or options.class_name:
            continue
        for index in range(count) if options.case is None else [options.case]:
            tasks.append({"family": family.name, "seed": options.seed, "index": index,
                          "program": str(program),
                          "keep": options.keep or options.case is not None})
    return tasks


def run_processor_case(task):
    """One configuration in a worker: a record for the log."""
    from parity.families import FAMILIES

    torch.set_num_threads(1)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"vizoo-parity-processor-{task['index']}-"))
    rng = case_random("processor-" + task["family"], task["seed"], task["index"])
    record = {"processor": task["family"], "seed": task["seed"], "case": task["index"],
              "folder": str(folder), "differences": [], "tensors": 0,
              "rerun": f"scripts/parity.sh --processors --family {task['family']} "
                       f"--seed {task['seed']} --case {task['index']}"}
    try:
        processor = FAMILIES[task["family"]].processor
        backend = BACKENDS[task["index"] % len(BACKENDS)]
        config, call = make_case(processor, backend, rng, folder)
        paths, descriptions = make_images(processor, rng, folder, config, call)
        record.update(config=config, call=call, backend=backend, images=descriptions)
        for label, settings in (("bytes", {**call, **BYTES}), ("call", call)):
            expected = reference(processor, backend, folder, config, settings, paths)
            try:
                ours = Program(task["program"]).preprocess(
                    folder, paths, folder / f"ours-{label}.safetensors", backend, settings)
            except ProgramError as error:
                record["differences"].append(f"vizoo preprocess ({label}): {error}")
                continue
            problem, worst = compare_pixels(expected, ours, exact=label == "bytes")
            record["tensors"] += 1
            record[f"worst_{label}"] = worst
            if problem:
                record["differences"].append(f"{backend} {label}: {problem}")
    except Exception:  # a defect of the harness must not pass for a result of the program
        record["differences"].append("harness: " + traceback.format_exc())
    record["passed"] = not record["differences"]
    record["seconds"] = round(time.monotonic() - started, 3)
    if record["passed"] and not task["keep"]:
        shutil.rmtree(folder, ignore_errors=True)
    return record


def make_case(processor, backend, rng, folder):
    """Writes preprocessor_config.json and config.json; returns the former and the call."""
    config = processor.random_config(rng, backend)
    call = processor.random_call(rng, backend)
    processor.make_possible(config, call, backend)
    (folder / "preprocessor_config.json").write_text(json.dumps(config, indent=2) + "\n")
    # Where the file names no processor the model type decides.
    (folder / "config.json").write_text(json.dumps({"model_type": processor.model_type}) + "\n")
    return config, call


def make_images(processor, rng, folder, config, call):
    """One to three images, which may come out in different sizes."""
    crop_pct = call.get("crop_pct", config.get("crop_pct")) or 224 / 256
    count = rng.choice((1, 1, 2, 3))
    paths, descriptions = [], []
    while len(paths) < count:
        path = folder / f"image{len(paths)}.png"
        description = random_image(rng, path)
        with Image.open(path) as image:
            short, long = sorted(image.size)
        if (1 + 420 / crop_pct) ** 2 * long / short > MAX_UPSCALED:
            continue
        if not processor.takes(short, config, call):
            continue
        paths.append(path)
        descriptions.append(description)
    return paths, descriptions


def reference(processor, backend, folder, config, call, paths):
    """What Transformers makes of the images, by name: `pixel_values`, or `pixel_values.0`, ..."""
    form = call.get("return_form", "automatic")
    call = {key: value for key, value in call.items() if key != "return_form"}
    images = [Image.open(path).convert("RGB") for path in paths]
    if backend == "pil":
        slow = transformers.AutoImageProcessor.from_pretrained(folder)
        slow = processor.slow(slow, config)
        # Without the layout 4.37.2 takes an image of height 1 or 3 for channels-first.
        layout = processor.pil_layout
        if layout == "channels_first":
            images = [np.asarray(image).transpose(2, 0, 1) for image in images]
        return named(map(torch.from_numpy, slow.preprocess(
            images, input_data_format=layout, **call)["pixel_values"]), form)
    steps = named(processor.torchvision_steps([pil_to_tensor(image) for image in images],
                                              config, call), form)
    if v5.available():
        output = folder / "v5.safetensors"
        _worker.ask({"class": processor.torchvision_class, "config": config, "call": call,
                     "images": [str(path) for path in paths], "output": str(output),
                     "stacked": list(steps) == ["pixel_values"]})
        problem = compare_pixels(load_file(output), steps, exact=True)[0]
        if problem:
            raise RuntimeError("the steps on torchvision (ours) differ from Transformers 5.17: "
                               + problem)
    return steps


def named(images, form):
    """Images as `vizoo preprocess` names them: stacked if they can be and are not asked apart."""
    images = list(images)
    if form != "list" and len({image.shape for image in images}) == 1:
        return {"pixel_values": torch.stack(images)}
    return {f"pixel_values.{index}": image for index, image in enumerate(images)}


def compare_pixels(expected, ours, exact):
    """(problem or None, largest difference) of images by name."""
    if sorted(ours) != sorted(expected):
        return f"expected the tensors {sorted(expected)}, got {sorted(ours)}", float("inf")
    worst = 0.0
    for name in expected:
        problem, difference = compare_image(expected[name], ours[name], exact)
        worst = max(worst, difference)
        if problem:
            return f"{name}: {problem}", worst
    return None, worst


def compare_image(expected, ours, exact):
    if list(ours.shape) != list(expected.shape):
        return f"expected shape {list(expected.shape)}, got {list(ours.shape)}", float("inf")
    differences = (ours.double() - expected.double()).abs()
    worst = float(differences.max())
    limit = 0.0 if exact or not expected.is_floating_point() else PIXEL_TOLERANCE
    if worst > limit or worst != worst:
        wrong = differences > limit
        where = wrong.nonzero()[0].tolist()
        return (f"max error {worst:.3e} > {limit:g}, {int(wrong.sum())} of {wrong.numel()} values, "
                f"first at {where}: ours {ours[tuple(where)].item():.9g}, "
                f"reference {expected[tuple(where)].item():.9g}"), worst
    if ours.dtype != expected.dtype:
        return f"expected dtype {expected.dtype}, got {ours.dtype}", worst
    return None, worst
