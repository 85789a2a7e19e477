"""Proves that the comparison finds errors and raises no false alarm: `scripts/parity.sh --self-test`.

A stand-in that is right but rounds otherwise must pass on every case, and every fault must be found
in every case that it applies to (standin.py says when it does).
"""

import tempfile
from pathlib import Path

from parity.build import build_case
from parity.compare import compare
from parity.reference import Reference
from parity.standin import FAULTS, StandIn


def self_test(family, seed, cases, say):
    """(passed, failed) checks; `say` prints a line."""
    applied = {fault: 0 for fault in FAULTS}
    found = {fault: 0 for fault in FAULTS}
    failed = passed = 0
    for index in range(cases * len(family.classes)):
        with tempfile.TemporaryDirectory(prefix="vizoo-parity-") as folder:
            case = build_case(family, seed, index, Path(folder))
            reference = Reference(case)
            clean = compare(case, reference, StandIn().forward(case, reference.model))
            if clean.passed:
                passed += 1
            else:
                failed += 1
                say(f"false alarm: {case.rerun_command()}: {clean.differences[0]}")
            for fault in FAULTS:
                ours = StandIn(fault).forward(case, reference.model)
                if ours is None:
                    continue
                applied[fault] += 1
                found[fault] += not compare(case, reference, ours).passed
    for fault in FAULTS:
        fine = applied[fault] > 0 and found[fault] == applied[fault]
        passed, failed = passed + fine, failed + (not fine)
        say(f"{'ok' if fine else 'FAILED'}: {fault}: found in {found[fault]} of "
            f"{applied[fault]} cases that it applies to")
    return passed, failed
