"""Time of work on the device, without the gaps that launching it one by one would leave."""

import time

import torch

ASSUMED_CLOCK_HZ = 2.0e9  # at least the clock of any GPU there is: a sleep may only be too long
TARGET_MS = 2.0
MOST_CALLS = 50
MOST_SLEEP_S = 0.25


class DeviceTimer:
    """A candidate of `alternate`: milliseconds of one call of `function`.

    A kernel that only waits goes first, so that all launches are queued when the clock starts: the
    device then runs them back to back. `launch_bound` says that this did not work out, and times
    include what launching costs.
    """

    def __init__(self, function, prepare=lambda: None):
        self.function, self.prepare = function, prepare
        self.launch_bound = False
        prepare()
        for _ in range(3):
            function()
        torch.cuda.synchronize()
        before = time.perf_counter()
        function()
        enqueued = time.perf_counter() - before
        torch.cuda.synchronize()
        total = time.perf_counter() - before
        self.calls = max(1, min(MOST_CALLS, int(TARGET_MS / (total * 1e3))))
        self.sleep = min(MOST_SLEEP_S, 1.5 * enqueued * self.calls + 5e-4)

    def __call__(self):
        self.prepare()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(3):
            torch.cuda.synchronize()
            torch.cuda._sleep(int(self.sleep * ASSUMED_CLOCK_HZ))
            start.record()
            for _ in range(self.calls):
                self.function()
            end.record()
            too_late = start.query()
            torch.cuda.synchronize()
            if not too_late or self.sleep >= MOST_SLEEP_S:
                break
            self.sleep = min(MOST_SLEEP_S, 2 * self.sleep)
        self.launch_bound = self.launch_bound or too_late
        return start.elapsed_time(end) / self.calls


class HostTimer:
    """The same on the CPU, for dry runs."""

    launch_bound = False

    def __init__(self, function, prepare=lambda: None):
        self.function, self.prepare = function, prepare
        function()

    def __call__(self):
        self.prepare()
        before = time.perf_counter()
        self.function()
        return (time.perf_counter() - before) * 1e3


def timer_for(device):
    return DeviceTimer if device == "cuda" else HostTimer


def peak_bytes(function, device):
    """Device memory that one call of `function` needs beyond what is there; None on the CPU."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = function()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    del result
    return peak


def copy_bandwidth(device, size=1 << 31):
    """Bytes per second that a plain copy reads and writes: what a kernel can reach at best."""
    source = torch.empty(size if device == "cuda" else 1 << 22, dtype=torch.uint8, device=device)
    source.random_()
    target = torch.empty_like(source)
    measure = timer_for(device)(lambda: target.copy_(source))
    times = sorted(measure() for _ in range(9))
    return 2 * source.numel() / (times[len(times) // 2] * 1e-3)
