"""What is stored under test/fixtures/dinov2: small cases, published shapes, golden values."""

import torch
import transformers
from transformers import Dinov2Config

from parity.families.fixtures import GAPS, labels_of, row
from parity.parameters import fill

MODEL, HEAD, BACKBONE = "Dinov2Model", "Dinov2ForImageClassification", "Dinov2Backbone"

# Positions of 3 x 3 patches.
SMALL = {"hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 1.7,
         "image_size": 9, "patch_size": 3}
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}
BY_SIZE = {"model_args": {"position_interpolation": "size"}}

# name: (class, config, options, kind of labels, [batch, height, width])
CASES = {
    "model": (MODEL, {}, {**EVERYTHING, "gradients": "pooler_output"}, None, (2, 9, 9)),
    # A mask of patches and one of each layer's heads; 4 x 2 patches.
    "model_masked": (MODEL, {"use_swiglu_ffn": True},
                     {**EVERYTHING, "gradients": "last_hidden_state"}, None, (2, 13, 8)),
    "model_by_size": (MODEL, {"mlp_ratio": 2},
                      {**BY_SIZE, "output_hidden_states": True, "gradients": "last_hidden_state"},
                      None, (1, 13, 8)),
    "head_single_label": (
        HEAD, {**GAPS, "problem_type": "single_label_classification", "qkv_bias": False},
        {"output_hidden_states": True, "gradients": "loss"}, "single", (2, 10, 11)),
    "head_regression": (
        HEAD, {"num_labels": 1, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-3},
        {"gradients": "loss"}, "regression", (2, 6, 6)),
    "head_multi_label": (
        HEAD, {"num_labels": 4, "hidden_act": "gelu_new", "num_channels": 1},
        {"output_attentions": True, "gradients": "loss"}, "multi", (2, 9, 6)),
    "head_train": (
        HEAD, {"num_labels": 3, "drop_path_rate": 0.6, "hidden_dropout_prob": 0.2,
               "attention_probs_dropout_prob": 0.3},
        {"output_attentions": True, "gradients": "logits", "train_mode": True, "seed": 5}, None,
        (2, 9, 6)),
    "backbone": (
        BACKBONE, {"out_indices": [0, -2, -1]},
        {**EVERYTHING, "gradients": "feature_maps.1"}, None, (1, 11, 14)),
    "backbone_tokens": (
        BACKBONE, {"out_features": ["stage1"], "apply_layernorm": False,
                   "reshape_hidden_states": False}, {"gradients": "feature_maps.0"}, None,
        (1, 12, 3)),
}

