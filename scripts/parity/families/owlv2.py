"""Random OWLv2 cases: both towers, the contrastive model and the detector with their methods."""

import json
from dataclasses import replace
from unittest import mock

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import Owlv2Config, Owlv2TextConfig, Owlv2VisionConfig
from transformers.activations import ACT2CLS
from transformers.image_transforms import center_to_corners_format
from transformers.models.owlv2 import modeling_owlv2

from parity import reference
from parity.families.classifier import activation_kinks
from parity.families.owlv2_fixtures import DETECTOR, MODEL, TEXT, VISION, Owlv2Fixtures
from parity.families.owlv2_processor import Owlv2Processor
from parity.parameters import fill

MAX_ACTIVATIONS = 120_000  # of all MLPs and attention maps; keeps a case below a second

# What each class can be loaded from. The heads of a detector that comes from a bare model are
# random.
SAVED_CLASSES = {TEXT: (TEXT, MODEL, DETECTOR), VISION: (VISION, MODEL, DETECTOR),
                 MODEL: (MODEL, DETECTOR), DETECTOR: (DETECTOR, MODEL)}
HEAD_OUTPUTS = ("logits", "objectness_logits", "pred_boxes", "class_embeds")
METHODS = {MODEL: ("get_text_features", "get_image_features"),
           DETECTOR: ("image_guided_detection", "image_guided_detection", "image_embedder")}
FIELDS = {  # outputs that gradients may start from
    TEXT: ["last_hidden_state", "pooler_output"],
    VISION: ["last_hidden_state", "pooler_output"],
    MODEL: ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds",
            "text_model_output.pooler_output", "vision_model_output.last_hidden_state"],
    DETECTOR: ["logits", "logits", "pred_boxes", "objectness_logits", "class_embeds",
               "text_embeds", "image_embeds", "vision_model_output.pooler_output"],
    "get_text_features": ["text_features"],
    "get_image_features": ["image_features"],
    "image_guided_detection": ["logits", "target_pred_boxes", "query_pred_boxes", "image_embeds",
                               "query_image_embeds", "class_embeds"],
    "image_embedder": ["image_embeds", "vision_model_output.pooler_output"],
}


def needs_texts(case):
    """Whether the case's method reads input_ids."""
    return case.class_name != VISION and case.options.method in (None, "get_text_features")


def needs_images(case):
    return case.class_name != TEXT and case.options.method != "get_text_features"


