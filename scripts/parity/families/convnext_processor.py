"""Random ConvNextImageProcessor configurations, in today's form and in those of old files."""

from parity import torchvision_reference

MEANS = ([0.5, 0.5, 0.5], [0.485, 0.456, 0.406], [0.48145466, 0.4578275, 0.40821073])
STDS = ([0.5, 0.5, 0.5], [0.229, 0.224, 0.225], [0.26862954, 0.26130258, 0.27577711])
TORCHVISION_FILTERS = (0, 2, 3)  # torchvision resizes tensors by no other filter
OPTIONAL = ("do_resize", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std",
            "crop_pct", "size", "resample")


class ConvNextProcessor:
    model_type = "convnext"
    torchvision_class = "ConvNextImageProcessor"  # of Transformers 5.17
    torchvision_steps = staticmethod(torchvision_reference.convnext)

    def random_config(self, rng, backend):
        """preprocessor_config.json."""
        config = {
            "do_resize": rng.random() < 0.9,
            "size": self._size(rng),
            "crop_pct": self._crop_pct(rng),
            "resample": self._resample(rng, backend),
            "do_rescale": rng.random() < 0.8,
            "rescale_factor": rng.choice((1 / 255, 1 / 255, 1 / 127.5, 0.01)),
            "do_normalize": rng.random() < 0.8,
            "image_mean": self._mean(rng, backend),
            "image_std": self._std(rng, backend),
        }
        style = rng.choice(("today", "old", "sparse"))
        if style == "today":
            config["image_processor_type"] = "ConvNextImageProcessor"
        elif style == "old":
            config["feature_extractor_type"] = "ConvNextFeatureExtractor"
            config.pop("do_rescale")
            config.pop("rescale_factor")
        if style != "today":
            for key in OPTIONAL:
                # The two backends have different default filters: always given for torchvision.
                if rng.random() < 0.3 and not (key == "resample" and backend == "torchvision"):
                    config.pop(key, None)
        return config

    def random_call(self, rng, backend):
        """What the call overrides, as `--set key=json`."""
        choices = {
            "do_resize": rng.random() < 0.8,
            "size": self._size(rng),
            "crop_pct": rng.uniform(0.5, 1.0),
            "resample": self._resample(rng, backend),
            "do_rescale": rng.random() < 0.7,
            "rescale_factor": rng.choice((1 / 255, 0.02)),
            "do_normalize": rng.random() < 0.7,
            "image_mean": self._mean(rng, backend),
            "image_std": self._std(rng, backend),
        }
        if backend == "pil":
            choices["data_format"] = rng.choice(("channels_first", "channels_last"))
        count = rng.choice((0, 0, 1, 2, 3))
        return {key: choices[key] for key in rng.sample(sorted(choices), count)}

    def _size(self, rng):
        edge = rng.choice((rng.randint(1, 64), rng.randint(65, 383), 224, 224, 383, 384,
                           rng.randint(385, 420)))
        return rng.choice((edge, {"shortest_edge": edge}, {"shortest_edge": edge}))

    def _crop_pct(self, rng):
        return rng.choice((None, 224 / 256, 0.9, 0.95, 1.0, rng.uniform(0.4, 1.0),
                           rng.uniform(1.0, 1.4)))

    def _resample(self, rng, backend):
        return rng.choice(TORCHVISION_FILTERS if backend == "torchvision" else range(6))

    def _mean(self, rng, backend):
        if backend == "pil" and rng.random() < 0.15:
            return rng.choice((0.5, 0.25))
        return rng.choice(MEANS + ([round(rng.uniform(0, 1), 4) for _ in range(3)],))

    def _std(self, rng, backend):
        if backend == "pil" and rng.random() < 0.15:
            return rng.choice((0.5, 0.25))
        return rng.choice(STDS + ([round(rng.uniform(0.1, 1), 4) for _ in range(3)],))
