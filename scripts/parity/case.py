"""One comparison: a checkpoint on disk, inputs, and how both sides run it."""

import random
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Options:
    """What `vizoo forward` is told; the reference gets the same."""

    dtype: str = "float32"
    output_hidden_states: bool = False
    output_attentions: bool = False
    train_mode: bool = False
    seed: int | None = None
    gradients: str | None = None  # a field: the loss, or one that `cotangent` weighs
    method: str | None = None
    overrides: dict = field(default_factory=dict)  # config keys, as `--set key=json`
    model_args: dict = field(default_factory=dict)  # constructor arguments

    def as_json(self):
        """The options that differ from the defaults."""
        return {key: value for key, value in vars(self).items() if value != vars(Options())[key]}


@dataclass
class Case:
    family: str
    seed: int
    index: int
    class_name: str  # the class that runs
    saved_class: str = ""  # the class that wrote the checkpoint
    save: dict = field(default_factory=dict)  # dtype of the file, number of shards
    config: dict = field(default_factory=dict)  # config.json as written
    inputs: dict = field(default_factory=dict)  # name -> tensor, `cotangent` included
    options: Options = field(default_factory=Options)
    undefined: tuple = ()  # outputs that a random initialisation decides: name prefixes
    folder: Path | None = None

    def describe(self):
        """Everything about the case but the numbers, for a report."""
        return {
            "family": self.family,
            "seed": self.seed,
            "case": self.index,
            "class": self.class_name,
            "saved_class": self.saved_class,
            "save": self.save,
            "config": self.config,
            "inputs": {name: [str(tensor.dtype).replace("torch.", ""), list(tensor.shape)]
                       for name, tensor in self.inputs.items()},
            "options": self.options.as_json(),
        }

    def rerun_command(self):
        return (f"scripts/parity.sh --models --family {self.family} --seed {self.seed} "
                f"--case {self.index}")


def case_random(family, seed, index):
    """The random stream of a case: the same on every machine for the same three values."""
    return random.Random(f"{family}:{seed}:{index}")
