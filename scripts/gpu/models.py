"""Every class of the registry on the GPU and on the CPU: outputs and gradients of `vizoo forward`.

float32, TF32 off: the rule of parity, with our CPU runs in float32 and float64 as the reference.
bfloat16: the largest error against float64 is at most 2 x that of the CPU in bfloat16 + 1e-5. All
errors, the CPU's too, are the largest of a few draws of weights and inputs: in a single draw a
small tensor can be right by luck.
"""

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import sched_getaffinity
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from gpu.configurations import gain, random_configuration
from gpu.process import run
from gpu.session import Part, missing_products, say
from parity import tolerance
from parity.parameters import random_value

CONFIGURATIONS_EACH = 2
DRAWS = 4
RUN_LIMIT = 90
WITH_ATTENTIONS = ("dinat", "dinov2", "nat", "owlv2", "owlv2_text_model", "owlv2_vision_model",
                   "perceiver")
NO_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}


class RunFailed(Exception):
    """A program failed; its last words."""


@dataclass
class Outcome:
    """Of one configuration of one class."""

    name: str
    config: dict
    failures: list = field(default_factory=list)
    checks: dict = field(default_factory=dict)  # dtype: worst ratio and its tensor
    skipped: bool = False


def refill(path, generator, model_type):
    """Random values for all weights of a checkpoint, so that nothing is at its initial value."""
    tensors = load_file(path)
    for name, tensor in sorted(tensors.items()):
        leaf = name.rsplit(".", 1)[-1]
        if not tensor.is_floating_point():
            continue
        if leaf == "running_var":
            tensors[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
        else:
            value = random_value(name, tensor, generator)
            tensors[name] = (gain(model_type, name) * value).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})


def gradient_field(outputs):
    """The output that gradients start from: the loss, else the last floating one."""
    if "loss" in outputs:
        return "loss"
    order = [name for name, tensor in outputs.items()
             if tensor.is_floating_point() and tensor.numel() > 0 and tensor.dim() > 0]
    for wanted in ("logits", "logits.image", "pooler_output", "last_hidden_state"):
        if wanted in order:
            return wanted
    maps = sorted(name for name in order if name.startswith("feature_maps."))
    return maps[-1] if maps else order[-1]


class Errors:
    """Largest errors of ours and of the CPU in one type, over all draws, by tensor."""

    def __init__(self):
        self.ours, self.cpu, self.sizes, self.problems = {}, {}, {}, {}

    def add(self, ours, cpu, high, against_cpu):
        """One draw; `against_cpu`: ours must be near the CPU's numbers, not only near float64."""
        for name, reference in high.items():
            if name not in ours or name not in cpu:
                if not tolerance.is_gradient(name) or reference.count_nonzero():
                    self.problems[name] = "is missing"
                continue
            if ours[name].shape != reference.shape:
                self.problems[name] = f"has shape {list(ours[name].shape)}"
                continue
            error = largest(ours[name], reference)
            if against_cpu:
                error = max(error, largest(ours[name], cpu[name]))
            self.keep(self.ours, name, error)
            self.keep(self.cpu, name, largest(cpu[name], reference))
            self.keep(self.sizes, name, largest(reference, torch.zeros_like(reference)))
        for name in ours:
            if name not in high:
                self.problems[name] = "is not in the CPU's output"

    def keep(self, table, name, value):
        table[name] = max(table.get(name, 0.0), value)

    def judge(self, allowed):
        """[what is wrong], (largest error / what is allowed, its name)."""
        lines = [f"{name} {problem}" for name, problem in self.problems.items()]
        worst = (0.0, "")
        for name, error in self.ours.items():
            worst = max(worst, (error / allowed[name], name))
            if not error <= allowed[name]:
                lines.append(f"{name} error {error:.3e} > {allowed[name]:.3e}")
        return lines, worst

    def judge_float32(self):
        measured = {name: tolerance.Maxima(error, self.sizes[name])
                    for name, error in self.cpu.items()}
        return self.judge(tolerance.float32_tolerances(measured, train=False))

    def judge_half(self):
        return self.judge({name: tolerance.HALF_FACTOR * error + tolerance.HALF_FLOOR
                           for name, error in self.cpu.items()})


def largest(ours, reference):
    """Infinite if ours is not finite."""
    if ours.numel() == 0:
        return 0.0
    error = (ours.double() - reference.double()).abs().max().item()
    return error if error == error else float("inf")


