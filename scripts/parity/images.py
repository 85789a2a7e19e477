"""Test images as PNG: crops of the photos of scikit-image and scikit-learn, and odd ones."""

import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

# Photos inside the two packages; nothing is downloaded.
SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "color.png", "hubble_deep_field.jpg",
           "ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg", "camera.png", "coins.png",
           "moon.png", "page.png", "text.png")
SKLEARN = ("china.jpg", "flower.jpg")
MODES = ("RGB", "RGB", "RGB", "RGB", "L", "P", "P+alpha", "RGBA", "LA", "1", "RGB16", "RGBA16",
         "L16", "turned")
ORIENTATION = 0x0112


@lru_cache(maxsize=4)
def photo(name):
    """A bundled photo, RGB uint8."""
    import skimage
    import sklearn

    folder = Path(sklearn.__file__).parent / "datasets" / "images" if name in SKLEARN \
        else Path(skimage.__file__).parent / "data"
    return np.asarray(Image.open(folder / name).convert("RGB"))


def random_image(rng, path):
    """Writes a random PNG to `path`; returns a line that describes it."""
    name = rng.choice(SKIMAGE + SKLEARN)
    pixels = photo(name)
    height, width = _random_size(rng, pixels.shape)
    top = rng.randint(0, pixels.shape[0] - height)
    left = rng.randint(0, pixels.shape[1] - width)
    crop = pixels[top:top + height, left:left + width]
    if rng.random() < 0.15:  # a few extremes besides the photos
        crop = crop // 128 * 255
    mode = rng.choice(MODES)
    write_png(path, crop, mode)
    return f"{name}[{top}:{top + height}, {left}:{left + width}] as {mode}"


def _random_size(rng, shape):
    style = rng.random()
    if style < 0.1:
        return rng.choice(((1, 1), (1, 2), (1, 7), (6, 1), (2, 3), (3, 5), (3, 3), (5, 3), (4, 4)))
    if style < 0.25:
        return tuple(rng.randint(2, 40) for _ in range(2))
    if style < 0.4:
        return tuple(min(side, 700) for side in shape[:2])
    return tuple(rng.randint(min(32, side), min(side, 700)) for side in shape[:2])


def write_png(path, pixels, mode):
    """Writes RGB uint8 `pixels` in one of MODES."""
    if mode in ("L16", "RGB16", "RGBA16"):
        write_png16(path, pixels, mode)
        return
    image = Image.fromarray(np.ascontiguousarray(pixels))
    alpha = Image.fromarray(np.ascontiguousarray(pixels[::-1, :, 1]))
    options = {}
    if mode == "turned":  # the orientation is not applied: a processor takes pixels as they stand
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        options["exif"] = exif
    elif mode == "P+alpha":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
        options["transparency"] = 3
    elif mode == "P":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
    elif mode in ("RGBA", "LA"):
        image = image.convert("L" if mode == "LA" else "RGB")
        image.putalpha(alpha)
    elif mode != "RGB":
        image = image.convert(mode)
    image.save(path, format="PNG", **options)


def write_png16(path, pixels, mode):
    """16 bits a channel. Pillow cannot write it; it reads colours by the high byte, clips gray."""
    height, width = pixels.shape[:2]
    low = np.random.default_rng(height * 7919 + width).integers(0, 256, pixels.shape, np.uint8)
    wide = pixels.astype(">u2") * 256 + low
    if mode == "L16":
        wide = np.where(pixels[:, :, :1] < 64, low[:, :, :1], wide[:, :, :1])
    elif mode == "RGBA16":
        wide = np.concatenate([wide, wide[:, :, :1]], axis=2)
    rows = b"".join(b"\0" + wide[row].astype(">u2").tobytes() for row in range(height))
    kind = {"L16": 0, "RGB16": 2, "RGBA16": 6}[mode]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for chunk, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            file.write(struct.pack(">I", len(data)) + chunk + data
                       + struct.pack(">I", zlib.crc32(chunk + data)))
