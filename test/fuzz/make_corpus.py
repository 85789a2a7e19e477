"""Writes the first seeds of the fuzz corpora (test/fuzz/corpus/<target>/). Needs no packages."""

import json
import pathlib
import struct

import torch_corpus

CORPUS = pathlib.Path(__file__).parent / "corpus"


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def tokenizer_file(index, value):
    """The byte that chooses the file, and the file."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return bytes([index]) + text


def tokenizer_text(text, options=bytes(8)):
    return options + (text if isinstance(text, bytes) else text.encode())


ADDED = {"content": "<x>", "single_word": False, "lstrip": True, "rstrip": False,
         "normalized": False, "special": True}
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
TOKENIZER_JSON = {
    "version": "1.0", "truncation": None, "padding": {"direction": "Left"},
    "added_tokens": [{"id": 4, **ADDED}],
    "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "NFC"},
        {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
        {"type": "Lowercase"}]},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Removed", "invert": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
    "post_processor": {"type": "RobertaProcessing", "sep": ["b</w>", 3], "cls": ["a", 0],
                       "trim_offsets": False, "add_prefix_space": False},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "unk_token": "a", "end_of_word_suffix": "</w>", "fuse_unk": False,
              "vocab": {"a": 0, "b": 1, "ab</w>": 2, "b</w>": 3}, "merges": ["a b</w>"]},
}
SEEDS = {
    "torch_checkpoint": torch_corpus.SEEDS,
    "tokenizer_files": {
        "vocabulary": tokenizer_file(0, {"a": 0, "a</w>": 1, "b</w>": 2, "ab</w>": 3, "z": 9}),
        "vocabulary_cut": tokenizer_file(0, b'{"a": 0, "a<'),
        "vocabulary_ids": tokenizer_file(0, {"a": -1, "b": 4294967296, "c": 1.5, "d": 0}),
        "merges": tokenizer_file(1, b"#version: 0.2\na b</w>\na b\n"),
        "merges_wrong": tokenizer_file(1, b"#version: 0.2\r\na b c\n\n\xff"),
        "configuration": tokenizer_file(2, {
            "tokenizer_class": "CLIPTokenizer", "model_max_length": 1e30, "padding_side": "left",
            "truncation_side": "right", "errors": "ignore", "clean_up_tokenization_spaces": False,
            "bos_token": {"__type": "AddedToken", **ADDED}, "pad_token": "!", "unk_token": None,
            "additional_special_tokens": ["<y>", ADDED], "model_input_names": ["input_ids"],
            "added_tokens_decoder": {"4": ADDED, "11": {"content": " "}}}),
        "configuration_wrong": tokenizer_file(2, {"tokenizer_class": "X", "pad_token": 3}),
        "tokenizer": tokenizer_file(3, TOKENIZER_JSON),
        "special_tokens_map": tokenizer_file(4, {
            "pad_token": "<pad>", "eos_token": ADDED, "additional_special_tokens": [ADDED, "a"]}),
        "added_tokens": tokenizer_file(5, {"<x>": 8, "ab": 9, "!": 0}),
    },
    "tokenizer_text": {
        "words": tokenizer_text("a abc's 42 caf\u00e9 \u00c9!! <|endoftext|> <|STARTOFTEXT|>"),
        "added": tokenizer_text("x  <L>  <R>  W aW  a b A  B !"),
        "scripts": tokenizer_text("e\u0301\u0323 \u03a3\u0391\u03a3. \u4e2d\u6587 \uac00\u1100\u1161"
                                  "\u0130\u017f\u0345 \U0001f468\u200d\U0001f469"),
        "pair": tokenizer_text(b"a b c\xffa b c d", b"\xff\xff\x01\x01\x07\x04\x01\x00"),
        "windows": tokenizer_text("a b c a b c a b c", b"\x1f\x0f\x01\x00\x06\x00\x02\x00"),
        "padded": tokenizer_text("abc", b"\x15\x1a\x01\x00\x0c\x05\x00\x00"),
        "long": tokenizer_text("aaaa" * 300 + "ab" * 50),
        "invalid": tokenizer_text(b"a\xc3 \xed\xa0\x80\xf4\x90\x80\x80"),
        "spaces": tokenizer_text("\u3000 \t\r\n\x1c\x85\u2028"),
        "empty": tokenizer_text(""),
        "bytes": tokenizer_text("[CLS]a[MASK]\u00e9 [MASK[SEP]\u4e2d[mask]"),
    },
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
