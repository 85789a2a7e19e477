"""Runs `vizoo train` and `vizoo eval`, from the source folder.

usage: train_test.py PROGRAM ON|OFF      (whether the program was built with OpenCV)
"""

import csv
import json
import shutil
import signal
import struct
import subprocess
import time

import support
from support import CHECKPOINT, IMAGES, ProgramTest, read_safetensors, vizoo, write_detector

LABELS = [str(label) for label in range(10)]


def floats(content):
    return struct.unpack(f"<{len(content) // 4}f", content)


class TrainTest(ProgramTest):
    def setUp(self):
        super().setUp()
        if not support.WITH_OPENCV:
            self.skipTest("built without OpenCV")
        self.output = self.folder / "run"

    def train(self, *arguments, output=None):
        return vizoo("train", "--output", output or self.output, "--threads", 1, *arguments)

    def check_trained(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def log(self, output=None):
        lines = ((output or self.output) / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def losses(self, output=None):
        return [line["loss"] for line in self.log(output) if "loss" in line]

    def weights(self, output=None):
        return read_safetensors((output or self.output) / "model.safetensors")

    def metrics(self, result):
        return {name: float(value) for name, value in
                (line.split() for line in result.stdout.splitlines() if line)}


class Images(TrainTest):
    """A classifier of digits on the 20 images beside it, half of them to train on."""

    def setUp(self):
        super().setUp()
        self.data, self.test = self.folder / "train", self.folder / "test"
        self.copy_images(LABELS)

    def copy_images(self, names):
        for folder in (self.data, self.test):
            shutil.rmtree(folder, ignore_errors=True)
        for index, image in enumerate(sorted(IMAGES.glob("*.png"))):
            folder = (self.data, self.test)[index % 2] / names[int(image.stem[-1])]
            folder.mkdir(parents=True)
            shutil.copy(image, folder)

    def train(self, *arguments, **options):
        return super().train("--train", self.data, *arguments, **options)

    def fine_tune(self, *arguments, **options):
        batch = [] if "--batch" in arguments else ["--batch", 5]
        return self.check_trained(self.train(
            "--model", CHECKPOINT, "--no-random-resized-crop", "--no-flip", *batch, *arguments,
            **options))

    def test_output(self):
        result = self.fine_tune("--evaluation", self.test, "--epochs", 3, "--keep-last", 1,
                                "--learning-rate", 1e-4)
        self.assertIn("recipe fine-tune: fine-tuning of ConvNeXT", result.stderr)
        self.assertIn("data: 10 images, 10 to evaluate on; 5 a step, 6 steps\n", result.stderr)
        self.assertNotIn("head", result.stderr.split("recipe", 1)[1].split("\n", 1)[1])
        metrics = self.metrics(result)
        self.assertGreaterEqual(metrics["top1"], 0.9)
        self.assertLess(metrics["loss"], 0.5)
        log = self.log()
        self.assertEqual([line["step"] for line in log if "loss" in line], [1, 2, 3, 4, 5, 6])
        self.assertEqual([line["epoch"] for line in log if "evaluation" in line], [0, 1, 2])
        self.assertAlmostEqual(log[-1]["evaluation"]["loss"], metrics["loss"], places=4)
        for line in log:
            if "loss" in line:
                self.assertEqual(line["skipped"], False)
                self.assertGreater(line["images_per_second"], 0)
        # The newest, and the best.
        kept = sorted(path.name for path in (self.output / "checkpoints").iterdir())
        self.assertIn("step-00000006", kept)
        self.assertLessEqual(len(kept), 2)
        self.assertEqual(len(list((self.output / "events").iterdir())), 1)
        # What was trained is a folder as any other.
        result = vizoo("classify", "--model", self.output, "--top-k", 1, next(self.test.glob("7/*")))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("  7\n", result.stdout)

    def test_evaluation(self):
        table = self.folder / "confusion.csv"
        result = vizoo("eval", "--model", CHECKPOINT, "--data", self.test, "--json", "--confusion",
                       table, "--batch", 4)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        line = json.loads(result.stdout)
        self.assertEqual((line["images"], line["skipped"]), (10, 0))
        rows = list(csv.reader(table.read_text().splitlines()))
        self.assertEqual(rows[0], ["label", *LABELS])
        counts = [[int(count) for count in row[1:]] for row in rows[1:]]
        self.assertEqual([sum(row) for row in counts], [1] * 10)
        right = sum(counts[i][i] for i in range(10))
        self.assertEqual(line["metrics"]["top1"], right / 10)
        text = vizoo("eval", "--model", CHECKPOINT, "--data", self.test)
        self.assertIn("\nConfusion matrix: a row for each label, a column for each answer\n",
                      text.stdout)
        self.check_failure(
            vizoo("eval", "--model", CHECKPOINT, "--data", self.test, "--confusion", "a.png"), 2,
            "[usage] --confusion: expected a name that ends in .csv, got \"a.png\".")

    def test_same_bits(self):
        """Neither workers nor a second run change anything."""
        options = ["--model", CHECKPOINT, "--batch", 4, "--steps", 4, "--mixup", 0.8, "--seed", 3]
        self.check_trained(self.train(*options))
        expected = (self.output / "model.safetensors").read_bytes()
        losses = self.losses()
        for workers in (0, 3):
            again = self.folder / f"again-{workers}"
            self.check_trained(self.train(*options, "--workers", workers, output=again))
            self.assertEqual((again / "model.safetensors").read_bytes(), expected)
            self.assertEqual(self.losses(again), losses)
        other = self.folder / "other"
        self.check_trained(self.train(*options[:-1], 4, output=other))
        self.assertNotEqual(self.losses(other), losses)

    def test_accumulation(self):
        options = ["--batch", 10, "--steps", 5, "--learning-rate", 1e-4, "--set",
                   "drop_path_rate=0"]
        self.fine_tune(*options)
        parts = self.folder / "parts"
        self.fine_tune(*options, "--accumulation", 3, output=parts)
        for one, many in zip(self.losses(), self.losses(parts)):
            self.assertAlmostEqual(one, many, delta=1e-5 * one)

    def test_resume(self):
        options = ["--steps", 7, "--save-every", 2, "--ema", 0.9]
        self.fine_tune(*options)
        expected = (self.output / "model.safetensors").read_bytes()
        losses = self.losses()
        # Back to step 4, in the middle of nothing: 2 steps make an epoch, so between epochs too.
        for step in (4, 2):
            with self.subTest(step=step):
                again = self.folder / f"again-{step}"
                self.fine_tune("--steps", 7, "--save-every", 1, "--keep-last", 9, "--ema", 0.9,
                               output=again)
                for path in (again / "checkpoints").iterdir():
                    if int(path.name[5:]) > step + 1:
                        shutil.rmtree(path)
                # The newest is damaged: it is passed over, and said so.
                damaged = again / "checkpoints" / f"step-{step + 1:08}" / "optimizer.safetensors"
                damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
                result = self.fine_tune(*options, "--resume", output=again)
                self.assertIn(f"resumed at step {step}\n", result.stderr)
                self.assertIn("optimizer.safetensors", result.stderr)
                self.assertEqual((again / "model.safetensors").read_bytes(), expected)
                self.assertEqual(self.losses(again), losses)
                events = sorted((again / "events").iterdir())
                self.assertEqual(len(events), 2)
        result = self.train("--model", CHECKPOINT)
        self.check_failure(result, 2, f"[usage] --output: expected a folder without checkpoints, "
                           f'got "{self.output}", which has some. --resume goes on from the newest.')
        result = self.train("--model", CHECKPOINT, "--batch", 6, "--resume")
        self.assertEqual(result.returncode, 1)
        self.assertIn("expected a checkpoint of the same model, data and options", result.stderr)

    def test_stop(self):
        """A signal ends the run with its state saved."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            output = self.folder / f"stopped-{number}"
            command = [support.PROGRAM, "train", "--model", CHECKPOINT, "--train", self.data,
                       "--output", output, "--steps", 1000000, "--batch", 5, "--threads", 1]
            with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE,
                                  text=True) as process:
                log = output / "log.jsonl"
                while process.poll() is None and not (log.exists() and log.stat().st_size > 0):
                    time.sleep(0.01)
                process.send_signal(number)
                _, error = process.communicate()
            self.assertEqual(process.returncode, 130, error)
            step = self.log(output)[-1]["step"]
            self.assertIn(f"stopped at step {step}, which is saved; --resume goes on\n", error)
            self.assertTrue((output / "checkpoints" / f"step-{step:08}" / "manifest.json").exists())
            self.assertFalse((output / "model.safetensors").exists())

    def test_new_labels(self):
        names = ["nul", "\u00e9\u00e9n", "two", "drei", "quatro", "cinq", "sex", "sju", "8", "nove"]
        self.copy_images(names)
        result = self.fine_tune("--steps", 2)
        self.assertIn("head: new, for 10 labels (", result.stderr)
        config = json.loads((self.output / "config.json").read_text())
        self.assertEqual(sorted(config["label2id"]), sorted(names))
        before = read_safetensors(CHECKPOINT / "model.safetensors")
        after = self.weights()
        self.assertEqual(list(after), list(before))
        bias = floats(after["classifier.bias"][2])
        self.assertLess(max(map(abs, bias)), 1e-3)  # begun from zero
        # Fewer labels: another shape.
        for name in names[3:]:
            shutil.rmtree(self.data / name)
        small = self.folder / "small"
        result = self.fine_tune("--steps", 2, output=small)
        self.assertIn("head: new, for 3 labels (nul, two, \u00e9\u00e9n)", result.stderr)
        self.assertEqual(self.weights(small)["classifier.weight"][1], [3, 128])

    def changed(self, output=None):
        before = read_safetensors(CHECKPOINT / "model.safetensors")
        after = self.weights(output)
        self.assertEqual(set(before), set(after))
        return {name for name in before if before[name] != after[name]}

    def test_what_is_trained(self):
        self.fine_tune("--steps", 2, "--linear-probe")
        self.assertEqual(self.changed(), {"classifier.weight", "classifier.bias"})
        frozen = self.folder / "frozen"
        self.fine_tune("--steps", 3, "--freeze", "convnext.embeddings.*", "--freeze", "*.dwconv.?e*",
                       output=frozen)
        kept = set(self.weights(frozen)) - self.changed(frozen)
        self.assertEqual(kept, {name for name in self.weights(frozen)
                                if name.startswith("convnext.embeddings.") or
                                name.endswith("dwconv.weight")})

    def test_augmentation(self):
        """Switches are on, off, or the recipe's; off, training sees what an evaluation sees."""
        def first_loss(*switches, model="--model"):
            output = self.folder / "first"
            shutil.rmtree(output, ignore_errors=True)
            self.check_trained(self.train(
                model, CHECKPOINT, "--batch", 10, "--steps", 1, "--learning-rate", 0, "--mixup", 0,
                "--cutmix", 0, "--label-smoothing", 0, "--set", "drop_path_rate=0", *switches,
                output=output))
            again = self.folder / "again"
            shutil.rmtree(again, ignore_errors=True)
            self.check_trained(vizoo("train", "--config-file", output / "options.toml", "--output",
                                     again))
            self.assertEqual(self.losses(output), self.losses(again))
            return self.losses(output)[0]

        both = ("--random-resized-crop", "--flip")
        neither = ("--no-random-resized-crop", "--no-flip")
        losses = [first_loss(*both), first_loss(both[0], neither[1]), first_loss(neither[0], both[1]),
                  first_loss(*neither)]
        self.assertEqual(len(set(losses)), 4)
        self.assertEqual(first_loss(), losses[0])
        for recipe in ("--model", "--config"):
            self.assertNotEqual(first_loss(model=recipe), first_loss(*neither, model=recipe))
        evaluated = vizoo("eval", "--model", CHECKPOINT, "--data", self.data, "--json")
        self.assertAlmostEqual(losses[3], json.loads(evaluated.stdout)["metrics"]["loss"], places=5)

    def test_options_of_other_tasks(self):
        for option in (["--temperature", 2], ["--distillation-weight", 0.5], ["--ema-warmup"],
                       ["--teacher", CHECKPOINT, "--temperature", 2],
                       ["--train-images", self.data], ["--evaluation-images", self.data]):
            with self.subTest(option=option):
                result = self.train("--model", CHECKPOINT, *option)
                self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
                self.assertIn(f"[usage] {option[-2] if len(option) > 1 else option[0]}: expected a ",
                              result.stderr)

    def test_learning_rate_scale(self):
        self.fine_tune("--steps", 2, "--learning-rate-scale", "convnext.*=0", "--weight-decay", 0)
        self.assertEqual(self.changed(), {"classifier.weight", "classifier.bias"})
        for text in ("convnext.*", "convnext.*=", "=1", "convnext.*=-1", "convnext.*=nan"):
            self.check_failure(
                self.train("--model", CHECKPOINT, "--learning-rate-scale", text), 2,
                f'[usage] --learning-rate-scale: expected PATTERN=FACTOR with a factor of at least '
                f'0, got "{text}".')

    def test_average(self):
        """With a decay of 1 the average is where training began."""
        self.fine_tune("--steps", 2, "--ema", 1)
        self.assertEqual(self.changed(), set())

    def test_from_config(self):
        for extra in ([], ["--loss", "binary-cross-entropy", "--mixup", 0, "--cutmix", 0],
                      ["--optimizer", "sgd", "--momentum", 0.8, "--schedule", "linear"]):
            shutil.rmtree(self.output, ignore_errors=True)
            result = self.check_trained(self.train(
                "--config", CHECKPOINT, "--steps", 3, "--batch", 5, "--learning-rate", 1e-3,
                "--warmup-steps", 1, *extra))
            self.assertIn("recipe from-scratch: training of DeiT", result.stderr)
            self.assertNotIn("head: new", result.stderr)
            rates = [line["learning_rate"] for line in self.log()]
            self.assertEqual(rates[:2], [0, 1e-3])
            self.assertLess(rates[2], 1e-3)

    def test_teacher(self):
        for distillation in ("hard", "soft"):
            output = self.folder / distillation
            self.fine_tune("--steps", 2, "--teacher", CHECKPOINT, "--distillation", distillation,
                           output=output)
            self.assertEqual(len(self.losses(output)), 2)
        self.assertNotEqual(self.losses(self.folder / "hard"), self.losses(self.folder / "soft"))
        paper = self.folder / "paper"
        self.fine_tune("--steps", 2, "--teacher", CHECKPOINT, "--distillation", "soft",
                       "--distillation-weight", 0.1, "--temperature", 3, output=paper)
        self.assertEqual(self.losses(self.folder / "soft"), self.losses(paper))

    def test_autocast(self):
        """Half types change rounding; the loss of float16 is scaled."""
        losses = {}
        for dtype in ("float32", "bfloat16", "float16"):
            output = self.folder / dtype
            self.fine_tune("--steps", 3, *([] if dtype == "float32" else ["--autocast", dtype]),
                           output=output)
            losses[dtype] = self.losses(output)
            (state,) = output.glob("checkpoints/step-00000003/training.json")
            scale = json.loads(state.read_text())["loss_scale"]
            if dtype == "float16":
                skipped = sum(line["skipped"] for line in self.log(output))
                self.assertEqual(scale, 65536 / 2 ** skipped)
                self.assertLess(skipped, 3)
            else:
                self.assertIsNone(scale)
        for dtype in ("bfloat16", "float16"):
            self.assertNotEqual(losses[dtype], losses["float32"])
            for half, single in zip(losses[dtype], losses["float32"]):
                self.assertAlmostEqual(half, single, delta=0.1 * single)

    def test_config_file(self):
        self.fine_tune("--steps", 3, "--freeze", "*.bias", "--freeze", "convnext.e*")
        again = self.folder / "again"
        result = vizoo("train", "--config-file", self.output / "options.toml", "--output", again)
        self.check_trained(result)
        self.assertEqual((again / "model.safetensors").read_bytes(),
                         (self.output / "model.safetensors").read_bytes())
        file = self.folder / "options.toml"
        file.write_text("[train]\nepochss = 3\n")
        result = self.train("--model", CHECKPOINT, "--config-file", file)
        self.assertEqual(result.returncode, 2)
        self.assertIn("epochss", result.stderr)
        result = self.train("--model", CHECKPOINT, "--config-file", self.folder / "missing.toml")
        self.assertEqual(result.returncode, 2)
        self.assertIn("missing.toml", result.stderr)

    def test_not_finite(self):
        result = self.train("--model", CHECKPOINT, "--batch", 5, "--learning-rate", 1e30, "--steps",
                            50, "--max-non-finite", 3)
        self.assertEqual(result.returncode, 1)
        last = result.stderr.splitlines()[-1]
        self.assertRegex(last, r"^\[training\] step \d+: loss or gradients were not finite in 3 "
                         r"steps in a row; first: .*convnext.* Try a lower learning rate, clipping, "
                         r"or float32\.$")
        self.assertEqual(sum(line["skipped"] for line in self.log()), 2)

    def test_bad_images(self):
        for index in range(30):
            shutil.copy(next(self.data.glob("1/*.png")), self.data / "1" / f"copy{index}.png")
        (self.data / "4" / "text.png").write_text("no image")
        result = self.fine_tune("--epochs", 2, "--no-flip")
        self.assertEqual(result.stderr.count("warning:"), 1)
        self.assertIn("4/text.png", result.stderr)
        self.assertIn("Left out of training.", result.stderr)
        for index in range(2):
            (self.data / "4" / f"text{index}.png").write_text("no image")
        result = self.train("--model", CHECKPOINT, "--steps", 20, "--batch", 5, output=self.folder / "b")
        self.assertEqual(result.returncode, 1)
        self.assertIn("4/text", result.stderr.splitlines()[-1])
        evaluated = vizoo("eval", "--model", CHECKPOINT, "--data", self.data)
        self.assertEqual(evaluated.returncode, 1)

    def test_bad_folders(self):
        (self.data / "empty").mkdir()
        result = self.train("--model", CHECKPOINT)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("empty", result.stderr)
        (self.data / "empty").rmdir()
        (self.test / "3").rename(self.test / "three")
        result = self.train("--model", CHECKPOINT, "--evaluation", self.test)
        self.assertEqual(result.returncode, 2)
        self.assertIn("three", result.stderr)
        result = vizoo("train", "--model", CHECKPOINT, "--train", self.folder / "missing",
                       "--output", self.output)
        self.assertEqual(result.returncode, 2)
        self.assertIn("missing", result.stderr)

    def test_usage(self):
        result = self.train("--batch", 5)
        self.check_failure(result, 2, "[usage] --model, --config: expected one of them, got none.")
        for arguments in (["--model", CHECKPOINT, "--config", CHECKPOINT],
                          ["--model", CHECKPOINT, "--batch", 0],
                          ["--model", CHECKPOINT, "--schedule", "steps"],
                          ["--model", CHECKPOINT, "--steps", 2, "--epochs", 2],
                          ["--model", CHECKPOINT, "--freeze", "nothing.*"],
                          ["--model", CHECKPOINT, "--class", "ConvNextModel"],
                          ["--model", CHECKPOINT, "--recipe", "best"],
                          ["--model", CHECKPOINT, "--learning-rate", "nan"]):
            with self.subTest(arguments=arguments):
                result = self.train(*arguments)
                self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1, result.stderr)


class Detections(TrainTest):
    """OWLv2 on images with boxes."""

    def setUp(self):
        super().setUp()
        self.model = write_detector(self.folder / "detector")
        self.images = self.folder / "images"
        self.images.mkdir()
        chosen = sorted(IMAGES.glob("*.png"))[:6]
        for image in chosen:
            shutil.copy(image, self.images)
        self.content = {
            "images": [{"id": i, "file_name": image.name, "height": 32, "width": 32}
                       for i, image in enumerate(chosen)],
            "categories": [{"id": 7, "name": "a"}, {"id": 9, "name": "ab"}],
            "annotations": [{"id": i, "image_id": i % 5, "category_id": 7 + 2 * (i % 2),
                             "bbox": [i, 2, 12, 20], "area": 240, "iscrowd": 0}
                            for i in range(8)]}
        self.annotations = self.folder / "annotations.json"
        self.write()

    def write(self):
        self.annotations.write_text(json.dumps(self.content))

    def train(self, *arguments, **options):
        return super().train("--model", self.model, "--train", self.annotations, "--train-images",
                             self.images, *arguments, **options)

    def test_training(self):
        result = self.check_trained(self.train(
            "--evaluation", self.annotations, "--evaluation-images", self.images, "--steps", 8,
            "--batch", 3, "--accumulation", 2, "--learning-rate", 1e-3, "--warmup-steps", 0))
        self.assertIn("recipe detection: fine-tuning of OWL-ViT", result.stderr)
        losses = self.losses()
        self.assertLess(losses[-1], losses[0])
        metrics = self.metrics(result)
        self.assertTrue({"AP", "AP50", "AP75", "AR_100"} <= set(metrics), metrics)
        evaluated = vizoo("eval", "--model", self.output, "--data", self.annotations, "--images",
                          self.images, "--json")
        self.assertEqual((evaluated.returncode, evaluated.stderr), (0, ""))
        values = json.loads(evaluated.stdout)["metrics"]
        for name, value in metrics.items():
            self.assertAlmostEqual(values[name], value, places=3)
        shown = vizoo("detect", "--model", self.output, "--text", "a", *self.images.glob("*.png"))
        self.assertEqual(shown.returncode, 0, shown.stderr)

    def test_options_of_other_tasks(self):
        for option in (["--mixup", 0.8], ["--cutmix", 0], ["--label-smoothing", 0], ["--loss",
                       "cross-entropy"], ["--no-random-resized-crop"], ["--min-scale", 0.5],
                       ["--teacher", self.model]):
            result = self.train("--steps", 1, *option)
            name = option[0].replace("--no-", "--")
            self.check_failure(result, 2, f"[usage] {name}: expected a classifier of images, got "
                               "zero-shot-object-detection.")

    def test_bad_annotations(self):
        self.content["annotations"][3]["bbox"] = [40, 0, 5, 5]
        self.write()
        result = self.train("--steps", 1)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, r"^\[\w+\] .*annotations")
        self.assertEqual(result.stderr.count("\n"), 1)


