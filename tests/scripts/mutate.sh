#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/mutate.sh must find the tokens of a mutation in whichever file of the folder the definition is, in
# any layout. It must refuse a mutation whose tokens are missing, or occur twice.
set -eu

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# fresh_tree: one definition of each kind, and some that are easily misread.
fresh_tree()
{
    rm -rf tree
    mkdir -p tree/scripts tree/tests/mutations tree/include/kva tree/ports/linux tree/src/base tree/src/space
    cp "$KVA_SOURCE/scripts/mutate.sh" "$KVA_SOURCE/scripts/plant.awk" tree/scripts
    cat >tree/src/base/sum.h <<'END'
#ifdef __cplusplus
extern "C" {
#endif
/* int sum(int a, int b) { return a + b; } */
int sum(int a, int b);
#define BIG(a, b) \
    ((a) > LIMIT || \
     (b) > LIMIT)
enum { FEW = 3, LIMIT = FEW << 4 };
struct pair {
    int a;
    int b;
};
static const struct pair pairs[] = {{1, 2}, {3, 4}};
#ifdef __cplusplus
}
#endif
END
    cat >tree/src/base/sum.c <<'END'
static const char *const open[] = {"{ /*", "\"}", "// (", "'"};

/* Don't { stop here. */
int sum(int a, int b)
{
    const char brace = '{', quote = '\'', escape[] = "\\"; // ' }
    if (a < b && quote)
        return a + b;
    return brace;
}

static int twice(int a)
{
    return sum(a, a);
}

static int never(int a)
{
#if FEW
    if (a > FEW) {
#else
    if (a > LIMIT) {
#endif
        return a;
    }
    return 0;
}

#if FEW
static int thrice(int a)
{
    return 3 * a;
}
#else
static int thrice(int a)
{
    return a + a + a;
}
#endif
END
    cat >tree/src/space/twice.c <<'END'
static int twice(int a)
{
    return 2 * a;
}
END
    cat >tree/src/base/other.c <<'END'
static int twice(int a)
{
    return a << 1;
}
END
}

# mutation WHERE BEFORE AFTER: write the only mutation of the tree.
mutation()
{
    printf '%s\n' 'Breaks: it' 'Promise: none' "In: $1" BEFORE "$2" AFTER "$3" END \
        >tree/tests/mutations/001-it.mutation
}

# changes LINE...: the lines of the diff that the mutation makes.
changes()
{
    tree/scripts/mutate.sh --check >out 2>&1 || fail "does not apply: $(cat out)"
    grep -qx '1 mutations apply' out || fail "it should apply: $(cat out)"
    tree/scripts/mutate.sh --diff | sed -n '/^[-+][-+]/d;/^[-+]/p' >out
    printf '%s\n' "$@" >expected
    cmp -s out expected || fail "$(sed -n 's/^In: //p' tree/tests/mutations/*) changes: $(cat out)"
}

# refused WORDS: the mutation must not apply, for this reason.
refused()
{
    status=0
    tree/scripts/mutate.sh --check >out 2>&1 || status=$?
    [ "$status" -eq 2 ] || fail "should be refused ('$1'), but ended in status $status: $(cat out)"
    grep -q "^mutate: 001-it .*$1" out || fail "should be refused with '$1': $(cat out)"
}

# rewrite FILE SED_SCRIPT: change a source.
rewrite()
{
    sed "$2" "tree/$1" >rewritten
    ! cmp -s rewritten "tree/$1" || fail "$2 changes nothing in $1"
    mv rewritten "tree/$1"
}

# Each kind of definition.
fresh_tree
mutation 'src/base sum()' 'a < b' 'a <= b'
changes '-    if (a < b && quote)' '+    if (a <= b && quote)'
mutation 'src/base FEW' 'FEW = 3' 'FEW = 2'
changes '-enum { FEW = 3, LIMIT = FEW << 4 };' '+enum { FEW = 2, LIMIT = FEW << 4 };'
mutation 'src/base LIMIT' 'FEW<<4' 'FEW << 5'
changes '-enum { FEW = 3, LIMIT = FEW << 4 };' '+enum { FEW = 3, LIMIT = FEW << 5 };'
mutation 'src/base BIG' '(a) > LIMIT || (b)' '(a)'
# shellcheck disable=SC1003  # a backslash, not a quote
changes '-    ((a) > LIMIT || \' '-     (b) > LIMIT)' '+    ((a) > LIMIT)'
mutation 'src/base pair' 'int a;' 'char a;'
changes '-    int a;' '+    char a;'
mutation 'src/base pairs' '{3, 4}' ''
changes '-static const struct pair pairs[] = {{1, 2}, {3, 4}};' \
    '+static const struct pair pairs[] = {{1, 2}, };'
