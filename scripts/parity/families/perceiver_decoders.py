"""Random decoders and postprocessors of PerceiverModel that fit a preprocessor."""

import math
from dataclasses import dataclass, field

import torch

from parity.families.perceiver_parts import fourier, projected, random_attention, trainable

DECODERS = ("basic", "none", "classification", "flow", "video", "projection")
SUBSAMPLED = ("audio", "image", "label")
MAX_QUERIES = 40


@dataclass
class Decoded:
    """A decoder and what comes out of it: [batch, queries, channels] for rank 3."""

    description: dict | None
    queries: int = 0
    channels: int = 0
    rank: int = 0
    points: dict = field(default_factory=dict)  # modality -> flat indices
    sizes: dict = field(default_factory=dict)  # length of each modality, {} if not to be split


def random_decoder(kind, rng, generator, config, prepared):
    """`kind` is one of DECODERS or "multimodal", which needs a multimodal preprocessor."""
    maker = {"basic": basic, "classification": classification, "flow": flow, "video": video,
             "projection": projection, "multimodal": multimodal}.get(kind)
    return maker(rng, generator, config, prepared) if maker else Decoded(None)


def projection(rng, generator, config, prepared):
    return Decoded({"class": "PerceiverProjectionDecoder"}, 0, config["num_labels"], 2)


def random_queries(rng, prepared, fixed=None):
    """(positions, queries, channels, more arguments) of a decoder that makes its own queries.

    Without subsampled points a Fourier encoding takes the channels of the inputs for its grid, so
    there are as many queries as channels; its grid has one axis.
    """
    more = {}
    if fixed is None and prepared.channels <= MAX_QUERIES and rng.random() < 0.35:
        position, queries = fourier(rng, [prepared.channels]), prepared.channels
    else:
        queries = fixed or rng.choice((prepared.length, rng.randint(1, 8)))
        position = trainable(rng, [queries])
    channels = position.channels
    if rng.random() < 0.25:
        position = projected(rng, position)
        channels = position.channels
    if prepared.raw_channels is not None and queries == prepared.length and rng.random() < 0.6:
        more["concat_preprocessed_input"] = True
        channels += prepared.raw_channels
    return position, queries, channels, more


def decoder_arguments(rng, config, prepared, output_channels, fixed=None):
    """(arguments, queries, channels that come out)."""
    position, queries, channels, more = random_queries(rng, prepared, fixed)
    arguments = {**position.arguments, **more, "num_channels": channels,
                 **random_attention(rng, config, channels)}
    if position.kind == "trainable" and rng.random() < 0.3:
        del arguments["position_encoding_type"]  # the default
    if rng.random() < 0.2:
        arguments["final_project"] = False
        output_channels = channels
    return arguments, queries, output_channels


def basic(rng, generator, config, prepared):
    output = rng.randint(1, 6)
    # As many queries as a multimodal input is long can be split again.
    fixed = prepared.length if prepared.sizes and rng.random() < 0.5 else None
    arguments, queries, channels = decoder_arguments(rng, config, prepared, output, fixed)
    arguments["output_num_channels"] = output
    if rng.random() < 0.5:
        arguments["output_index_dims"] = queries
    sizes = prepared.sizes if queries == prepared.length else {}
    return Decoded({"class": "PerceiverBasicDecoder", "args": arguments}, queries, channels, 3,
                   sizes=sizes)


def classification(rng, generator, config, prepared):
    fixed = 1 if rng.random() < 0.6 else None  # the first query is the answer
    arguments, queries, channels = decoder_arguments(rng, config, prepared, config["num_labels"],
                                                     fixed)
    return Decoded({"class": "PerceiverClassificationDecoder", "args": arguments}, queries,
                   channels, 2)


