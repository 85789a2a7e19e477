"""Runs the commands of the Perceiver's tasks on small random checkpoints, from the source folder.

usage: perceiver_test.py PROGRAM MAKE_CHECKPOINT ON|OFF     (whether it was built with OpenCV)
"""

import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import wave
import zlib

PROGRAM = ""
MAKE_CHECKPOINT = ""
WITH_OPENCV = True
CORE = {"model_type": "perceiver", "num_latents": 4, "d_latents": 16, "d_model": 16,
        "num_self_attends_per_block": 1, "num_self_attention_heads": 2,
        "num_cross_attention_heads": 1, "initializer_range": 0.3}
LANGUAGE = {"max_position_embeddings": 24, "d_model": 16}
TILE_HEIGHT, TILE_WIDTH = 10, 14
FLOW = {"train_size": [TILE_HEIGHT, TILE_WIDTH], "initializer_range": 0.1}
VIDEO = {"d_model": 704, "num_frames": 3, "audio_samples_per_frame": 20, "samples_per_patch": 4,
         "image_size": 16, "output_shape": [1, 3, 16, 16], "output_num_channels": 16,
         "_label_trainable_num_channels": 12, "initializer_range": 0.1}
PHOTO = "weights/convnext-digits/images"


def make_checkpoint(folder, class_name, config):
    """A folder with random weights of that class."""
    source = folder / "config"
    source.mkdir(exist_ok=True)
    (source / "config.json").write_text(json.dumps({**CORE, **config}))
    target = folder / "checkpoint"
    done = subprocess.run([MAKE_CHECKPOINT, class_name, source, target], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return target


def write_png(path, height, width, color):
    """color(y, x) gives red, green and blue."""
    rows = b"".join(b"\0" + bytes(value for x in range(width) for value in color(y, x))
                    for y in range(height))

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + \
            struct.pack(">I", zlib.crc32(name + content))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" +
                     chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def png_size(path):
    """(height, width)"""
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return height, width


def pattern(shift):
    return lambda y, x: ((37 * (x + shift) + 11 * y) % 256, (5 * (x + shift) * y) % 256, 90)


def write_y4m(path, frames, height, width):
    """An uncompressed video of grey squares that move."""
    content = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C444\n".encode()
    for index in range(frames):
        content += b"FRAME\n" + bytes((9 * (x + index) + 5 * y) % 200 + 20 for y in range(height)
                                      for x in range(width)) + bytes([128]) * (2 * height * width)
    path.write_bytes(content)


def write_wav(path, rate, channels, samples):
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", 200 * i % 30000) for i in range(samples)))


def read_float_wav(path):
    """(rate, samples)"""
    content = path.read_bytes()
    tag, channels, rate = struct.unpack("<HHI", content[20:28])
    if (tag, channels, content[50:54]) != (3, 1, b"data"):
        raise AssertionError(content[:58])
    (size,) = struct.unpack("<I", content[54:58])
    return rate, struct.unpack(f"<{size // 4}f", content[58:])


def read_flo(path):
    """(height, width, values)"""
    content = path.read_bytes()
    magic, width, height = struct.unpack("<fii", content[:12])
    if magic != 202021.25:
        raise AssertionError(f"magic {magic}")
    return height, width, struct.unpack(f"<{2 * height * width}f", content[12:])


class PerceiverTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-perceiver-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def vizoo(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True,
                              stdin=subprocess.DEVNULL, check=False)

    def lines(self, result):
        self.assertEqual(result.stderr.decode(), "")
        self.assertEqual(result.returncode, 0)
        return [json.loads(line) for line in result.stdout.decode().splitlines()]

    def check_failure(self, result, code, message):
        self.assertEqual(result.stderr.decode(), message + "\n")
        self.assertEqual(result.stdout, b"")
        self.assertEqual(result.returncode, code)


class FillMask(PerceiverTest):
    def setUp(self):
        super().setUp()
        self.model = make_checkpoint(self.folder, "PerceiverForMaskedLM", LANGUAGE)

    def fill(self, *arguments):
        return self.vizoo("fill-mask", "--model", self.model, *arguments)

    def test_json(self):
        (answer,) = self.lines(self.fill("--json", "--top-k", "3", "a[MASK]b[MASK]."))
        self.assertEqual([mask["position"] for mask in answer["masks"]], [2, 4])
        for mask in answer["masks"]:
            scores = [one["score"] for one in mask["candidates"]]
            self.assertEqual(len(scores), 3)
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertTrue(0 < sum(scores) < 1)
            for one in mask["candidates"]:
                if 6 <= one["id"] < 134:
                    self.assertEqual(one["token"], chr(one["id"] - 6))
        self.assertEqual(answer["text"][0], "a")
        self.assertEqual(answer["text"][-1], ".")

    def test_an_exported_model(self):
        text = ("--json", "--top-k", "5", "a[MASK]b[MASK].")
        (expected,) = self.lines(self.fill(*text))
        file = self.folder / "language.pt"
        folder, self.model = self.model, file
        for form in ("tuple", "dict"):
            exported = self.vizoo("export", "--model", folder, "--output", file, "--format", form)
            self.assertEqual((exported.returncode, exported.stderr), (0, b""))
            (answer,) = self.lines(self.fill("--trust-code", *text))
            self.assertEqual(answer["text"], expected["text"])
            for ours, theirs in zip(answer["masks"], expected["masks"], strict=True):
                self.assertEqual(ours["position"], theirs["position"])
                for one, other in zip(ours["candidates"], theirs["candidates"], strict=True):
                    self.assertEqual((one["id"], one["token"]), (other["id"], other["token"]))
                    self.assertAlmostEqual(one["score"], other["score"], places=5)
        self.check_failure(self.fill("[MASK]"), 2,
                           f"[usage] {file}: expected --trust-code, got none. A TorchScript file is "
                           "code that runs when it is loaded.")
        self.check_failure(self.fill("--trust-code", "[MASK]" + "a" * 22), 1,
                           "[tokenizer] text: expected at most 24 tokens, with the special ones "
                           "around it, got 25.")
        other = make_checkpoint(self.folder, "PerceiverForSequenceClassification", LANGUAGE)
        self.assertEqual(self.vizoo("export", "--model", other, "--output", file).returncode, 0)
        self.check_failure(self.fill("--trust-code", "[MASK]"), 1,
                           "[export] exported model: expected PerceiverForMaskedLM with the output "
                           "logits, got PerceiverForSequenceClassification.")

    def test_all_candidates_have_probability_one(self):
        (answer,) = self.lines(self.fill("--json", "--top-k", "1000", "[MASK]"))
        candidates = answer["masks"][0]["candidates"]
        self.assertEqual(sorted(one["id"] for one in candidates), list(range(262)))
        self.assertAlmostEqual(sum(one["score"] for one in candidates), 1, places=5)

    def test_words(self):
        result = self.fill("--top-k", "2", "[MASK]ab")
        self.assertEqual(result.returncode, 0)
        lines = result.stdout.decode().splitlines()
        self.assertEqual(len(lines), 4)
        self.assertTrue(lines[0].endswith("ab"))
        self.assertEqual(lines[1], "token 1")
        self.assertRegex(lines[2], r'^  0\.\d{4}  [ \d]{3}  ".+"$')

    def test_errors(self):
        self.check_failure(self.fill("no mask"), 1,
                           "[tokenizer] text: expected at least one [MASK], got none. Each stands "
                           "for one token to be filled in.")
        self.check_failure(self.fill("[MASK]" + "a" * 22), 1,
                           "[tokenizer] text: expected at most 24 tokens, with the special ones "
                           "around it, got 25.")
        self.assertEqual(self.fill("[MASK]" + "a" * 21).returncode, 0)
        result = subprocess.run([PROGRAM, "fill-mask", "--model", str(self.model),
                                 b"\xff[MASK]"], capture_output=True, check=False)
        self.check_failure(result, 1, "[tokenizer] text 0: expected valid UTF-8, got \"\\xff\" at "
                                      "byte 0.")
        self.assertEqual(self.fill().returncode, 2)
        self.assertEqual(self.fill("--top-k", "0", "[MASK]").returncode, 2)


class Flow(PerceiverTest):
    def setUp(self):
        super().setUp()
        if not WITH_OPENCV:
            self.skipTest("built without OpenCV")
        self.model = make_checkpoint(self.folder, "PerceiverForOpticalFlow", FLOW)
        self.first, self.second = self.folder / "a.png", self.folder / "b.png"
        write_png(self.first, 23, 31, pattern(0))
        write_png(self.second, 23, 31, pattern(2))

    def flow(self, *arguments):
        return self.vizoo("flow", "--model", self.model, *arguments)

    def test_a_pair(self):
        output = self.folder / "flow.flo"
        (answer,) = self.lines(self.flow("--json", "--output", output, self.first, self.second))
        height, width, values = read_flo(output)
        self.assertEqual((height, width), (23, 31))
        self.assertEqual(answer, {
            "first": str(self.first), "second": str(self.second), "height": 23, "width": 31,
            "mean": answer["mean"], "longest": answer["longest"], "output": str(output)})
        lengths = [math.hypot(*pair) for pair in zip(values[::2], values[1::2])]
        self.assertGreater(max(lengths), 0)
        self.assertAlmostEqual(answer["longest"], max(lengths), places=5)
        self.assertAlmostEqual(answer["mean"][0], sum(values[::2]) / len(lengths), places=5)
        self.assertAlmostEqual(answer["mean"][1], sum(values[1::2]) / len(lengths), places=5)
        batched = self.folder / "batched.flo"
        self.lines(self.flow("--json", "--batch", "5", "--output", batched, self.first,
                             self.second))
        for ours, theirs in zip(read_flo(batched)[2], values):
            self.assertAlmostEqual(ours, theirs, places=4)

    def test_an_exported_model(self):
        flows = [self.folder / "folder.flo", self.folder / "file.flo"]
        self.lines(self.flow("--json", "--output", flows[0], self.first, self.second))
        file = self.folder / "flow.pt"
        exported = self.vizoo("export", "--model", self.model, "--output", file, "--check")
        self.assertEqual((exported.returncode, exported.stderr), (0, b""))
        self.model = file
        self.lines(self.flow("--trust-code", "--json", "--batch", "3", "--output", flows[1],
                             self.first, self.second))
        for ours, theirs in zip(*(read_flo(path)[2] for path in flows)):
            self.assertAlmostEqual(ours, theirs, places=4)

    def test_a_picture(self):
        output = self.folder / "flow.png"
        result = self.flow("--output", output, self.first, self.second)
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout.decode(),
                         r"^mean -?\d+\.\d\d right, -?\d+\.\d\d down; longest \d+\.\d\d pixels  ")
        height, width = png_size(output)
        self.assertGreater(width, 31 + 48)
        self.lines(self.flow("--json", "--output", output, "--no-legend", "--colors", "notebook",
                             "--max-flow", "3", self.first, self.second))
        self.assertEqual(png_size(output), (23, 31))

    def test_a_video(self):
        video, output = self.folder / "video.y4m", self.folder / "flows"
        write_y4m(video, 4, 20, 16)
        answers = self.lines(self.flow("--json", "--output", output, "--format", "flo", video))
        self.assertEqual([answer["frame"] for answer in answers], [0, 1, 2])
        self.assertEqual(sorted(path.name for path in output.iterdir()),
                         [f"flow_00000{index}.flo" for index in range(3)])
        self.assertEqual(read_flo(output / "flow_000000.flo")[:2], (20, 16))
        self.assertEqual(len(self.lines(self.flow("--json", "--output", output, "--frames", "2",
                                                  video))), 1)
        self.assertTrue((output / "flow_000000.png").exists())
        self.check_failure(self.flow(video), 2, "[usage] --output: expected a folder for the frames "
                                                "of a video, got none.")

    def test_errors(self):
        small, other = self.folder / "small.png", self.folder / "other.png"
        write_png(small, TILE_HEIGHT, TILE_WIDTH - 1, pattern(0))
        write_png(other, 23, 32, pattern(0))
        self.check_failure(self.flow(small, small), 1,
                           "[flow] frames: expected at least 10 x 14 pixels, one tile, got 10 x 13. "
                           "Enlarge or pad both frames.")
        self.check_failure(self.flow(self.first, other), 1,
                           f"[image] {other}: expected 23 x 31 pixels, as {self.first} has, got "
                           "23 x 32.")
        self.check_failure(self.flow("--output", "flow.jpg", self.first, self.second), 2,
                           "[usage] --output: expected a name that ends in .flo or .png, got "
                           "\"flow.jpg\".")
        self.check_failure(self.flow(self.first, self.second, other), 2,
                           "[usage] flow: expected two images, or one video, got 3 files.")
        one = self.folder / "one.y4m"
        write_y4m(one, 1, 20, 16)
        output = self.folder / "none"
        self.check_failure(self.flow("--output", output, one), 1,
                           f"[video] {one}: expected at least two frames, got one.")
        broken = self.folder / "broken.mp4"  # as far as FFmpeg takes it for one
        broken.write_bytes(struct.pack(">I", 16) + b"ftypisom" + bytes(4))
        self.check_failure(self.flow("--output", output, broken), 1,
                           f"[video] {broken}: expected a video that OpenCV can read, got another "
                           "file.")
        missing = self.folder / "missing.mp4"
        self.check_failure(self.flow("--output", output, missing), 1,
                           f"[video] {missing}: expected a video file, got none.")
        self.assertFalse(output.exists())


