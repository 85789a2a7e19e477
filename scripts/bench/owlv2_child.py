"""The vision tower of OWLv2 under Transformers in its own process: a line in, a time out.

    owlv2_child.py FOLDER eager|sdpa          times one forward pass for each line of its input
    owlv2_child.py FOLDER eager|sdpa once     one forward pass, for a look at its memory
"""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")


def main(folder, attention, once=None):
    import torch
    import transformers

    torch.set_num_threads(2)
    more = {} if transformers.__version__.startswith("4.") else {"attn_implementation": attention}
    model = transformers.Owlv2VisionModel.from_pretrained(folder, **more).eval()
    size = model.config.image_size
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))

    def forward():
        started = time.perf_counter()
        with torch.inference_mode():
            model(pixels)
        return (time.perf_counter() - started) * 1e3

    forward()
    if once:
        return
    print(json.dumps({"version": transformers.__version__}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"ms": forward()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
