"""Runs a test program and fails if it skips a case that the list of allowed skips does not name.

usage: run_test.py ALLOWED_SKIPS PROGRAM [ARGUMENT ...]
"""

import pathlib
import subprocess
import sys


def main() -> int:
    allowed_file, *command = sys.argv[1:]
    lines = pathlib.Path(allowed_file).read_text().splitlines()
    allowed = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
    unexpected = []
    for line in program.stderr:
        sys.stderr.write(line)
        if line.startswith("SKIPPED "):
            name = line[len("SKIPPED "):].split(":", 1)[0].strip()
            if name not in allowed:
                unexpected.append(name)
    code = program.wait()
    for name in unexpected:
        print(f"{name!r} was skipped but is not in {allowed_file}", file=sys.stderr)
    return code or (1 if unexpected else 0)


if __name__ == "__main__":
    sys.exit(main())
