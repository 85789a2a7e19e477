"""What the parts of scripts/gpu_check.sh make of programs that fail, fault, refuse or lie."""

import json
import pathlib
import random
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import torch

from gpu import bench, check, models, peers, sanitizer, session, tests
from gpu.attention import DRY, STAGES, Problem, Reference, gather, largest_error
from gpu.bench_cases import bench_cases
from gpu.configurations import CONFIGURATIONS, random_configuration
from gpu.process import Finished, run

CATCH = """noise before it
<?xml version="1.0" encoding="UTF-8"?>
<Catch name="vizoo_test_gpu">
  <Group name="vizoo_test_gpu">
    <TestCase name="cuda good" filename="a.cpp" line="1">
      <OverallResult success="true" durationInSeconds="0.25"/>
    </TestCase>
    <TestCase name="cuda bad" filename="a.cpp" line="9">
      <Info>
        error 0.5, allowed 0.1
      </Info>
      <Expression success="false" type="CHECK" filename="a.cpp" line="10">
        <Original>
          wrong.empty()
        </Original>
        <Expanded>
          false
        </Expanded>
      </Expression>
      <OverallResult success="false" durationInSeconds="1.5"/>
    </TestCase>
    <TestCase name="cuda big" filename="a.cpp" line="20">
      <OverallResult success="true" durationInSeconds="0.0"/>
    </TestCase>
    <TestCase name="cuda dies" filename="a.cpp" line="30">
"""


# Writes what a test program without a GPU writes to the file after --out.
SKIPPING_PROGRAM = """
import sys
open(sys.argv[sys.argv.index("--out") + 1], "w").write('''<?xml version="1.0"?>
<Catch><TestCase name="cuda a, b"><OverallResult success="true"><StdErr>
SKIPPED cuda a, b: no CUDA device was found
        </StdErr></OverallResult></TestCase></Catch>''')
"""


