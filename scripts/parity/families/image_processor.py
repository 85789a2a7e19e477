"""Random image processor configurations, in today's form and in those of old files."""

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
        one_size(config, call)   whether all images come out in one size
    """

    own_optional = ()  # more keys that old files may lack
    filter_depends_on_backend = False  # the default one

    def own_attributes(self, rng):
        return {}

    def own_call(self, rng):
        return {}

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
            **self.own_attributes(rng),
        }
        style = rng.choice(("today", "old", "sparse"))
        if style == "today":
            config["image_processor_type"] = f"{self.name}ImageProcessor"
        elif style == "old":
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
            **self.own_call(rng),
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