class Check:
    """One class with one random configuration."""

    def __init__(self, session, row, index, with_half=True):
        self.session = session
        self.class_name, self.model_type = row["class"], row["model_type"]
        self.rng = session.random(f"{self.class_name}:{index}")
        self.outcome = Outcome(f"{self.class_name} {index}", {})
        self.draws = 1 if session.is_dry else DRAWS
        self.with_half = with_half
        self.cotangent = None  # of which output, and its shape: alike for all draws

    def run(self):
        if self.session.remaining() < 5:
            self.outcome.skipped = True
            return self.outcome
        self.folder = Path(tempfile.mkdtemp(prefix="vizoo-gpu-check-"))
        try:
            self.run_configuration()
        except RunFailed as error:
            self.outcome.failures.append(str(error))
        except KeyError as error:
            if error.args != (self.model_type,):
                raise
            self.outcome.failures.append(f"there is no configuration for model type "
                                         f"{self.model_type} in scripts/gpu/configurations.py")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.outcome

    def run_configuration(self):
        config, inputs = random_configuration(self.model_type, self.class_name, self.rng)
        self.outcome.config = config
        (self.folder / "config.json").write_text(json.dumps(config))
        self.call([self.session.make_checkpoint, self.class_name, self.folder,
                   self.folder / "model"])
        generator = torch.Generator().manual_seed(self.rng.getrandbits(48))
        extra = self.choose_outputs()
        errors = {"float32": Errors()}
        if self.with_half:
            errors["bfloat16"] = Errors()
        for _ in range(self.draws):
            refill(self.folder / "model" / "model.safetensors", generator, self.model_type)
            tensors = {name: make(generator) for name, make in inputs.items()}
            if self.class_name.endswith("ForImageClassification"):
                batch = tensors["pixel_values"].shape[0]
                tensors["labels"] = torch.randint(0, len(config["id2label"]), (batch,),
                                                  generator=generator)
            field_name = self.write_inputs(tensors, extra, generator)
            high = self.forward("cpu", "float64", field_name, extra)
            for dtype, found in errors.items():
                cpu = self.forward("cpu", dtype, field_name, extra)
                ours = self.forward(self.session.device, dtype, field_name, extra)
                found.add(ours, cpu, high, against_cpu=dtype == "float32")
        self.report("float32", *errors["float32"].judge_float32())
        if self.with_half:
            self.report("bfloat16", *errors["bfloat16"].judge_half())

    def choose_outputs(self):
        """Where attention maps are asked for, attention is not fused."""
        words = ["--output-hidden-states"]
        if self.model_type in WITH_ATTENTIONS and self.rng.random() < 0.5:
            words.append("--output-attentions")
        return words

    def write_inputs(self, tensors, extra, generator):
        """With a cotangent of the right shape. Returns the output that gradients start from."""
        path = self.folder / "inputs.safetensors"
        save_file(tensors, path)
        if self.cotangent is None:
            outputs = self.forward("cpu", "float32", None, extra)
            name = gradient_field(outputs)
            self.cotangent = (name, outputs[name].shape)
        name, shape = self.cotangent
        if len(shape) > 0:
            save_file({**tensors, "cotangent": torch.randn(shape, generator=generator)}, path)
        return name

    def report(self, dtype, lines, worst):
        self.outcome.checks[dtype] = {"worst_error_of_allowed": worst[0], "worst": worst[1]}
        if lines:
            self.outcome.failures.append(f"{dtype}: {len(lines)} tensors: {'; '.join(lines[:3])}")

    def forward(self, device, dtype, field_name, extra):
        output = self.folder / f"{device}-{dtype}.safetensors"
        command = [self.session.program, "forward", "--model", self.folder / "model", "--inputs",
                   self.folder / "inputs.safetensors", "--outputs", output, "--class",
                   self.class_name, "--dtype", dtype, "--device", device, "--threads", "1", *extra]
        if field_name:
            command += ["--gradients", field_name]
        self.call(command)
        return load_file(output)

    def call(self, command):
        finished = run(command, min(RUN_LIMIT, self.session.remaining()), NO_TF32)
        if not finished.ok:
            words = " ".join(str(word) for word in command[1:2])
            raise RunFailed(f"{Path(command[0]).name} {words}: {finished.problem(lines=2)}")


def registry(session):
    finished = run([session.program, "list", "--json"], 60)
    if not finished.ok:
        raise RunFailed(f"vizoo list: {finished.problem()}")
    return json.loads(finished.output)


def models(session):
    part = Part()
    missing = missing_products(session.program, session.make_checkpoint)
    if missing:
        part.failures.append(f"models: {missing}")
        return part
    try:
        rows = registry(session)
    except (RunFailed, ValueError) as error:
        part.failures.append(f"models: {error}")
        return part
    count = 1 if session.is_dry else CONFIGURATIONS_EACH
    first = {row["model_type"]: row["class"] for row in reversed(rows)}
    checks = [Check(session, row, index,  # a dry run saves time
                    not session.is_dry or first[row["model_type"]] == row["class"])
              for index in range(count) for row in rows]
    workers = max(1, min(8, len(sched_getaffinity(0))))
    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(lambda check: check.run(), checks))
    for outcome in outcomes:
        if outcome.skipped:
            part.skipped.append(f"model {outcome.name}: no time was left")
        elif outcome.failures:
            part.failures += [f"model {outcome.name}: {text}" for text in outcome.failures]
        else:
            part.done += 1
    say(f"  {part.done} of {len(checks)} configurations agree")
    part.details["draws"] = checks[0].draws if checks else 0
    part.details["configurations"] = {
        outcome.name: {"config": outcome.config, "checks": outcome.checks,
                       "failures": outcome.failures} for outcome in outcomes}
    return part
