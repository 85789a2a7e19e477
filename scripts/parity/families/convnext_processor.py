"""Random ConvNextImageProcessor configurations."""

from parity import torchvision_reference
from parity.families.image_processor import ImageProcessorFamily


class ConvNextProcessor(ImageProcessorFamily):
    name = "ConvNext"
    model_type = "convnext"
    torchvision_class = "ConvNextImageProcessor"
    torchvision_steps = staticmethod(torchvision_reference.convnext)
    own_optional = ("crop_pct",)
    filter_depends_on_backend = True

    def own_attributes(self, rng, backend):
        return {"crop_pct": rng.choice((None, 224 / 256, 0.9, 0.95, 1.0, rng.uniform(0.4, 1.0),
                                        rng.uniform(1.0, 1.4)))}

    def own_call(self, rng, backend):
        return {"crop_pct": rng.uniform(0.5, 1.0)}

    def random_size(self, rng, backend):
        edge = rng.choice((rng.randint(1, 64), rng.randint(65, 383), 224, 224, 383, 384,
                           rng.randint(385, 420)))
        return rng.choice((edge, {"shortest_edge": edge}, {"shortest_edge": edge}))
