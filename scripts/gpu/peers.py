"""What computes neighborhood attention on a problem: our kernels, and what there is beside them.

A candidate has `forward()` and `backward()`, which are timed, and `results(which)`: the same by
name in our layout, for the comparison. Each gets its inputs in the layout that suits it; what it
costs to bring them there is not counted, which favours the peers.
"""

import math

import torch

from bench.neighborhood_attention import HEAD_DIM, KERNEL
from gpu.attention import DTYPES, NAMES, gather

KERNELS = ("general", "dense_group", "gathered_tile")
OWN = (*KERNELS, "default")  # "default": what the ops choose
MOST_MASK_BYTES = 1 << 30
MOST_DENSE_TOKENS = 1 << 14  # beyond, the mask of blocks is made without the whole mask
MOST_WINDOW_BYTES = 12 << 30  # of the composition's keys


class Unfit(Exception):
    """This candidate cannot run this problem; the reason."""


class Kernel:
    """One of our kernels, forward without and backward with what the forward pass keeps."""

    def __init__(self, name, problem):
        self.name, self.problem = name, problem
        self.prepare()
        ran_by = torch.ops.vizoo_kernel_choice.kernel_of(
            problem.query, problem.key, problem.value, problem.kernel_size, problem.dilation)
        if name != "default" and ran_by != name:
            raise Unfit(f"does not fit; {ran_by} would run it")
        self.sizes = (problem.kernel_size, problem.dilation)
        self.out, self.lse = torch.ops.vizoo.na2d_forward(*problem.inputs, *self.sizes)

    def prepare(self):
        torch.ops.vizoo_kernel_choice.set_kernel(self.name)

    def forward(self):
        return torch.ops.vizoo.na2d(*self.problem.inputs, *self.sizes)

    def backward(self):
        return torch.ops.vizoo.na2d_backward(self.problem.grad, *self.problem.inputs, self.out,
                                             self.lse, *self.sizes)

    def results(self, which):
        self.prepare()
        if which == "forward":
            return {"out": self.forward()}
        count = 4 if self.problem.rpb is None else 5
        return dict(zip(NAMES[1:count], self.backward()))


class Peer:
    """`run(query, key, value, rpb)` in the layout of `arrange`; gradients by autograd."""

    def __init__(self, problem):
        self.problem = problem
        self.arranged = [self.arrange(x).contiguous() for x in problem.inputs[:3]]
        self.rpb = problem.rpb
        self.kept = None  # output, leaves and gradient of a forward pass

    def prepare(self):
        pass

    def arrange(self, x):
        return x

    def restore(self, x):
        return x

    def forward(self):
        with torch.no_grad():
            return self.run(*self.arranged, self.rpb)

    def backward(self):
        if self.kept is None:
            leaves = [x.detach().clone().requires_grad_() for x in self.arranged]
            rpb = None if self.rpb is None else self.rpb.detach().clone()
            if rpb is not None and self.bias_gradient:
                leaves.append(rpb.requires_grad_())
            out = self.run(*leaves[:3], rpb)
            self.kept = (out, leaves, self.arrange(self.problem.grad).contiguous())
        out, leaves, grad = self.kept
        return torch.autograd.grad(out, leaves, grad, retain_graph=True)

    def results(self, which):
        if which == "forward":
            return {"out": self.restore(self.forward())}
        gradients = self.backward()
        named = dict(zip(NAMES[1:], gradients))
        return {name: x if name == "grad_rpb" else self.restore(x) for name, x in named.items()}

    bias_gradient = True


class Composition(Peer):
    name = "composition"

    def __init__(self, problem):
        shape = problem.shape
        windows = shape.tensor_bytes(problem.dtype) * KERNEL**2
        if windows > MOST_WINDOW_BYTES:
            raise Unfit(f"its keys alone would take {windows >> 30} GiB")
        super().__init__(problem)

    def run(self, query, key, value, rpb):
        return gather(query, key, value, rpb, self.problem.tables)


class Unfused(Peer):
    """Scores, softmax, weighted sum: how Transformers calls the two old functions."""

    name = "unfused"

    def arrange(self, x):  # -> [B, heads, H, W, D]
        return x.permute(0, 3, 1, 2, 4)

    def restore(self, x):
        return x.permute(0, 2, 3, 1, 4)

    def run(self, query, key, value, rpb):
        sizes = (self.problem.kernel_size, self.problem.dilation)
        scores = torch.ops.vizoo.na2d_qk(query * HEAD_DIM**-0.5, key, rpb, *sizes)
        return torch.ops.vizoo.na2d_av(scores.softmax(-1), value, *sizes)


class Tokens(Peer):
    """Peers that know a sequence of tokens only: [B, heads, N, D]."""

    def arrange(self, x):
        return x.flatten(1, 2).transpose(1, 2)

    def restore(self, x):
        shape = self.problem.shape
        return x.transpose(1, 2).unflatten(1, (shape.height, shape.width))


