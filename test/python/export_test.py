"""Every class of the registry, exported by `vizoo export` and run in Python at other sizes, beside
`vizoo forward` on the checkpoint."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import torch
from safetensors.torch import load_file, save_file
from support import ROOT, load_ops

load_ops()
PROGRAM = os.environ["VIZOO_PROGRAM"]
MAKE_CHECKPOINT = os.environ["VIZOO_MAKE_CHECKPOINT"]
TOLERANCE = 1e-5
# (factors of the batch and of texts, of height, of width); two of them, as far as a file varies
VARIANTS = ((2, 1.27, 1.5), (3, 1.0, 1.4))
OUTSIDE = {"labels", "cotangent"}
SIZES = {"batch": 1, "length": 12, "height": 20, "width": 28, "audio_points": 2, "image_points": 5}
# Classes without a stored case.
CORE = {"model_type": "perceiver", "num_latents": 4, "d_latents": 16,
        "num_self_attends_per_block": 1, "num_self_attention_heads": 2,
        "num_cross_attention_heads": 1, "initializer_range": 0.3}
PERCEIVERS = {
    "PerceiverForMaskedLM": {"d_model": 16, "max_position_embeddings": 24},
    "PerceiverForSequenceClassification": {"d_model": 16, "max_position_embeddings": 24},
    "PerceiverForImageClassificationLearned": {"image_size": 24},
    "PerceiverForImageClassificationFourier": {},
    "PerceiverForImageClassificationConvProcessing": {},
    "PerceiverForOpticalFlow": {"d_model": 322, "train_size": [10, 14]},
    "PerceiverForMultimodalAutoencoding": {
        "d_model": 704, "num_frames": 3, "audio_samples_per_frame": 20, "samples_per_patch": 4,
        "image_size": 16, "output_shape": [1, 3, 16, 16], "output_num_channels": 16,
        "_label_trainable_num_channels": 12},
}


def stored_cases():
    """One folder of each class: {class: (folder, case)}."""
    found = {}
    for path in sorted((ROOT / "test" / "fixtures").rglob("case.json")):
        case = json.loads(path.read_text())
        options = case["options"]
        plain = not options.get("train_mode") and options.get("method", "forward") == "forward"
        if plain:
            found.setdefault(case["class"], (path.parent, case))
    return found


def registered_classes():
    listed = subprocess.run([PROGRAM, "list", "--json"], capture_output=True, text=True, check=True)
    return {row["class"] for line in listed.stdout.splitlines()
            for row in (json.loads(line) if line.startswith("[") else [json.loads(line)])}


def vary(inputs, example, factors):
    """Random tensors for a description's inputs, `example`'s sizes times the factors."""
    batch, height, width = factors
    scale = {"batch": batch, "texts": batch, "height": height, "width": width,
             "audio_points": batch, "image_points": batch + 1}
    tensors = {}
    for described in inputs:
        old = example[described["name"]]
        shape = [int(size * scale.get(named, 1)) if isinstance(named, str) else named
                 for named, size in zip(described["shape"], old.shape, strict=True)]
        if old.is_floating_point():
            tensors[described["name"]] = torch.randn(shape)
        else:  # the same ids again, so that they stay in range
            index = torch.arange(torch.Size(shape).numel()) % old.numel()
            tensors[described["name"]] = old.flatten()[index].view(shape)
    return tensors


def usual(inputs):
    """Random tensors for a description's inputs, of the sizes above."""
    tensors = {}
    for described in inputs:
        shape = [SIZES.get(size, size) for size in described["shape"]]
        if described["dtype"] == "float32":
            tensors[described["name"]] = torch.randn(shape)
        elif described["name"].startswith("subsampled_output_points"):
            tensors[described["name"]] = torch.arange(shape[0])
        elif described["name"] == "attention_mask":
            tensors[described["name"]] = torch.ones(shape, dtype=torch.int64)
        else:
            tensors[described["name"]] = torch.randint(0, 262, shape)
    return tensors


class ExportTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)

    def vizoo(self, *arguments):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_every_class_is_here(self):
        self.assertEqual({*stored_cases(), *PERCEIVERS}, registered_classes())

    def test_every_class_agrees_at_other_sizes(self):
        torch.manual_seed(0)
        for name, (source, case) in stored_cases().items():
            with self.subTest(name):
                example = {key: value
                           for key, value in load_file(source / "input.safetensors").items()
                           if key not in OUTSIDE}
                inputs = self.folder / "example.safetensors"
                save_file(example, inputs)
                self.check_class(name, source, example, "--inputs", inputs, "--model-args",
                                 json.dumps(case["options"].get("model_args", {})))

    def test_usual_inputs_at_other_sizes(self):
        torch.manual_seed(0)
        for name, config in PERCEIVERS.items():
            with self.subTest(name):
                source, checkpoint = self.folder / "config", self.folder / "checkpoint"
                source.mkdir(exist_ok=True)
                (source / "config.json").write_text(json.dumps({**CORE, **config}))
                subprocess.run([MAKE_CHECKPOINT, name, source, checkpoint], check=True,
                               capture_output=True)
                self.check_class(name, checkpoint, None)

    def check_class(self, name, source, example, *options):
        exported = self.folder / "model.pt"
        inputs, outputs = self.folder / "in.safetensors", self.folder / "out.safetensors"
        model = ["--model", source, "--class", name, *options[2:]]
        described = json.loads(self.vizoo("export", "--model", source, "--class", name, *options,
                                          "--output", exported, "--json"))
        example = example or usual(described["inputs"])
        if "pixel_values" in example:
            example["query_pixel_values"] = example["pixel_values"][:1]
        # Freezing keeps forward, and the methods that it is told of.
        names = list(described["methods"])
        loaded = torch.jit.load(str(exported))
        forms = [loaded, torch.jit.freeze(torch.jit.load(str(exported)), names),
                 torch.jit.optimize_for_inference(torch.jit.load(str(exported)), names)]
        for method, signature in {"forward": described, **described["methods"]}.items():
            flags = {key: torch.tensor(value) for key, value in signature["flags"].items()}
            for factors in VARIANTS:
                tensors = vary(signature["inputs"], example, factors)
                save_file({**tensors, **flags}, inputs)
                self.vizoo("forward", *model, "--method", method, "--inputs", inputs, "--outputs",
                           outputs)
                expected = load_file(outputs)
                for form in forms:
                    self.compare(getattr(form, method), tensors, signature, expected)

    def compare(self, method, tensors, signature, expected):
        with torch.no_grad():
            ours = method(*(tensors[one["name"]] for one in signature["inputs"]))
        self.assertEqual(len(ours), len(signature["outputs"]))
        for key, tensor in zip(signature["outputs"], ours, strict=True):
            theirs = expected[key]
            self.assertEqual(tensor.shape, theirs.shape, key)
            bound = TOLERANCE * max(1.0, theirs.abs().max().item())
            self.assertLessEqual((tensor - theirs).abs().max().item(), bound, key)


if __name__ == "__main__":
    unittest.main()
