"""Child of v5.py: Transformers 5.17's image processors.

A request {"class", "config", "images", "call", "output"} writes the pixel values to the file
"output": `pixel_values`, or `pixel_values.0` and so on if they are not stacked.
"""

import warnings

warnings.filterwarnings("ignore")


def answer(request):
    import transformers
    from PIL import Image
    from safetensors.torch import save_file

    kind = getattr(transformers, request["class"])
    # 5.17 divides by a null crop_pct; for 4.37 and its files null means the default.
    config = {key: value for key, value in request["config"].items()
              if not key.endswith("_type") and value is not None}
    images = [Image.open(path).convert("RGB") for path in request["images"]]
    # Without return_tensors images are not stacked.
    stacked = request["stacked"]
    pixels = kind(**config)(images, return_tensors="pt" if stacked else None,
                            **request["call"])["pixel_values"]
    if stacked:
        tensors = {"pixel_values": pixels.contiguous()}
    else:
        tensors = {f"pixel_values.{index}": image.contiguous()
                   for index, image in enumerate(pixels)}
    save_file(tensors, request["output"])


if __name__ == "__main__":
    from parity.v5 import serve

    serve(answer)
