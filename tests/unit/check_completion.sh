#!/bin/sh
# The completions offer the commands that clusterctl has, and no other.
set -eu
source=${top_srcdir:-$(dirname "$0")/../..}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Rows of the table of commands.
sed -n '/^static const struct command commands/,/^};/s/^    {"\([a-z]*\)".*/\1/p' \
    "$source/src/clusterctl/main.c" | sort > "$work/program"
sed -n "/local commands='/,/'\$/p" "$source/completion/bash/clusterctl" |
    sed "s/.*='//; s/'//" | tr -s ' ' '\n' | grep . | sort > "$work/bash"
sed -n "/local -a commands/,/)/s/^ *'\([a-z]*\):.*/\1/p" \
    "$source/completion/zsh/_clusterctl" | sort > "$work/zsh"

for shell in bash zsh; do
    if [ ! -s "$work/program" ] || ! diff -u "$work/program" "$work/$shell"; then
        echo "completion/$shell does not have clusterctl's commands" >&2
        exit 1
    fi
done
bash -n "$source/completion/bash/clusterctl" "$source/completion/bash/ipclusterd"
echo "$(wc -l < "$work/program") commands"
