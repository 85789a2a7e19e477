#!/usr/bin/env python3
"""Runs a model that `vizoo export` wrote, in Python: torch and libvizoo_ops.so are all it takes.

    vizoo export --model weights/dinat-digits --output dinat.pt
    python apps/examples/run_exported.py --ops libvizoo_ops.so --size 48 dinat.pt

The model runs on one picture and on a batch of two that begins with the same picture; then a
function that calls it is compiled by torch.compile, and both must agree.
"""

import argparse
import json
import re
import sys

import torch

TOLERANCE = 1e-5


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ops", help="path of libvizoo_ops.so, if the model needs it")
    parser.add_argument("--size", type=int, default=224, help="height and width of the pictures")
    parser.add_argument("--backend", default="aot_eager",
                        help="of torch.compile: eager, aot_eager, or inductor with a C++ compiler")
    parser.add_argument("model")
    return parser.parse_args()


def load_model(path):
    """The model and what its vizoo.json says; exits with one line if torch cannot load it."""
    files = {"vizoo.json": ""}
    try:
        model = torch.jit.load(path, _extra_files=files)
    except (RuntimeError, ValueError) as error:
        unknown = re.search(r"Unknown builtin op: ([\w:]+)", str(error))
        if unknown:
            library = json.loads(files["vizoo.json"] or "{}").get("op_library", "libvizoo_ops.so")
            sys.exit(f"[model] {path}: needs the operator {unknown[1]}, which is not loaded. "
                     f"Give the library that has it: --ops {library}.")
        reason = re.split(r"\n|\. ", str(error).strip())[0]
        sys.exit(f"[model] {path}: not a model that torch can load: {reason}")
    return model.eval(), json.loads(files["vizoo.json"])


def as_operator(model, labels):
    """A function of logits that torch.compile takes as it is, like any operator.

    torch.compile cannot look into TorchScript. A function that calls the model directly works too,
    but is compiled in parts, and not at all with fullgraph=True.
    """

    @torch.library.custom_op("exported::logits", mutates_args=())
    def logits(pixel_values: torch.Tensor) -> torch.Tensor:
        return model(pixel_values)

    @logits.register_fake
    def shape(pixel_values):
        return pixel_values.new_empty(pixel_values.shape[0], labels)

    return logits


def main():
    arguments = parse_arguments()
    if arguments.ops:
        torch.ops.load_library(arguments.ops)
    model, about = load_model(arguments.model)
    print(f"{about['class_name']}: {', '.join(about['outputs'])}")

    def logits(pixel_values):
        outputs = model(pixel_values)
        if about["output_format"] == "dict":
            return outputs["logits"]
        return outputs[about["outputs"].index("logits")]

    torch.manual_seed(0)
    pictures = torch.rand(2, 3, arguments.size, arguments.size) * 2 - 1
    with torch.no_grad():
        alone, batch = logits(pictures[:1]), logits(pictures)
    for answer in (alone, batch):
        score, label = answer[0].softmax(0).max(0)
        print(f"batch of {len(answer)}: {list(answer.shape)}, best class {label}, "
              f"score {score:.4f}")
    check("the batch", alone[0], batch[0])

    def scores(pixels, run):
        return run(pixels * 2 - 1).softmax(-1)

    operator = as_operator(logits, alone.shape[1])
    for name, run, fullgraph in (("calls", logits, False), ("operator", operator, True)):
        compiled = torch.compile(scores, backend=arguments.backend, fullgraph=fullgraph)
        for count in (1, 2):
            pixels = torch.rand(count, 3, arguments.size, arguments.size)
            with torch.no_grad():
                difference = compiled(pixels, run), scores(pixels, logits)
            check(f"torch.compile, {name}, batch of {count}", *difference)


def check(what, ours, expected):
    difference = (ours - expected).abs().max().item()
    print(f"{what}: largest difference {difference:.1e}")
    if not difference <= TOLERANCE:
        sys.exit(f"[model] {what}: expected the same answer, got a difference of {difference:.1e}.")


if __name__ == "__main__":
    main()
