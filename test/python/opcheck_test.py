"""torch.library.opcheck on every op: schema, registration of gradients, fake tensors, ahead-of-time
tracing with static and dynamic shapes."""

import itertools
import unittest

import torch
from support import Inputs, load_ops

OPS = load_ops()
# (dtype, requires_grad)
KINDS = ((torch.float32, True), (torch.float32, False), (torch.float64, True),
         (torch.bfloat16, True))
WINDOWS = ([3, 3], [2, 1]), ([5, 3], [1, 2])
HEADS = 2


def cases():
    """(description, inputs, rpb or None, kernel_size, dilation): all kinds with both windows."""
    combinations = itertools.product(KINDS, WINDOWS)
    for number, ((dtype, requires_grad), (kernel, dilation)) in enumerate(combinations):
        inputs = Inputs(number, dtype, requires_grad)
        # Every kind with a bias and without.
        with_bias = number in (0, 3, 4, 7)
        rpb = inputs.tensor(HEADS, 2 * kernel[0] - 1, 2 * kernel[1] - 1) if with_bias else None
        description = f"{dtype} requires_grad={requires_grad} kernel_size={kernel} rpb={with_bias}"
        yield description, inputs, rpb, kernel, dilation


def detached(tensors):
    return [None if tensor is None else tensor.detach() for tensor in tensors]


class OpcheckTest(unittest.TestCase):
    def check(self, op, arguments, keywords=None):
        results = torch.library.opcheck(op.default, arguments, keywords or {})
        self.assertEqual(set(results.values()), {"SUCCESS"})
        self.assertEqual(len(results), 4)

    def test_fused(self):
        for number, (description, inputs, rpb, kernel, dilation) in enumerate(cases()):
            with self.subTest(description):
                layouts = (
                    [inputs.tensor(2, 7, 6, HEADS, 4) for _ in range(3)],
                    inputs.packed(1, 6, 9, HEADS, 8),
                    # Rows and columns of the picture swapped, D still dense.
                    [inputs.tensor(2, 7, 6, HEADS, 4).transpose(1, 2) for _ in range(3)],
                )
                arguments = (*layouts[number % 3], rpb, kernel, dilation)
                self.check(OPS.na2d, arguments, {"scale": 0.3} if number % 2 else {})
                self.check(OPS.na2d_forward, arguments)

    def test_fused_backward(self):
        for number, (description, inputs, rpb, kernel, dilation) in enumerate(cases()):
            with self.subTest(description):
                query, key, value, rpb = detached((*inputs.packed(2, 7, 6, HEADS, 4), rpb))
                out, lse = OPS.na2d_forward(query, key, value, rpb, kernel, dilation)
                # The gradient of a sum has no strides, that of a transposed result has others.
                grads = (torch.ones((), dtype=out.dtype).expand_as(out),
                         inputs.tensor(2, 6, 7, HEADS, 4).detach().transpose(1, 2))
                self.check(OPS.na2d_backward,
                           (grads[number % 2], query, key, value, rpb, out, lse, kernel, dilation))

    def test_unfused(self):
        for number, (description, inputs, rpb, kernel, dilation) in enumerate(cases()):
            with self.subTest(description):
                query, key = (inputs.tensor(2, HEADS, 7, 6, 4) for _ in range(2))
                if number % 3:
                    # As Transformers permutes them: [B, H, W, heads, D] -> [B, heads, H, W, D].
                    query, key = (inputs.tensor(2, 7, 6, HEADS, 4).permute(0, 3, 1, 2, 4)
                                  for _ in range(2))
                self.check(OPS.na2d_qk, (query, key, rpb, kernel, dilation))
                attn = inputs.tensor(2, HEADS, 7, 6, kernel[0] * kernel[1])
                self.check(OPS.na2d_av, (attn, key, kernel, dilation))

    def test_unfused_backward(self):
        for description, inputs, rpb, kernel, dilation in cases():
            with self.subTest(description):
                query, key = (inputs.tensor(2, 7, 6, HEADS, 4).permute(0, 3, 1, 2, 4)
                              for _ in range(2))
                attn = inputs.tensor(2, HEADS, 7, 6, kernel[0] * kernel[1])
                query, key, attn, rpb = detached((query, key, attn, rpb))
                self.check(OPS.na2d_qk_backward, (attn, query, key, rpb, kernel, dilation))
                self.check(OPS.na2d_av_backward, (query, attn, key, kernel, dilation))

    def test_window_padding(self):
        for number, (dtype, requires_grad) in enumerate(KINDS):
            inputs = Inputs(number, dtype, requires_grad)
            picture = inputs.tensor(2, 4, 7, 3)
            layouts = (picture, picture.transpose(1, 2), inputs.tensor(2, 3, 4, 7).movedim(1, 3))
            # Nothing to do, both axes, one, the other.
            for turn, size in enumerate(([3, 3], [9, 9], [9, 3], [3, 9])):
                with self.subTest(dtype=dtype, requires_grad=requires_grad, size=size):
                    self.check(OPS.pad_to_at_least, (layouts[(number + turn) % 3], size))
            for reference in (picture, inputs.tensor(2, 4, 5, 1), inputs.tensor(1, 2, 7)):
                with self.subTest(dtype=dtype, requires_grad=requires_grad,
                                  reference=reference.shape):
                    self.check(OPS.crop_like, (picture, reference))


if __name__ == "__main__":
    unittest.main()
