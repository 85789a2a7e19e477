"""Random BitImageProcessor configurations, which DINOv2 uses."""

from parity import torchvision_reference
from parity.families.image_processor import CroppingProcessor


class BitProcessor(CroppingProcessor):
    name = "Bit"
    torchvision_class = "BitImageProcessor"
    torchvision_steps = staticmethod(torchvision_reference.bit)
    own_optional = CroppingProcessor.own_optional + ("do_convert_rgb",)
    has_feature_extractor = False

    def __init__(self, model_type):
        self.model_type = model_type

    def random_size(self, rng, backend):
        if backend == "torchvision" and rng.random() < 0.2:
            return {"max_height": rng.randint(20, 300), "max_width": rng.randint(20, 300)}
        return super().random_size(rng, backend)

    def own_attributes(self, rng, backend):
        return {**super().own_attributes(rng, backend), "do_convert_rgb": rng.random() < 0.8}
