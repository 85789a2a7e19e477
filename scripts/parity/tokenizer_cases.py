"""Random folders, texts and calls for tokenizers: what `tokenizers.py` compares on."""

import json
import unicodedata

from tokenizers import AddedToken
from transformers import CLIPTokenizer, CLIPTokenizerFast, PerceiverTokenizer
from transformers.models.clip.tokenization_clip import bytes_to_unicode

SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
PERCEIVER_SPECIAL = ["[PAD]", "[BOS]", "[EOS]", "[MASK]", "[CLS]", "[SEP]"]
BYTES = list(bytes_to_unicode().values())
# Words and marks that CLIP's rules are about: contractions, white space, case, composition.
FRAGMENTS = [
    "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "''s", "'", "!", "!!", " ! ", ".", "...",
    "1", "42", "\u00bd", "\u2167", "\u0967", " ", "  ", "\t", "\r", "\u00a0", "\u2003", "\u3000",
    "\u2028", "\x1c", "\x85", "\x00", "\x07", "\u200b", "\u200d", "\ufeff", "\ufffd", "\ue000",
    "a", "b", "c", "cat", "Cat", "CAT", "photo of", "low", "newer", "the", "\u00c5ngstr\u00f6m",
    "\u0130", "I", "\u0131", "\u1e9e", "\u00df", "\u03a3", "\u03a3\u0391\u03a3", "\u03c2", "\u017f",
    "\u212a", "'\u017f", "e\u0301", "e\u0323\u0301", "e\u0301\u0323", "\u0344", "\u0f73",
    "q\u0315\u0300\u05ae\u0062", "\u1100\u1161\u11a8", "\uac00", "\u0958", "\u4e2d\u6587",
    "\u3042", "\U00020000", "\U0001f600", "\U0001f468\u200d\U0001f469", "\U0001f1e6\U0001f1f9",
    "\u0645\u0631\u062d\u0628\u0627", "\u0e20\u0e32\u0e29\u0e32", "\u0939\u093f\u0928\u094d\u0926",
    "\U00011935\U00011930", "a\u0898\u0301", "<|startoftext|>", "<|endoftext|>", "<|ENDOFTEXT|>",
    "<|\u017ftartoftext|>", "<|endoftext", "endoftext|>", "</w>", "\u0120", "\U000323af",
]
BLOCKS = [(0x20, 0x7f), (0x20, 0x7f), (0xa0, 0x250), (0x300, 0x370), (0x370, 0x590),
          (0x590, 0x700), (0x900, 0xe00), (0x1100, 0x1200), (0x1e00, 0x2000), (0x2000, 0x2100),
          (0x2150, 0x2190), (0x3000, 0x3100), (0x4e00, 0x4f00), (0xac00, 0xad00), (0xf900, 0xfb50),
          (0x10000, 0x11000), (0x1d400, 0x1d500), (0x1f300, 0x1f700), (0, 0xd800),
          (0xe000, 0x110000)]


def random_character(rng):
    low, high = rng.choice(BLOCKS)
    return chr(rng.randrange(low, high))


def random_text(rng, extra=()):
    """A text without line feed: `--file` splits there."""
    kind = rng.random()
    if kind < 0.03:
        return ""
    if kind < 0.06:
        return " " * rng.randrange(1, 4)
    parts = []
    for _ in range(rng.choice((1, 2, 3, 5, 8, 13, 30))):
        choice = rng.random()
        if extra and choice < 0.2:
            token = rng.choice(extra)
            parts.append(rng.choice((token, token.upper(), " " + token + " ", token + "x")))
        elif choice < 0.5:
            parts.append(rng.choice(FRAGMENTS))
        elif choice < 0.65:
            parts.append("".join(rng.choice("abcdelorst ") for _ in range(rng.randrange(1, 12))))
        else:
            parts.append("".join(random_character(rng) for _ in range(rng.randrange(1, 5))))
        if rng.random() < 0.3:
            parts.append(" ")
    return "".join(parts).replace("\n", " ")


