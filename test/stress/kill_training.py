"""Kills `vizoo train` at random moments and resumes it, until it is done; again and again.

usage: kill_training.py PROGRAM [--kills N] [--seed S]

A run that nothing happens to comes first. Then runs of the same options are killed (SIGKILL) up to
eight times each, until N kills have hit a process that was alive. After every kill: each folder
that bears a complete checkpoint's name is one, by this file's own reading of its manifest; the
newest is at most one interval of --save-every behind the log; the next start takes up just that
one. At the end of each run: the weights, the optimizer, the averages, the random state and the
position are, to the byte, those of the run that nothing happened to; the log has each step once;
nothing unfinished is left.

The model is a small ConvNeXT with drop path, from scratch, on pictures made here; mixup, cutmix,
random crops, averages and two threads that read. Moments are chosen by the clock, but what is
checked holds for all of them.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

CLASSES = 3
SIDE = 16
TRAINING_IMAGES = 36
EVALUATION_IMAGES = 9
EPOCHS = 6
BATCH = 8  # five steps an epoch, the last one of four images
STEPS = EPOCHS * 5
SAVE_EVERY = 3
MOST_KILLS_OF_A_RUN = 8
CONFIG = {"architectures": ["ConvNextForImageClassification"], "model_type": "convnext",
          "num_channels": 3, "patch_size": 4, "num_stages": 2, "hidden_sizes": [8, 16],
          "depths": [1, 1], "drop_path_rate": 0.3, "image_size": SIDE}
PROCESSOR = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": SIDE}}


def write_png(path, pixels):
    """Rows of bytes, RGB."""
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content
                + struct.pack(">I", zlib.crc32(kind + content)))

    header = struct.pack(">IIBBBBB", len(pixels[0]) // 3, len(pixels), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in pixels))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
                     + chunk(b"IEND", b""))


def write_images(folder, count, rng):
    """Noise with a bright third, at another place for each class."""
    for number in range(count):
        label = number % CLASSES
        rows = []
        for y in range(SIDE):
            bright = y * CLASSES // SIDE == label
            rows.append(bytes(rng.randrange(100) + 140 * bright for _ in range(3 * SIDE)))
        write_png(folder / f"class{label}" / f"{number:03}.png", rows)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def problem_of(checkpoint):
    """What is wrong with a folder that is called a complete checkpoint, or None."""
    try:
        manifest = json.loads((checkpoint / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        return str(error)
    if manifest["step"] != int(checkpoint.name[5:]):
        return "another step"
    expected = {file["name"]: (file["size"], file["sha256"]) for file in manifest["files"]}
    found = {str(path.relative_to(checkpoint)): (path.stat().st_size, digest(path))
             for path in checkpoint.rglob("*")
             if path.is_file() and path.name != "manifest.json"}
    return None if expected == found else f"other files: {sorted(found)}"


def checkpoints(output):
    return {int(path.name[5:]): path for path in output.glob("checkpoints/step-*")
            if re.fullmatch(r"step-\d{8,}", path.name)}


def log_steps(output):
    """Steps of the log's whole lines; of evaluations apart."""
    steps, evaluations = [], []
    if (output / "log.jsonl").exists():
        for line in (output / "log.jsonl").read_text().split("\n")[:-1]:
            entry = json.loads(line)
            (evaluations if "evaluation" in entry else steps).append(entry["step"])
    return steps, evaluations


def outcome(output):
    """Everything that must not depend on kills: digests, and training.json but for the time."""
    last = checkpoints(output)[STEPS]
    state = json.loads((last / "training.json").read_text())
    del state["elapsed_seconds"]
    files = [last / name for name in ("model.safetensors", "optimizer.safetensors",
                                      "ema.safetensors", "random-0.safetensors")]
    files += [output / name for name in ("model.safetensors", "config.json")]
    return {"training.json": state,
            **{str(path.relative_to(output)): digest(path) for path in files}}


