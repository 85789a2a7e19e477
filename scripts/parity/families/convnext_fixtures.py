"""What is stored under test/fixtures/convnext: small cases, published shapes, golden values."""

import torch
import transformers
from transformers import ConvNextConfig

from parity.parameters import fill

MODEL, HEAD, BACKBONE = "ConvNextModel", "ConvNextForImageClassification", "ConvNextBackbone"

SMALL = {"hidden_sizes": [4, 7], "depths": [1, 2], "num_stages": 2, "patch_size": 2,
         "layer_scale_init_value": 0.1, "image_size": 16}
GAPS = {"id2label": {0: "zero", 2: "two", 7: "seven"},
        "label2id": {"zero": 0, "two": 2, "seven": 7}}

# name: (class, config, options, kind of labels)
CASES = {
    "model": (MODEL, {}, {"output_hidden_states": True, "gradients": "pooler_output"}, None),
    "head_single_label": (
        HEAD, {**GAPS, "problem_type": "single_label_classification"},
        {"output_hidden_states": True, "gradients": "loss"}, "single"),
    "head_regression": (
        HEAD, {"num_labels": 1, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-3},
        {"output_hidden_states": True, "gradients": "loss"}, "regression"),
    "head_multi_label": (
        HEAD, {"num_labels": 4, "hidden_act": "gelu_new", "layer_scale_init_value": 0,
               "num_channels": 1},
        {"output_hidden_states": True, "gradients": "loss"}, "multi"),
    "head_train": (
        HEAD, {"num_labels": 3, "drop_path_rate": 0.6},
        {"output_hidden_states": True, "gradients": "logits", "train_mode": True, "seed": 5}, None),
    "backbone": (
        BACKBONE, {"out_indices": [0, -2, -1]},
        {"output_hidden_states": True, "gradients": "feature_maps.1"}, None),
}

SIZES = {"tiny": ([3, 3, 9, 3], [96, 192, 384, 768]), "small": ([3, 3, 27, 3], [96, 192, 384, 768]),
         "base": ([3, 3, 27, 3], [128, 256, 512, 1024]),
         "large": ([3, 3, 27, 3], [192, 384, 768, 1536]),
         "xlarge": ([3, 3, 27, 3], [256, 512, 1024, 2048])}

# name: (size, labels, parameters, published as facebook/convnext-...)
PUBLISHED = {
    "tiny": ("tiny", 1000, 28_589_128, ["tiny-224"]),
    "small": ("small", 1000, 50_223_688, ["small-224"]),
    "base": ("base", 1000, 88_591_464,
             ["base-224", "base-384", "base-224-22k-1k", "base-384-22k-1k"]),
    "base-22k": ("base", 21841, 109_953_489, ["base-224-22k"]),
    "large": ("large", 1000, 197_767_336,
              ["large-224", "large-384", "large-224-22k-1k", "large-384-22k-1k"]),
    "large-22k": ("large", 21841, 229_799_953, ["large-224-22k"]),
    "xlarge": ("xlarge", 1000, 350_196_968, ["xlarge-224-22k-1k", "xlarge-384-22k-1k"]),
    "xlarge-22k": ("xlarge", 21841, 392_900_177, ["xlarge-224-22k"]),
}


