"""What the tests of the vizoo program share."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
WITH_OPENCV = True
CHECKPOINT = pathlib.Path("weights/convnext-digits")
IMAGES = CHECKPOINT / "images"


def vizoo(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **options)


def write_safetensors(path, tensors):
    """{name: (dtype, shape, bytes)} as a safetensors file."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    return {name: (entry["dtype"], entry["shape"],
                   content[8 + length + entry["data_offsets"][0]:8 + length + entry["data_offsets"][1]])
            for name, entry in header.items() if name != "__metadata__"}


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-cli-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def check_failure(self, result, code, message):
        self.assertEqual(result.stderr, message + "\n")
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.returncode, code)

    def copy_checkpoint(self):
        target = self.folder / "checkpoint"
        shutil.copytree(CHECKPOINT, target, ignore=shutil.ignore_patterns("images"))
        return target


def write_bmp(path, width, height):
    """A picture of changing colours."""
    rows = b"".join(bytes((x * 3 + channel * 70 + y * 5) % 256 for x in range(width)
                          for channel in range(3)) + bytes(-width * 3 % 4) for y in range(height))
    path.write_bytes(struct.pack("<2sIII", b"BM", 54 + len(rows), 0, 54)
                     + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 0, 0, 0,
                                   0) + rows)


def write_detector(folder):
    """An OWLv2 of 2 x 2 patches with random weights and nine tokens, in a new folder."""
    shutil.copytree("test/fixtures/owlv2/detector", folder)
    tokens = ["!", "a", "b", "a</w>", "b</w>", "ab</w>", "!</w>", "<|startoftext|>",
              "<|endoftext|>"]
    for name, content in (
            ("vocab.json", {token: index for index, token in enumerate(tokens)}),
            ("tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "pad_token": "!",
                                       "model_max_length": 5}),
            ("preprocessor_config.json", {"image_processor_type": "Owlv2ImageProcessor",
                                          "size": {"height": 7, "width": 7}})):
        (folder / name).write_text(json.dumps(content))
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    return folder


def run_tests():
    """Runs the tests of the main module, which is called with PROGRAM ON|OFF."""
    global PROGRAM, WITH_OPENCV
    PROGRAM = os.path.abspath(sys.argv[1])
    WITH_OPENCV = sys.argv[2] == "ON"
    unittest.main(argv=sys.argv[:1])
