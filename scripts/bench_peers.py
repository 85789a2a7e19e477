#!/usr/bin/env python3
"""Times vizoo and its peers side by side and prints one JSON object.

Every round runs each of them once, in an order that turns; what counts is the median over rounds of
the ratio peer / ours within a round (above 1: we are faster). Sections:

    resize      bicubic 500x375 -> 341x256, one thread: torchvision's uint8 antialias, Pillow
    processor   the whole ConvNeXT processor on one 500x375 photo, OWLv2's on one of 640x480, one
                thread: Transformers 4.37.2 (Pillow, SciPy) and, if scripts/reference_env.sh --v5
                was run, 5.17 (torchvision)
    model       ConvNeXT-T, PoolFormer-S12, LeViT-128S and -256, DINOv2-S, float32, batch 1 and 8,
                two threads: Transformers 4.37.2 eager and, if scripts/reference_env.sh --peers was
                run, ONNX Runtime and OpenVINO
    tokenizer   CLIP's tokenizer on short queries, sentences, other scripts and a long text, one
                thread: the tokenizers library alone and under Transformers 4.37.2
    owlv2       OWLv2's vision tower (B/16) at 960x960, two threads, with peak memory: Transformers
                4.37.2 and, as above, 5.17
    perceiver   the Perceiver's published sizes, two threads, with peak memory: Transformers 4.37.2
    attention   neighborhood attention on CPU: gather composition, dense masked attention, compiled
                FlexAttention, a plain loop nest, the core's peak, and its share of DiNAT-Mini
    training    one step of ConvNeXT-T, LeViT-128S, DINOv2-S and DiNAT-Mini with fused AdamW, two
                threads, with peak memory: Transformers 4.37.2
    loader      epochs of training batches from 500x375 JPEGs, two workers: torch's DataLoader with
                torchvision's transforms
    cold        a fresh process that classifies one image: wall time and peak memory

Needs the reference environment (scripts/reference_env.sh) and a build with benchmarks
(-DVIZOO_BUILD_BENCHMARKS=ON). JSON goes to standard output, a table to standard error.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-reference" / "bin" / "python"
PEERS = ROOT / ".venv-reference" / "peers"
SECTIONS = ("resize", "processor", "tokenizer", "owlv2", "perceiver", "attention", "model",
            "training", "loader", "cold")
LEAST_ROUNDS = 7
BENCHMARKS = "resample_bench"  # test/bench/resample_bench.cpp


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION",
                        help=f"{'|'.join(SECTIONS)} (default: all)")
    parser.add_argument("--model", action="append", metavar="NAME",
                        help="in the sections model, perceiver and training, only this one "
                             "(repeatable)")
    parser.add_argument("--rounds", type=int, default=9, help=f"at least {LEAST_ROUNDS}")
    parser.add_argument("--cpu-time", action="store_true",
                        help="processor time in the sections with one thread: for shared machines")
    parser.add_argument("--vizoo", type=Path, help="the program (default: the newest build)")
    parser.add_argument("--benchmarks", type=Path,
                        help="folder of the benchmark programs (default: the newest build's)")
    options = parser.parse_args()
    if options.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds: expected at least {LEAST_ROUNDS}")
    for section in options.sections:
        if section not in SECTIONS:
            parser.error(f"expected one of {'|'.join(SECTIONS)}, got {section}")
    options.sections = options.sections or list(SECTIONS)
    options.clock = "process_time" if options.cpu_time else "perf_counter"
    return options


def find_benchmark(options, name):
    """The newest program called `name`."""
    root = options.benchmarks or ROOT
    found = [path for pattern in (name, f"build*/**/{name}") for path in root.glob(pattern)
             if path.is_file() and os.access(path, os.X_OK)]
    if not found:
        raise SystemExit(f"bench: no program {name}; build with -DVIZOO_BUILD_BENCHMARKS=ON")
    return max(found, key=lambda path: path.stat().st_mtime)


def google_benchmark(options, name, program=BENCHMARKS, environment=None):
    """A candidate: one run of a Google Benchmark, in milliseconds."""
    program = find_benchmark(options, program)
    field = "cpu_time" if options.cpu_time else "real_time"
    scale = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}

    def measure():
        done = subprocess.run(
            [program, f"--benchmark_filter=^{name}$", "--benchmark_format=json",
             "--benchmark_min_time=0.3"],
            capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})})
        rows = [row for row in json.loads(done.stdout)["benchmarks"]
                if row.get("run_type", "iteration") == "iteration"]
        if len(rows) != 1 or "error_message" in rows[0]:
            raise SystemExit(f"bench: {program} has no benchmark {name}")
        return rows[0][field] * scale[rows[0]["time_unit"]]

    return measure


def photo(width, height):
    """A real photo of the given size, RGB."""
    import skimage
    from PIL import Image

    path = Path(skimage.__file__).parent / "data" / "coffee.png"
    return Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


def bench_resize(options):
    import torch
    from PIL import Image
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import pil_to_tensor, resize

    from bench import rounds
    from bench.rounds import alternate, report

    torch.set_num_threads(1)
    image = photo(500, 375)
    tensor = pil_to_tensor(image)
    channels_last = tensor[None].contiguous(memory_format=torch.channels_last)[0]
    arguments = {"size": [256, 341], "interpolation": InterpolationMode.BICUBIC, "antialias": True}
    timed = partial(rounds.timed, clock=getattr(time, options.clock))
    candidates = {
        "vizoo": google_benchmark(options, "resize_pillow_exact/bicubic_best"),
        "torchvision": timed(lambda: resize(tensor, **arguments)),
        "torchvision channels-last": timed(lambda: resize(channels_last, **arguments)),
        "Pillow": timed(lambda: image.resize((341, 256), Image.Resampling.BICUBIC)),
    }
    return report(alternate(candidates, options.rounds), threads=1, clock=options.clock)


def bench_cold(options, program, folder):
    from bench.rounds import alternate, report, run_child

    image = folder / "photo.png"
    photo(500, 375).save(image)
    commands = {
        "vizoo": [program, "classify", "--model", folder, "--threads", "2", "--json", image],
        "Transformers 4.37.2": [PYTHON, ROOT / "scripts" / "bench" / "cold_classify.py", folder,
                                image],
    }
    memory = {name: [] for name in commands}

    def candidate(name):
        def measure():
            elapsed, peak, output = run_child(commands[name], {"HF_HUB_OFFLINE": "1"})
            if not output.strip():
                raise SystemExit(f"bench: {name} answered nothing")
            memory[name].append(peak)
            return elapsed

        return measure

    candidates = {name: candidate(name) for name in commands}
    for measure in candidates.values():  # files into the page cache
        measure()
    times = alternate(candidates, options.rounds)
    return report(times, threads=2,
                  peak_memory=report(memory, unit="MiB"),
                  floor_ms=statistics.median(
                      run_child([program, "--version"])[0] for _ in range(5)))


def print_table(result):
    """One line a peer, to standard error."""
    def lines(title, section):
        if "ratio_peer_to_ours" not in section:
            for key, part in section.items():
                yield from lines(f"{title}, {key}", part)
            return
        own = section["times"]["vizoo"]["median"]
        for name, ratio in section["ratio_peer_to_ours"].items():
            peer = section["times"][name]["median"]
            yield (f"{title:<20} {name:<28} {peer:>10.3f} {own:>10.3f} {section['unit']:<4}"
                   f"{ratio['median']:>8.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]")
        if "peak_memory" in section:
            yield from lines(f"{title} memory", section["peak_memory"])
        if "processor_time" in section:
            yield from lines(f"{title} processor", section["processor_time"])

    print(f"{'':<20} {'peer':<28} {'peer':>10} {'ours':>10} {'':<4}{'ratio':>8}", file=sys.stderr)
    for title, section in result["sections"].items():
        for line in lines(title, section):
            print(line, file=sys.stderr)


def main():
    options = parse_arguments()
    if Path(sys.prefix).resolve() != PYTHON.parents[1].resolve():
        if not PYTHON.exists():
            subprocess.run([ROOT / "scripts" / "reference_env.sh"], check=True, stdout=sys.stderr)
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    sys.path.insert(0, str(ROOT / "scripts"))
    from bench.checkpoint import make_convnext_tiny
    from bench.machine import machine
    from parity.door import find_program

    program = find_program(options.vizoo)
    result = {"machine": machine(program), "sections": {}}
    sections = result["sections"]
    if "resize" in options.sections:
        sections["resize"] = bench_resize(options)
    if "processor" in options.sections:
        from bench import processors

        sections["processor"] = processors.bench(options, photo, google_benchmark)
    if "tokenizer" in options.sections:
        from bench import clip_tokenizer

        sections["tokenizer"] = clip_tokenizer.bench(options, google_benchmark)
    if "owlv2" in options.sections:
        from bench import owlv2

        sections["owlv2"] = owlv2.bench(options, program)
    if "perceiver" in options.sections:
        from bench import perceiver

        sections["perceiver"] = perceiver.bench(options, program)
    if "attention" in options.sections:
        from bench import neighborhood_attention

        library = program.parents[1] / "lib" / "libvizoo_ops.so"
        baseline = find_benchmark(options, "libna2d_baseline.so")
        sections["attention"] = neighborhood_attention.bench(options, program, library, baseline)
    if "model" in options.sections:
        sys.path.insert(0, str(PEERS))
        from bench import models

        sections["model"] = models.bench(options, program)
    if "training" in options.sections:
        from bench import training_step

        sections["training"] = training_step.bench(options, find_benchmark)
    if "loader" in options.sections:
        from bench import loader

        sections["loader"] = loader.bench(options, find_benchmark)
    if "cold" in options.sections:
        with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as temporary:
            folder = Path(temporary)
            make_convnext_tiny(folder)
            sections["cold"] = bench_cold(options, program, folder)
    print(json.dumps(result, indent=2))
    print_table(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
