#!/bin/bash
# fresh.sh [--worktree] [--keep] [COMMAND...]
#
# The fresh-machine story: makes a Debian 12 root with nothing in it but git and
# bash, from the mirror that this machine's apt uses, clones this checkout into
# it and runs COMMAND there (./quickstart test, if none is named), in mount and
# process namespaces of its own. Needs root and the Debian package mmdebstrap or
# debootstrap.
#
#   --worktree   what is in the work tree, instead of what is committed
#   --keep       leave the root for a look afterwards, and tell where it is
set -eu -o pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
suite=bookworm
worktree='' keep=''

die() {
    echo "fresh.sh: $*" >&2
    exit 1
}

# ------------------------------------------------- inside the namespaces

if [ "${1:-}" = --inside ]; then
    root=$2
    shift 2
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t tmpfs -o mode=0755,nosuid tmpfs "$root/run"
    mount -t tmpfs -o mode=0755,nosuid tmpfs "$root/dev"
    mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/net"
    mount -t devpts -o newinstance,ptmxmode=0666,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777,nosuid tmpfs "$root/dev/shm"
    for device in null zero full random urandom tty; do
        : > "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    status=0
    # The mount is where the new process tree has its root, as on a machine.
    cd "$root"
    env -i HOME=/root TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$root" /bin/bash -c 'cd /root/ipclusterd && exec "$@"' fresh "$@" || status=$?
    exit "$status"
fi

# ------------------------------------------------------------- arguments

while :; do
    case ${1:-} in
    --worktree) worktree=yes ;;
    --keep) keep=yes ;;
    -*) die "usage: fresh.sh [--worktree] [--keep] [COMMAND...]" ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- ./quickstart test

[ "$(id -u)" -eq 0 ] || die "needs root"

work=$(mktemp -d "${TMPDIR:-/tmp}/fresh-XXXXXX")
root=$work/root
# Every mount was made in a namespace that is gone by now.
cleanup() {
    if [ -n "$keep" ]; then
        echo "kept: $root"
    else
        rm -rf --one-file-system "$work"
    fi
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# --------------------------------------------------------------- the root

# The mirrors of Debian that this machine's apt knows, and how it gets at them.
# shellcheck disable=SC2016
sources=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' | sort -u | awk -v suite="$suite" '
        $1 == "Debian" && index($3, suite) == 1 { print "deb " $2 " " $3 " " $4 }')
[ -n "$sources" ] || die "apt knows no Debian mirror of $suite here: apt-get update?"
mirror=$(echo "$sources" | awk -v suite="$suite" '$3 == suite { print $2; exit }')
[ -n "$mirror" ] || die "apt knows no mirror of $suite itself here"
apt-config dump | grep -E '^Acquire::((http|https)::.|Check-)' > "$work/apt.conf" || true

echo "== a fresh root"
mkdir "$root"
if command -v mmdebstrap >/dev/null 2>&1; then
    mmdebstrap --quiet --variant=minbase --mode=root --aptopt="$work/apt.conf" \
        --include=git,ca-certificates "$suite" "$root" - <<< "$sources"
elif command -v debootstrap >/dev/null 2>&1; then
    debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$root" "$mirror" > "$work/debootstrap.log" ||
        { tail -n 20 "$work/debootstrap.log"; die "debootstrap failed"; }
    echo "$sources" > "$root/etc/apt/sources.list"
else
    die "install the Debian package mmdebstrap"
fi
cp "$work/apt.conf" "$root/etc/apt/apt.conf.d/99fresh"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
hostname > "$root/etc/hostname"
# Certificates that the administrator of this machine trusts, for a mirror by https.
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1 || true
fi

# -------------------------------------------------------------- the clone

if [ -n "$worktree" ]; then
    mkdir "$work/tree"
    (cd "$top" && git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar -c --null -T - -f -) | tar -x -C "$work/tree" -f -
    git -C "$work/tree" init -q
    git -C "$work/tree" add -A
    git -C "$work/tree" -c user.name=fresh -c user.email=fresh@localhost commit -q -m 'the work tree'
    source=$work/tree
else
    source=$top
fi
git clone -q --no-local "$source" "$root/root/ipclusterd"
rm -rf "$work/tree"

echo "== in it: $*"
unshare --mount --pid --fork --kill-child "$0" --inside "$root" "$@"
