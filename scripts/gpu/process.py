"""Runs programs within a time limit, and says how they ended."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass


@dataclass
class Finished:
    code: int | None  # None: stopped at the time limit
    output: str  # standard output and error together
    seconds: float

    @property
    def ok(self):
        return self.code == 0

    def problem(self, lines=12):
        """Why it failed: how it ended, and its last words."""
        how = "stopped at the time limit" if self.code is None else f"exit code {self.code}"
        last = self.output.strip().splitlines()[-lines:]
        return "\n".join([how, *last])


def stop(process):
    """Ends a process that was started with start_new_session, and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=5)
            return
        except subprocess.TimeoutExpired:
            continue


def run(command, limit, environment=None, folder=None, log=None):
    """Runs `command` for at most `limit` seconds. `log`: a path that keeps the output."""
    started = time.monotonic()
    if limit <= 0:
        return Finished(None, "no time was left to start it", 0.0)
    words = [str(word) for word in command]
    try:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True, errors="replace",
                                   cwd=folder, start_new_session=True,
                                   env={**os.environ, **(environment or {})})
    except OSError as error:
        return Finished(127, str(error), 0.0)
    code = None
    try:
        output, _ = process.communicate(timeout=limit)
        code = process.returncode
    except subprocess.TimeoutExpired:
        stop(process)
        output, _ = process.communicate()
    except BaseException:
        stop(process)
        raise
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(output)
    return Finished(code, output, time.monotonic() - started)
