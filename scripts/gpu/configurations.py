"""A small random configuration and input for every model type of the registry.

Each function takes a random.Random and returns (config, {input: tensor maker}); a tensor maker
takes a torch.Generator. A new family adds its function to CONFIGURATIONS: without one the GPU check
fails. Keep away from activations with kinks (relu, hardswish): where rounding decides the side, two
right programs have gradients that differ.
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


CONFIGURATIONS = {"convnext": convnext, "dinat": dinat, "dinov2": dinov2, "levit": levit,
                  "nat": nat, "owlv2": owlv2, "owlv2_text_model": owlv2_text,
                  "owlv2_vision_model": owlv2_vision, "poolformer": poolformer}


def gain(model_type, name):
    """What a random parameter is multiplied with. LeViT's hard-swish has kinks at -3 and 3: its
    inputs, which come out of batch norms, stay well inside."""
    return 0.2 if model_type == "levit" and ".batch_norm." in name else 1.0


def random_configuration(model_type, class_name, rng):
    """Raises KeyError for a model type without an entry."""
    config, inputs = CONFIGURATIONS[model_type](rng)
    return {"architectures": [class_name], "model_type": model_type, **config}, inputs
