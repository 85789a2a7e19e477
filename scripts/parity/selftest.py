"""Proves that the comparison finds errors and raises no false alarm (--self-test).

A stand-in that is right but rounds otherwise must pass on every case, and every fault must be found
in every case that it applies to (standin.py says when it does).
"""

import tempfile
from pathlib import Path

import torch

from parity.build import build_case
from parity.compare import compare
from parity.processors import compare_pixels
from parity.reference import load
from parity.standin import FAULTS, StandIn
from parity.v5_reference import reference_of


def self_test(family, seed, cases, say):
    """(passed, failed) checks; `say` prints a line."""
    applied = {fault: 0 for fault in FAULTS}
    found = {fault: 0 for fault in FAULTS}
    failed = passed = 0
    say(f"family {family.name}")
    for index in range(cases * len(family.classes)):
        with tempfile.TemporaryDirectory(prefix="vizoo-parity-") as folder:
            case = build_case(family, seed, index, Path(folder))
            reference, model = reference_of(case), load(case)
            clean = compare(case, reference, StandIn(family).forward(case, model))
            if clean.passed:
                passed += 1
            else:
                failed += 1
                say(f"false alarm: {case.rerun_command()}: {clean.differences[0]}")
            for fault in FAULTS:
                ours = StandIn(family, fault).forward(case, model)
                if ours is None:
                    continue
                applied[fault] += 1
                found[fault] += not compare(case, reference, ours).passed
    for fault in FAULTS:
        if applied[fault] == 0:
            say(f"not met: {fault}: applies to none of these cases; ask for more --cases")
            continue
        fine = found[fault] == applied[fault]
        passed, failed = passed + fine, failed + (not fine)
        say(f"{'ok' if fine else 'FAILED'}: {fault}: found in {found[fault]} of "
            f"{applied[fault]} cases that it applies to")
    fine = pixels_are_compared()
    say(f"{'ok' if fine else 'FAILED'}: one wrong byte, value, type or shape of pixels is found")
    return passed + fine, failed + (not fine)


def pixels_are_compared():
    """True if equal pixels pass and each single error does not."""
    pixels = torch.arange(60, dtype=torch.uint8).reshape(1, 3, 4, 5)
    real = pixels.float() / 255
    byte, value = pixels.clone(), real.clone()
    byte[0, 2, 3, 4] += 1
    value[0, 1, 2, 3] += 3e-6

    def problem(expected, ours, exact):
        return compare_pixels({"pixel_values": expected}, {"pixel_values": ours}, exact)[0]

    return (problem(pixels, pixels, True) is None and problem(real, real + 5e-7, False) is None
            and all((problem(pixels, byte, True), problem(real, value, False),
                     problem(pixels, pixels.float(), True),
                     problem(pixels, pixels.transpose(2, 3), True))))
