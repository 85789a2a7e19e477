"""Builds what the other parts need, for this GPU alone."""

import os
import shutil
import sys
from pathlib import Path

from gpu.process import run
from gpu.session import Part, say
from gpu.sources import BUNDLE, digest

LIMIT = 360
TARGETS = ("vizoo_program", "vizoo_test_gpu", "vizoo_kernel_choice", "vizoo_make_checkpoint")
NVCC = (os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc")


def find_nvcc():
    for candidate in NVCC:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    return None


def configure_command(session, nvcc):
    import torch

    return ["cmake", "-S", session.root, "-B", session.build, "-G", "Ninja",
            "-DCMAKE_BUILD_TYPE=Release", "-DVIZOO_CUDA=ON", "-DVIZOO_OPENCV=OFF",
            "-DVIZOO_BUILD_TESTS=ON", f"-DCMAKE_CUDA_ARCHITECTURES={session.architecture}",
            f"-DCMAKE_CUDA_COMPILER={nvcc}", f"-DCMAKE_PREFIX_PATH={BUNDLE}",
            f"-DVIZOO_TORCH_ROOT={Path(torch.__file__).parent}", "-U", "VIZOO_TORCH_INCLUDE_DIR",
            f"-DPython3_EXECUTABLE={sys.executable}"]


def build(session):
    part = Part()
    if session.is_dry:
        part.skipped.append("build: a dry run uses the build that is there")
        return part
    products = (session.program, session.test_program, session.choice_library,
                session.make_checkpoint)
    # Not left to ninja: where the checkout was copied anew, all files are younger than the build.
    stamp = session.build / ".gpu-check-sources"
    current = f"{digest()} {session.architecture}"
    if stamp.exists() and stamp.read_text() == current and all(p.exists() for p in products):
        part.done = len(TARGETS)
        part.details["seconds_of_steps"] = {}
        say("  built before from the same sources")
        return part
    nvcc = find_nvcc()
    if nvcc is None:
        part.failures.append("build: there is no nvcc in CUDACXX, PATH or /usr/local/cuda/bin")
        return part
    if not BUNDLE.is_dir():
        part.failures.append("build: there is no .gpu-deps; run scripts/gpu_bundle.sh on a machine "
                             "with Debian's packages and carry it along")
        return part
    stamp.unlink(missing_ok=True)
    limit = min(LIMIT, session.remaining())
    configured = run(configure_command(session, nvcc), limit, log=session.logs / "configure.txt")
    if not configured.ok:
        part.failures.append(f"build: configuring failed: {configured.problem()}")
        return part
    part.done += 1
    cores = len(os.sched_getaffinity(0))
    compiled = run(["ninja", "-C", session.build, "-k", "0", "-j", cores, *TARGETS],
                   limit - configured.seconds, log=session.logs / "build.txt")
    part.details["seconds_of_steps"] = {"configure": round(configured.seconds, 1),
                                        "compile": round(compiled.seconds, 1)}
    part.details["cores"] = cores
    if not compiled.ok:
        errors = [line for line in compiled.output.splitlines() if "error" in line.lower()][:8]
        part.failures.append("build: compiling failed: " + "\n".join(errors or ["no error line"]) +
                             "\n" + compiled.problem(lines=4))
        return part
    part.done += len(TARGETS)
    stamp.write_text(current)
    return part
