#!/bin/sh
# lint.sh SRCDIR: what compilers do not say, by shellcheck, mandoc,
# cppcheck and clang-tidy. Run by `make lint`.
set -eu
cd "$1"

missing=
for tool in cppcheck clang-tidy mandoc shellcheck; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "lint: install the Debian packages:$missing" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# What cppcheck needs to know of headers that it does not read.
cat > "$work/macros.h" <<'EOM'
#define json_array_foreach(a, i, v) for (i = 0; (v = json_array_get(a, i)) != 0; i++)
#define json_object_foreach(o, k, v) while ((v = json_object_get(o, k)) != 0)
#define TAILQ_FOREACH(v, h, f) for (v = (h)->first; v != 0; v = v->f.next)
EOM

passed=0 failed=0
check() {
    echo "lint: $1"
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# uninitvar: the compilers say it better, and without mistaking array elements.
lint_cppcheck() {
    cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -j 2 \
        --enable=warning,performance,portability \
        --suppress=missingIncludeSystem --suppress=uninitvar \
        --include="$work/macros.h" \
        -D__linux__ -D_GNU_SOURCE= -Iinclude -Isrc src
}

# One file at a time: the analyzer of clang 14 mistakes va_list in the second one.
lint_clang_tidy() {
    # shellcheck disable=SC2016  # the inner shell expands
    find src -name '*.c' -print0 | sort -z | xargs -0 -n 1 -P 2 sh -c '
        out=$(clang-tidy --quiet "$1" -- -std=gnu17 -D_GNU_SOURCE= -Iinclude -Isrc \
            -DPACKAGE_VERSION=\"1\" -DSYSCONFDIR=\"/etc\" -DSBINDIR=\"/usr/sbin\" 2>/dev/null) ||
            { printf "%s\n" "$out"; exit 1; }' lint
}

lint_man() {
    mandoc -Tlint -Wwarning man/*.[1-9]
}

lint_shell() {
    scripts=$(git ls-files 2>/dev/null || find . -type f ! -path './build*/*' ! -path './.git/*')
    set --
    for script in $scripts; do
        case $(head -n 1 "$script" 2>/dev/null | tr -d '\0') in
        '#!/bin/sh'* | '#!/bin/bash'* | '#!/usr/bin/env bash'*) set -- "$@" "$script" ;;
        esac
    done
    shellcheck "$@"
}

check shellcheck lint_shell
check mandoc lint_man
check cppcheck lint_cppcheck
check clang-tidy lint_clang_tidy

echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