class Owlv2(Owlv2Fixtures):
    name = "owlv2"
    classes = (TEXT, VISION, MODEL, DETECTOR)
    processor = Owlv2Processor()
    faults = {"norms": ("LayerNorm",), "activations": {"Owlv2MLP": "activation_fn"}}

    def random_case(self, case, rng, generator):
        saved = SAVED_CLASSES[case.class_name]
        case.saved_class = saved[0] if rng.random() < 0.6 else rng.choice(saved)
        if case.class_name in METHODS and rng.random() < 0.6:
            case.options.method = rng.choice(METHODS[case.class_name])
        text, vision, batch, queries = self._random_size(case, rng)
        model = self._model(case, text, vision, rng)
        embedding_gain, layer_gain = rng.choice((1.0, 0.02)), rng.choice((1.0, 1.0, 0.05))

        def gains(name):
            # Small variances before a norm make its epsilon visible.
            if "embedding" in name:
                return embedding_gain
            return layer_gain if name.split(".")[-2] in ("out_proj", "fc2") else 1.0

        fill(model, generator, gains)
        if needs_images(case):
            self._choose_images(case, vision, batch, rng, generator)
        if needs_texts(case):
            self._choose_texts(case, text, batch * queries, rng, generator)
        self._choose_saving(case, rng)
        self._choose_options(case, text, vision, rng)
        return model

    def _model(self, case, text, vision, rng):
        if case.saved_class in (TEXT, VISION):
            config = text if case.saved_class == TEXT else vision
            if rng.random() < 0.2:
                config.output_hidden_states = True
            return getattr(transformers, case.saved_class)(config)
        config = Owlv2Config.from_text_vision_configs(text.to_dict(), vision.to_dict())
        for own in (config, config.text_config, config.vision_config):
            own.output_hidden_states = rng.random() < 0.2
            own.output_attentions = rng.random() < 0.1
        # Texts and patches meet in the detector's space.
        config.projection_dim = text.hidden_size if case.class_name == DETECTOR \
            else rng.randint(3, 24)
        config.logit_scale_init_value = rng.choice((2.6592, 0.5))
        return getattr(transformers, case.saved_class)(config)

    def _random_size(self, case, rng):
        """Configurations, images and texts for each of them that together cost little."""
        while True:
            text, vision = self._random_text(rng), self._random_vision(rng)
            batch, queries = rng.choice((1, 1, 2, 3)), rng.choice((1, 2, 3))
            if case.class_name == MODEL and rng.random() < 0.5:
                queries = 1  # so that there is a loss
            cost = 0
            if needs_images(case):
                patches = (vision.image_size // vision.patch_size) ** 2
                cost += batch * self._activations(vision, 1 + patches)
            if needs_texts(case):
                cost += batch * queries * self._activations(text, text.max_position_embeddings)
            if cost <= MAX_ACTIVATIONS:
                return text, vision, batch, queries

    def _random_tower(self, rng):
        heads = rng.randint(1, 4)
        return {
            # A norm of two channels has hardly more than a sign to give.
            "hidden_size": heads * rng.randint(4 if heads == 1 else 2, 12),
            "intermediate_size": rng.randint(3, 48),
            "num_hidden_layers": rng.choice((0, 1, 2, 2, 3, 4)),
            "num_attention_heads": heads,
            "hidden_act": rng.choice(["quick_gelu"] * 6 + sorted(ACT2CLS)),
            "layer_norm_eps": rng.choice((1e-5, 1e-5, 1e-12, 1e-3, 0.1)),
            "attention_dropout": rng.choice((0.0, 0.1, 0.3)),
            "initializer_range": rng.choice((0.02, 0.1)),
            "initializer_factor": rng.choice((1.0, 0.5)),
        }

    def _random_text(self, rng):
        vocabulary = rng.randint(6, 99)
        tokens = {} if rng.random() < 0.3 else {
            "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1,
            "pad_token_id": rng.choice((0, 1, None))}
        return Owlv2TextConfig(vocab_size=vocabulary, **tokens,
                               max_position_embeddings=rng.randint(3, 16), **self._random_tower(rng))

    def _random_vision(self, rng):
        patch = rng.choice((1, 2, 3, 4, 5, 7))
        return Owlv2VisionConfig(
            image_size=rng.randint(1, 7) * patch + rng.randint(0, patch - 1), patch_size=patch,
            num_channels=rng.choice((1, 2, 3, 3, 4)), **self._random_tower(rng))

    def _activations(self, config, tokens):
        return tokens * (config.num_hidden_layers + 1) * (
            2 * (config.hidden_size + config.intermediate_size)
            + config.num_attention_heads * tokens)

    def _choose_images(self, case, vision, batch, rng, generator):
        """Pictures of as many patches as there are positions, whatever their exact size."""
        patch, side = vision.patch_size, vision.image_size // vision.patch_size
        sides = [side * patch + rng.randint(0, patch - 1) for _ in range(2)]
        if rng.random() < 0.1:
            sides = [patch, side * side * patch]
        scale = rng.choice((0.3, 1.0, 2.0))

        def draw(count):
            return scale * torch.randn((count, vision.num_channels, *sides), generator=generator)

        case.inputs["pixel_values"] = draw(batch)
        if case.options.method == "image_guided_detection":
            # One query for all targets, or all queries for one target.
            queries = rng.choice((batch, batch, 1)) if batch > 1 else rng.choice((1, 1, 2))
            case.inputs["query_pixel_values"] = draw(queries)

    def _choose_texts(self, case, text, count, rng, generator):
        """Rows as the tokenizer makes them: begin, words, end, padding; some are padding only."""
        length = rng.randint(2, text.max_position_embeddings)
        begin, end = text.vocab_size - 2, text.vocab_size - 1
        ids = torch.zeros((count, length), dtype=torch.int64)
        for row in ids:
            words = rng.randint(0, length - 2)
            row[0], row[words + 1] = begin, end
            row[1:words + 1] = torch.randint(0, end, (words,), generator=generator)
        mask = (ids.flip(-1).cumsum(-1) > 0).flip(-1)
        if case.class_name != MODEL and count > 1 and rng.random() < 0.3:
            for index in rng.sample(range(count), rng.randint(1, count - 1)):
                ids[index], mask[index] = 0, False
        if rng.random() < 0.15:  # any ids at all
            ids = torch.randint(0, text.vocab_size, ids.shape, generator=generator)
        case.inputs["input_ids"] = ids.int() if rng.random() < 0.1 else ids
        if rng.random() < 0.6:
            if rng.random() < 0.3:
                mask = torch.rand(mask.shape, generator=generator) < 0.7
            case.inputs["attention_mask"] = mask if rng.random() < 0.2 else mask.long()

    def _choose_saving(self, case, rng):
        dtype = rng.choice(("float32", "float32", "float32", "float16", "bfloat16"))
        if dtype != "float32":
            case.save["dtype"] = dtype
        if rng.random() < 0.25:
            case.save["shards"] = rng.choice((2, 3, 5))

    def _choose_options(self, case, text, vision, rng):
        options = case.options
        options.output_hidden_states = rng.random() < 0.5
        options.output_attentions = rng.random() < 0.4
        if rng.random() < 0.2:
            options.dtype = "float64"
        if rng.random() < 0.25:
            options.train_mode, options.seed = True, rng.randint(0, 2**31)
        if rng.random() < 0.25:
            self._choose_overrides(case, text, vision, rng)
        fields = FIELDS[options.method or case.class_name]
        if case.class_name == MODEL and options.method is None:
            texts, images = (case.inputs[name].shape[0] for name in ("input_ids", "pixel_values"))
            if texts == images and rng.random() < 0.8:
                case.inputs["return_loss"] = torch.tensor(True)
                fields = ["loss"] * 6 + fields
            elif rng.random() < 0.2:
                case.inputs["return_loss"] = torch.tensor(False)
            if rng.random() < 0.2:
                case.inputs["return_base_image_embeds"] = torch.tensor(rng.random() < 0.7)
        if case.class_name == DETECTOR and case.saved_class == MODEL:
            case.undefined = HEAD_OUTPUTS
            options.method = None if options.method != "image_embedder" else options.method
            fields = [name for name in FIELDS[options.method or DETECTOR]
                      if name not in HEAD_OUTPUTS]
            if options.method is None and "input_ids" not in case.inputs:
                options.method = "image_embedder"
                case.inputs.pop("query_pixel_values", None)
                fields = FIELDS[options.method]
        if rng.random() < 0.75:
            options.gradients = rng.choice(fields)

    def _choose_overrides(self, case, text, vision, rng):
        overrides = {"output_hidden_states": rng.random() < 0.5,
                     "output_attentions": rng.random() < 0.5}
        act = {"hidden_act": rng.choice(sorted(ACT2CLS))}
        if case.class_name in (TEXT, VISION):
            overrides.update(act, layer_norm_eps=rng.choice((1e-5, 1e-2)))
        else:
            # A nested config is replaced as a whole.
            key, tower = rng.choice((("text_config", text), ("vision_config", vision)))
            overrides[key] = {**{name: value for name, value in tower.to_diff_dict().items()
                                 if name != "transformers_version"}, **act}
        keys = rng.sample(sorted(overrides), rng.randint(1, 2))
        case.options.overrides = {key: overrides[key] for key in keys}

    def edit_config(self, case, rng, config):
        """The forms that nested configs have had, unknown keys."""
        for key, nested_class in (("text_config", Owlv2TextConfig),
                                  ("vision_config", Owlv2VisionConfig)):
            if key not in config:
                continue
            style = rng.choice(("saved", "full", "bare"))
            if style == "full":  # every field, as old versions wrote it
                config[key] = json.loads(json.dumps(nested_class(**config[key]).to_dict()))
                config[key].update(dropout=0.0, torch_dtype=None)
            elif style == "bare":
                config[key].pop("model_type", None)
            if rng.random() < 0.2:
                config[key]["made_by"] = {"tool": "someone's", "numbers": [1, 2.5, None]}
        if "text_config" in config and rng.random() < 0.2:
            config["initializer_factor"] = 3.0
        if rng.random() < 0.1:
            config.pop("architectures", None)

    def edit_checkpoint(self, case, rng):
        """Buffers that other versions saved."""
        paths = sorted(case.folder.glob("*.safetensors"))
        if len(paths) != 1 or rng.random() > 0.2:
            return
        tensors = load_file(paths[0])
        prefix = "owlv2." if case.saved_class == DETECTOR else ""
        if case.saved_class != VISION:
            tensors[prefix + "text_model.embeddings.position_ids"] = torch.arange(5).unsqueeze(0)
        if case.saved_class == DETECTOR:
            tensors["box_bias"] = torch.zeros(3, 4)
        save_file(tensors, paths[0], metadata={"format": "pt"})

    def kinks(self, case):
        """Of the activations of both towers, where the slope jumps."""
        names = set()
        for config in (case.config, case.options.overrides):
            for part in (config, config.get("text_config", {}), config.get("vision_config", {})):
                names.add(part.get("hidden_act", "quick_gelu"))
        return [kink for name in sorted(names) for kink in activation_kinks(name)]

    def is_settled(self, case, model):
        """Whether the patches that query images stand for are chosen with a margin."""
        if case.options.method != "image_guided_detection":
            return True
        margins = []
        original = modeling_owlv2.Owlv2ForObjectDetection.embed_image_query

        def recorded(self, features, feature_map):
            embeds = self.class_predictor(features)[1].detach()
            corners = center_to_corners_format(self.box_predictor(features, feature_map).detach())
            margins.extend(map(selection_margin, embeds, corners))
            return original(self, features, feature_map)

        forward_only = replace(case, options=replace(case.options, gradients=None))
        with mock.patch.object(modeling_owlv2.Owlv2ForObjectDetection, "embed_image_query",
                               recorded):
            reference.run(model, forward_only, "float64")
        return min(margins) > 1e-3

    def avoid_selection(self, case):
        case.options.method = "image_embedder"
        del case.inputs["query_pixel_values"]
        if case.options.gradients:
            case.options.gradients = "image_embeds"


def selection_margin(class_embeds, corners):
    """How far one image's selection (embed_image_query) is from another one, relatively."""
    whole = torch.tensor([[0, 0, 1, 1]])
    overlap = modeling_owlv2.box_iou(whole, corners)[0][0]
    if bool((overlap == 0).all()):
        overlap = modeling_owlv2.generalized_box_iou(whole, corners)[0]
    distances = overlap / overlap.max() - 0.8
    likeness = (class_embeds @ class_embeds.mean(0))[distances >= 0].sort().values
    margin = float(distances.abs().min())
    if len(likeness) > 1:
        margin = min(margin, float((likeness[1] - likeness[0]) / likeness.abs().max()))
    return margin
