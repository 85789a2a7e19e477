"""Peers that live in a process of their own, for they need another release of Transformers."""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-reference" / "bin" / "python"
V5 = ROOT / ".venv-reference" / "v5"


def environment(v5):
    """Environment of a child with the reference environment's Transformers, or release 5."""
    paths = ([str(V5)] if v5 else []) + [str(ROOT / "scripts")]
    return {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}


@contextmanager
def worker(script, *arguments, v5, threads):
    """Starts scripts/bench/`script`: yields its Transformers' version and a candidate, a function
    that returns milliseconds. The process ends with the block."""
    process = subprocess.Popen(
        [PYTHON, Path(__file__).with_name(script), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **environment(v5), "OMP_NUM_THREADS": str(threads)})

    def measure():
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())["ms"]

    try:
        yield json.loads(process.stdout.readline())["version"], measure
    finally:
        process.stdin.close()
        process.wait()
