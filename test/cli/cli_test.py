"""Runs the vizoo program as a user does and checks what it prints and its exit code.

usage: cli_test.py PROGRAM ON|OFF      (whether the program was built with OpenCV)
"""

import json
import pathlib
import struct
import subprocess

import support
from support import CHECKPOINT, IMAGES, ProgramTest, read_safetensors, vizoo, write_safetensors


class CommandLine(ProgramTest):
    def test_help_shows_an_example_for_every_command(self):
        commands = ["list", "inspect", "forward", "bench", "doctor"]
        if support.WITH_OPENCV:
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
            result = subprocess.run([support.PROGRAM, "list"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, "[output] stdout: expected to write all results, got a "
                                        "closed or full output.\n")


class Images(ProgramTest):
    def setUp(self):
        super().setUp()
        if not support.WITH_OPENCV:
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


if __name__ == "__main__":
    support.run_tests()
