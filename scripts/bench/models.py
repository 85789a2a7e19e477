"""Whole models at 224 pixels in float32 with random weights, beside what else runs them.

Peers: Transformers eager, and, if scripts/reference_env.sh --peers was run, ONNX Runtime and
OpenVINO on the ONNX file that torch.onnx makes of the same model.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from bench.rounds import alternate, report, timed

THREADS = 2
SIZE = 224
BATCHES = {1: 20, 8: 5}  # batch size: least runs of one measurement
WARM_UP = 3  # runs in a fresh process before those that count
LABELS = 1000


def levit(**config):
    return transformers.LevitForImageClassificationWithTeacher(
        transformers.LevitConfig(num_labels=LABELS, **config))


MODELS = {
    "ConvNeXT-T": lambda: transformers.ConvNextForImageClassification(
        transformers.ConvNextConfig(num_labels=LABELS)),
    "PoolFormer-S12": lambda: transformers.PoolFormerForImageClassification(
        transformers.PoolFormerConfig(num_labels=LABELS)),
    "LeViT-128S": lambda: levit(num_attention_heads=[4, 6, 8], depths=[2, 3, 4]),
    "LeViT-256": lambda: levit(hidden_sizes=[256, 384, 512], num_attention_heads=[4, 6, 8],
                               key_dim=[32, 32, 32]),
    "DINOv2-S": lambda: transformers.Dinov2ForImageClassification(
        transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518,
                                  patch_size=14, num_labels=LABELS)),
}


class FirstOutput(torch.nn.Module):
    """What the exporter wants: a tensor in, a tensor out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model(pixel_values).logits


def export_onnx(model, pixels, path):
    model.train().eval()  # LeViT keeps maps of its biases, which an earlier call may have recorded
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(FirstOutput(model).eval(), (pixels,), str(path), dynamo=False,
                          input_names=["pixel_values"], output_names=["logits"], opset_version=17)


def onnx_runtime(path, pixels):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {"pixel_values": pixels.numpy()}
    return lambda: session.run(None, feed)[0]


def openvino(path, pixels):
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": THREADS,
                                                     "PERFORMANCE_HINT": "LATENCY",
                                                     "INFERENCE_PRECISION_HINT": "f32"})
    request, feed = compiled.create_infer_request(), {"pixel_values": pixels.numpy()}
    return lambda: request.infer(feed)[0]


def peers(model, pixels, folder):
    """{name: function that returns the logits}."""
    def eager():
        with torch.inference_mode():
            return model(pixels).logits

    found = {"Transformers 4.37.2": eager}
    path = folder / f"batch-{pixels.shape[0]}.onnx"
    for name, make in (("ONNX Runtime", onnx_runtime), ("OpenVINO", openvino)):
        try:
            if not path.exists():
                export_onnx(model, pixels, path)
            found[name] = make(path, pixels)
        except Exception as problem:  # not installed, or it cannot take this model
            print(f"{name} left out: {str(problem).splitlines()[0]}", file=sys.stderr)
    return found


def ours(program, folder, batch, runs):
    def measure():
        command = [program, "bench", "--model", folder, "--batch", str(batch), "--size", str(SIZE),
                   "--threads", str(THREADS), "--runs", str(runs), "--warm-up", str(WARM_UP), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["median_ms"]

    return measure


def our_logits(program, folder, pixels):
    save_file({"pixel_values": pixels}, folder / "in.safetensors")
    subprocess.run([program, "forward", "--model", folder, "--inputs", folder / "in.safetensors",
                    "--outputs", folder / "out.safetensors"], check=True)
    return load_file(folder / "out.safetensors")["logits"]


def bench_one(options, program, name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    result = {}
    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as temporary:
        folder = Path(temporary)
        model.save_pretrained(folder, safe_serialization=True)
        for batch, runs in BATCHES.items():
            pixels = torch.randn(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
            expected = our_logits(program, folder, pixels)
            candidates = {"vizoo": ours(program, folder, batch, runs)}
            differences = {}
            for peer, function in peers(model, pixels, folder).items():
                logits = torch.as_tensor(function())
                # What is timed must be the same computation.
                differences[peer] = float((logits - expected).abs().max())
                candidates[peer] = timed(function, least_runs=runs)
            times = alternate(candidates, options.rounds)
            result[f"batch {batch}"] = report(times, threads=THREADS,
                                              largest_logit_difference=differences)
    return result


def bench(options, program):
    torch.set_num_threads(THREADS)
    names = [name for name in MODELS if not options.model or name in options.model]
    return {name: bench_one(options, program, name) for name in names}
