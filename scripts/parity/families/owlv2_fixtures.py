"""What is stored under test/fixtures/owlv2: small cases and published shapes."""

import torch
import transformers
from transformers import Owlv2Config

from parity.parameters import fill

TEXT, VISION = "Owlv2TextModel", "Owlv2VisionModel"
MODEL, DETECTOR = "Owlv2Model", "Owlv2ForObjectDetection"

# Words of 8 channels, positions of 2 x 2 patches.
SMALL = {
    "text_config": {"vocab_size": 9, "hidden_size": 6, "intermediate_size": 5,
                    "num_hidden_layers": 1, "num_attention_heads": 2,
                    "max_position_embeddings": 5, "bos_token_id": 7, "eos_token_id": 8},
    "vision_config": {"hidden_size": 6, "intermediate_size": 7, "num_hidden_layers": 2,
                      "num_attention_heads": 3, "image_size": 7, "patch_size": 3},
    "projection_dim": 6,
}
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}
TEXTS = [[7, 3, 1, 8, 0], [7, 8, 0, 0, 0], [7, 5, 5, 2, 8], [0, 0, 0, 0, 0]]

# name: (class, options, texts, images, query images)
CASES = {
    "text": (TEXT, {**EVERYTHING, "gradients": "pooler_output"}, 3, 0, 0),
    "vision": (VISION, {**EVERYTHING, "gradients": "pooler_output"}, 0, 2, 0),
    "model": (MODEL, {"output_hidden_states": True, "gradients": "loss"}, 3, 3, 0),
    "model_train": (MODEL, {"gradients": "logits_per_image", "train_mode": True, "seed": 3},
                    3, 2, 0),
    "model_text_features": (MODEL, {"method": "get_text_features", "gradients": "text_features"},
                            2, 0, 0),
    "model_image_features": (MODEL, {"method": "get_image_features",
                                     "gradients": "image_features"}, 0, 2, 0),
    "detector": (DETECTOR, {"output_attentions": True, "gradients": "class_embeds"}, 4, 2, 0),
    "detector_boxes": (DETECTOR, {"gradients": "pred_boxes"}, 2, 1, 0),
    "detector_image_guided": (DETECTOR, {"method": "image_guided_detection",
                                         "gradients": "logits"}, 0, 2, 2),
    "detector_image_embedder": (DETECTOR, {"method": "image_embedder",
                                           "gradients": "image_embeds"}, 0, 1, 0),
}

LARGE = {
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                      "num_attention_heads": 16, "image_size": 1008, "patch_size": 14},
    "projection_dim": 768,
}
BASE = {"vision_config": {"image_size": 960}}


class Owlv2Fixtures:
    stored_cases = tuple(CASES)

    def stored_case(self, name, case, generator):
        """Fills in `case` and returns the model to be saved."""
        case.class_name, options, texts, images, queries = CASES[name]
        # The towers come out of a composite checkpoint.
        case.saved_class = case.class_name if case.class_name in (MODEL, DETECTOR) else MODEL
        parts = {key: dict(SMALL[key]) for key in ("text_config", "vision_config")}
        if "train_mode" in options:
            for part in parts.values():
                part["attention_dropout"] = 0.3
        config = Owlv2Config(**{**SMALL, **parts})
        model = getattr(transformers, case.saved_class)(config)
        fill(model, generator)
        for key, value in options.items():
            setattr(case.options, key, value)
        if texts:
            case.inputs["input_ids"] = torch.tensor(TEXTS[:texts])
        if name in ("text", "model", "detector"):
            case.inputs["attention_mask"] = (case.inputs["input_ids"] > 0).long()
        if name == "model":
            case.inputs["return_loss"] = torch.tensor(True)
        for key, count in (("pixel_values", images), ("query_pixel_values", queries)):
            if count:
                case.inputs[key] = torch.randn((count, 3, 7, 7), generator=generator)
        return model

    def manifests(self):
        return [
            {"name": "base", "class": DETECTOR, "config_class": "Owlv2Config",
             "checkpoints": [f"google/owlv2-base-patch16{kind}"
                             for kind in ("", "-ensemble", "-finetuned")],
             "config": BASE, "num_labels": 2, "parameters": 154_966_792},
            {"name": "large", "class": DETECTOR, "config_class": "Owlv2Config",
             "checkpoints": [f"google/owlv2-large-patch14{kind}"
                             for kind in ("", "-ensemble", "-finetuned")],
             "config": LARGE, "num_labels": 2, "parameters": 437_610_760},
        ]
