"""Compares `vizoo fill-mask`, `flow`, `classify` and `autoencode` with the same pipelines around
Transformers' Perceiver: small random models on texts, photos and videos made of them."""

import copy
import struct
import wave

import numpy as np
import torch
import transformers
from PIL import Image, ImageOps
from transformers import PerceiverConfig, PerceiverTokenizer

from parity.commands import run_command, run_command_case
from parity.families.perceiver_parts import CONV, FOURIER, LEARNED
from parity.images import SKIMAGE, photo, random_image
from parity.parameters import fill
from parity.tolerance import float32_tolerances, maxima

LEVEL = 1  # of a byte, where a fraction that is cut off may round to either side
FLOW_SCALE = 20  # pixels for each unit of the model
OVERLAP = 20
WORDS = ("a sentence with words", "caf\u00e9 \u20ac12.50", "no spaces , but marks !", "\n\tx", "",
         "\u65e5\u672c", "[CLS] inside", "A\u0301")


def run_perceiver_task(task):
    kinds = (compare_masks, compare_flow, compare_classes, compare_videos)
    return run_command_case(task, "perceiver-task", "--perceiver-tasks",
                            kinds[task["index"] % len(kinds)])


def make_model(rng, folder, class_name, **config):
    """A saved model and the same in float64."""
    core = {"num_latents": rng.randint(2, 8), "d_latents": 8 * rng.randint(1, 3), "d_model": 16,
            "num_blocks": rng.choice((1, 2)), "num_self_attends_per_block": rng.choice((1, 2)),
            "num_self_attention_heads": rng.choice((1, 2, 4)), "num_cross_attention_heads": 1}
    model = getattr(transformers, class_name)(PerceiverConfig(**{**core, **config})).eval()
    fill(model, torch.Generator().manual_seed(rng.randrange(2**31)))
    model.save_pretrained(folder)
    return model, copy.deepcopy(model).double()


def check(record, name, ours, low, high):
    """`ours` against float32 and float64 runs of the reference, by the rule of the tests."""
    tolerance = float32_tolerances(maxima({name: low}, {name: high}), False)[name]
    record["tensors"] += 1
    error = (ours.double() - high.double()).abs().max().item() if ours.shape == low.shape else None
    if error is None or not error <= tolerance:
        record["differences"].append(
            f"{name}: expected {list(low.shape)} within {tolerance:.3g}, got {list(ours.shape)}, "
            f"off by {error}")


def compare_masks(rng, program, folder, record):
    length = rng.randint(60, 120)
    model, precise = make_model(rng, folder, "PerceiverForMaskedLM", max_position_embeddings=length,
                                d_model=8 * rng.randint(1, 3))
    tokenizer = PerceiverTokenizer(model_max_length=length)
    tokenizer.save_pretrained(folder)
    parts = [rng.choice(WORDS), "[MASK]" * rng.randint(1, 4), rng.choice(WORDS),
             "[MASK]" * rng.randint(0, 3)]
    text, top_k = "".join(parts), rng.choice((1, 5, 300))
    record["call"] = {"text": text, "top_k": top_k}
    (ours,) = run_command(program, "fill-mask", "--model", folder, "--json", "--top-k", top_k,
                          "--", text)

    inputs = tokenizer(text, padding="max_length", return_tensors="pt")
    positions = (inputs.input_ids[0] == tokenizer.mask_token_id).nonzero().flatten()
    with torch.no_grad():
        low, high = (which(**inputs).logits[0, positions].softmax(-1)
                     for which in (model, precise))
    if [mask["position"] for mask in ours["masks"]] != positions.tolist():
        record["differences"].append(f"positions: expected {positions.tolist()}, got {ours}")
        return
    count = min(top_k, low.shape[1])
    candidates = [mask["candidates"] for mask in ours["masks"]]
    ids = torch.tensor([[one["id"] for one in row] for row in candidates])
    scores = torch.tensor([[one["score"] for one in row] for row in candidates],
                          dtype=torch.float64)
    # Of near ties either may come first: the sorted scores must agree, and each with its own id's.
    check(record, "sorted", scores, low.topk(count).values, high.topk(count).values)
    check(record, "scores", scores, low.gather(1, ids), high.gather(1, ids))
    for row in candidates:
        for one in row:
            if one["token"] != tokenizer.decode([one["id"]], clean_up_tokenization_spaces=False):
                record["differences"].append(f"token: {one}")
    filled = inputs.input_ids[0].clone()
    filled[positions] = ids[:, 0]
    expected = tokenizer.decode(filled, skip_special_tokens=True,
                                clean_up_tokenization_spaces=False)
    if ours["text"] != expected:
        record["differences"].append(f"text: expected {expected!a}, got {ours['text']!a}")