class Autoencode(PerceiverTest):
    def setUp(self):
        super().setUp()
        if not WITH_OPENCV:
            self.skipTest("built without OpenCV")
        labels = {str(index): f"label {index}" for index in range(7)}
        self.model = make_checkpoint(self.folder, "PerceiverForMultimodalAutoencoding",
                                     {**VIDEO, "id2label": labels})
        self.video, self.audio = self.folder / "video.y4m", self.folder / "audio.wav"
        self.output = self.folder / "decoded"
        write_y4m(self.video, 4, 20, 32)
        write_wav(self.audio, 500, 1, 70)

    def autoencode(self, audio, video, *arguments):
        return self.vizoo("autoencode", "--model", self.model, "--output", self.output, "--audio",
                          audio, video, *arguments)

    def test_a_video_with_sound(self):
        (answer,) = self.lines(self.autoencode(self.audio, self.video, "--json", "--png",
                                               "--top-k", "7"))
        self.assertEqual(sorted(one["id"] for one in answer["predictions"]), list(range(7)))
        self.assertAlmostEqual(sum(one["score"] for one in answer["predictions"]), 1, places=5)
        self.assertEqual(sorted(path.name for path in self.output.iterdir()),
                         ["audio.wav", "frame_000000.png", "frame_000001.png", "frame_000002.png",
                          "video.avi"])
        self.assertEqual(png_size(self.output / "frame_000002.png"), (16, 16))
        self.assertEqual((self.output / "video.avi").read_bytes()[:4], b"RIFF")
        rate, samples = read_float_wav(self.output / "audio.wav")
        self.assertEqual((rate, len(samples)), (500, 60))
        self.assertGreater(max(samples) - min(samples), 0)
        self.lines(self.autoencode(self.audio, self.video, "--json", "--png", "--chunks", "2"))
        for ours, theirs in zip(read_float_wav(self.output / "audio.wav")[1], samples):
            self.assertAlmostEqual(ours, theirs, places=4)

    def test_an_exported_model(self):
        (expected,) = self.lines(self.autoencode(self.audio, self.video, "--json"))
        samples = read_float_wav(self.output / "audio.wav")[1]
        video = (self.output / "video.avi").read_bytes()
        folder, self.model = self.model, self.folder / "autoencoder.pt"
        exported = self.vizoo("export", "--model", folder, "--output", self.model, "--check")
        self.assertEqual((exported.returncode, exported.stderr), (0, b""))
        for chunks in ("128", "4"):  # 4: parts of different size
            (answer,) = self.lines(self.autoencode(self.audio, self.video, "--json", "--trust-code",
                                                   "--chunks", chunks))
            for ours, theirs in zip(answer["predictions"], expected["predictions"], strict=True):
                self.assertEqual(ours["label"], theirs["label"])
                self.assertAlmostEqual(ours["score"], theirs["score"], places=5)
            ours = read_float_wav(self.output / "audio.wav")[1]
            self.assertEqual(len(ours), len(samples))
            for one, other in zip(ours, samples):
                self.assertAlmostEqual(one, other, places=4)
            self.assertEqual(len((self.output / "video.avi").read_bytes()), len(video))
        flow = self.folder / "flow"
        flow.mkdir()
        other = make_checkpoint(flow, "PerceiverForOpticalFlow", FLOW)
        self.assertEqual(self.vizoo("export", "--model", other, "--output",
                                    self.model).returncode, 0)
        self.check_failure(self.autoencode(self.audio, self.video, "--trust-code"), 1,
                           "[export] exported model: expected PerceiverForMultimodalAutoencoding "
                           "for any number of output points, got PerceiverForOpticalFlow. vizoo "
                           "export makes one.")

    def test_a_video_longer_than_a_window(self):
        write_wav(self.audio, 500, 1, 100)
        write_y4m(self.video, 7, 20, 32)
        (answer,) = self.lines(self.autoencode(self.audio, self.video, "--json", "--png"))
        self.assertEqual(answer["frames"], 5)  # as far as there is sound
        self.assertEqual([one["first_frame"] for one in answer["windows"]], [0, 3])
        self.assertEqual(len(list(self.output.glob("*.png"))), 5)
        self.assertEqual(len(read_float_wav(self.output / "audio.wav")[1]), 100)
        (answer,) = self.lines(self.autoencode(self.audio, self.video, "--json", "--frames", "4"))
        self.assertEqual(answer["frames"], 4)

    def test_errors(self):
        sound = self.folder / "other.wav"
        for rate, channels, samples, expected, got in (
                (500, 2, 70, "one channel", "2"), (48000, 1, 70, "500 samples a second", "48000"),
                (500, 1, 59, "at least 60 samples", "59")):
            write_wav(sound, rate, channels, samples)
            self.check_failure(self.autoencode(sound, self.video), 1,
                               f"[audio] {sound}: expected {expected}, got {got}.")
        sound.write_bytes(self.audio.read_bytes()[:-10])
        self.check_failure(self.autoencode(sound, self.video), 1,
                           f"[image] {sound}: expected 140 bytes in its chunk \"data\", got 130.")
        video = self.folder / "short.y4m"
        write_y4m(video, 2, 20, 32)
        self.check_failure(self.autoencode(self.audio, video), 1,
                           f"[video] {video}: expected at least 3 frames, got 2.")
        self.check_failure(self.autoencode(self.audio, self.video, "--frames", "2"), 1,
                           f"[video] {self.video}: expected at least 3 frames, got 2.")
        self.check_failure(self.autoencode(self.audio, self.audio), 1,
                           f"[video] {self.audio}: expected a video that OpenCV can read, got "
                           "another file.")
        self.assertFalse(self.output.exists())


