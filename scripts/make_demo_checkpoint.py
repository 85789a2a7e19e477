#!/usr/bin/env python3
"""Trains a small checkpoint that ships with vizoo: weights/convnext-digits or weights/dinat-digits.

Transformers trains ConvNeXT on scikit-learn's handwritten digits and saves it with save_pretrained,
so the folder holds what any Transformers user would have. Run it with the reference environment
(some minutes on two cores):

    scripts/reference_env.sh && .venv-reference/bin/python scripts/make_demo_checkpoint.py

With the argument `dinat` it makes the other one, which `vizoo train` trains. Transformers, whose
DiNAT then runs over python/vizoo_natten.py, hence over libvizoo_ops.so, tests both.

The split, the seeds and the number of threads are fixed. Another CPU or another version of the
packages may still round differently and end in slightly different weights.
"""

import argparse
import collections
import hashlib
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import PIL
import PIL.Image
import sklearn
import torch
import torch.nn.functional as F
import transformers
from make_digits import IMAGE_SIZE, SEED, load_digits, write_digits

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLASSES = 10
SHIPPED_PER_CLASS = 2


# What is trained under a name. `train(folder, arguments)` leaves a checkpoint in a new folder;
# `readme` is the template of its README.md beside this script; `images_in` is the folder of test
# images in weights/, written by the demo that owns it.
Demo = collections.namedtuple("Demo", "name train threads readme images_in licence")


def class_labels():
    names = {label: str(label) for label in range(CLASSES)}
    return {"id2label": names, "label2id": {name: label for label, name in names.items()}}


def make_convnext_processor():
    # A shortest edge below 384 means: resize to int(32 / 0.875) = 36, then cut out the middle 32.
    return transformers.ConvNextImageProcessor(
        size={"shortest_edge": IMAGE_SIZE},
        crop_pct=0.875,
        resample=PIL.Image.Resampling.BICUBIC,
    )


def make_convnext():
    return transformers.ConvNextForImageClassification(transformers.ConvNextConfig(
        image_size=IMAGE_SIZE,
        patch_size=2,
        hidden_sizes=[16, 32, 64, 128],
        depths=[1, 1, 2, 1],
        layer_scale_init_value=0.1,
        drop_path_rate=0.1,
        **class_labels(),
    ))


# As in the published models at 224 pixels, kernel size times the largest dilation is the size of the
# picture at each level: 12, 6, 3. Recipe: DeiT's (from-scratch) for fewer and smaller pictures.
DINAT_TRAINING = (
    "--config weights/dinat-digits --train digits/train --evaluation digits/test "
    "--output dinat-digits --epochs 60 --batch 64 --learning-rate 3e-3 --warmup-epochs 3 --clip 1 "
    "--no-flip --min-scale 0.6 --mixup 0 --cutmix 0 --evaluate-every 5 --threads 2 --workers 1")


def augment(pixel_values, generator):
    """Small random rotations, scales and shifts; what moves in is background."""
    count = len(pixel_values)

    def uniform(low, high):
        return torch.rand(count, generator=generator) * (high - low) + low

    angle = uniform(-0.2, 0.2)
    scale = uniform(0.9, 1.15)
    shift = torch.stack([uniform(-0.15, 0.15), uniform(-0.15, 0.15)], dim=1)
    rotation = torch.stack(
        [
            torch.stack([angle.cos(), -angle.sin()], dim=1),
            torch.stack([angle.sin(), angle.cos()], dim=1),
        ],
        dim=1,
    )
    theta = torch.cat([rotation * scale[:, None, None], shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(pixel_values.shape), align_corners=False)
    # grid_sample pads with zeros; the background is -1 after normalisation.
    return F.grid_sample(pixel_values + 1, grid, align_corners=False) - 1


def train_convnext(folder, arguments):
    """With Transformers."""
    pictures, labels = load_digits()[0]
    processor = make_convnext_processor()
    pixel_values = processor(pictures, return_tensors="pt")["pixel_values"]
    model = make_convnext()
    train(model, pixel_values, torch.tensor(labels), arguments.epochs)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes it for its owner alone


def train_dinat(folder, arguments):
    """With `vizoo train`, from config.json and preprocessor_config.json of the one that ships."""
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        write_digits(work / "digits")
        (work / "weights").symlink_to(ROOT / "weights")
        started = time.monotonic()
        subprocess.run([arguments.vizoo.resolve(), "train", *DINAT_TRAINING.split()], cwd=work,
                       check=True)
        print(f"trained in {time.monotonic() - started:.0f} s")
        folder.mkdir(parents=True)
        for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
            shutil.copyfile(work / "dinat-digits" / name, folder / name)


DEMOS = {
    "convnext": Demo(
        "convnext-digits", train_convnext, 2, "demo_checkpoint_readme.txt",
        "convnext-digits/images",
        "Apache-2.0 (weights); CC-BY-4.0 (images, from the UCI handwritten digits)"),
    "dinat": Demo(
        "dinat-digits", train_dinat, 1, "demo_checkpoint_readme_dinat.txt",
        "convnext-digits/images", "Apache-2.0"),
}


def train(model, pixel_values, labels, epochs, batch_size=64, learning_rate=3e-3):
    generator = torch.Generator().manual_seed(SEED)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=learning_rate,
    )
    steps = epochs * math.ceil(len(labels) / batch_size)
    warmup = steps // 20

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    model.train()
    started = time.monotonic()
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(labels), generator=generator).split(batch_size):
            logits = model(augment(pixel_values[batch], generator)).logits
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        if epoch % 10 == 9 or epoch == epochs - 1:
            elapsed = time.monotonic() - started
            print(f"epoch {epoch + 1}: loss {total / len(labels):.4f} ({elapsed:.0f} s)", flush=True)
    model.eval()


