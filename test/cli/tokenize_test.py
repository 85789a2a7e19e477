"""Runs `vizoo tokenize`: tokenize_test.py PROGRAM, from the source folder."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
MODEL = "test/fixtures/tokenizers/owlv2"  # `a` is 320, `cat` 515; 529 and 530 begin and end a text


PERCEIVER = "test/fixtures/tokenizers/perceiver"  # bytes; at most 32 of them


def vizoo(*arguments, model=MODEL, **options):
    return subprocess.run([PROGRAM, "tokenize", "--model", model, *arguments], capture_output=True,
                          timeout=60, check=False, **options)


def objects(result):
    """What the program printed, one JSON object a line."""
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return [json.loads(line) for line in result.stdout.decode("utf-8").split("\n") if line]


def ids(*arguments, **options):
    return [row["input_ids"] for row in objects(vizoo(*arguments, **options))]


class Tokenize(unittest.TestCase):
    def check_failure(self, result, code, message):
        self.assertEqual(result.stderr.decode("utf-8"), message + "\n")
        self.assertEqual(result.stdout, b"")
        self.assertEqual(result.returncode, code)

    def test_texts(self):
        self.assertEqual(objects(vizoo("a cat", "")), [
            {"input_ids": [529, 320, 515, 530], "attention_mask": [1, 1, 1, 1]},
            {"input_ids": [529, 530], "attention_mask": [1, 1]}])
        self.assertEqual(objects(vizoo("a", "--padding", "max_length", "--max-length", "5")), [
            {"input_ids": [529, 320, 530, 0, 0], "attention_mask": [1, 1, 1, 0, 0]}])
        self.assertEqual(ids("a", "a a", "--padding", "longest"),
                         [[529, 320, 530, 0], [529, 320, 320, 530]])

    def test_texts_that_look_like_something_else(self):
        self.assertEqual(len(ids("[a, b]", "list", "a,b")), 3)
        self.assertEqual(ids("--", "-a"), ids("- a"))
        self.check_failure(vizoo("--typo", "a"), 2,
                           "[usage] --typo: expected an option, got none of that name. Texts may "
                           "follow --.")

    def test_files_are_split_at_line_feeds_only(self):
        text = "a\r\na\x0ba\u2028a\n\na"
        expected = [[529, 320, 530], [529, 320, 320, 320, 530], [529, 530], [529, 320, 530]]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "lines.txt"
            path.write_bytes(text.encode("utf-8"))
            self.assertEqual(ids("--file", str(path)), expected)
            path.write_bytes(b"")
            self.assertEqual(ids("--file", str(path)), [])
        self.assertEqual(ids("--file", "-", input=text.encode("utf-8")), expected)

    def test_a_text_that_is_too_long_is_an_error_or_cut_with_a_warning(self):
        text = " ".join("a" * 20)
        self.check_failure(vizoo("a", text), 1,
                           "[tokenizer] text 1: expected at most 16 tokens, got 22. Truncation "
                           "cuts longer texts.")
        result = vizoo("a", text, "--truncation")
        self.assertEqual([len(row["input_ids"]) for row in objects(result)], [3, 16])
        self.assertEqual(result.stderr.decode("utf-8"),
                         "warning: text 1 lost 6 tokens to truncation.\n")
        self.assertEqual(ids("--truncation", "--max-length", "3", "a cat"), [[529, 320, 530]])

    def test_pairs_and_windows(self):
        self.assertEqual(ids("a", "--text-pair", "cat"), [[529, 320, 530, 530, 515, 530]])
        self.assertEqual(ids("a", "--text-pair", "cat a", "--truncation", "--truncation-strategy",
                             "only_second", "--max-length", "6"), [[529, 320, 530, 530, 515, 530]])
        rows = objects(vizoo("a a a", "--truncation", "--max-length", "4", "--stride", "1",
                             "--return-overflowing-tokens", "--return-length"))
        self.assertEqual([row["length"] for row in rows], [4, 4])
        self.assertEqual([row["overflow_to_sample_mapping"] for row in rows], [0, 0])
        self.check_failure(vizoo("a", "b", "--text-pair", "c"), 2,
                           "[usage] --text-pair: expected one for each of the 2 texts, got 1.")

    def test_everything_that_can_be_asked_for(self):
        (row,) = objects(vizoo("a CAT", "--return-offsets-mapping", "--return-token-type-ids",
                               "--return-special-tokens-mask", "--no-attention-mask"))
        self.assertEqual(row, {"input_ids": [529, 320, 515, 530],
                               "token_type_ids": [0, 0, 0, 0], "special_tokens_mask": [1, 0, 0, 1],
                               "offset_mapping": [[0, 0], [0, 1], [2, 5], [0, 0]]})
        self.assertEqual(ids("cat", "--no-special-tokens", "--pad-to-multiple-of", "4",
                             "--padding", "longest"), [[515, 0, 0, 0]])
        self.assertEqual(ids('["a", "cat"]', "--is-split-into-words"), [[529, 320, 515, 530]])

    def test_the_slow_tokenizer(self):
        self.assertEqual(ids("ca\x07t", "--slow"), [[529, 515, 530]])
        self.assertNotEqual(ids("ca\x07t"), [[529, 515, 530]])
        self.check_failure(vizoo("a", "--slow", "--return-offsets-mapping"), 2,
                           "[usage] return_offsets_mapping: expected a fast tokenizer, got a slow "
                           "one, which knows no offsets. Load one with use_fast, if the class has "
                           "one.")

    def test_perceiver(self):
        euro = [4, 91, 116, 111, 105, 117, 106, 107, 38, 232, 136, 178, 52, 5]
        text = "Unicode \u20ac ."
        self.assertEqual(ids("Unicode \u20ac.", "[MASK]", model=PERCEIVER), [euro, [4, 3, 5]])
        self.assertEqual(ids("a", "--text-pair", "b", "--slow", model=PERCEIVER),
                         [[4, 103, 5, 104, 5]])
        row = json.dumps(ids(text, model=PERCEIVER)[0])
        for flags, expected in (((), "[CLS]Unicode \u20ac.[SEP]"),
                                (("--skip-special-tokens", "--no-clean-up"), text)):
            decoded = objects(vizoo("--decode", *flags, row, model=PERCEIVER))
            self.assertEqual(decoded, [{"text": expected}])
        self.check_failure(vizoo("--decode", "300", model=PERCEIVER), 1,
                           "[tokenizer] ids: expected ids of the vocabulary, got 300.")
        self.check_failure(vizoo("a" * 40, model=PERCEIVER), 1,
                           "[tokenizer] text 0: expected at most 32 tokens, got 42. Truncation "
                           "cuts longer texts.")
        self.check_failure(vizoo("--return-offsets-mapping", "a", model=PERCEIVER), 2,
                           "[usage] return_offsets_mapping: expected a fast tokenizer, got a slow "
                           "one, which knows no offsets. Load one with use_fast, if the class has "
                           "one.")

    def test_decode(self):
        def decoded(*arguments):
            return [row["text"] for row in objects(vizoo("--decode", *arguments))]

        self.assertEqual(decoded("529 320 515 530", "[320, 515]", "{\"input_ids\": [515]}", ""),
                         ["<|startoftext|>a cat <|endoftext|>", "a cat", "cat", ""])
        self.assertEqual(decoded("529,515,530", "--skip-special-tokens"), ["cat"])
        self.assertEqual(decoded("515 269", "--no-clean-up"), ["cat ."])
        self.assertEqual(decoded("515 269", "--clean-up"), ["cat."])
        self.assertEqual(decoded("127 127"), ["\ufffd\ufffd"])
        self.check_failure(vizoo("--decode", "x"), 1,
                           "[tokenizer] ids:1:2: expected a value or \"]\", got \"x\".")
        lines = vizoo("a cat", "cat")
        self.assertEqual(objects(vizoo("--decode", "--skip-special-tokens", "--file", "-",
                                       input=lines.stdout)), [{"text": "a cat"}, {"text": "cat"}])

    def test_failures(self):
        self.check_failure(vizoo(), 2,
                           "[usage] tokenize: expected either TEXT or --file, got neither.")
        self.check_failure(vizoo("a", "--max-length", "-1"), 2,
                           "[usage] max_length: expected at least 0, got -1.")
        self.check_failure(vizoo("--file", "-", input=b"a\nb\xff\n"), 1,
                           "[tokenizer] text 1: expected valid UTF-8, got \"\\xff\" at byte 1.")
        self.assertEqual(vizoo("a", "--padding", "x").returncode, 2)
        result = vizoo("--model", "no/such/folder", "a")
        self.assertEqual(result.returncode, 2)  # --model twice
        result = subprocess.run([PROGRAM, "tokenize", "--model", "no/such/folder", "a"],
                                capture_output=True, check=False)
        self.check_failure(result, 1, "[tokenizer] no/such/folder: expected a folder, got none.")


if __name__ == "__main__":
    PROGRAM = sys.argv[1]
    unittest.main(argv=sys.argv[:1])
