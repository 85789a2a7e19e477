"""Golden values of Perceiver: the heads with the widths that their classes fix."""

from transformers import PerceiverConfig

from parity.families.fixtures import row
from parity.families.perceiver_parts import (CONV, FLOW, FOURIER, LEARNED, MASKED_LM, MULTIMODAL,
                                             SEQUENCE)

CONFIG = {"num_latents": 4, "d_latents": 8, "d_model": 16, "num_blocks": 2,
          "num_self_attends_per_block": 2, "num_self_attention_heads": 2,
          "num_cross_attention_heads": 1, "self_attention_widening_factor": 2, "num_labels": 5,
          "vocab_size": 11, "max_position_embeddings": 6}
TEXTS = [[4, 7, 3, 10, 5, 0], [4, 9, 9, 5, 0, 0]]
MASK = [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0]]
LABELS = [[4, 7, 8, 10, 5, 0], [-100, 2, -100, 5, 0, 0]]
# Positions of the published sizes; a few points of them.
VIDEO = {"samples_per_patch": 16, "_label_trainable_num_channels": 24, "output_num_channels": 12}
POINTS = {"subsampled_output_points.image": [0, 70000, 802815],
          "subsampled_output_points.audio": [1919, 5]}


def gradient(name, shape, **values):
    return row("grad.perceiver." + name, shape, **values)


def buffer(name, **values):
    return row("buffer.perceiver.input_preprocessor.convnet.batchnorm." + name, [64], **values)


