#!/usr/bin/env bash
# From a bare machine to classified images. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOF'
usage: scripts/quickstart.sh

Makes the checkout ready (scripts/setup.sh), classifies the 20 handwritten digits that ship with
weights/convnext-digits and counts the right answers, then preprocesses one photo and draws what a
model would see of it. Exits with 0 if all of that worked. Run it again at will.

  --help  show this text
EOF
}

case "${1:-}" in
  "") ;;
  --help | -h)
    usage
    exit 0
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
cd "$VIZOO_SOURCE_DIR"

MODEL=weights/convnext-digits
SCIKIT_IMAGE=scikit-image==0.26.0
PHOTO=chelsea.png # a cat, by Stefan van der Walt, CC0
folder=build/quickstart

# The photo lies in the wheel of scikit-image; only that one file is unpacked.
fetch_photo() {
  local wheels="$folder/wheel" installed
  if [[ -e "$folder/$PHOTO" ]]; then
    return
  fi
  mkdir -p "$folder"
  installed="$(compgen -G ".venv-reference/lib/python3*/site-packages/skimage/data/$PHOTO" || true)"
  if [[ -n "$installed" ]]; then
    cp "$installed" "$folder/$PHOTO"
    return
  fi
  make_venv "$VIZOO_SOURCE_DIR/.venv"
  step "Fetching a photo (from the wheel of $SCIKIT_IMAGE, 14 MB)"
  quietly .venv/bin/python -m pip download --progress-bar off --no-deps --only-binary :all: \
    --dest "$wheels" "$SCIKIT_IMAGE" || die "pip download failed"
  .venv/bin/python - "$wheels" "$folder/$PHOTO" <<'EOF'
import pathlib, sys, zipfile

wheels, photo = map(pathlib.Path, sys.argv[1:])
(wheel,) = wheels.glob("*.whl")
data = zipfile.ZipFile(wheel).read(f"skimage/data/{photo.name}")
partial = photo.with_suffix(".partial")
partial.write_bytes(data)
partial.rename(photo)
EOF
  rm -r "$wheels"
}

# Reads the answers of `vizoo classify --json`; the true labels end the file names.
count_right_answers() {
  python3 -c '
import json, pathlib, sys

answers = [json.loads(line) for line in sys.stdin]
right = sum(
    answer["predictions"][0]["label"] == pathlib.Path(answer["image"]).stem.rsplit("-", 1)[1]
    for answer in answers
)
print(f"{right} of {len(answers)} right")
sys.exit(not answers or right < 0.9 * len(answers))
'
}

scripts/setup.sh
vizoo="$(build_folder release)/bin/vizoo"
fetch_photo

step "vizoo classify --model $MODEL --top-k 1 $MODEL/images/*.png"
"$vizoo" classify --model "$MODEL" --top-k 1 "$MODEL"/images/*.png
"$vizoo" classify --model "$MODEL" --top-k 1 --json "$MODEL"/images/*.png | count_right_answers

step "vizoo preprocess --model $MODEL --outputs $folder/photo.safetensors" \
  "--draw $folder/photo-seen.png $folder/$PHOTO"
"$vizoo" preprocess --model "$MODEL" --outputs "$folder/photo.safetensors" \
  --draw "$folder/photo-seen.png" "$folder/$PHOTO"
echo "drawn: $folder/photo-seen.png"
step "Done"
