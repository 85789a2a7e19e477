"""The torchvision backend's reference: Transformers 5.17 itself, or its steps on torchvision."""

import atexit
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

V5 = Path(__file__).resolve().parents[2] / ".venv-reference" / "v5"
MODES = {0: InterpolationMode.NEAREST_EXACT, 2: InterpolationMode.BILINEAR,
         3: InterpolationMode.BICUBIC}
DEFAULTS = {
    "do_resize": True, "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
}
_worker = None


def convnext(images, config, call):
    """ConvNeXT's steps on CHW uint8 tensors, one by one: [batch, 3, height, width]."""
    defaults = {**DEFAULTS, "size": 384, "crop_pct": 224 / 256, "resample": 3}
    return _batch(_convnext_resize, images, defaults, config, call)


def vit(images, config, call):
    """ViT's steps, likewise."""
    return _batch(_vit_resize, images, {**DEFAULTS, "size": 224}, config, call)


def _batch(resize, images, defaults, config, call):
    settings = dict(defaults)
    for source in (config, call):
        settings.update({key: value for key, value in source.items()
                         if key in defaults and value is not None})
    if settings["do_resize"]:
        mode = MODES[settings["resample"]]
        images = [resize(image, settings, mode) for image in images]
    return torch.stack([_finish(image, settings) for image in images])


def _convnext_resize(image, settings, mode):
    size = settings["size"]
    edge = size if isinstance(size, int) else size["shortest_edge"]
    if edge < 384:
        target = int(edge / settings["crop_pct"])
        return center_crop(_resize(image, shortest_edge(image, target), mode), edge)
    return _resize(image, (edge, edge), mode)


def _vit_resize(image, settings, mode):
    size = settings["size"]
    if isinstance(size, int):
        return _resize(image, (size, size), mode)
    if "shortest_edge" in size:
        return _resize(image, shortest_edge(image, size["shortest_edge"]), mode)
    return _resize(image, (size["height"], size["width"]), mode)


def shortest_edge(image, target):
    """(height, width) of an image whose shorter side becomes `target`."""
    height, width = image.shape[-2:]
    short, long = min(height, width), max(height, width)
    stretched = int(target * long / short)
    return (target, stretched) if height <= width else (stretched, target)


def _resize(image, sides, mode):
    return vision.resize(image, sides, interpolation=mode, antialias=True)


def _finish(image, settings):
    factor = settings["rescale_factor"]
    if not settings["do_normalize"]:
        return image * factor if settings["do_rescale"] else image
    mean = torch.tensor(settings["image_mean"])
    std = torch.tensor(settings["image_std"])
    if settings["do_rescale"]:
        mean, std = mean * (1.0 / factor), std * (1.0 / factor)
    return (image.float() - mean[:, None, None]) / std[:, None, None]


def center_crop(image, edge):
    """A square of `edge`, zero-padded where the image is smaller (left and top rounded down)."""
    height, width = image.shape[-2:]
    missing_height, missing_width = max(edge - height, 0), max(edge - width, 0)
    image = vision.pad(image, [missing_width // 2, missing_height // 2,
                               (missing_width + 1) // 2, (missing_height + 1) // 2])
    top = (image.shape[-2] - edge) // 2
    left = (image.shape[-1] - edge) // 2
    return image[..., top:top + edge, left:left + edge]


def v5_available():
    return (V5 / "transformers").is_dir()


def v5(class_name, config, paths, call, output):
    """The pixel values of Transformers 5.17, or None with its error."""
    global _worker
    if _worker is None or _worker.poll() is not None:
        environment = dict(os.environ, PYTHONPATH=str(V5), HF_HUB_OFFLINE="1")
        script = str(Path(__file__).with_name("v5_processor.py"))
        _worker = subprocess.Popen([sys.executable, script],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, env=environment)
        atexit.register(_worker.kill)
        _worker.stdout.readline()
    request = {"class": class_name, "config": config, "images": [str(path) for path in paths],
               "call": call, "output": str(output)}
    _worker.stdin.write(json.dumps(request) + "\n")
    _worker.stdin.flush()
    answer = json.loads(_worker.stdout.readline())
    if not answer["ok"]:
        raise RuntimeError(answer["error"])
    return load_file(output)["pixel_values"]
