#!/usr/bin/env bash
# Builds, tests and measures vizoo on a machine with a GPU. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOF'
usage: scripts/gpu_check.sh [PART...] [--output FILE] [--build DIR] [--time-limit SECONDS]
                            [--seed N] [--fresh] [--device cuda|cpu] [--dry-run]

Checks the CUDA side of vizoo on this machine and writes one JSON file: device, driver, versions,
commit, what passed and failed, errors, times, ratios. The machine needs an NVIDIA GPU, the CUDA
toolkit, g++, CMake, ninja and a Python with torch 2.11 (cu130), but no network, no OpenCV and no
Debian packages: scripts/gpu_bundle.sh, run beforehand elsewhere, puts the rest into .gpu-deps.

  build      ops, models, tests and `vizoo forward`, for this GPU alone
  tests      vizoo_test_gpu: CUDA against the CPU and the oracle
  models     every class of the registry, CUDA against CPU: outputs and gradients, float32, bfloat16
  sanitizer  memcheck, racecheck and initcheck of compute-sanitizer on a few small problems
  bench      the kernels of neighborhood attention, and FlexAttention, dense masked attention, the
             unfused ops and the plain composition beside them

Default: all parts, in this order. Parts that are named one run at a time share the build folder and
the file: what an earlier run wrote for other parts of the same sources is kept. A part goes on
after a failure. What a machine cannot do is `unavailable`, what was left out is `skipped`; neither
is called passed. Exit code 1 if anything failed.

  --output FILE       default: gpu-DEVICE-DATE.json in $OUT if that is set, else in docs/gpu-results
  --build DIR         default: build/gpu
  --time-limit S      of everything together (default: 570)
  --seed N            of random models and inputs (default: a fresh one, kept in the file)
  --fresh             forget results of earlier runs
  --device cpu, --dry-run
                      runs the logic of all parts on the CPU with tiny sizes; needs an ordinary
                      build in --build; measures nothing of use
  --help              show this text

Environment: PYTHON   interpreter that has torch (default: python3)
             CUDACXX  nvcc, if it is neither in PATH nor in /usr/local/cuda/bin

example: scripts/gpu_check.sh build tests models sanitizer && scripts/gpu_check.sh bench
EOF
}

for argument in "$@"; do
  if [[ "$argument" == --help || "$argument" == -h ]]; then
    usage
    exit 0
  fi
done
python="${PYTHON:-python3}"
"$python" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("torch"))' ||
  die "$python cannot import torch; PYTHON=/path/to/python names one that can"
cd "$VIZOO_SOURCE_DIR"
export PYTHONPATH="$VIZOO_SOURCE_DIR/scripts${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
exec "$python" -m gpu.check "$@"