# name: (config, parameters of the bare model, with a head); images of 518 pixels.
PUBLISHED = {
    "small": ({"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6},
              22_056_576, 22_825_576),
    "base": ({}, 86_580_480, 88_117_480),
    "large": ({"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
              304_368_640, 306_417_640),
    "giant": ({"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24,
               "use_swiglu_ffn": True}, 1_136_480_768, 1_136_480_768 + 1000 * (2 * 1536 + 1)),
}


class Dinov2Fixtures:
    stored_cases = tuple(CASES)

    def stored_case(self, name, case, generator):
        """Fills in `case` and returns the model to be saved."""
        class_name, config, options, labels, (batch, height, width) = CASES[name]
        case.class_name = case.saved_class = class_name
        config = Dinov2Config(**{**SMALL, **config})
        model = getattr(transformers, class_name)(config)
        fill(model, generator)
        for key, value in options.items():
            setattr(case.options, key, value)
        case.inputs["pixel_values"] = torch.randn((batch, config.num_channels, height, width),
                                                  generator=generator)
        if name == "model_masked":
            case.inputs["bool_masked_pos"] = torch.rand((batch, 8), generator=generator) < 0.4
            case.inputs["head_mask"] = torch.tensor([[1.0, 0.0], [0.3, 1.0]])
        case.inputs.update(labels_of(labels, batch, generator))
        return model

    def manifests(self):
        entries = []
        for name, (config, model_parameters, head_parameters) in PUBLISHED.items():
            config = {**config, "image_size": 518, "patch_size": 14}
            entries += [
                {"name": name, "class": MODEL, "config_class": "Dinov2Config",
                 "checkpoints": [f"facebook/dinov2-{name}"], "config": config, "num_labels": 2,
                 "parameters": model_parameters},
                {"name": f"{name}-imagenet1k-1-layer", "class": HEAD,
                 "config_class": "Dinov2Config",
                 "checkpoints": [f"facebook/dinov2-{name}-imagenet1k-1-layer"], "config": config,
                 "num_labels": 1000, "parameters": head_parameters}]
        return entries

    def golden_config(self, golden, case):
        return Dinov2Config(**{**golden["config"], **case.get("config", {})})

    def golden(self):
        """Rows of an independent run of the 4.37 source on torch 1.13, in float64."""
        by_size = {"position_interpolation": "size"}
        gated = {"use_swiglu_ffn": True}
        wide = [2, 3, 45, 75]
        mlp = [
            row("logits", first=[0.05140828, -0.2840708, -0.5587346, -0.9158902, 0.3754396]),
            row("hidden_states.0", [2, 17, 24], mean_abs=0.9262523,
                first=[0.3861418, 0.5501392, 0.09550139], last=[-0.9123143, -0.3302709]),
            row("hidden_states.2", mean_abs=1.041572, first=[0.3738521, 1.637633, 0.8050299],
                last=[-1.587528, -0.1998136]),
        ]
        mlp_wide = [
            row("logits", first=[-0.2410604, 0.1440337, -0.6722978, -1.848884, -0.1388587]),
            row("hidden_states.0", [2, 16, 24], mean=-0.0187987, mean_abs=0.9123226,
                last=[2.004504, 0.2888087]),
        ]
        mlp_wide_by_size = [
            row("logits", first=[-0.2367196, 0.1076838, -0.7000219, -1.843029, -0.163227])]
        swiglu = [
            row("logits", first=[-0.1375689, -0.08778274, -0.3918199, -0.3371961, -0.02115073]),
            row("hidden_states.2", mean_abs=0.9968138, first=[1.54922, 0.2117623, -0.5434554]),
        ]
        swiglu_wide = [
            row("logits", first=[0.2711297, 0.2727311, -0.5565655, -0.8696751, -0.5581685])]
        swiglu_wide_by_size = [
            row("logits", first=[0.2768596, 0.2317587, -0.5749107, -0.8179892, -0.5881381])]
        masked = [
            row("last_hidden_state", mean=-0.01619143, mean_abs=0.7970413,
                first=[1.186482, 0.9616152, -0.8125546], last=[-0.6120787, -1.029239]),
            row("pooler_output", mean_abs=0.8615689, last=[0.8381599, 1.609139]),
            row("attentions.1", [2, 3, 17, 17], first=[0.2661321, 0.02482606, 0.01888427],
                last=[0.05550752, 0.0005988229]),
        ]
        backbone = [
            row("feature_maps.0", [2, 24, 4, 5], first=[0.6081887, 0.07875632, -2.259782],
                last=[1.756457, -0.4753266]),
            row("feature_maps.1", [2, 24, 4, 5], first=[1.34519, -0.02852254, -1.372415],
                last=[2.553837, 0.7332454]),
        ]
        patches = [[index < 5 for index in range(16)], [index == 7 for index in range(16)]]
        return {
            "input_shape": [2, 3, 56, 56],
            "config": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
                       "image_size": 56, "patch_size": 14, "num_labels": 5},
            "tolerance": 2e-5,
            "cases": [
                {"class": HEAD, "rows": mlp},
                {"class": HEAD, "input_shape": wide, "rows": mlp_wide},
                {"class": HEAD, "input_shape": wide, "model_args": by_size,
                 "rows": mlp_wide_by_size},
                {"class": HEAD, "config": gated, "rows": swiglu},
                {"class": HEAD, "config": gated, "input_shape": wide, "rows": swiglu_wide},
                {"class": HEAD, "config": gated, "input_shape": wide, "model_args": by_size,
                 "rows": swiglu_wide_by_size},
                {"class": MODEL, "inputs": {"bool_masked_pos": patches}, "rows": masked},
                {"class": BACKBONE, "config": {"out_features": ["stem", "stage2"]},
                 "input_shape": [2, 3, 56, 70], "rows": backbone},
            ],
        }
