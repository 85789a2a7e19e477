"""Runs Transformers on a case: float32, float64, and float64 with no part forced to float32.

The version is that of the process: 4.37.2, or 5.17 in the child of v5_reference.py.
"""

import copy
from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
import transformers

from parity.components import build_components, names_components, resized_positions
from parity.naming import flatten_output, name_output, nest_arguments

# A constructor argument of the program's DINOv2: the rule by which 4.37.2 or by which 5.x resizes
# the table of positions. Upstream has no such argument; its version decides.
INTERPOLATION = "position_interpolation"
DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16")}


def load(case, **options):
    """The model of the case in float32; `options`: more arguments of `from_pretrained`."""
    model_class = getattr(transformers, case.class_name)
    overrides = case.options.overrides
    arguments = {key: value for key, value in case.options.model_args.items()
                 if key != INTERPOLATION}
    if names_components(arguments):
        overrides = {"config": model_class.config_class.from_pretrained(case.folder, **overrides)}
        arguments = build_components(overrides["config"], arguments)
    model = model_class.from_pretrained(case.folder, **overrides, **arguments, **options)
    model.train(case.options.train_mode)
    return model


def interpolates_by_size(model_args):
    return model_args.get(INTERPOLATION) == "size"


def needs_resized_positions(case):
    """Whether the case resizes a Perceiver's positions, which this version does not do itself."""
    return case.family == "perceiver" and "interpolate_pos_encoding" in case.inputs \
        and transformers.__version__.startswith("4.")


@contextmanager
def interpolation_by_size():
    """4.37.2 maps positions by scale factors; here by the sizes that follow, as 5.x does."""
    original = torch.nn.functional.interpolate

    def interpolate(image, size=None, scale_factor=None, **kwargs):
        if scale_factor is not None:
            size = [int(side * scale) for side, scale in zip(image.shape[-2:], scale_factor)]
        return original(image, size=size, **kwargs)

    with mock.patch.object(torch.nn.functional, "interpolate", interpolate):
        yield


class RandomTape:
    """Keeps the uniform numbers that a run draws, so that a run in another dtype can use them.

    `torch.rand` in float64 takes more of the generator's output than in float32: the same seed
    gives other numbers, hence other drop-path masks. The generator's state after each draw is kept
    as well: dropout draws from it in between, and alike for every dtype.
    """

    def __init__(self):
        self.draws = []

    @contextmanager
    def record(self):
        original = torch.rand

        def rand(*args, **kwargs):
            values = original(*args, **kwargs)
            self.draws.append((values, torch.get_rng_state()))
            return values.clone()

        with mock.patch.object(torch, "rand", rand):
            yield

    @contextmanager
    def replay(self):
        draws = iter(self.draws)

        def rand(*args, dtype=None, **kwargs):
            values, state = next(draws)
            torch.set_rng_state(state)
            # A copy: callers change the numbers in place. LeViT asks for no type, which is float32.
            return values.to(dtype or torch.get_default_dtype(), copy=True)

        with mock.patch.object(torch, "rand", rand):
            yield


@contextmanager
def keep_float64():
    """`tensor.float()` and `tensor.to(torch.float32)` leave float64 tensors as they are: no part is
    forced to float32."""
    original_float, original_to = torch.Tensor.float, torch.Tensor.to

    def to_float(self, *args, **kwargs):
        return self if self.dtype == torch.float64 else original_float(self, *args, **kwargs)

    def to(self, *args, **kwargs):
        wanted = kwargs.get("dtype", args[0] if args else None)
        if self.dtype == torch.float64 and wanted is torch.float32:
            return self
        return original_to(self, *args, **kwargs)

    with mock.patch.object(torch.Tensor, "float", to_float), \
            mock.patch.object(torch.Tensor, "to", to):
        yield


@contextmanager
def full_in_float64():
    """A causal mask starts as float32 upstream, whatever the model's type, and float64's least
    number does not fit in it: torch.full makes float64 of such numbers."""
    original = torch.full

    def full(size, fill_value, *args, dtype=None, **kwargs):
        if dtype is None and abs(fill_value) > torch.finfo(torch.float32).max:
            dtype = torch.float64
        return original(size, fill_value, *args, dtype=dtype, **kwargs)

    with mock.patch.object(torch, "full", full):
        yield


def run(model, case, dtype="float32", context=None):
    """Output tensors by name, gradients and changed buffers included, of one run."""
    # Runs work on copies, so that `model` never runs itself: LeViT keeps the attention biases of
    # its first evaluation, in the type that they had there.
    model = copy.deepcopy(model).to(DTYPES[dtype])
    keyword_inputs = {}
    for name, tensor in case.inputs.items():
        tensor = tensor.to(DTYPES[dtype]) if tensor.is_floating_point() else tensor
        if name != "cotangent" and case.options.gradients and tensor.is_floating_point():
            tensor = tensor.clone().requires_grad_()
        # A flag, such as return_loss, is a tensor in a file and a bool in Python.
        is_flag = tensor.dtype == torch.bool and tensor.dim() == 0
        keyword_inputs[name] = tensor.item() if is_flag else tensor
    cotangent = keyword_inputs.pop("cotangent", None)
    if case.options.output_hidden_states:
        keyword_inputs["output_hidden_states"] = True
    if case.options.output_attentions:
        keyword_inputs["output_attentions"] = True

    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    if case.options.seed is not None:
        torch.manual_seed(case.options.seed)
    call = getattr(model, case.options.method) if case.options.method else model
    resizes = needs_resized_positions(case)
    if resizes:
        del keyword_inputs["interpolate_pos_encoding"]
    by_size = interpolates_by_size(case.options.model_args)
    with context or nullcontext(), interpolation_by_size() if by_size else nullcontext(), \
            resized_positions() if resizes else nullcontext(), full_in_float64(), \
            torch.set_grad_enabled(bool(case.options.gradients)):
        returned = call(**nest_arguments(keyword_inputs))
        outputs = flatten_output(name_output(case.options.method, returned))
        if case.options.gradients:
            field = outputs[case.options.gradients]
            (field if cotangent is None else (field * cotangent).sum()).backward()

    result = {name: tensor.detach() for name, tensor in outputs.items()}
    if case.options.train_mode:
        for name, buffer in model.named_buffers():
            if not torch.equal(buffer, buffers[name]):
                result[f"buffer.{name}"] = buffer.detach()
    if case.options.gradients:
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                result[f"grad.{name}"] = parameter.grad.detach()
        for name, tensor in keyword_inputs.items():
            if isinstance(tensor, torch.Tensor) and tensor.grad is not None:
                result[f"grad_input.{name}"] = tensor.grad.detach()
    return {name: tensor.contiguous() for name, tensor in result.items() if is_defined(case, name)}


def is_defined(case, name):
    """False for a tensor that a fresh random initialisation decides."""
    return not name.startswith(tuple(case.undefined)) if case.undefined else True


class Reference:
    """The runs that the tolerance rule needs, made when asked for."""

    def __init__(self, case, **options):
        self.case = case
        self.model = load(case, **options)
        tape = RandomTape()
        self.ref32 = run(self.model, case, "float32", tape.record())
        self.ref64 = run(self.model, case, "float64", tape.replay())

    def native64(self):
        """The float64 run that draws its own random numbers, as a float64 program does."""
        return run(self.model, self.case, "float64") if self.case.options.train_mode else self.ref64

    def exact64(self):
        """The float64 run without the parts that upstream forces to float32."""
        return run(self.model, self.case, "float64", keep_float64())

    def half(self, dtype):
        return run(self.model, self.case, dtype)
