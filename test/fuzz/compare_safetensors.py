"""Compares vizoo's safetensors reader and writer with the reference implementation.

    compare_safetensors.py TOOL [--cases N] [--seed S]

Needs Python's `safetensors` (0.8.0) and numpy. TOOL is the program built from safetensors_tool.cpp.

1. Verdicts: N files, most of them mutated from valid ones, are given to both readers. They must agree,
   apart from the listed cases in which vizoo is stricter on purpose.
2. Rewriting: files that Python wrote, read and written again by vizoo, must not change a byte.

Prints a summary and every disagreement; exits with 1 if one has no explanation.
"""

import argparse
import collections
import ctypes
import json
import os
import random
import re
import struct
import subprocess
import tempfile

from safetensors import SafetensorError, TensorSpec, deserialize, safe_open, serialize

DTYPES = {
    "bool": 1, "uint8": 1, "int8": 1, "float8_e5m2": 1, "float8_e4m3fn": 1, "float8_e8m0fnu": 1,
    "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "int16": 2, "uint16": 2, "float16": 2,
    "bfloat16": 2, "int32": 4, "uint32": 4, "float32": 4, "complex64": 8, "float64": 8,
    "int64": 8, "uint64": 8,
}  # fmt: skip
FORMAT_NAMES = [
    "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ",
    "F8_E5M2FNUZ", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
]  # fmt: skip
NAME_CHARACTERS = 'abcXYZ019._-/ "\\\n\t\r\b\f\x01\x1f\x7f' + "\u00e9\u2028\u4e2d\U0001f600"

# Where vizoo refuses on purpose what the reference accepts: the pattern of vizoo's message.
STRICTER = {
    "a key twice in one object": r" again\.$",
    "nesting deeper than 4": r"at most 4 levels of nesting",
    "a tensor given as array instead of object": r'tensor ".*": expected an object, got an array',
    "a dtype given as object instead of string": r"dtype: expected a string, got an object",
    "a size of 2^63 or more in an empty tensor": r"sizes of at most 9223372036854775807",
}


def random_name(rng):
    return "".join(rng.choice(NAME_CHARACTERS) for _ in range(rng.randrange(1, 12)))


def python_file(rng):
    """The bytes of a random file as Python writes it."""
    tensors, keep = {}, []
    for _ in range(rng.randrange(0, 8)):
        dtype = rng.choice(list(DTYPES))
        shape = [rng.choice([0, 1, 1, 2, 3, 5]) for _ in range(rng.randrange(0, 5))]
        count = DTYPES[dtype]
        for size in shape:
            count *= size
        data = rng.randbytes(count) or b"\0"
        keep.append((data, bytearray(data)))
        buffer = (ctypes.c_char * len(data)).from_buffer(keep[-1][1])
        tensors[random_name(rng)] = TensorSpec(
            dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=count
        )
    metadata = rng.choice([None, {}, {"format": "pt"}, {random_name(rng): random_name(rng)}])
    return bytes(serialize(tensors, metadata))


def pack(header, data):
    return struct.pack("<Q", len(header)) + header + data


def plain_file(rng):
    """A valid header made here, in any order, with all dtypes."""
    header, begin = {}, 0
    for i in range(rng.randrange(1, 6)):
        dtype = rng.choice(FORMAT_NAMES)
        bits = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}.get(dtype) or int(
            re.sub(r"^(BOOL|F8).*", "8", dtype).lstrip("UIFBC")
        )
        shape = [rng.choice([0, 1, 2, 4, 4, 8]) for _ in range(rng.randrange(0, 4))]
        count = bits
        for size in shape:
            count *= size
        end = begin + count // 8
        header[f"t{i}"] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    if rng.random() < 0.3:
        header["__metadata__"] = {"format": "pt"}
    items = list(header.items())
    rng.shuffle(items)
    return items, rng.randbytes(begin)


def mutate_bytes(rng, content):
    content = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        choice = rng.randrange(6)
        position = rng.randrange(len(content) + 1) if rng.random() < 0.3 else rng.randrange(
            min(len(content), 400) + 1
        )
        if choice == 0:
            content = content[:position]
        elif choice == 1 and position < len(content):
            content[position] = rng.randrange(256)
        elif choice == 2 and position < len(content):
            content[position] = rng.choice(b'0123456789{}[]",:. -\\nul\x00\xff')
        elif choice == 3:
            content[position:position] = rng.choice(
                [b" ", b"0", b",", b'"', b"\\u0041", b"\\ud800", b"\xc3\xa9", b"\xff", b"[", b"1e3"]
            )
        elif choice == 4 and position < len(content):
            del content[position]
        else:
            content += rng.randbytes(rng.randrange(1, 9))
        if not content:
            break
    return bytes(content)


