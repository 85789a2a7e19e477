"""Neighborhood attention on CPU beside what else computes it today, float32, batch 1, D 32, K 7.

Peers: the gather composition in plain torch, dense scaled dot-product attention with the window as a
mask (bias included), compiled FlexAttention with the window as a block mask (no bias, forward only),
and on one thread the plain loop nest of test/bench/na2d_baseline.cpp.
"""

import ctypes
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from bench.rounds import alternate, report, timed

KERNEL, HEAD_DIM = 7, 32
# (height and width, heads, dilation): the layers of DiNAT-Mini at 224 pixels, and how many of each.
SHAPES = {"56x56 d1": (56, 2, 1, 2), "56x56 d8": (56, 2, 8, 1), "28x28 d1": (28, 4, 1, 2),
          "28x28 d4": (28, 4, 4, 2), "14x14 d1": (14, 8, 1, 3), "14x14 d2": (14, 8, 2, 3),
          "7x7 d1": (7, 16, 1, 5)}
WITH_PEERS = ("56x56 d1", "56x56 d8", "28x28 d1", "14x14 d1", "7x7 d1")


def axis(length, dilation):
    """Keys that each query of an axis sees, and the index into the bias: [L, K] each."""
    keys, bias = [], []
    for query in range(length):
        group, position = query % dilation, query // dilation
        tokens = math.ceil((length - group) / dilation)
        first = min(max(position - KERNEL // 2, 0), tokens - KERNEL)
        keys.append([group + dilation * (first + i) for i in range(KERNEL)])
        bias.append([first + i - position + KERNEL - 1 for i in range(KERNEL)])
    return torch.tensor(keys), torch.tensor(bias)


class Problem:
    def __init__(self, length, heads, dilation):
        generator = torch.Generator().manual_seed(0)
        self.length, self.heads, self.dilation = length, heads, dilation
        packed = torch.randn(1, length, length, 3, heads, HEAD_DIM, generator=generator)
        self.query, self.key, self.value = packed.unbind(3)
        size = 2 * KERNEL - 1
        self.rpb = torch.randn(heads, size, size, generator=generator)
        self.grad = torch.randn(1, length, length, heads, HEAD_DIM, generator=generator)
        self.keys, self.bias = axis(length, dilation)
        self.flops = length * length * heads * HEAD_DIM * KERNEL * KERNEL * 4

    def vizoo(self, query, key, value, rpb):
        return torch.ops.vizoo.na2d(query, key, value, rpb, [KERNEL] * 2, [self.dilation] * 2)

    def gather(self, query, key, value, rpb):
        def windows(x):  # [1, H, W, heads, D] -> [1, heads, H, W, K * K, D]
            x = x.permute(0, 3, 1, 2, 4)[:, :, self.keys][:, :, :, :, self.keys]
            return x.transpose(3, 4).flatten(4, 5)

        bias = rpb[:, self.bias][:, :, :, self.bias].transpose(2, 3).flatten(3, 4)
        query = query.permute(0, 3, 1, 2, 4) * HEAD_DIM**-0.5
        scores = (windows(key) @ query.unsqueeze(-1)).squeeze(-1) + bias
        out = (scores.softmax(-1).unsqueeze(-2) @ windows(value)).squeeze(-2)
        return out.permute(0, 2, 3, 1, 4)

    def dense_mask(self):
        """[heads, N, N]: the bias inside of the window, -inf outside."""
        tokens = self.length * self.length
        mask = torch.full((self.heads, self.length, self.length, tokens), -math.inf)
        keys = self.keys[:, None, :, None] * self.length + self.keys[None, :, None, :]
        bias = self.rpb[:, self.bias][:, :, :, self.bias].transpose(2, 3).flatten(3, 4)
        index = keys.flatten(2, 3).expand(self.heads, -1, -1, -1)
        return mask.scatter_(3, index, bias).flatten(1, 2)

    def dense(self, mask):
        heads_first = [x.flatten(1, 2).transpose(1, 2) for x in (self.query, self.key, self.value)]
        return torch.nn.functional.scaled_dot_product_attention(*heads_first, attn_mask=mask)

    def flex(self):
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        length, dilation = self.length, self.dilation
        first, last = self.keys[:, 0].contiguous(), self.keys[:, -1].contiguous()

        def in_window(_batch, _head, query, key):
            result = True
            for q, k in ((query // length, key // length), (query % length, key % length)):
                inside = (k >= first[q]) & (k <= last[q]) & (k % dilation == q % dilation)
                result = inside if result is True else result & inside
            return result

        tokens = length * length
        block_mask = create_block_mask(in_window, None, None, tokens, tokens, device="cpu")
        compiled = torch.compile(flex_attention)
        heads_first = [x.flatten(1, 2).transpose(1, 2).contiguous()
                       for x in (self.query, self.key, self.value)]
        return lambda: compiled(*heads_first, block_mask=block_mask)

    def inputs(self, needs_gradient=False):
        tensors = (self.query, self.key, self.value, self.rpb)
        return [x.detach().clone().requires_grad_(needs_gradient) for x in tensors]


def without_gradient(function):
    def run():
        with torch.no_grad():
            return function()

    return run


def bench_forward(problem, options):
    mask = problem.dense_mask()
    candidates = {
        "vizoo": lambda: problem.vizoo(problem.query, problem.key, problem.value, problem.rpb),
        "gather composition": lambda: problem.gather(problem.query, problem.key, problem.value,
                                                     problem.rpb),
        "dense masked SDPA": lambda: problem.dense(mask),
    }
    with torch.no_grad():
        expected = candidates["gather composition"]()
        difference = float((candidates["vizoo"]() - expected).abs().max())
        dense = candidates["dense masked SDPA"]().transpose(1, 2).view_as(expected)
        assert (dense - expected).abs().max() < 1e-4  # what is timed is the same computation
        try:
            candidates["compiled FlexAttention, no bias"] = problem.flex()
            candidates["compiled FlexAttention, no bias"]()
        except Exception as problem_with_flex:  # it needs a C++ compiler, and is new on CPUs
            print(f"FlexAttention left out: {str(problem_with_flex).splitlines()[0]}",
                  file=sys.stderr)
            candidates.pop("compiled FlexAttention, no bias", None)
    times = alternate({name: timed(without_gradient(run)) for name, run in candidates.items()},
                      options.rounds)
    return report(times, threads=2, largest_difference=difference)


def bench_training(problem, options):
    def step(function):
        inputs = problem.inputs(needs_gradient=True)

        def run():
            torch.autograd.grad(function(*inputs), inputs, problem.grad)

        return run

    times = alternate({"vizoo": timed(step(problem.vizoo)),
                       "gather composition": timed(step(problem.gather))}, options.rounds)
    return report(times, threads=2)


def bench_one_core(problem, baseline, options):
    pointer = ctypes.POINTER(ctypes.c_float)
    tensors = [x[0].permute(2, 0, 1, 3).contiguous()
               for x in (problem.query, problem.key, problem.value)]
    out = torch.empty_like(tensors[0])
    arguments = [ctypes.cast(x.data_ptr(), pointer) for x in (*tensors, problem.rpb, out)]

    def loop_nest():
        baseline.na2d_loop_nest(*arguments, problem.heads, problem.length, HEAD_DIM, KERNEL,
                                problem.dilation, ctypes.c_float(HEAD_DIM**-0.5))

    def ours():
        return problem.vizoo(problem.query, problem.key, problem.value, problem.rpb)

    loop_nest()
    difference = float((ours()[0].permute(2, 0, 1, 3) - out).abs().max())
    assert difference < 1e-4
    peaks = []

    def peak():
        # For as long as the others run, as the machine's speed changes meanwhile.
        started, values = time.perf_counter(), []
        while time.perf_counter() - started < 0.3:
            values.append(baseline.fma_peak())
        peaks.append(statistics.median(values))
        return problem.flops / peaks[-1] * 1e-6  # the time that these operations would take

    times = alternate({"vizoo": timed(without_gradient(ours)), "plain loop nest": timed(loop_nest),
                       "FMA peak": peak}, options.rounds)
    return report(times, threads=1, fma_peak_gflops=max(peaks))


def bench_share(program, options):
    """All neighborhood attention of DiNAT-Mini at 224 pixels as a part of its forward pass."""
    import transformers
    from safetensors.torch import save_file

    class_name = "DinatForImageClassification"
    config = transformers.DinatConfig(num_labels=1000, architectures=[class_name])
    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as temporary:
        folder = Path(temporary, "model")
        config.save_pretrained(temporary)
        subprocess.run([program.with_name("vizoo_make_checkpoint"), class_name, temporary, folder],
                       check=True)
        inputs = Path(temporary, "in.safetensors")
        save_file({"pixel_values": torch.randn(1, 3, 224, 224)}, inputs)
        command = [program, "bench", "--model", folder, "--inputs", inputs, "--threads", "2",
                   "--runs", "10", "--json"]

        def model():
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return json.loads(done.stdout)["median_ms"]

        layers = [(Problem(*shape[:3]), shape[3]) for shape in SHAPES.values()]

        def attention():
            total = 0.0
            for problem, count in layers:
                run = without_gradient(lambda problem=problem: problem.vizoo(
                    problem.query, problem.key, problem.value, problem.rpb))
                total += count * timed(run, least_seconds=0.05)()
            return total

        times = alternate({"vizoo": attention, "whole model": model}, options.rounds)
    return report(times, threads=2)


def bench(options, program, library, baseline_path):
    torch.ops.load_library(str(library))
    baseline = ctypes.CDLL(str(baseline_path))
    baseline.fma_peak.restype = ctypes.c_double
    baseline.na2d_loop_nest.restype = None
    result = {"forward": {}, "forward and backward": {}, "one core": {}}
    torch.set_num_threads(2)
    for name in WITH_PEERS:
        problem = Problem(*SHAPES[name][:3])
        result["forward"][name] = bench_forward(problem, options)
        result["forward and backward"][name] = bench_training(problem, options)
    result["share of DiNAT-Mini"] = bench_share(program, options)
    torch.set_num_threads(1)
    for name in WITH_PEERS:
        result["one core"][name] = bench_one_core(Problem(*SHAPES[name][:3]), baseline, options)
    return result
