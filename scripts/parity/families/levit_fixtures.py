"""What is stored under test/fixtures/levit: small cases, published shapes, golden values."""

import torch
import transformers
from transformers import LevitConfig

from parity.families.fixtures import GAPS, labels_of, row
from parity.parameters import fill

MODEL, HEAD = "LevitModel", "LevitForImageClassification"
TEACHER = "LevitForImageClassificationWithTeacher"

# One stage and its down-sampling layer, on a grid of 2 x 2 tokens.
SMALL = {"image_size": 17, "patch_size": 8, "hidden_sizes": [8, 10], "num_attention_heads": [2],
         "depths": [1], "key_dim": [3], "mlp_ratio": [0], "attention_ratio": [2]}

# Images of 6 x 6 pixels for the same grid.
TINY = {"kernel_size": 2, "stride": 1, "padding": 0, "image_size": 6, "patch_size": 3}

# name: (class, config, options, kind of labels, batch)
CASES = {
    # A grid of 3 x 3 tokens.
    "model": (MODEL, {"image_size": 11, "patch_size": 3, "stride": 1, "padding": 0},
              {"output_hidden_states": True, "gradients": "pooler_output"}, None, 2),
    # Three stages, the last of which has no layer behind it.
    "model_three_stages": (
        MODEL, {**TINY, "hidden_sizes": [8, 9, 11], "num_attention_heads": [1, 2, 3],
                "depths": [0, 0, 1], "key_dim": [4, 2, 3], "mlp_ratio": [1, 0, 0],
                "attention_ratio": [2, 1, 1]},
        {"output_hidden_states": True, "gradients": "hidden_states.1"}, None, 2),
    "head_single_label": (
        HEAD, {**GAPS, **TINY, "problem_type": "single_label_classification"},
        {"output_hidden_states": True, "gradients": "loss"}, "single", 2),
    "head_regression": (HEAD, {"num_labels": 1, "num_channels": 1}, {"gradients": "loss"},
                        "regression", 3),
    "head_multi_label": (HEAD, {**TINY, "num_labels": 4}, {"gradients": "loss"}, "multi", 2),
    "head_train": (
        HEAD, {**TINY, "num_labels": 3, "drop_path_rate": 0.4, "depths": [0],
               "problem_type": "single_label_classification"},
        {"gradients": "loss", "train_mode": True, "seed": 5}, "single", 4),
    "teacher": (TEACHER, {**TINY, "num_labels": 2},
                {"output_hidden_states": True, "gradients": "logits"}, None, 2),
}

# name: (hidden sizes, heads, depths, key dim, drop path rate, parameters)
PUBLISHED = {
    "128S": ([128, 256, 384], [4, 6, 8], [2, 3, 4], 16, 0, 7_777_058),
    "128": ([128, 256, 384], [4, 8, 12], [4, 4, 4], 16, 0, 9_213_936),
    "192": ([192, 288, 384], [3, 5, 6], [4, 4, 4], 32, 0, 10_947_069),
    "256": ([256, 384, 512], [4, 6, 8], [4, 4, 4], 32, 0, 18_893_876),
    "384": ([384, 512, 768], [6, 9, 12], [4, 4, 4], 32, 0.1, 39_128_836),
}


class LevitFixtures:
    stored_cases = tuple(CASES)

    def stored_case(self, name, case, generator):
        """Fills in `case` and returns the model to be saved."""
        class_name, config, options, labels, batch = CASES[name]
        case.class_name = case.saved_class = class_name
        config = LevitConfig(**{**SMALL, **config})
        model = getattr(transformers, class_name)(config)
        fill(model, generator)
        for key, value in options.items():
            setattr(case.options, key, value)
        case.inputs["pixel_values"] = torch.randn(
            (batch, config.num_channels, config.image_size, config.image_size),
            generator=generator)
        case.inputs.update(labels_of(labels, batch, generator))
        return model

    def manifests(self):
        """The published checkpoints are those of the class with a teacher."""
        return [{
            "name": name,
            "class": TEACHER,
            "config_class": "LevitConfig",
            "checkpoints": [f"facebook/levit-{name}"],
            "config": {"hidden_sizes": hidden_sizes, "num_attention_heads": heads,
                       "depths": depths, "key_dim": [key_dim] * 3, "drop_path_rate": rate},
            "num_labels": 1000,
            "parameters": parameters,
        } for name, (hidden_sizes, heads, depths, key_dim, rate, parameters) in PUBLISHED.items()]

    def golden_config(self, golden, case):
        return LevitConfig(**{**golden["config"], **case.get("config", {})})

    def golden(self):
        """Rows of an independent run of the 4.37 source on torch 1.13, in float64."""
        teacher = [
            row("logits", first=[0.9742759, -0.01514636, 0.244114, -0.8039847, -0.5265003]),
            row("cls_logits", first=[0.02019927, -0.006997137, -2.428947, 0.8562821, -1.06904]),
            row("distillation_logits",
                first=[1.928353, -0.02329559, 2.917175, -2.464251, 0.01603895]),
            row("hidden_states.0", [3, 16, 16], mean_abs=0.2293597,
                first=[0.4610138, -0.3006735, -0.1289847]),
            row("hidden_states.1", [3, 4, 32], mean_abs=0.2481144,
                first=[0.09995005, -0.1766594, 0.02938863]),
            row("hidden_states.2", [3, 1, 48], mean_abs=0.3630561,
                first=[0.7125271, -0.2958688, 0.3214692]),
            row("hidden_states.3", [3, 1, 48], mean_abs=0.8557283,
                first=[0.3010773, -1.422662, 1.396246], last=[-0.2665674, 0.1779067]),
        ]
        train = [
            row("logits", first=[0.08227155, -2.035692, 1.253406, -1.529369, -0.8643652]),
            row("loss", first=[1.90303]),
            row("buffer.classifier.batch_norm.running_mean",
                first=[-0.05809251, 0.02047864, -0.03640417]),
            row("buffer.classifier.batch_norm.running_var", first=[1.330736, 1.049619, 2.445518]),
            row("buffer.classifier.batch_norm.num_batches_tracked", first=[1]),
        ]
        return {
            "input_shape": [3, 3, 64, 64],
            "config": {"image_size": 64, "hidden_sizes": [16, 32, 48],
                       "num_attention_heads": [1, 2, 3], "depths": [1, 1, 2],
                       "key_dim": [8, 8, 8], "num_labels": 5},
            "tolerance": 2e-5,
            "cases": [
                {"class": TEACHER, "rows": teacher},
                # A norm over three samples: float32 alone would be off by 2e-4.
                {"class": HEAD, "rows": train, "labels": [0, 1, 2], "train_mode": True,
                 "dtype": "float64"},
            ],
        }
