"""A small random configuration and input for every model type of the registry.

Each function takes a random.Random (and the class name where classes have inputs of their own, see
PER_CLASS) and returns (config, {input: tensor maker}); a tensor maker takes a torch.Generator. A new
family adds its function to CONFIGURATIONS: without one the GPU check fails. Keep away from
activations with kinks (relu, hardswish): where rounding decides the side, two right programs have
gradients that differ.
"""

import torch

ACTIVATIONS = ("gelu", "silu", "gelu_new", "tanh")


def pixels(batch, channels, height, width):
    def make(generator):
        return torch.randn((batch, channels, height, width), generator=generator)

    return {"pixel_values": make}


def labels(rng):
    """An image classifier's labels; the other classes ignore them."""
    count = rng.randint(2, 9)
    return {"id2label": {str(i): f"label {i}" for i in range(count)},
            "label2id": {f"label {i}": i for i in range(count)}}


def convnext(rng):
    stages = rng.choice((2, 3))
    patch = rng.choice((2, 4))
    config = {"patch_size": patch, "num_stages": stages,
              "hidden_sizes": [rng.choice((12, 16, 24, 40)) for _ in range(stages)],
              "depths": [rng.randint(1, 2) for _ in range(stages)],
              "hidden_act": rng.choice(ACTIVATIONS), "num_channels": rng.choice((1, 3)),
              "layer_scale_init_value": rng.choice((0.1, 1.0)), **labels(rng)}
    config["out_features"] = [f"stage{index}" for index in range(1, stages + 1)]
    side = patch * 2 ** (stages - 1)
    sizes = [side * rng.randint(2, 6) + rng.randint(0, patch - 1) for _ in range(2)]
    return config, pixels(rng.randint(1, 3), config["num_channels"], *sizes)


def neighborhood(rng, dilated):
    """Windows that fit, that need padding and that take in all tokens; heads of 8, 16 and 32."""
    kernel, head_dim = rng.choice((3, 5, 7)), rng.choice((8, 16, 32))
    depths = [rng.randint(1, 2) for _ in range(2)]
    heads = rng.randint(1, 2)
    config = {"embed_dim": heads * head_dim, "num_heads": [heads, 2 * heads], "depths": depths,
              "kernel_size": kernel, "mlp_ratio": rng.choice((1.5, 2.0)),
              "qkv_bias": rng.random() < 0.7, "hidden_act": rng.choice(ACTIVATIONS),
              "layer_scale_init_value": rng.choice((0.0, 0.1)), "num_channels": 3, **labels(rng)}
    config["out_features"] = ["stem", "stage1", "stage2"]
    if dilated:
        config["dilations"] = [[rng.randint(1, 3) for _ in range(depth)] for depth in depths]
    sizes = [4 * (kernel + rng.randint(-1, 2 * kernel)) - rng.randint(0, 3) for _ in range(2)]
    return config, pixels(rng.randint(1, 2), 3, *sizes)


def nat(rng):
    return neighborhood(rng, dilated=False)


def dinat(rng):
    return neighborhood(rng, dilated=True)


def poolformer(rng):
    """Windows of 3, 5 and 7 pixels on maps of odd and even sides, some smaller than the window."""
    stages = rng.choice((2, 3))
    config = {"num_encoder_blocks": stages, "pool_size": rng.choice((3, 3, 5, 7)),
              "hidden_sizes": [rng.choice((12, 16, 24, 40)) for _ in range(stages)],
              "depths": [rng.randint(1, 2) for _ in range(stages)],
              "patch_sizes": [7] + [3] * (stages - 1), "strides": [4] + [2] * (stages - 1),
              "padding": [2] + [1] * (stages - 1), "mlp_ratio": rng.choice((1.5, 2.0)),
              "hidden_act": rng.choice(ACTIVATIONS), "num_channels": rng.choice((1, 3)),
              "use_layer_scale": rng.random() < 0.6, **labels(rng)}
    sizes = [rng.randint(8, 60) for _ in range(2)]
    return config, pixels(rng.randint(1, 3), config["num_channels"], *sizes)


def levit(rng):
    """All three stages on grids of 2 x 2 to 5 x 5 tokens."""
    grid = rng.randint(2, 5)
    config = {"image_size": 16 * grid, "num_channels": rng.choice((1, 3)),
              "hidden_sizes": [rng.choice((64, 72, 96)) for _ in range(3)],
              "num_attention_heads": [rng.randint(1, 3) for _ in range(3)],
              "depths": [rng.randint(1, 2) for _ in range(3)],
              "key_dim": [rng.choice((8, 16)) for _ in range(3)],
              "attention_ratio": [rng.randint(1, 2) for _ in range(3)],
              "mlp_ratio": [rng.choice((0, 2)) for _ in range(3)], **labels(rng)}
    return config, pixels(rng.randint(2, 3), config["num_channels"], 16 * grid, 16 * grid)


def dinov2(rng):
    """Plain and gated MLP; positions as they are and interpolated; heads of 8, 16 and 32."""
    heads, patch = rng.randint(1, 3), rng.choice((4, 7))
    layers = rng.randint(1, 3)
    side = patch * rng.randint(2, 5)
    config = {"hidden_size": heads * rng.choice((8, 16, 32)), "num_attention_heads": heads,
              "num_hidden_layers": layers, "mlp_ratio": rng.choice((2, 4)),
              "hidden_act": rng.choice(ACTIVATIONS), "use_swiglu_ffn": rng.random() < 0.4,
              "image_size": side, "patch_size": patch, "qkv_bias": rng.random() < 0.7,
              "num_channels": 3, **labels(rng)}
    config["out_features"] = ["stem", f"stage{layers}"]
    sizes = [side, side]
    if rng.random() < 0.7:
        sizes = [patch * rng.randint(1, 7) + rng.randint(0, patch - 1) for _ in range(2)]
    return config, pixels(rng.randint(1, 2), 3, *sizes)


