"""The torchvision backend's reference: the steps of Transformers 5.17, written on torchvision.

Where 5.17 is there itself, these steps are compared with it (processors.py).
"""

import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

MODES = {0: InterpolationMode.NEAREST_EXACT, 2: InterpolationMode.BILINEAR,
         3: InterpolationMode.BICUBIC}
DEFAULTS = {
    "do_resize": True, "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
}
CROPPING = {
    **DEFAULTS, "size": 224, "resample": 3, "do_center_crop": True, "crop_size": 224,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_pad": False,
    "pad_size": None,
}
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711]}


def convnext(images, config, call):
    """ConvNeXT's steps on CHW uint8 tensors, one by one: [3, height, width] each."""
    defaults = {**DEFAULTS, "size": 384, "crop_pct": 224 / 256, "resample": 3}
    return _batch(_convnext_resize, images, defaults, config, call)


def vit(images, config, call):
    """ViT's steps, likewise."""
    return _batch(_vit_resize, images, {**DEFAULTS, "size": 224}, config, call)


def poolformer(images, config, call):
    return _batch(_poolformer_resize, images, {**CROPPING, "crop_pct": 0.9}, config, call)


def levit(images, config, call):
    return _batch(_levit_resize, images, CROPPING, config, call)


def bit(images, config, call):
    return _batch(_bit_resize, images, {**CROPPING, **CLIP}, config, call)


def perceiver(images, config, call):
    """The crop comes first: a part of the shorter side that size / crop_size says."""
    settings = _settings({**CROPPING, "crop_size": 256}, config, call)
    return [_perceiver(image, settings) for image in images]


def owlv2(images, config, call):
    """The other order: rescale, pad to a square, blur and resize, normalize."""
    defaults = {**DEFAULTS, "size": {"height": 960, "width": 960}, "do_pad": True, **CLIP}
    settings = _settings(defaults, config, call)
    return [_owlv2(image, settings) for image in images]


def _perceiver(image, settings):
    size = settings["size"]
    if settings["do_center_crop"]:
        shorter = min(image.shape[-2:])
        image = center_crop(image, *(int(side / crop_side * shorter) for side, crop_side in
                                     zip(sides_of(size), sides_of(settings["crop_size"]))))
    if settings["do_resize"]:
        size = size if isinstance(size, dict) else dict(zip(("height", "width"), sides_of(size)))
        image = _resize(image, target(image, size), MODES[settings["resample"]])
    return _finish(image, settings)


def _owlv2(image, settings):
    if settings["do_rescale"]:
        image = image * settings["rescale_factor"]
    height, width = image.shape[-2:]
    if settings["do_pad"]:
        side = max(height, width)
        image = vision.pad(image, [0, 0, side - width, side - height], fill=0.0)
    target = sides_of(settings["size"])
    sigmas = [max((torch.tensor(old) / torch.tensor(new) - 1) / 2, torch.tensor(0.0))
              for old, new in zip(image.shape[-2:], target)]
    if all(sigma > 0 for sigma in sigmas):  # heights blur the rows: upstream swaps the axes
        # Tensors, as upstream: the weights are then computed from a float32 width.
        sizes = [2 * torch.ceil(3 * sigma).int() + 1 for sigma in sigmas]
        image = vision.gaussian_blur(image, sizes, [sigma.item() for sigma in sigmas])
    image = vision.resize(image, target, interpolation=InterpolationMode.BILINEAR, antialias=False)
    return _finish(image, {**settings, "do_rescale": False})


def _settings(defaults, config, call):
    settings = dict(defaults)
    for source in (config, call):
        settings.update({key: value for key, value in source.items()
                         if key in defaults and value is not None})
    return settings


def _batch(resize, images, defaults, config, call):
    settings = _settings(defaults, config, call)
    if settings["do_resize"]:
        mode = MODES[settings["resample"]]
        images = [resize(image, settings, mode) for image in images]
    if settings.get("do_center_crop"):
        images = [center_crop(image, *sides_of(settings["crop_size"])) for image in images]
    images = [_finish(image, settings) for image in images]
    return _pad(images, settings["pad_size"]) if settings.get("do_pad") else images


