"""`vizoo launch`: what it gives to processes, and what it does when they or it are to end.

usage: launch_test.py PROGRAM WORKER|-       (-: built without process groups)
"""

import os
import signal
import subprocess
import sys
import time
import unittest

from processes import LIMIT, clean_environment, listening_socket, run

PROGRAM, WORKER = sys.argv[1:3]
INTERRUPTED = 130


def launch(count, *command, options=(), **keywords):
    return run([PROGRAM, "launch", "--nproc", count, *options, "--", *command], **keywords)


def shell(script):
    """For processes that do not meet. (Signals reach the shell's own children too: it says so.)"""
    return ["sh", "-c", script]


class Launched:
    """A launcher under way, which is killed with its processes if a test fails."""

    def __init__(self, count, script, *options):
        self.process = subprocess.Popen(
            [PROGRAM, "launch", "--nproc", str(count), *options, "--", *shell(script)],
            env=clean_environment(), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def read_lines(self, count):
        return sorted(self.process.stdout.readline().strip() for _ in range(count))

    def end(self):
        output, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, sorted(output.split()), errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Refusals(unittest.TestCase):
    def check_refused(self, result, message):
        self.assertEqual((2, "", message + "\n"),
                         (result.returncode, result.stdout, result.stderr))


class WithoutGroups(Refusals):
    def test_several_processes(self):
        self.check_refused(launch(2, "true"),
                           "[usage] --nproc: expected 1, since this build of vizoo has no "
                           "distributed training, got 2. Install libgloo-dev and build again.")


class Usage(Refusals):
    def test_help_shows_an_example(self):
        result = run([PROGRAM, "launch", "--help"])
        self.assertEqual(0, result.returncode)
        self.assertIn("Example: vizoo launch --nproc 2 -- vizoo train", result.stdout)

    def test_options_out_of_range(self):
        self.check_refused(launch(0, "true"), "[usage] --nproc: expected 1 to 1024, got 0.")
        self.check_refused(launch(1025, "true"), "[usage] --nproc: expected 1 to 1024, got 1025.")
        self.check_refused(launch(1, "true", options=("--master-port", 65536)),
                           "[usage] --master-port: expected 1 to 65535, got 65536.")
        self.assertEqual(2, run([PROGRAM, "launch", "--nproc", 2]).returncode)

    def test_a_program_that_is_not_there(self):
        self.check_refused(launch(1, "./no-such-program", "x"),
                           '[launch] "./no-such-program": expected a program that can be started, '
                           "got No such file or directory.")

    def test_one_process(self):
        result = launch(1, *shell('echo "$VIZOO_RANK of $VIZOO_WORLD_SIZE"'))
        self.assertEqual((0, "0 of 1\n", ""), (result.returncode, result.stdout, result.stderr))


class Launch(unittest.TestCase):
    def check_failed(self, result, message):
        self.assertEqual((1, message + "\n"), (result.returncode, result.stderr))

    def test_variables(self):
        script = ('echo "$VIZOO_RANK $VIZOO_LOCAL_RANK $VIZOO_WORLD_SIZE $VIZOO_LOCAL_WORLD_SIZE '
                  '$VIZOO_MASTER_ADDR ${VIZOO_LISTEN_FD:+listens}"')
        result = launch(3, *shell(script))
        self.assertEqual(["0 0 3 3 127.0.0.1 listens", "1 1 3 3 127.0.0.1", "2 2 3 3 127.0.0.1"],
                         sorted(line.strip() for line in result.stdout.splitlines()))
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_other_launchers_around_it_do_not_count(self):
        around = clean_environment(RANK=5, WORLD_SIZE=6, SLURM_PROCID=5, PMI_RANK=5,
                                   OMPI_COMM_WORLD_RANK=5, VIZOO_LISTEN_FD=9, VIZOO_RANK=5)
        script = ("echo \"$VIZOO_RANK$RANK$WORLD_SIZE$SLURM_PROCID$PMI_RANK$OMPI_COMM_WORLD_RANK\"; "
                  "test $VIZOO_RANK = 0 || test -z \"$VIZOO_LISTEN_FD\"")
        result = launch(2, *shell(script), env=around)
        self.assertEqual((0, ["0", "1"]), (result.returncode, sorted(result.stdout.split())))

    def test_processes_share_the_cores(self):
        script = 'echo "$OMP_NUM_THREADS"'
        self.assertEqual(["1", "1"], launch(2, *shell(script)).stdout.split())  # as it was set
        around = clean_environment()
        del around["OMP_NUM_THREADS"]
        expected = str(max(1, os.cpu_count() // 2))
        self.assertEqual([expected] * 2, launch(2, *shell(script), env=around).stdout.split())

    def test_processes_read_nothing(self):
        result = launch(1, "cat")
        self.assertEqual((0, ""), (result.returncode, result.stdout))

    def test_prefix(self):
        script = "echo a; echo b >&2; printf 'c\\n\\nd'"
        result = launch(2, *shell(script), options=("--prefix",))
        self.assertEqual(0, result.returncode)
        for rank in "01":
            own = [line for line in result.stdout.splitlines() if line.startswith(f"[{rank}] ")]
            self.assertEqual([f"[{rank}] {text}" for text in ("a", "c", "", "d")], own)
            self.assertIn(f"[{rank}] b\n", result.stderr)

    def test_the_first_failure_ends_all(self):
        script = "if [ $VIZOO_RANK = 1 ]; then exit 3; fi; sleep 1000"
        self.check_failed(launch(3, *shell(script)), "[launch] rank 1: expected exit code 0, got "
                                                     "exit code 3. The others are ended.")
        script = "if [ $VIZOO_RANK = 2 ]; then kill -KILL $$; fi; sleep 1000"
        self.check_failed(launch(3, *shell(script)), "[launch] rank 2: expected exit code 0, got "
                                                     "signal 9 (Killed). The others are ended.")
        self.check_failed(launch(1, "false"),
                          "[launch] rank 0: expected exit code 0, got exit code 1.")

    def test_a_process_that_ignores_sigterm_is_killed(self):
        script = ("if [ $VIZOO_RANK = 0 ]; then sleep 1; exit 4; fi; trap '' TERM; "
                  "while :; do sleep 0.2; done")
        self.check_failed(launch(2, *shell(script)), "[launch] rank 0: expected exit code 0, got "
                                                     "exit code 4. The others are ended.")

    def test_signals_are_passed_on(self):
        script = ("trap 'echo usr$VIZOO_RANK; exit 0' USR1; echo ready; exec 2>/dev/null; "
                  "while :; do sleep 0.05; done")
        with Launched(2, script) as launched:
            launched.read_lines(2)
            launched.process.send_signal(signal.SIGUSR1)
            self.assertEqual((0, ["usr0", "usr1"], ""), launched.end())

    def test_an_interrupted_launcher_ends_like_its_processes(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            # As `vizoo train` does: the work is saved, and the exit code says that it was stopped.
            script = (f"trap 'echo saved; exit {INTERRUPTED}' {number.name[3:]}; echo ready; "
                      "exec 2>/dev/null; while :; do sleep 0.05; done")
            with Launched(2, script) as launched:
                launched.read_lines(2)
                launched.process.send_signal(number)
                self.assertEqual((INTERRUPTED, ["saved", "saved"], ""), launched.end())

    def test_who_asks_twice_does_not_wait(self):
        with Launched(2, "trap '' INT; echo ready; while :; do sleep 0.05; done") as launched:
            launched.read_lines(2)
            launched.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            self.assertIsNone(launched.process.poll())
            launched.process.send_signal(signal.SIGINT)
            self.assertEqual((INTERRUPTED, [], ""), launched.end())

    def test_nobody_outlives_a_launcher_that_is_killed(self):
        with Launched(2, "echo $$; exec sleep 1000") as launched:
            ids = [int(line) for line in launched.read_lines(2)]
            launched.process.kill()
            launched.end()  # at the end of their output, which they hold open
            for process in ids:
                with self.assertRaises(ProcessLookupError):
                    while True:  # ends by the limit of the whole test at worst
                        os.kill(process, 0)
                        time.sleep(0.01)

    def test_port_in_use(self):
        with listening_socket() as listener:
            port = listener.getsockname()[1]
            result = launch(2, "true", options=("--master-port", port))
        self.check_failed(result, f"[process group] port {port}: expected a free port for the "
                                  "processes to meet at, got: Address already in use. Another job "
                                  "may use it: choose another port.")


class Workers(unittest.TestCase):
    """Processes that meet."""

    def test_they_meet_and_learn_the_same(self):
        outputs = set()
        for _ in range(2):
            result = launch(4, WORKER, "train", 20)
            self.assertEqual((0, ""), (result.returncode, result.stderr))
            self.assertIn("\nbits ", result.stdout)
            outputs.add(result.stdout)
        self.assertEqual(1, len(outputs))

    def test_a_port_of_ones_own(self):
        with listening_socket() as free:
            port = free.getsockname()[1]
        result = launch(2, WORKER, "operations", options=("--master-port", port))
        self.assertEqual((0, ["rank 0 ok", "rank 1 ok"]),
                         (result.returncode, sorted(result.stdout.splitlines())))

    def test_a_lost_process_is_named(self):
        script = f'if [ $VIZOO_RANK = 2 ]; then ( sleep 3; kill -KILL $$ ) & fi; ' \
                 f'exec "{WORKER}" wait {LIMIT}'
        result = launch(3, *shell(script), options=("--prefix",))
        self.assertEqual(1, result.returncode)
        self.assertIn("[launch] rank 2: expected exit code 0, got signal 9 (Killed). The others are "
                      "ended.\n", result.stderr)

    def test_a_failing_process_is_named_by_all(self):
        result = launch(3, WORKER, "fail", 1, options=("--prefix",))
        self.assertEqual(1, result.returncode)
        self.assertIn("[1] a failure of its own\n", result.stderr)
        self.assertRegex(result.stderr, r"(?m)^\[launch\] rank \d: expected exit code 0, got ")


if __name__ == "__main__":
    cases = [Usage, WithoutGroups] if WORKER == "-" else [Usage, Launch, Workers]
    suite = unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, cases))
    sys.exit(not unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful())
