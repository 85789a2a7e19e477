#!/usr/bin/env bash
# Collects what a GPU machine without a network lacks. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOF'
usage: scripts/gpu_bundle.sh

Copies headers, CMake packages and static libraries of nlohmann_json, CLI11 and Catch2 from their
Debian packages into .gpu-deps (which git ignores), and writes down which commit this is. Carry the
checkout and .gpu-deps to the machine with the GPU and run scripts/gpu_check.sh there. Packages that
are missing are installed first (scripts/setup.sh --no-build).

  --help  show this text
EOF
}

if (($# > 0)); then
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
fi
cd "$VIZOO_SOURCE_DIR"

PACKAGES=(nlohmann-json3-dev libcli11-dev catch2)
target=.gpu-deps

is_missing() {
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" != installed ]]
}

command -v dpkg-query >/dev/null || die "this needs a Debian or Ubuntu machine, for its packages"
for package in "${PACKAGES[@]}"; do
  if is_missing "$package"; then
    scripts/setup.sh --no-build
    break
  fi
done

rm -rf "$target"
for package in "${PACKAGES[@]}"; do
  dpkg-query --listfiles "$package" | while IFS= read -r file; do
    case "$file" in
      /usr/include/* | /usr/lib/*.a | *.cmake) ;;
      *) continue ;;
    esac
    if [[ -f "$file" ]]; then
      install -D --mode=644 "$file" "$target/${file#/usr/}"
    fi
  done
done

# Whether CMake finds all of it there, and nothing elsewhere.
check="$(mktemp -d)"
trap 'rm -rf "$check"' EXIT
cat >"$check/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(check LANGUAGES NONE)
foreach(name nlohmann_json CLI11 Catch2)
  find_package(${name} REQUIRED CONFIG NO_CMAKE_SYSTEM_PATH NO_CMAKE_ENVIRONMENT_PATH)
  if(NOT ${name}_DIR MATCHES "^${BUNDLE}/")
    message(FATAL_ERROR "${name} was found in ${${name}_DIR}, not in the bundle")
  endif()
endforeach()
EOF
quietly cmake -S "$check" -B "$check/build" -DBUNDLE="$PWD/$target" \
  -DCMAKE_PREFIX_PATH="$PWD/$target" || die "CMake does not find the packages in $target"

PYTHONPATH=scripts python3 -B -m gpu.sources --write "$target/source.json"
step "$target: $(du -sh "$target" | cut -f 1), for $(cut -c 1-120 "$target/source.json")"
