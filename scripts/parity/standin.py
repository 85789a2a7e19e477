"""A stand-in for the program: Transformers itself, computed another way, with errors on demand."""

import copy
import math
from dataclasses import replace

import torch
from transformers.activations import ACT2FN

from parity import reference

MODEL_FAULTS = ("norm eps", "wrong activation", "missing drop path", "missing dropout",
                "transposed bias", "neglected dilation", "neglected masks",
                "the other interpolation")
FAULTS = MODEL_FAULTS + ("missing buffer", "swapped tensors", "missing tensor", "extra tensor",
                         "missing gradient", "scaled gradient", "transposed tensor",
                         "not a number")

# A broken model whose outputs all change by less, relatively or absolutely, is no fault of a case.
VISIBLE = 3e-4
LEAST_CHANGE = 2e-5  # the largest floor of a tolerance


class StandIn:
    """Answers a case of `family` as the program would; `fault` is one of FAULTS or None.

    `forward` returns None when the fault does not apply to the case: nothing to swap, no gradient,
    a variance so large that another epsilon changes nothing.
    """

    def __init__(self, family, fault=None):
        self.family = family
        self.fault = fault

    def forward(self, case, model):
        # Channels-last convolutions sum in another order: honest float32 noise.
        model = copy.deepcopy(model)
        if not any(_corrupts_memory(module) for module in model.modules()):
            model = model.to(memory_format=torch.channels_last)
        outputs = reference.run(model, case, case.options.dtype)
        if self.fault not in MODEL_FAULTS:
            return self._break_outputs(outputs)
        self._break_model(model, case)
        wrong = reference.run(model, self._broken_case(case), case.options.dtype)
        return wrong if _is_visible(outputs, wrong) else None

    def _broken_case(self, case):
        inputs, options = dict(case.inputs), case.options
        if self.fault == "neglected masks":
            for name in ("bool_masked_pos", "head_mask", "attention_mask"):
                inputs.pop(name, None)
        if self.fault == "the other interpolation":
            style = "offset01" if reference.interpolates_by_size(options.model_args) else "size"
            options = replace(options, model_args={**options.model_args,
                                                   reference.INTERPOLATION: style})
        return replace(case, inputs=inputs, options=options)

    def _break_model(self, model, case):
        for module in model.modules():
            kind = type(module).__name__
            if self.fault == "norm eps" and kind in self.family.faults["norms"]:
                module.eps *= 10
            if self.fault == "wrong activation" and kind in self.family.faults["activations"]:
                name = case.options.overrides.get("hidden_act",
                                                  case.config.get("hidden_act", "hardswish"))
                wrong = "gelu" if not name.startswith("gelu") else "gelu_new"
                if name in ("gelu_new", "gelu_accurate", "gelu_fast", "gelu_pytorch_tanh"):
                    wrong = "gelu"
                setattr(module, self.family.faults["activations"][kind], ACT2FN[wrong])
            if self.fault == "missing drop path" and case.options.train_mode:
                if kind.endswith("DropPath") and module.drop_prob >= 0.4:
                    module.drop_prob = 0.0
                if kind == "LevitResidualLayer" and module.drop_rate >= 0.4:
                    module.drop_rate = 0.0
            if self.fault == "missing dropout" and isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if self.fault == "transposed bias" and hasattr(module, "rpb"):
                module.rpb.data = module.rpb.data.transpose(1, 2).contiguous()
            if self.fault == "transposed bias" and hasattr(module, "attention_biases"):
                biases = module.attention_biases
                side = math.isqrt(biases.shape[1])
                biases.data = biases.data.unflatten(1, (side, side)).mT.flatten(1)
            if self.fault == "neglected dilation" and hasattr(module, "rpb"):
                module.dilation = 1

    def _break_outputs(self, outputs):
        gradients = [name for name in outputs if name.startswith("grad.")]
        largest = max(gradients, key=lambda name: float(outputs[name].abs().max()), default=None)
        plain = [name for name in outputs if not name.startswith("grad")]
        if self.fault == "swapped tensors":
            pairs = [(a, b) for a in plain for b in plain
                     if a < b and outputs[a].shape == outputs[b].shape
                     and float((outputs[a] - outputs[b]).abs().max()) > 1e-3]
            if not pairs:
                return None
            a, b = pairs[0]
            outputs[a], outputs[b] = outputs[b], outputs[a]
        elif self.fault == "missing buffer":
            buffers = [name for name in outputs if name.startswith("buffer.")]
            if not buffers:
                return None
            del outputs[buffers[-1]]
        elif self.fault == "missing tensor":
            del outputs[plain[0]]
        elif self.fault == "extra tensor":
            outputs["attentions.0"] = torch.zeros(1)
        elif self.fault == "not a number":
            outputs[plain[0]] = torch.full_like(outputs[plain[0]], float("nan"))
        elif self.fault == "transposed tensor":
            square = [name for name in plain if outputs[name].dim() == 4]
            if not square:
                return None
            right = outputs[square[0]]
            outputs[square[0]] = right.transpose(2, 3).reshape(right.shape)
            if not _is_visible({"": right}, {"": outputs[square[0]]}):
                return None  # a map of even attention
        elif self.fault in ("missing gradient", "scaled gradient"):
            if largest is None or float(outputs[largest].abs().max()) < 0.05:
                return None
            if self.fault == "missing gradient":
                del outputs[largest]
            else:
                outputs[largest] = outputs[largest] * 1.001
        return outputs


def _corrupts_memory(module):
    """torch 2.11 writes out of bounds for the weights' gradient of such a convolution of few
    channels in channels-last."""
    return isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1) \
        and module.stride != (1, 1)


def _is_visible(before, after):
    for name in before:
        if name in after and before[name].numel():
            change = float((before[name] - after[name]).abs().max())
            if change > max(LEAST_CHANGE, VISIBLE * float(before[name].abs().max())):
                return True
    return False
