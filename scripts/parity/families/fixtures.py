"""What the families' stored cases and golden values are written with."""

import torch

# Ids that are no positions.
GAPS = {"id2label": {0: "zero", 2: "two", 7: "seven"},
        "label2id": {"zero": 0, "two": 2, "seven": 7}}


def labels_of(kind, batch, generator):
    """{"labels": ...} of a kind ("single", "regression", "multi") for a batch, {} for None.

    Labels of a single kind are below 3, of several there are 4.
    """
    if kind == "single":
        return {"labels": torch.tensor([2, 0, 1, 2])[:batch]}
    if kind == "regression":
        return {"labels": torch.randn((batch,), generator=generator)}
    if kind == "multi":
        several = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
        return {"labels": several.repeat(2, 1)[:batch]}
    return {}


def row(name, shape=None, **values):
    """A row of golden.json: `first`, `last`, `mean`, `mean_abs`."""
    return {"name": name, **({"shape": shape} if shape else {}), **values}
