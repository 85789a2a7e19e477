"""Runs a Python test with the reference environment, or says that it is skipped without one.

usage: with_reference.py NAME TORCH_VERSION SCRIPT [ARGUMENT ...]

Skips, in the form that run_test.py counts, when .venv-reference is not there or has another torch
than the one that the ops were compiled with: their binary interfaces differ.
"""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-reference"


def reason_to_skip(version):
    if not (ENVIRONMENT / "bin" / "python").exists():
        return "there is no .venv-reference; scripts/reference_env.sh makes it"
    for path in ENVIRONMENT.glob("lib/python3*/site-packages/torch/version.py"):
        if f"'{version}+" in path.read_text() or f"'{version}'" in path.read_text():
            return None
    return f".venv-reference has no torch {version}"


def main():
    name, version, *command = sys.argv[1:]
    reason = reason_to_skip(version)
    if reason is not None:
        print(f"SKIPPED {name}: {reason}", file=sys.stderr)
        return
    python = str(ENVIRONMENT / "bin" / "python")
    sys.stderr.flush()
    os.execv(python, [python, *command])


if __name__ == "__main__":
    main()
