"""Random ConvNeXT cases: model, classification head, backbone."""

import math

import torch
import transformers
from transformers import ConvNextConfig
from transformers.activations import ACT2CLS, ACT2FN, ClippedGELUActivation

from parity.families.convnext_fixtures import BACKBONE, HEAD, MODEL, ConvNextFixtures
from parity.families.convnext_processor import ConvNextProcessor
from parity.parameters import fill

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
LABELS = ("tabby, tabby cat", "caf\u00e9", "\u732b", "a \"quoted\" label", "x" * 60, "")
# Pixels x channels of the widest stage; keeps a case below a second.
MAX_ACTIVATIONS = 60_000


class ConvNext(ConvNextFixtures):
    name = "convnext"
    classes = (MODEL, HEAD, BACKBONE)
    processor = ConvNextProcessor()

    def random_case(self, case, rng, generator):
        case.saved_class = self._saved_class(case.class_name, rng)
        config = self.random_config({case.class_name, case.saved_class}, rng)
        model = getattr(transformers, case.saved_class)(config)
        stem_gain, block_gain = rng.choice((1.0, 0.02)), rng.choice((1.0, 1.0, 0.01))

        def gains(name):
            # Small variances before a norm make its epsilon visible.
            if "patch_embeddings" in name:
                return stem_gain
            return block_gain if "dwconv" in name else 1.0

        fill(model, generator, gains)
        self._choose_saving(case, rng)
        self._choose_inputs(case, config, rng, generator)
        self._choose_options(case, config, rng, generator)
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
        arguments.update(self._random_labels(rng))
        if BACKBONE in classes or rng.random() < 0.2:
            arguments.update(random_out(rng, len(arguments["depths"])))
        return ConvNextConfig(**arguments)

    def _random_labels(self, rng):
        count = rng.randint(1, 11) if rng.random() > 0.03 else 0
        style = rng.choice(("count", "map", "gaps"))
        if style == "count" or count == 0:
            return {"num_labels": count}
        ids = list(range(count)) if style == "map" else sorted(rng.sample(range(3 * count), count))
        names = [rng.choice(LABELS) + f" {index}" for index in ids]
        return {"id2label": dict(zip(ids, names)), "label2id": dict(zip(names, ids))}

    def _saved_class(self, class_name, rng):
        if rng.random() < 0.7:
            return class_name
        return rng.choice([other for other in self.classes if other != class_name])

    def _choose_saving(self, case, rng):
        dtype = rng.choice(("float32", "float32", "float32", "float16", "bfloat16"))
        if dtype != "float32":
            case.save["dtype"] = dtype
        if rng.random() < 0.25:
            case.save["shards"] = rng.choice((2, 3, 5))

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

    def _choose_options(self, case, config, rng, generator):
        options = case.options
        options.output_hidden_states = rng.random() < 0.6
        if rng.random() < 0.2:
            options.dtype = "float64"
        if rng.random() < 0.35:
            options.train_mode = True
            options.seed = rng.randint(0, 2**31)
        if rng.random() < 0.25:
            self._choose_overrides(case, config, rng)
        random_classifier = case.class_name == HEAD and case.saved_class != HEAD
        if random_classifier and config.num_labels > 0:
            case.undefined = ("logits", "loss")
            options.output_hidden_states = True
            return
        fields = self._fields(case, config)
        if case.class_name == HEAD and config.num_labels > 0 and rng.random() < 0.75:
            self._choose_labels(case, config, rng, generator)
            fields = ["loss"] * 6 + ["logits"] + fields
        if rng.random() < 0.75 and fields:
            options.gradients = rng.choice(fields)

    def _choose_overrides(self, case, config, rng):
        choices = {
            "layer_norm_eps": rng.choice((1e-5, 1e-2)),
            "hidden_act": rng.choice(sorted(ACT2CLS)),
            "drop_path_rate": rng.choice((0.0, 0.5)),
            "output_hidden_states": rng.random() < 0.5,
        }
        keys = rng.sample(sorted(choices), rng.randint(1, 2))
        case.options.overrides = {key: choices[key] for key in keys}
        # The norms of a backbone's checkpoint are those of its own features; another choice leaves
        # the rest at 1 and 0, which both sides must find out.
        if case.class_name == BACKBONE and rng.random() < 0.7:
            case.options.overrides.update(random_out(rng, len(config.depths), only_one=True))

    def _fields(self, case, config):
        if case.class_name == BACKBONE:
            override = case.options.overrides
            count = len(override.get("out_features", override.get("out_indices",
                                                                  config.out_features)))
            fields = [f"feature_maps.{index}" for index in range(count)]
        else:
            fields = ["last_hidden_state", "pooler_output"] if case.class_name == MODEL \
                else ["logits"]
        if case.options.output_hidden_states:
            fields += [f"hidden_states.{index}" for index in range(config.num_stages + 1)]
        return fields

    def _choose_labels(self, case, config, rng, generator):
        batch = case.inputs["pixel_values"].shape[0]
        kind = rng.choice(PROBLEM_TYPES)
        inferred = rng.random() < 0.4
        count = config.num_labels
        if inferred and count == 1:
            kind = "regression"
        elif inferred and kind == "regression":
            kind = "single_label_classification"
        if not inferred:
            config.problem_type = kind
        if kind == "single_label_classification":
            labels = torch.randint(0, count, (batch,), generator=generator)
            if batch > 1 and rng.random() < 0.3:
                labels[0] = -100
        elif kind == "regression":
            shape = (batch,) if count == 1 and rng.random() < 0.5 else (batch, count)
            labels = torch.randn(shape, generator=generator)
        else:
            labels = torch.randint(0, 2, (batch, count), generator=generator).float()
        case.inputs["labels"] = labels

    def edit_config(self, case, rng, config):
        """What old or edited files look like: unknown keys, derived values that are stale."""
        if rng.random() < 0.2:
            config["made_by"] = {"tool": "someone's", "numbers": [1, 2.5, None]}
        if rng.random() < 0.2:
            config["stage_names"] = ["stem", "wrong"]
        elif rng.random() < 0.2:
            config.pop("stage_names", None)
        if rng.random() < 0.2:
            config["crop_pct"] = None
        if rng.random() < 0.1:
            config.pop("architectures", None)
        if rng.random() < 0.1:
            config.pop("label2id", None)

    def kinks(self, case):
        """Where the activation's slope jumps: rounding decides the gradient there."""
        name = case.options.overrides.get("hidden_act", case.config.get("hidden_act", "gelu"))
        module = type(ACT2FN[name])
        functions = {
            "relu": (lambda x: x,),
            "leaky_relu": (lambda x: x,),
            "relu6": (lambda x: x, lambda x: x - 6.0),
            "gelu_10": (lambda x: x - 10.0, lambda x: x + 10.0),
        }
        return [(ClippedGELUActivation if name == "gelu_10" else module, function)
                for function in functions.get(name, ())]


def random_out(rng, depths, only_one=False):
    """A valid choice of features: by name, by index (negative ones too), by both or by none."""
    names = ["stem"] + [f"stage{index}" for index in range(1, depths + 1)]
    chosen = sorted(rng.sample(range(len(names)), rng.randint(1, len(names))))
    indices = [index - len(names) if rng.random() < 0.4 else index for index in chosen]
    features = [names[index] for index in chosen]
    style = rng.choice(("features", "indices") if only_one
                       else ("features", "indices", "indices", "both", "none"))
    return {
        "features": {"out_features": features},
        "indices": {"out_indices": indices},
        "both": {"out_features": features, "out_indices": indices},
        "none": {},
    }[style]
