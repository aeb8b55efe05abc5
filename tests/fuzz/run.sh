#!/bin/sh
# run.sh CORPUS SECONDS TARGET...: lets each libFuzzer target work for SECONDS, as
# many at a time as there are processors, starting from CORPUS/NAME if there is
# such a directory. An input that breaks a target stays in the current directory.
#
# From the environment:
#   FUZZ_RUNS=N    until each has been executed N times, however long that takes; without
#                  it the same inputs are tried each time, so that CI says the same
#   FUZZ_JOBS=N    so many at a time
#   FUZZ_KEEP=DIR  what they find new is kept in DIR/NAME, for merge.sh
set -eu

# What a target can be given beside its corpus.
options() {
    case $1 in
    fuzz_conf) echo -max_len=2048 ;;
    fuzz_control) echo -max_len=256 ;;
    # All lives reach much the same: to weigh what is rare takes a fifth of the time.
    fuzz_node) echo -max_len=256 -len_control=20 -entropic=0 ;;
    fuzz_seal | fuzz_wire) echo -max_len=1500 ;;
    esac
}

# one CORPUS SECONDS WORK TARGET: its report in WORK/NAME.log, its end in WORK/NAME.rc
one() {
    corpus=$1 seconds=$2 work=$3 target=$4
    name=${target##*/}
    found=${FUZZ_KEEP:-$work}/$name
    mkdir -p "$found"
    dictionary=$corpus/../$name.dict
    if [ "$name" = fuzz_conf ]; then # it knows its words itself
        dictionary=$work/$name.dict
        FUZZ_DICTIONARY=$dictionary "./$target"
    fi
    set -- "$found"
    [ ! -d "$corpus/$name" ] || set -- "$@" "$corpus/$name"
    [ ! -e "$dictionary" ] || set -- "-dict=$dictionary" "$@"
    limit=-max_total_time=$seconds
    [ -z "${FUZZ_RUNS:-}" ] || limit=-runs=$FUZZ_RUNS
    [ -n "${FUZZ_RUNS:-}" ] || set -- -seed=1 "$@"
    rc=0
    # A large quarantine of freed blocks would only be swept through the caches.
    # shellcheck disable=SC2046
    ASAN_OPTIONS=quarantine_size_mb=8:${ASAN_OPTIONS:-} \
        "./$target" "$limit" $(options "$name") -timeout=10 -rss_limit_mb=1024 -print_funcs=0 \
        -print_final_stats=1 -artifact_prefix="./crash-$name-" "$@" > "$work/$name.log" 2>&1 ||
        rc=$?
    echo $rc > "$work/$name.rc"
}

if [ "$1" = --one ]; then
    shift
    one "$@"
    exit
fi

corpus=$1 seconds=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo "fuzz: $# targets, each ${FUZZ_RUNS:-$seconds s}${FUZZ_RUNS:+ executions}"
printf '%s\n' "$@" |
    xargs -P "${FUZZ_JOBS:-$(nproc)}" -I '{}' "$0" --one "$corpus" "$seconds" "$work" '{}'

passed=0 failed=0
for target in "$@"; do
    name=${target##*/}
    if [ "$(cat "$work/$name.rc" 2>/dev/null)" = 0 ]; then
        passed=$((passed + 1))
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
        edges=$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$work/$name.log" | tail -n 1)
        echo "fuzz: $name: $runs executions, $edges edges"
    else
        failed=$((failed + 1))
        echo "fuzz: $name has failed"
        grep -v '^#' "$work/$name.log" | tail -n 60 || true
    fi
done
echo "fuzz: $passed passed, $failed failed"
[ $((passed + failed)) -gt 0 ] && [ "$failed" -eq 0 ]
