"""Random ViTImageProcessor configurations, for the families that use it."""

from parity import torchvision_reference
from parity.families.image_processor import ImageProcessorFamily


class ViTProcessor(ImageProcessorFamily):
    name = "ViT"
    torchvision_class = "ViTImageProcessor"
    torchvision_steps = staticmethod(torchvision_reference.vit)

    def __init__(self, model_type):
        self.model_type = model_type

    def random_size(self, rng, backend):
        height, width = (rng.choice((rng.randint(1, 64), rng.randint(65, 300), 224, 384))
                         for _ in range(2))
        forms = [height, {"height": height, "width": height}, {"height": height, "width": width}]
        if backend == "torchvision":  # which alone keeps the aspect of an image
            forms += [{"shortest_edge": height}, {"max_height": height, "max_width": width},
                      {"shortest_edge": height, "longest_edge": max(64, height) + width}]
        else:
            forms.append([height, width])  # an older form
        return rng.choice(forms)
