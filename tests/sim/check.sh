#!/bin/sh
# What `make check` wants of the simulator: the seeds 1 to $sim_seeds break no
# invariant, nor do the scripts of runs that once did, and one seed gives one
# trace. A test per invariant and per script.
set -eu
sim=${top_builddir:-.}/tests/sim/sim
seeds=${sim_seeds:-500}
flags=${sim_flags:-}
properties='S1 S2 S3 S4 S5 S6 S7 S8 HEAL LINGER CONTRACT'
scripts=${top_srcdir:-$(dirname "$0")/../..}/tests/sim/regressions

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

passed=0 failed=0
verdict() {
    if [ "$2" = yes ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    [ "$2" = yes ] || echo "sim: $1 is broken"
}

status=0
# shellcheck disable=SC2086
"$sim" --seeds "1..$seeds" --jobs "$(nproc)" $flags > "$work/out" 2> "$work/err" || status=$?
runs=$(grep -c '^seed ' "$work/out" || true)
last=$(tail -n 1 "$work/out")
grep -v ' violations 0 ' "$work/out" | tail -n 20
tail -n 100 "$work/err"
for property in $properties; do
    case " $last " in
    *" $property:"*) verdict "$property" no ;;
    *) verdict "$property" yes ;;
    esac
done

# Every seed has run, and the exit status says what the lines say.
if [ "$runs" -eq "$seeds" ] && { [ "$status" -eq 0 ] || [ "$failed" -gt 0 ]; }; then
    verdict "running $seeds seeds" yes
else
    verdict "running $seeds seeds (exit status $status after $runs)" no
fi

# shellcheck disable=SC2086
"$sim" --seed "$seeds" $flags > "$work/again" 2>/dev/null || true
if [ -s "$work/again" ] && [ "$(grep "^seed $seeds " "$work/out")" = "$(cat "$work/again")" ]; then
    verdict 'one seed, one trace' yes
else
    verdict 'one seed, one trace' no
fi

for script in "$scripts"/*.sim; do
    [ -e "$script" ] || continue
    if "$sim" --script "$script" > "$work/out" 2>&1; then
        verdict "$script" yes
    else
        cat "$work/out"
        verdict "$script" no
    fi
done

echo "sim: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
