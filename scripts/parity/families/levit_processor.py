"""Random LevitImageProcessor configurations."""

from parity import torchvision_reference
from parity.families.image_processor import CroppingProcessor


class LevitProcessor(CroppingProcessor):
    name = "Levit"
    model_type = "levit"
    torchvision_class = "LevitImageProcessor"
    torchvision_steps = staticmethod(torchvision_reference.levit)
