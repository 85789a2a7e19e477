"""Writes the first seeds of the fuzz corpora (test/fuzz/corpus/<target>/). Needs no packages."""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SEEDS = {
    "safetensors": {
        "empty_header": safetensors({}),
        "one": safetensors({"a": tensor("F32", [2], 0, 8)}, bytes(8)),
        "metadata": safetensors({"__metadata__": {"format": "pt"}}),
        "two": safetensors(
            {"b": tensor("BF16", [2, 2], 4, 12), "a": tensor("U8", [4], 0, 4)}, bytes(12)
        ),
        "scalar_and_empty": safetensors(
            {"s": tensor("I64", [], 0, 8), "e": tensor("F64", [3, 0], 8, 8)}, bytes(8)
        ),
        "escaped_name": safetensors(b'{"\\u0061":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', b"\1"),
        "unknown_key": safetensors({"a": {**tensor("U8", [1], 0, 1), "x": [1, {}]}}, b"\1"),
        "small_bits": safetensors({"a": tensor("F4", [4], 0, 2), "b": tensor("F6_E2M3", [4], 2, 5)}, bytes(5)),
        "spaces": safetensors(b" \n{ } \t  ", b""),
        "overlap": safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 0, 4)}, bytes(4)),
        "hole": safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 5, 9)}, bytes(9)),
        "overflow": safetensors({"a": tensor("F64", [2**62, 4, 0], 0, 0)}),
        "long_length": struct.pack("<Q", 2**63) + b"{}",
        "cut": safetensors({"a": tensor("F32", [2], 0, 8)}, bytes(8))[:40],
    },
    "json": {
        "config": json.dumps(
            {
                "architectures": ["ConvNextForImageClassification"],
                "id2label": {"0": "a", "3": "b"},
                "label2id": {"a": 0, "b": 3},
                "problem_type": None,
                "torch_dtype": "float32",
                "hidden_sizes": [96, 192],
                "layer_norm_eps": 1e-12,
                "return_dict": True,
            },
            indent=2,
        ).encode(),
        "numbers": b"[0, -0, 1.5, -2e-7, 1e16, 18446744073709551615, -9223372036854775808, 5e-324]",
        "strings": '["\\u00e9\\ud83d\\ude00\\n", "\u00e9\U0001f600", ""]'.encode(),
        "nested": b'[[[{"a":[{}]}]]]',
        "wrong_types": b'{"architectures":1,"id2label":{"x":2},"return_dict":0}',
        "duplicate": b'{"a":{"b":1,"b":2}}',
        "cut": b'{"a":[1,2',
        "invalid_utf8": b'"\xff"',
    },
    "safetensors_index": {
        "two": json.dumps(
            {
                "metadata": {"total_size": 16},
                "weight_map": {
                    "a": "model-00001-of-00002.safetensors",
                    "b": "model-00002-of-00002.safetensors",
                },
            }
        ).encode(),
        "escape": b'{"weight_map":{"a":"../model.safetensors"}}',
        "nul": b'{"weight_map":{"a":"m\\u0000"}}',
        "wrong_types": b'{"weight_map":{"a":1},"metadata":[]}',
    },
}


def main():
    for target, seeds in SEEDS.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in seeds.items():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