def predict(folder, pictures):
    """Labels by the saved files alone: processor and model are loaded anew from `folder`."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder)
    with torch.no_grad():
        logits = model(processor(pictures, return_tensors="pt")["pixel_values"]).logits
    return logits.argmax(-1)


def write_images(folder, pictures, labels):
    """The first two test images of each class, in the order of the split: nothing is picked.

    Writes those that are not there yet.
    """
    folder.mkdir(exist_ok=True, parents=True)
    chosen = [
        index
        for label in range(CLASSES)
        for index in (labels == label).nonzero().flatten().tolist()[:SHIPPED_PER_CLASS]
    ]
    paths = []
    for number, index in enumerate(chosen):
        paths.append(folder / f"digit-{number:02d}-label-{labels[index].item()}.png")
        if not paths[-1].exists():
            pictures[index].save(paths[-1], optimize=True)
    return paths, labels[chosen]


def describe_file(path, folder):
    data = path.read_bytes()
    return {
        "name": path.relative_to(folder).as_posix(),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def write_manifest(path, demo, class_name, folder, expected):
    """Adds or replaces the row of this checkpoint in weights/manifest.json."""
    rows = json.loads(path.read_text())["checkpoints"] if path.exists() else []
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "README.md")
    row = {
        "name": demo.name,
        "class": class_name,
        "path": demo.name,
        "source": "scripts/make_demo_checkpoint.py",
        "licence": demo.licence,
        "expected": expected,
        "files": [describe_file(file, folder) for file in files],
    }
    rows = sorted([r for r in rows if r["name"] != demo.name] + [row], key=lambda r: r["name"])
    path.write_text(json.dumps({"checkpoints": rows}, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", choices=DEMOS, default="convnext")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "weights",
                        help="folder of manifest.json and of the checkpoint's folder")
    parser.add_argument("--epochs", type=int, default=90, help="of ConvNeXT")
    parser.add_argument("--vizoo", type=pathlib.Path, default=ROOT / "build/release/bin/vizoo",
                        help="the program that trains DiNAT")
    parser.add_argument("--ops-library", type=pathlib.Path,
                        default=ROOT / "build/release/lib/libvizoo_ops.so",
                        help="libvizoo_ops.so, which DiNAT needs")
    arguments = parser.parse_args()
    demo = DEMOS[arguments.model]
    if arguments.model == "dinat":
        sys.path.insert(0, str(ROOT / "python"))
        import vizoo_natten

        vizoo_natten.install(arguments.ops_library)

    torch.set_num_threads(demo.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as work:
        trained = pathlib.Path(work) / demo.name
        demo.train(trained, arguments)
        folder = arguments.output / demo.name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(trained, folder)
    write_description(demo, folder, arguments)


def write_description(demo, folder, arguments):
    """README.md and the row of the manifest, with what Transformers makes of the saved files."""
    (train_pictures, _), (test_pictures, test_labels) = load_digits()
    test_labels = torch.tensor(test_labels)
    test_correct = int((predict(folder, test_pictures) == test_labels).sum())
    paths, shipped_labels = write_images(
        arguments.output / demo.images_in, test_pictures, test_labels)
    shipped = predict(folder, [PIL.Image.open(path).convert("RGB") for path in paths])
    shipped_correct = int((shipped == shipped_labels).sum())
    expected = {
        "test_images": len(test_labels),
        "test_correct": test_correct,
        "test_accuracy": round(test_correct / len(test_labels), 4),
        "shipped_images": len(paths),
        "shipped_correct": shipped_correct,
    }
    model = transformers.AutoModelForImageClassification.from_pretrained(folder)
    template = pathlib.Path(__file__).with_name(demo.readme).read_text()
    (folder / "README.md").write_text(template.format(
        accuracy=100 * test_correct / len(test_labels),
        command=" \\\n  --".join(f"vizoo train {DINAT_TRAINING}".split(" --")),
        epochs=arguments.epochs,
        model_bytes=(folder / "model.safetensors").stat().st_size,
        numpy=np.__version__,
        parameters=sum(p.numel() for p in model.parameters()),
        pillow=PIL.__version__,
        seed=SEED,
        sklearn=sklearn.__version__,
        torch=torch.__version__.split("+")[0],
        train_images=len(train_pictures),
        transformers=transformers.__version__,
        **expected,
    ))
    write_manifest(
        arguments.output / "manifest.json", demo, type(model).__name__, folder, expected)
    print(json.dumps(expected))


if __name__ == "__main__":
    main()
