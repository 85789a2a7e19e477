"""Checks that files which are compiled as one do not share names.

usage: check_unity.py BUILD_FOLDER | --self-test

In a unity build the anonymous namespaces of a target's files are one. Two definitions of one kind are an
error of the compiler; two functions of one name may be overloads, and a call then silently means the
wrong one. So no two files of a target define the same name there, whichever batch they are in today.
Aliases (`using Clock = ...`) may repeat: the compiler refuses those that differ.
"""

import collections
import pathlib
import re
import sys

NAMESPACE = re.compile(r"^namespace \{\n(.*?)^\}  // namespace$", re.MULTILINE | re.DOTALL)
TYPE = re.compile(r"(?:struct|class|enum class|enum) (\w+)[^;]*$")
FUNCTION = re.compile(r"(?:\[\[\w+\]\] )?[\w:<>,&*\s]*?[\s&*>](\w+)\(")
CONSTANT = re.compile(r"(?:inline )?(?:static )?(?:constexpr|const) [^=({]*?\b(\w+)(?:\[\w*\])?\s*[={(]")


def names_of(text):
    """What the anonymous namespaces of a source file define, by lines that begin in column 0."""
    names = set()
    for block in NAMESPACE.findall(text):
        for line in block.splitlines():
            if not line or not (line[0].isalpha() or line[0] == "["):
                continue
            if line.startswith(("using ", "namespace ", "template ", "return ", "extern ")):
                continue
            for pattern in (TYPE, CONSTANT, FUNCTION):
                match = pattern.match(line)
                if match:
                    names.add(match.group(1))
                    break
    return names


def targets(folder):
    """{target: its source files that are compiled together with others}"""
    found = collections.defaultdict(set)
    for unity in sorted(folder.glob("**/*.dir/Unity/unity_*.cxx")):
        target = unity.parent.parent.name.removesuffix(".dir")
        found[target].update(re.findall(r'^#include "([^"]+)"', unity.read_text(), re.MULTILINE))
    return found


def clashes(sources):
    """{name: files} of the names that more than one of the texts {file: text} define."""
    users = collections.defaultdict(list)
    for file, text in sorted(sources.items()):
        for name in names_of(text):
            users[name].append(file)
    return {name: files for name, files in sorted(users.items()) if len(files) > 1}


def self_test():
    one = """namespace {
constexpr double kPi = 3;
struct Entry {
  int number() const;
};
template <class T>
[[noreturn]] void fail(const T& what,
                       int why) {
}
std::vector<int> sizes(int);
using Clock = int;
}  // namespace
int shared() { return 1; }
"""
    assert names_of(one) == {"kPi", "Entry", "fail", "sizes"}, names_of(one)
    other = "namespace {\n\nbool fail(int) { return true; }\nusing Clock = int;\n}  // namespace\n"
    assert clashes({"a": one, "b": other, "c": "int fail(int);\n"}) == {"fail": ["a", "b"]}
    assert clashes({"a": one}) == {}


def main(arguments):
    if arguments == ["--self-test"]:
        self_test()
        print("unity: self-test passed")
        return 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = targets(pathlib.Path(arguments[0]))
    if not found:
        print(f"{arguments[0]}: no unity build", file=sys.stderr)
        return 1
    count = 0
    for target, files in sorted(found.items()):
        sources = {file: pathlib.Path(file).read_text() for file in files}
        for name, users in clashes(sources).items():
            print(f"{target}: {name} is defined in {', '.join(users)}", file=sys.stderr)
            count += 1
    if count == 0:
        print(f"unity: {sum(map(len, found.values()))} files of {len(found)} targets share no names")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
