"""Random Owlv2ImageProcessor configurations."""

from parity import torchvision_reference
from parity.families.image_processor import ImageProcessorFamily

# Below these torchvision's blur may reach over the whole image, which it refuses.
LEAST_PADDED = 16
LEAST_UNPADDED = 100


class Owlv2Processor(ImageProcessorFamily):
    name = "Owlv2"
    model_type = "owlv2"
    torchvision_class = "Owlv2ImageProcessor"
    torchvision_steps = staticmethod(torchvision_reference.owlv2)
    own_optional = ("do_pad",)
    has_feature_extractor = False
    # 4.37.2 guesses the layout in its own steps, whatever it is told.
    pil_layout = "channels_first"

    def own_attributes(self, rng, backend):
        attributes = {"do_pad": rng.random() < 0.8}
        if rng.random() < 0.2:
            # 5.x pads with 0 and cannot be told otherwise.
            attributes["pad_value"] = 0.0 if backend == "torchvision" else rng.choice((0.0, 0.25))
        return attributes

    def own_call(self, rng, backend):
        return {"do_pad": rng.random() < 0.7, "disable_grouping": rng.random() < 0.5}

    def make_possible(self, config, call, backend):
        """5.17 can only resize."""
        if backend == "pil":
            return
        config.pop("do_resize", None)
        call.pop("do_resize", None)
        pads = call.get("do_pad", config.get("do_pad", True))
        least = LEAST_PADDED if pads else LEAST_UNPADDED
        for source in (config, call):
            if "size" in source:
                source["size"] = {key: max(side, least) for key, side in source["size"].items()}

    def random_size(self, rng, backend):
        if rng.random() < 0.15:
            return {"height": 960, "width": 960}
        least = LEAST_PADDED if backend == "torchvision" else 1

        def side():
            return rng.choice((rng.randint(least, 64), rng.randint(65, 400), 224))

        square = side()
        return rng.choice(({"height": side(), "width": side()},
                           {"height": square, "width": square}))

    def slow(self, processor, config):
        """4.37.2's object, told what to pad with if the file says so: it has a fixed number."""
        if "pad_value" not in config:
            return processor

        from transformers.image_transforms import pad

        def pad_to_square(image, data_format=None, input_data_format=None):
            _, height, width = image.shape
            side = max(height, width)
            return pad(image, ((0, side - height), (0, side - width)),
                       constant_values=config["pad_value"], data_format=data_format,
                       input_data_format=input_data_format)

        processor.pad = pad_to_square
        return processor
