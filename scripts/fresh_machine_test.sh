#!/usr/bin/env bash
# Proves that a bare Debian 12 machine can run quickstart and the tests. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOF'
usage: scripts/fresh_machine_test.sh [--quickstart-only] [--working-tree] [--keep]

Makes a minimal Debian 12 in a temporary folder (debootstrap; needs root), clones this checkout into
it, runs scripts/quickstart.sh twice and scripts/test.sh there, prints times and sizes, and removes
the folder. Needs about 15 GB and, on two cores, most of an hour.

  --quickstart-only  leave out scripts/test.sh
  --working-tree     copy what is not committed yet as well
  --keep             keep the folder and say where it is
  --help             show this text

The new machine uses the Debian mirror, the additional certificates and the pip configuration of
this one; nothing else is shared with it.
EOF
}

quickstart_only=false
working_tree=false
keep=false
for argument in "$@"; do
  case "$argument" in
    --quickstart-only) quickstart_only=true ;;
    --working-tree) working_tree=true ;;
    --keep) keep=true ;;
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

(($(id -u) == 0)) || die "debootstrap and chroot need root"
for tool in debootstrap unshare git tar; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install debootstrap util-linux git tar"
done

SUITE=bookworm
CHECKOUT=/home/vizoo # inside the new machine
root="$(mktemp -d)"
chmod 755 "$root"

# shellcheck disable=SC2317  # called by the trap
remove_root() {
  if $keep; then
    step "Kept: $root"
  else
    step "Removing $root"
    # Mounts live in a namespace of their own (see inside), so nothing of this machine is below it.
    rm -rf --one-file-system "$root"
  fi
}
trap remove_root EXIT

# The mirror that this machine's apt uses for the suite, whatever form its lists have.
find_mirror() {
  # shellcheck disable=SC2016  # apt expands these
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' "Created-By: Packages" |
    awk -v suite="$SUITE" '$2 == suite { print $1; exit }'
}

# Runs a command in the new machine with a bare environment.
inside() {
  local -a variables=(HOME=/root LANG=C.UTF-8 "TERM=${TERM:-dumb}"
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
  local name
  for name in http_proxy https_proxy no_proxy PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL; do
    if [[ -n "${!name:-}" ]]; then
      variables+=("$name=${!name}")
    fi
  done
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private bash -c '
    root="$1"
    shift
    mount -t proc proc "$root/proc"
    mkdir -p "$root/dev/shm"
    mount -t tmpfs tmpfs "$root/dev/shm"
    exec chroot "$root" env -i "$@"
  ' inside "$root" "${variables[@]}" "$@" </dev/null
}

make_machine() {
  local mirror packages=() setting
  mirror="$(find_mirror)"
  if compgen -G '/usr/local/share/ca-certificates/*' >/dev/null; then
    packages=(--include=ca-certificates)
  fi
  step "Making a minimal Debian $SUITE"
  # Without a mirror of the suite here, debootstrap takes its own default.
  quietly debootstrap --variant=minbase "${packages[@]}" "$SUITE" "$root" ${mirror:+"$mirror"} ||
    die "debootstrap failed"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # Proxies and the like; what depends on this machine's files is left out.
  for setting in Acquire::http Acquire::https Acquire::Check-Valid-Until Acquire::Check-Date; do
    apt-config dump --no-empty "$setting"
  done >"$root/etc/apt/apt.conf.d/90host"
  if ((${#packages[@]} > 0)); then
    cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    quietly inside update-ca-certificates || die "update-ca-certificates failed"
  fi
  if [[ -e /etc/pip.conf ]]; then
    cp /etc/pip.conf "$root/etc/pip.conf"
  fi
}

copy_checkout() {
  local target="$root$CHECKOUT"
  if $working_tree; then
    mkdir -p "$target"
    git -C "$VIZOO_SOURCE_DIR" ls-files --cached --others --exclude-standard -z |
      tar -C "$VIZOO_SOURCE_DIR" --null --files-from=- --create --ignore-failed-read |
      tar -C "$target" --extract --no-same-owner
  else
    quietly git clone --no-hardlinks "$VIZOO_SOURCE_DIR" "$target" || die "git clone failed"
  fi
}

megabytes() {
  du --summarize --one-file-system --block-size=1M "$1" | cut -f 1
}

report=()
# measure NAME COMMAND...: runs it in the checkout of the new machine and notes time and size.
measure() {
  local name="$1" before after started seconds status=0
  shift
  before="$(megabytes "$root")"
  started="$(date +%s)"
  step "$name"
  # shellcheck disable=SC2016  # expanded by the inner shell
  inside bash -c 'cd "$1" && shift && exec "$@"' bash "$CHECKOUT" "$@" || status=$?
  seconds=$(($(date +%s) - started))
  after="$(megabytes "$root")"
  report+=("$(printf '%-28s exit %d  %5d s  %+6d MB' "$name" "$status" "$seconds" "$((after - before))")")
  return "$status"
}

make_machine
copy_checkout
report+=("$(printf '%-28s %20d MB' "bare machine and checkout" "$(megabytes "$root")")")
status=0
measure "scripts/quickstart.sh" scripts/quickstart.sh || status=1
if ((status == 0)); then
  measure "scripts/quickstart.sh again" scripts/quickstart.sh || status=1
fi
if ((status == 0)) && ! $quickstart_only; then
  measure "scripts/test.sh" scripts/test.sh || status=1
fi
printf '%s\n' "${report[@]}"
exit "$status"
