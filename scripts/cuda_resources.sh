#!/usr/bin/env bash
# Lists what each CUDA kernel takes of a multiprocessor. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOT'
usage: scripts/cuda_resources.sh [--architectures LIST] [--max-spill BYTES] [FILE.cu ...]

Compiles the CUDA kernels (all of lib/vizoo/kernels, or the given files) with the flags of the build
and prints a line for each kernel and architecture: registers, static shared memory, stack, spilled
bytes. Then it prints how much dynamic shared memory and how many threads the tile kernels ask for at
the shapes of published models. Needs nvcc and g++, no GPU.

  --architectures LIST  comma between them (default: 80,90,100)
  --max-spill BYTES     most bytes that a kernel may spill on any architecture (default: 192)
  --help                show this text

Exit code 1 if a kernel spills more, or the compiler warns.

example: scripts/cuda_resources.sh --architectures 90 lib/vizoo/kernels/na2d_cuda_dense.cu
EOT
}

architectures=80,90,100
max_spill=192
files=()
while (($# > 0)); do
  case "$1" in
    --architectures | --max-spill)
      if [[ ! "${2:-}" =~ ^[0-9,]+$ ]]; then
        usage >&2
        exit 2
      fi
      if [[ "$1" == --architectures ]]; then architectures="$2"; else max_spill="$2"; fi
      shift
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    *.cu) files+=("$(realpath -- "$1")") ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done

cd "$VIZOO_SOURCE_DIR"
if ((${#files[@]} == 0)); then
  files=(lib/vizoo/kernels/*.cu)
fi
nvcc="${CUDACXX:-$(command -v nvcc || true)}"
if [[ -z "$nvcc" && -x /usr/local/cuda/bin/nvcc ]]; then
  nvcc=/usr/local/cuda/bin/nvcc
fi
[[ -n "$nvcc" ]] || die "there is no nvcc in PATH, CUDACXX or /usr/local/cuda/bin"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

flags=(-std=c++17 -O3 -DNDEBUG "-Xcompiler=-fPIC,-Wall,-Wextra" -Xptxas=-v -Ilib)
IFS=, read -r -a list <<<"$architectures"
for architecture in "${list[@]}"; do
  flags+=("-gencode=arch=compute_$architecture,code=sm_$architecture")
done

for file in "${files[@]}"; do
  step "Compiling ${file#"$VIZOO_SOURCE_DIR"/} for sm_${architectures//,/, sm_}"
  "$nvcc" "${flags[@]}" -c "$file" -o "$work/object.o" >>"$work/log" 2>&1 ||
    { cat "$work/log" >&2; die "nvcc failed"; }
done

# One line a kernel: the compiler tells name, then stack and spills, then registers.
c++filt <"$work/log" | sed -E 's/vizoo::kernels::(cuda::)?//g' | awk '
  /Compiling entry function/ {
    match($0, /\047.*\047 for \047/)
    name = substr($0, RSTART + 1, RLENGTH - 8)
    sub(/^void /, "", name)
    sub(/\(.*$/, "", name)
    architecture = $0
    sub(/.* for \047/, "", architecture)
    sub(/\047.*/, "", architecture)
  }
  /bytes stack frame/ { stack = $1; spill = $5 }
  /Used [0-9]+ registers/ {
    registers = $0
    sub(/.*Used /, "", registers)
    sub(/ .*/, "", registers)
    shared = 0
    if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH - 11)
    printf "%-62s %-7s %9d %7d %6d %6d\n", name, architecture, registers, shared, stack, spill
  }' | sort >"$work/table"

printf '%-62s %-7s %9s %7s %6s %6s\n' kernel target registers static stack spill
cat "$work/table"
[[ -s "$work/table" ]] || die "no kernel was found in the output of nvcc"

# Dynamic shared memory follows from the plans, which are host code.
cat >"$work/plans.cpp" <<'EOT'
#include <cstdio>

#include "vizoo/kernels/na2d_plan.h"

using namespace vizoo::kernels;

int main() {
  const struct {
    const char* name;
    int size, heads, kernel, dilation;
  } shapes[] = {{"stage 1", 56, 2, 7, 1},     {"stage 1, d = 8", 56, 2, 7, 8},
                {"stage 2", 28, 4, 7, 1},     {"stage 2, d = 4", 28, 4, 7, 4},
                {"stage 3", 14, 8, 7, 1},     {"stage 3, d = 2", 14, 8, 7, 2},
                {"stage 4", 7, 16, 7, 1},     {"384 px, 11 x 11", 96, 6, 11, 1},
                {"384 px, 11, d = 8", 96, 6, 11, 8}};
  const char* const passes[] = {"forward", "backward_queries", "backward_keys"};
  std::printf("\n%-20s %-18s %8s %6s %8s %8s %8s\n", "B = 128, D = 32", "pass", "patches", "steps",
              "threads", "dynamic", "blocks");
  for (const auto& s : shapes) {
    Na2dShape shape;
    shape.batch = 128;
    shape.heads = s.heads;
    shape.height = shape.width = s.size;
    shape.head_dim = 32;
    for (int axis = 0; axis < 2; ++axis) {
      shape.kernel_size[axis] = s.kernel;
      shape.dilation[axis] = s.dilation;
    }
    for (int pass = 0; pass < 3; ++pass) {
      const TilePlan plan = make_tile_plan(shape, static_cast<TilePass>(pass));
      const int patches = plan.patches[0] * plan.patches[1];
      std::printf("%-20s %-18s %4d x %d %6d %8d %8d %8lld\n", s.name, passes[pass],
                  plan.patches[0], plan.patches[1], plan.steps, 32 * patches,
                  tile_layout(shape, plan, static_cast<TilePass>(pass)).bytes,
                  static_cast<long long>(tile_slots(shape, plan) * shape.heads));
    }
  }
}
EOT
g++ -std=c++17 -Ilib "$work/plans.cpp" -o "$work/plans"
"$work/plans"

status=0
if grep -i warning "$work/log" >&2; then
  status=1
fi
if awk -v limit="$max_spill" '$NF > limit { bad = 1; print "spills too much: " $0 } END { exit !bad }' \
  "$work/table" >&2; then
  status=1
fi
exit "$status"
