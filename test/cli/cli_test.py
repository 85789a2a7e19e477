"""Runs the vizoo program as a user does and checks what it prints and its exit code.

usage: cli_test.py PROGRAM ON|OFF      (whether the program was built with OpenCV)
"""

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


class CommandLine(ProgramTest):
    def test_help_shows_an_example_for_every_command(self):
        commands = ["list", "inspect", "forward", "bench", "doctor"]
        if WITH_OPENCV:
            commands += ["classify", "detect", "preprocess"]
        for command in commands:
            result = vizoo(command, "--help")
            self.assertEqual(result.returncode, 0, command)
            self.assertIn(f"Example: vizoo {command}", result.stdout)
        self.assertIn("Example:", vizoo("--help").stdout)
        self.assertRegex(vizoo("--version").stdout, r"^vizoo \d+\.\d+\.\d+ \(LibTorch [\d.]+\)\n$")

    def test_usage_errors_are_one_line_and_exit_2(self):
        cases = [([], "[usage] A subcommand is required. vizoo --help lists the commands."),
                 (["frob"], '[usage] "frob" is no command, so one is required. '
                            "vizoo --help lists the commands."),
                 (["inspect"], "[usage] folder is required. vizoo --help lists the commands."),
                 (["forward", "--model", CHECKPOINT],
                  "[usage] --inputs is required. vizoo --help lists the commands."),
                 (["bench", "--model", CHECKPOINT, "--dtype", "int8"],
                  '[usage] --dtype: expected one of float32|float64|bfloat16|float16, got "int8".'),
                 (["bench", "--model", CHECKPOINT, "--device", "tpu"],
                  '[usage] --device: expected cpu, cuda or cuda:N, got "tpu".')]
        for arguments, message in cases:
            with self.subTest(arguments):
                self.check_failure(vizoo(*arguments), 2, message)

    def test_list(self):
        rows = json.loads(vizoo("list", "--json").stdout)
        self.assertIn({"class": "ConvNextModel", "model_type": "convnext", "task": "base-model"},
                      rows)
        self.assertEqual(len(vizoo("list").stdout.splitlines()), len(rows))

    def test_inspect(self):
        result = vizoo("inspect", CHECKPOINT, "--json", "--tensors")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["class"], "ConvNextForImageClassification")
        self.assertEqual(report["labels"], 10)
        self.assertEqual(report["problems"], [])
        self.assertEqual(len(report["tensors"]), report["tensor_count"])
        self.assertEqual(report["parameters"], report["elements"])
        self.assertIn("parameters", vizoo("inspect", CHECKPOINT).stdout)

    def test_inspect_reports_every_problem(self):
        checkpoint = self.copy_checkpoint()
        (checkpoint / "config.json").write_text('{"depths": }')
        weights = checkpoint / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        result = vizoo("inspect", checkpoint)
        self.assertEqual(result.returncode, 1)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith(f"[config] {checkpoint}/config.json:1:12: expected "))
        self.assertTrue(lines[1].startswith(f"[checkpoint] {weights}: "))

    def test_a_config_that_no_model_can_have_is_named_with_its_file(self):
        checkpoint = self.copy_checkpoint()
        config = json.loads((checkpoint / "config.json").read_text())
        config["depths"] = [10**9] * 4
        (checkpoint / "config.json").write_text(json.dumps(config))
        result = vizoo("inspect", checkpoint)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, f"[config] {checkpoint}/config.json: /depths: expected an "
                                        "integer from 0 to 256, got 1000000000.\n")

    def test_forward(self):
        inputs, outputs = self.folder / "in.safetensors", self.folder / "out.safetensors"
        pixels = struct.pack("<3072f", *[((i * 37) % 101) / 50 - 1 for i in range(3072)])
        write_safetensors(inputs, {"pixel_values": ("F32", [1, 3, 32, 32], pixels),
                                   "labels": ("I64", [1], struct.pack("<q", 3))})
        result = vizoo("forward", "--model", CHECKPOINT, "--inputs", inputs, "--outputs", outputs,
                       "--output-hidden-states", "--gradients", "loss")
        self.assertEqual((result.returncode, result.stderr, result.stdout), (0, "", ""))
        tensors = read_safetensors(outputs)
        self.assertEqual(tensors["logits"][:2], ("F32", [1, 10]))
        self.assertEqual(tensors["loss"][:2], ("F32", []))
        self.assertIn("hidden_states.0", tensors)
        self.assertIn("grad.classifier.weight", tensors)
        self.assertEqual(tensors["grad_input.pixel_values"][1], [1, 3, 32, 32])

        result = vizoo("forward", "--model", CHECKPOINT, "--inputs", inputs, "--outputs", outputs,
                       "--class", "ConvNextBackbone", "--set", "out_indices=[0,2]")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr.splitlines(), [
            "warning: tensors not in the checkpoint and initialised anew: "
            "hidden_states_norms.stage2.bias, hidden_states_norms.stage2.weight, "
            "hidden_states_norms.stem.bias, hidden_states_norms.stem.weight.",
            "warning: tensors in the checkpoint but not in the model, ignored: classifier.bias, "
            "classifier.weight, convnext.layernorm.bias, convnext.layernorm.weight.",
            "[model] ConvNextBackbone.forward: expected the arguments pixel_values, got "
            '"labels".'])
        result = vizoo("forward", "--model", CHECKPOINT, "--inputs", inputs, "--outputs", outputs,
                       "--gradients", "los")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr, "[forward] gradients: expected one of the outputs loss, "
                                        'logits, got "los".\n')

    def test_forward_failures(self):
        inputs, outputs = self.folder / "in.safetensors", self.folder / "out.safetensors"
        run = ["forward", "--model", CHECKPOINT, "--inputs", inputs, "--outputs", outputs]
        self.check_failure(vizoo(*run), 1, f"[checkpoint] {inputs}: expected a readable file, got "
                                           '"No such file or directory".')
        write_safetensors(inputs, {"pixel_values": ("F32", [1, 1, 4, 4], bytes(64))})
        self.check_failure(vizoo(*run), 1, "[model] pixel_values: expected 3 channels, as "
                                           "/num_channels says, got Float [1, 1, 4, 4].")
        classes = [row["class"] for row in json.loads(vizoo("list", "--json").stdout)]
        self.check_failure(vizoo(*run, "--class", "Nothing"), 2,
                           f"[registry] class: expected one of {', '.join(classes)}, "
                           'got "Nothing".')
        self.check_failure(vizoo(*run, "--set", "num_labels"), 2,
                           '[usage] --set: expected key=json, such as num_labels=7, got "num_labels".')
        self.check_failure(vizoo(*run, "--model-args", '{"a": 1}'), 2,
                           "[usage] constructor arguments of ConvNextForImageClassification: "
                           'expected none, got "a".')
        self.check_failure(vizoo(*run, "--model-args", "[1]"), 2,
                           "[usage] constructor arguments of ConvNextForImageClassification: "
                           "expected a JSON object, got an array of 1 value.")
        write_safetensors(inputs, {"pixel_values": ("F32", [1, 3, 32, 32], bytes(12288))})
        run[-1] = "/dev/full/out.safetensors"
        result = vizoo(*run)
        self.assertEqual(result.returncode, 1)
        self.assertTrue(result.stderr.startswith("[checkpoint] /dev/full/out.safetensors"))

    def test_doctor_and_bench(self):
        report = json.loads(vizoo("doctor", "--json").stdout)
        self.assertEqual(report["model_classes"], len(json.loads(vizoo("list", "--json").stdout)))
        result = vizoo("bench", "--model", CHECKPOINT, "--runs", 3, "--batch", 2, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        figures = json.loads(result.stdout)
        self.assertEqual((figures["batch"], figures["runs"]), (2, 3))
        self.assertGreaterEqual(figures["median_ms"], figures["min_ms"])

    def test_a_full_output_is_a_failure(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([PROGRAM, "list"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, "[output] stdout: expected to write all results, got a "
                                        "closed or full output.\n")


class Images(ProgramTest):
    def setUp(self):
        super().setUp()
        if not WITH_OPENCV:
            self.skipTest("built without OpenCV")

    def classify(self, *arguments):
        return vizoo("classify", "--model", CHECKPOINT, "--json", *arguments)

    def test_classify_folders_patterns_and_files(self):
        expected = sorted(map(str, IMAGES.glob("*.png")))
        self.assertEqual(len(expected), 20)
        for arguments in ([IMAGES], [f"{IMAGES}/*.png"], expected):
            for batch in (1, 7, 64):
                result = self.classify("--batch", batch, *arguments)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                lines = [json.loads(line) for line in result.stdout.splitlines()]
                self.assertEqual([line["image"] for line in lines], expected)
        right = sum(f"label-{line['predictions'][0]['label']}.png" in line["image"] for line in lines)
        self.assertGreaterEqual(right, 18)
        for line in lines:
            scores = [prediction["score"] for prediction in line["predictions"]]
            self.assertEqual(len(scores), 5)
            self.assertEqual(scores, sorted(scores, reverse=True))

    def test_every_shipped_classifier_scores_what_its_manifest_says(self):
        rows = json.loads(pathlib.Path("weights/manifest.json").read_text())["checkpoints"]
        self.assertEqual([row["name"] for row in rows], ["convnext-digits", "dinat-digits"])
        for row in rows:
            with self.subTest(row["name"]):
                result = vizoo("classify", "--model", pathlib.Path("weights", row["path"]), "--json",
                               IMAGES)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                lines = [json.loads(line) for line in result.stdout.splitlines()]
                right = sum(f"label-{line['predictions'][0]['label']}.png" in line["image"]
                            for line in lines)
                self.assertEqual(len(lines), row["expected"]["shipped_images"])
                self.assertEqual(right, row["expected"]["shipped_correct"])

    def test_a_bad_image_is_reported_and_the_rest_answered(self):
        images = sorted(IMAGES.glob("*.png"))[:3]
        bad = self.folder / "bad\nname.png"
        bad.write_bytes(images[0].read_bytes()[:100])
        missing = self.folder / "missing.png"
        result = self.classify(images[0], bad, images[1], missing, images[2])
        self.assertEqual(result.returncode, 1)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(["predictions" in line for line in lines], [True, False, True, False, True])
        errors = result.stderr.splitlines()
        self.assertEqual(len(errors), 2)
        self.assertIn("bad\\x0aname.png", errors[0])
        self.assertEqual(errors[1], f"[image] {missing}: expected an image file, got "
                                    "no such file.")
        self.assertEqual(lines[3]["error"], errors[1])

    def test_classify_in_words(self):
        image = sorted(IMAGES.glob("*.png"))[0]
        result = vizoo("classify", "--model", CHECKPOINT, "--top-k", 2, image)
        self.assertRegex(result.stdout, rf"^{image}\n  0\.\d{{4}}  \S+\n  0\.\d{{4}}  \S+\n$")

    def test_classify_usage(self):
        self.check_failure(vizoo("classify", "--model", CHECKPOINT, self.folder), 2,
                           f"[usage] {self.folder}: expected a folder with images (jpg, png, bmp, "
                           "webp, tif), got none.")
        pattern = f"{self.folder}/*.png"
        self.check_failure(vizoo("classify", "--model", CHECKPOINT, pattern), 2,
                           f"[usage] {pattern}: expected a pattern that matches files, got no match.")

    def test_embed(self):
        images = sorted(IMAGES.glob("*.png"))
        outputs, array = self.folder / "features.safetensors", self.folder / "features.npy"
        for batch in (1, 7):
            result = vizoo("embed", "--model", CHECKPOINT, "--output", outputs, "--batch", batch,
                           "--json", IMAGES)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            lines = [json.loads(line) for line in result.stdout.splitlines()]
            self.assertEqual([line["image"] for line in lines], list(map(str, images)))
            self.assertEqual([line["row"] for line in lines], list(range(20)))
            self.assertEqual(lines[0]["shape"], [128])
        dtype, shape, content = read_safetensors(outputs)["features"]
        self.assertEqual((dtype, shape), ("F32", [20, 128]))
        (length,) = struct.unpack("<Q", outputs.read_bytes()[:8])
        header = json.loads(outputs.read_bytes()[8:8 + length])
        self.assertEqual(json.loads(header["__metadata__"]["images"]), list(map(str, images)))

        result = vizoo("embed", "--model", CHECKPOINT, "--output", array, IMAGES)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout.splitlines()[3], f"{images[3]}  3  [128]")
        stored = array.read_bytes()
        self.assertEqual(stored[:8], b"\x93NUMPY\x01\x00")
        (length,) = struct.unpack("<H", stored[8:10])
        self.assertEqual((10 + length) % 64, 0)
        self.assertEqual(stored[10:10 + length].decode().rstrip(),
                         "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 128), }")
        rows = struct.unpack(f"<{20 * 128}f", stored[10 + length:])
        # Images that run alone or together differ in rounding at most.
        for left, right in zip(rows, struct.unpack(f"<{20 * 128}f", content)):
            self.assertAlmostEqual(left, right, delta=1e-4)

    def test_embed_patches_and_their_picture(self):
        outputs, picture = self.folder / "patches.safetensors", self.folder / "pca.png"
        dinat = pathlib.Path("weights/dinat-digits")
        result = vizoo("embed", "--model", dinat, "--features", "patches", "--output", outputs,
                       "--pca", picture, *sorted(IMAGES.glob("*.png"))[:3])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        shape = read_safetensors(outputs)["features"][1]
        self.assertEqual((len(shape), shape[0]), (4, 3))
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", picture.read_bytes()[16:24])
        side = (width - 8) // 2
        self.assertEqual((width, height), (2 * side + 8, 3 * side + 2 * 8))
        result = vizoo("embed", "--model", CHECKPOINT, "--features", "stage2", "--output", outputs,
                       IMAGES)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(read_safetensors(outputs)["features"][1][:2], [20, 32])

    def test_embed_failures(self):
        image = sorted(IMAGES.glob("*.png"))[0]
        outputs = self.folder / "features.safetensors"
        run = ("embed", "--model", CHECKPOINT)
        missing = self.folder / "none.png"
        result = vizoo(*run, "--output", outputs, missing, image)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr,
                         f"[image] {missing}: expected an image file, got no such file.\n")
        self.assertEqual(result.stdout, f"{image}  0  [128]\n")
        self.assertEqual(read_safetensors(outputs)["features"][1], [1, 128])
        self.check_failure(vizoo(*run, image), 2,
                           "[usage] embed: expected --output or --pca, got neither.")
        self.check_failure(vizoo(*run, "--output", "features.txt", image), 2,
                           "[usage] --output: expected a name that ends in .safetensors or .npy, "
                           "got \"features.txt\".")
        self.check_failure(vizoo(*run, "--pca", self.folder / "x.png", image), 2,
                           "[usage] --pca: expected features of patches, got pooled ones. "
                           "Add --features patches.")
        self.check_failure(vizoo(*run, "--output", outputs, "--features", "stage9", image), 1,
                           f"[config] {CHECKPOINT}/config.json: /out_features: expected a subset of "
                           "the stages [\"stem\", \"stage1\", \"stage2\", \"stage3\", "
                           "\"stage4\"], got "
                           "[\"stage9\"].")

    def test_preprocess(self):
        outputs, picture = self.folder / "out.safetensors", self.folder / "out.png"
        image = sorted(IMAGES.glob("*.png"))[0]
        result = vizoo("preprocess", "--model", CHECKPOINT, "--outputs", outputs, "--draw", picture,
                       image, image)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, "pixel_values Float [2, 3, 32, 32]\n")
        self.assertEqual(read_safetensors(outputs)["pixel_values"][:2], ("F32", [2, 3, 32, 32]))
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        result = vizoo("preprocess", "--model", CHECKPOINT, "--outputs", outputs, image, "--set",
                       "do_resize=false", "--set", "do_rescale=false", "--set", "do_normalize=false")
        self.assertEqual(read_safetensors(outputs)["pixel_values"][:2], ("U8", [1, 3, 32, 32]))
        result = vizoo("preprocess", "--model", CHECKPOINT, "--outputs", outputs, image, "--set",
                       "do_resizze=false")
        self.assertEqual(result.returncode, 1)
        self.assertIn("do_resize", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)


