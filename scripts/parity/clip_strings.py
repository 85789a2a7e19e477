"""Compares `vizoo tokenize` with Transformers on CLIP's real vocabulary and every code point."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from parity.case import case_random
from parity.tokenizer_cases import describe_text, random_text
from parity.tokenizers import Side

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".clip-vocabulary"
# Of OWLv2's processor, without padding.
KNOWN = {"cat": [49406, 2368, 49407], "nasa badge": [49406, 6841, 11301, 49407],
         "": [49406, 49407], " ": [49406, 49407], "!": [49406, 0, 49407]}
SENTENCES = ["a photo of a {}", "a {} and a {}", "{}!", "the {}'s {}", "{}, {} & {}", "#{} @{}",
             "two {}s on the {}", "{} {} {} {} {} {}", "({}) [{}] <{}>",
             "\"{}\" -- {}...", "{}\t{}"]
CASES = (str, str, str.upper, str.title)


def fetch():
    """None, or why there is no vocabulary."""
    if (FOLDER / "config.json").exists():
        return None
    done = subprocess.run([ROOT / "scripts" / "clip_vocabulary.sh"], capture_output=True, text=True,
                          check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def clip_texts(rng, count, tokens):
    """Sentences of CLIP's own words, in all scripts that it knows, and random Unicode."""
    words = [token.removesuffix("</w>") for token in tokens]
    for index in range(count):
        if index % 2:
            yield random_text(rng)
            continue
        sentence = rng.choice(SENTENCES)
        chosen = [rng.choice(CASES)(rng.choice(words)) for _ in range(sentence.count("{}"))]
        yield sentence.format(*chosen).replace("\n", " ")


def readable_tokens(tokenizer):
    """The vocabulary as text, without tokens that are parts of characters."""
    tokens = []
    for token, index in tokenizer.get_vocab().items():
        text = tokenizer.convert_tokens_to_string([token])
        if text and "\ufffd" not in text and index not in tokenizer.all_special_ids:
            tokens.append(text)
    return sorted(tokens)


def compare_texts(side, texts, say, label):
    """Ids and, on the fast tokenizer, offsets: (equal, different)."""
    fast = side.fast
    expected = side.reference(texts, return_offsets_mapping=fast)
    ours = side.ours(texts, ["--return-offsets-mapping"] * fast)
    different = 0
    for index, (text, mine) in enumerate(zip(texts, ours)):
        theirs = expected["input_ids"][index]
        offsets = [list(pair) for pair in expected["offset_mapping"][index]] if fast else None
        if mine["input_ids"] != theirs or mine.get("offset_mapping") != offsets:
            different += 1
            if different <= 3:
                say(f"  {label}: {describe_text(text)[:200]}: expected {theirs}, got "
                    f"{mine['input_ids']}")
    if len(ours) != len(texts):
        say(f"  {label}: expected {len(texts)} rows, got {len(ours)}")
        different += 1
    return len(texts) - different, different


def run_clip_strings(options, program, say):
    """(passed, failed) of `options.clip_strings` texts for each tokenizer, and code points."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    missing = fetch()
    if missing:
        say(f"CLIP's vocabulary: not run ({missing})")
        return 0, 0
    passed = failed = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vizoo-clip-") as work:
        model = Path(work) / "model"
        model.mkdir()
        for name in ("vocab.json", "merges.txt", "config.json"):
            (model / name).symlink_to(FOLDER / name)
        # Without a maximum length, so that nothing is refused.
        config = (FOLDER / "tokenizer_config.json").read_text().replace(
            '"model_max_length": 16', '"model_max_length": null')
        (model / "tokenizer_config.json").write_text(config)
        for fast in (True, False):
            label = "CLIPTokenizerFast" if fast else "CLIPTokenizer"
            side = Side(str(program), model, fast)
            rng = case_random(label, options.seed, 0)
            answers = side.ours(list(KNOWN), [])
            bad = sum(mine["input_ids"] != ids for mine, ids in zip(answers, KNOWN.values()))
            say(f"{label}: {len(KNOWN) - bad} known answers equal, {bad} different")
            passed, failed = passed + len(KNOWN) - bad, failed + bad
            texts = list(clip_texts(rng, options.clip_strings, readable_tokens(side.reference)))
            good, bad = compare_texts(side, texts, say, label)
            say(f"{label}: {good} strings equal, {bad} different")
            passed, failed = passed + good, failed + bad
            if options.every_code_point:
                points = [chr(c) for c in range(0x110000) if c != 10 and not 0xd800 <= c < 0xe000]
                texts = [f"a{c}b{c} {c}'s1" for c in points]
                good, bad = compare_texts(side, texts, say, label)
                say(f"{label}: {good} code points equal, {bad} different")
                passed, failed = passed + good, failed + bad
    say(f"CLIP's vocabulary: {time.monotonic() - started:.0f} s")
    return passed, failed
