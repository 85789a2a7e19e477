"""One image classified by Transformers in a fresh process: the peer of `vizoo classify`."""

import sys
import warnings

warnings.filterwarnings("ignore")

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification


def main(folder, path):
    torch.set_num_threads(2)
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForImageClassification.from_pretrained(folder)
    inputs = processor(Image.open(path).convert("RGB"), return_tensors="pt")
    with torch.inference_mode():
        scores = model(**inputs).logits.softmax(-1)[0]
    for index in scores.topk(5).indices.tolist():
        print(f"{model.config.id2label[index]} {scores[index]:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
