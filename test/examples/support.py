"""What the tests of the examples share. They run from the source folder."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile

PROGRAM = os.environ["VIZOO_PROGRAM"]
OPS_LIBRARY = os.environ["VIZOO_OPS_LIBRARY"]
EXAMPLES = pathlib.Path(os.environ["VIZOO_EXAMPLES"])
DINAT = pathlib.Path("weights/dinat-digits")
DINAT_SIZE = 48  # pixels, as its preprocessor_config.json says
CONVNEXT = pathlib.Path("weights/convnext-digits")
DIGITS = CONVNEXT / "images"


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **options)


class ExampleTest(unittest.TestCase):
    """Tests of one folder of exported models, which `vizoo export` fills as they are asked for."""

    @classmethod
    def setUpClass(cls):
        cls.exported = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-exported-"))
        cls.addClassCleanup(shutil.rmtree, cls.exported)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-example-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def export(self, checkpoint, *options):
        """The exported model of a checkpoint's folder."""
        path = self.exported / ("-".join([checkpoint.name, *map(str, options)]) + ".pt")
        if not path.exists():
            result = run(PROGRAM, "export", "--model", checkpoint, "--output", path, *options)
            self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def check_failure(self, result, code, message):
        """One line, which begins so."""
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertTrue(result.stderr.startswith(message), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def damaged_models(self, archive):
        """Files that are no exported models."""
        content = archive.read_bytes()
        files = {"half.pt": content[:len(content) // 2], "empty.pt": b"", "text.pt": b"{}\n" * 100,
                 "weights.pt": (DINAT / "model.safetensors").read_bytes()}
        for name, damaged in files.items():
            (self.folder / name).write_bytes(damaged)
        with zipfile.ZipFile(self.folder / "state.pt", "w") as archive:
            archive.writestr("state/data.pkl", b"\x80\x02}q\x00.")  # what torch.save({}) writes
        return [self.folder / name for name in [*files, "state.pt", "missing.pt"]]
