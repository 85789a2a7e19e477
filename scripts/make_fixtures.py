#!/usr/bin/env python3
"""Makes test/fixtures/<family>: stored cases, key manifests and golden values of the reference;
and test/fixtures/assignment, answers of SciPy.

    scripts/make_fixtures.py             writes them anew
    scripts/make_fixtures.py --check     compares the stored ones with fresh ones; exit 1 if they
                                         differ by more than their tolerance

Sets up the pinned reference environment itself (scripts/reference_env.sh). test/fixtures/README.md
says what the files hold.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-reference" / "bin" / "python"
MAX_CASE_BYTES = 50 * 1024
SEED = 20240119  # of every stored case: the day of the 4.37.0 release


def use_reference_environment():
    """Goes on inside .venv-reference, which is made if it is not there."""
    if Path(sys.prefix).resolve() == PYTHON.parents[1].resolve():
        return
    if not PYTHON.exists():
        subprocess.run([ROOT / "scripts" / "reference_env.sh"], check=True, stdout=sys.stderr)
    os.execv(PYTHON, [str(PYTHON), *sys.argv])


def write_json(path, value, compact=False):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")) if compact \
        else json.dumps(value, ensure_ascii=True, indent=2)
    path.write_text(text + "\n")


def rounded(value):
    """Six digits are enough for a tolerance."""
    return float(f"{value:.6g}")


def write_case(family, name, folder):
    """One stored case: checkpoint, input, expected tensors and their tolerances."""
    import torch
    from safetensors.torch import save_file

    from parity import tolerance
    from parity.build import complete_inputs, save_model
    from parity.case import Case
    from parity.v5_reference import reference_of

    generator = torch.Generator().manual_seed(SEED)
    case = Case(family.name, SEED, 0, "")
    model = family.stored_case(name, case, generator)
    case.folder = folder
    save_model(case, model)
    case.config = json.loads((folder / "config.json").read_text())
    gradients = case.options.gradients
    complete_inputs(family, case, generator)
    if case.options.gradients != gradients:
        raise SystemExit(f"make_fixtures: {name}: the inputs are at a kink")
    save_file({key: value.contiguous() for key, value in case.inputs.items()},
              folder / "input.safetensors")

    runs = reference_of(case)
    measured = tolerance.maxima(runs.ref32, runs.ref64)
    limits = tolerance.float32_tolerances(measured, case.options.train_mode)
    limits.pop("grad_input.labels", None)  # of no use to a C++ caller, who trains parameters
    save_file({key: runs.ref64[key].float().clone() for key in limits},
              folder / "expected.safetensors")
    native64 = {key: value for key, value in runs.native64().items()
                if not tolerance.is_gradient(key)}
    measured64 = tolerance.maxima(native64, runs.exact64())
    limits64 = tolerance.float64_tolerances(measured64, case.options.train_mode)
    save_file({key: native64[key].clone() for key in limits64}, folder / "expected64.safetensors")
    write_json(folder / "case.json", {
        "class": case.class_name,
        "inputs": "input.safetensors",
        "expected": "expected.safetensors",
        "options": case.options.as_json(),
        "tolerance": {key: rounded(value) for key, value in limits.items()},
        "expected64": "expected64.safetensors",
        "tolerance64": {key: rounded(value) for key, value in limits64.items()},
    }, compact=True)
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > MAX_CASE_BYTES:
        print("\n".join(f"{path.name}: {path.stat().st_size}" for path in folder.iterdir()))
        raise SystemExit(f"make_fixtures: {name}: expected at most {MAX_CASE_BYTES} bytes, "
                         f"got {size}")
    return size


def write_manifest(entry, path):
    """Key -> shape of a published checkpoint, from its configuration alone."""
    import torch
    import transformers

    config_class = getattr(transformers, entry["config_class"])
    linspace = partial(torch.linspace, device="cpu")  # drop path rates are read back as numbers
    with torch.device("meta"), mock.patch.object(torch, "linspace", linspace):
        model = getattr(transformers, entry["class"])(
            config_class(**entry["config"], num_labels=entry["num_labels"]))
    tensors = {key: list(value.shape) for key, value in model.state_dict().items()}
    parameters = sum(value.numel() for value in model.parameters())
    if parameters != entry["parameters"]:
        raise SystemExit(f"make_fixtures: {path.name}: expected {entry['parameters']} parameters, "
                         f"got {parameters}")
    lines = [f"{json.dumps(key)}:{json.dumps(shape, separators=(',', ':'))}"
             for key, shape in tensors.items()]
    head = {key: entry[key] for key in ("class", "checkpoints", "config", "num_labels",
                                        "parameters")}
    path.write_text(json.dumps(head)[:-1] + ',\n"tensors":{\n' + ",\n".join(lines) + "\n}}\n")


def write_family(family, folder):
    """Everything below test/fixtures/<family>."""
    from parity.golden import check_golden

    for name in family.stored_cases:
        (folder / name).mkdir(parents=True)
        size = write_case(family, name, folder / name)
        print(f"{family.name}/{name}: {size} bytes")
    (folder / "manifests").mkdir()
    for entry in family.manifests():
        write_manifest(entry, folder / "manifests" / f"{entry['name']}.json")
    print(f"{family.name}/manifests: {len(family.manifests())} files, "
          f"{sum(p.stat().st_size for p in (folder / 'manifests').iterdir())} bytes")
    if not hasattr(family, "golden"):
        return
    worst = check_golden(family)
    print(f"{family.name}/golden.json: the reference agrees within {worst:.1e}")
    write_json(folder / "golden.json", family.golden())


def write_assignments(folder):
    from parity import assignment

    assignment.write(folder / "cases.safetensors")
    print("assignment: 1 file")


def compare_folders(stored, fresh):
    """Lines that say what differs between stored and fresh fixtures."""
    import torch
    from safetensors.torch import load_file

    problems = []
    names = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    there = {path.relative_to(stored) for path in stored.rglob("*") if path.is_file()}
    problems += [f"{name}: missing" for name in sorted(names - there)]
    problems += [f"{name}: not made by this script" for name in sorted(there - names)]
    for name in sorted(names & there):
        if name.suffix == ".json":
            if name.name != "case.json" and (stored / name).read_bytes() != \
                    (fresh / name).read_bytes():
                problems.append(f"{name}: differs")
            continue
        old, new = load_file(stored / name), load_file(fresh / name)
        limits = {}
        if name.name.startswith("expected"):
            case = json.loads((stored / name.parent / "case.json").read_text())
            limits = case["tolerance64" if "64" in name.name else "tolerance"]
        if set(old) != set(new):
            problems.append(f"{name}: other tensors")
            continue
        for key in old:
            if old[key].shape != new[key].shape or not torch.allclose(
                    old[key].double(), new[key].double(), rtol=0.0, atol=limits.get(key, 0.0),
                    equal_nan=True):
                problems.append(f"{name}: {key} differs")
    return problems


def main():
    parser = argparse.ArgumentParser(description="Makes test/fixtures from the reference.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--family", help="one family (default: all, and the assignments)")
    options = parser.parse_args()
    use_reference_environment()
    sys.path.insert(0, str(ROOT / "scripts"))
    from parity.families import FAMILIES
    from parity.run import prepare_libraries

    prepare_libraries()
    families = [FAMILIES[options.family]] if options.family else list(FAMILIES.values())
    writers = {family.name: partial(write_family, family) for family in families}
    if not options.family:
        writers["assignment"] = write_assignments
    status = 0
    for name, write in writers.items():
        stored = ROOT / "test" / "fixtures" / name
        with tempfile.TemporaryDirectory(prefix="vizoo-fixtures-") as temporary:
            fresh = Path(temporary) / name
            write(fresh)
            if options.check:
                problems = compare_folders(stored, fresh)
                for problem in problems:
                    print(f"{name}/{problem}")
                status |= bool(problems)
            else:
                shutil.rmtree(stored, ignore_errors=True)
                shutil.copytree(fresh, stored)
    return status


if __name__ == "__main__":
    sys.exit(main())
