#!/usr/bin/env bash
# Compares the vizoo program with Transformers 4.37.2 on fresh random configurations.
#   scripts/parity.sh --cases 67              67 cases of each class, models and processors
#   scripts/parity.sh --models --seed S --case K     one case again
#   scripts/parity.sh --self-test             shows that injected errors are found
# Needs the reference environment (scripts/reference_env.sh makes it) and a built program.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python="$root/.venv-reference/bin/python"
if [[ ! -x "$python" ]]; then
  "$root/scripts/reference_env.sh" >&2
fi
# numpy's exp for AVX-512 rounds other than its portable one, and with it the weights of SciPy's Gaussian
# in Owlv2ImageProcessor: a pixel between two bytes becomes the other one. Compared is with the numbers
# that every processor gives.
export NPY_DISABLE_CPU_FEATURES="AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
PYTHONPATH="$root/scripts${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 \
  exec "$python" -m parity "$@"
