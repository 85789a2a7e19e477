"""Runs `vizoo export`, and commands on the files that it makes, from the source folder.

usage: export_test.py PROGRAM ON|OFF      (whether the program was built with OpenCV)
"""

import json
import pathlib
import resource
import struct
import subprocess

import support
from support import (CHECKPOINT, IMAGES, ProgramTest, read_safetensors, vizoo, write_safetensors)

DINAT = pathlib.Path("weights/dinat-digits")


class Export(ProgramTest):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "model.pt"

    def export(self, *arguments, model=DINAT):
        return vizoo("export", "--model", model, "--output", self.file, *arguments)

    def described(self, *arguments, model=DINAT):
        result = self.export("--json", *arguments, model=model)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def test_what_a_file_says(self):
        described = self.described("--check")
        self.assertEqual(described["class_name"], "DinatForImageClassification")
        self.assertEqual(described["inputs"], [{"name": "pixel_values", "dtype": "float32",
                                                "shape": ["batch", 3, "height", "width"]}])
        self.assertEqual((described["outputs"], described["output_format"]), (["logits"], "tuple"))
        self.assertIn("vizoo::na2d", described["ops"])
        self.assertEqual(described["files"], ["config.json", "preprocessor_config.json"])
        self.assertLess(described["largest_difference"], 1e-5)
        self.assertEqual(described["bytes"], self.file.stat().st_size)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["model.pt"])
        result = self.export("--check", "--outputs", "hidden_states,logits", "--format", "dict")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], f"{self.file}  DinatForImageClassification")
        self.assertEqual(lines[1], '  input   pixel_values float32 ["batch",3,"height","width"]')
        self.assertEqual(lines[2], "  output  logits")
        self.assertTrue(lines[3].startswith("  output  hidden_states.0"))
        self.assertIn("  needs   LibTorch and libvizoo_ops.so", lines)
        self.assertRegex(lines[-1], "^  checked at other sizes: differs by at most ")
        self.assertEqual(self.described(model=CHECKPOINT)["ops"], [])

    def test_a_file_is_inspected(self):
        described = self.described()
        result = vizoo("inspect", self.file, "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        inspected = json.loads(result.stdout)
        self.assertEqual(inspected, {key: described[key] for key in inspected})
        self.assertLess(set(inspected), set(described))
        lines = vizoo("inspect", self.file).stdout.splitlines()
        self.assertRegex(lines[0], "^exported    DinatForImageClassification, by vizoo ")
        self.assertEqual(lines[1], "needs       libvizoo_ops.so for vizoo::crop_like, vizoo::na2d, "
                                   "vizoo::pad_to_at_least")
        self.check_failure(vizoo("export", "--model", self.file, "--output", self.file), 2,
                           "[usage] --model: expected a checkpoint's folder, got a file. Commands "
                           "that take --trust-code run exported models. vizoo --help lists the "
                           "commands.")

    def test_methods(self):
        detector = pathlib.Path("test/fixtures/owlv2/detector")
        described = self.described("--check", model=detector)
        self.assertEqual(sorted(described["methods"]), ["image_embedder", "image_guided_detection"])
        guided = described["methods"]["image_guided_detection"]
        self.assertEqual(guided["inputs"], [
            {"name": "pixel_values", "dtype": "float32", "shape": ["batch", 3, 7, 7]},
            {"name": "query_pixel_values", "dtype": "float32", "shape": ["queries", 3, 7, 7]}])
        self.assertEqual(guided["outputs"][0], "logits")
        self.assertIn("method      image_guided_detection",
                      vizoo("inspect", self.file).stdout.splitlines())
        self.assertIn("  method  image_embedder",
                      self.export(model=detector).stdout.splitlines())
        stored = pathlib.Path("test/fixtures/owlv2/detector_image_guided/input.safetensors")
        tensors = read_safetensors(stored)
        del tensors["cotangent"]
        inputs, outputs = self.folder / "in.safetensors", self.folder / "out.safetensors"
        write_safetensors(inputs, tensors)
        found = []
        for options in (("--model", detector), ("--model", self.file, "--trust-code")):
            result = vizoo("forward", *options, "--method", "image_guided_detection", "--inputs",
                           inputs, "--outputs", outputs)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            found.append(read_safetensors(outputs))
        self.assertEqual(set(found[0]), set(found[1]))
        for name, (_, shape, content) in found[0].items():
            self.assertEqual(shape, found[1][name][1])
            for one, other in zip(struct.unpack(f"<{len(content) // 4}f", content),
                                  struct.unpack(f"<{len(content) // 4}f", found[1][name][2])):
                self.assertAlmostEqual(one, other, delta=1e-5)
        result = vizoo("forward", "--model", self.file, "--trust-code", "--method", "nothing",
                       "--inputs", inputs, "--outputs", outputs)
        self.check_failure(result, 2,
                           "[export] Owlv2ForObjectDetection: expected one of the file's methods "
                           'forward, image_embedder, image_guided_detection, got "nothing". vizoo '
                           "export writes those that the class has.")

    def test_a_file_answers_as_the_folder(self):
        if not support.WITH_OPENCV:
            self.skipTest("built without OpenCV")
        for model in (DINAT, CHECKPOINT):
            images = sorted(IMAGES.glob("*.png"))[:5]
            for form in ("tuple", "dict"):
                self.described("--format", form, model=model)
                answers = []
                for options in (("--model", model), ("--model", self.file, "--trust-code")):
                    result = vizoo("classify", *options, "--json", "--batch", "2", *images)
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    answers.append([json.loads(line) for line in result.stdout.splitlines()])
                for one, other in zip(*answers, strict=True):
                    self.assertEqual([row["label"] for row in one["predictions"]],
                                     [row["label"] for row in other["predictions"]])
                    for left, right in zip(one["predictions"], other["predictions"]):
                        self.assertAlmostEqual(left["score"], right["score"], delta=1e-5)

    def test_features(self):
        if not support.WITH_OPENCV:
            self.skipTest("built without OpenCV")
        result = self.export("--class", "ConvNextModel", model=CHECKPOINT)
        self.assertEqual(result.returncode, 0, result.stderr)
        images = sorted(IMAGES.glob("*.png"))[:2]
        features = []
        for options in (("--model", CHECKPOINT), ("--model", self.file, "--trust-code")):
            output = self.folder / "features.safetensors"
            for kind in ("pooled", "patches"):
                result = vizoo("embed", *options, "--features", kind, "--output", output, *images)
                self.assertEqual(result.returncode, 0, result.stderr)
                _, shape, content = read_safetensors(output)["features"]
                features.append((shape, struct.unpack(f"<{len(content) // 4}f", content)))
        for (shape, values), (other_shape, others) in zip(features[:2], features[2:]):
            self.assertEqual(shape, other_shape)
            for one, other in zip(values, others):
                self.assertAlmostEqual(one, other, delta=1e-4)

    def test_forward_and_bench(self):
        self.described("--outputs", "logits,hidden_states")
        inputs, outputs = self.folder / "in.safetensors", self.folder / "out.safetensors"
        write_safetensors(inputs, {"pixel_values": ("F32", [2, 3, 40, 24],
                                                    bytes(4 * 2 * 3 * 40 * 24))})
        found = []
        for options in (("--model", DINAT), ("--model", self.file, "--trust-code")):
            result = vizoo("forward", *options, "--inputs", inputs, "--outputs", outputs,
                           "--output-hidden-states")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            found.append(read_safetensors(outputs))
        self.assertLessEqual(set(found[1]), set(found[0]))
        for name, (_, shape, content) in found[1].items():
            self.assertEqual(shape, found[0][name][1])
            for one, other in zip(struct.unpack(f"<{len(content) // 4}f", content),
                                  struct.unpack(f"<{len(content) // 4}f", found[0][name][2])):
                self.assertAlmostEqual(one, other, delta=1e-4)
        result = vizoo("forward", "--model", self.file, "--trust-code", "--inputs", inputs,
                       "--outputs", outputs, "--output-attentions")
        self.check_failure(result, 2,
                           "[export] DinatForImageClassification: expected the outputs that the "
                           "file gives, got attentions. Name them with --outputs when it is made.")
        result = vizoo("bench", "--model", self.file, "--trust-code", "--size", "32", "--runs", "1",
                       "--json")
        self.assertEqual(json.loads(result.stdout)["class"], "DinatForImageClassification")

    def test_failures(self):
        self.described()
        classify = ["classify", "--model", self.file, *sorted(IMAGES.glob("*.png"))[:1]]
        if support.WITH_OPENCV:
            self.check_failure(vizoo(*classify), 2,
                               f"[usage] {self.file}: expected --trust-code, got none. A TorchScript "
                               "file is code that runs when it is loaded.")
            self.check_failure(vizoo(*classify, "--trust-code", "--dtype", "float16"), 2,
                               f"[usage] {self.file}: expected --dtype as the file's, Float, got "
                               "Half. It was exported so.")
        whole = self.file.read_bytes()
        result = self.export("--outputs", "logits,scores")
        self.check_failure(result, 2, "[export] outputs: expected some of logits, got \"scores\".")
        result = self.export("--method", "nothing")
        self.check_failure(result, 2, "[model] DinatForImageClassification: expected one of the "
                                      "methods forward, got \"nothing\".")
        self.assertEqual(self.export("--class", "PerceiverModel").returncode, 1)
        for size in (0, 100, len(whole) // 2, len(whole) - 1):
            self.file.write_bytes(whole[:size])
            if support.WITH_OPENCV:
                result = vizoo(*classify, "--trust-code")
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertEqual(result.stderr.count("\n"), 1)
                self.assertIn("model.pt", result.stderr)
        self.file.write_bytes(b"kept")
        self.folder.chmod(0o500)
        result = self.export()
        self.folder.chmod(0o700)
        if result.returncode != 0:  # root writes anywhere
            self.assertEqual(self.file.read_bytes(), b"kept")
        # A disk that is full after 100 kB.
        self.file.write_bytes(b"kept")
        result = subprocess.run([support.PROGRAM, "export", "--model", DINAT, "--output", self.file],
                                capture_output=True, text=True, restore_signals=False, check=False,
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                      (100_000, 100_000)))
        self.check_failure(result, 1, f"[checkpoint] {self.file}: expected a file that can be "
                                      'written, got "File too large". What was there before is '
                                      "unchanged.")
        self.assertEqual(self.file.read_bytes(), b"kept")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["model.pt"])
        missing = self.folder / "none" / "model.pt"
        result = vizoo("export", "--model", DINAT, "--output", missing)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn(str(missing), result.stderr)
        # A device cannot be replaced.
        result = vizoo("export", "--model", DINAT, "--output", "/dev/null")
        self.assertEqual((result.returncode, result.stderr.count("\n")), (1, 1))


if __name__ == "__main__":
    support.run_tests()
