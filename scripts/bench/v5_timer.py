"""Times an image processor of Transformers 5.17 in its own process: a line in, a line out."""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")


def processors(transformers):
    return {
        "convnext": lambda: transformers.ConvNextImageProcessor(
            size={"shortest_edge": 224}, resample=3,
            image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]),
        "owlv2": transformers.Owlv2ImageProcessor,
    }


def main(name, path, clock):
    import torch
    import transformers
    from PIL import Image

    from bench.rounds import timed

    torch.set_num_threads(1)
    processor = processors(transformers)[name]()
    image = Image.open(path).convert("RGB")
    measure = timed(lambda: processor(image, return_tensors="pt"),
                    clock=getattr(time, clock))
    print(json.dumps({"version": transformers.__version__}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"ms": measure()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
