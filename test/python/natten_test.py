"""Transformers' own Nat and Dinat on vizoo_natten: the same outputs and gradients as over a gather
oracle, outputs held to the rule of scripts/parity/tolerance.py."""

import copy
import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import torch
from support import LIBRARY, ROOT, Inputs, oracle_av, oracle_qk

import transformers
import vizoo_natten
from parity.parameters import fill
from parity.tolerance import FLOAT64_TOLERANCE, float32_tolerances, maxima

vizoo_natten.install(LIBRARY)

SIZES = {"embed_dim": 16, "depths": [2, 2, 1], "num_heads": [2, 4, 8], "kernel_size": 3,
         "mlp_ratio": 2.0, "drop_path_rate": 0.0}
CASES = (
    ("nat", "NatModel", {}),
    ("nat", "NatForImageClassification", {"layer_scale_init_value": 0.5, "num_labels": 7}),
    ("dinat", "DinatModel", {"dilations": [[1, 3], [1, 2], [1]]}),
    ("dinat", "DinatForImageClassification", {"dilations": [[2, 4], [2, 1], [1]], "num_labels": 7,
                                              "qkv_bias": False}),
    # The last level is smaller than its window: 50 x 34 pixels -> 13 x 9 -> 7 x 5 -> 4 x 3.
    ("dinat", "DinatBackbone", {"dilations": [[1, 2], [3, 2], [2]],
                                "out_features": ["stem", "stage2", "stage3"]}),
)


def over_oracle(family):
    module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    return mock.patch.multiple(module, natten2dqkrpb=oracle_qk, natten2dav=oracle_av)


def run(model, pixel_values, dtype):
    """Every output tensor by name, and the gradients of a fixed combination of them."""
    model = copy.deepcopy(model).to(dtype)
    pixel_values = pixel_values.detach().to(dtype).requires_grad_()
    output = model(pixel_values, output_attentions=True, output_hidden_states=True)
    tensors = {}
    for name, value in output.items():
        for number, tensor in enumerate([value] if isinstance(value, torch.Tensor) else value):
            tensors[f"{name}.{number}"] = tensor
    generator = torch.Generator().manual_seed(5)
    total = sum((x * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(dtype)).sum()
                for x in tensors.values())
    total.backward()
    result = {name: tensor.detach() for name, tensor in tensors.items()}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            result[f"grad.{name}"] = parameter.grad
    return {**result, "grad_input.pixel_values": pixel_values.grad}


