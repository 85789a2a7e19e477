"""How far the program may be from the reference: the rule of the tests, and nothing else.

Let ref32 and ref64 be one reference run in float32 and in float64 with the same parameters and
inputs. For a float32 run of ours the tolerance of a tensor is

    max(4 max|ref32 - ref64|, 8 m max|ref64|, floor)

    m     = median over the case's tensors of max|ref32 - ref64| / max|ref64|
    floor = min(2e-5, max(0.03 max|ref64|, 2e-7)), and 2e-5 for an all-zero tensor

and in train mode 20 and 40 take the places of 4 and 8.

What the terms do. The first is the reference's own rounding of that very tensor. A tensor can be
lucky, a loss above all: one number whose rounding happens to cancel. The second term protects
against luck with the rounding that is typical of the case. The floor keeps tiny tensors from
demanding more than float32 sums in another order can give, yet never exceeds 3 % of the tensor's
largest element (above 2e-7), so a wrong small tensor cannot hide below it. A tensor is all zero when
nothing but float64 rounding is left of it: at most 1e-12 of the largest of its group. Such is the
gradient of a bias of attention's keys, which shifts all scores of a query alike: the reference's own
float32 run then gives whatever its rounding leaves, and so does ours.

Gradients apart: outputs and gradients are two groups with a median of their own each. A backward
pass rounds more than a forward pass, and has many more tensors; one common median would loosen
the outputs by the gradients' noise, and a median of outputs alone would hold gradients to an
accuracy that the reference's own do not have. All-zero tensors take no part in a median.

Float64 runs: 1e-9, except where the reference forces float32 inside its float64 run. Which
tensors those are is measured, not listed: a third reference run, exact64, keeps the forced parts in
float64, and a tensor whose ref64 and exact64 differ by more than float64 rounding (1e-12 relative)
is a float32 result. It gets the rule above, with ref64 and exact64 in the places of ref32 and ref64
and the medians taken over such tensors.

Half types: the largest error against ref64 is at most 2 x that of the reference run in the same
half type + 1e-5. Asked for by --dtype only: one number, such as a loss, can fail this rule by luck,
when the reference's rounding happens to cancel.
"""

from dataclasses import dataclass
from statistics import median

EVAL_FACTORS = (4.0, 8.0)
TRAIN_FACTORS = (20.0, 40.0)
FLOAT64_TOLERANCE = 1e-9
FLOAT64_ROUNDING = 1e-12
HALF_FACTOR = 2.0
HALF_FLOOR = 1e-5
PIXEL_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Maxima:
    """Of one tensor: max|low - high| and max|high| (low: fewer digits, high: more digits)."""

    error: float
    size: float


def is_gradient(name):
    return name.startswith(("grad.", "grad_input."))


def maxima(low, high):
    """Maxima of each tensor that both runs have; `low` and `high` map names to tensors."""
    result = {}
    for name in high:
        if name not in low:
            continue
        if high[name].numel() == 0:
            result[name] = Maxima(0.0, 0.0)
            continue
        precise = high[name].double()
        error = (low[name].double() - precise).abs().max().item()
        result[name] = Maxima(error, precise.abs().max().item())
    return result


def floor(size, largest):
    """The least tolerance of a float32 tensor whose largest element is `size`, in a group of tensors
    whose largest element is `largest`."""
    if size <= FLOAT64_ROUNDING * largest:
        return 2e-5
    return min(2e-5, max(0.03 * size, 2e-7))


def median_error(measured, names):
    """m: the median relative error over `names`, 0 if all of them are zero."""
    ratios = [measured[name].error / measured[name].size for name in names if measured[name].size]
    return median(ratios) if ratios else 0.0


def groups(measured):
    """Outputs, and gradients apart."""
    return ([name for name in measured if not is_gradient(name)],
            [name for name in measured if is_gradient(name)])


def float32_tolerances(measured, train):
    """Tolerance of each tensor for a float32 run; `measured` from ref32 and ref64."""
    own, typical = TRAIN_FACTORS if train else EVAL_FACTORS
    result = {}
    for names in groups(measured):
        m = median_error(measured, names)
        largest = max((measured[name].size for name in names), default=0.0)
        for name in names:
            entry = measured[name]
            result[name] = max(own * entry.error, typical * m * entry.size,
                               floor(entry.size, largest))
    return result


def float64_tolerances(measured, train):
    """Tolerance of each tensor for a float64 run; `measured` from ref64 and exact64."""
    own, typical = TRAIN_FACTORS if train else EVAL_FACTORS
    result = {}
    for names in groups(measured):
        forced = [name for name in names
                  if measured[name].error > FLOAT64_ROUNDING * measured[name].size]
        m = median_error(measured, forced)
        largest = max((measured[name].size for name in names), default=0.0)
        for name in names:
            entry = measured[name]
            result[name] = FLOAT64_TOLERANCE
            if name in forced:
                result[name] = max(own * entry.error, typical * m * entry.size,
                                   floor(entry.size, largest))
    return result


def half_tolerances(measured):
    """Tolerance of each tensor against ref64; `measured` from the half-type run and ref64."""
    return {name: HALF_FACTOR * entry.error + HALF_FLOOR for name, entry in measured.items()}
