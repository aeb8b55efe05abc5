#!/bin/sh
# mutants.sh SRCDIR [NAME...]: deliberate bugs in the core, each of which the
# simulator has to find, or with mutants_of=model the explorer of tests/model.
# Builds it out of copies, once for each file of tests/sim/mutants (or of
# tests/model/mutants), and runs the seeds 1 to 500 up to the first violation (or
# searches as the mutant's flags say). Prints a table; exit status 1 if one is not
# caught, or no longer applies, or if the core without it fails on the same seeds
# (or in the same search).
#
# A mutant: `# what it is`, maybe `flags OPTIONS` for the program, then for each
# edit `file PATH`, the lines that have to be there, once, each behind a `-`, and
# those that take their place, each behind a `+`. Indentation is not compared.
set -eu
src=$(cd "$1" && pwd)
shift
of=${mutants_of:-sim}
seeds=${mutant_seeds:-500}
CC=${CC:-cc}
CFLAGS=${CFLAGS:--O2}
libs="$(pkg-config --libs libsodium 2>/dev/null || echo -lsodium) -lm"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/base" "$work/mutant"

# compile FILE OBJECT
compile() {
    # shellcheck disable=SC2086
    "$CC" $CFLAGS -w -std=gnu17 -D_GNU_SOURCE= $limits -I"$src/include" -I"$src/src/core" \
        -I"$src/tests/$of" -c "$1" -o "$2"
}
link() {
    # shellcheck disable=SC2086
    "$CC" $wraps "$@" $libs
}
object() {
    printf '%s.o' "$(printf %s "$1" | tr / _)"
}

cd "$src"
# shellcheck disable=SC2016  # it is make that expands
case $of in
sim) limits='' wraps=$(sed -n 's/^tests_sim_sim_LDFLAGS = $(AM_LDFLAGS) //p' tests/sim/local.mk) ;;
model) limits=$(sed -n 's/^model_limits = //p' tests/model/local.mk) wraps='' ;;
*) echo "mutants: of sim or of model, not of $of" >&2; exit 2 ;;
esac
for file in src/core/*.c "tests/$of"/*.c; do
    case $file in
    */test_*.c | */fake.c | */calm.c) ;;
    *) compile "$file" "$work/base/$(object "$file")" ;;
    esac
done
link "$work"/base/*.o -o "$work/program"

# What the edits of a mutant make of one file, to stdout. Fails if they do not
# apply exactly once.
cat > "$work/apply.awk" <<'EOM'
function bare(line) { gsub(/^[ \t]+|[ \t]+$/, "", line); return line }
FILENAME == ARGV[1] {
    if ($1 == "file") { here = $2 == want; mode = ""; next }
    sign = substr($0, 1, 1)
    if (!here || (sign != "-" && sign != "+")) { mode = ""; next }
    if (mode == "" || (mode == "+" && sign == "-")) { edits++; olds[edits] = news[edits] = 0 }
    mode = sign
    if (sign == "-") old[edits, ++olds[edits]] = bare(substr($0, 2))
    else new[edits, ++news[edits]] = substr($0, 2)
    next
}
{ line[++lines] = $0 }
END {
    for (e = 1; e <= edits; e++) {
        for (i = 1; i + olds[e] - 1 <= lines; i++) {
            for (k = 1; k <= olds[e] && bare(line[i + k - 1]) == old[e, k]; k++)
                continue
            if (k > olds[e] && olds[e] > 0) { found[e]++; at[i] = e }
        }
        if (found[e] != 1)
            exit 1
    }
    for (i = 1; i <= lines; i++) {
        if (!(i in at)) { print line[i]; continue }
        e = at[i]
        for (k = 1; k <= news[e]; k++)
            print new[e, k]
        i += olds[e] - 1
    }
    exit edits == 0
}
EOM

# mutant_build FILE: makes $work/mutant/program. 1: an edit does not apply.
mutant_build() {
    rm -rf "$work/mutant"
    mkdir "$work/mutant"
    cp "$work"/base/*.o "$work/mutant"
    sed -n 's/^file //p' "$1" | sort -u > "$work/files"
    [ -s "$work/files" ] || return 1
    while read -r file; do
        awk -v want="$file" -f "$work/apply.awk" "$1" "$file" > "$work/mutant/${file##*/}" || return 1
        compile "$work/mutant/${file##*/}" "$work/mutant/$(object "$file")" || return 1
    done < "$work/files"
    link "$work"/mutant/*.o -o "$work/mutant/program"
}

# run PROGRAM FLAGS...
run() {
    if [ "$of" = sim ]; then
        set -- "$@" --seeds "1..$seeds" --jobs "$(nproc)" --stop
    fi
    "$@" > "$work/out" 2> "$work/err"
}

# The first seed that fails, and in what; or the steps of the shortest trace. Nothing
# if there is none.
caught() {
    sed -n -e 's/.*, first at seed \([0-9]*\): \(.*\)/\1 \2/p' \
        -e 's/^VIOLATION:.* \([0-9.]*\) steps deep.*/\1 S1/p' \
        -e 's/^turn \([0-9]*\): DIFFERENCE.*/\1 --check/p' "$1" | tail -n 1
}

missed=0 count=0 furthest=50
printf '%-24s %-6s %-18s %s\n' mutant "$([ "$of" = sim ] && echo seed || echo depth)" \
    'caught by' 'what it is'
for mutant in "tests/$of/mutants"/*.mutant; do
    name=${mutant##*/} name=${name%.mutant}
    case " ${*:-$name} " in
    *" $name "*) ;;
    *) continue ;;
    esac
    count=$((count + 1))
    what=$(sed -n 's/^# //p' "$mutant" | head -n 1)
    flags=$(sed -n 's/^flags //p' "$mutant")
    if ! mutant_build "$mutant"; then
        printf '%-24s %-6s %-18s %s\n' "$name" - 'DOES NOT APPLY' "$what"
        missed=$((missed + 1))
        continue
    fi
    # shellcheck disable=SC2086
    run "$work/mutant/program" $flags || true
    found=$(caught "$work/out")
    if [ -z "$found" ] && grep -q 'Assertion' "$work/err"; then
        found="? assertion"
    fi
    if [ -z "$found" ]; then
        printf '%-24s %-6s %-18s %s\n' "$name" - 'NOT CAUGHT' "$what"
        missed=$((missed + 1))
        continue
    fi
    seed=${found%% *}
    printf '%-24s %-6s %-18s %s\n' "$name" "$seed" "${found#* }" "$what"
    case $of:$seed in
    sim:'?') ;;
    sim:*) if [ "$seed" -gt "$furthest" ]; then furthest=$seed; fi ;;
    *) echo "$flags" >> "$work/searches" ;;
    esac
done

# A core that fails by itself proves nothing of the mutants.
base_check() {
    status=0
    # shellcheck disable=SC2086
    run "$work/program" $1 || status=$?
    case $of:$status in
    *:0 | model:[23]) return ;; # nothing found, though the search has a bound
    esac
    echo "mutants: without any of them: $1: $(caught "$work/out")"
    missed=$((missed + 1))
}
if [ "$of" = sim ]; then
    seeds=$furthest
    base_check ''
else
    sort -u "$work/searches" > "$work/unique"
    while read -r flags; do base_check "$flags"; done < "$work/unique"
fi
if [ "$missed" -gt "$count" ]; then missed=$count; fi
echo "mutants: $((count - missed)) passed, $missed failed"
[ "$missed" -eq 0 ]
