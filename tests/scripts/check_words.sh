#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/check-words.sh must accept the tree as it is, and refuse a retired word and a long line, by file and line.
set -eu

check=$KVA_SOURCE/scripts/check-words.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# fresh_tree: a small tree that breaks no rule, but nearly does.
fresh_tree()
{
    rm -rf tree
    mkdir -p tree/docs tree/src tree/build tree/tests/traces
    cat >tree/docs/glossary.md <<'END'
| `free` | a word of another table |
## Retired words
| Retired | Instead |
|---|---|
| `crumb`, `set apart` | `piece` |
END
    echo 'int crumbs, scrumb, crumbl;' >tree/src/near.c
    printf '%110s\n' '/* */' >tree/src/full.h
    printf '%111s\n' 'prose' >tree/docs/wide.md
    echo 'crumb' >tree/CHANGELOG.md
    echo 'crumb' >tree/docs/migrating.md
    echo 'crumb' >tree/docs/names.txt
    echo 'crumb' >tree/build/output
    echo 'crumb' >tree/tests/traces/recorded
}

# refuses PLACE [PATH]: it must fail with one line that names the place.
refuses()
{
    place=$1 status=0
    shift
    "$check" --tree tree "$@" >out 2>err || status=$?
    [ "$status" -eq 1 ] || fail "'$place' should be refused, but the status is $status: $(cat out err)"
    [ "$(wc -l <out)" -eq 1 ] || fail "'$place' should be one finding: $(cat out)"
    grep -q "^$place:" out || fail "$place should be named: $(cat out)"
}

"$check" >out 2>&1 || fail "the source tree itself breaks the rules: $(head out)"

fresh_tree
"$check" --tree tree >out 2>&1 || fail "a good tree was refused: $(cat out)"
[ ! -s out ] || fail "a good tree was talked about: $(cat out)"

for text in 'crumb' 'a Crumb.' 'KVA_CRUMB' 'take_crumb(x)' '"crumb"' 'set apart' 'is_set_apart'; do
    fresh_tree
    printf '\n%s\n' "$text" >tree/src/bad.c
    refuses src/bad.c:2
    refuses src/bad.c:2 src
    "$check" --tree tree docs >out 2>&1 || fail "what lies beside docs was read: $(cat out)"
done
for file in docs/bad.md bad.sh src/bad.h; do
    fresh_tree
    echo 'crumb' >tree/$file
    refuses "$file:1"
done
for file in src/long.c src/long.h; do
    fresh_tree
    printf '\n\n%111s\n' '/* */' >tree/$file
    refuses "$file:3"
done

# A wrong call is not a finding.
fresh_tree
sed '/crumb/d' tree/docs/glossary.md >edited
mv edited tree/docs/glossary.md
status=0
"$check" --tree tree >out 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "a glossary without words should give 2, not $status"
status=0
"$check" --tree >out 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "--tree without a folder should give 2, not $status"
