#!/usr/bin/env bash
# Installs what vizoo needs, fetches LibTorch, configures and builds. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

TORCH=torch==2.11.0
# All that libtorch_cpu.so of that wheel needs besides itself; the rest of its dependencies, 4 GB of
# CUDA libraries, serve torch in Python only.
TORCH_CPU_NEEDS=(nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)

usage() {
  cat <<'EOF'
usage: scripts/setup.sh [--preset NAME] [--cuda] [--no-build]

Makes this checkout ready on Debian 12 or Ubuntu 24.04: installs the Debian packages that are
missing (as root or with sudo), puts LibTorch into .venv, configures and builds. Run it again at
will: what is there already is left alone.

  --preset NAME  preset of CMakePresets.json: release (default), test, dev, asan, cuda
  --cuda         the whole wheel of torch (5 GB) and the preset cuda; needs nvcc
  --no-build     install only
  --help         show this text

Environment: CMAKE_PREFIX_PATH   where a LibTorch is unpacked; then no wheel is fetched
             CMAKE_BUILD_PARALLEL_LEVEL   compilers at a time (default: by cores and memory)

example: scripts/setup.sh --preset dev
EOF
}

preset=
cuda=false
build=true
while (($# > 0)); do
  case "$1" in
    --preset)
      preset="${2:-}"
      if [[ -z "$preset" ]]; then
        usage >&2
        exit 2
      fi
      shift
      ;;
    --cuda) cuda=true ;;
    --no-build) build=false ;;
    --help | -h)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done
if [[ "$preset" == cuda ]]; then
  cuda=true
elif [[ -z "$preset" ]]; then
  preset=release
  if $cuda; then preset=cuda; fi
fi
cd "$VIZOO_SOURCE_DIR"

