#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/check-floors.sh must accept the tree as it is, and refuse each kind of bad include by file and line.
set -eu

check=$KVA_SOURCE/scripts/check-floors.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# fresh_tree: a small tree that breaks no rule.
fresh_tree()
{
    rm -rf tree
    mkdir -p tree/include/kva tree/src/base tree/src/engine tree/src/space tree/src/frames tree/src/vmap \
        tree/src/observe tree/ports/linux tree/examples tree/tools tree/bench/scanners
    echo '#include <stdint.h>' >tree/include/kva/kva.h
    echo '#include <kva/kva.h>' >tree/src/base/list.h
    echo 'void *memcpy(void *restrict to, const void *restrict from, size_t bytes);' >tree/src/base/memory.h
    printf '#include "../base/list.h"\n#include <stdatomic.h>\n' >tree/src/engine/engine.h
    echo '#include "engine.h"' >tree/src/engine/rb.c
    echo '#include "../engine/engine.h"' >tree/src/space/space.h
    echo '#include "base/list.h"' >tree/src/frames/frames.h
    printf '#include "../space/space.h"\n#include "../frames/frames.h"\n' >tree/src/vmap/vmap.c
    printf '#include <stdlib.h>\n#include "../../src/base/list.h"\n' >tree/ports/linux/memory.c
    printf '#include <stdio.h>\n#include <kva/kva.h>\n' >tree/examples/example.c
    echo '#include "stdio.h"' >tree/tools/kva.c
    echo '#include "../src/base/list.h"' >tree/bench/walk.c
    printf '#include "../../src/frames/frames.h"\n#include "../../src/base/list.h"\n' >tree/bench/scanners/scanners.c
}

# accepts: the tree as it is must pass without output.
accepts()
{
    "$check" tree >out 2>&1 || fail "a good tree was refused: $(cat out)"
    [ ! -s out ] || fail "a good tree was talked about: $(cat out)"
}

# refuses FILE LINE_OF_CODE WORDS: with the line appended, the check must fail and name file, line and words.
refuses()
{
    fresh_tree
    echo "$2" >>"tree/$1"
    line=$(wc -l <"tree/$1")
    status=0
    "$check" tree >out 2>&1 || status=$?
    [ "$status" -eq 1 ] || fail "$1 with $2 ended in status $status"
    [ "$(wc -l <out)" -eq 1 ] || fail "$1 with $2 should be one offence: $(cat out)"
    grep -q "^$1:$line: .*$3" out || fail "$1:$line with $2 should be named, with '$3': $(cat out)"
}

"$check" "$KVA_SOURCE" || fail "the source tree itself breaks the rules"
fresh_tree
accepts

refuses src/base/list.h '#include "../engine/engine.h"' 'upwards'
refuses src/base/list.h '#  include "engine/engine.h"' 'upwards'
refuses src/engine/rb.c '#include "../base/../space/space.h"' 'upwards'
refuses src/space/space.h '#include "../vmap/vmap.h"' 'upwards'
refuses src/vmap/vmap.c '#include "../observe/trace.h"' 'upwards'
refuses src/space/space.h '#include "../frames/frames.h"' 'neighbours'
refuses src/frames/frames.h '#include "../space/space.h"' 'neighbours'
refuses src/engine/rb.c '#include <string.h>' 'string.h'
refuses src/space/space.h '#include <stdlib.h>' 'stdlib.h'
refuses include/kva/kva.h '#include <stdio.h>' 'stdio.h'
refuses include/kva/kva.h '#include "../../src/base/list.h"' 'public header'
refuses src/base/list.h '#include "../../tools/kva.h"' 'outside the library'
refuses src/engine/rb.c '#include "../../ports/linux/port.h"' 'outside the library'
refuses src/engine/rb.c '#include "../tree/tree.h"' 'on no floor'
refuses src/engine/rb.c '#include ENGINE' 'cannot read'
refuses src/engine/rb.c 'void *memset(void *to, int byte, size_t bytes);' 'memory functions'
refuses ports/linux/memory.c '#include "../../src/engine/engine.h"' 'above src/base'
refuses examples/example.c '#include "../src/base/list.h"' 'users do not have'
refuses tools/kva.c '#include "../src/base/list.h"' 'users do not have'
refuses bench/walk.c '#include "../src/engine/engine.h"' 'above src/base'
refuses bench/walk.c '#include "../src/frames/frames.h"' 'above src/base'
refuses bench/scanners/scanners.c '#include "../../src/space/space.h"' 'above src/base'

fresh_tree
mkdir tree/src/attic
echo '#include "../base/list.h"' >tree/src/attic/old.c
if "$check" tree >out 2>&1; then
    fail "a folder that is no floor was accepted"
fi
grep -q '^src/attic/old.c:1: src/attic is no floor' out || fail "src/attic should be named: $(cat out)"

status=0
"$check" . >out 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "a folder without src/ should end in status 2, not $status"
