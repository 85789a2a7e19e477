"""A module `natten` for Transformers 4.37.2: its two functions as plain gathers in torch.

Transformers' NAT and DiNAT need a NATTEN that no current torch has. Written from the definition of
neighborhood attention (arXiv:2204.07143, arXiv:2209.15001) and differentiable by autograd; it calls
nothing of vizoo, so that the two can be compared.
"""

import sys
import types

import torch


def axis_windows(length, kernel_size, dilation):
    """Of each query along an axis: its keys, and the indices of their biases, [length, kernel_size].

    Tokens that are `dilation` apart form a group. A query sees the kernel_size consecutive tokens
    of its group that are centred on it, or the first or last ones where that is not possible.
    """
    if kernel_size % 2 == 0 or kernel_size * dilation > length:
        raise ValueError(f"no windows of {kernel_size} tokens {dilation} apart on {length}")
    keys, biases = [], []
    for query in range(length):
        group = list(range(query % dilation, length, dilation))
        position = group.index(query)
        start = position - kernel_size // 2
        start = max(0, min(start, len(group) - kernel_size))
        keys.append(group[start:start + kernel_size])
        biases.append([start + step - position + kernel_size - 1 for step in range(kernel_size)])
    return torch.tensor(keys), torch.tensor(biases)


def gather_windows(tensor, rows, columns):
    """[B, heads, H, W, D] -> [B, heads, H, W, K * K, D]: the tokens of each query's window."""
    batch, heads, height, width, size = tensor.shape
    kernel_size = rows.shape[1]
    picked = tensor.index_select(2, rows.flatten()).index_select(3, columns.flatten())
    picked = picked.reshape(batch, heads, height, kernel_size, width, kernel_size, size)
    return picked.transpose(3, 4).reshape(batch, heads, height, width, kernel_size**2, size)


def natten2dqkrpb(query, key, rpb, kernel_size, dilation):
    """Attention scores query . key + bias, [B, heads, H, W, K * K], not scaled."""
    rows, row_biases = axis_windows(query.shape[2], kernel_size, dilation)
    columns, column_biases = axis_windows(query.shape[3], kernel_size, dilation)
    windows = gather_windows(key, rows, columns)
    scores = torch.matmul(windows, query.unsqueeze(-1)).squeeze(-1)
    # [heads, H, 1, K, 1] and [heads, 1, W, 1, K]: the bias of each pair of row and column.
    bias = rpb[:, row_biases[:, None, :, None], column_biases[None, :, None, :]]
    return scores + bias.flatten(-2)


def natten2dav(attention, value, kernel_size, dilation):
    """Sum of the values of each window, weighted by attention, [B, heads, H, W, D]."""
    rows, _ = axis_windows(value.shape[2], kernel_size, dilation)
    columns, _ = axis_windows(value.shape[3], kernel_size, dilation)
    windows = gather_windows(value, rows, columns)
    return torch.matmul(attention.unsqueeze(-2), windows).squeeze(-2)


def install():
    """Makes `import natten` work and Transformers believe in it; before its models are imported."""
    from transformers.utils import import_utils

    package = types.ModuleType("natten")
    package.functional = types.ModuleType("natten.functional")
    package.functional.natten2dqkrpb = natten2dqkrpb
    package.functional.natten2dav = natten2dav
    sys.modules["natten"] = package
    sys.modules["natten.functional"] = package.functional
    import_utils._natten_available = True
