"""What Perceiver's heads and assemblies draw alike: the core, position encodings, attention."""

import math
from dataclasses import dataclass

import torch
from transformers.activations import ACT2CLS

MODEL, MASKED_LM = "PerceiverModel", "PerceiverForMaskedLM"
SEQUENCE = "PerceiverForSequenceClassification"
LEARNED = "PerceiverForImageClassificationLearned"
FOURIER = "PerceiverForImageClassificationFourier"
CONV = "PerceiverForImageClassificationConvProcessing"
FLOW, MULTIMODAL = "PerceiverForOpticalFlow", "PerceiverForMultimodalAutoencoding"
CLASSIFIERS = (SEQUENCE, LEARNED, FOURIER, CONV)


def divisors(number, most=4):
    return [count for count in range(1, most + 1) if number % count == 0]


def random_core(rng, kv_dim, queries=()):
    """Config keys of latents, encoder and layers. `kv_dim`: channels of the encoder's inputs;
    `queries`: how many a decoder has."""
    shape = rng.choice(("kv", "kv", "q"))
    style = rng.choice(("none", "none", "both", "qk", "v"))
    self_heads, cross_heads = rng.randint(1, 4), rng.randint(1, 4)
    if style in ("none", "v") and shape == "kv":
        cross_heads = rng.choice(divisors(kv_dim))  # they share the channels of the inputs
    step = math.lcm(self_heads, cross_heads)
    # A norm of two channels has hardly more than a sign to give.
    channels = step * rng.randint(math.ceil(4 / step), max(math.ceil(4 / step), 20 // step))
    latents = rng.randint(1, 8)
    core = {
        "num_latents": latents, "d_latents": channels,
        "num_blocks": rng.choice((1, 1, 2, 3)),
        "num_self_attends_per_block": rng.choice((1, 1, 2, 3)),
        "num_self_attention_heads": self_heads, "num_cross_attention_heads": cross_heads,
        # Self attention adds its values to the latents, so they have as many channels.
        "qk_channels": {"both": step * rng.randint(1, 4), "qk": channels}.get(style),
        "v_channels": channels if style in ("both", "v") else None,
        "cross_attention_shape_for_attention": shape,
        "self_attention_widening_factor": rng.choice((1, 1, 2, 3)),
        "cross_attention_widening_factor": rng.choice((1, 1, 2, 3)),
        "hidden_act": rng.choice(["gelu"] * 6 + sorted(ACT2CLS)),
        "attention_probs_dropout_prob": rng.choice((0.0, 0.1, 0.3)),
        "initializer_range": rng.choice((0.02, 0.1)),
        "layer_norm_eps": rng.choice((1e-12, 0.1)),  # without effect
        "use_query_residual": rng.random() < 0.6,
    }
    if rng.random() < 0.25:
        # The MLP takes equal parts of the latents, and of a decoder's queries.
        core["chunk_size_feed_forward"] = rng.choice(divisors(math.gcd(latents, *queries), 8))
    return core


def random_attention(rng, core, query_channels, heads=4):
    """Keyword arguments of a decoder's cross attention, some of them left to their defaults."""
    arguments = {}
    by_shape = core["d_latents"] if core["cross_attention_shape_for_attention"] == "kv" \
        else query_channels
    count = 1
    if rng.random() < 0.5:
        count = arguments["num_heads"] = rng.randint(1, heads)
    # Keys and values default to the channels of the latents or of the queries.
    if by_shape % count or rng.random() < 0.5:
        arguments["qk_channels"] = count * rng.randint(1, 4)
    elif rng.random() < 0.3:
        arguments["qk_channels"] = None
    if rng.random() < 0.4:
        arguments["v_channels"] = count * rng.randint(1, 4)
    if rng.random() < 0.4:
        arguments["widening_factor"] = rng.randint(1, 3)
    if rng.random() < 0.5:
        arguments["use_query_residual"] = rng.random() < 0.7
    return arguments


@dataclass
class Position:
    """A position encoding: the constructor arguments that ask for it, its channels."""

    kind: str
    arguments: dict
    channels: int


def fourier(rng, sizes, added=False):
    """Of a grid of `sizes`. Without `concat_pos` upstream's encoding has no batch axis, so it can
    only be `added` to something."""
    axes = len(sizes)
    arguments = {"num_bands": rng.randint(1, 5),
                 "max_resolution": [rng.choice((size, size, rng.randint(1, 300), 30720))
                                    for size in sizes]}
    if rng.random() < 0.6:
        arguments["concat_pos"] = not added or rng.random() < 0.5
    if rng.random() < 0.6:
        arguments["sine_only"] = rng.random() < 0.5
    waves = 1 if arguments.get("sine_only", False) else 2
    channels = axes * (arguments["num_bands"] * waves + arguments.get("concat_pos", True))
    return Position("fourier", {"position_encoding_type": "fourier",
                                "fourier_position_encoding_kwargs": arguments}, channels)


def trainable(rng, sizes, channels=None, keep_axes=False):
    """A table for a grid of `sizes`, whose axes may be given as their product."""
    channels = channels or rng.randint(1, 8)
    dims = list(sizes) if keep_axes or rng.random() < 0.5 else math.prod(sizes)
    return Position("trainable", {
        "position_encoding_type": "trainable",
        "trainable_position_encoding_kwargs": {"num_channels": channels, "index_dims": dims},
    }, channels)


def projected(rng, position, channels=None):
    """`position` with a projection to `channels` behind it."""
    channels = channels or rng.randint(1, 8)
    return Position(position.kind, {**position.arguments, "out_channels": position.channels,
                                    "project_pos_dim": channels}, channels)


def random_attention_mask(rng, generator, batch, length, latents, integral):
    """[batch, length] or, now and then, [batch, latents, length]; some rows hide everything."""
    shape = (batch, length) if rng.random() < 0.8 else (batch, latents, length)
    mask = torch.rand(shape, generator=generator) < rng.choice((0.3, 0.7, 0.9))
    if rng.random() < 0.3:
        mask[rng.randrange(batch)] = False
    kinds = [torch.int64, torch.int64, torch.bool, torch.int32]
    if not integral:
        kinds.append(torch.float32)
    return mask.to(rng.choice(kinds))


def random_head_mask(rng, generator, core, integral):
    """[heads], or a row for each layer; rows beyond those of a block are never read."""
    heads, layers = core["num_self_attention_heads"], core["num_self_attends_per_block"]
    rows = rng.choice((layers, layers * core["num_blocks"]))
    shape = (heads,) if rng.random() < 0.4 else (rows, heads)
    if integral or rng.random() < 0.3:
        mask = torch.rand(shape, generator=generator) < 0.7
        return mask.to(rng.choice((torch.int64, torch.bool)))
    return torch.rand(shape, generator=generator).round(decimals=2)
