#!/usr/bin/env bash
# Takes CLIP's vocabulary out of a public package. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

PACKAGE=open_clip_torch==2.24.0
# Of bpe_simple_vocab_16e6.txt.gz in it.
SHA256=924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a

usage() {
  cat <<EOF
usage: scripts/clip_vocabulary.sh

Makes .clip-vocabulary, a model folder with the tokenizer of OWLv2's checkpoints: CLIP's 49408
tokens, "!" for padding, at most 16 tokens a text. The vocabulary comes from the package
$PACKAGE, which pip downloads (1.5 MB) and nobody installs; nothing of it is part
of vizoo. Does nothing if the folder is there already. The tests compare with Transformers on it:

  scripts/parity.sh --tokenizers --clip-strings 20000
EOF
}

if (($# > 0)); then
  usage
  [[ "$1" == --help || "$1" == -h ]] && exit 0
  exit 2
fi
cd "$VIZOO_SOURCE_DIR"
folder=.clip-vocabulary
if [[ -e "$folder/config.json" ]]; then # written last
  exit 0
fi
python=.venv-reference/bin/python
[[ -x "$python" ]] || python=python3
download="$(mktemp -d)"
trap 'rm -rf "$download"' EXIT
step "Downloading $PACKAGE for CLIP's vocabulary"
quietly "$python" -m pip download --progress-bar off --no-deps --only-binary :all: \
  --dest "$download" "$PACKAGE" || die "pip download failed"
"$python" scripts/parity/clip_vocabulary.py "$download"/*.whl "$SHA256" "$folder"
