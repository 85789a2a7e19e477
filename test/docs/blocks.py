"""Fenced blocks of a Markdown page, and whether a program's output is what a page shows."""

import dataclasses
import re

FENCE = re.compile(r"^(`{3,})\s*(\S*)\s*(.*)$")
LANGUAGES = ("sh", "text", "cpp", "cmake", "python", "json")
NUMBER = re.compile(r"[-+]?\d+\.\d+")


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: the lines between ``` and ```.

    The words behind the language are its attributes: `file=PATH` (the reader saves the block
    there), `exit=N` (commands that end with N), and of a `text` block `stderr` (shows that stream),
    `approximate` (the last digits of fractions may differ) and `plain` (no output of anything). A
    `plain` block of source text is only shown.
    """

    line: int
    language: str
    attributes: dict
    text: str
    heading: str  # the last one above
    paragraph: str  # the text between this block and what stands above it


def blocks(page):
    """All blocks of a page in order. Raises ValueError for a fence that is never closed."""
    found, heading, paragraph = [], "", []
    lines = iter(enumerate(page.splitlines(), 1))
    for number, line in lines:
        start = FENCE.match(line)
        if start is None:
            if line.startswith("#"):
                heading, paragraph = line.lstrip("#").strip(), []
            else:
                paragraph.append(line)
            continue
        marks, language, words = start.groups()
        content = []
        for _, inner in lines:
            if inner.rstrip() == marks:
                break
            content.append(inner)
        else:
            raise ValueError(f"line {number}: the block is never closed")
        attributes = {}
        for word in words.split():
            key, _, value = word.partition("=")
            attributes[key] = value
        found.append(Block(number, language, attributes, "\n".join(content) + "\n", heading,
                           " ".join(" ".join(paragraph).split())))
        paragraph = []
    return found


def problems(found):
    """What is wrong with the blocks of a page, whatever they do when they are run."""
    result, shows_output = [], False
    for block in found:
        def report(message, block=block):
            result.append(f"line {block.line}: {message}")

        allowed = {"sh": {"exit"}, "text": {"stderr", "approximate", "plain"}}
        unknown = set(block.attributes) - allowed.get(block.language, {"file", "plain"})
        if block.language not in LANGUAGES:
            report(f"expected a block that is called one of {', '.join(LANGUAGES)}, got "
                   f"{block.language!r}")
        elif unknown:
            report(f"{block.language} blocks have no attribute {', '.join(sorted(unknown))}")
        elif block.language in ("cpp", "cmake", "json") and not block.attributes:
            report("expected file=PATH, where a reader saves it, or plain, if it is no file")
        elif block.language == "text" and "plain" not in block.attributes and not shows_output:
            report("there are no commands above that this could be the output of")
        shows_output = block.language in ("sh", "python") or \
            (shows_output and block.language == "text")
    return result


def agrees(shown, actual, approximate=False):
    """Whether `actual` is what a page shows, where a line that begins with ... stands for any
    lines. approximate: fractions may differ by two units of the last digit that is shown."""
    return _agrees(_lines(shown), _lines(actual), approximate)


def _lines(text):
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def _agrees(shown, actual, approximate):
    # reachable[i]: the lines of `shown` so far can stand for the first i lines of `actual`
    reachable = {0}
    for line in shown:
        if line.lstrip().startswith("..."):
            reachable = set(range(min(reachable), len(actual) + 1))
        else:
            reachable = {i + 1 for i in reachable
                         if i < len(actual) and _same_line(line, actual[i], approximate)}
        if not reachable:
            return False
    return len(actual) in reachable


def _same_line(shown, actual, approximate):
    if shown == actual:
        return True
    if not approximate or NUMBER.sub("#", shown) != NUMBER.sub("#", actual):
        return False
    for one, other in zip(NUMBER.findall(shown), NUMBER.findall(actual)):
        unit = 10.0 ** -len(one.partition(".")[2])
        if abs(float(one) - float(other)) > 2.001 * unit:
            return False
    return True
