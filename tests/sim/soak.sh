#!/bin/sh
# soak.sh SIM MINUTES: seeds that nobody has run yet, until MINUTES are over or
# one breaks an invariant; that one is printed with the command that replays it,
# and as the shortest script that breaks the same, for tests/sim/regressions.
set -eu
sim=$1 minutes=$2

first=$(date +%s)
end=$((first + minutes * 60))
batch=200
# Seconds since 1970 times a thousand: no soak begins where another one was.
seed=$((first * 1000))
total=0
while [ "$(date +%s)" -lt "$end" ]; do
    last=$((seed + batch - 1))
    out=$("$sim" --seeds "$seed..$last" --jobs "$(nproc)" --stop) || {
        printf '%s\n' "$out" | grep -v ' violations 0 ' || true
        bad=$(printf '%s\n' "$out" | sed -n 's/.*, first at seed \([0-9]*\):.*/\1/p')
        [ -z "$bad" ] || "$sim" --shrink "$bad" || true
        echo "soak: seed $bad after $total seeds"
        exit 1
    }
    total=$((total + batch)) seed=$((seed + batch))
    printf '%s seeds: %s\n' "$total" "$(printf '%s\n' "$out" | tail -n 1)"
done
[ "$total" -gt 0 ]
