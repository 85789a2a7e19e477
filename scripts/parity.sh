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
PYTHONPATH="$root/scripts${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 \
  exec "$python" -m parity "$@"
