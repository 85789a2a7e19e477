#!/usr/bin/env python3
"""Checks that each layer of lib/vizoo includes only what the table below allows.

Exits 1 and prints `file:line: layer X may not include layer Y` for each violation. Also: torch stays
out of the layers below ops, OpenCV out of all but three, TorchScript out of all but export, and
sources are ASCII. Files of more than 400 lines are only warned about.
"""

import argparse
import pathlib
import re
import sys
import tempfile

# What each layer may include besides itself and core. Edges are transitive: what an allowed layer
# may include is allowed too.
ALLOWED = {
    "core": [],
    "kernels": [],
    "io": [],
    "text": ["io"],
    "ops": ["kernels"],
    "nn": ["ops"],
    "models": ["nn"],
    "vision": ["io"],
    "hub": ["models", "io"],
    "export": ["hub"],
    "tasks": ["hub", "export", "vision", "text"],
    "training": ["tasks"],
    "training/data": ["training", "vision", "text"],
}
# `apps` and lib/vizoo/vizoo.h, the header that includes all public ones, may include every layer.
EVERYTHING = "apps"

TORCH = re.compile(r"(torch|ATen|c10|caffe2)/")
TORCH_SCRIPT = re.compile(r"torch/(script\.h|jit\.h|csrc/jit/)")
OPENCV = re.compile(r"opencv2/")
WITHOUT_TORCH = {"core", "kernels", "io", "text"}
WITH_OPENCV = {"vision", "tasks", EVERYTHING}
WITH_TORCH_SCRIPT = {"export", EVERYTHING}

INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')
SOURCE_SUFFIXES = {".h", ".cpp", ".cu", ".cuh", ".inc"}
ASCII_SUFFIXES = SOURCE_SUFFIXES | {".cmake", ".in", ".py", ".sh"}
MAX_LINES = 400


def reachable(layer):
    """All layers that `layer` may include."""
    found, pending = {layer, "core"}, [layer]
    while pending:
        for other in ALLOWED[pending.pop()]:
            if other not in found:
                found.add(other)
                pending.append(other)
    return found


def layer_of(path):
    """The layer of a path below lib/, such as vizoo/io/json.h."""
    parts = path.parts[1:-1]
    if not parts:
        return EVERYTHING
    for length in (2, 1):
        name = "/".join(parts[:length])
        if name in ALLOWED:
            return name
    return None


def included_path(root, file, quoted, name):
    """The included file as a path below lib/, or None if it is not one of ours."""
    if name.startswith("vizoo/"):
        return pathlib.PurePosixPath(name)
    beside = (file.parent / name).resolve()
    library = (root / "lib").resolve()
    if quoted and library in beside.parents and beside.exists():
        return pathlib.PurePosixPath(beside.relative_to(library).as_posix())
    return None


def check_includes(root, file, layer):
    """Yields (line, message) for each include of `file` that `layer` may not have."""
    allowed = set(ALLOWED) | {EVERYTHING} if layer == EVERYTHING else reachable(layer)
    text = file.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        name = match.group(2)
        ours = included_path(root, file, match.group(1) == '"', name)
        if ours is not None:
            other = layer_of(ours)
            if other is None:
                yield number, f"{ours} belongs to no layer"
            elif other == EVERYTHING and layer != EVERYTHING:
                yield number, f"layer {layer} may not include {ours}, which includes every layer"
            elif other not in allowed:
                yield number, f"layer {layer} may not include layer {other}"
        elif TORCH.match(name) and layer in WITHOUT_TORCH:
            yield number, f"layer {layer} may not include torch"
        elif TORCH_SCRIPT.match(name) and layer not in WITH_TORCH_SCRIPT:
            yield number, f"layer {layer} may not include TorchScript"
        elif OPENCV.match(name) and layer not in WITH_OPENCV:
            yield number, f"layer {layer} may not include OpenCV"


def check_text(file):
    """Yields (line, message, is_warning) for bytes that are not ASCII and for long files."""
    data = file.read_bytes()
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.isascii():
            yield number, "not ASCII", False
    lines = data.count(b"\n")
    if file.suffix in SOURCE_SUFFIXES and lines > MAX_LINES:
        yield lines, f"{lines} lines, more than {MAX_LINES}", True


def files_below(folder, suffixes):
    if not folder.is_dir():
        return []
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and (file.suffix in suffixes or file.name == "CMakeLists.txt")
    )


def check_tree(root):
    """Returns (problems, warnings, number of files that were read), the first two as lines."""
    problems, warnings, count = [], [], 0

    def place(file, line):
        return f"{file.relative_to(root).as_posix()}:{line}"

    for file in files_below(root / "lib" / "vizoo", SOURCE_SUFFIXES):
        layer = layer_of(pathlib.PurePosixPath(file.relative_to(root / "lib").as_posix()))
        if layer is None:
            problems.append(f"{place(file, 1)}: belongs to no layer")
            continue
        problems += [f"{place(file, n)}: {text}" for n, text in check_includes(root, file, layer)]
    for folder in ("lib", "apps", "test", "cmake", "scripts"):
        for file in files_below(root / folder, ASCII_SUFFIXES):
            count += 1
            for line, text, is_warning in check_text(file):
                (warnings if is_warning else problems).append(f"{place(file, line)}: {text}")
    return problems, warnings, count


