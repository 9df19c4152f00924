#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# check-words.sh: refuses the words that docs/glossary.md retires, and lines of C beyond 110 columns. A word counts where
# it stands alone and where it is a part of an identifier (KVA_WISH, check_wish). Files that must name an old word are
# left out: the glossary itself, the record of changes, and what it records of public names.
#
# Usage: scripts/check-words.sh [PATH...]
# Exit: 0 all is well; 1 findings, which are printed as FILE:LINE: WORD; 2 the glossary has no table of words.
set -eu

cd "$(dirname "$0")/.."
columns=110

# The first column of the glossary's last table: all that stands in backquotes, as one regular expression.
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

list=$(mktemp)
trap 'rm -f "$list"' EXIT
git ls-files -- "$@" ':!docs/glossary.md' ':!docs/migrating.md' ':!docs/names.txt' ':!CHANGELOG.md' \
    ':!docs/benchmarks.json' ':!*.svg' ':!*.png' ':!*.gz' ':!tests/traces' ':!LICENSES' > "$list"

# Letters and digits bound a word; an underscore does not, so that names are read word by word.
retired=$(xargs grep -nHoiE "(^|[^[:alnum:]])($words)([^[:alnum:]]|\$)" < "$list" || true)
long=$(grep -E '[.][ch]$' "$list" | xargs awk -v columns="$columns" '
    length($0) > columns { printf "%s:%d: %d columns\n", FILENAME, FNR, length($0) }')

if [ -n "$retired" ]; then
    printf '%s\n' "$retired"
    echo "check-words: retired words; docs/glossary.md has what to write instead" >&2
fi
if [ -n "$long" ]; then
    printf '%s\n' "$long"
    echo "check-words: lines of more than $columns columns" >&2
fi
[ -z "$retired$long" ]
