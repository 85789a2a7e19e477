"""TorchScript: functions that call the ops, scripted and traced, saved, and run by a new process
that has nothing but torch and libvizoo_ops.so."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import warnings

import torch
from support import LIBRARY, Inputs, load_ops

OPS = load_ops()
warnings.filterwarnings("ignore", category=DeprecationWarning)

# argv: library, module, tensors, results
RUNNER = """
import sys, torch
if sys.argv[1]:
    torch.ops.load_library(sys.argv[1])
module = torch.jit.load(sys.argv[2])
torch.save([module(*tensors) for tensors in torch.load(sys.argv[3])], sys.argv[4])
"""


class Attention(torch.nn.Module):
    """Self-attention over a picture [B, H, W, 8] of any size, as the models use it."""

    def __init__(self):
        super().__init__()
        inputs = Inputs(1, requires_grad=False)
        self.projection = torch.nn.Parameter(inputs.tensor(8, 24))
        self.rpb = torch.nn.Parameter(inputs.tensor(2, 5, 9))

    def forward(self, picture):
        padded = torch.ops.vizoo.pad_to_at_least(picture, [6, 5])
        # [B, H, W, 24] -> [B, H, W, 3, heads, D]
        query, key, value = (padded @ self.projection).unflatten(3, (3, 2, 4)).unbind(3)
        out = torch.ops.vizoo.na2d(query, key, value, self.rpb, [3, 5], [2, 1], 0.3)
        return torch.ops.vizoo.crop_like(out.flatten(3), picture)


@torch.jit.script
def unfused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rpb: torch.Tensor):
    attn = torch.ops.vizoo.na2d_qk(query, key, rpb, [3, 3], [1, 2]).softmax(-1)
    return torch.ops.vizoo.na2d_av(attn, value, [3, 3], [1, 2]), attn


class ScriptTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vizoo-script-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_elsewhere(self, module, calls, library=LIBRARY):
        module.save(str(self.folder / "module.pt"))
        torch.save(calls, self.folder / "tensors.pt")
        environment = {k: v for k, v in os.environ.items() if k != "VIZOO_OPS_LIBRARY"}
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", RUNNER, library, self.folder / "module.pt",
             self.folder / "tensors.pt", self.folder / "results.pt"],
            capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)

    def results_elsewhere(self, module, calls):
        result = self.run_elsewhere(module, calls)
        self.assertEqual(result.returncode, 0, result.stderr)
        return torch.load(self.folder / "results.pt")

    def pictures(self):
        """The first is what is traced; others have other batches and sizes, one is padded."""
        inputs = Inputs(2, requires_grad=False)
        return [(inputs.tensor(*size, 8),) for size in ((1, 7, 9), (3, 12, 6), (2, 4, 8))]

    def test_traced_module(self):
        model, calls = Attention().eval(), self.pictures()
        traced = torch.jit.trace(model, calls[0])
        self.assertIn("vizoo::na2d", str(traced.inlined_graph))
        for picture, result in zip(calls, self.results_elsewhere(traced, calls), strict=True):
            self.assertEqual(result.shape, picture[0].shape)
            self.assertTrue(torch.equal(result, model(*picture)))

    def test_scripted_function(self):
        inputs = Inputs(3, requires_grad=False)
        calls = [[inputs.tensor(batch, 2, 5, 7, 4) for _ in range(3)] + [inputs.tensor(2, 5, 5)]
                 for batch in (1, 4)]
        for tensors, result in zip(calls, self.results_elsewhere(unfused, calls), strict=True):
            attn = OPS.na2d_qk(*tensors[:2], tensors[3], 3, [1, 2]).softmax(-1)
            self.assertTrue(torch.equal(result[1], attn))
            self.assertTrue(torch.equal(result[0], OPS.na2d_av(attn, tensors[2], 3, [1, 2])))

    def test_gradients_through_a_traced_module(self):
        model, calls = Attention(), self.pictures()
        traced = torch.jit.trace(model, calls[0])
        for picture in calls:
            expected = torch.autograd.grad(model(*picture).square().sum(), list(model.parameters()))
            ours = torch.autograd.grad(traced(*picture).square().sum(), list(model.parameters()))
            for a, b in zip(ours, expected, strict=True):
                self.assertTrue(torch.equal(a, b))

    def test_without_the_library_the_module_is_refused(self):
        traced = torch.jit.trace(Attention(), self.pictures()[0])
        result = self.run_elsewhere(traced, [], library="")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("vizoo::", result.stderr)


if __name__ == "__main__":
    unittest.main()
