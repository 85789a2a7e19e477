"""Problems of neighborhood attention at the shapes of models, and what the right answer is.

Right: at most 2 x the error of the plain composition in the same type + 1e-5, both against the
composition in float64, for the output and every gradient (the rule of the tests).
"""

from dataclasses import dataclass

import torch

from bench.neighborhood_attention import HEAD_DIM, KERNEL, axis

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
# Bytes that the windows of a chunk of the float64 reference may take; it needs several times that.
CHUNK_BYTES = 1 << 31
CHUNKS_THAT_FIT = 24
NAMES = ("out", "grad_query", "grad_key", "grad_value", "grad_rpb")


@dataclass(frozen=True)
class Shape:
    name: str
    batch: int
    height: int
    width: int
    heads: int
    dilation: int

    @property
    def tokens(self):
        return self.height * self.width

    @property
    def is_dense(self):
        """Whether every group has as many tokens as the window."""
        return self.height == self.width == KERNEL * self.dilation

    def tensor_bytes(self, dtype):
        return self.batch * self.tokens * self.heads * HEAD_DIM * DTYPES[dtype].itemsize


def stage(size, heads, dilation):
    return Shape(f"{size}x{size} d{dilation}", 128, size, size, heads, dilation)


def detection(height, width, heads, dilation):
    return Shape(f"{height}x{width} d{dilation}", 2, height, width, heads, dilation)


# DiNAT-Mini at 224 pixels, batch 128.
STAGES = (stage(56, 2, 1), stage(56, 2, 8), stage(28, 4, 1), stage(28, 4, 4), stage(14, 8, 1),
          stage(14, 8, 2), stage(7, 16, 1))
# The pyramid of a detector with DiNAT-Mini at 800 x 1280, batch 2.
DETECTION = (detection(200, 320, 2, 1), detection(200, 320, 2, 28), detection(100, 160, 4, 1),
             detection(100, 160, 4, 14), detection(50, 80, 8, 1), detection(50, 80, 8, 7),
             detection(25, 40, 16, 1), detection(25, 40, 16, 3))
DRY = (Shape("9x8 d1", 2, 9, 8, 2, 1), Shape("14x14 d2", 2, 14, 14, 1, 2))


def gather(query, key, value, rpb, tables):
    """The plain composition: every query's keys and values side by side in memory."""
    (rows, row_bias), (columns, column_bias) = tables

    def windows(x):  # [B, H, W, heads, D] -> [B, heads, H, W, K * K, D]
        x = x.permute(0, 3, 1, 2, 4)[:, :, rows][:, :, :, :, columns]
        return x.transpose(3, 4).flatten(4, 5)

    query = query.permute(0, 3, 1, 2, 4) * HEAD_DIM**-0.5
    scores = (windows(key) @ query.unsqueeze(-1)).squeeze(-1)
    if rpb is not None:
        scores = scores + rpb[:, row_bias][:, :, :, column_bias].transpose(2, 3).flatten(3, 4)
    out = (scores.softmax(-1).unsqueeze(-2) @ windows(value)).squeeze(-2)
    return out.permute(0, 2, 3, 1, 4)


class Problem:
    """Random tensors of a shape: query, key and value are views of one packed projection."""

    def __init__(self, shape, dtype, with_rpb, device, seed=0):
        generator = torch.Generator(device).manual_seed(seed)

        def normal(*sizes):
            values = torch.randn(sizes, generator=generator, device=device)
            return values.to(DTYPES[dtype])

        self.shape, self.dtype, self.device = shape, dtype, device
        grid = (shape.batch, shape.height, shape.width)
        self.query, self.key, self.value = normal(*grid, 3, shape.heads, HEAD_DIM).unbind(3)
        self.grad = normal(*grid, shape.heads, HEAD_DIM)
        size = 2 * KERNEL - 1
        self.rpb = normal(shape.heads, size, size) if with_rpb else None
        self.tables = [tuple(table.to(device) for table in axis(length, shape.dilation))
                       for length in (shape.height, shape.width)]
        self.kernel_size, self.dilation = [KERNEL] * 2, [shape.dilation] * 2

    @property
    def inputs(self):
        return (self.query, self.key, self.value, self.rpb)

    def leaves(self):
        """Copies of the inputs that gradients can be taken of; None stays None."""
        return [None if x is None else x.detach().clone().requires_grad_() for x in self.inputs]

    def composition(self, images=slice(None), dtype=None):
        """Output and gradients of the composition, by name; of some images of the batch only."""
        def prepare(x):
            return x.detach().to(dtype or x.dtype).requires_grad_()

        tensors = [prepare(x[images]) for x in (self.query, self.key, self.value)]
        tensors.append(None if self.rpb is None else prepare(self.rpb))
        out = gather(*tensors, self.tables)
        given = [x for x in tensors if x is not None]
        gradients = torch.autograd.grad(out, given, self.grad[images].to(out.dtype))
        return dict(zip(NAMES, (out.detach(), *gradients)))

    def in_chunks(self, dtype):
        """The same for the whole batch without holding all windows at a time."""
        shape = self.shape
        element = (dtype or DTYPES[self.dtype]).itemsize
        windows = shape.tokens * shape.heads * KERNEL**2 * HEAD_DIM * element
        limit = CHUNK_BYTES
        if self.device == "cuda":
            limit = min(limit, torch.cuda.mem_get_info()[0] // CHUNKS_THAT_FIT)
        step = max(1, limit // windows)
        parts = [self.composition(slice(start, start + step), dtype)
                 for start in range(0, shape.batch, step)]
        return {name: sum(part[name] for part in parts) if name == "grad_rpb"
                else torch.cat([part[name] for part in parts]) for name in parts[0]}


def largest_error(ours, expected):
    """Over all elements; infinite if anything is not finite."""
    largest = 0.0
    for one, other in zip(ours.split(16), expected.split(16), strict=True):  # little memory
        error = (one.double() - other).abs().max().item() if one.numel() else 0.0
        if not error <= largest:
            largest = error if error == error else float("inf")
    return largest


class Reference:
    """Float64 results of a problem, and the errors of the composition in the problem's type."""

    def __init__(self, problem):
        self.expected = problem.in_chunks(torch.float64)
        try:
            plain = problem.composition()
        except torch.OutOfMemoryError:
            plain = problem.in_chunks(None)
        self.plain = {name: largest_error(plain[name], self.expected[name]) for name in plain}

    def judge(self, ours):
        """{name: {error, allowed}} and the names that are wrong; `ours` may lack gradients."""
        rows, wrong = {}, []
        for name, tensor in ours.items():
            expected = self.expected[name]
            same = tensor.shape == expected.shape
            error = largest_error(tensor, expected) if same else float("inf")
            allowed = 2 * self.plain[name] + 1e-5
            rows[name] = {"error": error, "allowed": allowed}
            if not error <= allowed:
                wrong.append(name)
        return rows, wrong
