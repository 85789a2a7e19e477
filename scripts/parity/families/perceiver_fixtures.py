"""What is stored under test/fixtures/perceiver: small cases and published shapes.

Most heads have fixed widths of several hundred channels: their cases would be large, so they have
golden values instead (perceiver_golden.py), and assemblies of the same components at small widths
are stored.
"""

import torch
import transformers
from transformers import PerceiverConfig

from parity.components import build_components
from parity.families.fixtures import labels_of
from parity.families.perceiver_golden import PerceiverGolden
from parity.families.perceiver_parts import (CONV, FLOW, FOURIER, LEARNED, MASKED_LM, MODEL,
                                             MULTIMODAL, SEQUENCE)
from parity.parameters import fill

SMALL = {"num_latents": 3, "d_latents": 4, "d_model": 5, "num_self_attends_per_block": 1,
         "num_self_attention_heads": 2, "num_cross_attention_heads": 1, "qk_channels": 4,
         "v_channels": 4, "vocab_size": 7, "max_position_embeddings": 5}
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}


def component(name, **arguments):
    return {"class": f"Perceiver{name}", "args": arguments}


def fourier(bands, *resolution, **more):
    return {"position_encoding_type": "fourier", "fourier_position_encoding_kwargs": {
        "num_bands": bands, "max_resolution": list(resolution), **more}}


def table(channels, index_dims):
    return {"position_encoding_type": "trainable", "trainable_position_encoding_kwargs": {
        "num_channels": channels, "index_dims": index_dims}}


FLOW_LIKE = {  # pairs of frames, asked by what was put in
    "input_preprocessor": component(
        "ImagePreprocessor", prep_type="patches", spatial_downsample=1, temporal_downsample=2,
        in_channels=3, conv_after_patching=True, conv_after_patching_in_channels=6, out_channels=4,
        **fourier(2, 3, 4)),
    "decoder": component("OpticalFlowDecoder", num_channels=14, output_image_shape=[3, 4],
                         **fourier(2, 3, 4)),
    "output_postprocessor": component("ProjectionPostprocessor", in_channels=2, out_channels=3),
}
CONV_LIKE = {
    "input_preprocessor": component(
        "ImagePreprocessor", prep_type="conv", in_channels=1, out_channels=3,
        concat_or_add_pos="add", project_pos_dim=3, **table(3, 4)),
    "decoder": component("BasicVideoAutoencodingDecoder", output_shape=[2, 2, 1, 3],
                         output_num_channels=2, num_channels=5, **table(5, [2, 1, 3])),
    "output_postprocessor": component("AudioPostprocessor", in_channels=2),
}
VIDEO = {
    "input_preprocessor": component(
        "ImagePreprocessor", prep_type="pixels", spatial_downsample=2, temporal_downsample=2,
        in_channels=2, **fourier(1, 9, 5, 300, sine_only=True)),
    "decoder": {"class": "PerceiverProjectionDecoder"},
}
SOUND = {  # queries with what was put in
    "input_preprocessor": component("AudioPreprocessor", samples_per_patch=3, **fourier(2, 30720)),
    "decoder": component("BasicDecoder", output_num_channels=3, num_channels=5,
                         concat_preprocessed_input=True, num_heads=2, qk_channels=6, v_channels=2,
                         widening_factor=2, use_query_residual=True, **table(2, 4)),
    "output_postprocessor": component("ClassificationPostprocessor", in_channels=3),
}
QUERIES = {"position_encoding_only": True, "output_num_channels": 3}
EVERY_MODALITY = {
    "input_preprocessor": component(
        "MultimodalPreprocessor", min_padding_size=1,
        mask_probs={"image": 0.4, "label": 1.0, "audio": 0.5},
        modalities={  # masks are drawn in this order
            "audio": component("AudioPreprocessor", samples_per_patch=2, **table(3, 4)),
            "image": component("ImagePreprocessor", prep_type="patches", spatial_downsample=2,
                               in_channels=1, **fourier(1, 2, 3, 4)),
            "label": {"class": "PerceiverOneHotPreprocessor"}}),
    "decoder": component(
        "MultimodalDecoder", num_outputs=None, output_num_channels=4,
        modalities={
            "audio": component("BasicDecoder", output_index_dims=[9], **QUERIES, **fourier(2, 50)),
            "image": component("BasicVideoAutoencodingDecoder", output_shape=[1, 3, 4, 5],
                               **QUERIES, **fourier(1, 3, 4, 5)),
            "label": component("ClassificationDecoder", position_encoding_only=True,
                               **table(2, 1))}),
    "output_postprocessor": component(
        "MultimodalPostprocessor", modalities={
            "label": component("ClassificationPostprocessor", in_channels=4),
            "image": component("ProjectionPostprocessor", in_channels=4, out_channels=3),
            "audio": component("AudioPostprocessor", in_channels=4)}),
}

