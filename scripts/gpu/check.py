"""The command line of scripts/gpu_check.sh: runs the parts, writes the result."""

import argparse
import datetime
import importlib
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path

from gpu import machine, sources
from gpu.session import Part, Session, say

PARTS = ("build", "tests", "models", "sanitizer", "bench")  # gpu/PART.py has a function PART
TIME_LIMIT = 570
FORMAT = 1


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="scripts/gpu_check.sh", add_help=False)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--build", type=Path)
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dry-run", action="store_const", const="cpu", dest="device")
    options = parser.parse_args(arguments)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"expected one of {'|'.join(PARTS)}, got {part}")
    options.parts = [part for part in PARTS if part in options.parts] or list(PARTS)
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "little")
    if options.device == "cpu" and options.build is None:
        parser.error("--device cpu: expected --build DIR with an ordinary build, got none")
    return options


def file_name(found):
    device = found["device"]["name"] if found["device"] else "cpu"
    words = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    return f"gpu-{words}-{datetime.date.today().isoformat()}.json"


def output_path(options, found):
    if options.output:
        return options.output
    if options.device == "cpu":
        return options.build / "gpu-check-dry-run.json"
    folder = Path(os.environ["OUT"]) if os.environ.get("OUT") else sources.ROOT / "docs/gpu-results"
    return folder / file_name(found)


def earlier_parts(kept, result):
    """Parts of an earlier run of the same sources on the same device."""
    try:
        earlier = json.loads(kept.read_text())
    except (OSError, ValueError):
        return {}
    same = all(earlier.get(key) == result[key] for key in ("format", "source", "device", "dry_run"))
    return earlier["parts"] if same else {}


def total(result):
    """Lists over all parts, and whether anything failed."""
    for key in ("failures", "unavailable", "skipped"):
        result[key] = [text for part in result["parts"].values() for text in part[key]]
    result["not_run"] = [name for name in PARTS if name not in result["parts"]]
    result["failed"] = bool(result["failures"])


def write(result, *paths):
    text = json.dumps(result, indent=1) + "\n"
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(text)
        temporary.replace(path)


def run_part(name, session):
    """A defect of the check itself is a failure too, and does not stop the other parts."""
    started = time.monotonic()
    say(f"{name} ({session.remaining():.0f} s left)")
    try:
        if session.remaining() <= 0:
            part = Part(skipped=[f"{name}: no time was left"])
        else:
            part = getattr(importlib.import_module(f"gpu.{name}"), name)(session)
    except Exception:
        part = Part(failures=[f"{name}: " + traceback.format_exc()[-2000:]])
    return {**part.as_json(), "seconds": round(time.monotonic() - started, 1),
            "seed": session.seed, "ended": datetime.datetime.now().isoformat(timespec="seconds")}


def print_summary(result, path):
    print(f"device  {(result['device'] or {}).get('name', 'none: a dry run on the CPU')}")
    print(f"commit  {result['source']['commit']}"
          f"{', modified' if result['source']['modified'] else ''}")
    for name, part in result["parts"].items():
        print(f"{name:<10} {part['status']:<15} {part['seconds']:>7} s  {part['done']} done, "
              f"{len(part['failures'])} failed, {len(part['unavailable'])} unavailable, "
              f"{len(part['skipped'])} skipped")
    for name in result["not_run"]:
        print(f"{name:<10} not run")
    for name, row in result["parts"].get("bench", {}).get("verdict", {}).items():
        words = []
        for which, found in row.items():
            if not found["right"]:
                words.append(f"{which}: no kernel is right")
                continue
            gains = ", ".join(f"{gain:.1f}x {peer}"
                              for peer, gain in found["times_faster_than"].items())
            words.append(f"{which} {found['ms'] * 1e3:.1f} us {found['fastest']} ({gains})")
        print(f"  {name}: {'; '.join(words)}")
    for key in ("failures", "unavailable", "skipped"):
        for text in result[key][:30]:
            print(f"{key.upper()}  {text}")
        if len(result[key]) > 30:
            print(f"{key.upper()}  and {len(result[key]) - 30} more")
    print(f"result  {path}")


def main(arguments=None):
    options = parse_arguments(arguments)
    found = machine.ask()
    if options.device == "cuda" and found["device"] is None:
        raise SystemExit("gpu_check: there is no CUDA device; --dry-run runs the logic without one")
    if options.device == "cpu":
        found["device"] = None
    capability = found["device"]["compute_capability"] if found["device"] else None
    session = Session(options.device, (options.build or sources.ROOT / "build" / "gpu").resolve(),
                      options.seed, time.monotonic() + options.time_limit,
                      capability and capability.replace(".", ""))
    path = output_path(options, found)
    result = {"format": FORMAT, "dry_run": session.is_dry, "source": sources.describe(), **found,
              "parts": {}}
    kept = session.build / "gpu-check.json"
    if not options.fresh:
        result["parts"] = earlier_parts(kept, result)
    for name in options.parts:
        result["parts"][name] = run_part(name, session)
        total(result)
        write(result, kept, path)  # after each part, should the machine go away
    print_summary(result, path)
    return 1 if any(result["parts"][name]["failures"] for name in options.parts) else 0


if __name__ == "__main__":
    sys.exit(main())
