"""Runs a command; prints one JSON line: milliseconds, peak resident MiB, exit code, output.

A process of its own, and a small one: Linux counts the resident memory that a child shares with its
parent before exec, so a parent that has torch loaded would report its own size.
"""

import json
import resource
import subprocess
import sys
import time


def main(command):
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    elapsed = (time.perf_counter() - started) * 1e3
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"ms": elapsed, "peak_mib": peak, "exit_code": done.returncode,
                      "output": done.stdout.decode(errors="replace"),
                      "problem": done.stderr.decode(errors="replace")[-2000:]}))


if __name__ == "__main__":
    main(sys.argv[1:])