def random_vocabulary(rng):
    """(vocabulary, merges): all bytes, or some of them; merges in an order that training may not
    give, where a later symbol can be preferred to the ones it is made of."""
    complete = rng.random() < 0.7
    symbols = list(BYTES) if complete else rng.sample(BYTES, rng.randrange(20, 120))
    tokens = symbols + [symbol + "</w>" for symbol in symbols]
    letters = [s for s in symbols if s in "abcdefghijlmnoprstuw!'.<|>" or ord(s) > 0xa0]
    pool = [s for s in letters if rng.random() < 0.7] or symbols[:3]
    ends = [s + "</w>" for s in pool]
    merges = []
    for _ in range(rng.choice((0, 3, 30, 200))):
        left = rng.choice(pool)
        right = rng.choice(pool + ends)
        if len(left) + len(right) > 24 or [left, right] in merges:
            continue
        merges.append([left, right])
        merged = left + right
        if merged not in tokens:
            tokens.append(merged)
        (ends if merged.endswith("</w>") else pool).append(merged)
    if rng.random() < 0.4:
        rng.shuffle(merges)
    if rng.random() < 0.9:
        tokens += SPECIAL
    if rng.random() < 0.3:
        tokens.append("<unk>")
    if rng.random() < 0.3:
        rng.shuffle(tokens)
    start = rng.choice((0, 0, 0, 5))
    return {token: index + start for index, token in enumerate(tokens)}, merges


# Characters that stand for bytes, and beginnings of Perceiver's special tokens.
PERCEIVER_CONTENTS = ("a", "\u00c3", "\u00ff", "\u4e2d", "[M", "[MASK", "MASK", "K]", "[MASK]a",
                      "[MASK]", "[CLS]")


def random_added_token(rng, contents=()):
    content = rng.choice((
        *contents,
        "<x>", "<Y>", "cat", "Cat", "\u00c5", "!", "a b", " lead", "'s", "ab", "abc", "b",
        "<|pad|>", "\u4e2d", "e\u0301", "\u00e9", "x", "zz", "\t", "  ", "1", "_", "\u0130"))
    flags = {name: rng.random() < 0.35 for name in ("single_word", "lstrip", "rstrip", "special")}
    if rng.random() < 0.7:
        flags["normalized"] = rng.random() < 0.5
    return AddedToken(content, **flags)


