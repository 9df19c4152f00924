#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Refuse the words that docs/glossary.md retires, and lines of C of more than 110 columns. A word counts by itself and
# as a part of an identifier: of KVA_WORD and of check_word. Files that must name old words are left out: the
# glossary, the changelog, the records of public names, recorded traces.
#
# Usage: scripts/check-words.sh [--tree FOLDER] [PATH...]      PATH: relative to the tree; default: all of it
# Exit: 0 no findings; 1 findings, printed as FILE:LINE: TEXT; 2 a wrong call, or a glossary without the table
set -eu

columns=110
tree=$(dirname "$0")/..
if [ "${1-}" = --tree ]; then
    [ $# -ge 2 ] || { echo "check-words: --tree needs a folder" >&2; exit 2; }
    tree=$2
    shift 2
fi
cd "$tree"
[ $# -gt 0 ] || set -- .

# The words in backquotes in the first column of the glossary's last table, as one regular expression.
words=$(awk '
    /^## Retired words/ { inside = 1 }
    inside && /^\| `/ {
        split($0, cell, "|")
        while (match(cell[2], /`[^`]+`/)) {
            word = substr(cell[2], RSTART + 1, RLENGTH - 2)
            gsub(/[ _]/, "[ _]", word)
            list = list (list == "" ? "" : "|") word
            cell[2] = substr(cell[2], RSTART + RLENGTH)
        }
    }
    END { print list }' docs/glossary.md)
[ -n "$words" ] || { echo "check-words: docs/glossary.md has no table of retired words" >&2; exit 2; }

# files PATH...: print the texts to read
files()
{
    find "$@" \( -name .git -o -name build -o -name LICENSES -o -path '*tests/traces' \) -prune -o -type f \
        ! -path '*docs/glossary.md' ! -path '*docs/migrating.md' ! -path '*docs/names.txt' ! -name CHANGELOG.md \
        ! -name 'benchmarks.*' ! -name '*.svg' ! -name '*.png' ! -name '*.gz' ! -name '*.xz' ! -name '*.seed' -print |
        sed 's,^\./,,' | LC_ALL=C sort
}

# A letter or a digit beside a word makes it another word; an underscore does not, so identifiers are read word by
# word.
retired=$(files "$@" | xargs -r grep -InHoiE "(^|[^[:alnum:]])($words)([^[:alnum:]]|\$)" || true)
# shellcheck disable=SC2016  # awk's own names
long=$(files "$@" | { grep -E '[.][ch]$' || true; } | xargs -r awk -v columns="$columns" \
    'length($0) > columns { printf "%s:%d: %d columns\n", FILENAME, FNR, length($0) }')

if [ -n "$retired" ]; then
    printf '%s\n' "$retired"
    echo "check-words: these words are retired; docs/glossary.md lists their replacements" >&2
fi
if [ -n "$long" ]; then
    printf '%s\n' "$long"
    echo "check-words: these lines have more than $columns columns" >&2
fi
[ -z "$retired$long" ]
