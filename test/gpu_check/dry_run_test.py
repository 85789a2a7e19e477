"""Runs scripts/gpu_check.sh on the CPU: the logic of every part, with tiny sizes."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ["VIZOO_BUILD"]


class DryRunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="vizoo-gpu-check-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        path = pathlib.Path(cls.folder.name, "result.json")
        cls.done = subprocess.run(
            [ROOT / "scripts" / "gpu_check.sh", "--dry-run", "--fresh", "--seed", "7", "--build",
             BUILD, "--output", path],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"})
        cls.result = json.loads(path.read_text())
        cls.parts = cls.result["parts"]

    def test_nothing_failed(self):
        self.assertEqual(self.result["failures"], [])
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        self.assertEqual(self.result["not_run"], [])

    def test_what_needs_a_gpu_is_not_called_passed(self):
        self.assertIsNone(self.result["device"])
        self.assertTrue(self.result["dry_run"])
        self.assertEqual(self.parts["build"]["status"], "skipped")
        self.assertEqual(self.parts["tests"]["status"], "skipped")
        self.assertEqual(self.parts["sanitizer"]["status"], "unavailable")
        for tool in ("memcheck", "racecheck", "initcheck"):
            self.assertEqual(self.parts["sanitizer"]["tools"][tool]["status"], "unavailable")
        self.assertGreater(self.parts["sanitizer"]["problems"], 0)

    def test_every_class_of_the_registry_was_compared(self):
        listed = subprocess.run([pathlib.Path(BUILD, "bin", "vizoo"), "list", "--json"],
                                capture_output=True, text=True, check=True)
        classes = {row["class"] for row in json.loads(listed.stdout)}
        found = {name.split()[0]: row
                 for name, row in self.parts["models"]["configurations"].items()}
        self.assertEqual(set(found), classes)
        types = {row["config"]["model_type"] for row in found.values()}
        self.assertEqual(sum("bfloat16" in row["checks"] for row in found.values()), len(types))
        for row in found.values():
            self.assertIn("float32", row["checks"])
            for check in row["checks"].values():
                # The same program twice: no tensor may use more than the CPU's own error.
                self.assertGreater(check["worst_error_of_allowed"], 0)
                self.assertLessEqual(check["worst_error_of_allowed"], 0.5)

    def test_benchmarks_have_errors_times_and_ratios(self):
        bench = self.parts["bench"]
        self.assertGreater(bench["copy_bytes_per_second"], 0)
        self.assertEqual(len(bench["cases"]), 2)
        for name, case in bench["cases"].items():
            ours = case["candidates"]["default"]
            count = 4 if name.endswith("with bias") else 3
            self.assertEqual(len(ours["backward"]["errors"]), count)
            for peer in ("composition", "unfused", "dense masked", "flex"):
                self.assertIn(peer, case["forward"]["times"])
                ratio = case["forward"]["ratio_peer_to_kernel"]["default"][peer]
                self.assertGreater(ratio["median"], 0)
                # What is timed is the same computation.
                for row in case["candidates"][peer]["forward"]["errors"].values():
                    self.assertLess(row["error"], 0.1)
            for which in ("forward", "backward"):
                self.assertEqual(bench["verdict"][name][which]["right"], ["default"])
                self.assertEqual(bench["verdict"][name][which]["fastest"], "default")


class UsageTest(unittest.TestCase):
    def run_script(self, *arguments):
        return subprocess.run([ROOT / "scripts" / "gpu_check.sh", *arguments], capture_output=True,
                              text=True, check=False, env={**os.environ, "PYTHON": sys.executable})

    def test_help_and_mistakes(self):
        self.assertIn("usage:", self.run_script("--help").stdout)
        self.assertEqual(self.run_script("speed").returncode, 2)
        self.assertEqual(self.run_script("--dry-run").returncode, 2)

    def test_a_build_folder_without_a_build_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "result.json")
            done = self.run_script("--dry-run", "models", "bench", "sanitizer", "--build", folder,
                                   "--output", str(path))
            self.assertEqual(done.returncode, 1)
            parts = json.loads(path.read_text())["parts"]
            for name in ("models", "bench", "sanitizer"):
                self.assertEqual(parts[name]["status"], "failed")
                self.assertIn("is not built", parts[name]["failures"][0])


if __name__ == "__main__":
    unittest.main()
