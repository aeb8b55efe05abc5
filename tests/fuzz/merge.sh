#!/bin/sh
# merge.sh CORPUS FOUND TARGET...: makes CORPUS/NAME the smallest set of inputs, of
# those there and in FOUND/NAME (run.sh with FUZZ_KEEP), that covers what all do;
# and seed-*, which are written by hand, on both sides of limits.
set -eu
corpus=$1 found=$2
shift 2
for target in "$@"; do
    name=${target##*/}
    mkdir -p "$corpus/$name" "$found/$name"
    least=$(mktemp -d)
    # Edges alone, not how often: a corpus to begin with, not to end with.
    "./$target" -merge=1 -use_counters=0 -use_value_profile=0 "$least" "$corpus/$name" \
        "$found/$name" > /dev/null 2>&1
    find "$corpus/$name" -name 'seed-*' -exec cp {} "$least" \;
    rm -rf "${corpus:?}/$name"
    mv "$least" "$corpus/$name"
    chmod 755 "$corpus/$name"
    echo "$name: $(find "$corpus/$name" -type f | wc -l) inputs," \
        "$(find "$corpus/$name" -type f -exec cat {} + | wc -c) bytes"
done
