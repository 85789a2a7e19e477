"""Random image processor configurations, in today's form and in those of old files."""

from parity.torchvision_reference import sides_of

MEANS = ([0.5, 0.5, 0.5], [0.485, 0.456, 0.406], [0.48145466, 0.4578275, 0.40821073])
STDS = ([0.5, 0.5, 0.5], [0.229, 0.224, 0.225], [0.26862954, 0.26130258, 0.27577711])
TORCHVISION_FILTERS = (0, 2, 3)  # torchvision resizes tensors by no other filter
OPTIONAL = ("do_resize", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std",
            "size", "resample")


class ImageProcessorFamily:
    """What the processors of all families draw alike. A family has

        name, model_type         "ViT" of ViTImageProcessor; the type of its config.json
        torchvision_class        of Transformers 5.17
        torchvision_steps        the same on torchvision: (images, config, call) -> pixels
        random_size(rng, backend)
    """

    own_optional = ()  # more keys that old files may lack
    filter_depends_on_backend = False  # the default one
    has_feature_extractor = True  # the older class of the same name
    pil_layout = "channels_last"  # in which 4.37.2 gets its images

    def own_attributes(self, rng, backend):
        return {}

    def own_call(self, rng, backend):
        return {}

    def make_possible(self, config, call, backend):
        """Changes a drawn configuration and call that upstream refuses together."""

    def takes(self, shorter_side, config, call):
        """Whether upstream takes an image of this shorter side."""
        return True

    def slow(self, processor, config):
        """4.37.2's object, taught what only a later version can be told."""
        return processor

    def random_config(self, rng, backend):
        """preprocessor_config.json."""
        config = {
            "do_resize": rng.random() < 0.9,
            "size": self.random_size(rng, backend),
            "resample": self._resample(rng, backend),
            "do_rescale": rng.random() < 0.8,
            "rescale_factor": rng.choice((1 / 255, 1 / 255, 1 / 127.5, 0.01)),
            "do_normalize": rng.random() < 0.8,
            "image_mean": self._number(rng, backend, MEANS, 0),
            "image_std": self._number(rng, backend, STDS, 0.1),
            **self.own_attributes(rng, backend),
        }
        style = rng.choice(("today", "old", "sparse"))
        if style == "today":
            config["image_processor_type"] = f"{self.name}ImageProcessor"
        elif style == "old":
            if self.has_feature_extractor:
                config["feature_extractor_type"] = f"{self.name}FeatureExtractor"
            config.pop("do_rescale")
            config.pop("rescale_factor")
        if style != "today":
            for key in OPTIONAL + self.own_optional:
                keeps = key == "resample" and self.filter_depends_on_backend \
                    and backend == "torchvision"
                if rng.random() < 0.3 and not keeps:
                    config.pop(key, None)
        return config

    def random_call(self, rng, backend):
        """What the call overrides, as `--set key=json`."""
        choices = {
            "do_resize": rng.random() < 0.8,
            "size": self.random_size(rng, backend),
            "resample": self._resample(rng, backend),
            "do_rescale": rng.random() < 0.7,
            "rescale_factor": rng.choice((1 / 255, 0.02)),
            "do_normalize": rng.random() < 0.7,
            "image_mean": self._number(rng, backend, MEANS, 0),
            "image_std": self._number(rng, backend, STDS, 0.1),
            "return_form": rng.choice(("automatic", "list")),
            **self.own_call(rng, backend),
        }
        if backend == "pil":
            choices["data_format"] = rng.choice(("channels_first", "channels_last"))
        count = rng.choice((0, 0, 1, 2, 3))
        return {key: choices[key] for key in rng.sample(sorted(choices), count)}

    def _resample(self, rng, backend):
        return rng.choice(TORCHVISION_FILTERS if backend == "torchvision" else range(6))

    def _number(self, rng, backend, known, least):
        """A mean or a deviation: one number, or one for each channel."""
        if backend == "pil" and rng.random() < 0.15:
            return rng.choice((0.5, 0.25))
        return rng.choice(known + ([round(rng.uniform(least, 1), 4) for _ in range(3)],))


class CroppingProcessor(ImageProcessorFamily):
    """Processors that crop in a step of its own. The crop may be larger than the image.

    Transformers 5.x also pads the batch at the end; 4.37.2 neglects the arguments of that.
    """

    own_optional = ("do_center_crop", "crop_size")

    def own_attributes(self, rng, backend):
        attributes = {"do_center_crop": rng.random() < 0.8, "crop_size": self.random_sides(rng)}
        if rng.random() < 0.3:
            attributes["do_pad"] = rng.random() < 0.7
        if rng.random() < 0.3:
            attributes["pad_size"] = self.random_sides(rng)
        return attributes

    def own_call(self, rng, backend):
        return {"do_center_crop": rng.random() < 0.7, "crop_size": self.random_sides(rng),
                "do_pad": rng.random() < 0.8, "pad_size": self.random_sides(rng),
                "disable_grouping": rng.random() < 0.5, "device": "cpu"}

    def make_possible(self, config, call, backend):
        """Padding only makes images larger: to the size given, else to the largest of the batch."""
        crops = call.get("do_center_crop", config.get("do_center_crop", True))
        crop = sides_of(call.get("crop_size", config.get("crop_size", 224)))
        for source in (config, call):
            if "pad_size" not in source:
                continue
            padded = sides_of(source["pad_size"])
            if not crops:
                del source["pad_size"]
            elif padded[0] < crop[0] or padded[1] < crop[1]:
                source["pad_size"] = {"height": max(padded[0], crop[0]),
                                      "width": max(padded[1], crop[1])}

    def random_size(self, rng, backend):
        edge = self._edge(rng)
        bounded = {"shortest_edge": edge, "longest_edge": max(64, edge) + rng.randint(0, 100)}
        forms = [edge, {"shortest_edge": edge}, {"shortest_edge": edge}, bounded,
                 self._rectangle(rng), {"height": edge, "width": edge}]
        return rng.choice(forms)

    def random_sides(self, rng):
        """Height and width in one of their forms; a number is a square."""
        rectangle = self._rectangle(rng)
        return rng.choice((self._edge(rng), rectangle, list(rectangle.values())))

    def _rectangle(self, rng):
        return {"height": self._edge(rng), "width": self._edge(rng)}

    def _edge(self, rng):
        return rng.choice((rng.randint(1, 64), rng.randint(65, 300), 224, 256))