# name: (class, config, options, components, {input: shape})
CASES = {
    "model": (MODEL, {"num_blocks": 2, "num_self_attends_per_block": 2,
                      "use_query_residual": False},
              {**EVERYTHING, "gradients": "last_hidden_state"}, {}, {"inputs": (2, 6, 5)}),
    "model_flow": (MODEL, {"chunk_size_feed_forward": 3}, {**EVERYTHING, "gradients": "logits"},
                   FLOW_LIKE, {"inputs": (1, 2, 3, 3, 4)}),
    "model_conv_train": (
        MODEL, {"attention_probs_dropout_prob": 0.3, "samples_per_patch": 3},
        {"output_attentions": True, "gradients": "logits", "train_mode": True, "seed": 11},
        CONV_LIKE, {"inputs": (2, 1, 9, 12)}),
    "model_video": (MODEL, {"num_labels": 3}, {"output_hidden_states": True, "gradients": "logits"},
                    VIDEO, {"inputs": (2, 3, 2, 4, 3)}),
    "model_sound": (MODEL, {"num_labels": 3, "cross_attention_widening_factor": 2},
                    {"output_attentions": True, "gradients": "logits"}, SOUND,
                    {"inputs": (2, 12, 1)}),
    "model_multimodal": (
        MODEL, {"num_labels": 3, "samples_per_patch": 2},
        {"output_attentions": True, "gradients": "logits.image", "seed": 4}, EVERY_MODALITY,
        {"inputs.image": (2, 2, 1, 4, 6), "inputs.audio": (2, 8, 1), "inputs.label": (2, 3)}),
    "sequence_train": (
        SEQUENCE, {"num_labels": 3, "attention_probs_dropout_prob": 0.3, "num_blocks": 2},
        {"output_attentions": True, "gradients": "loss", "train_mode": True, "seed": 7}, {},
        {"inputs": (3, 5)}),
}
LABELS = {"sequence_train": "single"}

VISION = {"num_latents": 512, "d_latents": 1024, "num_blocks": 8, "num_self_attends_per_block": 6,
          "num_self_attention_heads": 8, "num_cross_attention_heads": 1}
ONE_BLOCK = {"num_blocks": 1, "num_cross_attention_heads": 1}
# checkpoint: (class, config, number of labels, parameters)
PUBLISHED = {
    "language-perceiver": (MASKED_LM, {"qk_channels": 256, "v_channels": 1280}, 2, 201_108_230),
    "vision-perceiver-learned": (LEARNED, {**VISION, "d_model": 512, "image_size": 224}, 1000,
                                 62_255_848),
    "vision-perceiver-fourier": (FOURIER, {**VISION, "d_model": 261}, 1000, 48_440_627),
    "vision-perceiver-conv": (CONV, {**VISION, "d_model": 322}, 1000, 48_646_522),
    "optical-flow-perceiver": (
        FLOW, {**ONE_BLOCK, "num_latents": 2048, "d_latents": 512, "d_model": 322,
               "num_self_attends_per_block": 24, "num_self_attention_heads": 16}, 2, 41_057_134),
    "multimodal-perceiver": (
        MULTIMODAL, {**ONE_BLOCK, "num_latents": 784, "d_latents": 512, "d_model": 704,
                     "num_self_attends_per_block": 8, "num_self_attention_heads": 8}, 700,
        19_858_855),
}


class PerceiverFixtures(PerceiverGolden):
    stored_cases = tuple(CASES)

    def stored_case(self, name, case, generator):
        """Fills in `case` and returns the model to be saved."""
        case.class_name, config, options, model_args, shapes = CASES[name]
        case.saved_class = case.class_name
        config = PerceiverConfig(**{**SMALL, **config})
        model = getattr(transformers, case.class_name)(
            config, **(build_components(config, model_args) if model_args else {}))
        fill(model, generator)
        for key, value in options.items():
            setattr(case.options, key, value)
        case.options.model_args = model_args
        for key, shape in shapes.items():
            case.inputs[key] = torch.randint(0, config.vocab_size, shape, generator=generator) \
                if case.class_name == SEQUENCE else torch.randn(shape, generator=generator)
        batch = next(iter(shapes.values()))[0]
        if name == "model":
            # One row sees nothing; the second block has the head mask of the first.
            case.inputs["attention_mask"] = torch.tensor([[1, 1, 0, 1, 0, 0], [0] * 6])
            case.inputs["head_mask"] = torch.tensor(
                [[1.0, 0.0], [0.3, 1.0], [0.0, 0.0], [0.5, 0.5]])
        if name == "model_multimodal":
            case.inputs["subsampled_output_points.image"] = torch.tensor([59, 0, 7, 7])
            case.inputs["subsampled_output_points.audio"] = torch.tensor([8, 3])
        case.inputs.update(labels_of(LABELS.get(name), batch, generator))
        return model

    def manifests(self):
        return [{"name": name, "class": class_name, "config_class": "PerceiverConfig",
                 "checkpoints": [f"deepmind/{name}"], "config": config, "num_labels": labels,
                 "parameters": parameters}
                for name, (class_name, config, labels, parameters) in PUBLISHED.items()]
