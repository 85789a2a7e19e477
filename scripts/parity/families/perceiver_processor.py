"""Random PerceiverImageProcessor configurations."""

from parity import torchvision_reference
from parity.families.image_processor import CroppingProcessor
from parity.torchvision_reference import sides_of

SIZE, CROP_SIZE = 224, 256
MAX_RATIO = 2  # of size and crop_size: the crop is so many shorter sides long


class PerceiverProcessor(CroppingProcessor):
    """Both versions take the arguments of padding and neglect them."""

    name = "Perceiver"
    model_type = "perceiver"
    torchvision_class = "PerceiverImageProcessor"
    torchvision_steps = staticmethod(torchvision_reference.perceiver)

    def random_size(self, rng, backend):
        if backend == "torchvision" and rng.random() < 0.2:
            return rng.choice(({"shortest_edge": self._edge(rng)},
                               {"max_height": self._edge(rng), "max_width": self._edge(rng)}))
        return self.random_sides(rng)

    def make_possible(self, config, call, backend):
        """A crop wants sizes of both sides; it may not be many times the image."""
        if not self._crops(config, call):
            return
        for source in (config, call):
            if isinstance(source.get("size"), dict) and "height" not in source["size"]:
                source["size"] = {"height": SIZE, "width": min(source["size"].values())}
        sides, crop_sides = self._sides(config, call)
        least = [-(-side // MAX_RATIO) for side in sides]
        if any(side < bound for side, bound in zip(crop_sides, least)):
            source = call if "crop_size" in call else config
            source["crop_size"] = dict(zip(("height", "width"), map(max, crop_sides, least)))

    def takes(self, shorter_side, config, call):
        """At least a pixel must be left by the crop."""
        return not self._crops(config, call) or all(
            int(side / crop_side * shorter_side) >= 1
            for side, crop_side in zip(*self._sides(config, call)))

    def _crops(self, config, call):
        return call.get("do_center_crop", config.get("do_center_crop", True))

    def _sides(self, config, call):
        return (sides_of(call.get("size", config.get("size", SIZE))),
                sides_of(call.get("crop_size", config.get("crop_size", CROP_SIZE))))
