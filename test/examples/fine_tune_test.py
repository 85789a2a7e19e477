"""The C++ program that fine-tunes an exported model with LibTorch alone."""

import re
import unittest
import zipfile

from support import CONVNEXT, DINAT, DINAT_SIZE, EXAMPLES, OPS_LIBRARY, ExampleTest, run


def extra_files(archive):
    with zipfile.ZipFile(archive) as file:
        return {name.split("/extra/")[1]: file.read(name) for name in file.namelist()
                if "/extra/" in name}


class FineTune(ExampleTest):
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