is_installed() {
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

# The Debian packages that are missing, one a line. A tool that is there in some other way will do;
# libraries are asked for by package. The names are the same on Debian 12 and Ubuntu 24.04.
missing_packages() {
  local entry package
  for entry in g++:g++ cmake:cmake ninja:ninja-build ccache:ccache python3:python3; do
    command -v "${entry%%:*}" >/dev/null || echo "${entry#*:}"
  done
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  # Only a few modules of OpenCV: libopencv-dev would bring 600 MB more.
  for package in ca-certificates nlohmann-json3-dev libcli11-dev catch2 libutf8proc-dev libssl-dev \
    libjpeg-dev libpng-dev zlib1g-dev libopencv-core-dev libopencv-imgcodecs-dev \
    libopencv-imgproc-dev libopencv-videoio-dev libcpp-httplib-dev libgloo-dev \
    openmpi-bin dpkg-dev file; do
    is_installed "$package" || echo "$package"
  done
}

apt_get() {
  quietly as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}

install_packages() {
  local packages
  if ! command -v apt-get >/dev/null; then
    return # not Debian: CMake will name what is missing
  fi
  mapfile -t packages < <(missing_packages)
  if ((${#packages[@]} == 0)); then
    return
  fi
  step "Reading the package lists"
  apt_get update || die "apt-get update failed"
  step "Installing Debian packages: ${packages[*]}"
  apt_get install --yes --no-install-recommends "${packages[@]}" || die "apt-get install failed"
}

# Succeeds if CMAKE_PREFIX_PATH (in the environment, colons between the folders) has a LibTorch.
torch_is_given() {
  local prefix
  local -a prefixes
  IFS=: read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}"; do
    if [[ -e "$prefix/lib/libtorch_cpu.so" || -e "$prefix/../../lib/libtorch_cpu.so" ]]; then
      return 0
    fi
  done
  return 1
}

# Succeeds if .venv holds NAME==VERSION. pip writes RECORD last, so a broken install has none.
in_venv() {
  local name="${1%%==*}"
  compgen -G ".venv/lib/python3*/site-packages/${name//-/_}-${1##*==}*.dist-info/RECORD" >/dev/null
}

install_torch() {
  local package
  if torch_is_given; then
    return
  fi
  make_venv "$VIZOO_SOURCE_DIR/.venv"
  if $cuda; then
    if ! in_venv "$TORCH" || ! compgen -G '.venv/lib/python3*/site-packages/nvidia_cudnn*/RECORD' >/dev/null; then
      step "Installing $TORCH with all of CUDA (5 GB) into .venv"
      quietly .venv/bin/python -m pip install --progress-bar off "$TORCH" || die "pip install failed"
    fi
    return
  fi
  for package in "$TORCH" "${TORCH_CPU_NEEDS[@]}"; do
    if ! in_venv "$package"; then
      step "Installing LibTorch (1.3 GB) into .venv: $TORCH ${TORCH_CPU_NEEDS[*]}"
      quietly .venv/bin/python -m pip install --progress-bar off --no-deps \
        "$TORCH" "${TORCH_CPU_NEEDS[@]}" || die "pip install failed"
      return
    fi
  done
}

find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" "$(command -v nvcc || true)" "${CUDA_HOME:-}/bin/nvcc" \
    /usr/local/cuda/bin/nvcc; do
    if [[ -n "$candidate" && -x "$candidate" ]]; then
      echo "$candidate"
      return
    fi
  done
  die "--cuda needs nvcc of the CUDA toolkit, and there is none in PATH, CUDACXX, CUDA_HOME or" \
    "/usr/local/cuda. Install the toolkit (13.0 fits torch 2.11), or build without --cuda."
}

# Compilers at a time: a file that includes torch takes up to 1.5 GB.
parallel_jobs() {
  local cores available
  cores="$(nproc)"
  available="$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo)"
  ((available >= 1)) || available=1
  echo "$((available < cores ? available : cores))"
}

# Of ninja's lines only each tenth part of the way is shown, and all that is no progress.
show_progress() {
  local line shown=-1 tenth
  while IFS= read -r line; do
    if [[ "$line" =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
      tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
      if ((tenth > shown)); then
        shown=$tenth
        step "  built ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
      fi
    elif [[ "$line" != "ninja: Entering directory"* ]]; then
      printf '%s\n' "$line" >&2
    fi
  done
}

configure() {
  local folder="$1"
  local -a arguments=(--preset "$preset")
  if torch_is_given; then
    arguments+=("-DCMAKE_PREFIX_PATH=${CMAKE_PREFIX_PATH//:/;}")
  fi
  if [[ -n "${CUDACXX:-}" ]]; then
    arguments+=("-DCMAKE_CUDA_COMPILER=$CUDACXX")
  fi
  if [[ -e "$folder/build.ninja" ]] &&
    [[ "$(cat "$folder/.setup-arguments" 2>/dev/null)" == "${arguments[*]}" ]]; then
    return # ninja runs CMake again by itself when a CMake file has changed
  fi
  step "Configuring ${folder#"$VIZOO_SOURCE_DIR"/} (preset $preset)"
  quietly cmake -U 'VIZOO_TORCH_INCLUDE_DIR' "${arguments[@]}" || die "configuring failed"
  echo "${arguments[*]}" >"$folder/.setup-arguments"
}

compile() {
  local folder="$1"
  local jobs="${CMAKE_BUILD_PARALLEL_LEVEL:-$(parallel_jobs)}"
  if [[ "$(ninja -C "$folder" -n 2>/dev/null | tail -n 1)" == "ninja: no work to do." ]]; then
    return
  fi
  step "Building ${folder#"$VIZOO_SOURCE_DIR"/} ($jobs at a time)"
  if [[ -t 1 ]]; then
    ninja -C "$folder" -j "$jobs" || die "the build failed"
  else
    ninja -C "$folder" -j "$jobs" | show_progress || die "the build failed"
  fi
}

if $cuda; then
  CUDACXX="$(find_nvcc)"
  export CUDACXX
fi
install_packages
install_torch
if $build; then
  folder="$(build_folder "$preset")"
  configure "$folder"
  compile "$folder"
  step "Ready: ${folder#"$VIZOO_SOURCE_DIR"/}"
else
  step "Ready to build: cmake --preset $preset && cmake --build --preset $preset"
fi
