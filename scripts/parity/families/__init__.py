"""The families that can be compared: one file each, listed here.

A family is an object with

    name             the name of `--family` and of the folder of its fixtures
    classes          the class names it compares; case k runs class k mod their number
    random_case(case, rng, generator)
                     fills in a Case (saved_class, save, inputs, options, undefined) and returns the
                     Transformers model to be saved, its parameters filled; `rng` is a
                     random.Random, `generator` a torch.Generator
    edit_config(case, rng, config)
                     (optional) changes config.json after saving: legacy forms, unknown keys
    edit_checkpoint(case, rng)
                     (optional) changes the tensors that were saved
    is_settled(case, model)
                     (optional) False if rounding may decide what the model selects: other inputs
                     are drawn then, and if that does not help
    avoid_selection(case)
                     (with is_settled) makes the case one that selects nothing
    trains_in_half_types
                     (optional) False if upstream cannot train in them
    not_in_half_types
                     (optional) classes that upstream cannot run in them
    for_half_types(case)
                     (optional) makes the case one that upstream can run in them
    kinks(case)      (optional) [(module type, function of the input tensor that is zero at a kink)]
    golden()         (optional) golden values of an independent run (golden.py)
    processor        (optional) the image processor: random_config(rng, backend),
                     random_call(rng, backend), and the torchvision backend's reference
                     (image_processor.py)
    faults           what --self-test breaks: {"norms": module type names, "activations": {module
                     type name: attribute}}
"""

from parity.families.convnext import ConvNext
from parity.families.dinat import Dinat
from parity.families.dinov2 import Dinov2
from parity.families.levit import Levit
from parity.families.nat import Nat
from parity.families.owlv2 import Owlv2
from parity.families.perceiver import Perceiver
from parity.families.poolformer import PoolFormer

FAMILIES = {family.name: family for family in (
    ConvNext(), Nat(), Dinat(), PoolFormer(), Levit(), Dinov2(), Owlv2(), Perceiver())}
