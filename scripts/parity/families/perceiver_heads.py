"""Perceiver's seven heads: what they are made of, random sizes of them and inputs that fit."""

import torch

from parity.families.perceiver_parts import (CONV, FLOW, FOURIER, LEARNED, MASKED_LM, MULTIMODAL,
                                             SEQUENCE)

# Channels of the encoder's inputs where the class fixes them.
FIXED_CHANNELS = {LEARNED: 512, FOURIER: 261, CONV: 322, FLOW: 322}
ALTERNATIVE = {MASKED_LM: "input_ids", SEQUENCE: "input_ids", LEARNED: "pixel_values",
               FOURIER: "pixel_values", CONV: "pixel_values"}  # another name of `inputs`


def random_task(class_name, rng):
    """Config keys of one head, beside the core and the labels."""
    if class_name == MASKED_LM:  # the decoder has 8 heads
        return {"d_model": 8 * rng.randint(1, 3), **random_vocabulary(rng)}
    if class_name == SEQUENCE:
        return {"d_model": rng.randint(4, 20), **random_vocabulary(rng)}
    if class_name == LEARNED:
        return {"image_size": rng.randint(1, 6)}
    if class_name == FLOW:
        return {"train_size": [rng.randint(1, 6), rng.randint(1, 6)]}
    if class_name == MULTIMODAL:
        frames, samples = rng.randint(2, 4), rng.choice((1, 2, 4, 8))
        task = {"image_size": rng.choice((8, 56)), "num_frames": frames,
                "samples_per_patch": samples,
                "audio_samples_per_frame": samples * rng.randint(1, 6),
                "output_shape": [1, *(rng.randint(1, 9) for _ in range(3))],
                "output_num_channels": rng.randint(1, 9),
                "_label_trainable_num_channels": rng.choice((rng.randint(1, 20), 400))}
        if rng.random() < 0.3:  # positions of the published size, of which a few are asked for
            task.update(num_frames=16, samples_per_patch=16, audio_samples_per_frame=1920,
                        output_shape=[1, 16, 224, 224])
        return task
    return {"image_size": rng.choice((56, 224))}


def random_vocabulary(rng):
    return {"vocab_size": rng.randint(6, 60), "max_position_embeddings": rng.randint(2, 12)}


def input_channels(class_name, task, num_labels):
    """Channels of what the encoder attends to."""
    if class_name == MULTIMODAL:
        return max(task["samples_per_patch"] + 385, 243, num_labels) + 4
    return FIXED_CHANNELS.get(class_name) or task["d_model"]


def query_count(class_name, task, points):
    """How many queries the decoder has; `points`: those of a multimodal case."""
    if class_name == MASKED_LM:
        return task["max_position_embeddings"]
    if class_name == FLOW:
        return task["train_size"][0] * task["train_size"][1]
    if class_name == MULTIMODAL:
        return sum(len(indices) for indices in points.values()) + 1
    return 1


