#!/bin/sh
# run.sh CORPUS SECONDS TARGET...: lets each libFuzzer target work for SECONDS,
# starting from CORPUS/NAME if there is such a directory. What it finds new is
# thrown away; an input that breaks a target stays in the current directory.
set -eu
corpus=$1 seconds=$2
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

passed=0 failed=0
for target in "$@"; do
    name=${target##*/}
    mkdir "$work/$name"
    set -- "$work/$name"
    [ ! -d "$corpus/$name" ] || set -- "$@" "$corpus/$name"
    echo "fuzz: $name for $seconds s"
    if "./$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="./crash-$name-" "$@" > "$work/$name.log" 2>&1; then
        passed=$((passed + 1))
        grep 'number_of_executed_units' "$work/$name.log" || true
    else
        failed=$((failed + 1))
        tail -n 60 "$work/$name.log"
    fi
done
echo "fuzz: $passed passed, $failed failed"
[ $((passed + failed)) -gt 0 ] && [ "$failed" -eq 0 ]