def save_random_folder(rng, folder):
    """Writes a tokenizer in one of the forms that folders have; returns it and its added tokens."""
    vocabulary, merges = random_vocabulary(rng)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=rng.random() < 0.5),
                                       encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    newline = rng.choice(("\n", "\n", "\r\n"))
    (folder / "merges.txt").write_bytes(
        (newline.join(lines) + rng.choice(("", newline))).encode("utf-8"))
    arguments = {}
    if rng.random() < 0.6:
        arguments["pad_token"] = rng.choice(("!", "<pad>", "<|endoftext|>"))
    if rng.random() < 0.3:
        arguments["unk_token"] = rng.choice(("<unk>", "<|endoftext|>"))
    if rng.random() < 0.3:
        arguments["model_max_length"] = rng.choice((8, 16, 77))
    for side in ("padding_side", "truncation_side"):
        if rng.random() < 0.25:
            arguments[side] = "left"
    if rng.random() < 0.2:
        arguments["clean_up_tokenization_spaces"] = False
    if rng.random() < 0.2:
        arguments["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    if rng.random() < 0.2:
        arguments["mask_token"] = rng.choice(("<mask>", "cat"))
    if rng.random() < 0.2:
        arguments["additional_special_tokens"] = ["<extra>", "<|more|>"]
    form = rng.choice(("plain", "fast", "slow", "legacy", "json only", "fast without config"))
    config = {"tokenizer_class": "CLIPTokenizer", **arguments}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    added = [random_added_token(rng) for _ in range(rng.choice((0, 1, 2, 4)))]
    if form not in ("plain", "legacy"):
        cls = CLIPTokenizer if form == "slow" else CLIPTokenizerFast
        tokenizer = cls.from_pretrained(folder)
        if added:
            tokenizer.add_tokens(added, special_tokens=rng.random() < 0.2)
        for path in folder.iterdir():
            path.unlink()
        tokenizer.save_pretrained(folder)
        if form == "json only":
            (folder / "vocab.json").unlink()
            (folder / "merges.txt").unlink()
        if form == "fast without config":
            for name in ("tokenizer_config.json", "special_tokens_map.json"):
                (folder / name).unlink(missing_ok=True)
    elif form == "legacy":
        names = rng.sample(("bos_token", "eos_token", "pad_token", "unk_token"), 2)
        flags = {"lstrip": rng.random() < 0.3, "rstrip": rng.random() < 0.3, "single_word": False,
                 "normalized": rng.random() < 0.5}
        value = {"content": rng.choice(SPECIAL + ["<new>"]), **flags}
        (folder / "special_tokens_map.json").write_text(json.dumps(
            {names[0]: value, names[1]: rng.choice(SPECIAL)}))
        size = max(vocabulary.values()) + 1
        (folder / "added_tokens.json").write_text(json.dumps(
            {token.content: size + index for index, token in enumerate(added)}))
    (folder / "config.json").write_text(json.dumps({"model_type": "owlv2"}))
    return form, [token.content for token in added]


def random_perceiver_arguments(rng):
    arguments = {}
    for name in ("pad_token", "cls_token", "mask_token", "unk_token"):
        if rng.random() < 0.15:
            arguments[name] = rng.choice(("<pad>", "<unk>", "[PAD]", "[MASK]", "a", "\u4e2d"))
    if rng.random() < 0.4:
        arguments["model_max_length"] = rng.choice((8, 16, 77, 2048))
    for side in ("padding_side", "truncation_side"):
        if rng.random() < 0.25:
            arguments[side] = "left"
    for name in ("clean_up_tokenization_spaces", "split_special_tokens"):
        if rng.random() < 0.2:
            arguments[name] = rng.random() < 0.5
    if rng.random() < 0.2:
        arguments["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    if rng.random() < 0.3:
        arguments["additional_special_tokens"] = rng.sample(("<extra>", "<|more|>", "e"), 2)
    return arguments


def save_random_perceiver_folder(rng, folder):
    """As save_random_folder, of a PerceiverTokenizer, which has no vocabulary."""
    arguments = random_perceiver_arguments(rng)
    added = [random_added_token(rng, PERCEIVER_CONTENTS) for _ in range(rng.choice((0, 1, 2, 4)))]
    form = rng.choice(("plain", "saved", "decoder", "legacy"))
    if form == "saved":
        tokenizer = PerceiverTokenizer(**arguments)
        tokenizer.add_tokens(added, special_tokens=rng.random() < 0.2)
        tokenizer.save_pretrained(folder)
    else:
        config = dict(arguments)
        if form == "decoder":
            ids = sorted(rng.sample([*range(6), *range(100, 106), *range(260, 270), 20019],
                                    len(added)))
            config["added_tokens_decoder"] = {
                str(index): token.__getstate__() for index, token in zip(ids, added)}
        if rng.random() < 0.7:
            config["tokenizer_class"] = "PerceiverTokenizer"
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if form == "legacy":
        flags = {name: rng.random() < 0.3
                 for name in ("lstrip", "rstrip", "single_word", "normalized")}
        (folder / "special_tokens_map.json").write_text(json.dumps(
            {"mask_token": {"content": rng.choice(("[MASK]", "<new>")), **flags},
             "eos_token": rng.choice(PERCEIVER_SPECIAL)}))
        (folder / "added_tokens.json").write_text(json.dumps(
            {token.content: 262 + index for index, token in enumerate(added)}))
    (folder / "config.json").write_text(json.dumps({"model_type": "perceiver"}))
    return form, [*(token.content for token in added), *PERCEIVER_SPECIAL]


def random_call(rng, fast):
    """Arguments of `__call__`."""
    call = {}
    if rng.random() < 0.5:
        call["padding"] = rng.choice(("max_length", "longest"))
    if rng.random() < 0.6:
        call["truncation"] = rng.choice(
            ("longest_first", "longest_first", "only_first", "only_second"))
    if rng.random() < 0.7:
        call["max_length"] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 16, 24, 40))
    if rng.random() < 0.3:
        call["stride"] = rng.choice((1, 2, 3, 5))
    if rng.random() < 0.3:
        call["pad_to_multiple_of"] = rng.choice((1, 4, 8))
    for name, chance in (("return_overflowing_tokens", 0.35), ("return_special_tokens_mask", 0.4),
                         ("return_offsets_mapping", 0.7 if fast else 0.03), ("return_length", 0.3)):
        if rng.random() < chance:
            call[name] = True
    if rng.random() < 0.25:
        call["add_special_tokens"] = False
    if rng.random() < 0.2:
        call["return_attention_mask"] = False
    if rng.random() < 0.3:
        call["return_token_type_ids"] = True
    return call


def random_ids(rng, size):
    """Ids to decode: some spell no UTF-8, and some that no token has."""
    count = rng.choice((0, 1, 3, 8, 20))
    return [rng.randrange(size + (3 if rng.random() < 0.02 else 0)) for _ in range(count)]


def describe_text(text):
    """ASCII for a report."""
    return "".join(c if " " <= c <= "~" and c != "\\" else f"\\u{{{ord(c):x}}}" for c in text) + (
        "" if unicodedata.is_normalized("NFC", text) else "  (not NFC)")
