"""Builds Transformers' Perceiver components from the JSON object of `--model-args`.

    {"input_preprocessor": {"class": "PerceiverImagePreprocessor", "args": {...}},
     "decoder": {...}, "output_postprocessor": {...}}

`args` are the constructor's keyword arguments but `config`; `modalities` holds components by name.
"""

import math
from contextlib import contextmanager
from functools import partial
from unittest import mock

from torch import nn
from transformers.models.perceiver import modeling_perceiver

PARTS = ("input_preprocessor", "decoder", "output_postprocessor")
WITHOUT_CONFIG = ("PerceiverMultimodalPreprocessor", "PerceiverMultimodalPostprocessor",
                  "PerceiverProjectionPostprocessor")


class ProjectionDecoder(modeling_perceiver.PerceiverProjectionDecoder):
    """4.37.2's cannot be constructed, for it lacks a property of its base class, and PerceiverModel
    neither calls nor reads it as it is written. Its computation is called here by itself."""

    num_query_channels = None

    def forward(self, query, z, query_mask=None, output_attentions=False):
        return modeling_perceiver.PerceiverDecoderOutput(logits=super().forward(query, z))


class VideoDecoder(modeling_perceiver.PerceiverBasicVideoAutoencodingDecoder):
    """4.37.2's forward lacks an argument that PerceiverModel passes: it can build queries only."""

    def forward(self, query, z, query_mask=None, output_attentions=False):
        inner = partial(self.decoder.forward, output_attentions=output_attentions)
        with mock.patch.object(self.decoder, "forward", inner):
            return super().forward(query, z)


REPAIRED = {"PerceiverProjectionDecoder": ProjectionDecoder,
            "PerceiverBasicVideoAutoencodingDecoder": VideoDecoder}


def names_components(model_args):
    return any(part in model_args for part in PARTS)


def build_component(config, description):
    """A module from {"class", "args"}, None from None."""
    if description is None:
        return None
    name, arguments = description["class"], dict(description.get("args", {}))
    if "modalities" in arguments:
        arguments["modalities"] = {
            modality: build_component(config, inner)
            for modality, inner in arguments["modalities"].items()}
    component = REPAIRED.get(name) or getattr(modeling_perceiver, name)
    return component(**arguments) if name in WITHOUT_CONFIG else component(config, **arguments)


def build_components(config, model_args):
    """The keyword arguments of PerceiverModel's constructor but `config`."""
    return {part: build_component(config, model_args.get(part)) for part in PARTS}


@contextmanager
def resized_positions():
    """4.37.2's trainable positions of pictures are for one size; here they are resized to another
    as 5.17 does when it is told `interpolate_pos_encoding`."""
    kind = modeling_perceiver.PerceiverImagePreprocessor
    original = kind._build_network_inputs

    def build(self, inputs, network_input_is_1d=True):
        encoding, sizes = self.position_embeddings, tuple(inputs.shape[1:3])
        table = encoding.position_embeddings
        side = math.isqrt(len(table))

        def forward(batch_size):
            if sizes == (side, side):
                return table.expand(batch_size, -1, -1)
            # [N, C] -> [1, C, side, side]
            square = table.T.unflatten(1, (side, side)).unsqueeze(0)
            resized = nn.functional.interpolate(square, size=sizes, mode="bicubic")
            return resized.flatten(2).mT.expand(batch_size, -1, -1)

        with mock.patch.object(encoding, "forward", forward):
            return original(self, inputs, network_input_is_1d)

    with mock.patch.object(kind, "_build_network_inputs", build):
        yield
