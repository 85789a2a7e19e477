"""Random ConvNeXT cases: model, classification head, backbone."""

import math

import torch
import transformers
from transformers import ConvNextConfig
from transformers.activations import ACT2CLS

from parity.families.classifier import ClassifierFamily, random_out
from parity.families.convnext_fixtures import BACKBONE, HEAD, MODEL, ConvNextFixtures
from parity.families.convnext_processor import ConvNextProcessor
from parity.parameters import fill

# Pixels x channels of the widest stage; keeps a case below a second.
MAX_ACTIVATIONS = 60_000


class ConvNext(ConvNextFixtures, ClassifierFamily):
    name = "convnext"
    classes = (MODEL, HEAD, BACKBONE)
    processor = ConvNextProcessor()
    faults = {"norms": ("ConvNextLayerNorm",), "activations": {"ConvNextLayer": "act"}}

    def random_case(self, case, rng, generator):
        case.saved_class = self.saved_class(case.class_name, rng)
        config = self.random_config({case.class_name, case.saved_class}, rng)
        model = getattr(transformers, case.saved_class)(config)
        stem_gain, block_gain = rng.choice((1.0, 0.02)), rng.choice((1.0, 1.0, 0.01))

        def gains(name):
            # Small variances before a norm make its epsilon visible.
            if "patch_embeddings" in name:
                return stem_gain
            return block_gain if "dwconv" in name else 1.0

        fill(model, generator, gains)
        self.choose_saving(case, rng)
        self._choose_inputs(case, config, rng, generator)
        self.choose_options(case, config, rng, generator)
        return model

    def random_config(self, classes, rng):
        stages = rng.choice((2, 2, 3, 3, 4, 5))
        arguments = {
            "num_channels": rng.choice((1, 2, 3, 3, 4)),
            "patch_size": rng.choice((1, 2, 3, 4, 4, 5, 7, 8)),
            "num_stages": stages,
            "hidden_sizes": [rng.randint(8, 64) for _ in range(stages)],
            "depths": [rng.randint(1, 3 if stages < 4 else 2) for _ in range(stages)],
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "layer_norm_eps": rng.choice((1e-12, 1e-12, 1e-6, 1e-5, 1e-3, 0.1)),
            "layer_scale_init_value": rng.choice((1e-6, 1e-6, 0.1, 1, 0, 0.0, -0.5)),
            "drop_path_rate": rng.choice((0.0, 0.0, 0.1, 0.4, 0.8)),
            "initializer_range": rng.choice((0.02, 0.1)),
            "image_size": rng.choice((224, 384, 32)),
        }
        if rng.random() < 0.15:
            arguments["hidden_sizes"] = [arguments["hidden_sizes"][0]] * stages
        if BACKBONE not in classes and rng.random() < 0.06:
            # More depths than stages: the stage names and the drop path rates count them all.
            arguments["depths"].append(rng.randint(1, 2))
        if rng.random() < 0.2:
            arguments["output_hidden_states"] = True
        arguments.update(self.random_labels(rng))
        if BACKBONE in classes or rng.random() < 0.2:
            arguments.update(random_out(rng, len(arguments["depths"])))
        return ConvNextConfig(**arguments)

    def _choose_inputs(self, case, config, rng, generator):
        least = config.patch_size * 2 ** (config.num_stages - 1)
        sides = []
        for _ in range(2):
            side = least + rng.choice((0, rng.randint(0, least), rng.randint(0, 3 * least)))
            sides.append(side + rng.randint(0, config.patch_size - 1))
        batch = rng.randint(1, 3)
        while self._activations(batch, sides, config) > MAX_ACTIVATIONS:
            largest = sides.index(max(sides))
            if sides[largest] <= least:
                break
            sides[largest] = max(least, int(0.8 * sides[largest]))
        scale = rng.choice((0.3, 1.0, 2.0))
        case.inputs["pixel_values"] = scale * torch.randn(
            (batch, config.num_channels, *sides), generator=generator)

    def _activations(self, batch, sides, config):
        return batch * math.prod(sides) / config.patch_size**2 * 4 * config.hidden_sizes[0]

    def stage_count(self, config):
        return config.num_stages

    def model_fields(self, case):
        return ["last_hidden_state", "pooler_output"]

    def random_overrides(self, config, rng):
        return {
            "layer_norm_eps": rng.choice((1e-5, 1e-2)),
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "drop_path_rate": rng.choice((0.0, 0.5)),
            "output_hidden_states": rng.random() < 0.5,
        }
