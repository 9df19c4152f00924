#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# check-words.sh: refuses the words that docs/glossary.md retires, and lines of C of more than 110 columns. A word
# counts where it stands alone and where it is a part of an identifier (KVA_WISH, check_wish). Files that have to name
# old words are left out: the glossary itself, the record of changes, the records of public names, recorded traces.
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

# All that stands in backquotes in the first column of the glossary's last table, as one regular expression.
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

# files PATH...: the texts to read
files()
{
    find "$@" \( -name .git -o -name build -o -name LICENSES -o -path '*tests/traces' \) -prune -o -type f \
        ! -path '*docs/glossary.md' ! -path '*docs/migrating.md' ! -path '*docs/names.txt' ! -name CHANGELOG.md \
        ! -name 'benchmarks.*' ! -name '*.svg' ! -name '*.png' ! -name '*.gz' ! -name '*.xz' ! -name '*.seed' -print |
        sed 's,^\./,,' | LC_ALL=C sort
}

# Letters and digits bound a word; an underscore does not, so that names are read word by word.
retired=$(files "$@" | xargs -r grep -InHoiE "(^|[^[:alnum:]])($words)([^[:alnum:]]|\$)" || true)
# shellcheck disable=SC2016  # awk's own names
long=$(files "$@" | { grep -E '[.][ch]$' || true; } | xargs -r awk -v columns="$columns" \
    'length($0) > columns { printf "%s:%d: %d columns\n", FILENAME, FNR, length($0) }')

if [ -n "$retired" ]; then
    printf '%s\n' "$retired"
    echo "check-words: retired words; docs/glossary.md has what to write instead" >&2
fi
if [ -n "$long" ]; then
    printf '%s\n' "$long"
    echo "check-words: lines of more than $columns columns" >&2
fi
[ -z "$retired$long" ]