class Stress:
    def __init__(self, program, seed, home):
        self.program = os.path.abspath(program)
        self.rng = random.Random(seed)
        self.home = home
        self.lost = []
        self.while_saving = 0
        for name, content in (("config.json", CONFIG), ("preprocessor_config.json", PROCESSOR)):
            (home / "config").mkdir(exist_ok=True)
            (home / "config" / name).write_text(json.dumps(content))
        write_images(home / "training", TRAINING_IMAGES, random.Random(1))
        write_images(home / "evaluation", EVALUATION_IMAGES, random.Random(2))
        self.output = home / "reference"
        started = time.monotonic()
        assert self.finish(self.start()) == (False, None)
        self.duration = time.monotonic() - started
        self.reference = outcome(self.output)

    def start(self):
        """Begins or resumes the run in self.output."""
        return subprocess.Popen(
            [self.program, "train", "--config", self.home / "config", "--train",
             self.home / "training", "--evaluation", self.home / "evaluation", "--output",
             self.output, "--epochs", str(EPOCHS), "--batch", str(BATCH), "--save-every",
             str(SAVE_EVERY), "--ema", "0.9", "--warmup-steps", "3", "--learning-rate", "0.002",
             "--workers", "2", "--threads", "1", "--seed", "11", "--resume"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        """Waits for its end, which must be a good one or a kill. Returns (whether it was killed,
        the step that it was resumed at or None if it did not get so far)."""
        _, problem = process.communicate()
        if process.returncode not in (0, -signal.SIGKILL):
            raise AssertionError(f"exit code {process.returncode}: {problem}")
        return process.returncode != 0, self.resumed(problem)

    @staticmethod
    def resumed(text):
        found = re.search(r"^resumed at step (\d+)$", text, re.MULTILINE)
        return int(found[1]) if found else None

    def kill_somewhere(self, process, done):
        """At any moment, or just after a step that has not been done before, where a checkpoint may
        be under way."""
        if done == STEPS or self.rng.random() < 0.5:
            time.sleep(self.rng.uniform(0.0, self.duration))
        else:
            step = self.rng.randint(done + 1, STEPS)
            while process.poll() is None and step not in log_steps(self.output)[0]:
                time.sleep(0.001)
            time.sleep(self.rng.uniform(0.0, self.duration / STEPS))
        process.kill()

    def check_kill(self):
        """What holds after a kill. Returns the step of the newest checkpoint."""
        found = checkpoints(self.output)
        problems = {step: problem for step, path in found.items() if (problem := problem_of(path))}
        assert not problems, f"not whole: {problems}"
        newest = max(found, default=0)
        done = max(log_steps(self.output)[0], default=0)
        assert done - newest <= SAVE_EVERY, f"the log is at step {done}, the checkpoint at {newest}"
        self.lost.append(max(0, done - newest))
        self.while_saving += any((self.output / "checkpoints").glob("*.tmp"))
        return newest

    def check_end(self):
        steps, evaluations = log_steps(self.output)
        assert steps == list(range(1, STEPS + 1)), f"the log's steps: {steps}"
        expected = list(range(5, STEPS + 1, 5))
        assert sorted(set(evaluations)) == expected, f"the log's evaluations: {evaluations}"
        result = outcome(self.output)
        assert result == self.reference, f"expected {self.reference}, got {result}"
        left = [path.name for path in self.output.rglob("*") if path.name.endswith(".tmp")]
        assert not left, f"left: {left}"

    def run(self, most_kills):
        """One run; returns how often it was killed."""
        self.output = self.home / "run"
        shutil.rmtree(self.output, ignore_errors=True)
        killed, newest = 0, 0
        while True:
            done = max(log_steps(self.output)[0], default=0)
            process = self.start()
            if killed < most_kills:
                self.kill_somewhere(process, done)
            was_killed, resumed = self.finish(process)
            # A run that was killed early has not said yet what it takes up.
            assert resumed == (newest or None) or was_killed and resumed is None, \
                f"resumed at {resumed}, not at {newest}"
            if not was_killed:
                self.check_end()
                return killed
            killed += 1
            newest = self.check_kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    home = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-kill-"))
    try:
        stress = Stress(options.program, options.seed, home)
        print(f"a whole run takes {stress.duration:.1f} s", flush=True)
        kills, runs = 0, 0
        while kills < options.kills:
            kills += stress.run(min(MOST_KILLS_OF_A_RUN, options.kills - kills))
            runs += 1
            print(f"{kills} kills, {runs} runs that ended as they should", flush=True)
        lost = {steps: stress.lost.count(steps) for steps in sorted(set(stress.lost))}
        print(f"steps lost by a kill, and how often: {lost}; kills that left a checkpoint "
              f"unfinished: {stress.while_saving}")
    finally:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
