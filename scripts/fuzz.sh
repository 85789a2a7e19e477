#!/bin/sh
# Builds the fuzz targets of test/fuzz with clang and sanitizers and runs each of them.
#
#   scripts/fuzz.sh [seconds for each target, default 60] [target...]
#
# Targets: json safetensors safetensors_index tokenizer_files tokenizer_text torch_checkpoint. What
# is found goes to build-fuzz/findings, the grown corpus to build-fuzz/corpus; the seeds in
# test/fuzz/corpus are not touched. Needs clang (any from 14 on; CLANGXX names another),
# nlohmann-json3-dev, libutf8proc-dev and libssl-dev.
set -eu
cd "$(dirname "$0")/.."
seconds="${1:-60}"
[ $# -gt 0 ] && shift
targets="${*:-json safetensors safetensors_index tokenizer_files tokenizer_text torch_checkpoint}"

compiler="${CLANGXX:-}"
for candidate in clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14; do
  [ -n "$compiler" ] && break
  command -v "$candidate" >/dev/null 2>&1 && compiler="$candidate"
done
if [ -z "$compiler" ]; then
  echo "fuzz.sh: no clang++ found: install clang" >&2
  exit 1
fi

build=build-fuzz
mkdir -p "$build/findings"
echo "fuzz.sh: building with $compiler"
flags="-std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -Ilib"
objects=""
for source in lib/vizoo/core/*.cpp lib/vizoo/io/*.cpp lib/vizoo/text/*.cpp; do
  object="$build/$(echo "$source" | tr / _).o"
  objects="$objects $object"
  if [ ! -e "$object" ] || [ -n "$(find lib/vizoo/core lib/vizoo/io lib/vizoo/text -newer "$object")" ]; then
    "$compiler" $flags -fsanitize=fuzzer-no-link -c "$source" -o "$object"
  fi
done
for target in $targets; do
  "$compiler" $flags -fsanitize=fuzzer "test/fuzz/fuzz_$target.cpp" $objects -lutf8proc -lcrypto \
    -o "$build/fuzz_$target"
done

failed=""
for target in $targets; do
  corpus="$build/corpus/$target"
  mkdir -p "$corpus"
  dictionary=json
  [ "$target" = safetensors ] && dictionary=safetensors
  case "$target" in tokenizer_*) dictionary=tokenizer ;; torch_*) dictionary=torch ;; esac
  echo "fuzz.sh: $target for $seconds s"
  if ! "$build/fuzz_$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 \
      -max_len=65536 -dict="test/fuzz/$dictionary.dict" -artifact_prefix="$build/findings/$target-" \
      -print_final_stats=1 "$corpus" "test/fuzz/corpus/$target" >"$build/$target.log" 2>&1; then
    failed="$failed $target"
    tail -n 40 "$build/$target.log"
  fi
  grep -E '^(Done|stat::number_of_executed_units|stat::peak_rss_mb)' "$build/$target.log" || true
done
if [ -n "$failed" ]; then
  echo "fuzz.sh: findings in:$failed (inputs in $build/findings)" >&2
  exit 1
fi
echo "fuzz.sh: no findings"
