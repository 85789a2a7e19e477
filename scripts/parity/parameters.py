"""Random parameters that leave nothing at its initial value, so that no error hides."""

import math

import torch


def fill(model, generator, gains=lambda name: 1.0):
    """Gives every parameter and floating buffer of `model` a random value of sensible size.

    `gains(name)` scales a tensor (a weight of two or more dimensions, or a bias).
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = random_value(name, parameter, generator)
            parameter.copy_(value * _gain(name, parameter, gains))
        for name, buffer in model.named_buffers():
            leaf = name.rsplit(".", 1)[-1]
            if leaf == "running_mean":
                buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
            elif leaf == "running_var":
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
            elif leaf == "num_batches_tracked":
                buffer.fill_(int(torch.randint(1, 100, (), generator=generator)))


def random_value(name, parameter, generator):
    leaf = name.rsplit(".", 1)[-1]
    shape = parameter.shape
    if leaf.startswith(("layer_scale", "lambda1")):
        signs = torch.where(torch.rand(shape, generator=generator) < 0.2, -1.0, 1.0)
        return signs * (0.2 + 0.8 * torch.rand(shape, generator=generator))
    if leaf == "weight" and parameter.dim() == 1:
        return 1.0 + 0.5 * (2.0 * torch.rand(shape, generator=generator) - 1.0)
    if leaf == "weight" and parameter.numel() > 0:
        fan_in = parameter.numel() / shape[0]
        return torch.randn(shape, generator=generator) / math.sqrt(fan_in)
    return 0.4 * torch.randn(shape, generator=generator)


def _gain(name, parameter, gains):
    leaf = name.rsplit(".", 1)[-1]
    if (leaf == "weight" and parameter.dim() > 1) or leaf == "bias":
        return gains(name)
    return 1.0
