"""The C++ programs that fine-tune: a model, and an exported one with LibTorch alone."""

import json
import re
import shutil
import unittest
import zipfile

from support import (CONVNEXT, DIGITS, DINAT, DINAT_SIZE, EXAMPLES, OPS_LIBRARY, PROGRAM, ExampleTest,
                     run)


def extra_files(archive):
    with zipfile.ZipFile(archive) as file:
        return {name.split("/extra/")[1]: file.read(name) for name in file.namelist()
                if "/extra/" in name}


class FineTune(ExampleTest):
    """fine_tune, on the digits that ship: half of them to train on."""

    def setUp(self):
        super().setUp()
        self.train, self.test = self.folder / "train", self.folder / "test"
        self.tuned = self.folder / "tuned"

    def fine_tune(self, names):
        for folder in (self.train, self.test):
            shutil.rmtree(folder, ignore_errors=True)
        for index, image in enumerate(sorted(DIGITS.glob("*.png"))):
            folder = (self.train, self.test)[index % 2] / names[int(image.stem[-1])]
            folder.mkdir(parents=True)
            shutil.copy(image, folder)
        result = run(EXAMPLES / "fine_tune", CONVNEXT, self.train, self.test, self.tuned)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = re.findall(r"^epoch (\d): loss (\S+), test accuracy (\S+)$", result.stdout,
                           re.MULTILINE)
        self.assertEqual([line[0] for line in lines], ["1", "2", "3"])
        self.assertTrue(result.stdout.endswith(f"saved {self.tuned}\n"))
        return [float(line[1]) for line in lines], [float(line[2]) for line in lines]

    def test_same_labels(self):
        _, accuracies = self.fine_tune("0123456789")
        self.assertGreaterEqual(accuracies[-1], 0.8)
        answer = run(PROGRAM, "classify", "--model", self.tuned, next(self.test.glob("7/*")))
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))

    def test_new_labels(self):
        losses, _ = self.fine_tune("abcdefghij")
        self.assertLess(losses[-1], losses[0])
        config = json.loads((self.tuned / "config.json").read_text())
        self.assertEqual(config["label2id"], {name: i for i, name in enumerate("abcdefghij")})

    def test_errors(self):
        self.check_failure(run(EXAMPLES / "fine_tune"), 2, "usage: fine_tune ")
        self.check_failure(run(EXAMPLES / "fine_tune", CONVNEXT, self.train, self.test, self.tuned),
                           1, "[")
        self.assertFalse(self.tuned.exists())


class FineTuneExported(ExampleTest):
    def fine_tune(self, *arguments):
        return run(EXAMPLES / "fine_tune_exported", *arguments)

    def check_trains(self, model, *options):
        tuned = self.folder / "tuned.pt"
        result = self.fine_tune(*options, model, tuned)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        losses = [float(loss) for loss in re.findall(r"^step \d+: loss (\S+)$", result.stdout,
                                                     re.MULTILINE)]
        self.assertEqual(len(losses), 11)
        self.assertLess(losses[-1], losses[0] / 2, result.stdout)
        self.assertIn("largest difference after reloading: 0\n", result.stdout)
        files = extra_files(tuned)
        self.assertEqual(files, extra_files(model))
        self.assertLessEqual({"config.json", "preprocessor_config.json", "vizoo.json"}, set(files))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["tuned.pt"])
        return tuned

    def test_dinat(self):
        options = ("--ops", OPS_LIBRARY, "--size", DINAT_SIZE)
        tuned = self.check_trains(self.export(DINAT), *options)
        # What was saved runs as any exported model does, and trains on from where it stopped.
        result = run(EXAMPLES / "run_exported", *options, tuned)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        again = self.fine_tune(*options, tuned, self.folder / "again.pt")
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_convnext(self):
        self.check_trains(self.export(CONVNEXT), "--size", 32)

    def test_errors(self):
        model, target = self.export(DINAT), self.folder / "tuned.pt"
        self.check_failure(self.fine_tune(model), 2, "usage: fine_tune_exported ")
        self.check_failure(self.fine_tune("--size", "x", model, target), 2, "usage: ")
        self.check_failure(self.fine_tune("--ops", "missing.so", model, target), 1,
                           "[ops] cannot load the op library: ")
        result = self.fine_tune(model, target)
        self.check_failure(result, 1, "Unknown builtin op: vizoo::")
        self.assertIn("--ops", result.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])
        for damaged in self.damaged_models(model):
            self.assertEqual(self.fine_tune("--ops", OPS_LIBRARY, damaged, target).returncode, 1)
            self.assertFalse(target.exists())


if __name__ == "__main__":
    unittest.main()
