"""Runs our program: `vizoo forward` and `vizoo preprocess`."""

import json
import os
import subprocess
from pathlib import Path

from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("build*/vizoo", "build*/*/vizoo", "build*/*/*/vizoo", "build*/*/*/*/vizoo")


class ProgramError(Exception):
    """The program failed, or wrote what cannot be read."""


def find_program(given=None):
    """The program to test: the argument, $VIZOO, the release build, or the newest build there is."""
    if given or os.environ.get("VIZOO"):
        return Path(given or os.environ["VIZOO"]).resolve()
    found = [path for pattern in PATTERNS for path in ROOT.glob(pattern)
             if path.is_file() and os.access(path, os.X_OK)]
    release = ROOT / "build" / "release" / "bin" / "vizoo"
    if release in found:
        return release  # not a build with sanitizers, which is slow
    if not found:
        raise SystemExit("parity: no vizoo program below build*/; build it or pass --vizoo PATH")
    return max(found, key=lambda path: path.stat().st_mtime)


def forward_command(program, case, folder):
    """The command line of a case; its input file is written beside the outputs."""
    options = case.options
    command = [str(program), "forward", "--model", str(case.folder),
               "--inputs", str(folder / "inputs.safetensors"),
               "--outputs", str(folder / "outputs.safetensors"),
               "--class", case.class_name]
    if options.dtype != "float32":
        command += ["--dtype", options.dtype]
    if options.output_hidden_states:
        command.append("--output-hidden-states")
    if options.output_attentions:
        command.append("--output-attentions")
    if options.train_mode:
        command.append("--train-mode")
    if options.seed is not None:
        command += ["--seed", str(options.seed)]
    if options.gradients:
        command += ["--gradients", options.gradients]
    if options.method:
        command += ["--method", options.method]
    for key, value in options.overrides.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    if options.model_args:
        command += ["--model-args", json.dumps(options.model_args)]
    return command


def run_program(command, time_limit=300):
    """Runs the program; raises ProgramError with its last words unless it succeeds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=time_limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"no answer within {time_limit} s") from error
    except OSError as error:
        raise ProgramError(str(error)) from error
    if done.returncode != 0:
        words = " | ".join(done.stderr.strip().splitlines())
        raise ProgramError(f"exit code {done.returncode}: {words[-1000:]}")


def read_tensors(path):
    try:
        return load_file(path)
    except Exception as error:  # whatever the reader says of a bad file is the finding
        raise ProgramError(f"unreadable output: {error}") from error


class Program:
    """The door of the real program."""

    def __init__(self, path):
        self.path = path

    def forward(self, case, folder):
        """Output tensors by name of the case; `folder` keeps what went in and came out."""
        folder = Path(folder)
        save_file({name: tensor.contiguous() for name, tensor in case.inputs.items()},
                  folder / "inputs.safetensors")
        command = forward_command(self.path, case, folder)
        (folder / "command.txt").write_text(" ".join(_quoted(word) for word in command) + "\n")
        run_program(command)
        return read_tensors(folder / "outputs.safetensors")

    def preprocess(self, model, images, output, backend="pil", overrides=None):
        command = [str(self.path), "preprocess", "--model", str(model), "--outputs", str(output),
                   "--image-backend", backend]
        for key, value in (overrides or {}).items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        run_program(command + [str(image) for image in images])
        return read_tensors(output)


def _quoted(word):
    return word if word and all(c.isalnum() or c in "-_./=:" for c in word) else f"'{word}'"
