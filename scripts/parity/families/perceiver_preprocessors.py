"""Random preprocessors of PerceiverModel with inputs that fit them."""

import math
from dataclasses import dataclass, field

import torch

from parity.families.perceiver_parts import fourier, projected, trainable

IMAGES = ("conv", "conv1x1", "pixels", "patches")
KINDS = ("none", "text", "conv", "audio", "conv1x1", "pixels", "patches", "onehot", "multimodal",
         "multimodal", "multimodal")
MODALITY_NAMES = ("audio", "image", "label", "text", "video", "depth", "a0", "Z")


@dataclass
class Prepared:
    """A preprocessor and what comes out of it: [batch, length, channels]."""

    description: dict | None
    inputs: dict  # "" or ".<modality>" -> tensor
    batch: int
    length: int
    channels: int
    raw_channels: int | None = None  # of the features without positions
    sizes: dict = field(default_factory=dict)  # length of each modality
    random: bool = False  # draws random numbers in evaluation, too


def random_preprocessor(kind, rng, generator, config, batch):
    """`kind` is one of KINDS."""
    if kind == "none":
        length = rng.randint(1, 12)
        inputs = torch.randn((batch, length, config["d_model"]), generator=generator)
        return Prepared(None, {"": inputs}, batch, length, config["d_model"])
    if kind == "multimodal":
        return multimodal(rng, generator, config, batch)
    return single(kind, rng, generator, config, batch, alone=True)


def single(kind, rng, generator, config, batch, alone):
    if kind == "text":
        return text(rng, generator, config, batch)
    if kind == "onehot":
        labels = config["num_labels"]
        inputs = torch.randn((batch, labels), generator=generator)
        return Prepared({"class": "PerceiverOneHotPreprocessor"}, {"": inputs}, batch, 1, labels,
                        labels)
    if kind == "audio":
        return audio(rng, generator, batch)
    return image(kind, rng, generator, batch, alone)


def text(rng, generator, config, batch):
    length = rng.randint(1, config["max_position_embeddings"])
    ids = torch.randint(0, config["vocab_size"], (batch, length), generator=generator)
    return Prepared({"class": "PerceiverTextPreprocessor", "args": {}},
                    {"": ids.int() if rng.random() < 0.2 else ids}, batch, length,
                    config["d_model"], config["d_model"])


def audio(rng, generator, batch):
    samples, length = rng.randint(1, 8), rng.randint(1, 8)
    arguments, channels, samples = join(rng, samples, [length], adjustable=True)
    arguments["samples_per_patch"] = samples
    if rng.random() < 0.3:
        arguments["prep_type"] = "patches"
    shape = (batch, samples * length, 1) if rng.random() < 0.7 else (batch, samples * length)
    return Prepared({"class": "PerceiverAudioPreprocessor", "args": arguments},
                    {"": torch.randn(shape, generator=generator)}, batch, length, channels, samples)


def random_position(rng, sizes, added, keep_axes=False):
    if rng.random() < 0.6:
        return fourier(rng, sizes, added)
    return trainable(rng, sizes, keep_axes=keep_axes)


def join(rng, features, sizes, adjustable=False, keep_axes=False):
    """(arguments, channels, features): positions concatenated or added, projected or not.

    Added positions have as many channels as the features; `adjustable` features follow them.
    """
    add = rng.random() < 0.3
    position = random_position(rng, sizes, add, keep_axes)
    if rng.random() < 0.3:
        position = projected(rng, position, features if add else None)
    elif add and adjustable:
        features = position.channels
    elif add:
        position = trainable(rng, sizes, features, keep_axes)
    arguments = dict(position.arguments)
    if add or rng.random() < 0.3:
        arguments["concat_or_add_pos"] = "add" if add else "concat"
    return arguments, position.channels + (0 if add else features), features


def join_convolved(rng, sizes, keep_axes=False):
    """As `join` where one argument, out_channels, is the number of features and of what the
    projection of positions takes."""
    add, project = rng.random() < 0.3, rng.random() < 0.3
    position = random_position(rng, sizes, add, keep_axes)
    features = position.channels
    if project:
        position = projected(rng, position, features if add else None)
    elif not add:
        features = rng.randint(1, 8)
    arguments = {**position.arguments, "out_channels": features}
    if add or rng.random() < 0.3:
        arguments["concat_or_add_pos"] = "add" if add else "concat"
    return arguments, position.channels + (0 if add else features), features


def image(kind, rng, generator, batch, alone):
    """`alone`: not one of several modalities."""
    channels = rng.choice((1, 2, 3, 3, 4))
    if kind in ("conv", "conv1x1"):
        return convolved(kind, rng, generator, batch, channels)
    if kind == "pixels":
        return pixels(rng, generator, batch, channels, alone)
    return patches(rng, generator, batch, channels)


def prepared_image(kind, arguments, shape, generator, sizes, channels, features, batch=None):
    inputs = torch.randn(shape, generator=generator)
    return Prepared({"class": "PerceiverImagePreprocessor",
                     "args": {"prep_type": kind, **arguments}},
                    {"": inputs}, batch or shape[0], math.prod(sizes), channels, features)


