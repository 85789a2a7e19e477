"""Random PoolFormerImageProcessor configurations."""

from parity import torchvision_reference
from parity.families.image_processor import CroppingProcessor


class PoolFormerProcessor(CroppingProcessor):
    name = "PoolFormer"
    model_type = "poolformer"
    torchvision_class = "PoolFormerImageProcessor"
    torchvision_steps = staticmethod(torchvision_reference.poolformer)
    own_optional = CroppingProcessor.own_optional + ("crop_pct",)

    def own_attributes(self, rng, backend):
        attributes = super().own_attributes(rng, backend)
        # Null means no factor to 4.37, and the default one to 5.17.
        null = () if backend == "torchvision" else (None,)
        attributes["crop_pct"] = rng.choice((0.9, 0.95, 1.0, rng.uniform(0.4, 1.0),
                                             rng.uniform(1.0, 1.4)) + null)
        if rng.random() < 0.2:
            attributes["do_resize_and_center_crop"] = rng.random() < 0.5  # of old files; not used
        return attributes

    def own_call(self, rng, backend):
        return {**super().own_call(rng, backend), "crop_pct": rng.uniform(0.5, 1.2)}

    def make_possible(self, config, call, backend):
        """4.37 refuses to crop without a factor."""
        super().make_possible(config, call, backend)
        crops = call.get("do_center_crop", config.get("do_center_crop", True))
        if crops and config.get("crop_pct", 0.9) is None:
            config["crop_pct"] = 0.9