class Perceivers(TrainTest):
    """Optical flow and masked language modelling, from a config."""

    CORE = {"model_type": "perceiver", "num_latents": 4, "d_latents": 16, "d_model": 16,
            "num_self_attends_per_block": 1, "num_self_attention_heads": 2,
            "num_cross_attention_heads": 1}

    def write_config(self, class_name, **fields):
        folder = self.folder / "config"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(
            {**self.CORE, "architectures": [class_name], **fields}))
        return folder

    def test_flow(self):
        height, width = 16, 20
        config = self.write_config("PerceiverForOpticalFlow", train_size=[height, width])
        pairs = self.folder / "pairs"
        pairs.mkdir()
        for index in range(6):
            for frame in (1, 2):
                rows = bytes((7 * (x + frame * 2) + 11 * y + index) % 256
                             for y in range(height + 4) for x in range(width + 4) for _ in range(3))
                (pairs / f"{index:05}_img{frame}.ppm").write_bytes(
                    f"P6\n{width + 4} {height + 4}\n255\n".encode() + rows)
            (pairs / f"{index:05}_flow.flo").write_bytes(
                struct.pack("<fii", 202021.25, width + 4, height + 4) +
                struct.pack("<2f", -2.0, 0.0) * ((width + 4) * (height + 4)))
        result = self.check_trained(self.train(
            "--config", config, "--train", pairs, "--evaluation", pairs, "--steps", 12, "--batch", 3,
            "--learning-rate", 1e-2))
        self.assertIn("recipe optical-flow: fine-tuning of RAFT", result.stderr)
        losses = self.losses()
        self.assertLess(losses[-1], losses[0])
        metrics = self.metrics(result)
        evaluated = vizoo("eval", "--model", self.output, "--data", pairs, "--json")
        self.assertEqual((evaluated.returncode, evaluated.stderr), (0, ""))
        values = json.loads(evaluated.stdout)["metrics"]
        self.assertEqual(set(values), set(metrics))
        for name, value in metrics.items():
            self.assertAlmostEqual(values[name], value, places=3)

    def test_masked_language(self):
        config = self.write_config("PerceiverForMaskedLM", max_position_embeddings=24)
        (config / "tokenizer_config.json").write_text(json.dumps(
            {"tokenizer_class": "PerceiverTokenizer", "model_max_length": 24}))
        texts = self.folder / "texts.txt"
        texts.write_text("abcabcabcabc\ncabcabcabcab\n\nbcabcabcabca\n" * 4)
        result = self.check_trained(self.train(
            "--config", config, "--train", texts, "--evaluation", texts, "--steps", 30, "--batch", 6,
            "--learning-rate", 1e-2))
        self.assertIn("recipe fill-mask: pre-training of BERT", result.stderr)
        self.assertIn("data: 12 texts, 12 to evaluate on; 6 a step, 30 steps\n", result.stderr)
        losses = self.losses()
        self.assertLess(losses[-1], 0.7 * losses[0])
        result = vizoo("fill-mask", "--model", self.output, "abcabc[MASK]bc")
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    support.run_tests()
