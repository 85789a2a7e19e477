"""Installs vizoo into a folder of its own and uses it from there, as another project would.

usage: install_test.py BUILD SOURCE WORK GENERATOR TORCH_ROOT ON|OFF   (built with OpenCV or not)
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from installation import (bare_environment, loaded_libraries, run, run_paths, shared_files,
                          texts_naming)

BUILD, SOURCE, WORK, TORCH = (pathlib.Path(sys.argv[i]).resolve() for i in (1, 2, 3, 5))
GENERATOR, WITH_OPENCV = sys.argv[4], sys.argv[6] == "ON"
PREFIX = WORK / "prefix"
DIGITS = SOURCE / "weights/convnext-digits"
CONSUMER = SOURCE / "test/install/consumer"


def setUpModule():
    shutil.rmtree(WORK, ignore_errors=True)
    run("cmake", "--install", BUILD, "--prefix", PREFIX)


def tearDownModule():
    shutil.rmtree(WORK, ignore_errors=True)


def configure(name, *arguments, source=CONSUMER, **environment):
    """The exit code, the output and the folder of configuring a consumer."""
    folder = WORK / name
    variables = {key: value for key, value in os.environ.items() if key != "CMAKE_PREFIX_PATH"}
    result = subprocess.run(
        ["cmake", "-S", str(source), "-B", str(folder), "-G", GENERATOR,
         "-DCMAKE_BUILD_TYPE=Release", *map(str, arguments)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**variables, **environment}, check=False)
    return result.returncode, " ".join(result.stdout.split()), folder


class Tree(unittest.TestCase):
    def test_files(self):
        names = ["bin/vizoo", "lib/libvizoo.so", "lib/libvizoo_ops.so", "lib/libvizoo_core.a",
                 "lib/cmake/vizoo/vizooConfig.cmake", "lib/cmake/vizoo/vizooConfigVersion.cmake",
                 "lib/cmake/vizoo/vizooTargets.cmake", "lib/vizoo/python/vizoo_natten.py",
                 "include/vizoo/vizoo.h", "include/vizoo/core/error.h",
                 "include/vizoo/io/safetensors.h", "include/vizoo/text/auto_tokenizer.h",
                 "include/vizoo/kernels/na2d.h", "include/vizoo/ops/neighborhood_attention.h",
                 "include/vizoo/nn/layers.h", "include/vizoo/models/convnext.h",
                 "include/vizoo/hub/from_pretrained.h", "include/vizoo/training/detection_loss.h",
                 "include/vizoo/tasks/image_classification.h", "share/doc/vizoo/LICENSE"]
        if WITH_OPENCV:
            names += ["lib/libvizoo_video.so", "include/vizoo/vision/image.h"]
        self.assertEqual([name for name in names if not (PREFIX / name).exists()], [])

    def test_installed_headers_include_only_installed_headers(self):
        include = PREFIX / "include"
        headers = list(include.rglob("*.h"))
        self.assertGreater(len(headers), 80)
        missing = set()
        for header in headers:
            for name in re.findall(r'^#include "(.*)"', header.read_text(), re.MULTILINE):
                if not (include / name).is_file():
                    missing.add(f"{header.relative_to(include)}: {name}")
        if not WITH_OPENCV:  # vizoo.h has these behind VIZOO_OPENCV
            missing = {line for line in missing if not line.startswith("vizoo/vizoo.h: ")}
        self.assertEqual(missing, set())

    def test_only_the_link_to_libtorch_names_this_machine(self):
        link = PREFIX / "lib/vizoo/torch"
        self.assertEqual(os.readlink(link), str(TORCH / "lib"))
        files = list(shared_files(PREFIX))
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            folders = run_paths(path)
            self.assertTrue(folders, path)
            for folder in folders:
                self.assertTrue(folder.startswith("$ORIGIN"), f"{path}: {folder}")
        places = [str(SOURCE), str(BUILD), str(TORCH), str(PREFIX)]
        self.assertEqual(list(texts_naming(PREFIX, places)), [])

    def test_an_installed_program_loads_what_is_installed(self):
        libraries = loaded_libraries([PREFIX / "bin/vizoo", "list"])
        ours = [path for path in libraries if "libvizoo" in path]
        self.assertEqual(len(ours), 2, libraries)
        self.assertTrue(all(path.startswith(f"{PREFIX}/lib/") for path in ours), ours)

    def test_a_moved_installation_works(self):
        moved = WORK / "moved"
        shutil.copytree(PREFIX, moved, symlinks=True)
        output = run(moved / "bin/vizoo", "list", env=bare_environment())
        self.assertIn("ConvNextForImageClassification", output)
        os.unlink(moved / "lib/vizoo/torch")
        result = subprocess.run([moved / "bin/vizoo", "list"], capture_output=True, text=True,
                                env=bare_environment(), check=False)
        self.assertEqual(result.returncode, 127)
        self.assertIn("libtorch_cpu.so: cannot open shared object file", result.stderr)
        output = run(moved / "bin/vizoo", "list",
                     env=bare_environment(LD_LIBRARY_PATH=str(TORCH / "lib")))
        self.assertIn("ConvNextForImageClassification", output)

    def test_installing_again_renews_the_link(self):
        prefix = WORK / "again"
        (prefix / "lib/vizoo").mkdir(parents=True)
        os.symlink("/nowhere", prefix / "lib/vizoo/torch")
        run("cmake", "--install", BUILD, "--prefix", prefix, "--component", "libtorch_link")
        self.assertEqual(os.readlink(prefix / "lib/vizoo/torch"), str(TORCH / "lib"))

    def test_the_python_module_finds_the_library(self):
        program = ("import sys, types; loaded = []; torch = types.ModuleType('torch'); "
                   "torch.ops = types.SimpleNamespace(load_library=loaded.append); "
                   "sys.modules['torch'] = torch; import vizoo_natten; vizoo_natten.load(); "
                   "print(loaded[0])")
        environment = bare_environment(PYTHONPATH=str(PREFIX / "lib/vizoo/python"),
                                       PYTHONDONTWRITEBYTECODE="1")
        output = run(sys.executable, "-c", program, env=environment)
        self.assertEqual(output.strip(), os.path.realpath(PREFIX / "lib/libvizoo_ops.so"))


class FindPackage(unittest.TestCase):
    def test_all_components(self):
        code, output, folder = configure("consumer", f"-DCMAKE_PREFIX_PATH={PREFIX}")
        self.assertEqual(code, 0, output)
        run("cmake", "--build", folder, "--parallel", 2)
        output = run(folder / "consumer", DIGITS, *self.image("digit-12-label-6.png"))
        self.assertEqual(output, "label 6, 10 labels\n" if WITH_OPENCV else "10 labels\n")
        self.assertEqual(run(folder / "ops_consumer"), "[1, 4, 5, 1, 8]\n")
        output = run(folder / "core_consumer", DIGITS / "model.safetensors")
        self.assertRegex(output, r"^\d+ tensors\n$")

    def image(self, name):
        return [DIGITS / "images" / name] if WITH_OPENCV else []

    def test_the_core_needs_no_libtorch(self):
        prefix = self.without_libtorch("core_prefix")
        code, output, folder = configure("core", f"-DCMAKE_PREFIX_PATH={prefix}",
                                         "-DVIZOO_COMPONENTS=core")
        self.assertEqual(code, 0, output)
        run("cmake", "--build", folder, "--target", "core_consumer")
        output = run(folder / "core_consumer", DIGITS / "model.safetensors")
        self.assertRegex(output, r"^\d+ tensors\n$")

    def test_an_unknown_component_is_refused(self):
        code, output, _ = configure("unknown", f"-DCMAKE_PREFIX_PATH={PREFIX}",
                                    "-DVIZOO_COMPONENTS=everything")
        self.assertNotEqual(code, 0)
        self.assertIn("vizoo has the components core, ops, vizoo, and not everything", output)

    def without_libtorch(self, name):
        prefix = WORK / name
        if not prefix.exists():
            shutil.copytree(PREFIX, prefix, symlinks=True)
            os.unlink(prefix / "lib/vizoo/torch")
            os.symlink(WORK / "gone", prefix / "lib/vizoo/torch")
        return prefix

    def test_a_libtorch_that_is_gone(self):
        prefix = self.without_libtorch("gone_prefix")
        code, output, _ = configure("gone", f"-DCMAKE_PREFIX_PATH={prefix}")
        self.assertNotEqual(code, 0)
        self.assertIn("LibTorch was not found. Give its folder: "
                      "-DCMAKE_PREFIX_PATH=/path/to/libtorch", output)
        self.assertRegex(output, r"vizoo was built with LibTorch \d+\.\d+\.\d+")
        for name, arguments, environment in (
                ("by_prefix", [f"-DCMAKE_PREFIX_PATH={prefix};{TORCH}"], {}),
                ("by_wheel", [f"-DCMAKE_PREFIX_PATH={prefix};{TORCH}/share/cmake"], {}),
                ("by_variable", [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DVIZOO_TORCH_ROOT={TORCH}"],
                 {}),
                ("by_package", [f"-DCMAKE_PREFIX_PATH={prefix}",
                                f"-DTorch_DIR={TORCH}/share/cmake/Torch"], {}),
                ("by_environment", [], {"CMAKE_PREFIX_PATH": f"{prefix}:{TORCH}"})):
            with self.subTest(name):
                code, output, _ = configure(name, *arguments, **environment)
                self.assertEqual(code, 0, output)

    def test_another_version_of_libtorch(self):
        other = WORK / "other_torch"
        header = other / "include/torch/csrc/api/include/torch/version.h"
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text("#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 6\n"
                          "#define TORCH_VERSION_PATCH 0\n")
        (other / "lib").mkdir(exist_ok=True)
        for name in ("libtorch_cpu.so", "libc10.so"):
            (other / "lib" / name).touch()
        code, output, _ = configure("other", f"-DCMAKE_PREFIX_PATH={PREFIX};{other}")
        self.assertNotEqual(code, 0)
        self.assertIn(f"{other} holds 2.6.0: LibTorch has no stable binary interface", output)

    def test_another_version_of_vizoo_is_not_taken(self):
        code, output, _ = configure("version", f"-DCMAKE_PREFIX_PATH={PREFIX}",
                                    "-DVIZOO_WANTED=9.0")
        self.assertNotEqual(code, 0)
        self.assertIn('compatible with requested version "9.0"', output)


class Subdirectory(unittest.TestCase):
    """vizoo as a part of another project. The core is built and run; of the rest, half an hour of
    compiling, only that CMake generates it."""

    def test_add_subdirectory(self):
        code, output, folder = configure("subdirectory", f"-DVIZOO_SOURCE={SOURCE}",
                                         f"-DVIZOO_TORCH_ROOT={TORCH}",
                                         f"-DVIZOO_OPENCV={'ON' if WITH_OPENCV else 'OFF'}",
                                         source=SOURCE / "test/install/subdirectory")
        self.assertEqual(code, 0, output)
        plan = run("cmake", "--build", folder, "--target", "consumer", "--", "-n")
        for name in ("main.cpp", "convnext.cpp", "libvizoo_ops.so"):
            self.assertIn(name, plan)
        for name in ("apps", "test"):  # neither the program nor the tests
            self.assertFalse((folder / "vizoo" / name).exists(), name)
        run("cmake", "--build", folder, "--target", "core_consumer", "--parallel", 2)
        output = run(folder / "core_consumer", DIGITS / "model.safetensors")
        self.assertRegex(output, r"^\d+ tensors\n$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
