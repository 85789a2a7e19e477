"""One step of training at 224 pixels in float32: forward, loss, backward, fused AdamW.

Peer: Transformers 4.37.2 and torch.optim.AdamW(fused=True); for DiNAT over neighborhood attention
composed of gathers, as no NATTEN with its functions exists for this torch. Each side is a process
of its own, which waits while the other one computes; memory is the most that it ever held.
"""

import json
import os
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.rounds import alternate, report
from bench.workers import PYTHON, environment

THREADS = 2
SIZE = 224
LABELS = 1000
# Batch size, and steps of one measurement.
MODELS = {"ConvNeXT-T": (8, 1), "LeViT-128S": (32, 1), "DINOv2-S": (4, 1), "DiNAT-Mini": (2, 1)}


def make_model(name):
    import transformers

    from parity import natten_standin

    natten_standin.install()
    if name == "ConvNeXT-T":
        return transformers.ConvNextForImageClassification(
            transformers.ConvNextConfig(num_labels=LABELS))
    if name == "LeViT-128S":
        return transformers.LevitForImageClassification(transformers.LevitConfig(
            num_labels=LABELS, num_attention_heads=[4, 6, 8], depths=[2, 3, 4]))
    if name == "DINOv2-S":
        return transformers.Dinov2ForImageClassification(transformers.Dinov2Config(
            hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14,
            num_labels=LABELS))
    # Without dropped paths, so that both sides compute the same.
    return transformers.DinatForImageClassification(
        transformers.DinatConfig(num_labels=LABELS, drop_path_rate=0.0))


@contextmanager
def trainer(command, more):
    """Starts a side: yields its first loss, and a function that returns what it measured."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": str(THREADS), **more})

    def answer():
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {command[0]} ended")
        return json.loads(line)

    def measure():
        process.stdin.write("\n")
        process.stdin.flush()
        return answer()

    try:
        yield answer()["loss"], measure
    finally:
        process.stdin.close()
        process.wait()


def bench_one(options, program, name):
    import torch
    from safetensors.torch import save_file

    batch, steps = MODELS[name]
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as temporary, ExitStack() as stack:
        folder, data = Path(temporary, "model"), Path(temporary, "batch.safetensors")
        make_model(name).save_pretrained(folder, safe_serialization=True)
        generator = torch.Generator().manual_seed(1)
        save_file({"pixel_values": torch.randn(batch, 3, SIZE, SIZE, generator=generator),
                   "labels": torch.randint(0, LABELS, (batch,), generator=generator)}, data)
        arguments = [folder, data, THREADS, steps]
        peer = "Transformers 4.37.2"
        commands = {"vizoo": ([program, *arguments], {}),
                    peer: ([PYTHON, Path(__file__).with_name("training_step_child.py"), *arguments],
                           environment(False))}
        losses, candidates, memory = {}, {}, {}
        processor_times = {side: [] for side in commands}
        for side, command in commands.items():
            losses[side], measure = stack.enter_context(trainer(*command))

            def timed(side=side, measure=measure):
                answer = measure()
                memory[side] = [answer["peak_mib"]]
                processor_times[side].append(answer["processor_ms"])
                return answer["ms"]

            candidates[side] = timed
        # What is timed must be the same computation.
        if abs(losses["vizoo"] - losses[peer]) > 1e-3 * losses[peer]:
            raise SystemExit(f"bench: {name}: losses of the first step differ: {losses}")
        alternate(candidates, 1)
        for values in processor_times.values():
            values.clear()
        times = alternate(candidates, options.rounds)
    return report(times, threads=THREADS, batch=batch, first_loss=losses,
                  processor_time=report(processor_times), peak_memory=report(memory, unit="MiB"))


def bench(options, find_benchmark):
    program = find_benchmark(options, "training_bench")
    names = [name for name in MODELS if not options.model or name in options.model]
    return {name: bench_one(options, program, name) for name in names}