class TestsPartTest(unittest.TestCase):
    def test_catch_output_that_is_cut_off(self):
        cases = tests.parse_catch(CATCH)
        self.assertEqual([case["name"] for case in cases],
                         ["cuda good", "cuda bad", "cuda big", "cuda dies"])
        self.assertEqual([case["ok"] for case in cases], [True, False, True, None])
        self.assertEqual(cases[0]["seconds"], 0.25)
        self.assertEqual(cases[1]["problems"],
                         ["Info: error 0.5, allowed 0.1", "wrong.empty() with false"])
        self.assertEqual(tests.parse_catch("Segmentation fault"), [])

    def judge(self, text, log="", code=1):
        part = session.Part()
        bad = tests.judge(part, tests.parse_catch(text), tests.parse_skips(log),
                          Finished(code, log, 1.0))
        return part, bad

    def test_failed_died_and_skipped_cases(self):
        part, bad = self.judge(CATCH, "SKIPPED cuda big: needs 60 GB of GPU memory\n")
        self.assertEqual(bad, ["cuda bad", "cuda dies"])
        self.assertEqual(part.done, 1)
        self.assertEqual(part.skipped, ["test cuda big: needs 60 GB of GPU memory"])
        self.assertEqual(len(part.failures), 2)
        self.assertEqual(part.status, "failed")

    def test_no_device_is_a_failure(self):
        part, _ = self.judge(CATCH.split('<TestCase name="cuda bad"')[0],
                             "SKIPPED cuda good: no CUDA device was found\n", 0)
        self.assertEqual(part.done, 0)
        self.assertEqual(part.status, "failed")

    def test_skips_inside_of_the_xml(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program.py")
            program.write_text(SKIPPING_PROGRAM)
            cases, skips, finished = tests.run_cases(
                sys.executable, 60, ROOT, pathlib.Path(folder, "log.txt"), [str(program)])
        self.assertTrue(finished.ok)
        self.assertEqual(skips, {"cuda a, b": "no CUDA device was found"})
        part = session.Part()
        tests.judge(part, cases, skips, finished)
        self.assertEqual((part.done, part.status), (0, "failed"))

    def test_a_program_that_runs_nothing_fails(self):
        for code in (0, 139, None):
            self.assertEqual(self.judge("", "", code)[0].status, "failed")


class SanitizerPartTest(unittest.TestCase):
    def status(self, output, code=0):
        return sanitizer.classify(output, code)[0]

    def test_only_a_clean_summary_passes(self):
        clean = "all problems done\n========= ERROR SUMMARY: 0 errors\n"
        self.assertEqual(self.status(clean), "passed")
        race = ("all problems done\n========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 "
                "warnings)\n")
        self.assertEqual(self.status(race), "passed")
        self.assertEqual(self.status(race.replace("0 hazards", "2 hazards")), "failed")
        self.assertEqual(self.status(clean.replace("0 errors", "3 errors"), 99), "failed")
        self.assertEqual(self.status(clean, 1), "failed")
        self.assertEqual(self.status("========= ERROR SUMMARY: 0 errors\n"), "failed")
        self.assertEqual(self.status("all problems done\n"), "unavailable")
        self.assertEqual(self.status("========= Error: Device not supported\n" + clean),
                         "unavailable")


class ProcessTest(unittest.TestCase):
    def test_time_limit_and_exit_code(self):
        started = time.monotonic()
        finished = run([sys.executable, "-c", "print('hello', flush=True); import time; "
                        "time.sleep(60)"], 3)
        self.assertLess(time.monotonic() - started, 30)
        self.assertIsNone(finished.code)
        self.assertIn("hello", finished.output)
        self.assertEqual(run([sys.executable, "-c", "raise SystemExit(3)"], 30).code, 3)
        self.assertEqual(run(["no-such-program"], 30).code, 127)
        self.assertIsNone(run([sys.executable, "-c", ""], 0).code)


class ModelsPartTest(unittest.TestCase):
    def setUp(self):
        generator = torch.Generator().manual_seed(0)
        self.high = {"logits": torch.randn(2, 5, generator=generator).double(),
                     "grad.weight": torch.randn(4, 4, generator=generator).double(),
                     "grad.unused": torch.zeros(3).double()}
        self.low = {name: (tensor * (1 + 1e-7)).float() for name, tensor in self.high.items()}

    def problems(self, change, scale=1.0):
        """Names of the tensors that are wrong in one of two draws."""
        ours = {name: tensor * scale for name, tensor in self.low.items()}
        change(ours)
        errors = models.Errors()
        errors.add(ours, self.low, self.high, against_cpu=True)
        errors.add(self.low, self.low, self.high, against_cpu=True)
        return [line.split()[0] for line in errors.judge_float32()[0]]

    def test_every_kind_of_difference_is_found(self):
        self.assertEqual(self.problems(lambda ours: None), [])
        self.assertEqual(self.problems(lambda ours: None, 1 + 1e-5), ["logits", "grad.weight"])
        self.assertEqual(self.problems(lambda ours: ours.pop("grad.unused")), [])
        self.assertEqual(self.problems(lambda ours: ours.pop("grad.weight")), ["grad.weight"])
        self.assertEqual(self.problems(lambda ours: ours.update(extra=torch.ones(1))), ["extra"])
        self.assertEqual(self.problems(lambda ours: ours.update(logits=self.low["logits"][:1])),
                         ["logits"])
        for wrong in (self.low["logits"] + 1e-3, self.low["logits"] * float("nan")):
            self.assertEqual(self.problems(lambda ours, wrong=wrong: ours.update(logits=wrong)),
                             ["logits"])

    def test_bfloat16_rule(self):
        cpu = {"logits": (self.high["logits"] + 1e-3).float()}
        high = {"logits": self.high["logits"]}
        for error, bad in ((2e-3, False), (2.1e-3, True), (float("inf"), True)):
            errors = models.Errors()
            errors.add({"logits": self.high["logits"] + error}, cpu, high, against_cpu=False)
            self.assertEqual(bool(errors.judge_half()[0]), bad)

    def test_a_class_without_a_configuration_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            nowhere = session.Session("cpu", pathlib.Path(folder), 1, time.monotonic() + 60)
            row = {"class": "OtherModel", "model_type": "other", "task": "base-model"}
            outcome = models.Check(nowhere, row, 0).run()
        self.assertEqual(len(outcome.failures), 1)
        self.assertIn("no configuration for model type other", outcome.failures[0])

    def test_configurations_are_random_and_repeatable(self):
        for name in CONFIGURATIONS:
            drawn = [json.dumps(random_configuration(name, "X", random.Random(seed))[0])
                     for seed in (*range(20), 0)]
            self.assertEqual(drawn[0], drawn[-1])
            self.assertGreater(len(set(drawn)), 15)


class ResultTest(unittest.TestCase):
    def test_earlier_parts_are_kept_for_the_same_sources_and_device_only(self):
        result = {"format": 1, "source": {"digest": "a"}, "device": {"name": "X"},
                  "dry_run": False, "parts": {}}
        earlier = {**result, "parts": {"build": {"failures": ["b"], "unavailable": [],
                                                 "skipped": []}}}
        with tempfile.TemporaryDirectory() as folder:
            kept, copy = pathlib.Path(folder, "kept.json"), pathlib.Path(folder, "a", "copy.json")
            self.assertEqual(check.earlier_parts(kept, result), {})
            check.write(earlier, kept, copy)
            self.assertEqual(json.loads(copy.read_text()), earlier)
            self.assertEqual(check.earlier_parts(kept, result), earlier["parts"])
            for key, other in (("source", {"digest": "b"}), ("device", None), ("dry_run", True)):
                self.assertEqual(check.earlier_parts(kept, {**result, key: other}), {})
            kept.write_text("{")
            self.assertEqual(check.earlier_parts(kept, result), {})

    def test_a_failure_of_any_part_is_a_failure(self):
        part = {"failures": [], "unavailable": ["tool"], "skipped": []}
        result = {"parts": {"build": part, "tests": {**part, "failures": ["bad"]}}}
        check.total(result)
        self.assertTrue(result["failed"])
        self.assertEqual(result["failures"], ["bad"])
        self.assertEqual(result["not_run"], ["models", "sanitizer", "bench"])
        result["parts"].pop("tests")
        check.total(result)
        self.assertFalse(result["failed"])

    def test_a_defect_of_the_check_is_a_failure(self):
        nowhere = session.Session("cpu", pathlib.Path("/nonexistent"), 1, time.monotonic() + 60)
        self.assertEqual(check.run_part("no_such_part", nowhere)["status"], "failed")
        late = session.Session("cpu", pathlib.Path("/nonexistent"), 1, 0.0)
        self.assertEqual(check.run_part("models", late)["status"], "skipped")

    def test_status_of_parts(self):
        self.assertEqual(session.Part(done=1).status, "passed")
        self.assertEqual(session.Part(done=1, unavailable=["x"]).status, "passed in part")
        self.assertEqual(session.Part(done=1, failures=["x"]).status, "failed")
        self.assertEqual(session.Part(unavailable=["x"]).status, "unavailable")
        self.assertEqual(session.Part().status, "skipped")


class BenchPartTest(unittest.TestCase):
    def test_all_combinations_are_there(self):
        cases = bench_cases("cuda")
        names = {case.name for case in cases}
        self.assertEqual(len(names), len(cases))
        self.assertEqual(len(cases), 15 * 3 * 2)
        first = cases[0]
        self.assertEqual(first.name, "56x56 d1 bfloat16 with bias")
        self.assertEqual(first.candidates[:2], ("general", "gathered_tile"))
        dense = {case.shape.name for case in cases if "dense_group" in case.candidates}
        self.assertEqual(dense, {"56x56 d8", "28x28 d4", "14x14 d2", "7x7 d1"})

    def test_peers_compute_the_same(self):
        for shape in DRY:
            problem = Problem(shape, "float32", True, "cpu")
            expected = gather(*problem.inputs, problem.tables)
            for name in ("dense masked", "flex", "flex, tokens by group"):
                try:
                    peer = peers.candidate(name, problem)
                except peers.Unfit:
                    self.assertEqual(shape.dilation, 1)
                    continue
                self.assertLess((peer.results("forward")["out"] - expected).abs().max(), 1e-5)

    def test_an_error_is_found_in_every_result(self):
        problem = Problem(DRY[0], "float32", True, "cpu")
        reference = Reference(problem)
        results = problem.composition()
        self.assertEqual(reference.judge(results)[1], [])
        for name in results:
            wrong = {**results, name: results[name].clone(memory_format=torch.contiguous_format)}
            wrong[name].view(-1)[-1] += 1e-3
            self.assertEqual(reference.judge(wrong)[1], [name])
            wrong[name].view(-1)[0] = float("nan")
            self.assertEqual(reference.judge(wrong)[1], [name])
            self.assertEqual(reference.judge({name: results[name][..., :1]})[1], [name])
        self.assertEqual(largest_error(torch.tensor([1.0, float("nan"), 2.0]), torch.zeros(3)),
                         float("inf"))

    def result(self, **changes):
        errors = {"out": {"error": 1e-6, "allowed": 1e-5}}
        good = {"errors": errors, "right": True, "repeats": True}
        times = {name: {"median": median} for name, median in
                 (("general", 2.0), ("gathered_tile", 1.0), ("flex", 3.0))}
        timed = {"times": times, "failed": {}, "launch_bound": [],
                 "ratio_peer_to_kernel": {name: {"flex": {"median": 3.0 / times[name]["median"]}}
                                          for name in ("general", "gathered_tile")}}
        result = {"name": "case", "forward": timed, "backward": timed, "candidates": {
            "general": {"own": True, "forward": good, "backward": good},
            "gathered_tile": {"own": True, "forward": {**good, **changes}, "backward": good},
            "flex": {"own": False, "forward": good, "backward": {"failed": "no backward"}}}}
        part = session.Part()
        bench.judge(part, {"case": result})
        return part, bench.verdict({"case": result}, None)["case"]["forward"]

    def test_the_verdict_takes_right_kernels_only(self):
        part, verdict = self.result()
        self.assertEqual(part.failures, [])
        self.assertEqual(part.unavailable, ["bench case, flex, backward: no backward"])
        self.assertEqual((verdict["fastest"], verdict["times_faster_than"]["flex"]),
                         ("gathered_tile", 3.0))
        wrong = {"right": False, "wrong": ["out"]}
        for changes in (wrong, {"repeats": False}, {"failed": "CUDA error"}):
            part, verdict = self.result(**changes)
            self.assertEqual(len(part.failures), 1)
            if "failed" not in changes:
                self.assertEqual(verdict["right"], ["general"])

    def test_a_fault_takes_down_its_candidate_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            here = session.Session("cpu", pathlib.Path(folder), 1, time.monotonic() + 60)
            benchmarks = bench.Benchmarks(here)
            benchmarks.blame(("case", "gathered_tile"), "died")
            self.assertEqual(benchmarks.excluded, {"case": {"gathered_tile": "died"}})
            self.assertEqual(benchmarks.lost, {})
            for case in ("second", "third"):
                self.assertEqual(benchmarks.all_excluded(bench_cases("cpu")[:1]),
                                 {bench_cases("cpu")[0].name: {}})
                benchmarks.blame((case, "gathered_tile"), "died")
            excluded = benchmarks.all_excluded(bench_cases("cpu")[:1])
            self.assertIn("3 other cases", excluded[bench_cases("cpu")[0].name]["gathered_tile"])
            benchmarks.blame(("case", "gathered_tile"), "died again")
            benchmarks.blame(("other", None), "died")
            self.assertEqual(set(benchmarks.lost), {"case", "other"})

    def test_targets(self):
        row = {"right": ["general"], "fastest": "general", "ms": 0.15}
        rows = {f"{STAGES[0].name} bfloat16 with bias": {"forward": row, "backward": row}}
        self.assertEqual([found["met"] for found in bench.targets(rows)], [False, False, True])
        self.assertEqual(bench.targets({}), [])


if __name__ == "__main__":
    unittest.main()
