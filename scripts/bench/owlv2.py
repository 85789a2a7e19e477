"""OWLv2's vision tower at 960 pixels (B/16, random weights).

Peers: Transformers 4.37.2, and 5.17 (SDPA) if scripts/reference_env.sh --v5 was run; for memory,
also its eager attention.
"""

import json
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.rounds import alternate, report, run_child
from bench.workers import PYTHON, V5, environment, worker

THREADS = 2
SIZE = 960


def bench(options, program):
    import torch
    import transformers

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as folder, ExitStack() as stack:
        config = transformers.Owlv2VisionConfig(image_size=SIZE)
        transformers.Owlv2VisionModel(config).save_pretrained(folder, safe_serialization=True)
        command = [program, "bench", "--model", folder, "--threads", THREADS, "--json", "--runs"]

        def ours():
            done = subprocess.run([*map(str, command), "1", "--warm-up", "1"],
                                  capture_output=True, text=True, check=True)
            return json.loads(done.stdout)["median_ms"]

        candidates = {"vizoo": ours}
        once = {"vizoo": ([*command, 1, "--warm-up", 0], {})}
        child = Path(__file__).with_name("owlv2_child.py")
        for v5, attention in ((False, "eager"), (True, "sdpa"), (True, "eager")):
            if v5 and not (V5 / "transformers").is_dir():
                continue
            name = f"Transformers {'5.17' if v5 else '4.37.2'} {attention}"
            once[name] = ([PYTHON, child, folder, attention, "once"], environment(v5))
            if v5 and attention == "eager":
                continue  # slower than 4.37.2's
            _, candidates[name] = stack.enter_context(
                worker("owlv2_child.py", folder, attention, v5=v5, threads=THREADS))
        times = alternate(candidates, options.rounds)
        memory = {name: [run_child(*each)[1]] for name, each in once.items()}
    return report(times, threads=THREADS, peak_memory=report(memory, unit="MiB"))
