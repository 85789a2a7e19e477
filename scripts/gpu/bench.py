"""Our kernels of neighborhood attention beside their peers, on this device.

Nothing here is a test of speed; a kernel of ours that is wrong, that does not repeat to the bit or
that faults is a failure. A peer that does not run is unavailable, with its reason.
"""

import json
import os
import subprocess
import sys
import time

from gpu.attention import DTYPES, STAGES
from gpu.bench_cases import PASSES, bench_cases
from gpu.process import stop
from gpu.session import Part, missing_products, say

LIMIT = 480
COMPILE_LIMIT = 120
COMPILERS = 6
CASE_LIMIT = 90
MOST_FAULTS = 3  # of a candidate; each costs the start of a process
ROUNDS = 7
# (what, limit in milliseconds) at stage 1, bfloat16, batch 128.
TARGETS = (("forward", 0.064), ("backward", 0.128), ("backward with two kernels", 0.190))


class Benchmarks:
    def __init__(self, session):
        self.session = session
        self.folder = session.logs / "bench"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.deadline = min(time.monotonic() + LIMIT, session.deadline)
        self.results, self.lost = {}, {}
        self.excluded = {}  # case: {candidate: why}
        self.faults = {}  # candidate: in how many cases it took the process down
        self.copy = None
        self.environment = {**os.environ,
                            "TORCHINDUCTOR_CACHE_DIR": str(session.build / "inductor-cache"),
                            "TRITON_CACHE_DIR": str(session.build / "triton-cache")}

    def start(self, name, mode, cases):
        job = {"device": self.session.device, "ops": str(self.session.ops_library),
               "choice": str(self.session.choice_library), "mode": mode, "copy": self.copy is None,
               "rounds": 2 if self.session.is_dry else ROUNDS, "excluded": self.all_excluded(cases),
               "cases": [case.as_json() for case in cases]}
        path, results = self.folder / f"{name}.json", self.folder / f"{name}.jsonl"
        path.write_text(json.dumps(job))
        results.write_text("")
        with (self.folder / f"{name}.txt").open("w") as log:
            process = subprocess.Popen([sys.executable, "-m", "gpu.bench_worker", path, results],
                                       stdout=log, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL, start_new_session=True,
                                       env=self.environment)
        return process, results

    def compile_first(self, cases):
        """FlexAttention compiles for seconds at each shape: several processes fill its cache."""
        cases = [case for case in cases if case.peers]
        shares = [cases[i::COMPILERS] for i in range(COMPILERS)]
        running = [self.start(f"compile-{i}", "compile", share)[0]
                   for i, share in enumerate(shares) if share]
        end = min(self.deadline, time.monotonic() + COMPILE_LIMIT)
        for process in running:
            try:
                process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                stop(process)

    def measure(self, cases):
        """All cases, in as many processes as faults make necessary. Returns those not reached."""
        waiting, attempt = list(cases), 0
        while waiting and time.monotonic() < self.deadline:
            process, path = self.start(f"measure-{attempt}", "measure", waiting)
            begun, how = self.follow(process, path)
            waiting = [case for case in waiting
                       if case.name not in self.results and case.name not in self.lost]
            if how == "no time":
                break
            if process.returncode == 0 and how == "ended":
                break
            self.blame(begun, self.last_words(attempt, how, process.returncode))
            waiting = [case for case in waiting if case.name not in self.lost]
            attempt += 1
        return waiting

    def follow(self, process, path):
        """Reads results until the process ends: (last begun case and candidate, how it ended)."""
        begun, position, changed = None, 0, time.monotonic()
        while True:
            ended = process.poll() is not None
            with path.open(encoding="utf-8") as file:
                file.seek(position)
                for line in file:
                    if not line.endswith("\n"):
                        break
                    position += len(line.encode())
                    changed = time.monotonic()
                    begun = self.take(json.loads(line)) or begun
            if ended:
                return begun, "ended"
            if time.monotonic() > self.deadline:
                stop(process)
                return begun, "no time"
            if time.monotonic() - changed > CASE_LIMIT:
                stop(process)
                return begun, f"no answer within {CASE_LIMIT} s"
            time.sleep(0.05)

    def take(self, row):
        if "copy_bytes_per_second" in row:
            self.copy = row["copy_bytes_per_second"]
        elif "result" in row:
            self.results[row["result"]["name"]] = row["result"]
            say(f"  {row['result']['name']}")
        else:
            return row["begin"], row["candidate"]
        return None

    def last_words(self, attempt, how, code):
        words = (self.folder / f"measure-{attempt}.txt").read_text(errors="replace").strip()
        end = f"exit code {code}" if how == "ended" else how
        return f"{end}: " + " | ".join(words.splitlines()[-2:])[:600]

    def blame(self, begun, words):
        """The candidate that took the process down is left out from now on; else the case is."""
        case, name = begun or (None, None)
        if case is None:
            self.lost["the worker"] = words
            self.deadline = 0.0
        elif name is None or name in self.excluded.get(case, {}):
            self.lost[case] = words
        else:
            self.excluded.setdefault(case, {})[name] = words
            self.faults[name] = self.faults.get(name, 0) + 1

    def all_excluded(self, cases):
        """What each of the cases must do without."""
        often = {name: f"left out: it took the process down in {count} other cases"
                 for name, count in self.faults.items() if count >= MOST_FAULTS}
        return {case.name: {**often, **self.excluded.get(case.name, {})} for case in cases}


