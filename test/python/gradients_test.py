"""Gradients, half types, autocast and tensors without data, as Python code meets them."""

import unittest

import torch
from support import Inputs, load_ops, oracle_av, oracle_na2d, oracle_qk

OPS = load_ops()
FLOAT64_TOLERANCE = 1e-9
# (height, width, kernel_size, dilation)
WINDOWS = ((8, 7, [5, 5], [1, 1]), (7, 7, [3, 3], [2, 2]), (11, 9, [5, 3], [2, 3]))


def leaves(*tensors):
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


def gradients(function, tensors, cotangent):
    """The result of the function and the gradients of its arguments."""
    tensors = leaves(*tensors)
    result = function(*tensors)
    return [result.detach(), *torch.autograd.grad(result, tensors, cotangent.to(result.dtype))]


class GradientsTest(unittest.TestCase):
    def assert_close(self, ours, expected, tolerance):
        self.assertEqual(len(ours), len(expected))
        for number, (a, b) in enumerate(zip(ours, expected)):
            self.assertEqual(a.shape, b.shape)
            self.assertLessEqual(float((a.double() - b.double()).abs().max()), tolerance, number)

    def fused_case(self, height, width, kernel, seed=0):
        inputs = Inputs(seed, torch.float64)
        query, key, value = inputs.packed(2, height, width, 2, 4)
        rpb = inputs.tensor(2, 2 * kernel[0] - 1, 2 * kernel[1] - 1)
        return (query, key, value, rpb), inputs.tensor(2, height, width, 2, 4).detach()

    def test_fused_against_the_oracle(self):
        for height, width, kernel, dilation in WINDOWS:
            tensors, cotangent = self.fused_case(height, width, kernel)
            for scale in (None, 0.7):
                with self.subTest(kernel=kernel, dilation=dilation, scale=scale):
                    ours = gradients(lambda *x: OPS.na2d(*x, kernel, dilation, scale),
                                     tensors, cotangent)
                    expected = gradients(lambda *x: oracle_na2d(*x, kernel, dilation, scale),
                                         tensors, cotangent)
                    self.assert_close(ours, expected, FLOAT64_TOLERANCE)
            with self.subTest(kernel=kernel, dilation=dilation, rpb=None):
                ours = gradients(lambda *x: OPS.na2d(*x, None, kernel, dilation),
                                 tensors[:3], cotangent)
                expected = gradients(lambda *x: oracle_na2d(*x, None, kernel, dilation),
                                     tensors[:3], cotangent)
                self.assert_close(ours, expected, FLOAT64_TOLERANCE)

    def test_unfused_against_the_oracle(self):
        for height, width, kernel, dilation in WINDOWS:
            with self.subTest(kernel=kernel, dilation=dilation):
                (query, key, value, rpb), cotangent = self.fused_case(height, width, kernel)
                query, key, value, cotangent = (
                    x.permute(0, 3, 1, 2, 4) for x in (query, key, value, cotangent))
                attn = oracle_qk(query, key, rpb, kernel, dilation).detach()
                ours = gradients(lambda *x: OPS.na2d_qk(*x, kernel, dilation),
                                 (query, key, rpb), attn)
                expected = gradients(lambda *x: oracle_qk(*x, kernel, dilation),
                                     (query, key, rpb), attn)
                self.assert_close(ours, expected, FLOAT64_TOLERANCE)
                ours = gradients(lambda *x: OPS.na2d_av(*x, kernel, dilation),
                                 (attn, value), cotangent)
                expected = gradients(lambda *x: oracle_av(*x, kernel, dilation),
                                     (attn, value), cotangent)
                self.assert_close(ours, expected, FLOAT64_TOLERANCE)

    def test_gradcheck(self):
        for height, width, kernel, dilation in (*WINDOWS[:2], (14, 15, [7, 7], [2, 2])):
            with self.subTest(kernel=kernel, dilation=dilation):
                (query, key, value, rpb), _ = self.fused_case(height, width, kernel)
                fused = leaves(query, key, value, rpb)
                unfused = leaves(*(x.permute(0, 3, 1, 2, 4) for x in (query, key)))
                attn = leaves(OPS.na2d_qk(*unfused, rpb, kernel, dilation))[0]
                check = {"fast_mode": True, "raise_exception": True}
                self.assertTrue(torch.autograd.gradcheck(
                    lambda *x: OPS.na2d(*x, kernel, dilation), fused, **check))
                self.assertTrue(torch.autograd.gradcheck(
                    lambda *x: OPS.na2d(*x, None, kernel, dilation), fused[:3], **check))
                self.assertTrue(torch.autograd.gradcheck(
                    lambda *x: OPS.na2d_forward(*x, kernel, dilation)[0], fused, **check))
                self.assertTrue(torch.autograd.gradcheck(
                    lambda *x: OPS.na2d_qk(*x, kernel, dilation), (*unfused, fused[3]), **check))
                self.assertTrue(torch.autograd.gradcheck(
                    lambda *x: OPS.na2d_av(*x, kernel, dilation), (attn, unfused[0]), **check))

    def test_full_gradcheck_of_a_small_case(self):
        inputs = Inputs(1, torch.float64)
        tensors = [inputs.tensor(1, 4, 6, 2, 2) for _ in range(3)]
        self.assertTrue(torch.autograd.gradcheck(
            lambda *x: OPS.na2d(*x, [3, 3], [1, 2]), (*tensors, inputs.tensor(2, 5, 5))))

    def test_only_what_asks_for_a_gradient_gets_one(self):
        (query, key, value, rpb), cotangent = self.fused_case(7, 8, [3, 3])
        every = gradients(lambda *x: OPS.na2d(*x, [3, 3], [2, 1]), (query, key, value, rpb),
                          cotangent)[1:]
        for asked in range(4):
            tensors = [x.detach().requires_grad_(i == asked)
                       for i, x in enumerate((query, key, value, rpb))]
            OPS.na2d(*tensors, [3, 3], [2, 1]).backward(cotangent)
            self.assertEqual([x.grad is not None for x in tensors], [i == asked for i in range(4)])
            self.assertTrue(torch.equal(tensors[asked].grad, every[asked]))

    def test_what_cannot_be_differentiated_says_so(self):
        (query, key, value, rpb), cotangent = self.fused_case(7, 7, [3, 3])
        tensors = leaves(query, key, value, rpb)
        out = OPS.na2d(*tensors, 3, 1)
        grads = torch.autograd.grad(out, tensors, cotangent, create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "vizoo::na2d_backward is not implemented"):
            grads[0].sum().backward()
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(query.detach(), torch.ones_like(query))
            for op in (OPS.na2d, OPS.na2d_forward):
                with self.assertRaisesRegex(RuntimeError, "jvp is not implemented"):
                    op(dual, key.detach(), value.detach(), None, 3, 1)
        self.assertFalse(OPS.na2d_forward(*tensors, 3, 1)[1].requires_grad)

    def test_half_types_are_as_good_as_the_plain_composition(self):
        for dtype in (torch.bfloat16, torch.float16, torch.float32):
            for height, width, kernel, dilation in WINDOWS:
                with self.subTest(dtype=dtype, kernel=kernel):
                    tensors, cotangent = self.fused_case(height, width, kernel, seed=2)
                    tensors = [x.detach().to(dtype) for x in tensors]
                    cotangent = cotangent.to(dtype)
                    exact = gradients(lambda *x: oracle_na2d(*x, kernel, dilation),
                                      [x.double() for x in tensors], cotangent.double())
                    plain = gradients(lambda *x: oracle_na2d(*x, kernel, dilation),
                                      tensors, cotangent)
                    ours = gradients(lambda *x: OPS.na2d(*x, kernel, dilation), tensors, cotangent)
                    for a, b, c in zip(ours, plain, exact):
                        self.assertEqual(a.dtype, dtype)
                        error = float((a.double() - c).abs().max())
                        self.assertLessEqual(error, 2 * float((b.double() - c).abs().max()) + 1e-5)

    def test_autocast(self):
        inputs = Inputs(3)
        query, key, value = inputs.packed(2, 7, 8, 2, 8)
        rpb = inputs.tensor(2, 5, 5)
        tensors = leaves(query, key, value, rpb)
        cotangent = torch.ones(2, 7, 8, 2, 8, dtype=torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            out = OPS.na2d(*tensors, 3, 2)
            attn = OPS.na2d_qk(*(x.permute(0, 3, 1, 2, 4) for x in (query, key)), rpb, 3, 2)
            av = OPS.na2d_av(attn.float(), value.permute(0, 3, 1, 2, 4), 3, 2)
            forward = OPS.na2d_forward(*tensors, 3, 2)
        out.backward(cotangent)
        lowered = leaves(*(x.bfloat16() for x in (query, key, value, rpb)))
        expected = OPS.na2d(*lowered, 3, 2)
        expected.backward(cotangent)
        self.assertEqual((out.dtype, attn.dtype, av.dtype), (torch.bfloat16,) * 3)
        self.assertEqual([x.dtype for x in forward], [torch.bfloat16, torch.float32])
        self.assertTrue(torch.equal(out, expected))
        for ours, other in zip(tensors, lowered):
            self.assertEqual(ours.grad.dtype, torch.float32)
            self.assertTrue(torch.equal(ours.grad, other.grad.float()))

    def test_meta(self):
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            inputs = Inputs(4, dtype, requires_grad=False)
            q, k, v = inputs.packed(2, 7, 8, 2, 4)
            rpb = inputs.tensor(2, 5, 5)
            out, lse = OPS.na2d_forward(q, k, v, rpb, 3, 2)
            # The unfused ops, heads first.
            hq, hk, hv = (x.permute(0, 3, 1, 2, 4) for x in (q, k, v))
            attn = OPS.na2d_qk(hq, hk, rpb, 3, 2)
            calls = [(OPS.na2d, (q, k, v, rpb)), (OPS.na2d_forward, (q, k, v, rpb)),
                     (OPS.na2d_backward, (out, q, k, v, rpb, out, lse)),
                     (OPS.na2d_backward, (out, q, k, v, None, out, lse)),
                     (OPS.na2d_qk, (hq, hk, rpb)), (OPS.na2d_qk_backward, (attn, hq, hk, rpb)),
                     (OPS.na2d_qk_backward, (attn, hq, hk, None)),
                     (OPS.na2d_av, (attn, hv)), (OPS.na2d_av_backward, (hq, attn, hv))]
            for op, tensors in calls:
                with self.subTest(op=str(op), dtype=dtype):
                    without_data = [x if x is None else x.to("meta") for x in tensors]
                    real, meta = op(*tensors, 3, 2), op(*without_data, 3, 2)
                    real, meta = ([x] if isinstance(x, torch.Tensor) else x for x in (real, meta))
                    for a, b in zip(real, meta, strict=True):
                        self.assertTrue(b.is_meta)
                        self.assertEqual((a.shape, a.dtype, a.stride()),
                                         (b.shape, b.dtype, b.stride()))
            picture = inputs.tensor(1, 4, 5, 3).to("meta")
            self.assertEqual(OPS.pad_to_at_least(picture, [7, 2]).shape, (1, 7, 5, 3))
            self.assertEqual(OPS.crop_like(picture, picture[:, :2, :3]).shape, (1, 2, 3, 3))

    def test_errors_are_the_same_without_data(self):
        query = torch.zeros(1, 5, 9, 2, 4)
        bad = {
            "even kernel": ((query, query, query, None, [4, 3], [1, 1]),
                            r"\[na2d\] kernel_size: expected odd sizes of at least 3, "
                            r"got \[4, 3\]\."),
            "no dilation": ((query, query, query, None, [3, 3], [0, 1]),
                            r"\[na2d\] dilation: expected integers of at least 1, got \[0, 1\]\."),
            "window too large": ((query, query, query, None, [3, 3], [2, 3]),
                                 r"\[na2d\] kernel_size: expected kernel_size \* dilation of at "
                                 "most the height and width, 5 x 9, got"),
            "shape": ((query, query[:, :4], query, None, [3, 3], [1, 1]),
                      r"\[na2d\] key: expected"),
            "dtype": ((query, query, query.double(), None, [3, 3], [1, 1]),
                      r"\[na2d\] value: expected"),
            "rpb": ((query, query, query, query[0, 0], [3, 3], [1, 1]), r"\[na2d\] rpb: expected"),
            "stride": ((query.transpose(3, 4),) * 3 + (None, [3, 3], [1, 1]),
                       r"\[na2d\] query: expected unit stride"),
        }
        for name, (arguments, message) in bad.items():
            for device in ("cpu", "meta"):
                with self.subTest(name, device=device):
                    moved = [x.to(device) if isinstance(x, torch.Tensor) else x for x in arguments]
                    with self.assertRaisesRegex(RuntimeError, message):
                        OPS.na2d(*moved)

    def test_an_empty_batch(self):
        empty = torch.zeros(0, 5, 5, 2, 4, requires_grad=True)
        rpb = torch.ones(2, 5, 5, requires_grad=True)
        out = OPS.na2d(empty, empty, empty, rpb, 3, 1)
        self.assertEqual(out.shape, empty.shape)
        out.sum().backward()
        self.assertEqual(empty.grad.shape, empty.shape)
        self.assertTrue(torch.equal(rpb.grad, torch.zeros_like(rpb)))


if __name__ == "__main__":
    unittest.main()
