"""Transformers 5.17's image processors in a process of their own (the folder shadows 4.37.2).

Reads one JSON object a line from standard input, {"config", "images", "call", "output"}, writes the
pixel values to the file "output" and answers one JSON line.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")


def main():
    import torch
    import transformers
    from PIL import Image
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    print(json.dumps({"version": transformers.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            kind = getattr(transformers, request["class"])
            # 5.17 divides by a null crop_pct; for 4.37 and its files null means the default.
            config = {key: value for key, value in request["config"].items()
                      if not key.endswith("_type") and value is not None}
            images = [Image.open(path).convert("RGB") for path in request["images"]]
            pixels = kind(**config)(images, return_tensors="pt", **request["call"])["pixel_values"]
            save_file({"pixel_values": pixels.contiguous()}, request["output"])
            answer = {"ok": True}
        except Exception as error:  # told to the caller, who knows the case
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