def _convnext_resize(image, settings, mode):
    size = settings["size"]
    edge = size if isinstance(size, int) else size["shortest_edge"]
    if edge < 384:
        target = int(edge / settings["crop_pct"])
        return center_crop(_resize(image, shortest_edge(image, target), mode), edge, edge)
    return _resize(image, (edge, edge), mode)


def _vit_resize(image, settings, mode):
    size = settings["size"]
    if isinstance(size, int):
        size = {"height": size, "width": size}
    return _resize(image, target(image, size), mode)


def _poolformer_resize(image, settings, mode):
    """Room around the crop: the sides are divided by crop_pct. A square keeps the aspect."""
    size, crop_pct = _size(settings), settings["crop_pct"]
    edge = size.get("shortest_edge", size.get("height"))
    if "shortest_edge" in size or size["height"] == size["width"]:
        return _resize(image, shortest_edge(image, int(edge / crop_pct)), mode)
    return _resize(image, (int(edge / crop_pct), int(size["width"] / crop_pct)), mode)


def _levit_resize(image, settings, mode):
    size = _size(settings)
    if "shortest_edge" in size:
        target = int((256 / 224) * size["shortest_edge"])
        return _resize(image, shortest_edge(image, target), mode)
    return _resize(image, (size["height"], size["width"]), mode)


def _bit_resize(image, settings, mode):
    return _resize(image, target(image, _size(settings)), mode)


def _size(settings):
    size = settings["size"]
    return {"shortest_edge": size} if isinstance(size, int) else size


def target(image, size):
    """(height, width) that a dict in any of its forms asks for."""
    if "longest_edge" in size:
        return bounded_edge(image, **size)
    if "shortest_edge" in size:
        return shortest_edge(image, size["shortest_edge"])
    if "max_height" in size:
        height, width = image.shape[-2:]
        scale = min(size["max_height"] / height, size["max_width"] / width)
        return int(height * scale), int(width * scale)
    return size["height"], size["width"]


def sides_of(size):
    """(height, width) of a square's side, [height, width] or a dict."""
    if isinstance(size, int):
        return size, size
    return tuple(size) if isinstance(size, list) else (size["height"], size["width"])


def shortest_edge(image, target):
    """(height, width) of an image whose shorter side becomes `target`."""
    height, width = image.shape[-2:]
    short, long = min(height, width), max(height, width)
    stretched = int(target * long / short)
    return (target, stretched) if height <= width else (stretched, target)


def bounded_edge(image, shortest_edge, longest_edge):
    """As above, unless the longer side became longer than it may: then that one decides."""
    height, width = image.shape[-2:]
    short, long = min(height, width), max(height, width)
    edge, stretched = shortest_edge, int(shortest_edge * long / short)
    if long / short * shortest_edge > longest_edge:
        scaled = longest_edge * short / long
        edge, stretched = round(scaled), int(scaled * long / short)
    if edge == short:
        return height, width
    return (stretched, edge) if width < height else (edge, stretched)


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


def _pad(images, size):
    """Zeros at the bottom and at the right, to `size` or to the largest of the batch."""
    if size is None:
        height, width = (max(image.shape[axis] for image in images) for axis in (-2, -1))
    else:
        height, width = sides_of(size)
    return [vision.pad(image, [0, 0, width - image.shape[-1], height - image.shape[-2]])
            for image in images]


def center_crop(image, height, width):
    """The middle, zero-padded where the image is smaller (left and top rounded down)."""
    missing_height = max(height - image.shape[-2], 0)
    missing_width = max(width - image.shape[-1], 0)
    image = vision.pad(image, [missing_width // 2, missing_height // 2,
                               (missing_width + 1) // 2, (missing_height + 1) // 2])
    top = (image.shape[-2] - height) // 2
    left = (image.shape[-1] - width) // 2
    return image[..., top:top + height, left:left + width]
