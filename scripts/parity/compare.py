"""Compares the program's tensors with the reference's, in forward order."""

from dataclasses import dataclass, field

import torch

from parity import tolerance
from parity.naming import forward_order
from parity.reference import is_defined


@dataclass
class Difference:
    """One thing that is wrong with one tensor."""

    name: str
    problem: str
    error: float = 0.0
    tolerance: float = 0.0
    index: tuple = ()
    ours: float = 0.0
    reference: float = 0.0

    def __str__(self):
        if not self.tolerance:
            return f"{self.name}: {self.problem}"
        return (f"{self.name}: {self.problem}: max error {self.error:.3e} > tolerance "
                f"{self.tolerance:.3e} at {list(self.index)}: "
                f"ours {self.ours:.9g}, reference {self.reference:.9g}")


@dataclass
class Comparison:
    differences: list = field(default_factory=list)  # in forward order
    tensors: int = 0
    worst: float = 0.0  # largest error / tolerance
    worst_name: str = ""

    @property
    def passed(self):
        return not self.differences


def compare(case, reference, ours):
    """Comparison of a case's output tensors `ours` with its `reference`."""
    if case.options.dtype == "float64":
        expected = {"float64": reference.native64()}
        measured = tolerance.maxima(expected["float64"], reference.exact64())
        tolerances = tolerance.float64_tolerances(measured, case.options.train_mode)
    elif case.options.dtype == "float32":
        expected = {"float64": reference.ref64, "float32": reference.ref32}
        measured = tolerance.maxima(reference.ref32, reference.ref64)
        tolerances = tolerance.float32_tolerances(measured, case.options.train_mode)
    else:
        expected = {"float64": reference.ref64}
        measured = tolerance.maxima(reference.half(case.options.dtype), reference.ref64)
        tolerances = tolerance.half_tolerances(measured)
    ours = {name: tensor for name, tensor in ours.items() if is_defined(case, name)}
    return compare_tensors(expected, ours, tolerances)


def compare_tensors(expected, ours, tolerances):
    """`expected`: {label: tensors by name}; ours must be within tolerance of each of them."""
    result = Comparison()
    names = list(next(iter(expected.values())))
    for name in forward_order(names):
        versions = {label: tensors[name] for label, tensors in expected.items()}
        if name not in ours:
            zero = not any(version.count_nonzero() for version in versions.values())
            if not (zero and tolerance.is_gradient(name)):
                result.differences.append(Difference(name, "is missing"))
            continue
        result.tensors += 1
        for label, version in versions.items():
            difference, ratio = compare_tensor(name, label, version, ours[name], tolerances[name])
            if ratio > result.worst:
                result.worst, result.worst_name = ratio, name
            if difference is not None:
                result.differences.append(difference)
                break
    for name in ours:
        if name not in names:
            result.differences.append(Difference(name, "is not in the reference's output"))
    return result


def compare_tensor(name, label, expected, ours, limit):
    """(Difference or None, error / tolerance)."""
    if list(expected.shape) != list(ours.shape):
        return Difference(name, f"expected shape {list(expected.shape)}, "
                                f"got {list(ours.shape)}"), float("inf")
    if expected.numel() == 0:
        return None, 0.0
    if not expected.is_floating_point() and not torch.equal(expected, ours.to(expected.dtype)):
        return Difference(name, f"integers differ from the {label} reference"), float("inf")
    expected, ours = expected.double(), ours.double()
    if not bool(torch.isfinite(ours).all()):
        where = _unravel(int((~torch.isfinite(ours)).flatten().int().argmax()), ours.shape)
        return Difference(name, f"not finite at {list(where)}"), float("inf")
    errors = (ours - expected).abs()
    error = errors.max().item()
    if error <= limit:
        return None, error / limit
    where = _unravel(int(errors.argmax()), errors.shape)
    return Difference(name, f"differs from the {label} reference", error, limit, where,
                      ours[where].item(), expected[where].item()), error / limit


def _unravel(flat, shape):
    where = []
    for size in reversed(shape):
        where.append(flat % size)
        flat //= size
    return tuple(reversed(where))