def convolved(kind, rng, generator, batch, in_channels):
    height, width = rng.randint(5, 14), rng.randint(5, 14)
    if kind == "conv":
        # One stage, whatever power of 4 is asked for: stride 2, then pooling of 3 pixels, stride 2.
        down = rng.choice((1, 4, 4, 16))
        sizes = [((side - 1) // 2 + 1 - 3) // 2 + 1 for side in (height, width)]
    else:
        down = rng.randint(1, 3)
        sizes = [(side - 1) // down + 1 for side in (height, width)]
    arguments, channels, features = join_convolved(rng, sizes)
    arguments.update(in_channels=in_channels, spatial_downsample=down)
    if kind == "conv" and rng.random() < 0.4:
        arguments["conv2d_use_batchnorm"] = rng.random() < 0.3
    if rng.random() < 0.1:  # a layer that is made and never used
        arguments.update(conv_after_patching=True, conv_after_patching_in_channels=5)
    return prepared_image(kind, arguments, (batch, in_channels, height, width), generator, sizes,
                          channels, features)


def pixels(rng, generator, batch, in_channels, alone):
    if rng.random() < 0.5:
        # Pictures are thinned along batch and channels, which several modalities cannot follow.
        down = rng.choice((1, 2)) if alone else 1
        sizes, features = [rng.randint(1, 6), rng.randint(1, 6)], -(-in_channels // down)
        shape = (batch, in_channels, *sizes)
        arguments, channels, features = join(rng, features, sizes)
        batch = -(-batch // down)
    else:
        down, steps = rng.randint(1, 3), rng.randint(1, 2)
        extent = [rng.randint(1, 5), rng.randint(1, 6), rng.randint(1, 6)]
        sizes = [-(-side // step) for side, step in zip(extent, (steps, down, down))]
        shape = (batch, extent[0], in_channels, *extent[1:])
        # Only a table of three axes says that there is a time axis.
        arguments, channels, features = join(rng, in_channels, sizes, keep_axes=True)
        arguments["temporal_downsample"] = steps
    arguments.update(in_channels=in_channels, spatial_downsample=down)
    return prepared_image("pixels", arguments, shape, generator, sizes, channels, features, batch)


def patches(rng, generator, batch, in_channels):
    down, steps = rng.randint(1, 3), rng.randint(1, 3)
    grid = [rng.randint(1, 4), rng.randint(1, 4)]
    features = in_channels * down**2
    style = rng.choice(("picture", "video", "video", "pair"))
    convolve = rng.random() < 0.4
    keep_axes = style == "video"
    if style == "picture":
        shape = (batch, in_channels, *(down * side for side in grid))
        sizes = grid
    elif style == "video":  # times that stay apart
        times = rng.randint(2, 3)
        shape = (batch, steps * times, in_channels, *(down * side for side in grid))
        sizes, features = [times, *grid], features * steps
    else:
        # One group of frames: its axis is dropped, so positions have two axes. The number of
        # channels then leaves out the frames unless a layer behind the patches gives another one.
        steps = steps if convolve else 1
        shape = (batch, steps, in_channels, *(down * side for side in grid))
        sizes, features = grid, features * steps
    arguments = {}
    if convolve:
        arguments = {"conv_after_patching": True, "conv_after_patching_in_channels": features}
        more, channels, features = join_convolved(rng, sizes, keep_axes)
    else:
        more, channels, features = join(rng, features, sizes, keep_axes=keep_axes)
    arguments.update(more, in_channels=in_channels, spatial_downsample=down,
                     temporal_downsample=steps)
    return prepared_image("patches", arguments, shape, generator, sizes, channels, features)


def multimodal(rng, generator, config, batch):
    count = rng.randint(1, 3)
    # The names that subsampled points know, or any.
    names = list(MODALITY_NAMES[:3]) if rng.random() < 0.5 else rng.sample(MODALITY_NAMES, count)
    names.sort()  # random masks are drawn in the order given; the program knows that of the names
    parts = {}
    for name in names:
        kind = rng.choice(("text", "audio", "onehot", *IMAGES))
        if name == "label" and rng.random() < 0.6:
            kind = "onehot"
        parts[name] = single(kind, rng, generator, config, batch, alone=False)
    arguments = {"modalities": {name: part.description for name, part in parts.items()}}
    padding = 2
    if rng.random() < 0.7:
        padding = arguments["min_padding_size"] = rng.randint(0, 4)
    probabilities = {}
    if rng.random() < 0.7:
        masked = rng.sample(names, rng.randint(0, len(names)))
        probabilities = arguments["mask_probs"] = {
            name: rng.choice((0.0, 1.0, 0.3, 0.7)) for name in masked}
    elif rng.random() < 0.3:
        arguments["mask_probs"] = None
    inputs = {f".{name}": part.inputs[""] for name, part in parts.items()}
    sizes = {name: part.length for name, part in parts.items()}
    return Prepared({"class": "PerceiverMultimodalPreprocessor", "args": arguments}, inputs, batch,
                    sum(sizes.values()), max(part.channels for part in parts.values()) + padding,
                    sizes=sizes, random=any(0 < p < 1 for p in probabilities.values()))
