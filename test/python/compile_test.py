"""torch.compile and torch.export of functions that call the ops: one graph, the eager numbers to
the bit, one compilation for all sizes where sizes are dynamic.

Around the ops stand only operations that round in the same way however they are fused.
"""

import os
import tempfile
import unittest

CACHE = tempfile.TemporaryDirectory(prefix="vizoo-compile-")
os.environ["TORCHINDUCTOR_CACHE_DIR"] = CACHE.name

import torch
import torch._dynamo.testing
from support import Inputs, load_ops

OPS = load_ops()
KERNEL, DILATION = [3, 5], [2, 1]
# (batch, height, width). The compiler takes sizes that are equal the first time for equal ever
# after: the first ones differ from each other, from heads and head size (2, 4) and from the sizes
# of rpb.
SIZES = ((3, 7, 10), (2, 8, 6), (6, 11, 13))


def attend(query, key, value, rpb):
    """Fused attention in a network: something before it and after it."""
    return OPS.na2d(query * 2, key, value + value, rpb, KERNEL, DILATION, 0.25) * 0.5


def attend_unfused(query, key, value, rpb):
    query, key, value = (x.permute(0, 3, 1, 2, 4) for x in (query, key, value))
    attn = OPS.na2d_qk(query * 0.5, key, rpb, KERNEL, DILATION)
    return OPS.na2d_av(attn, value, KERNEL, DILATION).permute(0, 2, 3, 1, 4)


def attend_padded(query, key, value, rpb):
    """A picture smaller than its window: padded, attended, cut back."""
    query, key, value = (OPS.pad_to_at_least(x.flatten(3), [6, 9]).unflatten(3, (2, 4))
                         for x in (query, key, value))
    out = OPS.na2d(query, key, value, rpb, KERNEL, DILATION)
    return OPS.crop_like(out.flatten(3), query)


def example(size, seed=0, dtype=torch.float32):
    inputs = Inputs(seed, dtype)
    batch, height, width = size
    tensors = [inputs.tensor(batch, height, width, 2, 4) for _ in range(3)]
    return [*tensors, inputs.tensor(2, 5, 9)], inputs


def run(function, tensors, inputs):
    """The result and the gradients of all arguments for a random cotangent."""
    tensors = [x.detach().clone().requires_grad_() for x in tensors]
    out = function(*tensors)
    return [out.detach(), *torch.autograd.grad(out, tensors, inputs.tensor(*out.shape).detach())]


class CompileTest(unittest.TestCase):
    def setUp(self):
        torch._dynamo.reset()

    def check(self, function, compiled, size):
        tensors, inputs = example(size)
        state = inputs.generator.get_state()
        expected = run(function, tensors, inputs)
        inputs.generator.set_state(state)
        ours = run(compiled, tensors, inputs)
        for a, b in zip(ours, expected, strict=True):
            self.assertTrue(torch.equal(a, b))
        with torch.no_grad():
            self.assertTrue(torch.equal(compiled(*tensors), expected[0]))

    def test_static_shapes(self):
        for function in (attend, attend_unfused, attend_padded):
            with self.subTest(function.__name__):
                compiled = torch.compile(function, fullgraph=True, dynamic=False,
                                         backend="aot_eager")
                for size in SIZES[:2]:
                    self.check(function, compiled, size)

    def test_dynamic_shapes_compile_once(self):
        for function in (attend, attend_unfused):
            with self.subTest(function.__name__):
                counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
                compiled = torch.compile(function, fullgraph=True, dynamic=True, backend=counter)
                for size in SIZES:
                    tensors, inputs = example(size)
                    state = inputs.generator.get_state()
                    expected = run(function, tensors, inputs)
                    inputs.generator.set_state(state)
                    for a, b in zip(run(compiled, tensors, inputs), expected, strict=True):
                        self.assertTrue(torch.equal(a, b))
                self.assertEqual(counter.frame_count, 1)

    def test_the_default_compiler(self):
        for dynamic in (False, True):
            with self.subTest(dynamic=dynamic):
                compiled = torch.compile(attend, fullgraph=True, dynamic=dynamic)
                self.check(attend, compiled, SIZES[0])

    def test_the_graph_holds_the_ops(self):
        graphs = []

        def backend(graph, _):
            graphs.append({str(node.target) for node in graph.graph.nodes})
            return graph.forward

        from functorch.compile import make_boxed_func
        from torch._dynamo.backends.common import aot_autograd
        compiled = torch.compile(attend, fullgraph=True, backend=aot_autograd(
            fw_compiler=lambda graph, inputs: make_boxed_func(backend(graph, inputs))))
        tensors, inputs = example(SIZES[0])
        run(compiled, tensors, inputs)
        self.assertEqual(len(graphs), 2)
        self.assertIn("vizoo.na2d_forward.default", graphs[0])
        self.assertIn("vizoo.na2d_backward.default", graphs[1])

    def test_export_with_dynamic_sizes(self):
        class Attend(torch.nn.Module):
            def forward(self, query, key, value, rpb):
                return attend(query, key, value, rpb)

        tensors, _ = example(SIZES[0])
        largest = 2**31 - 1
        sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("height", min=6, max=largest),
                 2: torch.export.Dim("width", min=5, max=largest)}
        program = torch.export.export(Attend(), tuple(x.detach() for x in tensors),
                                      dynamic_shapes=(sizes, sizes, sizes, None))
        for size in SIZES:
            tensors, _ = example(size)
            tensors = [x.detach() for x in tensors]
            self.assertTrue(torch.equal(program.module()(*tensors), attend(*tensors)))

    def test_a_wrong_argument_fails_while_compiling(self):
        compiled = torch.compile(lambda x: OPS.na2d(x, x, x, None, 4, 1), fullgraph=True,
                                 backend="aot_eager")
        with self.assertRaisesRegex(Exception, "expected odd sizes of at least 3"):
            compiled(torch.zeros(1, 8, 8, 1, 4))


if __name__ == "__main__":
    unittest.main()
