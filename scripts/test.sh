#!/usr/bin/env bash
# Set-up, then every test. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOF'
usage: scripts/test.sh [--preset NAME] [CTEST_OPTIONS...]

Makes the checkout ready (scripts/setup.sh, scripts/reference_env.sh), then runs all tests: ten
random cases of each class against Transformers, the same ones each time (scripts/parity.sh makes
fresh ones), and whatever ctest knows. Nothing of it is timed.

  --preset NAME  test (default), dev, asan or cuda
  --help         show this text

example: scripts/test.sh --preset asan -R safetensors
EOF
}

preset="test"
case "${1:-}" in
  --help | -h)
    usage
    exit 0
    ;;
  --preset)
    preset="${2:-}"
    if [[ -z "$preset" ]]; then
      usage >&2
      exit 2
    fi
    shift 2
    ;;
esac
cd "$VIZOO_SOURCE_DIR"

scripts/setup.sh --preset "$preset"

# Both parts run, whatever fails; ctest comes last, so that its summary closes the output.
folder="$(build_folder "$preset")"
status=0
if scripts/reference_env.sh; then
  step "Comparing with Transformers on random cases"
  # A fixed seed: two runs of the same commit do the same.
  if ! scripts/parity.sh --cases 10 --tokenizer-cases 4 --clip-strings 500 --seed 1 \
    --jobs "$(nproc)" \
    --vizoo "$folder/bin/vizoo"; then
    step "scripts/parity.sh failed"
    status=1
  fi
else
  step "Not compared with Transformers, which counts as a failure: scripts/reference_env.sh failed"
  status=1
fi
step "Running ctest"
# Tests share the cores: threads that wait for each other sleep instead of taking them.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
ctest --test-dir "$folder" --parallel "$(nproc)" --output-on-failure "$@" || status=1
exit "$status"
