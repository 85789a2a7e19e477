"""What a figure was measured on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def cpu_flags():
    flags = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = set(line.split(":", 1)[1].split())
            break
    return [flag for flag in ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
            if flag in flags]


def machine(program):
    """CPU, load and versions; the load shows whether the machine was shared."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return {
        "cpu": cpu_name(),
        "instruction_sets": cpu_flags(),
        "cores": os.cpu_count(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "vizoo": done.stdout.strip(),
        **{name: version(name) for name in ("torch", "torchvision", "transformers", "pillow",
                                            "numpy")},
    }
