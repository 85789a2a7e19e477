"""Runs `vizoo plot` on the logs of training runs.

usage: plot_test.py PROGRAM ON|OFF      (whether the program was built with OpenCV)
"""

import json
import math
import struct

import support
from support import ProgramTest, vizoo


def write_log(path, steps=200, rate=1e-3, evaluate_every=50):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as log:
        for step in range(1, steps + 1):
            log.write(json.dumps({
                "step": step, "epoch": step // 50, "loss": 2.3 * math.exp(-step / 60) + 0.05,
                "learning_rate": rate * (1 - step / steps), "images_per_second": 210.5,
                "gradient_norm": 1.2}) + "\n")
            if step % evaluate_every == 0:
                log.write(json.dumps({
                    "step": step, "epoch": step // 50,
                    "evaluation": {"top1": 1 - 1 / step, "loss": 1 / step}}) + "\n")
    return path


def picture_size(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


class Plots(ProgramTest):
    def setUp(self):
        super().setUp()
        if not support.WITH_OPENCV:
            self.skipTest("built without OpenCV")
        self.output = self.folder / "curve.png"
        self.log = write_log(self.folder / "run" / "log.jsonl")

    def plot(self, *arguments):
        return vizoo("plot", "--output", self.output, *arguments)

    def test_one_log(self):
        result = self.plot(self.log)
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertEqual(f"{self.output}  1200 x 749 pixels: loss, learning rate, "
                         "top-1 accuracy\n", result.stdout)
        self.assertEqual((1200, 749), picture_size(self.output))
        # The folder of a run stands for its log, whatever else lies there.
        content = self.output.read_bytes()
        self.assertEqual(0, self.plot(self.log.parent).returncode)
        self.assertEqual(content, self.output.read_bytes())

    def test_several_logs(self):
        other = write_log(self.folder / "other" / "log.jsonl", rate=1e-4)
        result = self.plot(self.log, other, "--width", 800, "--height", 200, "--title", "both")
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertEqual((800, 34 + 200 + 150 + 14), picture_size(self.output))
        folders = self.output.read_bytes()
        named = self.plot(self.log, other, "--name", "a", "--name", "b", "--width", 800, "--height",
                          200, "--title", "both")
        self.assertEqual((0, ""), (named.returncode, named.stderr))
        self.assertNotEqual(folders, self.output.read_bytes())

    def test_killed_and_remarks(self):
        """A half last line, lines without a step, values that are null."""
        with self.log.open("a") as log:
            log.write('{"note": "resumed"}\n{"step": 201, "loss": null}\n{"step": 202, "lo')
        result = self.plot(self.log)
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_many_metrics(self):
        line = {"step": 1, "evaluation": {f"m{i:02}": i for i in range(15)}}
        self.log.write_text(json.dumps(line) + "\n")
        result = self.plot(self.log)
        self.assertEqual(0, result.returncode)
        self.assertEqual("[plot] 3 metrics left out: the picture has room for 12.\n", result.stderr)

    def test_bad_logs(self):
        log = self.log
        nothing = (f"{log}: expected lines with \"step\" and numbers in \"loss\" or "
                   "\"evaluation\", got none. The log of a training run has them once it has begun.")
        for text, message in (
                ("", nothing),
                ("{\"step\": 1}\n", nothing),
                ("{\"step\": 1, \"loss\": null, \"evaluation\": {\"a\": null}}\n", nothing),
                ("{}\nepoch 1\n", f"{log}:2: expected a JSON object, got \"epoch 1\". The log "
                                  "of a training run has one in each line."),
                ("[1]\n{}\n", f"{log}:1: expected a JSON object, got an array of 1 value. The "
                              "log of a training run has one in each line."),
                ("{\"step\": \"1\"}\n", f"{log}:1: /step: expected a number of at most 1e15, got "
                                        "\"1\"."),
                ("{\"step\": 1e300}\n", f"{log}:1: /step: expected a number of at most 1e15, got "
                                        "1e+300."),
                ("{\"step\": 1, \"loss\": []}\n", f"{log}:1: /loss: expected a number or null, "
                                                  "got an array of 0 values.")):
            log.write_text(text)
            self.check_failure(self.plot(log), 1, f"[log] {message}")
        log.write_bytes(bytes(range(256)))
        self.assertEqual(1, self.plot(log).returncode)
        log.unlink()
        result = self.plot(log)
        self.assertEqual((1, True), (result.returncode, result.stderr.startswith(f"[log] {log}: ")))
        self.assertFalse(self.output.exists())

    def test_usage(self):
        self.output = self.folder / "curve.jpg"
        self.check_failure(self.plot(self.log), 2, "[usage] --output: expected a name that ends in "
                           f".png, got \"{self.output}\".")
        self.output = self.folder / "curve.png"
        self.check_failure(self.plot(self.log, "--name", "a", "--name", "b"), 2,
                           "[usage] --name: expected one for each LOG (1), got 2.")
        self.check_failure(self.plot(*[self.log] * 9), 2,
                           "[usage] LOG: expected at most 8, got 9.")
        self.assertEqual(2, self.plot(self.log, "--width", 100).returncode)
        self.output = self.folder / "no" / "folder" / "curve.png"
        result = self.plot(self.log)
        self.assertEqual((1, ""), (result.returncode, result.stdout))


if __name__ == "__main__":
    support.run_tests()
