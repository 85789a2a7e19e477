"""Compares `vizoo tokenize` with Transformers' tokenizers, id for id."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import traceback
from pathlib import Path

from parity.case import case_random
from parity.tokenizer_cases import (describe_text, random_call, random_ids, random_text,
                                    save_random_folder, save_random_perceiver_folder)

TEXTS = 40  # of each case
CALLS = 6
FLAGS = {"return_overflowing_tokens": "--return-overflowing-tokens",
         "return_special_tokens_mask": "--return-special-tokens-mask",
         "return_offsets_mapping": "--return-offsets-mapping",
         "return_length": "--return-length",
         "return_token_type_ids": "--return-token-type-ids"}
VALUES = {"padding": "--padding", "truncation": "--truncation-strategy",
          "max_length": "--max-length",
          "stride": "--stride", "pad_to_multiple_of": "--pad-to-multiple-of"}


# By the family that uses it: name, folders, whether there is a fast one.
KINDS = {"owlv2": ("tokenizer", save_random_folder, (True, False)),
         "perceiver": ("tokenizer-perceiver", save_random_perceiver_folder, (False,))}


class Refused(Exception):
    """One side gave no answer; the text says why."""


def make_tokenizer_tasks(options, program):
    count = options.tokenizer_cases if options.tokenizer_cases is not None else 4 * options.cases
    return [{"family": family, "seed": options.seed, "index": index, "program": str(program),
             "keep": options.keep or options.case is not None}
            for family in KINDS if options.family in (None, family)
            for index in (range(count) if options.case is None else [options.case])]


def run_tokenizer_case(task):
    """One folder, fast and slow where there are both, in a worker: a record for the log."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["RUST_BACKTRACE"] = "0"
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"vizoo-parity-tokenizer-{task['index']}-"))
    name, save_folder, fast_or_slow = KINDS[task["family"]]
    rng = case_random(name, task["seed"], task["index"])
    record = {"family": name, "seed": task["seed"], "case": task["index"], "tensors": 0,
              "folder": str(folder), "differences": [],
              "rerun": f"scripts/parity.sh --tokenizers --family {task['family']} "
                       f"--seed {task['seed']} --case {task['index']}"}
    try:
        model = folder / "model"
        model.mkdir()
        record["save"], added = save_folder(rng, model)
        for fast in fast_or_slow:
            compare_tokenizer(rng, Side(task["program"], model, fast), added, record)
    except Exception:  # a defect of the harness must not pass for a result of the program
        record["differences"].append("harness: " + traceback.format_exc())
    record["passed"] = not record["differences"]
    record["seconds"] = round(time.monotonic() - started, 3)
    if record["passed"] and not task["keep"]:
        shutil.rmtree(folder, ignore_errors=True)
    return record


class Side:
    """A tokenizer, ours and the reference's."""

    def __init__(self, program, model, fast):
        self.program, self.model, self.fast = program, model, fast
        self.reference, self.refusal, self.may_lack_ids = None, "", False
        from transformers import AutoTokenizer

        try:
            self.reference = AutoTokenizer.from_pretrained(model, use_fast=fast)
            # Upstream may give tokens no id and cut them off again.
            self.may_lack_ids = self.reference.convert_tokens_to_ids("\n") is None
        except BaseException as error:  # Rust panics are no Exception
            keep_interrupts(error)
            self.refusal = f"{type(error).__name__}: {error}"

    def ours(self, lines, arguments, pairs=None):
        """Objects that the program prints for texts, one a line."""
        work = self.model.parent
        command = [self.program, "tokenize", "--model", str(self.model), *arguments]
        if not self.fast:
            command.append("--slow")
        for name, texts in (("--file", lines), ("--pair-file", pairs)):
            if texts is not None:
                path = work / (name[2:] + ".txt")
                path.write_text("".join(text + "\n" for text in texts), encoding="utf-8",
                                newline="\n")
                command += [name, str(path)]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        if done.returncode not in (0, 1, 2):
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-500:]!r}")
        if done.returncode != 0:
            raise Refused(done.stderr.decode("utf-8", "replace").strip())
        return [json.loads(line) for line in done.stdout.decode("utf-8").split("\n") if line]

    def theirs(self, texts, pairs, call):
        """The reference's answer as the program would print it."""
        if self.reference is None:
            raise Refused(self.refusal)
        try:
            answer = self.reference(texts, pairs, **call)
        except BaseException as error:
            keep_interrupts(error)
            raise Refused(f"{type(error).__name__}: {error}") from error
        rows = rows_of(answer)
        if any(None in row["input_ids"] for row in rows):
            raise Refused("a token without id")
        return rows


def keep_interrupts(error):
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error


def rows_of(answer):
    fields = {name: [list(map(list, row)) if name == "offset_mapping" else row for row in rows]
              for name, rows in answer.items()}
    return [dict(zip(fields, row)) for row in zip(*fields.values())]


def arguments_of(call):
    arguments = [flag for name, flag in FLAGS.items() if call.get(name)]
    for name, option in VALUES.items():
        if name in call:
            arguments += [option, str(call[name])]
    if "truncation" in call:
        arguments.append("--truncation")
    if not call.get("add_special_tokens", True):
        arguments.append("--no-special-tokens")
    if not call.get("return_attention_mask", True):
        arguments.append("--no-attention-mask")
    if call.get("is_split_into_words"):
        arguments.append("--is-split-into-words")
    return arguments


