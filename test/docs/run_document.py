"""Runs the blocks of one page as a reader would: saves files, types commands, compares the output.

usage: run_document.py DOCUMENT SOURCE BUILD WORK MAKE_CHECKPOINT TORCH_VERSION

`sh` blocks run in bash, one after the other; variables that they export and the folder that they
change to hold for the next one. `python` blocks run with the reference environment, if it is there.
A program that a block leaves running is ended when the page is done. Blocks that cannot be run in a
test stand in not_run.md with the reason; an entry there that no block of the page equals is an
error.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from blocks import agrees, blocks, problems
from sandbox import Sandbox

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))
import with_reference  # noqa: E402

SECONDS = 300  # of one block
# What would install packages, or configure and compile the checkout: never run by a test.
FORBIDDEN = re.compile(r"scripts/\w+\.sh|\bapt(-get)?\b|\bsudo\b|cmake --preset|"
                       r"(cmake|ninja) (--build|-C|-B) *build/\w+ *($|&)", re.MULTILINE)


def not_run(document):
    """The blocks of a page that are not run: text -> reason."""
    entries = {}
    for block in blocks((HERE / "not_run.md").read_text()):
        if block.heading == document:
            if not block.paragraph:
                raise ValueError(f"not_run.md, line {block.line}: expected a reason above it")
            entries[block.text] = block.paragraph
    return entries


class Shell:
    """What is left from one block for the next: variables, the folder, programs."""

    def __init__(self, sandbox):
        self.folder = sandbox.work / "shell"
        self.folder.mkdir()
        self.processes = []
        self.checkout = sandbox.checkout
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(sandbox.home), "TERM": "dumb",
                            "LC_ALL": "C.UTF-8"}

    def run(self, text):
        """(exit code, stdout, stderr) of a block."""
        state = self.folder / "state"
        block, out, err = (self.folder / name for name in ("block", "stdout", "stderr"))
        block.write_text(text)
        state.touch()
        program = (f". '{state}'\n"
                   f"trap 'code=$?; {{ export -p; printf \"cd %q\\n\" \"$PWD\"; }} >\"{state}\"; "
                   f"exit $code' EXIT\n"
                   f"set -euo pipefail\n. '{block}'\n")
        return self.start(["bash", "-c", program], out, err)

    def start(self, command, out, err):
        # Files, not pipes: a server that a block leaves running keeps them open.
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(command, cwd=self.checkout, env=self.environment,
                                       stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                       start_new_session=True)
            self.processes.append(process)
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                code = f"nothing: it still runs after {SECONDS} s"
        return code, out.read_text(errors="replace"), err.read_text(errors="replace")

    def python(self, text):
        script = self.folder / "example.py"
        script.write_text(text)
        return self.start([str(with_reference.ENVIRONMENT / "bin/python"), str(script)],
                          self.folder / "stdout", self.folder / "stderr")

    def close(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Runner:
    def __init__(self, document, sandbox, shell, torch_version):
        self.document, self.sandbox, self.shell = document, sandbox, shell
        self.excluded = not_run(document)
        self.no_python = with_reference.reason_to_skip(torch_version)
        self.failures, self.result = [], None

    def run(self, found):
        matched = set()
        for block in found:
            if block.text in self.excluded:
                matched.add(block.text)
                self.result = None
                print(f"{self.document}:{block.line}: not run: {self.excluded[block.text]}")
            else:
                self.step(block)
        for text in self.excluded.keys() - matched:
            self.failures.append(f"not_run.md: no block of {self.document} equals\n{text}")

    def step(self, block):
        if "file" in block.attributes:
            path = self.shell_folder() / block.attributes["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "sh" and FORBIDDEN.search(block.text):
            self.failures.append(f"{self.document}:{block.line}: expected an entry in not_run.md "
                                 f"for commands that set up or build the checkout, got none, for\n"
                                 f"{block.text}")
            self.result = None
        elif block.language == "sh":
            self.execute(block, self.shell.run, int(block.attributes.get("exit", 0)))
        elif block.language == "python" and "plain" not in block.attributes:
            if self.no_python:
                print(f"SKIPPED docs_python: {self.no_python}", file=sys.stderr)
                self.result = None
            else:
                self.execute(block, self.shell.python, 0)
        elif block.language == "text" and "plain" not in block.attributes and self.result:
            self.compare(block)

    def shell_folder(self):
        """Where the commands before this have changed to."""
        code, out, _ = self.shell.run('printf %s "$PWD"\n')
        assert code == 0
        return pathlib.Path(out)

    def execute(self, block, run, expected):
        code, out, err = self.result = run(block.text)
        print(f"{self.document}:{block.line}: {block.language}, ended with {code}")
        if code != expected:
            self.failures.append(f"{self.document}:{block.line}: expected exit code {expected}, "
                                 f"got {code}, from\n{block.text}---- stdout\n{out}"
                                 f"---- stderr\n{err}")

    def compare(self, block):
        _, out, err = self.result
        actual = err if "stderr" in block.attributes else out
        if not agrees(block.text, actual, "approximate" in block.attributes):
            self.failures.append(f"{self.document}:{block.line}: expected the output\n{block.text}"
                                 f"---- got\n{actual}")


def main():
    document = sys.argv[1]
    source, build, work, make_checkpoint = (pathlib.Path(argument).resolve()
                                            for argument in sys.argv[2:6])
    page = (source / document).read_text()
    found = blocks(page)
    failures = [f"{document}: {problem}" for problem in problems(found)]
    if not any(block.language == "sh" for block in found):
        failures.append(f"{document}: expected commands, got none")
    if not failures:
        sandbox = Sandbox(source, build, work, make_checkpoint)
        sandbox.provide(page)
        shell = Shell(sandbox)
        runner = Runner(document, sandbox, shell, sys.argv[6])
        try:
            runner.run(found)
        finally:
            shell.close()
        failures = runner.failures
    for failure in failures:
        print(f"\n{failure}", file=sys.stderr)
    if not failures:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
