"""Checks and times candidates in a process of its own, which a faulting kernel may take down.

usage: python3 -m gpu.bench_worker JOB.json RESULTS.jsonl

JOB: {device, ops, choice, rounds, mode: "measure" or "compile", cases: [...], excluded: {case:
{candidate: reason}}}. RESULTS gets a line before anything that may fail hard and one for each case.
"""

import json
import sys
from pathlib import Path

import torch

from bench.rounds import alternate, ratios, summary
from gpu.attention import Problem, Reference
from gpu.bench_cases import COMPILED, PASSES, from_json
from gpu.peers import OWN, Unfit, candidate
from gpu.timing import copy_bandwidth, peak_bytes, timer_for

MOST_TEXT = 600


def short(error):
    return f"{type(error).__name__}: {error}".strip()[:MOST_TEXT]


def is_fatal(error):
    """Whether the device can no longer be used in this process."""
    words = str(error)
    return "CUDA error" in words and "out of memory" not in words


class Worker:
    def __init__(self, job, results):
        self.job, self.results = job, results
        self.device = job["device"]

    def write(self, **row):
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def run(self):
        if self.job["mode"] == "compile":
            for row in self.job["cases"]:
                self.compile(from_json(row))
            return
        if self.job["copy"]:
            self.write(copy_bytes_per_second=copy_bandwidth(self.device))
        for row in self.job["cases"]:
            self.measure(from_json(row))

    def begin(self):
        """Without this, past a number of shapes FlexAttention would silently run uncompiled."""
        torch._dynamo.reset()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def compile(self, case):
        """Fills the caches of the compiler; what fails here fails again, and is told, later."""
        self.begin()
        problem = Problem(case.shape, case.dtype, case.with_rpb, self.device)
        for name in COMPILED:
            if name in case.peers:
                try:
                    peer = candidate(name, problem)
                    peer.forward()
                    peer.backward()
                except Exception as error:
                    if is_fatal(error):
                        raise

    def measure(self, case):
        self.begin()
        self.write(begin=case.name, candidate=None)
        problem = Problem(case.shape, case.dtype, case.with_rpb, self.device)
        reference = Reference(problem)
        result = {"name": case.name, "candidates": {}}
        usable = {which: {} for which in PASSES}
        excluded = self.job["excluded"].get(case.name, {})
        for name in case.candidates:
            row = result["candidates"][name] = {"own": name in OWN}
            if name in excluded:
                row["failed"] = excluded[name]
                continue
            self.write(begin=case.name, candidate=name)
            try:
                runner = candidate(name, problem)
            except Unfit as reason:
                row["skipped"] = str(reason)
                continue
            except Exception as error:
                self.fail(row, error)
                continue
            for which in PASSES:
                try:
                    row[which] = self.check(runner, which, reference)
                    usable[which][name] = runner
                except Exception as error:
                    self.fail(row.setdefault(which, {}), error)
        self.write(begin=case.name, candidate=None)
        for which in PASSES:
            result[which] = self.time(usable[which], which)
        self.write(result=result)

    def fail(self, row, error):
        row["failed"] = short(error)
        if is_fatal(error):
            raise error

    def check(self, runner, which, reference):
        results = runner.results(which)
        errors, wrong = reference.judge(results)
        row = {"errors": errors, "right": not wrong}
        if wrong:
            row["wrong"] = wrong
        if runner.name in OWN:
            again = runner.results(which)
            row["repeats"] = all(torch.equal(results[name], again[name]) for name in results)
            del again
        else:
            row["bias_gradient"] = which == "backward" and "grad_rpb" in results
        del results
        row["peak_bytes"] = peak_bytes(getattr(runner, which), self.device)
        return row

    def time(self, runners, which):
        """Alternating rounds of all candidates, and ratios to each of our kernels."""
        timers, failed = {}, {}
        for name, runner in runners.items():
            try:
                timers[name] = timer_for(self.device)(getattr(runner, which), runner.prepare)
            except Exception as error:
                failed[name] = short(error)
                if is_fatal(error):
                    raise
        times = alternate(timers, self.job["rounds"])
        return {"unit": "ms",
                "times": {name: summary(values) for name, values in times.items()},
                "ratio_peer_to_kernel": {name: ratios(times, name) for name in times
                                         if name in OWN},
                "launch_bound": [name for name, timer in timers.items() if timer.launch_bound],
                "failed": failed}


def main(job_path, results_path):
    job = json.loads(Path(job_path).read_text())
    torch.ops.load_library(job["ops"])
    torch.ops.load_library(job["choice"])
    torch.backends.cuda.matmul.allow_tf32 = False
    Worker(job, Path(results_path)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