def owlv2_tower(rng):
    """Heads of 8, 16 and 32."""
    heads = rng.randint(1, 3)
    return {"hidden_size": heads * rng.choice((8, 16, 32)), "num_attention_heads": heads,
            "intermediate_size": rng.randint(16, 96), "num_hidden_layers": rng.randint(1, 3),
            "hidden_act": rng.choice(("quick_gelu", *ACTIVATIONS))}


def owlv2_text(rng):
    length = rng.randint(3, 16)
    config = {"vocab_size": rng.randint(20, 99), "max_position_embeddings": length,
              **owlv2_tower(rng)}
    return config, owlv2_texts(config, rng.randint(1, 4), rng.randint(2, length))


def owlv2_texts(config, count, length):
    """Rows of ids, the last of them padding."""
    def ids(generator):
        drawn = torch.randint(1, config["vocab_size"], (count, length), generator=generator)
        drawn[-1, length // 2:] = 0
        return drawn

    def mask(_):
        ones = torch.ones((count, length), dtype=torch.int64)
        ones[-1, length // 2:] = 0
        return ones

    return {"input_ids": ids, "attention_mask": mask}


def owlv2_vision(rng):
    patch = rng.choice((4, 7))
    side = patch * rng.randint(2, 6)
    config = {"image_size": side, "patch_size": patch, "num_channels": 3, **owlv2_tower(rng)}
    return config, pixels(rng.randint(1, 2), 3, side, side)


def owlv2(rng):
    """Both towers in a space that serves the detector; one text for each image."""
    (text, _), (vision, images) = owlv2_text(rng), owlv2_vision(rng)
    count = images["pixel_values"](torch.Generator()).shape[0]
    config = {"text_config": text, "vision_config": vision, "projection_dim": text["hidden_size"]}
    return config, {**images, **owlv2_texts(text, count, text["max_position_embeddings"])}


def perceiver(rng, class_name):
    """Heads of 8, 16 and 32 channels; what a class fixes keeps its width."""
    heads = rng.randint(1, 3)
    channels = heads * rng.choice((8, 16, 32))
    config = {"num_latents": rng.randint(3, 20), "d_latents": channels, "d_model": 24,
              "num_blocks": rng.randint(1, 2), "num_self_attends_per_block": rng.randint(1, 2),
              "num_self_attention_heads": heads, "num_cross_attention_heads": heads,
              "qk_channels": channels, "v_channels": channels,
              "self_attention_widening_factor": rng.randint(1, 2), "vocab_size": 40,
              "max_position_embeddings": 20, "image_size": rng.randint(3, 8),
              "train_size": [rng.randint(3, 8), rng.randint(3, 8)], "num_frames": 2,
              "audio_samples_per_frame": 32, "samples_per_patch": 4, "output_shape": [1, 2, 9, 7],
              "output_num_channels": 16, "_label_trainable_num_channels": 12,
              "hidden_act": rng.choice(ACTIVATIONS), **labels(rng)}
    return config, perceiver_inputs(config, class_name, rng.randint(1, 2), rng)


def perceiver_inputs(config, class_name, batch, rng):
    """The convolution's ReLU and pooling have kinks; on maps this small rounding meets none."""
    def real(*shape):
        return lambda generator: torch.randn((batch, *shape), generator=generator)

    def integers(limit, *shape):
        return lambda generator: torch.randint(0, limit, shape, generator=generator)

    kind = class_name.removeprefix("Perceiver")
    if kind in ("ForMaskedLM", "ForSequenceClassification"):
        ids = integers(config["vocab_size"], batch, rng.randint(2, 20))
        return {"input_ids": ids}
    if kind == "ForOpticalFlow":
        return {"inputs": real(2, 27, *config["train_size"])}
    if kind == "ForMultimodalAutoencoding":
        return {"inputs.image": real(2, 3, 8, 12), "inputs.audio": real(64, 1),
                "inputs.label": real(len(config["id2label"])),
                "subsampled_output_points.image": integers(2 * 9 * 7, 30),
                "subsampled_output_points.audio": integers(64 // 4, 6)}
    side = config["image_size"]
    sizes = {"ForImageClassificationLearned": [side, side],
             "ForImageClassificationFourier": [rng.randint(2, 9), rng.randint(2, 9)],
             "ForImageClassificationConvProcessing": [rng.randint(9, 20), rng.randint(9, 20)]}
    if kind in sizes:
        return {"pixel_values": real(3, *sizes[kind])}
    return {"inputs": real(rng.randint(2, 30), config["d_model"])}  # PerceiverModel


CONFIGURATIONS = {"convnext": convnext, "dinat": dinat, "dinov2": dinov2, "levit": levit,
                  "nat": nat, "owlv2": owlv2, "owlv2_text_model": owlv2_text,
                  "owlv2_vision_model": owlv2_vision, "perceiver": perceiver,
                  "poolformer": poolformer}
PER_CLASS = ("perceiver",)  # inputs depend on the class


def gain(model_type, name):
    """What a random parameter is multiplied with. LeViT's hard-swish has kinks at -3 and 3: its
    inputs, which come out of batch norms, stay well inside."""
    return 0.2 if model_type == "levit" and ".batch_norm." in name else 1.0


def random_configuration(model_type, class_name, rng):
    """Raises KeyError for a model type without an entry."""
    arguments = (rng, class_name) if model_type in PER_CLASS else (rng,)
    config, inputs = CONFIGURATIONS[model_type](*arguments)
    return {"architectures": [class_name], "model_type": model_type, **config}, inputs