class Classify(PerceiverTest):
    def test_every_image_head(self):
        if not WITH_OPENCV:
            self.skipTest("built without OpenCV")
        for head, config in {"Learned": {"image_size": 24}, "Fourier": {},
                             "ConvProcessing": {}}.items():
            labels = {str(index): f"label {index}" for index in range(4)}
            folder = self.folder / head
            folder.mkdir()
            model = make_checkpoint(folder, f"PerceiverForImageClassification{head}",
                                    {**config, "id2label": labels})
            (model / "preprocessor_config.json").write_text(json.dumps({
                "image_processor_type": "PerceiverImageProcessor",
                "crop_size": {"height": 28, "width": 28}, "size": {"height": 24, "width": 24}}))
            answers = self.lines(self.vizoo("classify", "--model", model, "--json", "--top-k", "4",
                                            PHOTO))
            self.assertGreater(len(answers), 1)
            for answer in answers:
                self.assertEqual(sorted(one["label"] for one in answer["predictions"]),
                                 sorted(labels.values()))
                self.assertAlmostEqual(sum(one["score"] for one in answer["predictions"]), 1,
                                       places=5)
            scores = {tuple(one["score"] for one in answer["predictions"]) for answer in answers}
            self.assertGreater(len(scores), 1, "all images have the same answer")


if __name__ == "__main__":
    PROGRAM, MAKE_CHECKPOINT = sys.argv[1], sys.argv[2]
    WITH_OPENCV = sys.argv[3] == "ON"
    unittest.main(argv=sys.argv[:1])
