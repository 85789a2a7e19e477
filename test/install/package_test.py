"""Makes the packages and runs what is in them, from another folder than that of the build.

usage: package_test.py BUILD SOURCE WORK TORCH_ROOT MAKE_CHECKPOINT ON|OFF ON|OFF
    (built with OpenCV or not; packages with LibTorch are offered or not)

The package with LibTorch is made as .tar.zst, since gzip takes half a minute for its 450 MB; it has
the same files as the .tar.gz.
"""

import os
import pathlib
import re
import shutil
import sys
import unittest

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import perceiver_test  # noqa: E402
from installation import (SYSTEM_FOLDERS, bare_environment, loaded_libraries, run,  # noqa: E402
                          run_paths, shared_files, texts_naming)

BUILD, SOURCE, WORK, TORCH, MAKE_CHECKPOINT = (pathlib.Path(argument).resolve()
                                               for argument in sys.argv[1:6])
WITH_OPENCV, WITH_TORCH = (argument == "ON" for argument in sys.argv[6:8])
DIGITS = SOURCE / "weights/convnext-digits"


def setUpModule():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)


def tearDownModule():
    shutil.rmtree(WORK, ignore_errors=True)


def pack(generator, with_torch):
    """The one file that cpack makes."""
    folder = WORK / f"{generator}-{with_torch}"
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-G", generator, "-B", folder,
        "-D", f"VIZOO_PACKAGE_TORCH={'ON' if with_torch else 'OFF'}")
    shutil.rmtree(folder / "_CPack_Packages")
    (file,) = folder.iterdir()
    return file


def unpack(archive):
    """The folder that a tarball unpacks to."""
    target = WORK / f"elsewhere-{archive.parent.name}"
    target.mkdir()
    run("cmake", "-E", "tar", "xf", archive, cwd=target)
    archive.unlink()
    (folder,) = target.iterdir()
    return folder


class Package(unittest.TestCase):
    def check_files(self, root, library_folder="lib"):
        files = list(shared_files(root))
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            if "vizoo/torch" in str(path.relative_to(root)):
                continue  # as LibTorch has them
            folders = run_paths(path)
            self.assertTrue(folders, path)
            for folder in folders:
                self.assertTrue(folder.startswith("$ORIGIN"), f"{path}: {folder}")
        self.assertEqual([], list(texts_naming(root, [str(SOURCE), str(BUILD), str(TORCH)])))
        for path in root.rglob("*"):
            if path.is_symlink():
                self.assertFalse(os.path.isabs(os.readlink(path)), path)
        for name in ("bin/vizoo", f"{library_folder}/libvizoo_ops.so", "include/vizoo/vizoo.h",
                     f"{library_folder}/cmake/vizoo/vizooConfig.cmake",
                     f"{library_folder}/vizoo/python/vizoo_natten.py"):
            self.assertTrue((root / name).exists(), name)

    def check_runs(self, root, **options):
        program = root / "bin/vizoo"
        output = run(program, "list", cwd="/", **options)
        self.assertIn("ConvNextForImageClassification", output)
        if WITH_OPENCV:
            output = run(program, "classify", "--model", DIGITS, "--top-k", 1,
                         DIGITS / "images/digit-12-label-6.png", cwd="/", **options)
            self.assertRegex(output, r"^\S+\n  0\.\d{4}  6\n$")

    def test_without_libtorch(self):
        root = unpack(pack("TGZ", False))
        self.assertTrue(root.name.endswith("-without-libtorch"))
        self.assertFalse(os.path.lexists(root / "lib/vizoo/torch"))
        self.check_files(root)
        os.symlink(TORCH / "lib", root / "lib/vizoo/torch")
        self.check_runs(root, env=bare_environment())

    def test_with_libtorch(self):
        if not WITH_TORCH:
            print("SKIPPED package_with_libtorch: a CUDA build has none", file=sys.stderr)
            self.skipTest("a CUDA build has no package with LibTorch")
        root = unpack(pack("TZST", True))
        self.check_files(root)
        libraries = {path.name for path in (root / "lib/vizoo/torch").iterdir()}
        self.assertLessEqual({"libtorch_cpu.so", "libc10.so"}, libraries)
        self.assertFalse([name for name in libraries if re.match(r"lib(c|m|stdc\+\+)\.so", name)])
        licences = list((root / "share/doc/vizoo/licences").rglob("*"))
        self.assertTrue(any("LICENSE" in path.name for path in licences), licences)
        self.check_runs(root, env=bare_environment())
        command = [root / "bin/vizoo", "list"]
        if WITH_OPENCV:
            command = [root / "bin/vizoo", "classify", "--model", DIGITS, "--json",
                       DIGITS / "images/digit-12-label-6.png"]
        loaded = loaded_libraries(command, cwd="/")
        here = [path for path in loaded if path.startswith(f"{root}/")]
        others = [path for path in loaded if path not in here]
        self.assertIn(f"{root}/lib/vizoo/torch/libtorch_cpu.so", here)
        self.assertEqual([], [path for path in others if not path.startswith(SYSTEM_FOLDERS)])
        if WITH_OPENCV:
            self.check_video(root)

    def check_video(self, root):
        """libvizoo_video.so is opened at run time, from beside libvizoo.so."""
        folder = WORK / "video"
        folder.mkdir()
        perceiver_test.MAKE_CHECKPOINT = MAKE_CHECKPOINT
        model = perceiver_test.make_checkpoint(folder, "PerceiverForOpticalFlow",
                                               perceiver_test.FLOW)
        perceiver_test.write_y4m(folder / "video.y4m", 2, 20, 16)
        loaded = loaded_libraries([root / "bin/vizoo", "flow", "--model", model, "--output",
                                   folder / "flows", folder / "video.y4m"], cwd="/")
        self.assertIn(f"{root}/lib/libvizoo_video.so", loaded)
        self.assertEqual([], [path for path in loaded
                              if not path.startswith((f"{root}/", *SYSTEM_FOLDERS))])

    def test_debian_package(self):
        config = (BUILD / "CPackConfig.cmake").read_text()
        if not re.search(r'CPACK_GENERATOR "[^"]*DEB', config):
            print("SKIPPED package_debian: dpkg-shlibdeps or file is missing", file=sys.stderr)
            self.skipTest("dpkg-shlibdeps or file is missing")
        file = pack("DEB", False)
        fields = dict(line.split(": ", 1) for line in run("dpkg-deb", "--field", file).splitlines()
                      if re.match(r"[A-Z]\S*: ", line))
        self.assertEqual(fields["Package"], "vizoo-without-libtorch")
        self.assertTrue(re.match(r"\d+\.\d+\.\d+$", fields["Version"]))
        needs = {re.match(r"\S+", entry).group() for entry in fields["Depends"].split(", ")}
        self.assertLessEqual({"libc6", "libgcc-s1"}, needs)
        self.assertTrue(any(name.startswith("libstdc++6") for name in needs), needs)
        if WITH_OPENCV:
            for name in ("libopencv-core", "libopencv-imgcodecs", "libopencv-videoio"):
                self.assertTrue(any(need.startswith(name) for need in needs), needs)
        run("dpkg-deb", "--extract", file, WORK / "deb")
        self.check_files(WORK / "deb/usr")
        os.symlink(TORCH / "lib", WORK / "deb/usr/lib/vizoo/torch")
        self.check_runs(WORK / "deb/usr", env=bare_environment())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
