"""Loads epochs of an image folder with torchvision's transforms and a DataLoader with workers.

usage: loader_child.py FOLDER WORKERS BATCH

A line in, a line out, as test/bench/loader_bench.cpp: milliseconds of an epoch, its images, and the
mean of one row of their pixels. The workers live on from epoch to epoch.
"""

import json
import sys
import time


def main(folder, workers, batch):
    import torch
    from torchvision import datasets, transforms

    torch.set_num_threads(1)
    transform = transforms.Compose([
        transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(folder, transform), batch_size=int(batch), shuffle=True,
        num_workers=int(workers), persistent_workers=True)
    for _ in sys.stdin:
        before = time.perf_counter()
        images, total = 0, 0.0
        for pixels, _labels in loader:
            images += len(pixels)
            total += pixels[:, :, 112].mean().item() * len(pixels)
        elapsed = (time.perf_counter() - before) * 1e3
        print(json.dumps({"ms": elapsed, "images": images, "mean": total / images}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
