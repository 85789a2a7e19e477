"""Epochs of training batches from a folder of 500x375 JPEGs: random resized crops of 224 x 224.

Peer: torch's DataLoader over torchvision's ImageFolder, RandomResizedCrop, RandomHorizontalFlip,
ToTensor and Normalize (Pillow). Both with two workers and batches of 32. Both cores are in use, so
the machine must be left alone meanwhile.
"""

import json
import statistics
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from bench.rounds import alternate, report
from bench.workers import PYTHON

WORKERS = 2
BATCH = 32
IMAGES = 400
CLASSES = 8
WIDTH, HEIGHT = 500, 375
QUALITY = 90


def photos():
    """Photos of scikit-image and scikit-learn, RGB."""
    import skimage
    import sklearn
    from PIL import Image

    pictures = Path(skimage.__file__).parent / "data"
    images = Path(sklearn.__file__).parent / "datasets" / "images"
    paths = [pictures / "astronaut.png", pictures / "chelsea.png", pictures / "coffee.png",
             images / "china.jpg", images / "flower.jpg"]
    return [Image.open(path).convert("RGB") for path in paths]


def write_images(folder):
    """Different parts of the photos as JPEGs, in class folders; returns their mean size."""
    import random

    from PIL import Image, ImageOps

    rng = random.Random(0)
    originals = photos()
    sizes = []
    for number in range(IMAGES):
        image = originals[number % len(originals)]
        scale = rng.uniform(0.6, 1.0) * min(image.width / WIDTH, image.height / HEIGHT)
        width, height = scale * WIDTH, scale * HEIGHT
        left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC,
                             box=(left, top, left + width, top + height))
        if rng.random() < 0.5:
            image = ImageOps.mirror(image)
        path = folder / f"class{number % CLASSES}" / f"{number:04}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=QUALITY)
        sizes.append(path.stat().st_size)
    return sum(sizes) / len(sizes)


@contextmanager
def epochs(command):
    """A candidate that runs one epoch in a process that lives on; yields it and what it loaded."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    means = []

    def measure():
        process.stdin.write("\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if answer["images"] != IMAGES:
            raise SystemExit(f"bench: {command[0]}: {answer['images']} of {IMAGES} images")
        means.append(answer["mean"])
        return answer["ms"]

    try:
        yield measure, means
    finally:
        process.stdin.close()
        process.wait()


def bench(options, find_benchmark):
    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as temporary:
        folder = Path(temporary)
        mean_bytes = write_images(folder)
        arguments = [folder, WORKERS, BATCH]
        child = Path(__file__).with_name("loader_child.py")
        with epochs([find_benchmark(options, "loader_bench"), *arguments]) as (ours, our_means), \
                epochs([PYTHON, child, *arguments]) as (theirs, their_means):
            for measure in (ours, theirs):  # files into the page cache, workers started
                measure()
            times = alternate({"vizoo": ours, "DataLoader, torchvision": theirs}, options.rounds)
    # Other random numbers, the same pictures: the means over all epochs are close.
    return report(times, workers=WORKERS, batch=BATCH, images=IMAGES,
                  mean_bytes=round(mean_bytes),
                  images_per_second={name: round(IMAGES * 1e3 / statistics.median(values), 1)
                                     for name, values in times.items()},
                  mean_pixel={"vizoo": round(statistics.mean(our_means), 3),
                              "DataLoader, torchvision": round(statistics.mean(their_means), 3)})
