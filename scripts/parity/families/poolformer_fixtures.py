"""What is stored under test/fixtures/poolformer: small cases, published shapes, golden values."""

import torch
import transformers
from transformers import PoolFormerConfig

from parity.families.fixtures import GAPS, labels_of, row
from parity.parameters import fill

MODEL, HEAD = "PoolFormerModel", "PoolFormerForImageClassification"

SMALL = {"hidden_sizes": [4, 7], "depths": [1, 2], "num_encoder_blocks": 2, "patch_sizes": [3, 3],
         "strides": [2, 2], "padding": [1, 1], "mlp_ratio": 1.7}

# name: (class, config, options, kind of labels)
CASES = {
    "model": (MODEL, {"pool_size": 5}, {"output_hidden_states": True,
                                        "gradients": "last_hidden_state"}, None),
    "model_long_lists": (
        MODEL, {"hidden_sizes": [4, 7, 9], "depths": [1, 1, 5], "strides": [3, 2, 2],
                "padding": [1, 0, 1], "patch_sizes": [4, 2, 3], "use_layer_scale": False},
        {"gradients": "last_hidden_state"}, None),
    "head_single_label": (
        HEAD, {**GAPS, "problem_type": "single_label_classification"},
        {"output_hidden_states": True, "gradients": "loss"}, "single"),
    "head_regression": (
        HEAD, {"num_labels": 1, "hidden_act": "quick_gelu", "pool_size": 1},
        {"output_hidden_states": True, "gradients": "loss"}, "regression"),
    "head_multi_label": (
        HEAD, {"num_labels": 4, "hidden_act": "gelu_new", "use_layer_scale": False,
               "num_channels": 1},
        {"output_hidden_states": True, "gradients": "loss"}, "multi"),
    "head_train": (
        HEAD, {"num_labels": 3, "drop_path_rate": 0.6},
        {"output_hidden_states": True, "gradients": "logits", "train_mode": True, "seed": 5}, None),
}

S_SIZES, M_SIZES = [64, 128, 320, 512], [96, 192, 384, 768]
# name: (depths, hidden sizes, initial layer scale, parameters)
PUBLISHED = {
    "s12": ([2, 2, 6, 2], S_SIZES, 1e-5, 11_915_176),
    "s24": ([4, 4, 12, 4], S_SIZES, 1e-5, 21_388_968),
    "s36": ([6, 6, 18, 6], S_SIZES, 1e-6, 30_862_760),
    "m36": ([6, 6, 18, 6], M_SIZES, 1e-6, 56_172_520),
    "m48": ([8, 8, 24, 8], M_SIZES, 1e-6, 73_473_448),
}


class PoolFormerFixtures:
    stored_cases = tuple(CASES)

    def stored_case(self, name, case, generator):
        """Fills in `case` and returns the model to be saved."""
        class_name, config, options, labels = CASES[name]
        case.class_name = case.saved_class = class_name
        config = PoolFormerConfig(**{**SMALL, **config})
        model = getattr(transformers, class_name)(config)
        fill(model, generator)
        for key, value in options.items():
            setattr(case.options, key, value)
        case.inputs["pixel_values"] = torch.randn((2, config.num_channels, 11, 14),
                                                  generator=generator)
        case.inputs.update(labels_of(labels, 2, generator))
        return model

    def manifests(self):
        return [{
            "name": name,
            "class": HEAD,
            "config_class": "PoolFormerConfig",
            "checkpoints": [f"sail/poolformer_{name}"],
            "config": {"depths": depths, "hidden_sizes": sizes, "layer_scale_init_value": scale},
            "num_labels": 1000,
            "parameters": parameters,
        } for name, (depths, sizes, scale, parameters) in PUBLISHED.items()]

    def golden_config(self, golden, case):
        return PoolFormerConfig(**{**golden["config"], **case.get("config", {})})

    def golden(self):
        """Rows of an independent run of the 4.37 source on torch 1.13, in float64."""
        rows = [
            row("logits", first=[0.1115132, 1.911531, -0.6098073, -0.1262565, -0.8801629]),
            row("hidden_states.0", [2, 8, 11, 9], mean_abs=0.6270955,
                first=[0.4159223, -0.1812818, 0.3494177], last=[-1.33236, -1.116251]),
            row("hidden_states.1", [2, 16, 6, 5], mean_abs=0.4010812,
                first=[-0.2378559, -0.3233191, -0.0385563]),
            row("hidden_states.2", [2, 24, 3, 3], mean_abs=0.3781939,
                first=[0.6618718, 0.1742155, 0.5693022]),
            row("hidden_states.3", [2, 32, 2, 2], mean_abs=0.4249373,
                first=[0.1815324, 0.1241564, 0.1865251], last=[-0.148872, -0.1518285]),
        ]
        without_scale = [
            row("logits", first=[-0.08479217, 0.8255372, -1.1129, -0.06036306, -0.5295556]),
            row("hidden_states.3", first=[-0.09690037, -0.1234702, 0.1146809],
                last=[-1.068914, -0.9644047]),
        ]
        return {
            "input_shape": [2, 3, 45, 38],
            "config": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_labels": 5},
            "tolerance": 2e-5,
            "cases": [
                {"class": HEAD, "rows": rows},
                {"class": HEAD, "config": {"use_layer_scale": False}, "rows": without_scale},
            ],
        }
