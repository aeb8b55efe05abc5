#!/bin/sh
# mutants.sh SRCDIR [NAME...]: deliberate bugs in the core, each of which the
# simulator has to find. Builds the simulator out of copies, once for each file
# of tests/sim/mutants, and runs the seeds 1 to 500 up to the first violation.
# Prints a table; exit status 1 if one is not caught, or no longer applies, or
# if the core without it fails on the same seeds.
#
# A mutant: `# what it is`, maybe `flags OPTIONS` for the simulator, then for each
# edit `file PATH`, the lines that have to be there, once, each behind a `-`, and
# those that take their place, each behind a `+`. Indentation is not compared.
set -eu
src=$(cd "$1" && pwd)
shift
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
    "$CC" $CFLAGS -w -std=gnu17 -D_GNU_SOURCE= -I"$src/include" -I"$src/src/core" \
        -I"$src/tests/sim" -c "$1" -o "$2"
}
link() {
    # shellcheck disable=SC2086
    "$CC" -Wl,--wrap=seal_open -Wl,--wrap=assign_compute "$@" $libs
}
object() {
    printf '%s.o' "$(printf %s "$1" | tr / _)"
}

cd "$src"
for file in src/core/*.c tests/sim/*.c; do
    case $file in
    */test_*.c | */fake.c | */calm.c) ;;
    *) compile "$file" "$work/base/$(object "$file")" ;;
    esac
done
link "$work"/base/*.o -o "$work/sim"

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

# mutant_build FILE: makes $work/mutant/sim. 1: an edit does not apply.
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
    link "$work"/mutant/*.o -o "$work/mutant/sim"
}

# The first seed that fails, and in what; nothing if none does.
caught() {
    sed -n 's/.*, first at seed \([0-9]*\): \(.*\)/\1 \2/p' "$1" | tail -n 1
}

missed=0 count=0 furthest=50
printf '%-24s %-6s %-18s %s\n' mutant seed 'caught by' 'what it is'
for mutant in tests/sim/mutants/*.mutant; do
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
    "$work/mutant/sim" --seeds "1..$seeds" --jobs "$(nproc)" --stop $flags \
        > "$work/out" 2> "$work/err" || true
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
    if [ "$seed" != '?' ] && [ "$seed" -gt "$furthest" ]; then furthest=$seed; fi
done

# A core that fails by itself proves nothing of the mutants.
"$work/sim" --seeds "1..$furthest" --jobs "$(nproc)" --stop > "$work/out" 2> "$work/err" || {
    echo "mutants: without any of them: $(caught "$work/out")"
    missed=$((missed + 1))
}
echo "mutants: $((count - missed)) of $count caught"
[ "$missed" -eq 0 ]
