#!/bin/sh
# The style that a program can check: lines, files, functions, layout, words.
# Prints each finding as FILE:LINE: what; exit status 1 if there is any.
# Run by `make check`; by hand: tests/style.sh
set -eu
cd "${top_srcdir:-$(dirname "$0")/..}"

FILE_LINES=500
FUNCTION_LINES=80
COLUMNS_MAX=100

findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
trap 'exit 1' HUP INT TERM

sources=$(find include src tests -name '*.[ch]' | sort)
if [ -z "$sources" ]; then
    echo "style: no source found in $(pwd)" >&2
    exit 1
fi

# A function's opening brace stands alone in column 1, and so does its closing one.
# shellcheck disable=SC2086
awk -v file_lines="$FILE_LINES" -v function_lines="$FUNCTION_LINES" -v columns="$COLUMNS_MAX" '
    function say(line, what) { printf "%s:%d: %s\n", name, line, what }
    function file_end() {
        if (lines > file_lines)
            say(lines, "the file has " lines " lines, more than " file_lines)
    }
    FNR == 1 { if (name) file_end(); name = FILENAME; opened = 0 }
    { lines = FNR }
    length($0) > columns { say(FNR, "the line has " length($0) " columns, more than " columns) }
    /\t/ { say(FNR, "a tab") }
    /[ \t]+$/ { say(FNR, "blanks at the end of the line") }
    /(^|[^A-Za-z_])(TODO|FIXME|XXX)([^A-Za-z_]|$)/ { say(FNR, "an unfinished thought") }
    /^\{$/ { opened = FNR }
    /^\}/ {
        if (opened && FNR - opened + 1 > function_lines)
            say(FNR, "the function has " FNR - opened + 1 " lines, more than " function_lines)
        opened = 0
    }
    END { if (name) file_end() }
' $sources >> "$findings"

# A header may be included twice.
for header in $(find include src -name "*.h" | sort); do
    guard=$(sed -n 's/^#ifndef \(IPCLUSTERD_[A-Z0-9_]*_H\|[A-Z0-9_]*_H\)$/\1/p' "$header" | head -n 1)
    if [ -z "$guard" ] || ! grep -q "^#define $guard\$" "$header"; then
        echo "$header:1: no include guard" >> "$findings"
    fi
done

skipped=
if command -v clang-format >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    clang-format --dry-run --style=file $sources 2>&1 |
        sed -n 's/^\([^ ]*:[0-9]*\):[0-9]*: warning: .*/\1: not as clang-format lays it out/p' |
        uniq >> "$findings"
else
    skipped=yes
fi

if [ -s "$findings" ]; then
    cat "$findings"
    echo "style: $(wc -l < "$findings") findings (layout: make format)"
    exit 1
fi
if [ -n "$skipped" ]; then
    echo "style: the layout was not checked: clang-format is missing (Debian package clang-format)"
    exit 77
fi
# shellcheck disable=SC2086
echo "style: $(echo $sources | wc -w) files"
