#!/bin/sh
# ipclusterd.conf(5) against the schema: the manual has an item for every key
# of this version and for no other, in the same order, each followed by its
# type, range and default as the schema has them.
set -eu

source=${top_srcdir:-$(dirname "$0")/../..}
build=${top_builddir:-.}
manual=$source/man/ipclusterd.conf.5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

"$build/tests/unit/conf_dump" > "$work/dump"
awk -F '\t' '$2 == "present" { print $1 "\t.Pq " $3 }' "$work/dump" > "$work/schema"
awk '/^\.It Ic / { key = $3; getline; print key "\t" $0 }' "$manual" > "$work/manual"

if [ ! -s "$work/schema" ] || ! diff -u "$work/schema" "$work/manual"; then
    echo "man/ipclusterd.conf.5 and src/io/conf_schema.c differ (- schema, + manual)" >&2
    exit 1
fi
echo "$(wc -l < "$work/schema") keys agree"
