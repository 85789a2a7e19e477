#!/usr/bin/env bash
# Proves that a bare Debian machine can run quickstart and the tests. See --help.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'EOF'
usage: scripts/fresh_machine_test.sh [--quickstart-only] [--working-tree] [--as-user] [--suite NAME] [--keep]

Makes a minimal Debian in a temporary folder (debootstrap; needs root), clones this checkout into
it, runs scripts/quickstart.sh twice and scripts/test.sh there, prints times and sizes, and removes
the folder. Needs about 15 GB and, on two cores, most of an hour.

  --quickstart-only  leave out scripts/test.sh
  --working-tree     copy what is not committed yet as well
  --as-user          run them as an ordinary user who has sudo, not as root
  --suite NAME       another Debian than bookworm (12): trixie (13) has Catch2 3, as Ubuntu 24.04 has,
                     but no Python that the comparison with Transformers runs on
  --keep             keep the folder and say where it is
  --help             show this text

The new machine uses the Debian mirror, the additional certificates and the pip configuration of
this one; nothing else is shared with it.
EOF
}

quickstart_only=false
working_tree=false
keep=false
as_user=false
suite=bookworm
while (($# > 0)); do
  case "$1" in
    --quickstart-only) quickstart_only=true ;;
    --working-tree) working_tree=true ;;
    --keep) keep=true ;;
    --as-user) as_user=true ;;
    --suite)
      suite="${2:-}"
      if [[ ! "$suite" =~ ^[a-z]+$ ]]; then
        usage >&2
        exit 2
      fi
      shift
      ;;
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

(($(id -u) == 0)) || die "debootstrap and chroot need root"
for tool in debootstrap unshare git tar; do
  command -v "$tool" >/dev/null || die "$tool is missing; apt-get install debootstrap util-linux git tar"
done

CHECKOUT=/home/vizoo # inside the new machine
USER_NAME=newcomer
as_whom=() # how commands under test change to another user
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
    awk -v suite="$suite" '$2 == suite { print $1; exit }'
}

# Runs a command in the new machine with a bare environment, as root.
home=/root
inside() {
  local -a variables=("HOME=$home" LANG=C.UTF-8 "TERM=${TERM:-dumb}"
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
  step "Making a minimal Debian $suite"
  # Without a mirror of the suite here, debootstrap takes its own default.
  quietly debootstrap --variant=minbase "${packages[@]}" "$suite" "$root" ${mirror:+"$mirror"} ||
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

# An ordinary user owns the checkout; the environment's proxy and pip settings go with sudo.
add_user() {
  quietly inside apt-get -qq update || die "apt-get update failed"
  quietly inside env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends sudo || die "apt-get install sudo failed"
  inside useradd --create-home --shell /bin/bash "$USER_NAME"
  printf '%s\n' "$USER_NAME ALL=(ALL) NOPASSWD: ALL" \
    'Defaults env_keep += "http_proxy https_proxy no_proxy"' >"$root/etc/sudoers.d/$USER_NAME"
  chmod 440 "$root/etc/sudoers.d/$USER_NAME"
  inside chown -R "$USER_NAME:" "$CHECKOUT"
  home="/home/$USER_NAME"
  as_whom=(setpriv "--reuid=$USER_NAME" "--regid=$USER_NAME" --init-groups)
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
  inside "${as_whom[@]}" bash -c 'cd "$1" && shift && exec "$@"' bash "$CHECKOUT" "$@" || status=$?
  seconds=$(($(date +%s) - started))
  after="$(megabytes "$root")"
  report+=("$(printf '%-28s exit %d  %5d s  %+6d MB' "$name" "$status" "$seconds" "$((after - before))")")
  return "$status"
}

make_machine
copy_checkout
if $as_user; then
  add_user
fi
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
