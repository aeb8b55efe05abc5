#!/bin/sh
# isolate.sh COMMAND...: runs COMMAND in a network, process and mount namespace
# of its own, with an empty /run and /tmp. When it ends, or whoever started it
# is killed, the kernel ends every process in it and takes away every network
# namespace, socket and temporary file that it made. Needs root.
set -eu

if [ "${1:-}" != --inside ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "$0: needs root, to make network namespaces" >&2
        exit 1
    fi
    self=$(cd "$(dirname "$0")" && pwd -P)
    exec setpriv --pdeathsig KILL unshare --net --pid --fork --kill-child --mount --mount-proc \
        -- "$self/isolate.sh" --inside "$@"
fi
shift

here=$(pwd -P)
tree=$(cd "$(dirname "$0")/.." && pwd -P)

mount -t tmpfs -o mode=0755,nosuid tmpfs /run
mkdir -m 1777 /run/lock
# A checkout or a build under /tmp stays where it is.
mkdir /run/here /run/tree
mount --bind "$here" /run/here
mount --bind "$tree" /run/tree
mount -t tmpfs -o mode=1777,nosuid tmpfs /tmp
case $tree/ in /tmp/*) mkdir -p "$tree" && mount --bind /run/tree "$tree" ;; esac
case $here/ in
"$tree"/*) ;;
/tmp/*) mkdir -p "$here" && mount --bind /run/here "$here" ;;
esac
umount /run/here /run/tree
rmdir /run/here /run/tree
cd "$here"
export TMPDIR=/tmp
ip link set lo up

# This shell is the first process here: it stays, to reap what daemons leave.
status=0
"$@" || status=$?
exit "$status"
