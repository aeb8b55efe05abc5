#!/bin/sh
# As many nodes as there can be: a script of 256 breaks no invariant. CI runs
# `scale.sh short`, `make sim-256` the long one, and tells how fast virtual time goes.
set -eu
sim=${top_builddir:-.}/tests/sim/sim
scripts=${top_srcdir:-$(dirname "$0")/../..}/tests/sim/scale

if "$sim" --script "$scripts/256${1:+-$1}.sim" --pace; then
    echo 'sim-256: 1 passed, 0 failed'
else
    echo 'sim-256: 0 passed, 1 failed'
    exit 1
fi
