"""Runs `vizoo detect` on a small random detector, from the source folder.

usage: detect_test.py PROGRAM ON|OFF      (whether the program was built with OpenCV)
"""

import json
import shutil
import struct

import support
from support import CHECKPOINT, IMAGES, ProgramTest, read_safetensors, vizoo, write_bmp, write_detector


class Detections(ProgramTest):
    """A detector of 2 x 2 patches with random weights and nine tokens."""

    def setUp(self):
        super().setUp()
        if not support.WITH_OPENCV:
            self.skipTest("built without OpenCV")
        self.model = write_detector(self.folder / "detector")
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

    def test_an_exported_model(self):
        texts = ("--text", "a", "--text", "ab", "--threshold", 0)
        expected = self.lines(*texts, *self.images)
        file = self.folder / "detector.pt"
        result = vizoo("export", "--model", self.model, "--output", file, "--check")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.model = file
        for batch in (1, 2, 8):
            self.assert_same(self.lines("--trust-code", "--batch", batch, *texts, *self.images),
                             expected)

    def test_a_query_image_with_an_exported_model(self):
        query = ("--query-image", self.images[0], "--nms", 1)
        expected = self.lines(*query, *self.images)
        folder, self.model = self.model, self.folder / "detector.pt"
        result = vizoo("export", "--model", folder, "--output", self.model, "--format", "dict")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for batch in (1, 3):
            self.assert_same(self.lines("--trust-code", "--batch", batch, *query, *self.images),
                             expected)
        # A file of one method.
        result = vizoo("export", "--model", folder, "--output", self.model, "--method",
                       "image_embedder")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.check_failure(self.detect("--trust-code", *query, *self.images), 2,
                           "[export] Owlv2ForObjectDetection: expected one of the file's methods "
                           'forward, got "image_guided_detection". vizoo export writes those that '
                           "the class has.")

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


if __name__ == "__main__":
    support.run_tests()
