"""What the parts share: folders, device, time, and the form of what they report."""

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from gpu.sources import ROOT


@dataclass
class Session:
    device: str  # "cuda" or "cpu"; the latter is a dry run
    build: Path
    seed: int
    deadline: float  # of time.monotonic()
    architecture: str | None = None  # "90" for compute capability 9.0
    root: Path = ROOT

    @property
    def is_dry(self):
        return self.device == "cpu"

    @property
    def logs(self):
        return self.build / "gpu-check-logs"

    @property
    def program(self):
        return self.build / "bin" / "vizoo"

    @property
    def make_checkpoint(self):
        return self.build / "bin" / "vizoo_make_checkpoint"

    @property
    def test_program(self):
        return self.build / "test" / "gpu" / "vizoo_test_gpu"

    @property
    def ops_library(self):
        return self.build / "lib" / "libvizoo_ops.so"

    @property
    def choice_library(self):
        return self.build / "lib" / "libvizoo_kernel_choice.so"

    def remaining(self):
        return max(0.0, self.deadline - time.monotonic())

    def random(self, name):
        """A random stream of its own for each use."""
        return random.Random(f"{name}:{self.seed}")


@dataclass
class Part:
    """What a part found. `details` goes into the result as it is."""

    failures: list = field(default_factory=list)
    unavailable: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    details: dict = field(default_factory=dict)
    done: int = 0  # checks that passed or measurements that were made

    @property
    def status(self):
        if self.failures:
            return "failed"
        if not self.done:
            return "unavailable" if self.unavailable else "skipped"
        return "passed in part" if self.unavailable or self.skipped else "passed"

    def as_json(self):
        return {"status": self.status, "done": self.done, "failures": self.failures,
                "unavailable": self.unavailable, "skipped": self.skipped, **self.details}


def say(text):
    print(text, file=sys.stderr, flush=True)


def missing_products(*paths):
    """"" or which of the files that a part needs is not there."""
    for path in paths:
        if not path.exists():
            return f"{path.name} is not built in {path.parent}; run the part build first"
    return ""