class ConvNextFixtures:
    stored_cases = tuple(CASES)

    def stored_case(self, name, case, generator):
        """Fills in `case` and returns the model to be saved."""
        class_name, config, options, labels = CASES[name]
        case.class_name = case.saved_class = class_name
        config = ConvNextConfig(**{**SMALL, **config})
        model = getattr(transformers, class_name)(config)
        fill(model, generator)
        for key, value in options.items():
            setattr(case.options, key, value)
        batch = 2
        case.inputs["pixel_values"] = torch.randn((batch, config.num_channels, 11, 14),
                                                  generator=generator)
        if labels == "single":
            case.inputs["labels"] = torch.tensor([2, 0])
        elif labels == "regression":
            case.inputs["labels"] = torch.randn((batch,), generator=generator)
        elif labels == "multi":
            case.inputs["labels"] = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
        return model

    def manifests(self):
        return [{
            "name": name,
            "class": HEAD,
            "config_class": "ConvNextConfig",
            "checkpoints": [f"facebook/convnext-{checkpoint}" for checkpoint in checkpoints],
            "config": {"depths": SIZES[size][0], "hidden_sizes": SIZES[size][1]},
            "num_labels": labels,
            "parameters": parameters,
        } for name, (size, labels, parameters, checkpoints) in PUBLISHED.items()]

    def golden_config(self, golden, case):
        return ConvNextConfig(**{**golden["config"], **case.get("config", {})})

    def golden(self):
        """Rows of an independent run of the 4.37 source on torch 1.13, in float64."""
        def row(name, **values):
            return {"name": name, **values}

        hidden_states = [
            row("hidden_states.0", shape=[2, 8, 17, 25], mean=0.02440531, mean_abs=0.8098616,
                first=[0.6509397, 0.5162151, 0.1003647], last=[1.320779, 1.264043]),
            row("hidden_states.1", shape=[2, 8, 17, 25], mean_abs=0.887166,
                first=[0.6465397, 0.1285853, -0.2243956], last=[2.011986, 2.111167]),
            row("hidden_states.2", shape=[2, 16, 8, 12], mean_abs=0.9017254,
                first=[0.8055267, 2.242166, 1.827458], last=[-0.7052074, 0.1796312]),
            row("hidden_states.3", shape=[2, 24, 4, 6], mean_abs=0.9304459,
                first=[0.3029531, -0.440041, -0.9352043], last=[0.5051276, 0.2652653]),
            row("hidden_states.4", shape=[2, 32, 2, 3], mean=0.07340854, mean_abs=0.8276813,
                first=[-2.246513, -1.84233, -0.5164873], last=[0.6380729, -0.04378059]),
        ]
        logits = row("logits", first=[0.9372357, -0.9440296, 0.6469364, -1.080691, -0.3064589])
        several = [[0.0, 1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0, 1.0]]
        return {
            "input_shape": [2, 3, 70, 101],
            "config": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1],
                       "layer_scale_init_value": 0.1, "num_labels": 5},
            "tolerance": 2e-5,
            "cases": [
                {"class": HEAD, "rows": [logits] + hidden_states},
                {"class": BACKBONE, "config": {"out_features": ["stem", "stage2", "stage4"]},
                 "rows": [
                     row("feature_maps.0", shape=[2, 8, 17, 25],
                         first=[-1.187945, 0.1769683, -0.1378221], last=[0.6151606, -1.362499]),
                     row("feature_maps.1", shape=[2, 16, 8, 12],
                         first=[-1.388728, -2.116671, 0.6771187], last=[1.136566, -2.115364]),
                     row("feature_maps.2", shape=[2, 32, 2, 3],
                         first=[0.05376677, -0.08725008, 1.3152], last=[0.1064307, 0.2391529])]},
                {"class": HEAD, "config": {"problem_type": "single_label_classification"},
                 "labels": [3, 1], "rows": [row("loss", first=[2.471155])]},
                {"class": HEAD, "config": {"problem_type": "multi_label_classification"},
                 "labels": several, "rows": [row("loss", first=[0.842132])]},
                {"class": HEAD, "config": {"problem_type": "regression"},
                 "labels": several, "rows": [row("loss", first=[1.175872])]},
                {"class": HEAD, "config": {"num_labels": 1}, "labels": [0.25, -0.5],
                 "rows": [row("loss", first=[0.6180038])]},
                # The base model inside the head: its keys start with the head's prefix.
                {"class": HEAD, "submodule": "convnext", "rows": [
                    row("pooler_output", shape=[2, 32], mean=-0.03214079, mean_abs=0.8664729,
                        first=[-2.561173, -0.6195845, 1.967321], last=[0.2096266, 2.03804])]},
            ],
        }