def random_inputs(class_name, rng, generator, task, num_labels, batch, resizes=False):
    """({"" or ".<modality>": tensor}, length of the sequence that the encoder attends to).

    `resizes`: the table of positions of `Learned` is resized, so pictures have any size."""
    def real(*shape):
        return torch.randn((batch, *shape), generator=generator)

    if class_name in (MASKED_LM, SEQUENCE):
        length = rng.randint(1, task["max_position_embeddings"])
        ids = torch.randint(0, task["vocab_size"], (batch, length), generator=generator)
        return {"": ids.int() if rng.random() < 0.2 else ids}, length
    if class_name == LEARNED:
        side = task["image_size"]
        sizes = (rng.randint(1, 8), rng.randint(1, 8)) if resizes else (side, side)
        return {"": real(3, *sizes)}, sizes[0] * sizes[1]
    if class_name == FOURIER:
        sizes = rng.randint(1, 9), rng.randint(1, 9)
        return {"": real(3, *sizes)}, sizes[0] * sizes[1]
    if class_name == CONV:
        sizes = rng.randint(5, 20), rng.randint(5, 20)
        grid = [((side - 1) // 2 + 1 - 3) // 2 + 1 for side in sizes]
        return {"": real(3, *sizes)}, grid[0] * grid[1]
    if class_name == FLOW:
        height, width = task["train_size"]
        return {"": real(2, 27, height, width)}, height * width
    # One frame loses its axis, for which upstream has no positions. Sizes need not be the config's.
    frames, height, width = rng.randint(2, 3), rng.randint(1, 3), rng.randint(1, 3)
    patches = rng.randint(1, 12)
    inputs = {".image": real(frames, 3, 4 * height, 4 * width),
              ".audio": real(patches * task["samples_per_patch"], 1), ".label": real(num_labels)}
    return inputs, frames * height * width + patches + 1


def random_points(rng, generator, task):
    """Flat indices of the multimodal decoder's outputs, some of them twice; the label has none."""
    frames, height, width = task["output_shape"][1:]
    audio = task["num_frames"] * task["audio_samples_per_frame"] // task["samples_per_patch"]

    def draw(size):
        if rng.random() < 0.4:  # neighbours, as chunks are
            count = rng.randint(1, min(size, 8))
            start = rng.randint(0, size - count)
            return torch.arange(start, start + count)
        return torch.randint(0, size, (rng.randint(1, 8),), generator=generator)

    return {"image": draw(frames * height * width), "audio": draw(audio)}


def components(class_name, config):
    """The head's PerceiverModel as `--model-args` describes it; `config`: the config keys."""
    def fourier(bands, resolution):
        return {"position_encoding_type": "fourier", "fourier_position_encoding_kwargs": {
            "num_bands": bands, "max_resolution": list(resolution), "concat_pos": True,
            "sine_only": False}}

    def table(channels, index_dims):
        return {"trainable_position_encoding_kwargs": {"num_channels": channels,
                                                       "index_dims": index_dims}}

    latents = config["d_latents"]
    classification = {"class": "PerceiverClassificationDecoder", "args": {
        "num_channels": latents, **table(latents, 1), "use_query_residual": True}}
    if class_name == MASKED_LM:
        width, length = config["d_model"], config["max_position_embeddings"]
        return {"input_preprocessor": {"class": "PerceiverTextPreprocessor"},
                "decoder": {"class": "PerceiverBasicDecoder", "args": {
                    "output_num_channels": latents, "output_index_dims": length,
                    "num_channels": width, "qk_channels": 256, "v_channels": width, "num_heads": 8,
                    "use_query_residual": False, "final_project": False, **table(width, length)}}}
    if class_name == SEQUENCE:
        return {"input_preprocessor": {"class": "PerceiverTextPreprocessor"},
                "decoder": classification}
    images = {
        LEARNED: {"prep_type": "conv1x1", "spatial_downsample": 1, "out_channels": 256,
                  "position_encoding_type": "trainable", "concat_or_add_pos": "concat",
                  "project_pos_dim": 256, **table(256, config["image_size"]**2)},
        FOURIER: {"prep_type": "pixels", "spatial_downsample": 1, **fourier(64, (224, 224))},
        CONV: {"prep_type": "conv", "spatial_downsample": 1, **fourier(64, (56, 56))},
        FLOW: {"prep_type": "patches", "spatial_downsample": 1, "conv_after_patching": True,
               "conv_after_patching_in_channels": 54, "temporal_downsample": 2,
               **fourier(64, config["train_size"])},
    }
    decoder = classification
    if class_name == FLOW:
        decoder = {"class": "PerceiverOpticalFlowDecoder", "args": {
            "num_channels": 322, "output_image_shape": config["train_size"],
            "rescale_factor": 100.0, "use_query_residual": False, "output_num_channels": 2,
            **fourier(64, config["train_size"])}}
    if class_name == MULTIMODAL:
        return multimodal_components(config, fourier, table)
    return {"input_preprocessor": {"class": "PerceiverImagePreprocessor",
                                   "args": images[class_name]}, "decoder": decoder}


def multimodal_components(config, fourier, table):
    samples = config["num_frames"] * config["audio_samples_per_frame"]
    audio = fourier(192, (samples,))
    image = fourier(32, (config["num_frames"], config["image_size"], config["image_size"]))
    channels = config["output_num_channels"]
    queries = {"position_encoding_only": True, "use_query_residual": False,
               "concat_preprocessed_input": False}
    return {
        "input_preprocessor": {"class": "PerceiverMultimodalPreprocessor", "args": {
            "min_padding_size": 4, "mask_probs": {"image": 0.0, "audio": 0.0, "label": 1.0},
            "modalities": {
                "audio": {"class": "PerceiverAudioPreprocessor", "args": {
                    "samples_per_patch": config["samples_per_patch"], "prep_type": "patches",
                    **audio}},
                "image": {"class": "PerceiverImagePreprocessor", "args": {
                    "prep_type": "patches", "spatial_downsample": 4, "temporal_downsample": 1,
                    **image}},
                "label": {"class": "PerceiverOneHotPreprocessor"}}}},
        "decoder": {"class": "PerceiverMultimodalDecoder", "args": {
            "num_outputs": None, "output_num_channels": channels, "use_query_residual": False,
            "modalities": {
                "audio": {"class": "PerceiverBasicDecoder", "args": {
                    "output_index_dims": [samples // config["samples_per_patch"]],
                    "output_num_channels": channels, **queries, **audio}},
                "image": {"class": "PerceiverBasicVideoAutoencodingDecoder", "args": {
                    "output_shape": config["output_shape"], "output_num_channels": channels,
                    **queries, **image}},
                "label": {"class": "PerceiverClassificationDecoder", "args": {
                    "position_encoding_type": "trainable",
                    **table(config["_label_trainable_num_channels"], 1), **queries}}}}},
        "output_postprocessor": {"class": "PerceiverMultimodalPostprocessor", "args": {
            "modalities": {
                "audio": {"class": "PerceiverAudioPostprocessor",
                          "args": {"in_channels": channels}},
                "image": {"class": "PerceiverProjectionPostprocessor",
                          "args": {"in_channels": channels, "out_channels": 3}},
                "label": {"class": "PerceiverClassificationPostprocessor",
                          "args": {"in_channels": channels}}}}},
    }
