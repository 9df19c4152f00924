#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/check-rooms.sh must accept the tree as it is, and refuse each kind of upward reference.
set -eu

check=$KVA_SOURCE/scripts/check-rooms.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# draw LINES: the README, with this order of src/space.
draw()
{
    cat >tree/src/README.md <<END
  src/space/   floor 2   ranges
  src/base/    floor 0   lists

src/space, from top to bottom:

\`\`\`
$1
\`\`\`

src/base, from top to bottom:

\`\`\`
list.h   lists
         space.c, which is on its way elsewhere
\`\`\`
END
}

# The order of the small tree. form.h requires macros of its includer, like the text of an engine.
order='top.c            the calls
left.c  right.c  two that do not know each other
narrow.c wide.c  two forms of one text
form.h           that text
core.c           what all use
shape.h          structures'

# plant FILE LINE...: add these lines to a file of src/space.
plant()
{
    planted=tree/src/space/$1
    shift
    printf '%s\n' "$@" >>"$planted"
}

# fresh_tree: a small tree that breaks no rule.
fresh_tree()
{
    rm -rf tree
    mkdir -p tree/src/base tree/src/space tree/include
    draw "$order"
    printf '#include <stddef.h>\nstruct list { struct list *next; };\n' >tree/src/base/list.h
    plant shape.h '#include "../base/list.h"' 'struct shape { struct list link; };'
    plant core.h '#include "shape.h"' 'int core(void);' 'static inline int twice(void) { return 2 * core(); }'
    plant core.c '#include "core.h"' 'int core_limit = 3;' 'int core(void) { return core_limit; }'
    plant form.h '#include "core.h"' 'int FORM(void);' 'int FORM(void) { return core() + (int)sizeof(TYPE); }'
    plant narrow.c '#define FORM narrow' '#define TYPE short' '#include "form.h"'
    plant wide.c '#define FORM wide' '#define TYPE long' '#include "form.h"'
    plant left.h 'int left(int (*then)(void));'
    plant left.c '#include "left.h"' '#include "core.h"' \
        'int left(int (*then)(void)) { return then() + twice(); }'
    plant right.h 'int right(void);'
    plant right.c '#include "right.h"' 'extern int core_limit;' 'int right(void) { return core_limit; }'
    plant top.c '#include "left.h"' '#include "right.h"' 'int narrow(void);' 'int wide(void);' \
        'int top(void);' 'int top(void) { return left(right) + narrow() + wide(); }'
}

# accepts: the tree as it is must pass without output.
accepts()
{
    "$check" tree >out 2>&1 || fail "a good tree was refused: $(cat out)"
    [ ! -s out ] || fail "a good tree was talked about: $(cat out)"
}

# refuses OFFENCE...: the tree as it is must fail with exactly these offences, and is then created anew.
refuses()
{
    printf '%s\n' "$@" | LC_ALL=C sort >expected
    status=0
    "$check" tree >out 2>err || status=$?
    [ "$status" -eq 1 ] || fail "status $status instead of: $* ($(cat out err))"
    LC_ALL=C sort out | diff expected - >&2 || fail "not the offences expected"
    fresh_tree
}

"$check" "$KVA_SOURCE" || fail "the source tree itself breaks the rules"
fresh_tree
accepts

plant core.c '#include "left.h"'
refuses 'src/space/core.c:4: includes src/space/left.h, which stands above it'
plant shape.h '#  include "right.h"'
refuses 'src/space/shape.h:3: includes src/space/right.h, which stands above it'
plant left.h '#include "right.h"'
refuses 'src/space/left.h:2: includes src/space/right.h, which stands beside it'

plant core.c 'int right(void); int again(void); int again(void) { return right(); }'
refuses 'src/space/core.c calls right of src/space/right.c, which stands above it'
plant left.c 'int right(void); int again(void); int again(void) { return right(); }'
refuses 'src/space/left.c calls right of src/space/right.c, which stands beside it'
plant right.c 'int right_limit;'
plant core.c 'extern int right_limit; int *again(void); int *again(void) { return &right_limit; }'
refuses 'src/space/core.c calls right_limit of src/space/right.c, which stands above it'
# An inline function counts where it is defined, even without a caller. Only gcc detects that.
if "${CC:-cc}" --version | grep -q 'Free Software'; then
    plant right.h 'int top(void); static inline int righter(void) { return top(); }'
    refuses 'src/space/right.h calls top of src/space/top.c, which stands above it'
fi

# A cycle contains an upward reference, in any order of the files.
plant core.c 'int top(void); int again(void); int again(void) { return top(); }'
refuses 'src/space/core.c calls top of src/space/top.c, which stands above it'
plant core.c 'int top(void); int again(void); int again(void) { return top(); }'
draw "core.c
$(echo "$order" | grep -v '^core')"
"$check" tree >out 2>&1 && fail "a circle was accepted"
grep -q 'narrow.c calls core of src/space/core.c, which stands above it' out || fail "narrow.c: $(cat out)"
fresh_tree

plant new.c 'int new_one;'
refuses 'src/space/new.c is missing in the drawing of src/space'
plant new.h 'int new_one(void);'
refuses 'src/space/new.h is missing in the drawing of src/space'
draw "$order
gone.c  what was"
refuses 'src/README.md:13: src/space/gone.c does not exist'
draw "$order
core.c  once more"
refuses 'src/README.md:13: src/space/core.c is drawn twice'
draw "$order
what is left"
refuses 'src/README.md:13: a line of a drawing begins with a file, NAME.c or NAME.h'
mkdir tree/src/attic
echo 'int old;' >tree/src/attic/old.c
refuses 'src/attic has no drawing'

# A header may have its own place in the order.
draw "$order
left.h"
accepts
draw "core.h
$order"
"$check" tree >out 2>&1 && fail "a header above its .c file was accepted"
grep -qx 'src/space/core.c:1: includes src/space/core.h, which stands above it' out ||
    fail "core.c should be named: $(cat out)"
fresh_tree

# A public header declares functions of all floors, so a call upwards needs no include.
echo 'int top(void); int under(void); int under(void) { return top(); }' >tree/src/base/under.c
sed -i 's/^list.h .*/under.c\n&/' tree/src/README.md
refuses 'src/base/under.c calls top of src/space/top.c, which stands on no floor below'

# A file that does not compile cannot be checked.
plant top.c 'int top(int);'
status=0
"$check" tree >out 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "a tree that does not compile ended in status $status"
status=0
"$check" . >out 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "a folder without src/ should end in status 2, not $status"