mutation 'src/base open' '"// ("' '"/*"'
changes '-static const char *const open[] = {"{ /*", "\"}", "// (", "'"'"'"};' \
    '+static const char *const open[] = {"{ /*", "\"}", "/*", "'"'"'"};'
mutation 'src/space twice()' '2 *' ''
changes '-    return 2 * a;' '+    return  a;'

# Inserted tokens do not join with their neighbours.
mutation 'src/base sum()' '(a < b && quote)' 'x'
changes '-    if (a < b && quote)' '+    if x'
mutation 'src/base sum()' '(int a, int b)' '_all(int a)'
changes '-int sum(int a, int b)' '+int sum _all(int a)'

# Moved to another file of the folder, with another layout and other comments.
mutation 'src/base sum()' 'if (a < b && quote) return a + b; /* the sum */' ''
rewrite src/base/sum.c 's/if (a < b && quote)/if (a <\
b \&\& \/* } " { *\/ quote) \/\/ it'"'"'s/'
changes '-    if (a <' '-b && /* } " { */ quote) // it'"'"'s' '-        return a + b;' '+    '
mv tree/src/base/sum.c tree/src/base/all.h
changes '-    if (a <' '-b && /* } " { */ quote) // it'"'"'s' '-        return a + b;' '+    '
mv tree/src/base/all.h tree/src/space/sum.c
refused 'no longer applies: src/base does not define sum()'

# A declaration, a comment or a longer token does not count; two places are refused.
fresh_tree
rm tree/src/base/sum.c
mutation 'src/base sum()' 'a' 'b'
refused 'src/base does not define sum()'
fresh_tree
mutation 'src/base sum()' 'return a - b;' 'return a;'
refused 'its tokens are not in sum() of src/base/sum.c'
mutation 'src/base sum()' '}' ''
changes '-}' '+'
mutation 'src/base sum()' 'return' ''
refused 'its tokens are 2 times in sum() of src/base/sum.c'
mutation 'src/base/other.c twice()' '<' '>'
refused 'its tokens are not in twice()'
mutation 'src/base thrice()' 'a + a' 'a'
refused 'its tokens are 2 times in thrice()'
mutation 'src/base thrice()' '3 * a' 'a'
changes '-    return 3 * a;' '+    return a;'
mutation 'src/base thrice()' '3*a' '3 *a'
refused 'malformed'
mutation 'src/base twice()' 'a << 1' 'a'
refused 'ambiguous: .* define twice(): name one'
mutation 'src/base/other.c twice()' 'a << 1' 'a'
changes '-    return a << 1;' '+    return a;'
mutation 'src/base/none.c twice()' 'a << 1' 'a'
refused 'src/base/none.c does not define twice()'
mutation 'src/base twice' 'a << 1' 'a'
refused 'src/base does not define twice$'
mutation 'src/base sum()' '' 'a'
refused 'malformed'
mutation 'src/base' 'a' 'b'
refused 'malformed'

# One bad mutation does not hide another.
mutation 'src/base sum()' 'return a - b;' 'return a;'
cp tree/tests/mutations/001-it.mutation tree/tests/mutations/002-it.mutation
refused 'its tokens are not'
grep -q '^mutate: 002-it ' out || fail "both should be named: $(cat out)"
