#!/bin/sh
# isolate.sh COMMAND...: runs COMMAND in a network, process and mount namespace
# of its own, with an empty /run. When it ends, or whoever started it is killed,
# the kernel ends every process in it and takes away every network namespace,
# socket and temporary file that it made. Needs root.
set -eu

if [ "${1:-}" != --inside ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "$0: needs root, to make network namespaces" >&2
        exit 1
    fi
    exec setpriv --pdeathsig KILL unshare --net --pid --fork --kill-child --mount --mount-proc \
        -- "$0" --inside "$@"
fi
shift

mount -t tmpfs -o mode=0755,nosuid tmpfs /run
mkdir -m 1777 /run/tmp /run/lock
export TMPDIR=/run/tmp
ip link set lo up

# This shell is the first process here: it stays, to reap what daemons leave.
status=0
"$@" || status=$?
exit "$status"
