"""CLIP's tokenizer beside the tokenizers library, on one thread and CLIP's real vocabulary."""

import os
import random
import tempfile
import time
from functools import partial
from pathlib import Path

from bench import rounds
from bench.rounds import alternate, report

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".clip-vocabulary"
QUERIES = ["a photo of a {}", "{}", "a {} on a {}", "the {}'s {}", "two {}s", "{}!"]
SCRIPTS = ["\u043a\u043e\u0448\u043a\u0430 \u0438 \u0441\u043e\u0431\u0430\u043a\u0430",
           "\u732b\u3068\u72ac\u306e\u5199\u771f", "\uace0\uc591\uc774 \uc0ac\uc9c4",
           "\u0642\u0637\u0629 \u0648\u0643\u0644\u0628", "\u092c\u093f\u0932\u094d\u0932\u0940",
           "caf\u00e9 cre\u0300me", "\U0001f600\U0001f680 wow \u2764\ufe0f"]


def workloads(vocabulary):
    rng = random.Random(1)
    words = sorted(token.removesuffix("</w>") for token in vocabulary
                   if token.endswith("</w>") and token.removesuffix("</w>").isascii()
                   and token.removesuffix("</w>").isalpha())

    def fill(template):
        return template.format(*(rng.choice(words) for _ in range(template.count("{}"))))

    def sentence():
        text = " ".join(rng.choice(words) for _ in range(rng.randrange(8, 20)))
        return text.capitalize() + rng.choice((".", "!", "?", ", etc.", " (1984)."))

    return {"1000 queries": [fill(rng.choice(QUERIES)) for _ in range(1000)],
            "1000 sentences": [sentence() for _ in range(1000)],
            "1000 in other scripts": [" ".join(rng.sample(SCRIPTS, 3)) for _ in range(1000)],
            "one text of 100 kB": [" ".join(sentence() for _ in range(1100))[:100_000]]}


def bench(options, google_benchmark):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["RAYON_NUM_THREADS"] = "1"
    from transformers import CLIPTokenizerFast
    from parity.clip_strings import fetch

    missing = fetch()
    if missing:
        raise SystemExit(f"bench: no vocabulary of CLIP: {missing}")
    tokenizer = CLIPTokenizerFast.from_pretrained(FOLDER)
    library = tokenizer.backend_tokenizer
    timed = partial(rounds.timed, clock=getattr(time, options.clock))
    results = {}
    with tempfile.TemporaryDirectory(prefix="vizoo-bench-") as folder:
        for name, texts in workloads(tokenizer.get_vocab()).items():
            path = Path(folder) / "texts.txt"
            path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
            environment = {"VIZOO_BENCH_MODEL": str(FOLDER), "VIZOO_BENCH_TEXTS": str(path)}
            ours = partial(google_benchmark, options, program="tokenizer_bench",
                           environment=environment)
            candidates = {
                "vizoo": ours("tokenize/ids"),
                "vizoo with offsets": ours("tokenize/offsets"),
                "tokenizers 0.15.2": timed(lambda texts=texts: library.encode_batch(texts)),
                "Transformers 4.37.2": timed(lambda texts=texts: tokenizer(texts)),
            }
            results[name] = report(alternate(candidates, options.rounds), threads=1,
                                   clock=options.clock)
    return results
