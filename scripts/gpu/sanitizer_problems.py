"""Small problems for compute-sanitizer: every kernel, forward and backward.

usage: python3 -m gpu.sanitizer_problems cuda|cpu OPS_LIBRARY KERNEL_CHOICE_LIBRARY

Tensors are made on the CPU and copied, so that the kernels that run are vizoo's own. Results must
be finite and the same from run to run; whether they are right is for the other parts to say.
"""

import sys

import torch

# height, width, heads, head dim, kernel, dilation, kernels that must be able to run it. Borders and
# unequal groups, partial tiles, exact groups, an odd number of heads.
PROBLEMS = (
    (9, 11, 3, 8, (5, 3), (1, 2), ("general",)),
    (9, 10, 1, 32, (3, 3), (1, 1), ("general", "gathered_tile")),
    (15, 16, 3, 32, (7, 7), (2, 2), ("general", "gathered_tile")),
    (7, 7, 2, 32, (7, 7), (1, 1), ("general", "gathered_tile", "dense_group")),
    (6, 9, 3, 64, (3, 3), (2, 3), ("general", "gathered_tile", "dense_group")),
)


def run(ops, tensors, kernel_size, dilation):
    """All results of a forward and a backward pass."""
    query, key, value, rpb, grad = tensors
    out, lse = ops.na2d_forward(query, key, value, rpb, kernel_size, dilation)
    gradients = ops.na2d_backward(grad, query, key, value, rpb, out, lse, kernel_size, dilation)
    return [out, lse, *gradients]


def run_unfused(ops, tensors, kernel_size, dilation):
    query, key, value, rpb, grad = tensors
    query, key, value, grad = (x.permute(0, 3, 1, 2, 4) for x in (query, key, value, grad))
    scores = ops.na2d_qk(query, key, rpb, kernel_size, dilation)
    return [scores, ops.na2d_av(scores, value, kernel_size, dilation),
            *ops.na2d_qk_backward(scores, query, key, rpb, kernel_size, dilation),
            *ops.na2d_av_backward(grad, scores, value, kernel_size, dilation)]


def main(device, ops_library, choice_library):
    torch.ops.load_library(ops_library)
    torch.ops.load_library(choice_library)
    ops, choice = torch.ops.vizoo, torch.ops.vizoo_kernel_choice
    generator = torch.Generator().manual_seed(1)
    for height, width, heads, dim, kernel_size, dilation, kernels in PROBLEMS:
        for dtype in (torch.float32, torch.bfloat16):
            packed = torch.randn((2, height, width, 3, heads, dim), generator=generator)
            sizes = (heads, 2 * kernel_size[0] - 1, 2 * kernel_size[1] - 1)
            rpb = torch.randn(sizes, generator=generator).to(dtype)
            grad = torch.randn((2, height, width, heads, dim), generator=generator).to(dtype)
            packed = packed.to(dtype).to(device)
            tensors = (*packed.unbind(3), rpb.to(device), grad.to(device))
            for kernel in kernels if device == "cuda" else ("default",):
                if kernel != "general" and dtype == torch.float32:
                    continue
                choice.set_kernel(kernel)
                chosen = choice.kernel_of(*tensors[:3], kernel_size, dilation)
                if device == "cuda" and chosen != kernel:
                    raise SystemExit(f"{chosen} ran what was meant for {kernel}")
                for function in (run, run_unfused):
                    first = function(ops, tensors, kernel_size, dilation)
                    second = function(ops, tensors, kernel_size, dilation)
                    for number, (one, other) in enumerate(zip(first, second, strict=True)):
                        one, other = one.cpu(), other.cpu()
                        if not one.isfinite().all() or not torch.equal(one, other):
                            raise SystemExit(f"{kernel}, {function.__name__}, {dtype}, {height} x "
                                             f"{width}: result {number} is not finite, or differs "
                                             "from run to run")
                print(f"problem {height} x {width}, {dtype}, {kernel}", flush=True)
    print("all problems done")


if __name__ == "__main__":
    main(*sys.argv[1:])
