"""Steps of training in Transformers in its own process, as test/bench/training_bench.cpp does them.

    training_step_child.py FOLDER BATCH.safetensors THREADS STEPS
"""

import json
import statistics
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")


def peak_memory():
    """Of this process, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def main(folder, data, threads, steps):
    import torch
    from safetensors.torch import load_file

    from parity import natten_standin

    natten_standin.install()
    import transformers

    torch.set_num_threads(int(threads))
    architecture = transformers.AutoConfig.from_pretrained(folder).architectures[0]
    model = getattr(transformers, architecture).from_pretrained(folder).train()
    batch = load_file(data)
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05},
                                   {"params": others, "weight_decay": 0.0}], lr=1e-4, fused=True)

    def step():
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    print(json.dumps({"loss": step()}), flush=True)
    for _ in sys.stdin:
        times, processor_times = [], []
        for _ in range(int(steps)):
            started, began = time.perf_counter(), time.process_time()
            step()
            times.append((time.perf_counter() - started) * 1e3)
            processor_times.append((time.process_time() - began) * 1e3)
        print(json.dumps({"ms": statistics.median(times),
                          "processor_ms": statistics.median(processor_times),
                          "peak_mib": peak_memory()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