def starts(size, tile):
    """Every start moved back into the frame, each once; the notebook does so with the last only."""
    overlap = min(OVERLAP, tile // 2)
    return sorted({min(start, size - tile) for start in range(0, size, tile - overlap)})


def patches(frame):
    """[27, H, W] of a normalised frame [H, W, 3] in float64."""
    height, width = frame.shape[:2]
    padded = np.pad(frame, ((1, 1), (1, 1), (0, 0)))
    rows = [padded[y:y + height, x:x + width, color] for y in range(3) for x in range(3)
            for color in range(3)]
    return np.stack(rows)


def reference_flow(model, frames, tile):
    dtype = next(model.parameters()).dtype
    normal = [frame / 255 * 2 - 1 for frame in frames]
    total_height, total_width = normal[0].shape[:2]
    height, width = tile
    ramp = [np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in tile]
    weights = np.minimum(ramp[0][:, None], ramp[1][None, :])[..., None].astype(np.float64)
    flow, total = np.zeros((total_height, total_width, 2)), np.zeros((total_height, total_width, 1))
    for top in starts(total_height, height):
        for left in starts(total_width, width):
            place = np.s_[top:top + height, left:left + width]
            inputs = np.stack([patches(frame[place]) for frame in normal]).astype(np.float32)
            with torch.no_grad():
                logits = model(torch.from_numpy(inputs)[None].to(dtype)).logits[0]
            flow[place] += (logits * FLOW_SCALE).double().numpy() * weights
            total[place] += weights
    return torch.from_numpy(flow / total)


def read_flo(path):
    content = path.read_bytes()
    magic, width, height = struct.unpack("<fii", content[:12])
    if magic != 202021.25:
        raise RuntimeError(f"{path}: magic {magic}")
    return torch.from_numpy(np.frombuffer(content[12:], "<f4").reshape(height, width, 2).copy())


def compare_flow(rng, program, folder, record):
    tile = (rng.randint(6, 48), rng.randint(6, 48))
    model, precise = make_model(rng, folder, "PerceiverForOpticalFlow", train_size=list(tile),
                                d_model=322)
    pixels = photo(rng.choice(SKIMAGE))
    size = [min(rng.randint(side, 3 * side), pixels.shape[axis] - 4)
            for axis, side in enumerate(tile)]
    frames = []
    for name in ("first.png", "second.png"):
        top, left = (rng.randint(0, 4) for _ in range(2))
        frames.append(pixels[top:top + size[0], left:left + size[1]])
        Image.fromarray(frames[-1]).save(folder / name)
    output, batch = folder / "flow.flo", rng.choice((1, 3))
    record["call"] = {"tile": tile, "size": size, "batch": batch}
    (line,) = run_command(program, "flow", "--model", folder, "--json", "--batch", batch,
                          "--output", output, folder / "first.png", folder / "second.png")
    low, high = (reference_flow(which, frames, tile) for which in (model, precise))
    ours = read_flo(output)
    check(record, "flow", ours, low.float(), high)
    if [line["height"], line["width"]] != size:
        record["differences"].append(f"size: expected {size}, got {line}")
    compare_colors(program, folder, ours, record)


def compare_colors(program, folder, flow, record):
    """The picture against torchvision's, whose wheel is the published one; by one level, since
    both cut fractions off and divide by lengths that differ by 1e-5."""
    from torchvision.utils import flow_to_image

    picture = folder / "flow.png"
    run_command(program, "flow", "--model", folder, "--json", "--no-legend", "--output", picture,
                folder / "first.png", folder / "second.png")
    ours = np.asarray(Image.open(picture)).astype(int)
    theirs = flow_to_image(flow.permute(2, 0, 1)).permute(1, 2, 0).numpy().astype(int)
    worst = np.abs(ours - theirs).max() if ours.shape == theirs.shape else None
    if worst is None or worst > LEVEL:
        record["differences"].append(f"picture: {ours.shape} {theirs.shape} off by {worst}")


def compare_classes(rng, program, folder, record):
    side = rng.randint(12, 40)
    count = rng.randint(2, 8)
    labels = {index: f"label {index}" for index in range(count)}
    model, precise = make_model(rng, folder, rng.choice((CONV, FOURIER, LEARNED)), image_size=side,
                                id2label=labels, label2id={name: i for i, name in labels.items()})
    processor = transformers.PerceiverImageProcessor(
        size={"height": side, "width": side},
        crop_size={"height": side + 4, "width": side + rng.randint(0, 9)})
    processor.save_pretrained(folder)
    paths = [folder / f"image{index}.png" for index in range(rng.choice((1, 2, 3)))]
    record["images"] = [random_image(rng, path) for path in paths]
    paths = [path for path in paths if min(Image.open(path).size) >= 4]  # upstream misreads others
    if not paths:
        return
    lines = run_command(program, "classify", "--model", folder, "--json", "--top-k", count, *paths)
    for path, line in zip(paths, lines, strict=True):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        pixels = processor(image, return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            low, high = (which(inputs=pixels.to(dtype)).logits[0].softmax(-1)
                         for which, dtype in ((model, torch.float32), (precise, torch.float64)))
        ids = [one["id"] for one in line["predictions"]]
        if sorted(ids) != list(range(count)) or any(
                one["label"] != labels[one["id"]] for one in line["predictions"]):
            record["differences"].append(f"labels: {line}")
            continue
        scores = torch.tensor([one["score"] for one in line["predictions"]], dtype=torch.float64)
        check(record, path.name, scores, low[ids], high[ids])
        if scores.tolist() != sorted(scores.tolist(), reverse=True):
            record["differences"].append(f"order: {line}")


def random_video(rng, folder, frames, side, samples, rate):
    """Frames [T, H, W, 3] and sound [samples], and files of both that lose nothing."""
    pixels = photo(rng.choice(SKIMAGE))
    corners = [[rng.randint(0, pixels.shape[axis] - side) for axis in range(2)]
               for _ in range(frames)]
    clip = np.stack([pixels[top:top + side, left:left + side] for top, left in corners])
    clip[:, 0, 0, 0] = np.arange(frames)  # Pillow drops a frame that equals the one before it
    images = [Image.fromarray(frame) for frame in clip]
    images[0].save(folder / "video.apng", format="PNG", save_all=True, append_images=images[1:],
                   duration=40)
    sound = np.array([rng.randint(-32768, 32767) for _ in range(samples)], dtype="<i2")
    with wave.open(str(folder / "audio.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.tobytes())
    return clip, sound / 32768


def reference_videos(model, clip, sound, chunks):
    """The notebook's loop, which encodes once more for each part: frames, sound, label logits."""
    config, dtype = model.config, next(model.parameters()).dtype
    inputs = {"image": torch.from_numpy(clip / 255).permute(0, 3, 1, 2)[None].float().to(dtype),
              "audio": torch.from_numpy(sound)[None, :, None].float().to(dtype),
              "label": torch.zeros(1, config.num_labels, dtype=dtype)}
    pixels, patches = clip[..., 0].size, len(sound) // config.samples_per_patch
    image, audio = [], []
    for part in range(chunks):
        points = {"image": torch.arange(pixels * part // chunks, pixels * (part + 1) // chunks),
                  "audio": torch.arange(patches * part // chunks, patches * (part + 1) // chunks),
                  "label": None}
        with torch.no_grad():
            logits = model(inputs=inputs, subsampled_output_points=points).logits
        image.append(logits["image"])
        audio.append(logits["audio"])
    return (torch.cat(image, 1).reshape(clip.shape), torch.cat(audio, 1).flatten(),
            logits["label"][0])


def reference_clip(model, clip, sound, chunks):
    """The same window by window, the last moved back to end with the clip: frames, sound, and the
    label scores by the mean of the windows' logits."""
    window, per_frame = model.config.num_frames, model.config.audio_samples_per_frame
    frames, audio, labels = [], [], []
    for start in range(0, len(clip), window):
        first = min(start, len(clip) - window)
        place = slice(first * per_frame, (first + window) * per_frame)
        parts = reference_videos(model, clip[first:first + window], sound[place], chunks)
        frames.append(parts[0][start - first:])
        audio.append(parts[1][(start - first) * per_frame:])
        labels.append(parts[2])
    return torch.cat(frames), torch.cat(audio), torch.stack(labels).mean(0).softmax(-1)


def compare_videos(rng, program, folder, record):
    side, frames, patch = 4 * rng.randint(2, 5), rng.randint(2, 4), rng.randint(2, 6)
    per_frame = patch * rng.randint(2, 6)
    model, precise = make_model(
        rng, folder, "PerceiverForMultimodalAutoencoding", d_model=704, num_frames=frames,
        audio_samples_per_frame=per_frame, samples_per_patch=patch, image_size=side,
        output_shape=[1, frames, side, side], output_num_channels=rng.randint(8, 24),
        _label_trainable_num_channels=rng.randint(4, 20), num_labels=rng.randint(2, 9))
    length = rng.randint(frames, 3 * frames)
    clip, sound = random_video(rng, folder, length, side, length * per_frame, 25 * per_frame)
    chunks = rng.randint(1, frames * per_frame // patch)
    record["call"] = {"chunks": chunks, "frames": length}
    output = folder / "decoded"
    (line,) = run_command(program, "autoencode", "--model", folder, "--json", "--png",
                          "--chunks", chunks, "--top-k", model.config.num_labels,
                          "--audio", folder / "audio.wav", "--output", output,
                          folder / "video.apng")
    low, high = (reference_clip(which, clip, sound, chunks) for which in (model, precise))
    content = (output / "audio.wav").read_bytes()
    check(record, "audio", torch.from_numpy(np.frombuffer(content[58:], "<f4").copy()), low[1],
          high[1])
    ids = [one["id"] for one in line["predictions"]]
    scores = torch.tensor([one["score"] for one in line["predictions"]], dtype=torch.float64)
    check(record, "label", scores, low[2][ids], high[2][ids])
    ours = np.stack([np.asarray(Image.open(path)) for path in sorted(output.glob("*.png"))])
    theirs = (low[0].numpy() * 255).clip(0, 255).astype(np.uint8)
    worst = np.abs(ours.astype(int) - theirs).max() if ours.shape == theirs.shape else None
    if worst is None or worst > LEVEL:
        record["differences"].append(f"frames: {ours.shape} {theirs.shape} off by {worst}")