class Detections(ProgramTest):
    """A detector of 2 x 2 patches with random weights and nine tokens."""

    def setUp(self):
        super().setUp()
        if not WITH_OPENCV:
            self.skipTest("built without OpenCV")
        self.model = self.folder / "detector"
        shutil.copytree("test/fixtures/owlv2/detector", self.model)
        tokens = ["!", "a", "b", "a</w>", "b</w>", "ab</w>", "!</w>", "<|startoftext|>",
                  "<|endoftext|>"]
        for name, content in (
                ("vocab.json", {token: index for index, token in enumerate(tokens)}),
                ("tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "pad_token": "!",
                                           "model_max_length": 5}),
                ("preprocessor_config.json", {"image_processor_type": "Owlv2ImageProcessor",
                                              "size": {"height": 7, "width": 7}})):
            (self.model / name).write_text(json.dumps(content))
        (self.model / "merges.txt").write_text("#version: 0.2\na b</w>\n")
        self.images = sorted(IMAGES.glob("*.png"))[:3]

    def detect(self, *arguments):
        return vizoo("detect", "--model", self.model, *arguments)

    def lines(self, *arguments):
        result = self.detect("--json", *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_texts(self):
        lines = self.lines("--text", "a", "--text", "ab", "--threshold", 0, *self.images)
        self.assertEqual([line["image"] for line in lines], list(map(str, self.images)))
        for line in lines:
            self.assertEqual((line["height"], line["width"]), (32, 32))
            self.assertEqual(len(line["detections"]), 4)
            for detection in line["detections"]:
                self.assertEqual(detection["label"], ["a", "ab"][detection["id"]])
                self.assertEqual(len(detection["box"]), 4)
                self.assertTrue(0 < detection["score"] < 1)
        for batch in (2, 8):
            again = self.lines("--text", "a", "--text", "ab", "--threshold", 0, "--batch", batch,
                               *self.images)
            self.assert_same(again, lines)
        file = self.folder / "texts.txt"
        file.write_text("a\r\n\n  \nab\n")
        self.assert_same(self.lines("--text-file", file, "--threshold", 0, *self.images), lines)
        scores = sorted(detection["score"] for line in lines for detection in line["detections"])
        cut = self.lines("--text", "a", "--text", "ab", "--threshold",
                         (scores[5] + scores[6]) / 2, *self.images)
        self.assertEqual(sum(len(line["detections"]) for line in cut), 6)
        # Nothing stays beside the best box of a text that all others overlap.
        few = self.lines("--text", "a", "--threshold", 0, "--nms", 0, *self.images)
        self.assertTrue(all(1 <= len(line["detections"]) < 4 for line in few))

    def assert_same(self, left, right):
        self.assertEqual(len(left), len(right))
        for one, other in zip(left, right):
            self.assertEqual(one["image"], other["image"])
            self.assertEqual(len(one["detections"]), len(other["detections"]))
            for a, b in zip(one["detections"], other["detections"]):
                self.assertEqual((a["id"], a["label"]), (b["id"], b["label"]))
                self.assertAlmostEqual(a["score"], b["score"], delta=1e-5)
                for side, same in zip(a["box"], b["box"]):
                    self.assertAlmostEqual(side, same, delta=1e-3)

    def test_words(self):
        result = self.detect("--text", "a b", "--threshold", 0, self.images[0])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        name, *rows = result.stdout.splitlines()
        self.assertEqual(name, str(self.images[0]))
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertRegex(row, r"^  0\.\d{4}  \[-?\d+\.\d(, -?\d+\.\d){3}\]  a b$")
        scores = [float(row.split()[0]) for row in rows]
        self.assertEqual(scores, sorted(scores, reverse=True))
        result = self.detect("--text", "a", "--threshold", 1, self.images[0])
        self.assertEqual(result.stdout, f"{self.images[0]}\n  nothing\n")

    def test_query_image(self):
        lines = self.lines("--query-image", self.images[0], "--nms", 1, *self.images)
        for line in lines:
            self.assertGreater(len(line["detections"]), 0)
            best = max(detection["score"] for detection in line["detections"])
            self.assertAlmostEqual(best, 1.0, delta=1e-4)
            for detection in line["detections"]:
                self.assertEqual((detection["id"], detection["label"]), (None, None))
        (self.model / "vocab.json").unlink()  # texts are not needed
        self.assert_same(self.lines("--query-image", self.images[0], "--nms", 1, "--batch", 3,
                                    *self.images), lines)

    def test_box_scale_and_pad_value(self):
        wide = self.folder / "wide.bmp"
        write_bmp(wide, 20, 10)
        by_side, by_both = (self.lines("--text", "a", "--threshold", 0, "--box-scale", scale,
                                       wide)[0]["detections"] for scale in ("max", "wh"))
        for one, other in zip(by_side, by_both):
            self.assertAlmostEqual(one["box"][0], other["box"][0], delta=1e-4)
            self.assertAlmostEqual(one["box"][1], 2 * other["box"][1], delta=1e-4)
        zero = self.lines("--text", "a", "--threshold", 0, "--pad-value", 0, wide)[0]["detections"]
        self.assertNotEqual([one["score"] for one in zero], [one["score"] for one in by_side])
        half = self.lines("--text", "a", "--threshold", 0, "--pad-value", 0.5, wide)
        self.assertEqual(half[0]["detections"], by_side)

    def test_draw(self):
        picture = self.folder / "found.png"
        run = ("--text", "a", "--threshold", 0, "--draw")
        result = self.detect(*run, picture, self.images[0])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        content = picture.read_bytes()
        self.assertEqual(content[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", content[16:24]), (32, 32))
        pictures = self.folder / "pictures"
        other = self.folder / "other"
        other.mkdir()
        twin = other / self.images[0].name
        shutil.copy(self.images[0], twin)
        self.assertEqual(self.detect(*run, pictures, *self.images, twin).returncode, 0)
        expected = [f"{image.stem}.png" for image in self.images] + [f"{twin.stem}-2.png"]
        self.assertEqual(sorted(path.name for path in pictures.iterdir()), sorted(expected))
        self.check_failure(self.detect(*run, picture, *self.images), 2,
                           "[usage] --draw: expected a folder for 3 images, got "
                           f'"{picture}".')

    def test_a_bad_image_is_reported_and_the_rest_answered(self):
        missing = self.folder / "missing.png"
        result = self.detect("--json", "--text", "a", "--batch", 8, self.images[0], missing,
                             self.images[1])
        self.assertEqual(result.returncode, 1)
        error = f"[image] {missing}: expected an image file, got no such file."
        self.assertEqual(result.stderr, error + "\n")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(["detections" in line for line in lines], [True, False, True])
        self.assertEqual(lines[1], {"image": str(missing), "error": error})
        strip = self.folder / "strip.bmp"
        write_bmp(strip, 20000, 1)
        result = self.detect("--text", "a", strip, self.images[0])
        error = (f"[processor] {strip}: /do_pad: expected 1 to 178956970 pixels, "
                 "got 20000 x 20000.")
        self.assertEqual((result.returncode, result.stderr), (1, error + "\n"))
        self.assertTrue(result.stdout.startswith(f"{self.images[0]}\n"))
        self.check_failure(self.detect("--query-image", strip, self.images[0]), 1, error)

    def test_failures(self):
        image = self.images[0]
        empty = self.folder / "empty.txt"
        empty.write_text("\n \n")
        cases = [
            ([image], 2, "[usage] detect: expected either --text or --text-file, or --query-image, "
                         "got neither."),
            (["--text", "a", "--query-image", image, image], 2,
             "[usage] detect: expected either --text or --text-file, or --query-image, got both."),
            (["--text", "", image], 2, '[usage] --text: expected words, got "".'),
            (["--text", "  ", image], 2, '[usage] --text: expected words, got "  ".'),
            (["--text-file", empty, image], 2,
             f"[usage] {empty}: expected a file with a text on each line, got none."),
            (["--text", "a b a b", image], 1,
             "[tokenizer] text 0: expected at most 5 tokens, got 6. Truncation cuts longer texts."),
            (["--query-image", self.folder / "none.png", image], 1,
             f"[image] {self.folder}/none.png: expected an image file, got no such file.")]
        for arguments, code, message in cases:
            with self.subTest(arguments):
                self.check_failure(self.detect(*arguments), code, message)
        for option in ("--threshold", "--nms"):
            result = self.detect("--text", "a", option, 1.5, image)
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1))
            self.assertIn(option, result.stderr)
        result = self.detect("--text", "a b a b", "--truncation", image)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stderr, 'warning: text "a b a b" was cut by 1 tokens to the 5 that '
                                        "the model takes.\n")
        result = vizoo("detect", "--model", CHECKPOINT, "--text", "a", image)
        self.assertEqual((result.returncode, len(result.stderr.splitlines())), (1, 1))

    def test_strips(self):
        for size in ((5000, 1), (1, 5000), (1, 1)):
            strip = self.folder / "strip.bmp"
            write_bmp(strip, *size)
            line = self.lines("--text", "a", "--threshold", 0, strip)[0]
            self.assertEqual((line["width"], line["height"]), size)
            self.assertEqual(len(line["detections"]), 4)

    def test_preprocess(self):
        outputs = self.folder / "out.safetensors"
        run = ("preprocess", "--model", self.model, "--outputs", outputs)
        result = vizoo(*run, "--text", "ab", "--text", "a b", self.images[0])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout.splitlines(), [
            "input_ids Long [2, 5]", "attention_mask Long [2, 5]",
            "pixel_values Float [1, 3, 7, 7]"])
        tensors = read_safetensors(outputs)
        self.assertEqual(struct.unpack("<10q", tensors["input_ids"][2]),
                         (7, 5, 8, 0, 0, 7, 3, 4, 8, 0))
        self.assertEqual(struct.unpack("<10q", tensors["attention_mask"][2]),
                         (1, 1, 1, 0, 0, 1, 1, 1, 1, 0))
        result = vizoo(*run, "--text", "ab")
        self.assertEqual(result.stdout.splitlines(),
                         ["input_ids Long [1, 5]", "attention_mask Long [1, 5]"])
        # Query images replace the texts.
        result = vizoo(*run, "--text", "ab", "--query-image", self.images[0], "--query-image",
                       self.images[1], self.images[2])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(sorted(read_safetensors(outputs)), ["pixel_values", "query_pixel_values"])
        self.assertEqual(read_safetensors(outputs)["query_pixel_values"][1], [2, 3, 7, 7])
        self.check_failure(vizoo(*run), 2, "[usage] preprocess: expected images, --text or "
                                           "--query-image, got none of them.")


def write_bmp(path, width, height):
    """A picture of changing colours."""
    rows = b"".join(bytes((x * 3 + channel * 70 + y * 5) % 256 for x in range(width)
                          for channel in range(3)) + bytes(-width * 3 % 4) for y in range(height))
    path.write_bytes(struct.pack("<2sIII", b"BM", 54 + len(rows), 0, 54)
                     + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 0, 0, 0,
                                   0) + rows)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv[1])
    WITH_OPENCV = sys.argv[2] == "ON"
    unittest.main(argv=sys.argv[:1])