def compare_tokenizer(rng, side, added, record):
    kind = "fast" if side.fast else "slow"
    texts = [random_text(rng, added) for _ in range(TEXTS)]
    compare_call(side, f"{kind} plain", texts, None, {}, record)
    if side.reference is None:
        return
    for index in range(CALLS):
        call = random_call(rng, side.fast)
        some = [random_text(rng, added) for _ in range(4)]
        pairs = [random_text(rng, added) for _ in some] if rng.random() < 0.5 else None
        if rng.random() < 0.25:
            call["is_split_into_words"] = True
            some = [words(rng, text) for text in some]
            pairs = pairs and [words(rng, text) for text in pairs]
        compare_call(side, f"{kind} call {index}", some, pairs, call, record)
    compare_decoding(rng, side, kind, record)


def words(rng, text):
    """Pieces, not at white space only, which may hold a line feed."""
    pieces = text.split(" ") if rng.random() < 0.7 else [text[:3], text[3:] + "\n", "a"]
    return pieces or [""]


def compare_call(side, label, texts, pairs, call, record):
    """Ours without truncation refuses what is too long for the model: then only that is checked."""
    call = {"truncation": False, **call}
    limit = getattr(side.reference, "model_max_length", None)
    try:
        expected = side.theirs(texts, pairs, call)
    except Refused as error:
        expected = error
    shown = {key: value for key, value in call.items() if key != "truncation" or value}
    in_lines = [json.dumps(t) if isinstance(t, list) else t for t in texts]
    in_pairs = pairs and [json.dumps(t) if isinstance(t, list) else t for t in pairs]
    try:
        ours = side.ours(in_lines, arguments_of(shown), in_pairs)
    except Refused as error:
        ours = error
    record["tensors"] += len(texts)
    if isinstance(expected, Refused) and isinstance(ours, Refused):
        return
    where = f"{label} {json.dumps(shown, sort_keys=True)}"
    if isinstance(expected, Refused):
        record["differences"].append(f"{where}: the reference fails ({str(expected)[:200]}), ours "
                                     "does not")
    elif isinstance(ours, Refused):
        longest = max(len(row["input_ids"]) for row in expected)
        if side.may_lack_ids and "unk_token" in str(ours):
            return
        if "at most" not in str(ours) or longest <= limit:
            record["differences"].append(f"{where}: {str(ours)[:300]}")
    elif len(ours) != len(expected):
        record["differences"].append(f"{where}: expected {len(expected)} rows, got {len(ours)}")
    else:
        compare_rows(where, texts, expected, ours, record)


def compare_rows(where, texts, expected, ours, record):
    for index, (theirs, mine) in enumerate(zip(expected, ours)):
        if theirs == mine:
            continue
        names = sorted(name for name in theirs.keys() | mine.keys()
                       if theirs.get(name) != mine.get(name))
        name = "input_ids" if "input_ids" in names else names[0]
        text = texts[index] if len(texts) == len(expected) else ""
        shown = describe_text(text) if isinstance(text, str) else ascii(text)
        record["differences"].append(
            f"{where}: row {index} {names}: {name} expected {theirs.get(name)}, got "
            f"{mine.get(name)}; text {shown[:300]}")
        return


def compare_decoding(rng, side, kind, record):
    batch = [random_ids(rng, len(side.reference)) for _ in range(10)]
    for skip in (False, True):
        for clean in (None, True, False):
            arguments = ["--decode"] + ["--skip-special-tokens"] * skip
            if clean is not None:
                arguments.append("--clean-up" if clean else "--no-clean-up")
            for ids in batch if clean is None else batch[:3]:
                try:
                    expected = side.reference.decode(ids, skip_special_tokens=skip,
                                                     clean_up_tokenization_spaces=clean)
                except Exception as error:
                    expected = Refused(str(error))
                try:
                    ours = side.ours([json.dumps(ids)], arguments)[0]["text"]
                except Refused as error:
                    ours = error
                record["tensors"] += 1
                if isinstance(expected, Refused) and isinstance(ours, Refused):
                    continue
                if str(ours) != str(expected):
                    record["differences"].append(
                        f"{kind} decode {arguments[1:]} {ids}: expected {str(expected)!a}, got "
                        f"{str(ours)!a}")
                    return


def self_test(say):
    """Whether differences of every kind are found: (found, missed)."""
    row = {"input_ids": [3, 1, 4], "attention_mask": [1, 1, 0], "offset_mapping": [[0, 0], [0, 2]],
           "length": 3}
    wrong = [{**row, "input_ids": [3, 1, 5]}, {**row, "attention_mask": [1, 1, 1]},
             {**row, "offset_mapping": [[0, 0], [0, 1]]}, {**row, "length": 4},
             {name: value for name, value in row.items() if name != "length"},
             {**row, "overflow_to_sample_mapping": 0}]
    missed = 0
    for other in [row, *wrong]:
        record = {"differences": []}
        compare_rows("self-test", ["text"], [row], [other], record)
        if bool(record["differences"]) == (other is row):
            say(f"tokenizers: not told apart: {row} and {other}")
            missed += 1
    return 1 + len(wrong) - missed, missed
