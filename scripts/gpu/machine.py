"""What a result was made on.

usage: python3 -m gpu.machine      (a process of its own: it asks the driver)
"""

import json
import os
import platform
import shutil
import subprocess
import sys

from gpu.build import find_nvcc

QUERY = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"


def first_line(command, pattern=""):
    """The first line of a program's output that has `pattern`, or None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if pattern in line]
    return lines[0] if done.returncode == 0 and lines else None


def nvidia_smi():
    if not shutil.which("nvidia-smi"):
        return None
    line = first_line(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader", "--id=0"])
    return dict(zip(QUERY.split(","), line.split(", "))) if line else None


def describe():
    import torch

    device = None
    if torch.cuda.is_available():
        found = torch.cuda.get_device_properties(0)
        device = {"name": found.name, "compute_capability": f"{found.major}.{found.minor}",
                  "multiprocessors": found.multi_processor_count,
                  "memory_bytes": found.total_memory,
                  "l2_bytes": getattr(found, "L2_cache_size", None)}
    nvcc = find_nvcc()
    try:
        import triton
        triton_version = triton.__version__
    except ImportError:
        triton_version = None
    return {"device": device, "nvidia_smi": nvidia_smi(),
            "versions": {"torch": torch.__version__, "torch_cuda": torch.version.cuda,
                         "cudnn": torch.backends.cudnn.version() if device else None,
                         "triton": triton_version, "python": platform.python_version(),
                         "nvcc": first_line([nvcc, "--version"], "release") if nvcc else None,
                         "compiler": first_line([os.environ.get("CXX", "g++"), "--version"]),
                         "cmake": first_line(["cmake", "--version"])},
            "host": {"system": platform.platform(), "processor": platform.machine(),
                     "cores": len(os.sched_getaffinity(0))}}


def ask():
    """describe() in a process of its own, so that this one holds no device memory."""
    done = subprocess.run([sys.executable, "-m", "gpu.machine"], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(f"gpu_check: {done.stderr.strip()[-800:]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(json.dumps(describe()))
