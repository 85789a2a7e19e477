"""Random Perceiver cases: the seven heads, and PerceiverModel of random components."""

import math

import torch
import transformers
from torch import nn
from transformers import PerceiverConfig
from transformers.activations import ACT2CLS

from parity.components import build_components
from parity.families.classifier import ClassifierFamily, activation_kinks
from parity.families.perceiver_decoders import DECODERS, random_decoder, random_postprocessor
from parity.families.perceiver_fixtures import PerceiverFixtures
from parity.families.perceiver_heads import (ALTERNATIVE, components, input_channels, query_count,
                                             random_inputs, random_points, random_task,
                                             random_vocabulary)
from parity.families.perceiver_parts import (CLASSIFIERS, CONV, FLOW, FOURIER, LEARNED, MASKED_LM,
                                             MODEL, MULTIMODAL, SEQUENCE, divisors,
                                             random_attention_mask, random_core, random_head_mask)
from parity.families.perceiver_preprocessors import KINDS, random_preprocessor
from parity.families.perceiver_processor import PerceiverProcessor
from parity.parameters import fill

HEADS = (MASKED_LM, SEQUENCE, LEARNED, FOURIER, CONV, FLOW, MULTIMODAL)


class Perceiver(PerceiverFixtures, ClassifierFamily):
    name = "perceiver"
    classes = (MODEL, *HEADS)
    processor = PerceiverProcessor()
    faults = {"norms": ("LayerNorm",), "activations": {"PerceiverMLP": "intermediate_act_fn"}}
    # A mask of float32 meets weights of a half type upstream, which the norm behind it refuses.
    not_in_half_types = (MULTIMODAL,)

    def random_case(self, case, rng, generator):
        case.saved_class = case.class_name
        number = case.index // len(self.classes)
        if case.class_name != MODEL:
            model, core, shape = self._head(case, case.class_name, rng, generator)
            self._choose_saved_class(case, model.config, rng)
        elif number % 8 == 7:  # a head's PerceiverModel, described
            head = rng.choice(HEADS)
            model, core, shape = self._head(case, head, rng, generator)
            case.saved_class = rng.choice((MODEL, head))
            case.options.model_args = components(head, model.config.to_dict())
        else:
            model, core, shape = self._assembly(case, number, rng, generator)
        embedding_gain, layer_gain = rng.choice((1.0, 0.02)), rng.choice((1.0, 1.0, 0.05))

        def gains(name):
            # Small variances before a norm make its epsilon visible.
            if "embeddings.weight" in name:
                return embedding_gain
            return layer_gain if name.split(".")[-2] in ("dense", "dense2") else 1.0

        if case.saved_class == MASKED_LM and case.class_name == SEQUENCE:
            model = transformers.PerceiverForMaskedLM(model.config)
        fill(model, generator, gains)
        # A head holds its model under the prefix `perceiver.`.
        saved = model.perceiver if case.saved_class == MODEL and hasattr(model, "perceiver") \
            else model
        self.choose_saving(case, rng)
        self._choose_options(case, model, core, shape, rng, generator)
        return saved

    def _choose_saved_class(self, case, config, rng):
        if rng.random() < 0.2:
            case.saved_class = MODEL
        elif case.class_name == SEQUENCE and config.d_model % 8 == 0 and rng.random() < 0.5:
            # Its decoder has other names.
            case.saved_class = MASKED_LM
            case.undefined = ("logits", "loss", "cross_attentions.1")

    def _head(self, case, class_name, rng, generator):
        """(model, config keys, (batch, length) of what the encoder attends to)."""
        task, labels = random_task(class_name, rng), self._labels(rng)
        num_labels = PerceiverConfig(**labels).num_labels
        batch = rng.choice((1, 1, 2, 3))
        if class_name == CONV:
            batch = max(batch, 2)  # one value of a channel has no variance
        points = random_points(rng, generator, task) if class_name == MULTIMODAL else {}
        core = random_core(rng, input_channels(class_name, task, num_labels),
                           [query_count(class_name, task, points)])
        resizes = class_name == case.class_name == LEARNED and rng.random() < 0.35
        inputs, length = random_inputs(class_name, rng, generator, task, num_labels, batch, resizes)
        name = "inputs"
        if case.class_name != MODEL and class_name in ALTERNATIVE and rng.random() < 0.5:
            name = ALTERNATIVE[class_name]
        self._set_inputs(case, name, inputs, points)
        if resizes:
            case.inputs["interpolate_pos_encoding"] = torch.tensor(True)
        config = PerceiverConfig(**core, **task, **labels, **self._flags(rng))
        return getattr(transformers, class_name)(config), core, (batch, length)

    def _assembly(self, case, number, rng, generator):
        labels = self._labels(rng)
        task = {"d_model": rng.randint(4, 20), **random_vocabulary(rng),
                "samples_per_patch": rng.randint(1, 6)}
        known = {**task, "num_labels": PerceiverConfig(**labels).num_labels}
        kind = KINDS[number % len(KINDS)]
        prepared = random_preprocessor(kind, rng, generator, known, rng.choice((1, 1, 2, 3)))
        core = random_core(rng, prepared.channels)
        known.update(core)
        decoder = DECODERS[number % len(DECODERS)]
        if kind == "multimodal" and rng.random() < 0.7:
            decoder = "multimodal"
        decoded = random_decoder(decoder, rng, generator, known, prepared)
        if "chunk_size_feed_forward" in core:
            core["chunk_size_feed_forward"] = rng.choice(
                divisors(math.gcd(core["num_latents"], decoded.queries), 8))
        description = {"input_preprocessor": prepared.description, "decoder": decoded.description,
                       "output_postprocessor": random_postprocessor(rng, decoded)}
        if rng.random() < 0.7:
            description = {key: value for key, value in description.items() if value is not None}
        case.options.model_args = description
        if prepared.random:
            case.options.seed = rng.randint(0, 2**31)
        self._set_inputs(case, "inputs", prepared.inputs, decoded.points)
        config = PerceiverConfig(**core, **task, **labels, **self._flags(rng))
        model = transformers.PerceiverModel(config, **build_components(config, description))
        return model, core, (prepared.batch, prepared.length)

    def _labels(self, rng):
        while True:
            labels = self.random_labels(rng)
            if labels != {"num_labels": 0}:
                return labels

    def _flags(self, rng):
        return {"output_hidden_states": rng.random() < 0.2, "output_attentions": rng.random() < 0.1}

    def _set_inputs(self, case, name, inputs, points):
        case.inputs.update({name + key: tensor for key, tensor in inputs.items()})
        case.inputs.update({f"subsampled_output_points.{modality}": indices
                            for modality, indices in points.items()})

    def batch_of(self, case):
        return self._shape[0]

    def _choose_options(self, case, model, core, shape, rng, generator):
        options = case.options
        options.output_hidden_states = rng.random() < 0.6 or bool(case.undefined)
        options.output_attentions = rng.random() < 0.5
        if rng.random() < 0.2:
            options.dtype = "float64"
        if rng.random() < 0.3:
            options.train_mode, options.seed = True, rng.randint(0, 2**31)
        if rng.random() < 0.25:
            overrides = {"hidden_act": rng.choice(sorted(ACT2CLS)),
                         "output_hidden_states": rng.random() < 0.5,
                         "output_attentions": rng.random() < 0.5,
                         "use_query_residual": rng.random() < 0.5,
                         "num_blocks": rng.randint(1, 3),
                         "attention_probs_dropout_prob": rng.choice((0.0, 0.2))}
            keys = rng.sample(sorted(overrides), rng.randint(1, 2))
            options.overrides = {key: overrides[key] for key in keys}
        fields = self._fields(case, model, core)
        if not case.undefined and rng.random() < 0.75:
            fields += self._choose_targets(case, model.config, shape[0], rng, generator)
        if fields and rng.random() < 0.75:
            options.gradients = rng.choice(fields)
        # A float mask times the least number there is has no gradient to compare.
        integral = options.gradients is not None
        if "interpolate_pos_encoding" in case.inputs:
            return  # compared with 5.17, which has no head masks and hides keys in another way
        if rng.random() < 0.5:
            case.inputs["attention_mask"] = random_attention_mask(
                rng, generator, *shape, core["num_latents"], integral)
        if rng.random() < 0.4:
            case.inputs["head_mask"] = random_head_mask(rng, generator, core,
                                                        rng.random() < 0.3)

    def _fields(self, case, model, core):
        """Outputs that gradients may start from."""
        blocks = case.options.overrides.get("num_blocks", core["num_blocks"])
        layers = core["num_self_attends_per_block"]
        fields = []
        if case.options.output_hidden_states:
            fields += [f"hidden_states.{index}" for index in range(blocks * (layers + 1))]
        if case.options.output_attentions:
            fields += [f"attentions.{index}" for index in range(blocks * layers)]
            fields.append("cross_attentions.0")
        if case.class_name == MODEL:
            fields += ["last_hidden_state"] * 2
        if case.undefined:
            return fields
        modalities = ["audio", "image", "label"] if case.class_name == MULTIMODAL else []
        if case.class_name == MODEL:
            parts = case.options.model_args
            if not parts.get("decoder"):
                return fields
            after = parts.get("output_postprocessor") or {}
            modalities = list(after.get("args", {}).get("modalities", {}))
        logits = [f"logits.{name}" for name in modalities] or ["logits"]
        return fields + logits * max(1, 6 // len(logits))

    def _choose_targets(self, case, config, batch, rng, generator):
        """Labels of the classes that take them; the fields that they add."""
        if case.class_name in CLASSIFIERS:
            self._shape = (batch,)
            self._choose_labels(case, config, rng, generator)
            return ["loss"] * 8
        if case.class_name == MASKED_LM:
            # As many as there are positions, however short the texts are.
            size = (batch, config.max_position_embeddings)
            labels = torch.randint(0, config.vocab_size, size, generator=generator)
            labels[torch.rand(size, generator=generator) < 0.3] = -100
            labels[0, 0] = 0
            case.inputs["labels"] = labels
            return ["loss"] * 8
        return []

    def edit_config(self, case, rng, config):
        """What published files hold that the class does not know, and other unknown keys."""
        if rng.random() < 0.3:
            config.update(seq_len=2048, hidden_dropout_prob=0.1)
        if rng.random() < 0.2:
            config["made_by"] = {"tool": "someone's", "numbers": [1, 2.5, None]}
        if rng.random() < 0.1:
            config.pop("architectures", None)

    def kinks(self, case):
        """Of the MLPs' activation, of the convolution's, and between the pixels of a pool."""
        names = {case.config.get("hidden_act", "gelu"), case.options.overrides.get("hidden_act")}
        kinks = [kink for name in sorted(names - {None, "relu"}) for kink in activation_kinks(name)]
        return kinks + activation_kinks("relu") + [(nn.MaxPool2d, pool_margins)]

    def for_half_types(self, case):
        """Upstream's mask of modalities turns half types into float32; see not_in_half_types."""
        before = case.options.model_args.get("input_preprocessor") or {}
        before.get("args", {}).pop("mask_probs", None)


def pool_margins(inputs):
    """How far the largest pixel of a 3 x 3 window is above the next one; 1 where all are 0."""
    windows = nn.functional.unfold(inputs, 3, stride=2).unflatten(1, (inputs.shape[1], 9))
    first, second = windows.topk(2, dim=2).values.unbind(2)
    return torch.where(first > 0, first - second, torch.ones_like(first))