# Self-test: a file of one line (or more) at a path, and the problem it must give, if any.
CASES = [
    ("lib/vizoo/core/error.h", "#include <string>\n", None),
    ("lib/vizoo/io/json.h", '#include "vizoo/core/error.h"\n', None),
    ("lib/vizoo/models/a.h", '#include "vizoo/nn/b.h"\n#include "vizoo/kernels/c.h"\n', None),
    ("lib/vizoo/tasks/a.cpp", '#include "vizoo/models/a.h"\n#include <opencv2/core.hpp>\n', None),
    ("lib/vizoo/vision/image.cpp", "#include <opencv2/core.hpp>\n#include <ATen/ATen.h>\n", None),
    ("lib/vizoo/training/data/a.cpp", '#include "vizoo/vision/image.h"\n', None),
    ("lib/vizoo/export/a.cpp", "#include <torch/csrc/jit/api/module.h>\n", None),
    ("lib/vizoo/vizoo.h", '#include "vizoo/tasks/a.h"\n', None),
    ("lib/vizoo/io/a.h", '\n#  include "vizoo/hub/b.h"\n',
     "lib/vizoo/io/a.h:2: layer io may not include layer hub"),
    ("lib/vizoo/core/a.h", "#include <vizoo/io/json.h>\n",
     "lib/vizoo/core/a.h:1: layer core may not include layer io"),
    ("lib/vizoo/models/perceiver/a.h", '#include "vizoo/io/json.h"\n',
     "lib/vizoo/models/perceiver/a.h:1: layer models may not include layer io"),
    ("lib/vizoo/models/b.h", '#include "../hub/registry.h"\n',
     "lib/vizoo/models/b.h:1: layer models may not include layer hub"),
    ("lib/vizoo/models/c.h", '#include "vizoo/vision/image.h"\n',
     "lib/vizoo/models/c.h:1: layer models may not include layer vision"),
    ("lib/vizoo/kernels/a.cu", '#include "vizoo/ops/a.h"\n',
     "lib/vizoo/kernels/a.cu:1: layer kernels may not include layer ops"),
    ("lib/vizoo/training/loop.cpp", "#include <opencv2/core.hpp>\n",
     "lib/vizoo/training/loop.cpp:1: layer training may not include OpenCV"),
    ("lib/vizoo/tasks/loop.cpp", '#include "vizoo/training/trainer.h"\n',
     "lib/vizoo/tasks/loop.cpp:1: layer tasks may not include layer training"),
    ("lib/vizoo/hub/a.cpp", '#include "vizoo/vizoo.h"\n',
     "lib/vizoo/hub/a.cpp:1: layer hub may not include vizoo/vizoo.h, which includes every layer"),
    ("lib/vizoo/kernels/b.cpp", "#include <ATen/Parallel.h>\n",
     "lib/vizoo/kernels/b.cpp:1: layer kernels may not include torch"),
    ("lib/vizoo/text/a.cpp", "#include <c10/util/Half.h>\n",
     "lib/vizoo/text/a.cpp:1: layer text may not include torch"),
    ("lib/vizoo/hub/b.cpp", "#include <torch/script.h>\n",
     "lib/vizoo/hub/b.cpp:1: layer hub may not include TorchScript"),
    ("lib/vizoo/hub/c.cpp", "#include <opencv2/core.hpp>\n",
     "lib/vizoo/hub/c.cpp:1: layer hub may not include OpenCV"),
    ("lib/vizoo/extra/a.h", "", "lib/vizoo/extra/a.h:1: belongs to no layer"),
    ("test/unit/a_test.cpp", "// caf\u00e9\n", "test/unit/a_test.cpp:1: not ASCII"),
]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text, _ in CASES:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        (root / "lib/vizoo/hub/registry.h").write_text("// long\n" * (MAX_LINES + 1))
        problems, warnings, _ = check_tree(root)
    expected = sorted(problem for _, _, problem in CASES if problem)
    if sorted(problems) != expected:
        sys.exit("self-test: expected\n  " + "\n  ".join(expected) + "\ngot\n  "
                 + "\n  ".join(sorted(problems)))
    if warnings != ["lib/vizoo/hub/registry.h:401: 401 lines, more than 400"]:
        sys.exit(f"self-test: wrong warnings: {warnings}")
    print(f"self-test: {len(expected)} violations found, {len(CASES) - len(expected)} files allowed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true",
                        help="check a made-up tree full of violations instead")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return
    problems, warnings, count = check_tree(arguments.root.resolve())
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(1)
    print(f"layers: {count} files keep the rules")


if __name__ == "__main__":
    main()
