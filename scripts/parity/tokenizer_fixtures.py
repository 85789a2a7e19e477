"""Writes test/fixtures/tokenizers: small tokenizers and what Transformers makes of texts with them.

    PYTHONPATH=scripts .venv-reference/bin/python -m parity.tokenizer_fixtures [--check]
"""

import argparse
import json
import logging
import os
import random
import sys
import tempfile
from pathlib import Path

from tokenizers import AddedToken
from transformers import AutoTokenizer, CLIPTokenizerFast, PerceiverTokenizer

from parity.tokenizer_cases import (BYTES, FRAGMENTS, PERCEIVER_SPECIAL, SPECIAL, random_call,
                                    random_ids, random_text)
from parity.tokenizers import rows_of, words

FOLDER = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "tokenizers"
SEED = 20240119
MAX_CASE_BYTES = 1500
# In the order of training, but for the first, which is preferred to what makes it possible.
MERGES = ["ab c", "a b", "c a", "ca t</w>", "t h", "th e</w>", "l o", "lo w</w>", "e r</w>",
          "' s</w>", ". .", "! !</w>", "\u00c3 \u00a9</w>", "p h", "ph o", "pho t", "phot o</w>"]


def byte_vocabulary():
    tokens = BYTES + [symbol + "</w>" for symbol in BYTES]
    tokens += [merge.replace(" ", "") for merge in MERGES]
    return {token: index for index, token in enumerate([*dict.fromkeys(tokens), *SPECIAL])}


def write_model(folder, vocabulary, merges, config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=True) + "\n")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n",
                                       encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", **config}, indent=2) + "\n")
    (folder / "config.json").write_text('{"model_type": "owlv2"}\n')


def owlv2(folder):
    """As OWLv2's folders: "!" is padding and is looked for in the text as it stands."""
    vocabulary = byte_vocabulary()
    added = {str(vocabulary[token]): AddedToken(token, normalized=token != "!", special=True)
             .__getstate__() for token in ("!", *SPECIAL)}
    write_model(folder, vocabulary, MERGES,
                {"pad_token": "!", "model_max_length": 16, "added_tokens_decoder": added})


def tiny(folder):
    """Few symbols, the rest unknown; no files but the vocabulary's."""
    tokens = ("l o w e r s t i d n lo l</w> w</w> r</w> t</w> low</w> er</w> lowest</w> newer</w> "
              "wider <unk> <|startoftext|> <|endoftext|>").split()
    write_model(folder, {token: index for index, token in enumerate(tokens)},
                ["l o", "lo w</w>", "e r</w>"], {"unk_token": "<unk>"})


def flags(folder):
    """tokenizer.json, with an added token for each flag; padding and truncation on the left."""
    with tempfile.TemporaryDirectory() as work:
        model = Path(work)
        write_model(model, byte_vocabulary(), MERGES,
                    {"padding_side": "left", "truncation_side": "left"})
        tokenizer = CLIPTokenizerFast.from_pretrained(model)
        tokenizer.add_tokens([
            AddedToken("<L>", lstrip=True, normalized=False),
            AddedToken("<R>", rstrip=True, normalized=False),
            AddedToken("Word", single_word=True, normalized=False),
            AddedToken("CASE", normalized=True), AddedToken("a b", lstrip=True, rstrip=True),
            AddedToken("e\u0301", normalized=True)])
        tokenizer.add_tokens([AddedToken("<S>", normalized=False, special=True)],
                             special_tokens=True)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "owlv2"}\n')


def perceiver(folder):
    """Bytes; an added token for each flag, and one that is the character of a byte."""
    tokenizer = PerceiverTokenizer(model_max_length=32)
    tokenizer.add_tokens([
        AddedToken("<L>", lstrip=True), AddedToken("<R>", rstrip=True),
        AddedToken("Word", single_word=True), AddedToken("\u00e9")])
    tokenizer.add_tokens([AddedToken("<S>", special=True)], special_tokens=True)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "perceiver"}\n')


ADDED = ["<L>", "<R>", "Word", "CASE", "case", "a b", "e\u0301", "<S>", "!"]
# What makes them, words for the texts, whether each round of cases is for the fast tokenizer.
FOLDERS = {"owlv2": (owlv2, ["!"], (True, False)),
           "tiny": (tiny, ["low", "newer"], (True, False)),
           "flags": (flags, ADDED, (True, False)),
           "perceiver": (perceiver, [*PERCEIVER_SPECIAL, "<L>", "<R>", "Word", "\u00e9", "<S>"],
                         (False, False))}


def expected_of(name, folder, added, rounds):
    """What the reference answers: texts, calls, decoding."""
    rng = random.Random(f"{SEED}:{name}")
    cases = []
    for fast in rounds:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=fast)
        texts = [*FRAGMENTS, *(random_text(rng, added)[:20] for _ in range(8))]
        cases.append(encode(tokenizer, texts, None, {
            "return_attention_mask": False, "return_offsets_mapping": fast}, False))
        count = 0
        while count < 16:
            case = random_case(rng, tokenizer, added)
            if len(json.dumps(case)) < MAX_CASE_BYTES:
                cases.append(case)
                count += 1
        for _ in range(12):
            cases.append(decode(tokenizer, random_ids(rng, len(tokenizer)), rng))
    return cases


def random_case(rng, tokenizer, added):
    call = random_call(rng, tokenizer.is_fast)
    texts = [random_text(rng, added) for _ in range(3)]
    pairs = [random_text(rng, added) for _ in texts] if rng.random() < 0.5 else None
    if rng.random() < 0.3:
        call["is_split_into_words"] = True
        texts = [words(rng, text) for text in texts]
        pairs = pairs and [words(rng, text) for text in pairs]
    if rng.random() < 0.4:
        return encode(tokenizer, texts[:1], pairs and pairs[:1], call, True)
    return encode(tokenizer, texts, pairs, call, False)


def encode(tokenizer, texts, pairs, call, single):
    case = {"fast": tokenizer.is_fast, "texts": texts, "pairs": pairs, "call": call,
            "single": single}
    try:
        arguments = (texts[0], pairs and pairs[0]) if single else (texts, pairs)
        answer = tokenizer(*arguments, **call)
    except BaseException:  # Rust panics are no Exception
        return {**case, "error": True}
    if single and not (tokenizer.is_fast and call.get("return_overflowing_tokens")):
        answer = {name: value if name == "length" and isinstance(value, list) else [value]
                  for name, value in answer.items()}
    return {**case, "rows": rows_of(answer)}


def decode(tokenizer, ids, rng):
    case = {"fast": tokenizer.is_fast, "ids": ids, "skip": rng.random() < 0.5,
            "clean_up": rng.choice((None, True, False))}
    try:
        return {**case, "text": tokenizer.decode(ids, skip_special_tokens=case["skip"],
                                                 clean_up_tokenization_spaces=case["clean_up"])}
    except Exception:
        return {**case, "error": True}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    os.environ.update(TOKENIZERS_PARALLELISM="false", RUST_BACKTRACE="0", HF_HUB_OFFLINE="1")
    logging.disable(logging.CRITICAL)
    different = []
    for name, (make, added, rounds) in FOLDERS.items():
        folder = FOLDER / name
        if not options.check:
            make(folder)
        cases = expected_of(name, folder, added, rounds)
        text = "[\n" + ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":"))
                                  for case in cases) + "\n]\n"
        path = folder / "expected.json"
        if options.check:
            if path.read_text() != text:
                different.append(name)
        else:
            path.write_text(text)
    for name in different:
        print(f"{FOLDER / name}: not what the reference says")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
