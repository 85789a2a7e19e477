"""compute-sanitizer on a few small problems of every kernel."""

import os
import re
import shutil
import sys

from gpu.process import run
from gpu.session import Part, missing_products

LIMIT = 150
TOOLS = {"memcheck": ["--report-api-errors", "no"], "racecheck": [], "initcheck": []}
PLACES = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer",
          "/usr/local/cuda/extras/compute-sanitizer")
REFUSALS = ("Device not supported", "not supported on this", "Unable to find injection library",
            "Failed to initialize", "Target application terminated before first instrumented API")
SUMMARY = re.compile(r"(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)")


def find_program():
    found = shutil.which("compute-sanitizer")
    if found:
        return found
    for place in PLACES:
        path = os.path.join(place, "compute-sanitizer")
        if os.access(path, os.X_OK):
            return path
    return None


def classify(output, code):
    """(passed, failed or unavailable; the reason) of one run under the sanitizer.

    Passed needs its summary with no error and the word of the program that it did all its work.
    """
    for refusal in REFUSALS:
        if refusal in output:
            return "unavailable", f"the sanitizer refuses: {refusal}"
    counts = [int(first or second) for first, second in SUMMARY.findall(output)]
    if not counts:
        return "unavailable", "the sanitizer gave no summary"
    if sum(counts) > 0:
        lines = [line for line in output.splitlines() if line.startswith("=========")]
        return "failed", "\n".join(lines[:14])
    if code != 0 or "all problems done" not in output:
        return "failed", "\n".join([f"exit code {code}", *output.strip().splitlines()[-8:]])
    return "passed", ""


def sanitizer(session):
    part = Part()
    program = find_program()
    command = [sys.executable, "-m", "gpu.sanitizer_problems", session.device,
               session.ops_library, session.choice_library]
    # Every tensor in an allocation of its own, so that its end is the end of an allocation.
    environment = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "OMP_NUM_THREADS": "1"}
    missing = missing_products(session.ops_library, session.choice_library)
    if missing:
        part.failures.append(f"sanitizer: {missing}")
        return part
    # Without the sanitizer first: what fails then is no finding of its.
    plain = run(command, min(LIMIT, session.remaining()), environment,
                log=session.logs / "sanitizer-plain.txt")
    if not plain.ok or "all problems done" not in plain.output:
        part.failures.append(f"sanitizer: the problems fail without it: {plain.problem()}")
        return part
    part.details["problems"] = plain.output.count("problem ")
    part.details["tools"] = {}
    for tool, options in TOOLS.items():
        if session.is_dry or program is None:
            reason = "needs a GPU" if session.is_dry else "compute-sanitizer is not installed"
            part.unavailable.append(f"sanitizer {tool}: {reason}")
            part.details["tools"][tool] = {"status": "unavailable", "reason": reason}
            continue
        finished = run([program, "--tool", tool, "--error-exitcode", "99", *options, *command],
                       min(LIMIT, session.remaining()), environment,
                       log=session.logs / f"sanitizer-{tool}.txt")
        if finished.code is None:
            part.skipped.append(f"sanitizer {tool}: not done within {finished.seconds:.0f} s")
            part.details["tools"][tool] = {"status": "skipped", "reason": "time limit"}
            continue
        status, reason = classify(finished.output, finished.code)
        part.details["tools"][tool] = {"status": status, "reason": reason,
                                       "seconds": round(finished.seconds, 1)}
        if status == "passed":
            part.done += 1
        else:
            getattr(part, "failures" if status == "failed" else "unavailable").append(
                f"sanitizer {tool}: {reason}")
    return part