def mutate_header(rng, items, data):
    """Changes values of a valid header and fixes the length, so that the deeper rules are reached."""
    items = [(name, json.loads(json.dumps(value))) for name, value in items]
    odd = [0, 1, 2, 7, -1, 1.0, 1.5, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, None,
           True, "1", [], {}, "F32", [1], 1e300, -0.0]  # fmt: skip
    for _ in range(rng.randrange(1, 3)):
        name, value = rng.choice(items)
        choice = rng.randrange(10)
        if choice == 0:
            value[rng.choice(["dtype", "shape", "data_offsets", "extra"])] = rng.choice(odd)
        elif choice == 1 and isinstance(value.get("shape"), list):
            value["shape"].insert(rng.randrange(len(value["shape"]) + 1), rng.choice(odd))
        elif choice == 2 and isinstance(value.get("data_offsets"), list) and value["data_offsets"]:
            index = rng.randrange(len(value["data_offsets"]))
            value["data_offsets"][index] = rng.choice(odd)
        elif choice == 3 and isinstance(value.get("data_offsets"), list) and value["data_offsets"]:
            index = rng.randrange(len(value["data_offsets"]))
            if isinstance(value["data_offsets"][index], int):
                value["data_offsets"][index] += rng.choice([-8, -4, -1, 1, 4, 8])
        elif choice == 4 and "dtype" in value:
            value["dtype"] = rng.choice(FORMAT_NAMES + ["F128", "f32", "", "F32 "])
        elif choice == 5 and value:
            value.pop(rng.choice(list(value)))
        elif choice == 6:
            items.append((rng.choice([name, "__metadata__", "again"]), rng.choice(items)[1]))
        elif choice == 7:
            items[rng.randrange(len(items))] = (name, rng.choice(odd))
            return encode(rng, items, data)
        elif choice == 8:
            nested = 1
            for _ in range(rng.choice([1, 2, 3, 130])):
                nested = [nested]
            value["extra"] = nested
        else:
            data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.5 else data + b"\0"
    return encode(rng, items, data)


def encode(rng, items, data):
    parts = []
    for name, value in items:
        parts.append(json.dumps(name) + ":" + json.dumps(value, allow_nan=False))
    header = "{" + ",".join(parts) + "}"
    header = rng.choice(["", "", "", " ", "\n\t"]) + header + rng.choice(["", "", " ", "\n \r\t", "\f"])
    if rng.random() < 0.1:
        header = header.replace("data_offsets", "data_\\u006fffsets", 1)
    return pack(header.encode(), data)


def reference_verdict(content, path):
    """Both entrances of the reference: bytes and file."""
    try:
        deserialize(content)
        from_bytes = None
    except SafetensorError as error:
        from_bytes = str(error)
    try:
        with safe_open(path, framework="np") as file:
            file.keys()
        from_file = None
    except Exception as error:  # an empty file is an OSError
        from_file = str(error)
    if (from_bytes is None) != (from_file is None):
        print("the reference disagrees with itself:", path, from_bytes, from_file)
    return from_bytes


def make_files(folder, cases, seed):
    rng = random.Random(seed)
    files = []
    for number in range(cases):
        kind = rng.random()
        if kind < 0.1:
            content, label = python_file(rng), "python"
        elif kind < 0.45:
            content, label = mutate_bytes(rng, python_file(rng)), "bytes"
        elif kind < 0.55:
            items, data = plain_file(rng)
            content, label = encode(rng, items, data), "plain"
        else:
            items, data = plain_file(rng)
            content, label = mutate_header(rng, items, data), "header"
        path = os.path.join(folder, f"{number:06d}.safetensors")
        with open(path, "wb") as file:
            file.write(content)
        files.append((path, label, content))
    return files


def run_tool(tool, paths, *arguments):
    result = subprocess.run(
        [tool, *arguments], input="\n".join(paths) + "\n", capture_output=True, text=True, check=True
    )
    lines = result.stdout.splitlines()
    assert len(lines) == len(paths), (len(lines), len(paths), result.stderr)
    return lines


def compare_verdicts(tool, files):
    counts, stricter, unexplained = collections.Counter(), collections.Counter(), 0
    for (path, label, content), line in zip(files, run_tool(tool, [f[0] for f in files])):
        reference = reference_verdict(content, path)
        ours_ok = line == "ok"
        counts[(label, "accepted" if reference is None else "refused")] += 1
        if ours_ok == (reference is None):
            continue
        reason = next((why for why, pattern in STRICTER.items()
                       if reference is None and re.search(pattern, line)), None)  # fmt: skip
        if reason:
            stricter[reason] += 1
            continue
        unexplained += 1
        print(f"DISAGREE {path}\n  reference: {reference or 'ok'}\n  vizoo: {line}\n  {content[:400]!r}")
    print(f"verdicts: {len(files)} files, {unexplained} unexplained disagreements")
    for key, count in sorted(counts.items()):
        print(f"  {key[0]:8s} {key[1]:9s} {count}")
    for reason, count in sorted(stricter.items()):
        print(f"  stricter on purpose: {reason}: {count}")
    return unexplained


def compare_rewriting(tool, files, folder):
    valid = [
        (path, content)
        for path, label, content in files
        if label == "python" and reference_verdict(content, path) is None
    ]
    run_tool(tool, [path for path, _ in valid], folder)
    different = 0
    for path, content in valid:
        with open(os.path.join(folder, os.path.basename(path)), "rb") as file:
            if file.read() != content:
                different += 1
                print("DIFFERENT BYTES", path, content[:300])
    print(f"rewriting: {len(valid)} files written by Python, {different} differ after rewriting")
    return different


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--cases", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        again = os.path.join(folder, "again")
        os.mkdir(again)
        files = make_files(folder, options.cases, options.seed)
        failures = compare_verdicts(options.tool, files)
        failures += compare_rewriting(options.tool, files, again)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
