#!/bin/sh
# What is wanted of the model: that no search finds a bucket that two hosts let in,
# where there must be none, and that one finds it where there must be. A test per
# search. $model_depth says how much: quick (for `make check`), full (a minute
# on one core; for quickstart) or deep (`make model`: an hour, up to 8 GB).
set -eu
explore=${top_builddir:-.}/tests/model/explore
depth=${model_depth:-quick}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

passed=0 failed=0 begun=0 judged=0
jobs=$(nproc)

# The search that began first of those that have not been judged.
judge() {
    judged=$((judged + 1))
    at=$work/$judged
    wait "$(cat "$at.pid")"
    status=$(cat "$at.rc") want=$(cat "$at.want") name=$(cat "$at.name")
    printf '%s (%s):\n    %s\n' "$name" "$(cat "$at.options")" "$(tail -n 1 "$at.out")"
    if [ "$status" -eq "$want" ]; then
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    echo "model: $name: exit status $status, not $want"
    tail -n 200 "$at.out"
    tail -n 20 "$at.err"
}

# want STATUS NAME OPTIONS...: of explore: 0 all seen, 1 a violation, 3 none so far
want() {
    [ $((begun - judged)) -lt "$jobs" ] || judge
    begun=$((begun + 1))
    at=$work/$begun
    echo "$1" > "$at.want"
    echo "$2" > "$at.name"
    shift 2
    echo "$*" > "$at.options"
    {
        status=0
        "$explore" "$@" > "$at.out" 2> "$at.err" || status=$?
        echo "$status" > "$at.rc"
    } &
    echo $! > "$at.pid"
}

# Each depth is done on top of those before it.
quick() {
    want 0 'hosts from the store do as those that live on' --check 100 --steps 80 --kinds all,memory
    want 0 'the same while they start' --cold --check 40 --steps 150 --kinds all,memory
    want 0 'any one fault' --faults 1
    want 1 'without a quorum a partition makes two claim' --quorum none --faults 1 --kinds cut
}

full() {
    want 0 'hosts from the store do as those that live on, for longer' \
        --check 1000 --steps 100 --kinds all,memory,clock
    want 0 'any one fault while they start' --faults 1 --cold --phases 1
    want 0 'any one fault, a shorter lease' --faults 1 --pace 2/6/4
    want 0 'any one fault, and a longer dead_after' --faults 1 --pace 2/8/7
    want 0 'any two of cut, loss, sick, forget, commit' \
        --faults 2 --phases 1 --kinds cut,loss,sick,forget,commit
    want 0 'any two of link, loss, sick' --faults 2 --phases 1 --kinds link,loss,sick
    want 3 'any two faults, in fourteen steps' --faults 2 --phases 1 --steps 14
}

deep() {
    jobs=1 # for the memory's sake
    want 0 'any two faults' --faults 2 --phases 1 --states 70000000
    want 0 'any three of loss, sick, commit, forget' \
        --faults 3 --phases 1 --kinds loss,sick,commit,forget --states 70000000
    want 3 'any two faults, and a lost memory, in twenty steps' \
        --faults 2 --phases 1 --kinds all,memory --steps 20 --states 70000000
    want 3 'any three of cut, kill, forget, in ten steps' \
        --faults 3 --phases 1 --kinds cut,kill,forget --steps 10 --states 70000000
    want 3 'any two faults, the ticks aside, in twelve steps' \
        --faults 2 --steps 12 --states 70000000
}

case $depth in
quick) quick ;;
full) quick && full ;;
deep) quick && full && deep ;;
*) echo "model: no such depth: $depth" >&2; exit 2 ;;
esac
while [ "$judged" -lt "$begun" ]; do judge; done
echo "model: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