CASES = [
    {"class": MASKED_LM, "inputs": {"input_ids": TEXTS, "attention_mask": MASK, "labels": LABELS},
     "gradients": "loss", "rows": [
         row("logits", [2, 6, 11], mean_abs=0.7997868,
             first=[0.1067482, -0.04407642, -0.01559795], last=[1.039136, 1.926568]),
         row("loss", [], first=[3.002051]),
         row("hidden_states.0", [2, 4, 8], mean_abs=0.6066295,
             first=[-0.3702814, 0.8649907, 0.5579378], last=[0.04059301, 0.4910461]),
         row("cross_attentions.1", [2, 8, 6, 4], first=[0.3060244, 0.2115142, 0.1965467],
             last=[0.2877701, 0.1841026]),
         gradient("input_preprocessor.embeddings.weight", [11, 16], mean_abs=0.1323816,
                  first=[-0.0688111, 0.002924367, 0.2698359], last=[0.05992463, 0.1148383]),
         gradient("decoder.output_position_encodings.position_embeddings", [6, 16],
                  mean_abs=0.004779764, first=[0.001335258, 0.007262117, -0.001458511],
                  last=[0.002319306, -0.002195694]),
     ]},
    {"class": SEQUENCE, "inputs": {"input_ids": TEXTS}, "labels": [1, 4], "gradients": "loss",
     "rows": [
         row("logits", [2, 5], first=[0.8663775, 0.8776196, -2.679571],
             last=[-1.032839, -0.9388625]),
         row("loss", [], first=[1.676227]),
         row("hidden_states.5", [2, 4, 8], mean_abs=2.064161,
             first=[1.431886, -1.064019, 1.777732], last=[-0.442219, 1.964558]),
         gradient("embeddings.latents", [4, 8], mean_abs=0.2211242,
                  first=[0.1540477, 0.1968918, -0.004204328], last=[-0.03541029, 0.074383]),
     ]},
    {"class": LEARNED, "config": {"image_size": 4}, "gradients": "logits",
     "real_inputs": {"pixel_values": [2, 3, 4, 4], "cotangent": [2, 5]}, "rows": [
         row("logits", [2, 5], first=[0.5157325, -0.339302, -1.491425],
             last=[1.11459, 0.2133404]),
         row("hidden_states.0", [2, 4, 8], mean_abs=0.6646579,
             first=[-2.237149, 0.1961046, 0.4949564], last=[0.7674072, 0.396827]),
         row("cross_attentions.0", [2, 1, 4, 16], first=[0.2522046, 0.01812035, 0.05838838],
             last=[0.2315282, 0.0408902]),
         gradient("input_preprocessor.position_embeddings.position_embeddings", [16, 256],
                  mean_abs=0.03621931, first=[-0.04172367, -0.03626655, 0.02814346],
                  last=[-0.02823901, 0.02267799]),
         gradient("input_preprocessor.convnet_1x1.weight", [256, 3, 1, 1], mean_abs=0.1916113,
                  first=[0.2009016, -0.03658212, 0.1213474], last=[0.2332141, 0.1788956]),
     ]},
    {"class": FOURIER, "real_inputs": {"inputs": [2, 3, 5, 4], "cotangent": [2, 5]},
     "gradients": "logits", "rows": [
         row("logits", [2, 5], first=[0.8279449, -0.7382238, -1.288875],
             last=[0.6083279, -0.6170901]),
         row("hidden_states.0", [2, 4, 8], mean_abs=0.8559346,
             first=[0.1215718, 1.115808, -0.321871], last=[0.334165, -1.351038]),
         gradient("encoder.cross_attention.attention.self.key.weight", [261, 261],
                  mean_abs=0.01829321, first=[-0.01240518, -0.01031949, -0.01136065],
                  last=[-0.0009583534, -0.001290241]),
     ]},
    {"class": CONV, "real_inputs": {"pixel_values": [2, 3, 13, 18], "cotangent": [2, 5]},
     "gradients": "logits", "rows": [
         row("logits", [2, 5], first=[-0.701494, -0.8852698, 0.09616665],
             last=[-0.03604998, -0.7985117]),
         row("hidden_states.5", [2, 4, 8], mean_abs=1.141248,
             first=[0.5491423, 1.19249, -0.4951013], last=[0.6962362, 0.2800106]),
         row("attentions.3", [2, 2, 4, 4], first=[0.2362237, 0.251776, 0.2530559],
             last=[0.2597905, 0.2363906]),
         gradient("input_preprocessor.convnet.conv.weight", [64, 3, 7, 7], mean_abs=0.2512215,
                  first=[-0.08345354, 0.2590497, 0.0006175775], last=[-0.5982304, -0.3202949]),
         gradient("input_preprocessor.convnet.batchnorm.weight", [64], mean_abs=0.8742033,
                  first=[0.5821554, 1.251429, -0.10132], last=[0.2772487, 1.266212]),
     ]},
    {"class": CONV, "train_mode": True, "config": {"attention_probs_dropout_prob": 0.0},
     "real_inputs": {"pixel_values": [2, 3, 13, 18]}, "rows": [
         row("logits", [2, 5], first=[-0.6379567, -0.8429988, -0.2312775],
             last=[0.07838677, -0.5928613]),
         buffer("running_mean", mean_abs=0.09545889,
                first=[0.05711145, -0.06661206, 0.1134399], last=[0.1207321, -0.1553456]),
         buffer("running_var", mean_abs=0.9742291, first=[0.9550452, 0.944575, 0.7386716],
                last=[1.374747, 1.172969]),
     ]},
    # Flow is small: it is divided by 100.
    {"class": FLOW, "config": {"train_size": [3, 4]}, "gradients": "logits", "tolerance": 1e-7,
     "real_inputs": {"inputs": [1, 2, 27, 3, 4], "cotangent": [1, 3, 4, 2]}, "rows": [
         row("logits", [1, 3, 4, 2], mean_abs=0.01214901,
             first=[-0.006114998, -0.01828241, -0.005993551], last=[-0.005794492, -0.01795417]),
         gradient("input_preprocessor.conv_after_patches.weight", [64, 54],
                  mean_abs=0.0001729062, first=[-7.184278e-05, 0.000109126, 1.745057e-05],
                  last=[-0.0004812654, -0.0002904262]),
         gradient("decoder.decoder.final_layer.weight", [2, 322], mean_abs=0.009806723,
                  first=[0.03259496, 0.0004933786, -0.02117033],
                  last=[-0.004462394, 0.001142332]),
     ]},
    {"class": FLOW, "config": {"train_size": [3, 4]}, "real_inputs": {"inputs": [1, 2, 27, 3, 4]},
     "rows": [
         row("hidden_states.0", [1, 4, 8], mean_abs=1.027585,
             first=[-1.919525, 0.2390606, 1.644367], last=[2.176509, -0.0349126]),
         row("cross_attentions.1", [1, 1, 12, 4], first=[0.2545594, 0.2339741, 0.256864],
             last=[0.2073425, 0.2080151]),
     ]},
    {"class": MULTIMODAL, "config": VIDEO, "inputs": POINTS, "gradients": "logits.image",
     "real_inputs": {"inputs.image": [2, 2, 3, 8, 4], "inputs.audio": [2, 64, 1],
                     "inputs.label": [2, 5], "cotangent": [2, 3, 3]}, "rows": [
         row("logits.image", [2, 3, 3], mean_abs=0.4031236,
             first=[0.332273, 0.1426892, 0.3795423], last=[-0.3803094, 0.7615009]),
         row("logits.audio", [2, 32], mean_abs=1.039469,
             first=[-0.7989442, 0.615153, -1.116823], last=[-0.4900514, 1.124542]),
         row("logits.label", [2, 5], first=[-1.819201, -2.302159, 1.755929],
             last=[1.406916, 1.835701]),
         row("hidden_states.0", [2, 4, 8], mean_abs=0.6605349,
             first=[-0.7490727, 0.9413596, -0.2700674], last=[-1.060125, 0.3075093]),
         gradient("decoder.padding.image", [1, 192], mean_abs=0.06486369,
                  first=[-0.007159736, -0.05441472, 0.05171129],
                  last=[-0.08895936, 0.1390977]),
         gradient("input_preprocessor.mask.label", [1, 405], mean_abs=0.8946174,
                  first=[-0.1627538, -1.208711, 0.6747437], last=[0.05620345, 1.632869]),
         gradient("input_preprocessor.padding.audio", [1, 4],
                  first=[0.2728873, 0.1191491, -1.084146]),
     ]},
]


class PerceiverGolden:
    def golden_config(self, golden, case):
        return PerceiverConfig(**{**golden["config"], **case.get("config", {})})

    def golden(self):
        """Rows of a run of the 4.37.2 source in float64."""
        return {"config": CONFIG, "tolerance": 2e-5, "cases": CASES}
