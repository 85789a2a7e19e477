"""The Perceiver at its published sizes with random weights, beside Transformers 4.37.2 eager.

Language (2048 positions), convolutional image classifier, optical flow of one tile, and one chunk of
the multimodal autoencoder: 1/128 of its image and audio, with the encoder that Transformers'
documented loop runs for each chunk. Peak memory is that of a fresh process and one forward pass.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from bench.rounds import alternate, report, run_child, timed
from bench.workers import PYTHON, environment

THREADS = 2
CHUNKS = 128

SMALL_IMAGE = {"num_latents": 512, "d_latents": 1024, "num_blocks": 8,
               "num_self_attends_per_block": 6, "num_self_attention_heads": 8,
               "num_cross_attention_heads": 1, "num_labels": 1000}
MODELS = {
    "language": ("PerceiverForMaskedLM", {"qk_channels": 256, "v_channels": 1280}),
    "conv-image": ("PerceiverForImageClassificationConvProcessing",
                   {**SMALL_IMAGE, "d_model": 322}),
    "flow": ("PerceiverForOpticalFlow",
             {"num_latents": 2048, "d_latents": 512, "d_model": 322, "num_blocks": 1,
              "num_self_attends_per_block": 24, "num_self_attention_heads": 16,
              "num_cross_attention_heads": 1}),
    "multimodal": ("PerceiverForMultimodalAutoencoding",
                   {"num_latents": 784, "d_latents": 512, "d_model": 704, "num_blocks": 1,
                    "num_self_attends_per_block": 8, "num_self_attention_heads": 8,
                    "num_cross_attention_heads": 1, "num_labels": 700}),
}


def make_model(name):
    import torch
    import transformers

    torch.manual_seed(0)
    class_name, config = MODELS[name]
    return getattr(transformers, class_name)(transformers.PerceiverConfig(**config)).eval()


def make_inputs(name):
    """Tensors under `vizoo forward`'s names."""
    import torch

    generator = torch.Generator().manual_seed(1)
    if name == "language":
        return {"inputs": torch.randint(6, 262, (1, 2048), generator=generator),
                "attention_mask": torch.ones(1, 2048, dtype=torch.int64)}
    if name == "conv-image":
        return {"inputs": torch.randn(1, 3, 224, 224, generator=generator)}
    if name == "flow":
        return {"inputs": torch.randn(1, 2, 27, 368, 496, generator=generator)}
    image = 16 * 224 * 224 // CHUNKS
    audio = 30720 // 16 // CHUNKS
    return {"inputs.image": torch.rand(1, 16, 3, 224, 224, generator=generator),
            "inputs.audio": torch.rand(1, 30720, 1, generator=generator),
            "inputs.label": torch.zeros(1, 700),
            "subsampled_output_points.image": torch.arange(image),
            "subsampled_output_points.audio": torch.arange(audio)}


def keyword_arguments(inputs):
    """The same for Transformers, which takes dictionaries."""
    arguments = {}
    for name, value in inputs.items():
        key, _, modality = name.partition(".")
        if modality:
            arguments.setdefault(key, {})[modality] = value
        else:
            arguments[key] = value
    if "subsampled_output_points" in arguments:
        arguments["subsampled_output_points"]["label"] = None
    return arguments


def flat(logits, prefix="logits"):
    return {prefix: logits} if not isinstance(logits, dict) else {
        f"{prefix}.{name}": value for name, value in logits.items()}


def bench_one(options, program, name):
    import torch
    from safetensors.torch import load_file, save_file

    model, inputs = make_model(name), make_inputs(name)
    arguments = keyword_arguments(inputs)

    def eager():
        with torch.inference_mode():
            return model(**arguments).logits

    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as temporary:
        folder = Path(temporary)
        model.save_pretrained(folder, safe_serialization=True)
        save_file(inputs, folder / "in.safetensors")
        command = [str(program), "bench", "--model", folder, "--inputs", folder / "in.safetensors",
                   "--threads", str(THREADS), "--json"]
        forward = [str(program), "forward", "--model", folder, "--inputs",
                   folder / "in.safetensors", "--outputs", folder / "out.safetensors"]

        def ours():
            done = subprocess.run([*command, "--runs", "3", "--warm-up", "1"], capture_output=True,
                                  text=True, check=True)
            return json.loads(done.stdout)["median_ms"]

        subprocess.run(forward, check=True)
        outputs, expected = load_file(folder / "out.safetensors"), flat(eager())
        difference = max(float((outputs[key] - expected[key]).abs().max()) for key in expected)
        times = alternate({"vizoo": ours, "Transformers 4.37.2": timed(eager, least_runs=3)},
                          options.rounds)
        once = {"vizoo": ([*command, "--runs", "1", "--warm-up", "0"], {}),
                "Transformers 4.37.2": ([PYTHON, Path(__file__).with_name("perceiver_child.py"),
                                         name], environment(False))}
        memory = {peer: [run_child(*each)[1]] for peer, each in once.items()}
    return report(times, threads=THREADS, largest_logit_difference=difference,
                  peak_memory=report(memory, unit="MiB"))


def bench(options, program):
    import torch

    torch.set_num_threads(THREADS)
    names = [name for name in MODELS if not options.model or name in options.model]
    return {name: bench_one(options, program, name) for name in names}
