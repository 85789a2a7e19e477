"""Other people's launchers start workers that meet and learn the same.

usage: launchers_test.py open_mpi|torchrun WORKER
"""

import os
import pathlib
import shutil
import sys
import unittest

from processes import clean_environment, run

LAUNCHER, WORKER = sys.argv[1:3]
TORCHRUN = pathlib.Path(sys.executable).parent / "torchrun"


def open_mpi(count, *command):
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    # More processes than cores, and nothing but the loopback interface.
    return run(["mpirun", *root, "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,tcp",
                "--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo",
                "-np", count, *command])


def torchrun(count, *command):
    """With a port that the launcher finds itself, and the store that it hosts."""
    return run([TORCHRUN, "--no-python", "--nnodes", 1, "--nproc-per-node", count, "--rdzv-backend",
                "c10d", "--rdzv-endpoint", "localhost:0", *command],
               env=clean_environment(TORCH_CPP_LOG_LEVEL="ERROR"))


START = {"open_mpi": open_mpi, "torchrun": torchrun}[LAUNCHER]


class Started(unittest.TestCase):
    def test_every_operation(self):
        result = START(3, WORKER, "operations")
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual(["rank 0 ok", "rank 1 ok", "rank 2 ok"],
                         sorted(result.stdout.splitlines()))

    def test_the_same_bits_as_with_processes_by_hand(self):
        expected = run([WORKER, "train", 20])
        self.assertEqual(0, expected.returncode, expected.stderr)
        result = START(1, WORKER, "train", 20)
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual(expected.stdout, result.stdout)
        self.assertEqual(START(2, WORKER, "train", 20).stdout,
                         START(2, WORKER, "train", 20).stdout)

    def test_a_failure_is_named_and_ends_all(self):
        result = START(3, WORKER, "fail", 2)
        self.assertNotEqual(0, result.returncode)
        self.assertIn("a failure of its own\n", result.stderr)


if __name__ == "__main__":
    if LAUNCHER == "open_mpi" and shutil.which("mpirun") is None:
        print("SKIPPED distributed_open_mpi: there is no mpirun (openmpi-bin)", file=sys.stderr)
        sys.exit(0)
    unittest.main(argv=sys.argv[:1])
