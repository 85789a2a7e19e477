"""Alternating rounds: machines drift, so only ratios within a round are trusted."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def alternate(candidates, rounds):
    """Runs every candidate once a round, in an order that turns.

    candidates: {name: function that returns milliseconds}. Returns {name: [ms per round]}.
    """
    names = list(candidates)
    times = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            times[name].append(candidates[name]())
    return times


def summary(values):
    """Median, least value and interquartile range."""
    ordered = sorted(values)
    quarters = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else [ordered[0]] * 3
    return {"median": round(statistics.median(ordered), 4), "min": round(ordered[0], 4),
            "interquartile": round(quarters[2] - quarters[0], 4)}


def ratios(times, ours="vizoo"):
    """Peer / ours per round: above 1 we are faster. Median, extremes and spread."""
    result = {}
    for name, values in times.items():
        if name == ours:
            continue
        each = [peer / own for peer, own in zip(values, times[ours])]
        result[name] = {**summary(each), "max": round(max(each), 4)}
    return result


def report(times, unit="ms", ours="vizoo", **more):
    return {"unit": unit, "rounds": len(times[ours]),
            "times": {name: summary(values) for name, values in times.items()},
            "ratio_peer_to_ours": ratios(times, ours), **more}


def timed(function, least_seconds=0.3, least_runs=5, clock=time.perf_counter):
    """A candidate: the median of many calls of `function`, in milliseconds of `clock`."""
    def measure():
        function()
        values, started = [], time.perf_counter()
        while len(values) < least_runs or time.perf_counter() - started < least_seconds:
            before = clock()
            function()
            values.append((clock() - before) * 1e3)
        return statistics.median(values)

    return measure


def run_child(command, environment=None):
    """Runs a process to its end: (milliseconds, peak resident MiB, standard output)."""
    helper = [sys.executable, "-S", "-E", str(Path(__file__).with_name("measure_child.py"))]
    done = subprocess.run(helper + [str(word) for word in command], capture_output=True, text=True,
                          check=True, env={**os.environ, **(environment or {})})
    answer = json.loads(done.stdout)
    if answer["exit_code"] != 0:
        raise SystemExit(f"bench: exit code {answer['exit_code']}: {command[0]}: "
                         f"{answer['problem']}")
    return answer["ms"], answer["peak_mib"], answer["output"]
