"""The C++ program that runs exported models with LibTorch alone, as vizoo's build makes it and as a
project of its own."""

import os
import re
import shutil
import unittest

from support import CONVNEXT, DINAT, DINAT_SIZE, EXAMPLES, OPS_LIBRARY, ExampleTest, run


class ProgramTest(ExampleTest):
    """Checks of `program`."""

    def run_program(self, *arguments):
        return run(self.program, *arguments)

    def check_runs(self, *arguments):
        result = self.run_program(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        one, two, difference = result.stdout.splitlines()
        answer = r", best class \d, score 0\.\d+"
        self.assertRegex(one, r"^batch of 1: \[1, 10\]" + answer)
        self.assertRegex(two, r"^batch of 2: \[2, 10\]" + answer)
        self.assertEqual(one.split(", best")[1][:8], two.split(", best")[1][:8])
        self.assertRegex(difference, r"^largest difference: ")

    def check_dinat(self):
        self.check_runs("--ops", OPS_LIBRARY, "--size", DINAT_SIZE, self.export(DINAT))

    def check_refuses_dinat_without_the_op_library(self):
        model = self.export(DINAT)
        result = self.run_program(model)
        self.check_failure(result, 1, f"[model] {model}: needs the operator vizoo::")
        self.assertIn("Give the library that has it: --ops libvizoo_ops.so.", result.stderr)


class RunExported(ProgramTest):
    program = EXAMPLES / "run_exported"

    def test_dinat(self):
        self.check_dinat()
        self.check_runs("--ops", OPS_LIBRARY, "--size", 64, self.export(DINAT))

    def test_a_model_of_torch_operators_needs_no_library(self):
        self.check_runs("--size", 32, self.export(CONVNEXT))

    def test_without_the_op_library(self):
        self.check_refuses_dinat_without_the_op_library()

    def test_a_library_that_is_none(self):
        for library in (self.folder / "missing.so", DINAT / "config.json"):
            result = self.run_program("--ops", library, self.export(DINAT))
            self.check_failure(result, 1, "[ops] cannot load the op library: ")
            self.assertIn(str(library), result.stderr)

    def test_damaged_models(self):
        for model in self.damaged_models(self.export(DINAT)):
            result = self.run_program("--ops", OPS_LIBRARY, model)
            self.check_failure(result, 1, f"[model] {model}: not a model that LibTorch can load: ")

    def test_usage(self):
        for arguments in ((), ("--size", "x", "m.pt"), ("--size",), ("m.pt", "--size", "0"),
                          ("a.pt", "b.pt"), ("--unknown", "m.pt")):
            self.check_failure(self.run_program(*arguments), 2, "usage: run_exported ")


@unittest.skipUnless("VIZOO_TORCH_ROOT" in os.environ, "not with sanitizers")
class Standalone(ProgramTest):
    """The same program, built from its folder alone, as somebody else would."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        source = cls.exported / "source"
        shutil.copytree("apps/examples/run_exported", source)
        build = cls.exported / "build"
        for command in (["cmake", "-S", source, "-B", build,
                         "-DCMAKE_PREFIX_PATH=" + os.environ["VIZOO_TORCH_ROOT"]],
                        ["cmake", "--build", build]):
            result = run(*command)
            if result.returncode != 0:
                raise RuntimeError(result.stdout + result.stderr)
        cls.program = build / "run_exported"

    def test_it_runs(self):
        self.check_dinat()
        self.check_refuses_dinat_without_the_op_library()

    def test_nothing_of_vizoo_is_linked(self):
        result = run("ldd", self.program)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(re.search(r"libtorch_cpu\.so => /", result.stdout), result.stdout)
        self.assertNotIn("vizoo_ops", result.stdout)


if __name__ == "__main__":
    unittest.main()
