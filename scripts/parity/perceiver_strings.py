"""Compares `vizoo tokenize` with PerceiverTokenizer as the published folders have it, both ways."""

import json
import os
import tempfile
import time
from pathlib import Path

from parity.case import case_random
from parity.clip_strings import compare_texts
from parity.tokenizer_cases import PERCEIVER_SPECIAL, random_text
from parity.tokenizers import Side

# Of Transformers' own tests.
KNOWN = {
    "Unicode \u20ac.": [4, 91, 116, 111, 105, 117, 106, 107, 38, 232, 136, 178, 52, 5],
    "e \u00e8 \u00e9 \u00ea \u00eb": [4, 107, 38, 201, 174, 38, 201, 175, 38, 201, 176, 38, 201,
                                      177, 5],
    "": [4, 5], "[MASK]": [4, 3, 5], "[mask]": [4, 97, 115, 103, 121, 113, 99, 5]}


def compare_decoding(side, rows, say):
    """Texts of ids with each setting: (equal, different)."""
    equal = different = 0
    lines = [json.dumps(row) for row in rows]
    for skip in (False, True):
        for clean in (True, False):
            expected = side.reference.batch_decode(rows, skip_special_tokens=skip,
                                                   clean_up_tokenization_spaces=clean)
            flags = ["--decode", "--clean-up" if clean else "--no-clean-up"]
            answers = side.ours(lines, flags + ["--skip-special-tokens"] * skip)
            for row, theirs, mine in zip(rows, expected, answers, strict=True):
                if theirs == mine["text"]:
                    equal += 1
                    continue
                different += 1
                if different <= 3:
                    say(f"  PerceiverTokenizer decode {flags} {row}: expected {theirs!a}, got "
                        f"{mine['text']!a}")
    return equal, different


def broken_rows(rng, rows):
    """Rows whose bytes may spell no UTF-8: cut, reversed, or drawn."""
    for row in rows:
        kind = rng.randrange(3)
        if kind == 0:
            yield row[rng.randrange(len(row)):]
        elif kind == 1:
            yield row[::-1]
        else:
            yield [rng.choice((rng.randrange(262), rng.randrange(134, 262))) for _ in row]


def run_perceiver_strings(options, program, say):
    """(passed, failed) of `options.perceiver_strings` texts, their ids, and code points."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vizoo-perceiver-") as work:
        model = Path(work) / "model"
        model.mkdir()
        # Without a maximum length, so that nothing is refused.
        (model / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "PerceiverTokenizer", "model_max_length": null}\n')
        (model / "config.json").write_text('{"model_type": "perceiver"}\n')
        side = Side(str(program), model, False)
        rng = case_random("PerceiverTokenizer", options.seed, 0)
        answers = side.ours(list(KNOWN), [])
        failed = sum(mine["input_ids"] != ids for mine, ids in zip(answers, KNOWN.values(),
                                                                   strict=True))
        passed = len(KNOWN) - failed
        say(f"PerceiverTokenizer: {passed} known answers equal, {failed} different")
        texts = [random_text(rng, PERCEIVER_SPECIAL) for _ in range(options.perceiver_strings)]
        good, bad = compare_texts(side, texts, say, "PerceiverTokenizer")
        say(f"PerceiverTokenizer: {good} strings equal, {bad} different")
        passed, failed = passed + good, failed + bad
        rows = side.reference(texts)["input_ids"]
        rows += list(broken_rows(rng, rows))
        good, bad = compare_decoding(side, rows, say)
        say(f"PerceiverTokenizer: {good} decoded rows equal, {bad} different")
        passed, failed = passed + good, failed + bad
        if options.every_code_point:
            points = [chr(c) for c in range(0x110000) if c != 10 and not 0xd800 <= c < 0xe000]
            texts = [f"a{c}[MASK]{c}" for c in points]
            good, bad = compare_texts(side, texts, say, "PerceiverTokenizer")
            say(f"PerceiverTokenizer: {good} code points equal, {bad} different")
            passed, failed = passed + good, failed + bad
    say(f"PerceiverTokenizer: {time.monotonic() - started:.0f} s")
    return passed, failed