class NattenTest(unittest.TestCase):
    def test_models_agree_with_the_oracle(self):
        for family, name, changes in CASES:
            with self.subTest(name):
                config = getattr(transformers, f"{family.capitalize()}Config")(**SIZES, **changes)
                model = getattr(transformers, name)(config).eval()
                fill(model, torch.Generator().manual_seed(1))
                pixel_values = Inputs(2).tensor(2, 3, 50, 34)
                with over_oracle(family):
                    ref32 = run(model, pixel_values, torch.float32)
                    ref64 = run(model, pixel_values, torch.float64)
                ours64 = run(model, pixel_values, torch.float64)
                ours32 = run(model, pixel_values, torch.float32)
                self.assertEqual(set(ours64), set(ref64))
                self.assertTrue(any(key.endswith("attention.self.rpb") for key in ours64))
                self.assertTrue(any(key.startswith("attentions.") for key in ours64))
                tolerances = float32_tolerances(maxima(ref32, ref64), train=False)
                for key, expected in ref64.items():
                    self.assertEqual(ours64[key].shape, expected.shape, key)
                    difference = float((ours64[key] - expected).abs().max())
                    self.assertLessEqual(difference, FLOAT64_TOLERANCE, key)
                    error = float((ours32[key].double() - expected).abs().max())
                    self.assertLessEqual(error, tolerances[key], key)

    def test_under_autocast_and_compile(self):
        config = transformers.DinatConfig(**SIZES, dilations=[[1, 3], [1, 2], [1]])
        model = transformers.DinatModel(config).eval()
        pixel_values = Inputs(3, requires_grad=False).tensor(1, 3, 48, 48)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            self.assertTrue(model(pixel_values).last_hidden_state.isfinite().all())

        def attend(query, key, value, rpb):
            attn = vizoo_natten.natten2dqkrpb(query, key, rpb, 3, 2).softmax(-1)
            return vizoo_natten.natten2dav(attn, value, 3, 2)

        inputs = Inputs(4, requires_grad=False)
        tensors = [inputs.tensor(1, 2, 6, 7, 4) for _ in range(3)] + [inputs.tensor(2, 5, 5)]
        compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
        self.assertTrue(torch.equal(compiled(*tensors), attend(*tensors)))

    def test_arguments_as_natten_took_them(self):
        inputs = Inputs(6, torch.float64, requires_grad=False)
        query, key = (inputs.tensor(1, 2, 6, 4, 7).transpose(3, 4) for _ in range(2))
        self.assertNotEqual(query.stride(-1), 1)
        for kernel, dilation in ((3, 2), ((3, 5), (2, 1)), ([5, 3], [1, 2])):
            sizes = [2 * k - 1 for k in ([kernel] * 2 if isinstance(kernel, int) else kernel)]
            rpb = inputs.tensor(2, *sizes)
            for bias in (rpb, None):
                attn = vizoo_natten.natten2dqkrpb(query, key, bias, kernel, dilation)
                expected = oracle_qk(query, key, bias, kernel, dilation)
                self.assertLessEqual(float((attn - expected).abs().max()), FLOAT64_TOLERANCE)
                out = vizoo_natten.natten2dav(attn, key, kernel, dilation)
                expected = oracle_av(attn, key, kernel, dilation)
                self.assertLessEqual(float((out - expected).abs().max()), FLOAT64_TOLERANCE)

    def test_install_works_before_and_after_transformers(self):
        check = """
import natten, natten.functional, transformers
assert natten.functional.natten2dav is vizoo_natten.natten2dav
assert transformers.utils.is_natten_available()
from transformers.models.dinat import modeling_dinat
assert modeling_dinat.natten2dqkrpb is vizoo_natten.natten2dqkrpb
transformers.NatModel(transformers.NatConfig(embed_dim=8, depths=[1], num_heads=[1]))
"""
        install = "import vizoo_natten; vizoo_natten.install()"
        imported = "import transformers; assert not transformers.utils.is_natten_available()\n"
        orders = (install + check, imported + install + check,
                  "from transformers import DinatModel, NatModel\n" + install + check)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"),
                       "VIZOO_OPS_LIBRARY": LIBRARY}
        for program in orders:
            result = subprocess.run([sys.executable, "-c", program], env=environment,
                                    capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_library_beside_the_module_is_the_default(self):
        with tempfile.TemporaryDirectory(prefix="vizoo-natten-") as folder:
            shutil.copy(ROOT / "python" / "vizoo_natten.py", folder)
            environment = {k: v for k, v in os.environ.items() if k != "VIZOO_OPS_LIBRARY"}
            command = [sys.executable, "-c", "import torch, vizoo_natten; vizoo_natten.load(); "
                                             "print(torch.ops.vizoo.build_info())"]
            run = {"env": {**environment, "PYTHONPATH": folder}, "capture_output": True,
                   "text": True, "stdin": subprocess.DEVNULL}
            without = subprocess.run(command, **run)
            self.assertEqual(without.returncode, 1)
            self.assertIn(f"got {folder}/libvizoo_ops.so.", without.stderr)
            os.symlink(LIBRARY, pathlib.Path(folder, "libvizoo_ops.so"))
            result = subprocess.run(command, **run)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith("vizoo "))

    def test_a_missing_library_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, r"^\[vizoo_natten\] library: expected "
                                                       "libvizoo_ops.so, got nowhere/at_all.so"):
            vizoo_natten.load("nowhere/at_all.so")


if __name__ == "__main__":
    unittest.main()
