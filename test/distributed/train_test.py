"""`vizoo train` in one process and in several: the same weights come out.

usage: train_test.py PROGRAM
"""

import array
import json
import math
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
import unittest

from processes import LIMIT, clean_environment, run

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "stress"))
import kill_training  # noqa: E402

PROGRAM = sys.argv[1]
INTERRUPTED = 130
STEPS = 100
IMAGES = 26
BATCH = 6  # the last step of an epoch has two images: some of four processes have none
WHOLE_IMAGES = ("--no-random-resized-crop", "--no-flip")
CONVNEXT = {**kill_training.CONFIG, "drop_path_rate": 0.0}
# Small weights before a batch norm make it chaotic: rounding grows to something in a few steps, with
# one process too (other crops in each step: a learning rate changed by 1e-14 of itself moves weights
# by 0.19 in 100 steps). So they begin large, and every step has all images, whole.
LEVIT = {"architectures": ["LevitForImageClassification"], "model_type": "levit",
         "initializer_range": 1.0,
         "image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [1, 1, 1],
         "key_dim": [8, 8, 8], "depths": [1, 1, 1], "mlp_ratio": [2, 2, 2],
         "attention_ratio": [2, 2, 2], "drop_path_rate": 0}
LEVIT_PROCESSOR = {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 64},
                   "crop_size": {"height": 64, "width": 64}}


def read_weights(path):
    """{name: array of numbers} of the floating tensors of a safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    codes = {"F32": "f", "F64": "d"}
    return {name: array.array(codes[entry["dtype"]],
                              content[8 + length:][slice(*entry["data_offsets"])])
            for name, entry in json.loads(content[8:8 + length]).items()
            if name != "__metadata__" and entry["dtype"] in codes}


def relative_difference(expected, got):
    """Of all weights together, in the Euclidean norm."""
    assert sorted(expected) == sorted(got)
    difference = sum((a - b) ** 2 for name, values in expected.items()
                     for a, b in zip(values, got[name], strict=True))
    return math.sqrt(difference / sum(a * a for values in expected.values() for a in values))


class Train(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-distributed-"))
        kill_training.write_images(cls.home / "training", IMAGES, random.Random(1))
        kill_training.write_images(cls.home / "evaluation", 9, random.Random(2))
        for name, config, processor in (("convnext", CONVNEXT, kill_training.PROCESSOR),
                                        ("levit", LEVIT, LEVIT_PROCESSOR)):
            folder = cls.home / name
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps(config))
            (folder / "preprocessor_config.json").write_text(json.dumps(processor))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.home)

    def command(self, count, model, output, *options):
        start = [] if count == 1 else [PROGRAM, "launch", "--nproc", count, "--"]
        return [str(part) for part in (
            *start, PROGRAM, "train", "--config", self.home / model, "--train",
            self.home / "training", "--evaluation", self.home / "evaluation", "--output",
            self.home / output, "--seed", 5, "--workers", 1, "--threads", 1, "--mixup", 0,
            "--cutmix", 0, "--schedule", "constant", "--evaluate-every", 1000, *options)]

    def train(self, count, model, *options):
        """What comes out: the weights, and the log's losses."""
        output = self.home / "output"
        shutil.rmtree(output, ignore_errors=True)
        result = run(self.command(count, model, output, "--steps", STEPS, *options))
        self.assertEqual(0, result.returncode, result.stderr)
        log = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        losses = [entry["loss"] for entry in log if "loss" in entry and "evaluation" not in entry]
        self.assertEqual(STEPS, len(losses))
        return read_weights(output / "model.safetensors"), losses

    def check_equal(self, limit, model, *options):
        """Of one, two and four processes."""
        expected, losses = self.train(1, model, *options)
        self.assertLess(losses[-1], 0.9 * losses[0])  # something is learnt
        for count in (2, 4):
            got, other_losses = self.train(count, model, *options)
            self.assertLessEqual(relative_difference(expected, got), limit, count)
            for a, b in zip(losses, other_losses, strict=True):
                self.assertLessEqual(abs(a - b), 10 * limit * abs(a), count)

    def test_sgd(self):
        self.check_equal(1e-6, "convnext", "--batch", BATCH, "--optimizer", "sgd",
                         "--learning-rate", 0.02, *WHOLE_IMAGES)

    def test_adamw_with_clipping_and_average(self):
        self.check_equal(1e-6, "convnext", "--batch", BATCH, "--dtype", "float64",
                         "--learning-rate", 0.002, "--clip", 0.5, "--ema", 0.9)

    def test_synchronised_batch_norm(self):
        self.check_equal(1e-6, "levit", "--dtype", "float64", "--optimizer", "sgd", "--momentum", 0,
                         "--learning-rate", 0.002, "--batch", IMAGES, "--sync-batch-norm",
                         *WHOLE_IMAGES)

    def test_synchronised_batch_norm_with_fewer_samples_than_processes(self):
        """At the end of an epoch: two images for three processes with two parts each."""
        options = ("--batch", 8, "--accumulation", 2, "--learning-rate", 0.001, "--steps", 5,
                   "--sync-batch-norm")
        output = self.home / "short"
        result = run(self.command(3, "levit", output, *options))
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual([1, 2, 3, 4, 5], kill_training.log_steps(output)[0])
        result = run(self.command(3, "levit", self.home / "few", "--batch", 2, *options[2:]))
        self.assertEqual(1, result.returncode)
        self.assertIn("[training] sync_batch_norm: expected samples for all processes in the first "
                      "step, got none.\n", result.stderr)

    def test_stopped_and_resumed_with_another_number_of_processes(self):
        options = ("--batch", BATCH, "--dtype", "float64", "--learning-rate", 0.002,
                   "--save-every", 7)
        expected, _ = self.train(1, "convnext", *options)
        output = self.home / "stopped"
        for count, stop_after in ((4, 20), (2, 55), (3, None)):
            process = subprocess.Popen(
                self.command(count, "convnext", output, "--steps", STEPS, *options, "--resume"),
                env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True)
            while stop_after is not None and process.poll() is None and \
                    stop_after not in kill_training.log_steps(output)[0]:
                time.sleep(0.01)
            if stop_after is not None:
                process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=LIMIT)
            if stop_after is not None:
                self.assertEqual(INTERRUPTED, process.returncode, errors)
                (step,) = map(int, re.findall(r"(?m)^stopped at step (\d+), which is saved", errors))
                self.assertGreaterEqual(step, stop_after)
                self.assertEqual(step, max(kill_training.checkpoints(output)))
        self.assertEqual(0, process.returncode, errors)
        self.assertEqual(list(range(1, STEPS + 1)), kill_training.log_steps(output)[0])
        got = read_weights(output / "model.safetensors")
        self.assertLessEqual(relative_difference(expected, got), 1e-6)

    def test_a_folder_in_use_is_refused_by_all(self):
        output = self.home / "used"
        command = self.command(2, "convnext", output, "--steps", 1)
        self.assertEqual(0, run(command).returncode)
        result = run(command)
        self.assertEqual(1, result.returncode)
        self.assertIn("[usage] --output: expected a folder without checkpoints", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