class DenseMasked(Tokens):
    """Scaled dot-product attention over all tokens; bias and window are its mask."""

    name = "dense masked"
    bias_gradient = False  # the mask is made beforehand

    def __init__(self, problem):
        shape = problem.shape
        size = shape.heads * shape.tokens**2 * DTYPES[problem.dtype].itemsize
        if size > MOST_MASK_BYTES:
            raise Unfit(f"its mask would take {size / 2**30:.1f} GiB")
        super().__init__(problem)
        self.mask = self.make_mask()

    def make_mask(self):
        """[heads, N, N]: the bias inside of the window, -inf outside."""
        problem, shape = self.problem, self.problem.shape
        (rows, row_bias), (columns, column_bias) = problem.tables
        grid = (shape.heads, shape.height, shape.width)
        mask = torch.full((*grid, shape.tokens), -math.inf, dtype=problem.query.dtype,
                          device=problem.device)
        keys = rows[:, None, :, None] * shape.width + columns[None, :, None, :]
        keys = keys.flatten(2, 3).expand(shape.heads, -1, -1, -1)
        bias = torch.zeros((), dtype=mask.dtype, device=mask.device).expand(keys.shape)
        if problem.rpb is not None:
            bias = problem.rpb[:, row_bias][:, :, :, column_bias].transpose(2, 3).flatten(3, 4)
        return mask.scatter_(3, keys, bias).flatten(1, 2)

    def run(self, query, key, value, rpb):
        return torch.nn.functional.scaled_dot_product_attention(query, key, value,
                                                                attn_mask=self.mask)


class Flex(Tokens):
    """Compiled FlexAttention: the window as a mask of blocks, the bias as a score function.

    Tokens are in row-major order, as a model has them.
    """

    name = "flex"

    def __init__(self, problem):
        super().__init__(problem)
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        compiles = problem.device == "cuda"
        self.attention = flex_attention
        if compiles:
            self.attention = torch.compile(flex_attention, dynamic=False)
        tokens = problem.shape.tokens

        def in_window(batch, head, query, key):  # no method: its arguments are counted
            return self.in_window(batch, head, query, key)

        self.block_mask = create_block_mask(
            in_window, None, None, tokens, tokens, device=problem.device,
            _compile=compiles and tokens > MOST_DENSE_TOKENS)

    def place(self, token):
        """(group, position in it, length of the group) of a token on both axes."""
        shape, dilation = self.problem.shape, self.problem.shape.dilation
        for length, index in ((shape.height, token // shape.width),
                              (shape.width, token % shape.width)):
            group = index % dilation
            tokens = length // dilation
            if length % dilation:
                tokens = (length - group + dilation - 1) // dilation
            yield group, index // dilation, tokens

    def in_window(self, _batch, _head, query, key):
        inside = None
        for (group, position, length), (other, place, _) in zip(self.place(query), self.place(key)):
            first = (position - KERNEL // 2).clamp(min=0)
            last = length - KERNEL  # an int where all groups are equally long
            first = first.clamp(max=last) if isinstance(last, int) else torch.minimum(first, last)
            here = (group == other) & (place >= first) & (place < first + KERNEL)
            inside = here if inside is None else inside & here
        return inside

    def run(self, query, key, value, rpb):
        def add_bias(score, _batch, head, query_token, key_token):
            offsets = [(place - position + KERNEL - 1).clamp(0, 2 * KERNEL - 2)
                       for (_, position, _), (_, place, _) in zip(self.place(query_token),
                                                                  self.place(key_token))]
            return score + rpb[head, offsets[0], offsets[1]]

        return self.attention(query, key, value, score_mod=None if rpb is None else add_bias,
                              block_mask=self.block_mask)


class FlexByGroups(Flex):
    """The same with the tokens of a dilation group side by side, which leaves fewer blocks."""

    name = "flex, tokens by group"

    def __init__(self, problem):
        shape, dilation = problem.shape, problem.shape.dilation
        if dilation == 1 or shape.height % dilation or shape.width % dilation:
            raise Unfit("dilation 1, or groups of unequal length")
        rows, columns = shape.height // dilation, shape.width // dilation
        tokens = torch.arange(shape.tokens, device=problem.device)
        grid = tokens.view(rows, dilation, columns, dilation).permute(1, 3, 0, 2)
        self.order = grid.flatten()
        self.inverse = torch.argsort(self.order)
        super().__init__(problem)

    def arrange(self, x):
        return super().arrange(x)[:, :, self.order]

    def restore(self, x):
        return super().restore(x[:, :, self.inverse])

    def place(self, token):
        shape, dilation = self.problem.shape, self.problem.shape.dilation
        rows, columns = shape.height // dilation, shape.width // dilation
        group, position = token // (rows * columns), token % (rows * columns)
        yield group // dilation, position // columns, rows
        yield group % dilation, position % columns, columns


PEERS = (Composition, Unfused, DenseMasked, Flex, FlexByGroups)


def candidate(name, problem):
    """Raises Unfit if it cannot run the problem."""
    for peer in PEERS:
        if peer.name == name:
            return peer(problem)
    return Kernel(name, problem)
