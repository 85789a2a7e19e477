"""What the families of a model, image classifiers and a backbone draw alike."""

from transformers.activations import ACT2FN, ClippedGELUActivation

import torch

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
LABELS = ("tabby, tabby cat", "caf\u00e9", "\u732b", "a \"quoted\" label", "x" * 60, "")


def is_classifier(class_name):
    return "ForImageClassification" in class_name


def is_backbone(class_name):
    return class_name.endswith("Backbone")


class ClassifierFamily:
    """A family lists its `classes`, bare model first; their names tell classifiers and backbones.

    It also has

        stage_count(config)            how many `attentions` there are, and features but the stem
        random_overrides(config, rng)  config keys and values that may be overridden on loading
        model_fields(case)             outputs of the bare model that gradients may start from
    """

    attentions = False  # whether the family has the output `attentions`
    without_labels = ()  # classifiers that take no labels

    def hidden_state_count(self, config):
        return self.stage_count(config) + 1

    def head_fields(self, case):
        """The outputs of a classifier that gradients may start from, the loss apart."""
        return ["logits"]

    def train_share(self, case):
        """How often a case runs in training mode."""
        return 0.35

    def batch_of(self, case):
        return case.inputs["pixel_values"].shape[0]

    def undefined_outputs(self, case):
        """What a head decides that is not in the checkpoint, hence is drawn at random."""
        return ("logits", "loss")

    def random_labels(self, rng, least=1):
        """Labels by their number or as a map; 0 of them now and then, else at least `least`."""
        count = rng.randint(least, 11) if rng.random() > 0.03 else 0
        style = rng.choice(("count", "map", "gaps"))
        if style == "count" or count == 0:
            return {"num_labels": count}
        ids = list(range(count)) if style == "map" else sorted(rng.sample(range(3 * count), count))
        names = [rng.choice(LABELS) + f" {index}" for index in ids]
        return {"id2label": dict(zip(ids, names)), "label2id": dict(zip(names, ids))}

    def saved_class(self, class_name, rng):
        if rng.random() < 0.7:
            return class_name
        return rng.choice([other for other in self.classes if other != class_name])

    def choose_saving(self, case, rng):
        dtype = rng.choice(("float32", "float32", "float32", "float16", "bfloat16"))
        if dtype != "float32":
            case.save["dtype"] = dtype
        if rng.random() < 0.25:
            case.save["shards"] = rng.choice((2, 3, 5))

    def choose_options(self, case, config, rng, generator):
        options = case.options
        options.output_hidden_states = rng.random() < 0.6
        options.output_attentions = self.attentions and rng.random() < 0.5
        if rng.random() < 0.2:
            options.dtype = "float64"
        if rng.random() < self.train_share(case):
            options.train_mode = True
            options.seed = rng.randint(0, 2**31)
        if rng.random() < 0.25:
            self._choose_overrides(case, config, rng)
        has_logits = is_classifier(case.class_name) and config.num_labels > 0
        if has_logits and case.saved_class != case.class_name:
            case.undefined = self.undefined_outputs(case)
        if case.undefined:
            options.output_hidden_states = True
            return
        fields = self._fields(case, config)
        takes_labels = case.class_name not in self.without_labels
        if has_logits and takes_labels and rng.random() < 0.75:
            self._choose_labels(case, config, rng, generator)
            fields = ["loss"] * 6 + ["logits"] + fields
        if rng.random() < 0.75 and fields:
            options.gradients = rng.choice(fields)

    def _choose_overrides(self, case, config, rng):
        choices = self.random_overrides(config, rng)
        keys = rng.sample(sorted(choices), rng.randint(1, 2))
        case.options.overrides = {key: choices[key] for key in keys}
        # The norms of a backbone's checkpoint are those of its own features; another choice leaves
        # the rest at 1 and 0, which both sides must find out.
        if is_backbone(case.class_name) and rng.random() < 0.7:
            case.options.overrides.update(random_out(rng, self.stage_count(config), only_one=True))

    def _fields(self, case, config):
        """The outputs that gradients may start from."""
        if is_backbone(case.class_name):
            override = case.options.overrides
            count = len(override.get("out_features", override.get("out_indices",
                                                                  config.out_features)))
            fields = [f"feature_maps.{index}" for index in range(count)]
        else:
            fields = self.head_fields(case) if is_classifier(case.class_name) \
                else self.model_fields(case)
        if case.options.output_hidden_states:
            fields += [f"hidden_states.{index}" for index in range(self.hidden_state_count(config))]
        if case.options.output_attentions:
            fields += [f"attentions.{index}" for index in range(self.stage_count(config))]
        return fields

    def _choose_labels(self, case, config, rng, generator):
        batch = self.batch_of(case)
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
        return activation_kinks(
            case.options.overrides.get("hidden_act", case.config.get("hidden_act", "gelu")))


def activation_kinks(name):
    """Where an activation's slope jumps: rounding decides the gradient there."""
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
