"""Processes that train together, and what the others do when one of them is lost.

usage: distributed_test.py WORKER
"""

import signal
import sys
import time
import unittest

from processes import LIMIT, Group, clean_environment, listening_socket, run

WORKER = sys.argv[1]


def work(*arguments):
    return [WORKER, *map(str, arguments)]


def numbers(output):
    """The losses and weights that a worker's `train` prints."""
    found = []
    for line in output.splitlines():
        words = line.split()
        if words[0] == "step":
            found.append(float(words[3]))
        elif words[0] == "weights":
            found += map(float, words[1:])
    return found


class Together(unittest.TestCase):
    """Groups that nothing happens to."""

    def outputs(self, size, *arguments):
        with Group(work(*arguments), size) as group:
            results = group.results()
        for rank, (code, _, errors) in results.items():
            self.assertEqual((0, ""), (code, errors), rank)
        return [output for _, output, _ in results.values()]

    def test_one_two_and_four_processes_learn_the_same(self):
        one = numbers(self.outputs(1, "train", 100)[0])
        self.assertEqual(10 + 20, len(one))  # losses, and two sums of each parameter
        self.assertEqual(30, len(set(one)))
        for size in (2, 4):
            output, *others = self.outputs(size, "train", 100)
            self.assertTrue(all(other == "" for other in others))
            self.assertRegex(output, r"(?m)^buckets [2-9]$")
            for expected, got in zip(one, numbers(output), strict=True):
                self.assertLessEqual(abs(got - expected), 1e-6 * max(1e-3, abs(expected)), size)

    def test_the_same_bits_again(self):
        first, second = (self.outputs(3, "train", 20)[0] for _ in range(2))
        self.assertIn("\nbits ", first)
        self.assertEqual(first, second)

    def test_every_operation(self):
        for size in (1, 2, 4):
            self.assertEqual([f"rank {rank} ok\n" for rank in range(size)],
                             self.outputs(size, "operations"))

    def test_batch_norms_over_all_processes(self):
        for size in (1, 2, 3):
            self.assertEqual([f"rank {rank} ok\n" for rank in range(size)],
                             self.outputs(size, "batch_norm"))

    def test_variables_of_torchrun_by_hand(self):
        """RANK and so on, with a port that rank 0 opens itself."""
        with listening_socket() as free:
            port = free.getsockname()[1]
        variables = {"WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        with Group(work("operations"), 0) as group:
            for rank in range(2):
                group.start(rank, work("operations"), RANK=rank, **variables)
            self.assertEqual({0, 1}, {rank for rank, (code, output, _) in group.results().items()
                                      if (code, output) == (0, f"rank {rank} ok\n")})


class Lost(unittest.TestCase):
    """One process is lost: all others end with exit code 1 in time, and name it."""

    def check_named(self, results, culprit, *parts):
        for rank, (code, _, errors) in results.items():
            self.assertEqual(1, code, (rank, errors))
            self.assertEqual(1, errors.count("\n"), errors)
            self.assertTrue(errors.startswith(f"[process group] rank {culprit}: expected "), errors)
            for part in parts:
                self.assertIn(part, errors)

    def lose(self, culprit, signal_number, timeout):
        """Returns what the others said, and how long it took them."""
        with Group(work("wait", LIMIT), 4, WORKER_TIMEOUT_MS=timeout) as group:
            group.wait_until_met()
            group.processes[culprit].send_signal(signal_number)
            start = time.monotonic()
            return group.results(without=(culprit,)), time.monotonic() - start

    def test_a_process_is_killed(self):
        for culprit in (0, 2, 3):
            # The group's timeout is longer than LIMIT: it is not what ends them.
            results, _ = self.lose(culprit, signal.SIGKILL, 10 * 60 * 1000)
            self.assertEqual(3, len(results))
            self.check_named(results, culprit)

    def test_a_process_is_stopped(self):
        for culprit in (0, 1):
            results, seconds = self.lose(culprit, signal.SIGSTOP, 6000)
            self.check_named(results, culprit)
            self.assertGreaterEqual(seconds, 5.0)  # whoever is only slow has its time

    def test_a_process_fails_by_itself(self):
        for culprit in (0, 1):
            with Group(work("fail", culprit), 3) as group:
                results = group.results()
            self.assertEqual((1, "a failure of its own\n"),
                             (results[culprit][0], results[culprit][2]))
            del results[culprit]
            self.check_named(results, culprit, "got a failure of its own.")

    def test_a_process_does_not_come(self):
        with Group(work("operations"), 4, ranks=(0, 1, 3), WORKER_TIMEOUT_MS=15000) as group:
            results = group.results()
        self.assertEqual({1}, {code for code, _, _ in results.values()})
        self.assertRegex(results[0][2], r"^\[process group\] start of the processes: expected all "
                                        r"4 at 127\.0\.0\.1:\d+ within 15 s, got 3, without rank 2\. "
                                        r"Who started this process \(vizoo launch\) must start "
                                        r"all\.\n$")

    def test_rank_0_does_not_come(self):
        with Group(work("operations"), 2, ranks=(1,), WORKER_TIMEOUT_MS=2000) as group:
            code, _, errors = group.results()[1]
        self.assertEqual(1, code)
        self.assertRegex(errors, r"^\[process group\] 127\.0\.0\.1:\d+: expected rank 0 to listen "
                                 r"there, got nobody within 2 s\.\n$")

    def test_port_in_use(self):
        with listening_socket() as listener:
            port = listener.getsockname()[1]
            result = run(work("operations"), env=clean_environment(
                RANK=0, WORLD_SIZE=2, MASTER_PORT=port))
        self.assertEqual(1, result.returncode)
        self.assertEqual(f"[process group] port {port}: expected a free port for the processes to "
                         "meet at, got: Address already in use. Another job may use it: choose "
                         "another port.\n", result.stderr)

    def test_environment_that_contradicts_itself(self):
        result = run(work("operations"), env=clean_environment(RANK=2, WORLD_SIZE=2))
        self.assertEqual(1, result.returncode)
        self.assertEqual("[environment] RANK: expected a rank below WORLD_SIZE = 2, got 2.\n",
                         result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
