"""Kills one process of `vizoo launch --nproc 4 -- vizoo train` at random moments, again and again.

usage: kill_ranks.py PROGRAM [--kills N] [--seed S] [--processes N]

What kill_training.py does with one process: after every kill the newest checkpoint is whole, at
most one interval is lost, the next start takes up just that one, and the end is that of a run that
nothing happened to, to the byte. Besides, a kill of one process ends them all in time, with exit
code 1 and a line that names it.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile

from kill_training import MOST_KILLS_OF_A_RUN, STEPS, Stress, checkpoints, digest

LIMIT = 300  # seconds for the others to end: what hangs is a failure


class Victim:
    """One of a launcher's processes, in place of the launcher."""

    def __init__(self, launcher, rank, count):
        self.launcher, self.rank, self.count = launcher, rank, count
        self.killed = False

    def poll(self):
        return self.launcher.poll()

    def kill(self):
        """If all have been started and are still there."""
        launcher = self.launcher.pid
        try:
            children = pathlib.Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
            if len(children) == self.count:
                os.kill(int(children[self.rank]), signal.SIGKILL)
                self.killed = True
        except (FileNotFoundError, ProcessLookupError):
            pass


class RankStress(Stress):
    def __init__(self, program, seed, home, processes):
        self.processes = processes
        self.culprit = None
        self.culprits = []
        program = os.path.abspath(program)
        launch = home / "launch.sh"
        launch.write_text(f'#!/bin/sh\nexec "{program}" launch --nproc {processes} -- '
                          f'"{program}" "$@"\n')
        launch.chmod(0o755)
        super().__init__(launch, seed, home)
        self.random_states = self.digests_of_random_states()

    def digests_of_random_states(self):
        last = checkpoints(self.output)[STEPS]
        return [digest(last / f"random-{rank}.safetensors") for rank in range(self.processes)]

    def kill_somewhere(self, process, done):
        victim = Victim(process, self.rng.randrange(self.processes), self.processes)
        super().kill_somewhere(victim, done)
        self.culprit = victim.rank if victim.killed else None

    def finish(self, process):
        try:
            _, problem = process.communicate(timeout=LIMIT)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            raise
        if process.returncode == 0:
            return False, self.resumed(problem)
        # Somewhere: lines of several processes run into each other.
        line = f"[launch] rank {self.culprit}: expected exit code 0, got signal 9 (Killed)."
        assert process.returncode == 1 and line in problem, \
            f"rank {self.culprit} was killed, exit code {process.returncode}: {problem}"
        self.culprits.append(self.culprit)
        self.culprit = None
        return True, self.resumed(problem)

    def check_end(self):
        super().check_end()
        assert self.digests_of_random_states() == self.random_states, "other random states"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--processes", type=int, default=4)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    home = pathlib.Path(tempfile.mkdtemp(prefix="vizoo-kill-"))
    try:
        stress = RankStress(options.program, options.seed, home, options.processes)
        print(f"a whole run takes {stress.duration:.1f} s", flush=True)
        runs = 0
        while len(stress.culprits) < options.kills:
            stress.run(min(MOST_KILLS_OF_A_RUN, options.kills - len(stress.culprits)))
            runs += 1
            print(f"{len(stress.culprits)} kills, {runs} runs that ended as they should", flush=True)
        print(f"killed ranks: {stress.culprits}; steps lost: {stress.lost}; kills that left a "
              f"checkpoint unfinished: {stress.while_saving}")
    finally:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
