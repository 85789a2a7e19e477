"""Cases that run a command of the program in a folder of their own, beside the reference."""

import json
import shutil
import subprocess
import tempfile
import time
import traceback
from pathlib import Path


def make_command_tasks(options, families, family_name, program):
    """The tasks of one harness, none if its family is not asked for."""
    if options.class_name or not any(family.name == family_name for family in families):
        return []
    indices = range(options.cases) if options.case is None else [options.case]
    return [{"seed": options.seed, "index": index, "program": str(program),
             "keep": options.keep or options.case is not None} for index in indices]


def run_command_case(task, kind, option, compare):
    """One case in a worker: a record for the log.

    compare(rng, program, folder, record) makes the case and fills in what differs; `kind` seeds its
    random numbers, `option` is that of scripts/parity.sh.
    """
    import torch

    from parity.case import case_random

    torch.set_num_threads(1)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"vizoo-parity-{kind}-{task['index']}-"))
    record = {"family": kind, "seed": task["seed"], "case": task["index"],
              "folder": str(folder), "differences": [], "tensors": 0,
              "rerun": f"scripts/parity.sh {option} --seed {task['seed']} --case {task['index']}"}
    try:
        compare(case_random(kind, task["seed"], task["index"]), task["program"], folder, record)
    except Exception:  # a defect of the harness must not pass for a result of the program
        record["differences"].append("harness: " + traceback.format_exc())
    record["passed"] = not record["differences"]
    record["seconds"] = round(time.monotonic() - started, 3)
    if record["passed"] and not task["keep"]:
        shutil.rmtree(folder, ignore_errors=True)
    return record


def run_command(program, *arguments):
    """The lines that the program printed, as JSON."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, timeout=300,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.decode()[-1000:].strip()}")
    return [json.loads(line) for line in done.stdout.decode().splitlines()]
