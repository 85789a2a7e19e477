"""Compares `vizoo detect --json` with Transformers: small random detectors on photos."""

import json

import numpy as np
import torch
import transformers
from PIL import Image, ImageOps
from transformers import Owlv2Config, Owlv2ForObjectDetection

from parity.commands import run_command, run_command_case
from parity.images import random_image
from parity.parameters import fill
from parity.tokenizer_fixtures import owlv2 as write_tokenizer

PIXELS = 1e-3  # how far a side of a box may lie from the reference's
SCORES = 2e-5
WORDS = ("cat", "the cat", "a photo of the low cat", "lower phot", "abc", "cat's", "!", "caf\u00e9",
         "12 cats", "PHOTO", "ab ca th")


def run_detection_case(task):
    return run_command_case(task, "detection", "--detections", compare_detections)


def compare_detections(rng, program, folder, record):
    """One detector on a few images, by texts or by a picture."""
    model = make_checkpoint(rng, folder)
    images = [folder / f"image{index}.png" for index in range(rng.choice((1, 2, 3)))]
    record["images"] = [random_image(rng, path) for path in images]
    scaling = rng.choice(("max", "wh"))
    by_picture = rng.random() < 0.5
    compare = compare_guided if by_picture else compare_texts
    record["call"] = {"scaling": scaling, "by_picture": by_picture}
    compare(rng, program, folder, model, images, scaling, record)


def make_checkpoint(rng, folder):
    """A folder with everything that `vizoo detect` reads; returns the model."""
    write_tokenizer(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    patch = rng.choice((4, 8, 16))
    side = patch * rng.randint(2, 8)
    text = {"vocab_size": len(vocabulary), "hidden_size": 24, "intermediate_size": 40,
            "num_hidden_layers": 2, "num_attention_heads": 3}
    vision = {"image_size": side, "patch_size": patch, "hidden_size": 32, "intermediate_size": 48,
              "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Owlv2Config.from_text_vision_configs(text, vision, projection_dim=24)
    model = Owlv2ForObjectDetection(config).eval()
    fill(model, torch.Generator().manual_seed(rng.randrange(2**31)))
    model.save_pretrained(folder)
    transformers.Owlv2ImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return model


def processor_of(folder):
    return transformers.Owlv2Processor(
        transformers.Owlv2ImageProcessor.from_pretrained(folder),
        transformers.CLIPTokenizerFast.from_pretrained(folder))


def upright(path):
    """As the pipelines load it; channels first, since 4.37.2 misreads three rows or one."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    return np.asarray(image).transpose(2, 0, 1)


def pixels_of(processor, image):
    return processor.image_processor(image, input_data_format="channels_first",
                                     return_tensors="pt")["pixel_values"]


def target_size(image, scaling):
    """What makes 4.37.2, which scales by width and height, scale as `scaling` says."""
    height, width = image.shape[1:]
    return (height, width) if scaling == "wh" else (max(height, width),) * 2


def least_score(rng, scores):
    """A threshold in the widest gap between neighbours among a random ten of the scores."""
    ordered = sorted(scores)
    start = rng.randint(0, max(0, len(ordered) - 10))
    pairs = list(zip(ordered[start:], ordered[start + 1:start + 10])) or [(0.0, 0.0)]
    low, high = max(pairs, key=lambda pair: pair[1] - pair[0])
    return min(max((low + high) / 2, 0.0), 1.0)


def compare_texts(rng, program, folder, model, images, scaling, record):
    texts = rng.sample(WORDS, rng.randint(1, 5))
    processor, expected, outputs, every_score = processor_of(folder), [], [], []
    for path in images:
        image = upright(path)
        inputs = {**processor(text=texts, return_tensors="pt"),
                  "pixel_values": pixels_of(processor, image)}
        with torch.no_grad():
            outputs.append((model(**inputs), target_size(image, scaling)))
        every_score += outputs[-1][0].logits.max(-1).values.sigmoid().flatten().tolist()
    threshold = least_score(rng, every_score)
    for output, size in outputs:
        result = processor.post_process_object_detection(output, threshold, [size])[0]
        expected.append([(box, score, texts[label], label) for box, score, label in zip(
            result["boxes"].tolist(), result["scores"].tolist(), result["labels"].tolist())])
    arguments = ["--threshold", repr(threshold)]
    for text in texts:
        arguments += ["--text", text]
    record["call"].update(texts=texts, threshold=threshold)
    compare_lines(detect(rng, program, folder, images, scaling, arguments), expected, record)


def compare_guided(rng, program, folder, model, images, scaling, record):
    query = folder / "query.png"
    record["images"].append(random_image(rng, query))
    processor, expected = processor_of(folder), []
    nms = rng.choice((0.3, 0.1, 0.6, 1.0))
    threshold = rng.choice((0.0, 0.3, 0.55))

    for path in images:
        image = upright(path)
        with torch.no_grad():
            output = model.image_guided_detection(
                pixels_of(processor, image), pixels_of(processor, upright(query)))
        results = processor.post_process_image_guided_detection(
            output, threshold, nms, torch.tensor([target_size(image, scaling)]))
        found = results[0] if results else {"boxes": torch.empty(0, 4), "scores": torch.empty(0)}
        expected.append([(box, score, None, None) for box, score in zip(
            found["boxes"].tolist(), found["scores"].tolist())])
    record["call"].update(nms=nms, threshold=threshold)
    arguments = ["--query-image", str(query), "--nms", str(nms), "--threshold", str(threshold)]
    compare_lines(detect(rng, program, folder, images, scaling, arguments), expected, record)


def detect(rng, program, folder, images, scaling, arguments):
    """The lines of `vizoo detect --json`."""
    return run_command(program, "detect", "--model", folder, "--json", "--box-scale", scaling,
                       "--batch", rng.choice((1, 2, 8)), *arguments, *images)


def compare_lines(lines, expected, record):
    """One line for each image, its detections in the reference's order."""
    if len(lines) != len(expected):
        record["differences"].append(f"expected {len(expected)} lines, got {len(lines)}")
        return
    record["tensors"] = sum(map(len, expected))
    for index, (line, boxes) in enumerate(zip(lines, expected)):
        ours = line["detections"]
        if len(ours) != len(boxes):
            record["differences"].append(
                f"image {index}: expected {len(boxes)} boxes, got {len(ours)}")
            continue
        for number, (one, (box, score, label, identity)) in enumerate(zip(ours, boxes)):
            far = max(abs(a - b) for a, b in zip(one["box"], box))
            if far > PIXELS or abs(one["score"] - score) > SCORES or one["label"] != label \
                    or one["id"] != identity:
                record["differences"].append(
                    f"image {index}, box {number}: expected {box} {score} {label!r}, got {one}")
