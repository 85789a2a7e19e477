"""Random cases of NAT and DiNAT, which differ in the dilations only."""

import math

import torch
import transformers
from transformers.activations import ACT2CLS

from parity import natten_standin
from parity.families.classifier import ClassifierFamily, random_out
from parity.families.vit_processor import ViTProcessor
from parity.parameters import fill

natten_standin.install()

# Elements of the gathered keys of all layers, and of all hidden layers: a second for a case.
MAX_GATHERED = 4_000_000
MAX_ACTIVATIONS = 60_000


class NeighborhoodFamily(ClassifierFamily):
    """`dilated`: whether the config has dilations."""

    attentions = True
    dilated = False

    faults = {"norms": ("LayerNorm",),
              "activations": {"NatIntermediate": "intermediate_act_fn",
                              "DinatIntermediate": "intermediate_act_fn"}}

    def __init__(self):
        self.processor = ViTProcessor(self.name)

    @property
    def config_class(self):
        return getattr(transformers, self.prefix + "Config")

    def random_case(self, case, rng, generator):
        case.saved_class = self.saved_class(case.class_name, rng)
        config, batch, sides = self._random_size({case.class_name, case.saved_class}, rng)
        model = getattr(transformers, case.saved_class)(config)
        stem_gain, layer_gain = rng.choice((1.0, 0.02)), rng.choice((1.0, 1.0, 0.05))

        def gains(name):
            # Small variances before a norm make its epsilon visible.
            if "patch_embeddings" in name or "reduction" in name:
                return stem_gain
            return layer_gain if "output.dense" in name else 1.0

        fill(model, generator, gains)
        self.choose_saving(case, rng)
        scale = rng.choice((0.3, 1.0, 2.0))
        case.inputs["pixel_values"] = scale * torch.randn(
            (batch, config.num_channels, *sides), generator=generator)
        if case.class_name == self.classes[0] and rng.random() < 0.3:
            case.options.model_args = {"add_pooling_layer": rng.random() < 0.2}
        self.choose_options(case, config, rng, generator)
        return model

    def _random_size(self, classes, rng):
        """A configuration and an image size that together cost little."""
        while True:
            config = self.random_config(classes, rng)
            batch = rng.choice((1, 1, 2, 3))
            sides = [self._random_side(config, rng) for _ in range(2)]
            if self._cost(config, batch, sides):
                return config, batch, sides

    def _random_side(self, config, rng):
        """Grids of the first stage below, at and above the window."""
        window = config.kernel_size * rng.choice(self._dilations(config)[0])
        grid = rng.choice((rng.randint(1, 4), rng.randint(1, window),
                           window + rng.choice((0, 0, 1, rng.randint(0, window + 3)))))
        return 4 * grid - rng.randint(0, 3)

    def _cost(self, config, batch, sides):
        """Whether the case is cheap."""
        grid = [math.ceil(math.ceil(side / 2) / 2) for side in sides]
        gathered = activations = 0
        for stage, depth in enumerate(config.depths):
            width = config.embed_dim * 2**stage
            for dilation in self._dilations(config)[stage][:depth]:
                window = config.kernel_size * dilation
                tokens = math.prod(max(side, window) for side in grid)
                gathered += batch * tokens * config.kernel_size**2 * width
                activations += batch * math.prod(grid) * config.mlp_ratio * width
            grid = [math.ceil(side / 2) for side in grid]
        return gathered <= MAX_GATHERED and activations <= MAX_ACTIVATIONS

    def _dilations(self, config):
        if self.dilated:
            return config.dilations
        return [[1] * max(depth, 1) for depth in config.depths]

    def random_config(self, classes, rng):
        stages = rng.choice((1, 2, 2, 3, 3, 4))
        embed = rng.choice((4, 5, 6, 8, 8, 12, 16, 24) if stages < 4 else (4, 6, 8))
        depths = [rng.randint(1, 3 if stages < 3 else 2) for _ in range(stages)]
        arguments = {
            "num_channels": rng.choice((1, 2, 3, 3, 4)),
            "embed_dim": embed,
            "depths": depths,
            "num_heads": [rng.choice(divisors(embed * 2**stage, rng)) for stage in range(stages)],
            "kernel_size": rng.choice((3, 3, 3, 5, 5, 7, 7, 9, 11, 13)),
            "mlp_ratio": rng.choice((1, 2, 2.0, 3.0, 1.7, 0.6)),
            "qkv_bias": rng.random() < 0.7,
            "hidden_dropout_prob": rng.choice((0.0, 0.0, 0.1, 0.4)),
            "attention_probs_dropout_prob": rng.choice((0.0, 0.0, 0.1, 0.3)),
            "drop_path_rate": rng.choice((0.0, 0.0, 0.1, 0.4, 0.8)),
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "initializer_range": rng.choice((0.02, 0.1)),
            "layer_norm_eps": rng.choice((1e-5, 1e-5, 1e-6, 1e-12, 1e-3, 0.1)),
            "layer_scale_init_value": rng.choice((0.0, 0, 1e-5, 0.1, 1, -0.5)),
        }
        if rng.random() < 0.06:
            arguments["num_heads"].append(3)  # one for no stage
        if self.dilated:
            arguments["dilations"] = self._random_dilations(depths, rng)
        if rng.random() < 0.2:
            arguments["output_hidden_states"] = True
        if rng.random() < 0.1:
            arguments["output_attentions"] = True
        arguments.update(self.random_labels(rng))
        if self.classes[2] in classes or rng.random() < 0.2:
            arguments.update(random_out(rng, stages))
        return self.config_class(**arguments)

    def _random_dilations(self, depths, rng):
        # More entries than layers are allowed.
        return [[rng.choice((1, 1, 2, 2, 3, rng.randint(1, 8)))
                 for _ in range(depth + (rng.random() < 0.1))] for depth in depths]

    def stage_count(self, config):
        return len(config.depths)

    def model_fields(self, case):
        pooled = case.options.model_args.get("add_pooling_layer", True)
        fields = ["last_hidden_state"] + ["pooler_output"] * pooled
        if case.options.output_hidden_states:
            fields += ["reshaped_hidden_states.0", "reshaped_hidden_states.1"]
        return fields

    def random_overrides(self, config, rng):
        choices = {
            "layer_norm_eps": rng.choice((1e-5, 1e-2)),
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "drop_path_rate": rng.choice((0.0, 0.5)),
            "hidden_dropout_prob": rng.choice((0.0, 0.2)),
            "attention_probs_dropout_prob": rng.choice((0.0, 0.2)),
            "num_hidden_layers": rng.randint(1, 9),  # another name of what is derived
            "output_hidden_states": rng.random() < 0.5,
            "output_attentions": rng.random() < 0.5,
        }
        if self.dilated:
            choices["dilations"] = [[rng.randint(1, 2) for _ in range(depth)]
                                    for depth in config.depths]
        return choices

    def edit_config(self, case, rng, config):
        super().edit_config(case, rng, config)
        if rng.random() < 0.2:
            config["hidden_size"] = 512  # as published files say, whatever the size
        if rng.random() < 0.1:
            config["num_layers"] = 2
        if rng.random() < 0.1:
            config["num_attention_heads"] = [1, 2]  # the constructor's arguments win


def divisors(width, rng):
    """Numbers of heads: mostly those that leave a head 4 or more channels."""
    every = [heads for heads in range(1, width + 1) if width % heads == 0]
    large = [heads for heads in every if width // heads >= 4]
    return every if rng.random() < 0.3 or not large else large
