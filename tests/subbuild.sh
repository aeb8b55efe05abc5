#!/bin/sh
# subbuild.sh SRCDIR DIRECTORY CONFIGURE-OPTION...
# Configures another build of the same tree in DIRECTORY, once per set of options.
set -eu
srcdir=$1 directory=$2
shift 2

if [ -e "$srcdir/config.status" ]; then
    echo "this tree is configured in place, and a second build of it cannot be made:" >&2
    echo "make distclean && mkdir build && cd build && ../configure" >&2
    exit 1
fi
mkdir -p "$directory"
cd "$directory"
[ -e .options ] && [ "$(cat .options)" = "$*" ] && [ -e Makefile ] && exit 0
"$srcdir/configure" --quiet "$@"
echo "$*" > .options
