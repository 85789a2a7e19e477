"""Checks all pages without running anything, and the checks themselves.

usage: pages_test.py SOURCE DOCUMENT...     (the documents whose commands are run)
"""

import pathlib
import re
import sys
import unittest
import urllib.parse

from blocks import agrees, blocks, problems
from run_document import FORBIDDEN

SOURCE, DOCUMENTS = pathlib.Path(sys.argv[1]), sys.argv[2:]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchor(heading):
    """The fragment by which a heading can be linked to."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", ""))
    return text.replace(" ", "-")


def prose(page):
    """A page without its fenced blocks."""
    return re.sub(r"^(`{3,}).*?^\1\s*$", "", page, flags=re.MULTILINE | re.DOTALL)


def pages():
    yield from (SOURCE / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    yield from sorted((SOURCE / "docs").rglob("*.md"))
    yield SOURCE / "weights/README.md"


def broken_links(path, text):
    for match in LINK.finditer(prose(text)):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = path if not name else path.parent / urllib.parse.unquote(name)
        if not target.exists():
            yield link
        elif fragment and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", prose(target.read_text()), re.MULTILINE)
            if fragment not in map(anchor, headings):
                yield link


class Pages(unittest.TestCase):
    def test_links_lead_somewhere(self):
        broken = [f"{path.relative_to(SOURCE)}: {link}" for path in pages()
                  for link in broken_links(path, path.read_text())]
        self.assertEqual(broken, [])

    def test_every_page_is_in_the_index(self):
        index = (SOURCE / "docs/README.md").read_text()
        for path in sorted((SOURCE / "docs").glob("*.md")):
            if path.name != "README.md":
                self.assertIn(f"({path.name})", index)
        for path in sorted((SOURCE / "docs/models").glob("*.md")):
            self.assertIn(f"(models/{path.name})", index)

    def test_pages_are_ascii(self):
        self.assertEqual([str(path) for path in pages() if not path.read_text().isascii()], [])

    def test_what_is_not_run_is_of_a_page_that_is(self):
        for block in blocks((SOURCE / "test/docs/not_run.md").read_text()):
            self.assertIn(block.heading, DOCUMENTS)
            self.assertGreater(len(block.paragraph), 20, "a reason")


PAGE = """# Title

Say this:

```sh exit=3
false
```

```text approximate
0.12  a
```

```cpp file=main.cpp
int main() {}
```
"""


class Checks(unittest.TestCase):
    """That the checks find what they are for."""

    def test_blocks(self):
        command, output, source = blocks(PAGE)
        self.assertEqual((command.language, command.attributes, command.text, command.line),
                         ("sh", {"exit": "3"}, "false\n", 5))
        self.assertEqual((command.heading, command.paragraph), ("Title", "Say this:"))
        self.assertEqual(output.attributes, {"approximate": ""})
        self.assertEqual(source.attributes, {"file": "main.cpp"})
        self.assertEqual(problems([command, output, source]), [])
        with self.assertRaisesRegex(ValueError, "line 2: the block is never closed"):
            blocks("a\n```sh\nls\n")

    def test_problems(self):
        for page, problem in (("```\nls\n```\n", "got ''"),
                              ("```bash\nls\n```\n", "got 'bash'"),
                              ("```sh file=x\nls\n```\n", "no attribute file"),
                              ("```cpp\nint x;\n```\n", "expected file=PATH"),
                              ("```text\nx\n```\n", "no commands above"),
                              ("```cmake file=x\n```\n```text\nx\n```\n", "no commands above")):
            (found,) = problems(blocks(page))
            self.assertIn(problem, found)
        self.assertEqual(problems(blocks("```text plain\nx\n```\n")), [])

    def test_output(self):
        self.assertTrue(agrees("a\nb\n", "a\nb\n"))
        self.assertTrue(agrees("a  \n", "a\n\n"))
        for other in ("a\n", "a\nb\nc\n", "b\na\n", ""):
            self.assertFalse(agrees("a\nb\n", other))
        self.assertTrue(agrees("a\n...\nc\n", "a\nb\nb\nc\n"))
        self.assertTrue(agrees("a\n... 17 more ...\nc\n", "a\nc\n"))
        self.assertTrue(agrees("...\n", "anything\nat all\n"))
        self.assertTrue(agrees("...\nb\n...\nb\n", "b\nx\nb\n"))
        self.assertFalse(agrees("a\n...\nc\n", "a\nb\nd\n"))
        self.assertFalse(agrees("a\n...\nb\n", "x\nb\n"))

    def test_approximate_output(self):
        shown = "  0.9165  label 6\n"
        self.assertTrue(agrees(shown, "  0.9163  label 6\n", approximate=True))
        self.assertFalse(agrees(shown, "  0.9163  label 6\n"))
        for other in ("  0.9160  label 6\n", "  0.9165  label 7\n", "  0.9165\n"):
            self.assertFalse(agrees(shown, other, approximate=True))

    def test_commands_that_would_change_the_build(self):
        for text in ("scripts/setup.sh --preset dev\n", "sudo ls\n", "apt-get install x\n",
                     "cmake --preset test\n", "ls\ncmake --build build/release\n",
                     "cmake -B build/release && ls\n", "ninja -C build/dev\n"):
            self.assertTrue(FORBIDDEN.search(text), text)
        for text in ("cmake --build app/build\n", "cmake -S app -B app/build\n",
                     "cmake --install build/release --prefix x\n", "vizoo list\n"):
            self.assertFalse(FORBIDDEN.search(text), text)

    def test_links(self):
        here = SOURCE / "README.md"
        text = "# A b\n[x](docs/errors.md) [y](docs/errors.md#form) [z](https://x.invalid/a)"
        self.assertEqual(list(broken_links(here, text)), [])
        text = "[x](docs/none.md) [y](docs/errors.md#none) ![z](none.png)"
        self.assertEqual(list(broken_links(here, text)),
                         ["docs/none.md", "docs/errors.md#none", "none.png"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
