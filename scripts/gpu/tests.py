"""Runs vizoo_test_gpu and reads what each test case said."""

import re
import xml.etree.ElementTree as ElementTree

from gpu.process import run
from gpu.session import Part, missing_products

LIMIT = 180
ALONE_LIMIT = 60
MOST_ALONE = 6
MOST_TEXT = 1500
NO_DEVICE = "no CUDA device"


def parse_catch(text):
    """[{name, ok, seconds, problems, heard}] from Catch2's XML; a cut-off end is no obstacle.

    A test case that was begun but not ended has `ok` None: the program died or was stopped in it.
    """
    start = text.find("<?xml")
    parser = ElementTree.XMLPullParser(("start", "end"))
    cases, open_case = [], None
    try:
        parser.feed(text[start:] if start >= 0 else "")
        for event, element in parser.read_events():
            if element.tag == "TestCase" and event == "start":
                open_case = {"name": element.get("name"), "ok": None, "seconds": None,
                             "problems": [], "heard": []}
                cases.append(open_case)
            elif open_case is None or event == "start":
                continue
            elif element.tag in ("StdErr", "StdOut"):
                open_case["heard"].append(element.text or "")
            elif element.tag == "OverallResult":
                open_case["ok"] = element.get("success") == "true"
                seconds = element.get("durationInSeconds")
                open_case["seconds"] = round(float(seconds), 3) if seconds else None
            elif element.tag == "Expression" and element.get("success") == "false":
                original = (element.findtext("Original") or "").strip()
                expanded = (element.findtext("Expanded") or "").strip()
                open_case["problems"].append(f"{original} with {expanded}"[:MOST_TEXT])
            elif element.tag in ("Exception", "FatalErrorCondition", "Failure", "Info"):
                words = (element.text or "").strip()
                if words and len(open_case["problems"]) < 20:
                    open_case["problems"].append(f"{element.tag}: {words}"[:MOST_TEXT])
            elif element.tag == "TestCase":
                open_case = None
    except ElementTree.ParseError:
        pass  # not XML from here on; what was read stays
    return cases


def parse_skips(text):
    """{test case: reason} from the lines of VIZOO_SKIP, wherever they are."""
    return dict(re.findall(r"^\s*SKIPPED (.*?): (.*?)\s*$", text, flags=re.MULTILINE))


def run_cases(program, limit, folder, log, names=()):
    """(test cases, {skipped: reason}, how the program ended)."""
    xml = log.with_suffix(".xml")
    xml.parent.mkdir(parents=True, exist_ok=True)
    xml.unlink(missing_ok=True)
    # A comma separates patterns, and brackets begin a tag.
    patterns = [re.sub(r"([\\,\[\]])", r"\\\1", name) for name in names]
    finished = run([program, *patterns, "--reporter", "xml", "--durations", "yes", "--out", xml],
                   limit, folder=folder, log=log)
    text = xml.read_text(errors="replace") if xml.exists() else ""
    cases = parse_catch(text)
    # The XML reporter takes what test cases write to standard error into its own output.
    heard = [finished.output, *(words for case in cases for words in case.pop("heard"))]
    return cases, parse_skips("\n".join(heard)), finished


def judge(part, cases, skips, finished):
    """Fills in `part` from one run of the whole program; returns the names of failed cases."""
    bad = []
    for case in cases:
        name = case["name"]
        if name in skips:
            case["ok"] = None
            case["skipped"] = skips[name]
            unavailable = NO_DEVICE in skips[name]
            (part.failures if unavailable else part.skipped).append(f"test {name}: {skips[name]}")
        elif case["ok"]:
            part.done += 1
        else:
            bad.append(name)
            words = case["problems"][-1] if case["problems"] else "the program ended in it"
            part.failures.append(f"test {name}: {words}")
    if not cases:
        part.failures.append(f"tests: no test case ran: {finished.problem()}")
    elif not finished.ok and not bad:
        part.failures.append(f"tests: {finished.problem()}")
    return bad


def tests(session):
    part = Part()
    if session.is_dry:
        part.skipped.append("tests: vizoo_test_gpu needs a GPU")
        return part
    missing = missing_products(session.test_program)
    if missing:
        part.failures.append(f"tests: {missing}")
        return part
    cases, skips, finished = run_cases(session.test_program, min(LIMIT, session.remaining()),
                                       session.root, session.logs / "tests.txt")
    bad = judge(part, cases, skips, finished)
    part.details["cases"] = cases
    part.details["program"] = {"exit_code": finished.code, "seconds": round(finished.seconds, 1)}
    # A fault of one kernel fails everything after it in the same process.
    alone = {}
    for number, name in enumerate(bad[:MOST_ALONE]):
        again, _, ended = run_cases(session.test_program, min(ALONE_LIMIT, session.remaining()),
                                    session.root, session.logs / f"test-alone-{number}.txt", [name])
        passed = ended.ok and bool(again) and all(case["ok"] for case in again)
        alone[name] = "passed" if passed else ended.problem(lines=3)
    if alone:
        part.details["failed_cases_run_alone"] = alone
    return part
