"""Whole image processors on one photo and one thread.

Peers: Transformers 4.37.2 (Pillow, for OWLv2 SciPy), and 5.17 (torchvision) if
scripts/reference_env.sh --v5 was run.
"""

import tempfile
import time
from contextlib import ExitStack
from functools import partial

from bench import rounds
from bench.rounds import alternate, report
from bench.workers import V5, worker

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def bench_one(options, name, theirs, image, google_benchmark, benchmark):
    timed = partial(rounds.timed, clock=getattr(time, options.clock))
    candidates = {
        "vizoo": google_benchmark(options, f"{benchmark}/pil"),
        "vizoo torchvision backend": google_benchmark(options, f"{benchmark}/torchvision"),
        "Transformers 4.37.2": timed(lambda: theirs(image, return_tensors="pt")),
    }
    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as folder, ExitStack() as stack:
        if (V5 / "transformers").is_dir():
            image.save(f"{folder}/photo.png")
            version, measure = stack.enter_context(
                worker("v5_timer.py", name, f"{folder}/photo.png", options.clock, v5=True,
                       threads=1))
            candidates[f"Transformers {version}"] = measure
        times = alternate(candidates, options.rounds)
    return report(times, threads=1, clock=options.clock)


def bench(options, photo, google_benchmark):
    import torch
    import transformers

    torch.set_num_threads(1)
    convnext = transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, resample=3,
                                                   image_mean=MEAN, image_std=STD)
    return {
        "ConvNeXT, 500x375": bench_one(options, "convnext", convnext, photo(500, 375),
                                       google_benchmark, "process"),
        "OWLv2, 640x480": bench_one(options, "owlv2", transformers.Owlv2ImageProcessor(),
                                    photo(640, 480), google_benchmark, "process_owlv2"),
    }
