"""Makes every file operation of a run that saves checkpoints go wrong, one at a time.

usage: fault_test.py SAVE_CHECKPOINTS FAIL_IO_LIBRARY

For each operation and each way to go wrong: after it there is a newest checkpoint that is whole, at
most one interval is lost, and the next start goes on from it, leaves no orphan, and ends with the
same files, to the byte, as a run that nothing happened to. A failure that is no kill is one line of
type CheckpointError and exit code 1. That what a power loss may undo is never relied on is checked
by the order of the operations. The manifests are read by this file's own code.
"""

import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM, LIBRARY = sys.argv[1:3]
STEPS = 4
KILLED = 137


def shared_memory():
    """A file system that syncs at once, if there is one: it is the order that counts here."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Run:
    """What one run said."""

    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[-1].split()[1])
        self.resumed = self.steps("resumed")
        self.saved = self.steps("saved")
        self.errors = [line[6:] for line in lines if line.startswith("error ")]
        self.passed_over = [line for line in lines if line.startswith("passed ")]

    def steps(self, word):
        return [int(line.split()[1]) for line in self.lines if line.startswith(word + " ")]


class Program:
    """One process that forks for each run."""

    def __init__(self):
        self.process = subprocess.Popen(
            [PROGRAM], env={**os.environ, "LD_PRELOAD": LIBRARY}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, folder, mode="nothing", at=0, error=0, trace="-", steps=STEPS):
        request = "\t".join(map(str, (folder, steps, mode, at, error, trace)))
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        lines = []
        while not lines or not lines[-1].startswith("exit "):
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"the program ended during: {request}")
            lines.append(line.rstrip("\n"))
        return Run(lines)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(folder):
    """Digest of each file below a folder, by name."""
    return {str(path.relative_to(folder)): digest(path)
            for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def problem_of(checkpoint):
    """What is wrong with a checkpoint folder, or None."""
    try:
        manifest = json.loads((checkpoint / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        return str(error)
    if manifest["step"] != int(checkpoint.name[5:]):
        return "another step"
    present = tree(checkpoint)
    present.pop("manifest.json")
    if present != {file["name"]: file["sha256"] for file in manifest["files"]}:
        return f"other files: {present}"
    sizes = {file["name"]: file["size"] for file in manifest["files"]}
    if any((checkpoint / name).stat().st_size != size for name, size in sizes.items()):
        return "other sizes"
    return None


def complete_checkpoints(folder):
    """Folders that bear the name of a complete checkpoint, by step."""
    return {int(path.name[5:]): path for path in folder.glob("checkpoints/step-*")
            if re.fullmatch(r"step-\d{8,}", path.name)}


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program = Program()
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-faults-", dir=shared_memory()))
        cls.root = cls.home / "reference"
        cls.operations = cls.traced(cls.root, [1, 2, 3, 4, 4])
        cls.reference = tree(cls.root)
        # A run that is resumed after the second step has the same result.
        cls.half = cls.home / "half"
        assert cls.program.run(cls.half, steps=2).saved == [1, 2, 2]
        resumed = cls.home / "resumed"
        shutil.copytree(cls.half, resumed)
        cls.resumed_operations = cls.traced(resumed, [3, 4, 4])
        assert tree(resumed) == cls.reference

    @classmethod
    def tearDownClass(cls):
        cls.program.close()
        shutil.rmtree(cls.home)

    @classmethod
    def traced(cls, folder, saved):
        trace = cls.home / "trace"
        trace.unlink(missing_ok=True)
        run = cls.program.run(folder, trace=trace)
        assert run.code == 0 and run.saved == saved, run.lines
        return [line.split("\t") for line in trace.read_text().splitlines()]

    def after_fault(self, folder, run, what):
        """What holds after every fault; then the next start."""
        saved = max(run.resumed + run.saved, default=2 if what.startswith("resumed") else 0)
        found = complete_checkpoints(folder)
        self.assertEqual({}, {step: problem for step, path in found.items()
                              if (problem := problem_of(path))}, what)
        newest = max(found, default=0)
        self.assertIn(newest, (saved, saved + 1), what)
        again = self.program.run(folder)
        self.assertEqual(0, again.code, (what, again.lines))
        self.assertEqual([newest], again.resumed, what)
        self.assertEqual([], again.passed_over, what)
        self.assertEqual([], leftovers(folder), what)
        self.assertEqual(self.reference, tree(folder), what)

    def each_operation(self, mode, error=0, only=None):
        """(what, folder, operation, run) of runs in which one operation goes wrong."""
        folder = self.home / "run"
        for kind, operations in (("new", self.operations), ("resumed", self.resumed_operations)):
            for at, operation in enumerate(operations, 1):
                if only is not None and operation[0] not in only:
                    continue
                shutil.rmtree(folder, ignore_errors=True)
                if kind == "resumed":
                    shutil.copytree(self.half, folder)
                yield f"{kind}, {mode} at {at}: {operation}", folder, operation, \
                    self.program.run(folder, mode, at, error)

    def test_reference(self):
        """The run itself: what is kept, and that there is something to go wrong."""
        names = sorted(path.name for path in (self.root / "checkpoints").iterdir())
        self.assertEqual(["step-00000002", "step-00000004"], names)
        kinds = {operation[0] for operation in self.operations}
        self.assertEqual({"create", "open", "read", "write", "fsync", "rename", "exchange",
                          "unlink", "mkdir"}, kinds)
        self.assertGreater(len(self.operations), 150)

    def test_killed_before_each_operation(self):
        for what, folder, _, run in self.each_operation("kill"):
            self.assertEqual(KILLED, run.code, what)
            self.after_fault(folder, run, what)

    def test_killed_within_or_after_each_operation(self):
        for what, folder, _, run in self.each_operation("torn"):
            self.assertEqual(KILLED, run.code, what)
            self.after_fault(folder, run, what)

    def fails(self, what, run, error, operation):
        if run.code == 0 and re.search(r"/step-\d+(/|$)", operation[1]):
            # A manifest that could not be read while looking for old checkpoints, or at the start a
            # checkpoint that could not: named, and the one before it taken.
            self.assertIn(operation[0], ("open", "read"), what)
            return
        self.assertEqual(1, run.code, (what, run.lines))
        self.assertEqual(1, len(run.errors), (what, run.lines))
        self.assertTrue(run.errors[0].startswith("[checkpoint] "), (what, run.errors))
        if operation[0] != "read":  # damage that a hash or JSON check may name instead
            self.assertIn(os.strerror(error), run.errors[0], what)

    def test_each_operation_fails_once(self):
        for error in (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EDQUOT):
            for what, folder, operation, run in self.each_operation("fail", error):
                self.fails(what, run, error, operation)
                if operation[0] not in ("unlink", "open"):  # those may be the cleaning up itself
                    self.assertEqual([], self.unfinished(folder, run, operation), what)
                self.after_fault(folder, run, what)

    def unfinished(self, folder, run, operation):
        """Leftovers of a failed save, once the system works again."""
        complete = f"checkpoint of step {max(complete_checkpoints(folder), default=0)} is complete"
        if run.errors and complete in run.errors[0]:
            return []  # what failed was the removal of an older one
        return leftovers(folder)

    def test_disk_that_breaks(self):
        for what, folder, operation, run in self.each_operation("fail_on", errno.EIO):
            self.fails(what, run, errno.EIO, operation)
            self.after_fault(folder, run, what)

    def test_disk_that_is_full(self):
        room = ("create", "write", "fsync", "rename", "exchange", "mkdir")
        for what, folder, operation, run in self.each_operation("full", errno.ENOSPC, room):
            self.fails(what, run, errno.ENOSPC, operation)
            self.assertEqual([], self.unfinished(folder, run, operation), what)
            self.after_fault(folder, run, what)

    def test_short_writes_are_carried_on(self):
        for what, folder, _, run in self.each_operation("short", only=("write",)):
            self.assertEqual(0, run.code, what)
            self.assertEqual(self.reference, tree(folder), what)

    def test_power_loss(self):
        """Nothing is renamed into place, and nothing old removed, before it is on the disk."""
        checkpoints = str(self.root / "checkpoints")
        unsynced_files, unsynced_folders = set(), set()
        unsynced_completion = unsynced_rename = False
        completed = 0
        for operation, path, target in self.operations:
            if operation == "fsync":
                unsynced_files.discard(path)
                unsynced_folders.discard(path)
                if path == checkpoints:
                    unsynced_completion = unsynced_rename = False
            elif operation == "write":
                unsynced_files.add(path)
            elif operation in ("create", "mkdir"):
                unsynced_folders.add(os.path.dirname(path))
                self.assertNotEqual("manifest.json", os.path.basename(path))
            elif operation == "unlink":
                self.assertFalse(unsynced_rename, f"{path}: its name might come back")
            elif operation in ("rename", "exchange"):
                if os.path.dirname(target) == checkpoints:
                    unsynced_rename = True
                    if target.endswith(".tmp"):
                        self.assertFalse(unsynced_completion, f"{path} removed for nothing")
                    else:
                        completed += 1
                        unsynced_completion = True
                        self.assertEqual([], self.inside(path, unsynced_files), target)
                        self.assertEqual([], self.inside(path, unsynced_folders), target)
                else:
                    self.assertNotIn(path, unsynced_files, target)
                    if os.path.basename(target) == "manifest.json":
                        self.assertEqual([], self.inside(os.path.dirname(path), unsynced_files))
                unsynced_folders |= {os.path.dirname(path), os.path.dirname(target)}
        self.assertEqual(STEPS + 1, completed)
        self.assertEqual([], self.inside(str(self.home), unsynced_files))
        self.assertNotIn(str(self.root), unsynced_folders)

    @staticmethod
    def inside(folder, paths):
        """Those of `paths` that are a folder or lie below it."""
        return sorted(path for path in paths if f"{path}/".startswith(f"{folder}/"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
