"""What the tests of many processes share: groups of workers, each a process of this machine."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time

# Far longer than anything here takes; what hangs is killed then.
LIMIT = 300
LAUNCHERS = re.compile(r"(VIZOO_|SLURM_|OMPI_|PMI_|PMIX_|TORCHELASTIC_|(LOCAL_)?RANK$|"
                       r"(LOCAL_)?WORLD_SIZE$|MASTER_(ADDR|PORT)$)")


def clean_environment(**variables):
    """This process's own, without what a launcher may have left, and one thread."""
    kept = {name: value for name, value in os.environ.items() if not LAUNCHERS.match(name)}
    return {**kept, "OMP_NUM_THREADS": "1", **{name: str(v) for name, v in variables.items()}}


def listening_socket():
    """At a free port of the loopback interface."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener


class Group:
    """Workers that were started one by one, with the variables that `vizoo launch` sets.

    `ranks`: those that are started, all of them if it is None.
    """

    def __init__(self, command, size, ranks=None, **variables):
        self.processes = {}
        with listening_socket() as listener:
            own = {"VIZOO_WORLD_SIZE": size, "VIZOO_MASTER_PORT": listener.getsockname()[1]}
            for rank in range(size) if ranks is None else ranks:
                if rank == 0:
                    self.start(rank, command, (listener.fileno(),), **own, VIZOO_RANK=rank,
                               VIZOO_LISTEN_FD=listener.fileno(), **variables)
                else:
                    self.start(rank, command, **own, VIZOO_RANK=rank, **variables)

    def start(self, rank, command, inherited=(), **variables):
        """Starts one more with variables of its own."""
        self.processes[rank] = subprocess.Popen(
            command, env=clean_environment(**variables), pass_fds=inherited, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_until_met(self):
        """Returns when each worker has written a line."""
        for process in self.processes.values():
            line = process.stdout.readline()
            if not line:
                raise AssertionError(f"a worker ended: {process.stderr.read()}")

    def results(self, without=()):
        """{rank: (exit code, stdout, stderr)} of all but some, once they have ended."""
        end = time.monotonic() + LIMIT
        found = {}
        for rank, process in self.processes.items():
            if rank in without:
                continue
            output, errors = process.communicate(timeout=max(1.0, end - time.monotonic()))
            found[rank] = (process.returncode, output, errors)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            process.stderr.close()


def run(command, **options):
    """A command to its end, with the environment of clean_environment unless `env` is given."""
    options.setdefault("env", clean_environment())
    return subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=LIMIT, check=False, **options)
