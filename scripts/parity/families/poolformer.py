"""Random PoolFormer cases: model and classification head."""

import torch
import transformers
from transformers import PoolFormerConfig
from transformers.activations import ACT2CLS

from parity.families.classifier import ClassifierFamily, is_classifier
from parity.families.poolformer_fixtures import HEAD, MODEL, PoolFormerFixtures
from parity.families.poolformer_processor import PoolFormerProcessor
from parity.parameters import fill

MAX_ACTIVATIONS = 60_000  # of the hidden layers of all MLPs; keeps a case below a second
LISTS = ("depths", "hidden_sizes", "patch_sizes", "strides", "padding")


class PoolFormer(PoolFormerFixtures, ClassifierFamily):
    name = "poolformer"
    classes = (MODEL, HEAD)
    processor = PoolFormerProcessor()
    faults = {"norms": ("PoolFormerGroupNorm",), "activations": {"PoolFormerOutput": "act_fn"}}

    def random_case(self, case, rng, generator):
        case.saved_class = self.saved_class(case.class_name, rng)
        config, batch, sides = self._random_size({case.class_name, case.saved_class}, rng)
        model = getattr(transformers, case.saved_class)(config)
        stem_gain, block_gain = rng.choice((1.0, 0.02)), rng.choice((1.0, 1.0, 0.01))

        def gains(name):
            # Small variances before a norm make its epsilon visible.
            if "patch_embeddings" in name:
                return stem_gain
            return block_gain if "conv2" in name else 1.0

        fill(model, generator, gains)
        self.choose_saving(case, rng)
        scale = rng.choice((0.3, 1.0, 2.0))
        case.inputs["pixel_values"] = scale * torch.randn(
            (batch, config.num_channels, *sides), generator=generator)
        self.choose_options(case, config, rng, generator)
        return model

    def _random_size(self, classes, rng):
        """A configuration and an image size that together cost little."""
        while True:
            config = self.random_config(classes, rng)
            batch = rng.randint(1, 3)
            least = self._least_size(config)
            stride = 1
            for index in range(config.num_encoder_blocks):
                stride *= config.strides[index]
            sides = [least + rng.choice((0, rng.randint(0, stride), rng.randint(0, 4 * stride)))
                     for _ in range(2)]
            if self._activations(config, batch, sides) <= MAX_ACTIVATIONS:
                return config, batch, sides

    def random_config(self, classes, rng):
        blocks = rng.choice((1, 2, 2, 3, 3, 4))
        arguments = {
            "num_channels": rng.choice((1, 2, 3, 3, 4)),
            "patch_size": rng.choice((16, 7)),  # not used, like the next
            "stride": rng.choice((16, 3)),
            "pool_size": rng.choice((1, 3, 3, 5, 7)),
            "mlp_ratio": rng.choice((4.0, 2, 1, 1.7, 2.3, 0.6, 1 / 3)),
            "num_encoder_blocks": blocks,
            "depths": [rng.randint(1, 3 if blocks < 3 else 2) for _ in range(blocks)],
            "hidden_sizes": [rng.randint(6, 40) for _ in range(blocks)],
            "patch_sizes": [rng.choice((1, 2, 3, 3, 4, 7)) for _ in range(blocks)],
            "strides": [rng.choice((1, 2, 2, 3, 4)) for _ in range(blocks)],
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "use_layer_scale": rng.random() < 0.6,
            "layer_scale_init_value": rng.choice((1e-5, 1e-6, 0.1, 1, 0, -0.5)),
            "drop_path_rate": rng.choice((0.0, 0.0, 0.1, 0.4, 0.8)),
            "initializer_range": rng.choice((0.02, 0.1)),
        }
        arguments["padding"] = [rng.choice((0, size // 2, rng.randint(0, size)))
                                for size in arguments["patch_sizes"]]
        if rng.random() < 0.1:
            arguments["depths"][rng.randrange(blocks)] = 0
        if rng.random() < 0.15:
            # Entries for no block. A head takes the width of the last one, so it has none there.
            for key in LISTS:
                if key != "hidden_sizes" or not any(map(is_classifier, classes)):
                    arguments[key].append(rng.randint(1, 3))
        if rng.random() < 0.2:
            arguments["output_hidden_states"] = True
        arguments.update(self.random_labels(rng))
        return PoolFormerConfig(**arguments)

    def _least_size(self, config):
        least = 1
        for index in reversed(range(config.num_encoder_blocks)):
            least = (least - 1) * config.strides[index] + config.patch_sizes[index]
            least = max(1, least - 2 * config.padding[index])
        return least

    def _activations(self, config, batch, sides):
        total = 0
        for index in range(config.num_encoder_blocks):
            sides = [(side + 2 * config.padding[index] - config.patch_sizes[index])
                     // config.strides[index] + 1 for side in sides]
            width = config.hidden_sizes[index] * max(1, config.mlp_ratio)
            total += batch * sides[0] * sides[1] * width * max(1, config.depths[index])
        return total

    def stage_count(self, config):
        return config.num_encoder_blocks

    def hidden_state_count(self, config):
        return config.num_encoder_blocks  # none of the stem

    def model_fields(self, case):
        return ["last_hidden_state"]

    def random_overrides(self, config, rng):
        return {
            "pool_size": rng.choice((1, 3, 5)),
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "drop_path_rate": rng.choice((0.0, 0.5)),
            "output_hidden_states": rng.random() < 0.5,
        }
