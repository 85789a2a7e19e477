#!/usr/bin/env bash
# Makes the Python environment that vizoo is compared with. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOF'
usage: scripts/reference_env.sh [--v5] [--peers]

Makes .venv-reference with Transformers 4.37.2, torch 2.11.0 and whatever else the tests and the
scripts in Python need, all pinned (scripts/reference-requirements.txt): 5 GB. Does nothing if it is
there already.

  --v5    also puts Transformers 5.17.0 into .venv-reference/v5, a peer for benchmarks:
          PYTHONPATH=.venv-reference/v5 .venv-reference/bin/python ...
  --peers also puts ONNX Runtime and OpenVINO into .venv-reference/peers, for benchmarks
  --help  show this text
EOF
}

with_v5=false
with_peers=false
for argument in "$@"; do
  case "$argument" in
    --v5) with_v5=true ;;
    --peers) with_peers=true ;;
    --help | -h)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
done
cd "$VIZOO_SOURCE_DIR"
venv=.venv-reference

# A stamp holds the hash of the requirements that were installed, and is written last.
is_current() {
  local requirements="$1" stamp="$2"
  [[ -e "$stamp" && "$(cat "$stamp")" == "$(sha256sum <"$requirements")" ]]
}

# install REQUIREMENTS FOLDER PIP_OPTIONS...: unless FOLDER's stamp says that it is done.
install() {
  local requirements="$1" folder="$2"
  local stamp="$folder/.requirements-sha256"
  shift 2
  if is_current "$requirements" "$stamp"; then
    return
  fi
  rm -f "$stamp"
  step "Installing $(grep -c == "$requirements") packages of $requirements into $folder"
  quietly "$venv/bin/python" -m pip install --progress-bar off --requirement "$requirements" "$@" ||
    die "pip install failed"
  sha256sum <"$requirements" >"$stamp"
}

make_venv "$VIZOO_SOURCE_DIR/$venv"
"$venv/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' ||
  die "Transformers 4.37.2 needs Python 3.11 or 3.12, got $("$venv/bin/python" --version)"
install scripts/reference-requirements.txt "$venv"
if $with_v5; then
  install scripts/reference-v5-requirements.txt "$venv/v5" \
    --no-deps --upgrade --target "$venv/v5"
fi
if $with_peers; then
  install scripts/reference-peers-requirements.txt "$venv/peers" \
    --no-deps --upgrade --target "$venv/peers"
fi
