"""Random DINOv2 cases: model, classification head, backbone."""

import math

import torch
import transformers
from transformers import Dinov2Config
from transformers.activations import ACT2CLS

from parity.families.bit_processor import BitProcessor
from parity.families.classifier import ClassifierFamily, is_backbone, random_out
from parity.families.dinov2_fixtures import BACKBONE, HEAD, MODEL, Dinov2Fixtures
from parity.parameters import fill
from parity.reference import INTERPOLATION, interpolates_by_size

MAX_ACTIVATIONS = 120_000  # of all MLPs and attention maps; keeps a case below a second


class Dinov2(Dinov2Fixtures, ClassifierFamily):
    """A third of the cases resize positions as Transformers 5.x does, which is their reference."""

    name = "dinov2"
    classes = (MODEL, HEAD, BACKBONE)
    attentions = True
    processor = BitProcessor("dinov2")
    faults = {"norms": ("LayerNorm",), "activations": {"Dinov2MLP": "activation"}}

    def random_case(self, case, rng, generator):
        case.saved_class = self.saved_class(case.class_name, rng)
        style = rng.choice(("default", "offset01", "size"))
        if style != "default":
            case.options.model_args = {INTERPOLATION: style}
        config, batch, sides = self._random_size(case, rng)
        model = getattr(transformers, case.saved_class)(config)
        stem_gain, layer_gain = rng.choice((1.0, 0.02)), rng.choice((1.0, 1.0, 0.05))

        def gains(name):
            # Small variances before a norm make its epsilon visible.
            if "patch_embeddings" in name:
                return stem_gain
            return layer_gain if name.split(".")[-2] in ("dense", "fc2", "weights_out") else 1.0

        fill(model, generator, gains)
        if stem_gain != 1.0:
            for token in (model.get_submodule(self._prefix(case) + "embeddings").parameters()):
                token.data.mul_(stem_gain)
        self.choose_saving(case, rng)
        scale = rng.choice((0.3, 1.0, 2.0))
        case.inputs["pixel_values"] = scale * torch.randn(
            (batch, config.num_channels, *sides), generator=generator)
        self._choose_masks(case, config, rng, generator)
        self.choose_options(case, config, rng, generator)
        return model

    def _prefix(self, case):
        return "dinov2." if case.saved_class == HEAD else ""

    def _choose_masks(self, case, config, rng, generator):
        batch, _, *sides = case.inputs["pixel_values"].shape
        if case.class_name == MODEL and rng.random() < 0.4:
            patches = math.prod(side // config.patch_size for side in sides)
            share = rng.choice((0.0, 0.3, 0.7, 1.0))
            case.inputs["bool_masked_pos"] = torch.rand((batch, patches),
                                                        generator=generator) < share
        # 5.x has no head mask.
        has_mask = not is_backbone(case.class_name) \
            and not interpolates_by_size(case.options.model_args)
        if has_mask and rng.random() < 0.4:
            shape = (config.num_attention_heads,)
            if rng.random() < 0.5:
                shape = (config.num_hidden_layers, *shape)
            mask = torch.rand(shape, generator=generator)
            case.inputs["head_mask"] = mask if rng.random() < 0.5 else (mask < 0.6).float()

    def _random_size(self, case, rng):
        """A configuration and an image size that together cost little."""
        while True:
            config = self.random_config(case, rng)
            batch = rng.choice((1, 1, 2, 3))
            sides = self._random_sides(config, rng)
            if self._activations(config, batch, sides) <= MAX_ACTIVATIONS:
                return config, batch, sides

    def _random_sides(self, config, rng):
        """As many pixels as the positions are for, as many patches in another shape, or others."""
        patch, rest = config.patch_size, config.patch_size - 1
        if isinstance(config.image_size, int) and rng.random() < 0.25:
            side = config.image_size // patch * patch + rng.randint(0, rest)
            other = side if rng.random() < 0.6 else side // patch * patch + rng.randint(0, rest)
            return [side, other]
        height = rng.randint(1, 9) * patch + rng.randint(0, rest)
        if rng.random() < 0.2:
            return [height, height]
        return [height, rng.randint(1, 9) * patch + rng.randint(0, rest)]

    def random_config(self, case, rng):
        by_size = interpolates_by_size(case.options.model_args)
        heads = rng.randint(1, 4)
        layers = rng.randint(1, 4)
        patch = rng.choice((1, 2, 3, 4, 5, 7, 14))
        # 5.x takes whole ratios only, and reals where reals are due.
        ratios = (4, 2, 1) if by_size else (4, 2, 1, 1.7, 0.7, 2.5)
        arguments = {
            "hidden_size": heads * rng.randint(3, 16),
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "mlp_ratio": rng.choice(ratios),
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "hidden_dropout_prob": rng.choice((0.0, 0.0, 0.1, 0.4)),
            "attention_probs_dropout_prob": rng.choice((0.0, 0.0, 0.1, 0.3)),
            "initializer_range": rng.choice((0.02, 0.1)),
            "layer_norm_eps": rng.choice((1e-6, 1e-6, 1e-12, 1e-5, 1e-3, 0.1)),
            "image_size": self._random_image_size(patch, rng),
            "patch_size": patch,
            "num_channels": rng.choice((1, 2, 3, 3, 4)),
            "qkv_bias": rng.random() < 0.7,
            "layerscale_value": rng.choice((1.0, 0.1, 1e-5)),
            # Without effect in 4.37.2; 5.x drops paths in training mode.
            "drop_path_rate": 0.0 if by_size else rng.choice((0.0, 0.0, 0.1, 0.8)),
            "use_swiglu_ffn": rng.random() < 0.4,
            "apply_layernorm": rng.random() < 0.7,
            "reshape_hidden_states": rng.random() < 0.7,
        }
        if rng.random() < 0.2:
            arguments["output_hidden_states"] = True
        if rng.random() < 0.1:
            arguments["output_attentions"] = True
        # 5.x refuses some losses of one label.
        arguments.update(self.random_labels(rng, least=2 if by_size else 1))
        if any(map(is_backbone, (case.class_name, case.saved_class))) or rng.random() < 0.2:
            arguments.update(random_out(rng, layers))
        return Dinov2Config(**arguments)

    def _random_image_size(self, patch, rng):
        side = rng.randint(1, 7) * patch + rng.randint(0, patch - 1)
        if rng.random() < 0.8:
            return side
        if rng.random() < 0.5:
            return [side, side]
        # Patches in one row, as many as a square has: the table counts as that square.
        return [patch, rng.randint(1, 5) ** 2 * patch]

    def _activations(self, config, batch, sides):
        tokens = 1 + math.prod(side // config.patch_size for side in sides)
        width = config.hidden_size * max(1, config.mlp_ratio) * 2
        maps = config.num_attention_heads * tokens
        return batch * tokens * config.num_hidden_layers * (width + maps)

    def stage_count(self, config):
        return config.num_hidden_layers

    def model_fields(self, case):
        return ["last_hidden_state", "pooler_output"]

    def random_overrides(self, config, rng):
        return {
            "layer_norm_eps": rng.choice((1e-5, 1e-2)),
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "hidden_dropout_prob": rng.choice((0.0, 0.2)),
            "attention_probs_dropout_prob": rng.choice((0.0, 0.2)),
            "apply_layernorm": rng.random() < 0.5,
            "reshape_hidden_states": rng.random() < 0.5,
            "output_hidden_states": rng.random() < 0.5,
            "output_attentions": rng.random() < 0.5,
        }

    def edit_config(self, case, rng, config):
        super().edit_config(case, rng, config)
        if interpolates_by_size(case.options.model_args):
            config.pop("stage_names", None)  # 5.x believes a file that is stale
