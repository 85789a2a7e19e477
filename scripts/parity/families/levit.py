"""Random LeViT cases: model, classification head, head with a teacher."""

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import LevitConfig

from parity.families.classifier import ClassifierFamily, is_classifier
from parity.families.levit_fixtures import HEAD, MODEL, TEACHER, LevitFixtures
from parity.families.levit_processor import LevitProcessor
from parity.parameters import fill

MAX_TOKENS = 600  # of a batch, in the first stage
LEAST_BATCH = 8  # in training mode
CALIBRATION_BATCH = 24


class Levit(LevitFixtures, ClassifierFamily):
    name = "levit"
    classes = (MODEL, HEAD, TEACHER)
    without_labels = (TEACHER,)
    trains_in_half_types = False  # drop path makes a half tensor float32, which no weight takes
    processor = LevitProcessor()
    faults = {"norms": ("BatchNorm1d", "BatchNorm2d"),
              "activations": {"LevitAttention": "activation", "LevitMLPLayer": "activation",
                              "LevitAttentionSubsample": "activation",
                              "LevitPatchEmbeddings": "activation_layer_2"}}

    def random_case(self, case, rng, generator):
        case.saved_class = self.saved_class(case.class_name, rng)
        config, batch, sides = self._random_size({case.class_name, case.saved_class}, rng)
        model = getattr(transformers, case.saved_class)(config)
        gain = rng.choice((1.0, 1.0, 0.2))  # small variances make a norm's epsilon visible
        fill(model, generator, lambda name: gain)
        scale = rng.choice((0.5, 1.0, 2.0))
        calibrate(model, scale * torch.randn((CALIBRATION_BATCH, config.num_channels, *sides),
                                             generator=generator), generator)
        self.choose_saving(case, rng)
        case.inputs["pixel_values"] = scale * torch.randn(
            (batch, config.num_channels, *sides), generator=generator)
        self.choose_options(case, config, rng, generator)
        if batch == 1:
            # torch 2.11 returns wrong gradients of a batch norm whose input is contiguous when the
            # gradient that comes in is a transposed batch of one, which both layouts could be.
            case.options.gradients = None
        return model

    def _random_size(self, classes, rng):
        while True:
            config, sides = self.random_config(classes, rng)
            grid = config.image_size // config.patch_size
            batch = rng.choice((1, 2, 3, LEAST_BATCH, LEAST_BATCH, 9, 12))
            if batch * grid**2 <= MAX_TOKENS:
                return config, batch, sides

    def random_config(self, classes, rng):
        """A configuration, and sides of an image that give its grid."""
        stages = rng.choice((1, 2, 3, 3))
        # A down-sampling layer follows each of the first two stages, be there a next one or not.
        widths = max(stages, min(stages + 1, 3))
        image_size, patch_size, convolution, sides = self._random_grid(rng)
        hidden_sizes = [rng.randint(8, 40) for _ in range(widths)]
        key_dim = [rng.choice((1, 4, 6, 8)) for _ in range(stages)]
        arguments = {
            **convolution,
            "image_size": image_size,
            "patch_size": patch_size,
            "num_channels": rng.choice((1, 2, 3, 3, 4)),
            "hidden_sizes": hidden_sizes,
            "num_attention_heads": [rng.randint(1, 4) for _ in range(stages)],
            "depths": [rng.choice((1, 1, 2, 2, 0)) for _ in range(stages)],
            "key_dim": key_dim,
            "mlp_ratio": [rng.choice((0, 1, 2, 2, 3)) for _ in range(stages)],
            "attention_ratio": [rng.choice((1, 2, 2, 4)) for _ in range(stages)],
            "drop_path_rate": rng.choice((0, 0, 0.0, 0.1, 0.4, 0.8)),
            "initializer_range": rng.choice((0.02, 0.1)),
        }
        if widths < 3 and rng.random() < 0.3 and not any(map(is_classifier, classes)):
            hidden_sizes.append(7)  # for no stage; a head would take it for the width
        if rng.random() < 0.1:
            for key in ("num_attention_heads", "mlp_ratio", "attention_ratio", "key_dim"):
                arguments[key].append(1)
        if rng.random() < 0.2:
            arguments["output_hidden_states"] = True
        arguments.update(self.random_labels(rng))
        return LevitConfig(**arguments), sides

    def _random_grid(self, rng):
        """(image size, patch size, the four convolutions, sides of an image)."""
        while True:
            kernel = rng.choice((1, 2, 3, 3, 4, 5))
            convolution = {"kernel_size": kernel, "stride": rng.choice((1, 2, 2, 2, 3)),
                           "padding": min(kernel, rng.choice((0, 1, 1, 2)))}
            if rng.random() < 0.4:
                convolution = {"kernel_size": 3, "stride": 2, "padding": 1}
            image_size = rng.randint(4, 112) if rng.random() < 0.6 else 16 * rng.randint(1, 7)
            grid = grid_side(image_size, convolution)
            if not 1 <= grid <= 7:
                continue
            patches = [size for size in range(1, image_size + 1) if image_size // size == grid]
            # Sides besides the image size that give the same grid.
            sides = [size for size in range(image_size - 9, image_size + 10)
                     if size > 0 and grid_side(size, convolution) == grid]
            if not patches:
                continue
            if rng.random() < 0.7:
                return image_size, rng.choice(patches), convolution, [image_size] * 2
            return image_size, rng.choice(patches), convolution, rng.choices(sides, k=2)

    def stage_count(self, config):
        return len(config.depths)

    def model_fields(self, case):
        return ["last_hidden_state", "pooler_output"]

    def head_fields(self, case):
        if case.class_name == TEACHER:
            return ["logits", "cls_logits", "distillation_logits"]
        return ["logits"]

    def train_share(self, case):
        # Two values that are normalised are -1 and 1 whatever they were: their gradients are
        # rounding. The heads normalise over the batch alone.
        return 0.8 if case.inputs["pixel_values"].shape[0] >= LEAST_BATCH else 0.0

    def undefined_outputs(self, case):
        if case.class_name == HEAD:
            return ("logits", "loss") if case.saved_class == MODEL else ()
        if case.saved_class == HEAD:
            return ("logits", "distillation_logits")
        return ("logits", "cls_logits", "distillation_logits")

    def random_overrides(self, config, rng):
        return {
            "drop_path_rate": rng.choice((0, 0.1, 0.5)),
            "initializer_range": 0.05,
            "output_hidden_states": rng.random() < 0.5,
        }

    def edit_config(self, case, rng, config):
        super().edit_config(case, rng, config)
        style = rng.random()
        if style < 0.2:  # derived, whatever a file says
            config["down_ops"] = [["Subsample", 3, 5, 1, 1, 1], ["Subsample", 2, 2, 2, 2, 2], [""]]
        elif style < 0.4:
            config.pop("down_ops", None)
        if rng.random() < 0.1:
            config["mlp_ratios"] = [5]  # the documented name, which nothing reads
            config["attention_ratios"] = [5]

    def edit_checkpoint(self, case, rng):
        """Files of before mid-2023 hold the indices of the biases, which are no parameters."""
        path = case.folder / "model.safetensors"
        if not path.exists() or rng.random() > 0.3:
            return
        tensors = load_file(path)
        biases = [name for name in tensors if name.endswith("attention_biases")]
        for name in biases:
            count = tensors[name].shape[1]
            indices = torch.arange(count**2).reshape(count, count) % count
            tensors[name.replace("biases", "bias_idxs")] = indices
        save_file(tensors, path, metadata={"format": "pt"})

    def kinks(self, case):
        return [(torch.nn.Hardswish, lambda x: x - 3.0), (torch.nn.Hardswish, lambda x: x + 3.0)]


def calibrate(model, images, generator):
    """Running statistics near those of the features, as training leaves them, and moderate scores.

    With others features grow from layer to layer, and scores with them until the softmax magnifies
    the rounding of the first convolution a hundredfold.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "batch_norm" in name and ("queries" in name or "keys" in name):
                parameter.mul_(0.5)

    def take_statistics(norm, inputs):
        values = inputs[0].transpose(0, 1).flatten(1)  # [channels, everything else]
        # Part of the mean: what hardly varies is not blown up.
        variance = values.var(1, unbiased=False) + 0.2 * values.square().mean(1)
        drawn = torch.randn(variance.shape, generator=generator)
        norm.running_mean.copy_(values.mean(1) + 0.3 * variance.sqrt() * drawn)
        norm.running_var.copy_(variance * (0.5 + torch.rand(variance.shape, generator=generator)))

    hooks = [module.register_forward_pre_hook(take_statistics) for module in model.modules()
             if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d))]
    with torch.no_grad():
        model.eval()(images)
    for hook in hooks:
        hook.remove()


def grid_side(size, convolution):
    """Side of the grid of tokens after four equal convolutions; 0 if there is none."""
    for _ in range(4):
        size += 2 * convolution["padding"] - convolution["kernel_size"]
        if size < 0:
            return 0
        size = size // convolution["stride"] + 1
    return size
