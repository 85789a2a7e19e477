#!/usr/bin/env python3
"""Writes scikit-learn's handwritten digits as folders of PNG files, one folder for each class.

    .venv-reference/bin/python scripts/make_digits.py digits

makes digits/train (1,437 images) and digits/test (360), which `vizoo train` and `vizoo eval` read.
The split is fixed; every class has its share in both parts.
"""

import argparse
import pathlib

import numpy as np
import PIL.Image
import sklearn.datasets
import sklearn.model_selection

SEED = 20240601
IMAGE_SIZE = 32
TEST_IMAGES = 360  # a fifth of the 1,797


def load_digits():
    """Images as 32 x 32 RGB pictures with their labels, split as (train, test)."""
    digits = sklearn.datasets.load_digits()
    pictures = [render(image) for image in digits.images]
    parts = sklearn.model_selection.train_test_split(
        np.arange(len(pictures)),
        test_size=TEST_IMAGES,
        stratify=digits.target,
        random_state=SEED,
    )
    return [([pictures[i] for i in part], digits.target[part]) for part in parts]


def render(image):
    """An 8 x 8 image of 17 gray levels, enlarged to what a camera or a scanner might give."""
    gray = np.round(image * (255.0 / 16.0)).astype(np.uint8)
    picture = PIL.Image.fromarray(gray)
    picture = picture.resize((IMAGE_SIZE, IMAGE_SIZE), PIL.Image.Resampling.BICUBIC)
    return picture.convert("RGB")


def write_digits(folder):
    """Writes folder/train/LABEL/NUMBER.png and folder/test/LABEL/NUMBER.png."""
    for name, (pictures, labels) in zip(("train", "test"), load_digits()):
        for number, (picture, label) in enumerate(zip(pictures, labels)):
            path = folder / name / str(label) / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path, help="folder to write train and test to")
    write_digits(parser.parse_args().output)


if __name__ == "__main__":
    main()
