"""NAT: random cases, stored cases, golden values."""

from parity.families.neighborhood import NeighborhoodFamily
from parity.families.neighborhood_fixtures import NeighborhoodFixtures, row


class Nat(NeighborhoodFixtures, NeighborhoodFamily):
    name = "nat"
    prefix = "Nat"
    classes = ("NatModel", "NatForImageClassification", "NatBackbone")
    published = {
        "mini": ("mini", {}, 19_984_174, ["nat-mini-in1k-224"]),
        "small": ("small", {"layer_scale_init_value": 1e-5}, 50_743_297, ["nat-small-in1k-224"]),
    }

    def golden(self):
        """Rows of an independent run of the 4.37 source on torch 1.13, in float64."""
        model = [
            row("logits", first=[-0.6409686, 0.2229512, -0.04494227, -0.5113117, -0.03977051]),
            row("hidden_states.0", [2, 10, 9, 16], mean=0.02909846, mean_abs=0.8208733,
                first=[-0.5826863, -0.1198868, 0.6813174], last=[0.4132369, 0.8078974]),
            row("hidden_states.1", [2, 5, 5, 32], mean=-0.0003082353, mean_abs=0.8338143,
                first=[1.067137, -0.2444047, 1.86335], last=[-1.505046, 0.3783991]),
            row("hidden_states.2", [2, 3, 3, 64], mean=-0.01592329, mean_abs=0.7830459,
                first=[1.195294, 0.1974919, -0.205317], last=[-0.2870496, 0.5187138]),
            row("hidden_states.3", [2, 2, 2, 128], mean=-0.01029487, mean_abs=0.79639,
                first=[1.789476, -0.424127, 0.9217342], last=[-1.145464, 1.348903]),
            row("hidden_states.4", [2, 2, 2, 128], mean=-0.005933686, mean_abs=0.8496902,
                first=[1.402917, -0.2463694, 0.9358716], last=[-0.9946515, 1.923052]),
            row("attentions.0", [2, 1, 10, 9, 25], first=[0.02230489, 0.003869587, 0.004872619]),
            row("attentions.1", [2, 2, 5, 5, 25], first=[0.02997388, 0.02542173, 0.0158015]),
            # Grids of 3 x 3 and 2 x 2 tokens, padded to the window.
            row("attentions.2", [2, 4, 5, 5, 25], first=[0.02673634, 0.02537014, 0.005438102],
                last=[0.03906008, 0.03114401]),
            row("attentions.3", [2, 8, 5, 5, 25], first=[0.07400534, 0.05519243, 0.02399729],
                last=[0.06423062, 0.04753347]),
        ]
        backbone = [
            row("feature_maps.0", [2, 16, 10, 9], first=[0.8645711, -0.4226953, -0.9441982],
                last=[2.106774, 0.9972013]),
            row("feature_maps.1", [2, 16, 10, 9], first=[0.7638511, 0.01855602, -0.6819543],
                last=[1.640628, 0.6711434]),
            row("feature_maps.2", [2, 64, 3, 3], first=[-0.5610488, 0.6037641, -0.4998662],
                last=[1.506791, 0.9308992]),
            row("feature_maps.3", [2, 128, 2, 2], first=[-0.4779151, -0.6673274, -0.9292653],
                last=[0.1123831, 0.5572732]),
        ]
        return {
            "input_shape": [2, 3, 40, 36],
            "config": {"embed_dim": 16, "depths": [1, 2, 1, 1], "num_heads": [1, 2, 4, 8],
                       "mlp_ratio": 2.0, "kernel_size": 5, "layer_scale_init_value": 0.1,
                       "num_labels": 5},
            "tolerance": 2e-5,
            "cases": [
                {"class": self.classes[1], "rows": model},
                {"class": self.classes[2], "rows": backbone,
                 "config": {"out_features": ["stem", "stage1", "stage3", "stage4"]}},
            ],
        }
