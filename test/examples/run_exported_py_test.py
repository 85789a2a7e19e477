"""The Python program that runs exported models, also from torch.compile. Its interpreter is that
which runs this test."""

import sys
import unittest

from support import CONVNEXT, DINAT, DINAT_SIZE, OPS_LIBRARY, ExampleTest, run

SCRIPT = "apps/examples/run_exported.py"


class RunExportedInPython(ExampleTest):
    def run_script(self, *arguments):
        return run(sys.executable, "-W", "ignore", SCRIPT, *arguments)

    def check_runs(self, *arguments):
        result = self.run_script(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        about, one, two, *differences = result.stdout.splitlines()
        self.assertRegex(about, r"^\w+ForImageClassification: logits")
        self.assertRegex(one, r"^batch of 1: \[1, 10\], best class \d, score ")
        self.assertRegex(two, r"^batch of 2: \[2, 10\], best class \d, score ")
        self.assertEqual([line.split(":")[0] for line in differences],
                         ["the batch", *(f"torch.compile, {how}, batch of {count}"
                                         for how in ("calls", "operator") for count in (1, 2))])

    def test_dinat(self):
        for backend in ("eager", "aot_eager"):
            self.check_runs("--ops", OPS_LIBRARY, "--size", DINAT_SIZE, "--backend", backend,
                            self.export(DINAT))

    def test_a_model_of_torch_operators_needs_no_library(self):
        self.check_runs("--size", 32, self.export(CONVNEXT))

    def test_without_the_op_library(self):
        model = self.export(DINAT)
        result = self.run_script(model)
        self.check_failure(result, 1, f"[model] {model}: needs the operator vizoo::")
        self.assertIn("Give the library that has it: --ops libvizoo_ops.so.", result.stderr)

    def test_damaged_models(self):
        half, *_, state, missing = self.damaged_models(self.export(DINAT))
        for model in (half, state, missing):
            result = self.run_script("--ops", OPS_LIBRARY, model)
            self.check_failure(result, 1, f"[model] {model}: not a model that torch can load: ")


if __name__ == "__main__":
    unittest.main()
