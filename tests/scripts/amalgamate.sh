#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/amalgamate.sh must accept the tree as it is, and refuse a tree that cannot become one file, by file
# and line. A refusal leaves the folder unchanged. scripts/check-amalgamation.sh compiles the output.
set -eu

amalgamate=$KVA_SOURCE/scripts/amalgamate.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

mkdir tree
cp -R "$KVA_SOURCE/LICENSE" "$KVA_SOURCE/include" "$KVA_SOURCE/src" "$KVA_SOURCE/ports" tree
export KVA_SOURCE="$PWD/tree"
"$amalgamate" "a folder/deep" >said 2>&1 || fail "a good tree was refused: $(cat said)"
[ ! -s said ] || fail "a good tree was talked about: $(cat said)"
[ "$(find "a folder" -type f | wc -l)" -eq 3 ] || fail "three files were to be written: $(find "a folder")"
cp -R "a folder/deep" before

# refuses FILE TEXT WORDS: with the text appended, the tree must be refused with FILE and the words.
refuses()
{
    cp "tree/$1" saved
    printf '%s\n' "$2" >>"tree/$1"
    status=0
    "$amalgamate" "a folder/deep" >said 2>&1 || status=$?
    mv saved "tree/$1"
    [ "$status" -eq 1 ] || fail "$1 with $2 ended in status $status"
    grep -q "^$1:[0-9]*: .*$3" said || fail "$1 should be named, with '$3': $(cat said)"
    diff -r before "a folder/deep" || fail "a refusal changed the folder"
}

refuses src/space/core.c 'static const char *engines[1];' 'engines is defined in src/engine/registry.c, too'
refuses src/vmap/vm.c 'static int same_text(void) { return 0; }' 'same_text is defined in src/base/text.h, too'
refuses src/space/core.c 'int unfinished(void) {' 'not closed'
refuses src/space/core.c '#include "nothing.h"' 'src/space/nothing.h is empty, or cannot be read'
refuses src/space/core.c '#include "../engine/bt_leaf.h"' 'asks for BT_SIMD'
refuses src/base/arena.c '#if KVA_CHECK_LEVEL > 1
#include "sync.h"
#endif' 'under a condition'
refuses src/base/text.h '/* After the guard. */' 'guard'

# Names that are not public become static, wherever they are declared and defined.
cat >>tree/src/space/core.c <<'END_OF_CODE'
extern const int kva_planted;
const int kva_planted = 1;
int
kva_planted_too(int (*function)(int), int argument);
int kva_planted_too(int (*function)(int), int argument) { return function(argument) + kva_planted; }
END_OF_CODE
"$amalgamate" planted
for line in 'static const int kva_planted;' 'static const int kva_planted = 1;' 'static int' 'static int kva_planted_too(int (.*'; do
    grep -q "^$line$" planted/kva.c || fail "'$line' is missing: $(grep -B 1 kva_planted planted/kva.c)"
done
if grep -q kva_planted planted/kva.h planted/kva_vm.h; then
    fail "what is not public is in a header"
fi

# unusable WORDS ARGUMENT...: refused, with the words.
unusable()
{
    words=$1
    shift
    if "$amalgamate" "$@" >said 2>&1; then
        fail "$* was accepted"
    fi
    grep -q "$words" said || fail "$* should be refused with '$words': $(cat said)"
}
echo content >file
unusable 'cannot make the folder file/below' file/below
unusable Usage: one two
