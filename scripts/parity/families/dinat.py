"""DiNAT: random cases, stored cases, golden values."""

from parity.families.neighborhood import NeighborhoodFamily
from parity.families.neighborhood_fixtures import NeighborhoodFixtures, row

# Of the 18 layers of the third stage of all but the mini size.
PUBLISHED_DILATIONS = [[1, 8, 1], [1, 4, 1, 4], [1, 2] * 9, [1] * 5]


class Dinat(NeighborhoodFixtures, NeighborhoodFamily):
    name = "dinat"
    prefix = "Dinat"
    classes = ("DinatModel", "DinatForImageClassification", "DinatBackbone")
    dilated = True
    small = {"dilations": [[2], [2, 1]]}
    published = {
        "mini": ("mini", {}, 19_984_174, ["dinat-mini-in1k-224"]),
        "base": ("base", {"layer_scale_init_value": 1e-5, "dilations": PUBLISHED_DILATIONS},
                 89_769_652, ["dinat-base-in1k-224"]),
        "large-11x11": ("large", {"kernel_size": 11, "dilations": PUBLISHED_DILATIONS},
                        201_144_250, ["dinat-large-11x11-in22k-in1k-384"]),
    }

    def golden(self):
        """Rows of an independent run of the 4.37 source on torch 1.13, in float64."""
        model = [
            row("logits", first=[0.943194, 0.6145962, -0.7022241, -0.1036431, 0.1595834]),
            row("hidden_states.0", [1, 12, 15, 16], mean=0.006101091, mean_abs=0.8533496,
                first=[0.8413471, -0.1321559, -0.04386497], last=[0.5999355, -1.49937]),
            row("hidden_states.1", [1, 6, 8, 32], mean=-0.01347131, mean_abs=0.7788035,
                first=[-0.208884, -1.218321, -0.2107363], last=[1.352814, 0.7481163]),
            row("hidden_states.2", [1, 3, 4, 64], mean=0.002682618, mean_abs=0.7815312,
                first=[-0.4972825, 0.01012864, 0.1413278], last=[0.7560128, 1.77913]),
            row("hidden_states.3", [1, 2, 2, 128], mean=-0.0121107, mean_abs=0.8343183,
                first=[0.162393, -0.5395632, -0.0221516], last=[1.196958, 1.9416]),
            row("hidden_states.4", [1, 2, 2, 128], mean=-0.1207356, mean_abs=1.012732,
                first=[0.6286963, -0.1133745, 0.8403883], last=[-0.4202435, 1.211212]),
            row("attentions.0", [1, 1, 12, 15, 9], first=[0.07895524, 0.2156767, 0.09826833],
                last=[0.4056278, 0.0245022]),
            row("attentions.1", [1, 2, 6, 8, 9], first=[0.2285556, 0.3231202, 0.05839711]),
            # A grid of 3 x 4 tokens, padded to the window of 3 tokens, every second one.
            row("attentions.2", [1, 4, 6, 6, 9], first=[0.08968586, 0.03244993, 0.09442684],
                last=[0.1373364, 0.08033429]),
            row("attentions.3", [1, 8, 3, 3, 9], first=[0.1296772, 0.172546, 0.05307096],
                last=[0.1450196, 0.1502591]),
        ]
        backbone = [
            row("feature_maps.0", [1, 16, 12, 15], first=[1.34073, -1.769431, 0.1998309],
                last=[-0.8409514, 0.3303525]),
            row("feature_maps.1", [1, 128, 2, 2], first=[0.2975933, 0.4834945, -1.309052],
                last=[-1.028597, -0.1717595]),
        ]
        return {
            "input_shape": [1, 3, 46, 60],
            "config": {"embed_dim": 16, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 4, 8],
                       "mlp_ratio": 2.0, "kernel_size": 3,
                       "dilations": [[1, 3], [1, 2], [2], [1]], "num_labels": 5},
            "tolerance": 2e-5,
            "cases": [
                {"class": self.classes[1], "rows": model},
                {"class": self.classes[2], "rows": backbone, "config": {"out_indices": [1, -1]}},
            ],
        }