def flow(rng, generator, config, prepared):
    """Its queries are the preprocessed inputs, so its own position encoding is never used."""
    arguments = random_attention(rng, config, prepared.channels)
    arguments["num_channels"] = prepared.channels
    length = prepared.length
    rows = rng.choice([rows for rows in range(1, length + 1) if length % rows == 0])
    arguments["output_image_shape"] = [rows, length // rows]
    style = rng.choice(("none", "fourier", "trainable"))
    if style == "none":
        arguments["position_encoding_type"] = "none"
    else:
        maker = fourier if style == "fourier" else trainable
        arguments.update(maker(rng, [2, 3]).arguments)
    if rng.random() < 0.4:
        arguments["output_num_channels"] = rng.randint(1, 4)
    if rng.random() < 0.5:
        arguments["rescale_factor"] = rng.choice((1.0, 20, 0.5))
    channels = arguments.get("output_num_channels", 2)
    if rng.random() < 0.1:
        arguments["final_project"], channels = False, prepared.channels
    return Decoded({"class": "PerceiverOpticalFlowDecoder", "args": arguments}, length, channels, 4)


def video(rng, generator, config, prepared):
    sizes = [rng.randint(1, 3) for _ in range(3)]
    if prepared.channels <= MAX_QUERIES and rng.random() < 0.3:
        # A Fourier grid is that of the inputs' channels.
        rows = rng.choice([row for row in range(1, 9) if prepared.channels % row == 0])
        sizes = [1, rows, prepared.channels // rows]
        position = fourier(rng, [prepared.channels])
    else:
        position = trainable(rng, sizes)
    if rng.random() < 0.25:
        position = projected(rng, position)
    channels, output = position.channels, rng.randint(1, 4)
    arguments = {"output_shape": [prepared.batch, *sizes], "output_num_channels": output,
                 "num_channels": channels, **position.arguments,
                 **random_attention(rng, config, channels)}
    if rng.random() < 0.2:
        arguments["final_project"], output = False, channels
    return Decoded({"class": "PerceiverBasicVideoAutoencodingDecoder", "args": arguments},
                   math.prod(sizes), output, 5)


def multimodal(rng, generator, config, prepared):
    subsampled = set(SUBSAMPLED) == set(prepared.sizes) and rng.random() < 0.7
    parts, points = {}, {}
    # Lengths as those of the inputs, so that a postprocessor can split the answer.
    split = subsampled or rng.random() < 0.6
    names = list(prepared.sizes)
    if not split and len(names) > 1 and rng.random() < 0.3:
        names = rng.sample(names, len(names) - 1)
    rng.shuffle(names)
    for name in names:
        if subsampled and name != "label":
            parts[name], points[name] = subsampled_part(rng, generator, config)
        else:
            length = prepared.sizes[name] if split else rng.randint(1, 6)
            parts[name] = table_part(rng, config, 1 if subsampled else length)
    arguments = {"modalities": {name: part.description for name, part in parts.items()},
                 "num_outputs": rng.choice((None, 7)), "output_num_channels": rng.randint(1, 6)}
    padding = 2
    if rng.random() < 0.7:
        padding = arguments["min_padding_size"] = rng.randint(0, 3)
    channels = max(part.channels for part in parts.values()) + padding
    arguments.update(random_attention(rng, config, channels))
    output = arguments["output_num_channels"]
    if rng.random() < 0.2:
        arguments["final_project"], output = False, channels
    sizes = {name: part.queries for name, part in parts.items()}
    return Decoded({"class": "PerceiverMultimodalDecoder", "args": arguments},
                   sum(sizes.values()), output, 3, points, sizes if split else {})


def subsampled_part(rng, generator, config):
    """(queries of some points of a grid, their flat indices)."""
    is_video = rng.random() < 0.5
    sizes = [rng.randint(1, 20) for _ in range(3 if is_video else rng.randint(1, 3))]
    position = fourier(rng, sizes)
    if rng.random() < 0.2:
        position = projected(rng, position)
    count = rng.randint(1, 6)
    indices = torch.randint(0, math.prod(sizes), (count,), generator=generator)
    arguments = {**position.arguments, "position_encoding_only": True,
                 "output_num_channels": rng.randint(1, 3)}
    if is_video:
        arguments["output_shape"] = [1, *sizes]
    else:
        arguments["output_index_dims"] = sizes
    name = "PerceiverBasicVideoAutoencodingDecoder" if is_video else "PerceiverBasicDecoder"
    return Decoded({"class": name, "args": arguments}, count, position.channels, 3), indices


def table_part(rng, config, queries):
    """`queries` queries of a table, which subsampled points do not touch."""
    kind = rng.choice(("basic", "classification", "video"))
    position = trainable(rng, [queries])
    if rng.random() < 0.2:
        position = projected(rng, position)
    arguments = {**position.arguments, "position_encoding_only": True}
    if rng.random() < 0.1:  # a decoder of its own, whose attention is never used
        arguments.update(position_encoding_only=False, final_project=False,
                         num_channels=position.channels)
    if kind == "classification":
        name = "PerceiverClassificationDecoder"
    else:
        name = "PerceiverBasicDecoder"
        arguments["output_num_channels"] = rng.randint(1, 3)
        if kind == "video":
            name, arguments["output_shape"] = "PerceiverBasicVideoAutoencodingDecoder", \
                [1, 1, 1, queries]
    return Decoded({"class": name, "args": arguments}, queries, position.channels, 3)


def random_postprocessor(rng, decoded):
    """Description of a postprocessor of what `decoded` gives, None now and then."""
    if decoded.description is None:
        # It is built, and never runs.
        return linear(rng, "projection", 3) if rng.random() < 0.2 else None
    kinds = ["none", "projection", "audio"]
    if decoded.rank == 3:
        kinds += ["classification", "classification"]
    if decoded.sizes:
        kinds += ["multimodal"] * 8
    kind = rng.choice(kinds)
    if kind == "none":
        return None
    if kind != "multimodal":
        return linear(rng, kind, decoded.channels)
    names = list(decoded.sizes)
    rng.shuffle(names)
    if rng.random() < 0.2:
        names = names[:-1] or names
    inner = {name: linear(rng, rng.choice(("projection", "audio", "classification")),
                          decoded.channels) for name in names}
    arguments = {"modalities": inner}
    if rng.random() < 0.2:
        arguments["input_is_dict"] = False  # no decoder of PerceiverModel returns a dict
    return {"class": "PerceiverMultimodalPostprocessor", "args": arguments}


def linear(rng, kind, channels):
    if kind == "projection":
        return {"class": "PerceiverProjectionPostprocessor",
                "args": {"in_channels": channels, "out_channels": rng.randint(1, 4)}}
    if kind == "classification":
        return {"class": "PerceiverClassificationPostprocessor", "args": {"in_channels": channels}}
    more = {"postproc_type": "patches"} if rng.random() < 0.3 else {}
    return {"class": "PerceiverAudioPostprocessor", "args": {"in_channels": channels, **more}}
