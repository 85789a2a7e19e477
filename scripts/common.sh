# shellcheck shell=bash
# Sourced by the scripts beside it: messages, and what more than one of them needs.

VIZOO_SOURCE_DIR="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
# Scripts that call one another count from when the first one started.
export VIZOO_STARTED="${VIZOO_STARTED:-$(date +%s)}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

# step MESSAGE...: what is about to be done, after the seconds since the start.
step() {
  printf '[%4d s] %s\n' "$(($(date +%s) - VIZOO_STARTED))" "$*" >&2
}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# quietly COMMAND...: runs it; its output appears only if it fails.
quietly() {
  local output status=0
  output="$(mktemp)"
  "$@" </dev/null >"$output" 2>&1 || status=$?
  if ((status != 0)); then
    tail -n 60 "$output" >&2
  fi
  rm -f "$output"
  return "$status"
}

# as_root COMMAND...: runs it as root, with sudo where that is needed and there.
as_root() {
  if (($(id -u) == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root and there is no sudo; run as root: $*"
  fi
}

# make_venv FOLDER: a working virtual environment there; one that no longer works is made anew.
make_venv() {
  local folder="$1"
  if "$folder/bin/python" -c 'import pip' >/dev/null 2>&1; then
    return
  fi
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    die "Python 3.11 or later is needed, got $(python3 --version 2>&1)"
  step "Making ${folder#"$VIZOO_SOURCE_DIR"/} ($(python3 --version))"
  rm -rf "$folder"
  quietly python3 -m venv "$folder" || die "python3 -m venv failed; is python3-venv installed?"
}

# build_folder PRESET: where CMakePresets.json puts it. `test` is `release` with the tests switched
# on, in the same folder, so that nothing is compiled twice.
build_folder() {
  case "$1" in
    test) echo "$VIZOO_SOURCE_DIR/build/release" ;;
    *) echo "$VIZOO_SOURCE_DIR/build/$1" ;;
  esac
}
