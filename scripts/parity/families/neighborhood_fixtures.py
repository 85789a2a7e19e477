"""What is stored under test/fixtures/nat and test/fixtures/dinat, and how it is made."""

import torch
import transformers

from parity.parameters import fill

SMALL = {"embed_dim": 4, "depths": [1, 2], "num_heads": [1, 2], "kernel_size": 3, "mlp_ratio": 1.3,
         "drop_path_rate": 0.0, "layer_scale_init_value": 0.1}
GAPS = {"id2label": {0: "zero", 2: "two", 7: "seven"},
        "label2id": {"zero": 0, "two": 2, "seven": 7}}
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}

MODEL, HEAD, BACKBONE = range(3)  # positions in the family's classes

# name: (class, config, options, kind of labels, [batch, height, width])
CASES = {
    "model": (MODEL, {}, {**EVERYTHING, "gradients": "pooler_output"}, None, (1, 11, 14)),
    # A grid of 2 x 3: every window needs padding.
    "model_small_image": (MODEL, {"kernel_size": 5, "qkv_bias": False},
                          {"output_hidden_states": True, "gradients": "last_hidden_state"}, None,
                          (2, 5, 11)),
    "head_single_label": (
        HEAD, {**GAPS, "problem_type": "single_label_classification"},
        {"output_hidden_states": True, "gradients": "loss"}, "single", (1, 15, 9)),
    "head_regression": (
        HEAD, {"num_labels": 1, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-3},
        {"gradients": "loss"}, "regression", (2, 17, 12)),
    "head_multi_label": (
        HEAD, {"num_labels": 4, "hidden_act": "gelu_new", "layer_scale_init_value": 0,
               "num_channels": 1},
        {"output_attentions": True, "gradients": "loss"}, "multi", (2, 12, 9)),
    "head_train": (
        HEAD, {"num_labels": 3, "drop_path_rate": 0.6, "hidden_dropout_prob": 0.2,
               "attention_probs_dropout_prob": 0.3},
        {"output_attentions": True, "gradients": "logits", "train_mode": True, "seed": 5}, None,
        (2, 5, 8)),
    "backbone": (
        BACKBONE, {"out_indices": [0, -2, -1]},
        {**EVERYTHING, "gradients": "feature_maps.1"}, None, (1, 11, 14)),
}

SIZES = {"mini": (64, [3, 4, 6, 5], [2, 4, 8, 16], 3), "tiny": (64, [3, 4, 18, 5], [2, 4, 8, 16], 3),
         "small": (96, [3, 4, 18, 5], [3, 6, 12, 24], 2),
         "base": (128, [3, 4, 18, 5], [4, 8, 16, 32], 2),
         "large": (192, [3, 4, 18, 5], [6, 12, 24, 48], 2)}


class NeighborhoodFixtures:
    """`small`: config keys of the stored cases; `published`: see manifests."""

    stored_cases = tuple(CASES)
    small = {}

    def stored_case(self, name, case, generator):
        """Fills in `case` and returns the model to be saved."""
        position, config, options, labels, (batch, *size) = CASES[name]
        case.class_name = case.saved_class = self.classes[position]
        config = self.config_class(**{**SMALL, **self.small, **config})
        model = getattr(transformers, case.class_name)(config)
        fill(model, generator)
        for key, value in options.items():
            setattr(case.options, key, value)
        case.inputs["pixel_values"] = torch.randn((batch, config.num_channels, *size),
                                                  generator=generator)
        if labels == "single":
            case.inputs["labels"] = torch.tensor([2, 0])[:batch]
        elif labels == "regression":
            case.inputs["labels"] = torch.randn((batch,), generator=generator)
        elif labels == "multi":
            case.inputs["labels"] = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
        return model

    def manifests(self):
        """`published`: name -> (size, config that the size does not say, parameters, checkpoints)"""
        entries = []
        for name, (size, config, parameters, checkpoints) in self.published.items():
            embed_dim, depths, num_heads, mlp_ratio = SIZES[size]
            entries.append({
                "name": name,
                "class": self.classes[HEAD],
                "config_class": self.prefix + "Config",
                "checkpoints": [f"shi-labs/{checkpoint}" for checkpoint in checkpoints],
                "config": {"embed_dim": embed_dim, "depths": depths, "num_heads": num_heads,
                           "mlp_ratio": mlp_ratio, **config},
                "num_labels": 1000,
                "parameters": parameters,
            })
        return entries

    def golden_config(self, golden, case):
        return self.config_class(**{**golden["config"], **case.get("config", {})})


def row(name, shape=None, **values):
    """A row of golden.json: `first`, `last`, `mean`, `mean_abs`."""
    return {"name": name, **({"shape": shape} if shape else {}), **values}