def judge(part, results):
    """Fills in failures and unavailable peers."""
    for name, result in results.items():
        for candidate, row in result["candidates"].items():
            if "skipped" in row:
                row["status"] = "skipped"
                continue
            own = row["own"]
            for which in PASSES:
                found = row.get(which, {"failed": row.get("failed", "did not run")})
                problem = found.get("failed") or result[which]["failed"].get(candidate)
                if own and not problem and not found["right"]:
                    errors = ", ".join(f"{wrong} {found['errors'][wrong]['error']:.3e} > "
                                       f"{found['errors'][wrong]['allowed']:.3e}"
                                       for wrong in found["wrong"])
                    problem = f"wrong: {errors}"
                if own and not problem and not found["repeats"]:
                    problem = "differs from run to run"
                if not problem:
                    part.done += 1
                    continue
                words = f"bench {name}, {candidate}, {which}: {problem}"
                (part.failures if own else part.unavailable).append(words)


def verdict(results, copy):
    """For each case: which of our kernels are right, the fastest of them, and what it gains."""
    rows = {}
    for name, result in results.items():
        row = rows[name] = {}
        for which in PASSES:
            right = [kernel for kernel, found in result["candidates"].items()
                     if found["own"] and found.get(which, {}).get("right") and
                     found[which]["repeats"] and kernel in result[which]["times"]]
            median = {kernel: result[which]["times"][kernel]["median"] for kernel in right}
            if not median:
                row[which] = {"right": []}
                continue
            best = min(median, key=median.get)
            gains = result[which]["ratio_peer_to_kernel"][best]
            row[which] = {"right": right, "fastest": best, "ms": median[best],
                          "times_faster_than": {peer: gain["median"]
                                                for peer, gain in gains.items()}}
            if copy:
                row[which]["bytes_bound_ms"] = bytes_bound(name, which, copy)
    return rows


def bytes_bound(name, which, copy):
    """Milliseconds to read the inputs once and write the results once, as fast as a copy does."""
    case = next(case for device in ("cuda", "cpu") for case in bench_cases(device)
                if case.name == name)
    tensors = 4 if which == "forward" else 8
    return tensors * case.shape.tensor_bytes(case.dtype) / copy * 1e3


def targets(rows):
    row = rows.get(f"{STAGES[0].name} bfloat16 with bias")
    if row is None:
        return []
    return [{"what": what, "limit_ms": limit, "ms": row[what.split()[0]].get("ms"),
             "met": row[what.split()[0]].get("ms", float("inf")) <= limit}
            for what, limit in TARGETS]


def bench(session):
    part = Part()
    missing = missing_products(session.ops_library, session.choice_library)
    if missing:
        part.failures.append(f"bench: {missing}")
        return part
    cases = bench_cases(session.device)
    benchmarks = Benchmarks(session)
    if not session.is_dry:
        benchmarks.compile_first(cases)
    left = benchmarks.measure(cases)
    judge(part, benchmarks.results)
    part.failures += [f"bench {name}: {words}" for name, words in benchmarks.lost.items()]
    part.skipped += [f"bench {case.name}: not reached" for case in left]
    part.details["rules"] = {
        "times": "device time of one call; medians of alternating rounds; inputs are used again, "
                 "so that small ones come from the L2 cache",
        "right": "largest error against float64 at most 2 x the plain composition's in the same "
                 "type + 1e-5",
        "dtypes": list(DTYPES),
        "peers": "in the layout that suits them; dense masked has no gradient of the bias"}
    part.details["copy_bytes_per_second"] = benchmarks.copy
    part.details["cases"] = benchmarks.results
    part.details["verdict"] = verdict(benchmarks.results, benchmarks.copy)
    part.details["targets"] = targets(part.details["verdict"])
    return part
