"""What the Python tests share: the ops, random inputs, and neighborhood attention by hand."""

import os
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = os.environ["VIZOO_OPS_LIBRARY"]
sys.path.insert(0, str(ROOT / "python"))
sys.path.insert(0, str(ROOT / "scripts"))


def load_ops():
    torch.ops.load_library(LIBRARY)
    return torch.ops.vizoo


class Inputs:
    """Random tensors from a seed; `requires_grad` and `dtype` hold for all floating ones."""

    def __init__(self, seed, dtype=torch.float32, requires_grad=True):
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = dtype
        self.requires_grad = requires_grad

    def tensor(self, *shape):
        values = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return values.to(self.dtype).requires_grad_(self.requires_grad)

    def packed(self, batch, height, width, heads, dim):
        """query, key and value as a packed projection holds them: views with gaps between rows."""
        return self.tensor(batch, height, width, 3, heads, dim).unbind(3)


def axis_windows(length, kernel, dilation):
    """Keys and bias indices of each query of one axis, [length, kernel] both, by listing groups."""
    keys = torch.empty(length, kernel, dtype=torch.long)
    bias = torch.empty(length, kernel, dtype=torch.long)
    for group in range(dilation):
        tokens = list(range(group, length, dilation))
        for position, query in enumerate(tokens):
            first = min(max(position - kernel // 2, 0), len(tokens) - kernel)
            window = range(first, first + kernel)
            keys[query] = torch.tensor([tokens[i] for i in window])
            bias[query] = torch.tensor([i - position + kernel - 1 for i in window])
    return keys, bias


def windows(tensor, kernel, dilation):
    """[B, heads, H, W, D] -> the keys of each query [B, heads, H, W, Kh, Kw, D]."""
    rows = axis_windows(tensor.shape[2], kernel[0], dilation[0])[0]
    columns = axis_windows(tensor.shape[3], kernel[1], dilation[1])[0]
    return tensor[:, :, rows[:, None, :, None], columns[None, :, None, :]]


def pair(numbers):
    return (numbers, numbers) if isinstance(numbers, int) else tuple(numbers)


def oracle_qk(query, key, rpb, kernel, dilation):
    """What natten2dqkrpb computes, by gathering; autograd gives its gradients."""
    kernel, dilation = pair(kernel), pair(dilation)
    scores = torch.einsum("bnhwd,bnhwijd->bnhwij", query, windows(key, kernel, dilation))
    if rpb is not None:
        rows = axis_windows(query.shape[2], kernel[0], dilation[0])[1]
        columns = axis_windows(query.shape[3], kernel[1], dilation[1])[1]
        scores = scores + rpb[:, rows[:, None, :, None], columns[None, :, None, :]]
    return scores.flatten(-2)


def oracle_av(attn, value, kernel, dilation):
    """What natten2dav computes, by gathering."""
    kernel, dilation = pair(kernel), pair(dilation)
    weights = attn.unflatten(-1, kernel)
    return torch.einsum("bnhwij,bnhwijd->bnhwd", weights, windows(value, kernel, dilation))


def oracle_na2d(query, key, value, rpb, kernel, dilation, scale=None):
    """[B, H, W, heads, D] -> the same."""
    query, key, value = (tensor.permute(0, 3, 1, 2, 4) for tensor in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = oracle_qk(query * scale, key, rpb, kernel, dilation)
    return oracle_av(scores.softmax(-1), value, kernel, dilation).permute(0, 2, 3, 1, 4)
