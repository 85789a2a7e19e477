"""The names that `vizoo forward` gives to the tensors of an output, and their forward order."""

import torch


# The names of what methods return that is no output with fields.
BARE_OUTPUTS = {"get_text_features": ("text_features",),
                "get_image_features": ("image_features",),
                "image_embedder": ("image_embeds", "vision_model_output")}


def name_output(method, value):
    """What a method returned, as `flatten_output` takes it."""
    names = BARE_OUTPUTS.get(method)
    if names is None:
        return value
    return dict(zip(names, value if isinstance(value, tuple) else (value,)))


def flatten_output(value, prefix=""):
    """Tensors of a Transformers output by name: tuples by index, nested outputs by dots."""
    if value is None:
        return {}
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    if isinstance(value, dict):  # ModelOutput is an OrderedDict
        items = value.items()
    elif isinstance(value, (tuple, list)):
        items = ((str(index), item) for index, item in enumerate(value))
    else:
        return {}
    result = {}
    for key, item in items:
        result.update(flatten_output(item, f"{prefix}.{key}" if prefix else str(key)))
    return result


def nest_arguments(flat):
    """Keyword arguments of a forward: `inputs.image` is the key "image" of the argument `inputs`."""
    result = {}
    for name, value in flat.items():
        argument, _, key = name.partition(".")
        if key:
            result.setdefault(argument, {})[key] = value
        else:
            result[argument] = value
    return result


def forward_order(names):
    """`names` as the model makes them, so that the first difference is the earliest one.

    Hidden states come before what is computed from them, the loss after the logits; gradients run
    from the output back to the input, which is the reverse of the order of the parameters.
    """
    names = list(names)
    position = {name: index for index, name in enumerate(names)}

    def key(name):
        if name.startswith("grad_input."):
            return (6, position[name])
        if name.startswith("grad."):
            return (5, -position[name])
        if name.startswith("buffer."):
            return (4, position[name])
        if name == "loss":
            return (3, 0)
        if name == "cross_attentions.0":  # of Perceiver's encoder, before all its layers
            return (0, 0)
        # The last hidden state and the last feature map close the list of stages.
        parts = name.split(".")
        if parts[0] in ("vision_model_output", "text_model_output"):
            parts = parts[1:]
        if parts[0] in ("hidden_states", "reshaped_hidden_states", "feature_maps", "attentions"):
            return (1, int(parts[1]) if parts[1].isdigit() else 0, position[name])
        return (2, position[name])

    return sorted(names, key=lambda name: tuple(key(name)))
