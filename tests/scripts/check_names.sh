#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/check-names.sh must accept the tree as it is, find every kind of public name, and refuse each change
# of a name that docs/migrating.md does not mention, by file and line.
# shellcheck disable=SC2016  # the quotes of Markdown
set -eu

check=$KVA_SOURCE/scripts/check-names.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# fresh_tree: a small tree that breaks no rule, with a removed name, a moved one, and one that changed its
# meaning.
fresh_tree()
{
    rm -rf tree
    mkdir -p tree/include/kva tree/docs tree/src tree/build
    cat >tree/include/kva/low.h <<'END'
#ifndef KVA_LOW_H
#define KVA_LOW_H
#ifdef __cplusplus
extern "C" {
#endif
struct kva_space;
KVA_API void kva_low(void);
#ifdef __cplusplus
}
#endif
#endif
END
    cat >tree/include/kva/main.h <<'END'
#ifndef KVA_MAIN_H
#define KVA_MAIN_H
/* kva_comment(); */
#include <kva/low.h>
struct kva_space;
#define KVA_MOST 3 /* KVA_COMMENT */
#define KVA_TWICE(x) \
    void kva_twice_##x(void); \
    void kva_thrice(void)
enum kva_kind { KVA_ONE = 1, KVA_TWO = (1 << 1) };
union kva_word { int whole; };
struct kva_part { int a, b; int *list[4]; void (*call)(int x, void *y); unsigned bit : 1; int hidden; /* private */ };
typedef void kva_line(void *context, const char *text);
typedef int (*kva_pointer)(int number);
KVA_API extern const struct kva_part kva_parts[2];
KVA_API __attribute__((unused)) const char *kva_name(void (*each)(struct kva_part *part),
                                                     int number);
static inline int kva_body(int kva_parameter)
{
    return kva_low(), kva_parameter;
}
#endif
END
    printf '#include <kva/low.h>\nKVA_API void kva_side(void);\n' >tree/include/kva/side.h
    cat >tree/docs/names.txt <<'END'
# a comment
kva_flush function - kva/main.h
kva_name function kva/main.h kva/side.h
kva_side function kva/side.h kva/main.h
END
    cat >tree/docs/migrating.md <<'END'
| Old name | Now | |
|---|---|---|
| `kva_flush` | `kva_low` | other than `KVA_NEVER` |

| Name | Before | Now |
|---|---|---|
| `kva_name` | | |

| Name | Was declared by | Include now |
|---|---|---|
| `kva_side` | `kva/main.h` | `kva/side.h` |
| `kva_name` | `kva/side.h` | `kva/main.h`, where it means something else |
END
    echo 'kva_flush is mentioned here' >tree/CHANGELOG.md
    echo 'kva_low(); kva_flush_deferred();' >tree/src/low.c
    echo 'kva_flush' >tree/build/output
    "$check" --write tree || fail "no record of a good tree"
}

# accepts [OPTION]: the tree as it is must pass without output.
accepts()
{
    "$check" "$@" tree >out 2>&1 || fail "a good tree was refused: $(cat out)"
    [ ! -s out ] || fail "a good tree was talked about: $(cat out)"
}

# refuses PLACE WORDS [OPTION]: it must fail with one line that contains the place and the words.
refuses()
{
    place=$1 words=$2 status=0
    shift 2
    cp tree/docs/names.txt record
    "$check" "$@" tree >out 2>&1 || status=$?
    [ "$status" -eq 1 ] || fail "'$place: $words' should be refused, but the status is $status: $(cat out)"
    [ "$(wc -l <out)" -eq 1 ] || fail "'$place: $words' should be one offence: $(cat out)"
    grep -q "^$place: .*$words" out || fail "$place should be named, with '$words': $(cat out)"
    cmp -s record tree/docs/names.txt || fail "'$place: $words' should leave the record alone"
}

# edit FILE EXPRESSION: run sed on a file.
edit()
{
    sed "$2" "tree/$1" >edited
    ! cmp -s edited "tree/$1" || fail "$2 should change $1"
    mv edited "tree/$1"
}

"$check" "$KVA_SOURCE" || fail "the source tree itself breaks the rules"

# Every kind of name, and nothing else.
fresh_tree
accepts
grep -v '^#' tree/docs/names.txt >names
cat >expected <<'END'
KVA_MOST macro kva/main.h -
KVA_ONE enumerator kva/main.h -
KVA_TWICE macro kva/main.h -
KVA_TWO enumerator kva/main.h -
kva_body inline kva/main.h -
kva_flush function - kva/main.h
kva_kind enum kva/main.h -
kva_line type kva/main.h -
kva_low function kva/low.h -
kva_name function kva/main.h kva/side.h
kva_part struct kva/main.h -
kva_part.a member kva/main.h -
kva_part.b member kva/main.h -
kva_part.bit member kva/main.h -
kva_part.call member kva/main.h -
kva_part.list member kva/main.h -
kva_parts object kva/main.h -
kva_pointer type kva/main.h -
kva_side function kva/side.h kva/main.h
kva_space struct kva/low.h,kva/main.h -
kva_word union kva/main.h -
kva_word.whole member kva/main.h -
END
diff expected names || fail "these are the names"

# A new name must be in the record.
fresh_tree
echo 'KVA_API int kva_new(void);' >>tree/include/kva/low.h
refuses include/kva/low.h:12 'kva_new is new'
accepts --write
accepts
grep -q '^kva_new function kva/low.h -$' tree/docs/names.txt || fail "a new name should be recorded"

# A check must not write to the record.
echo '# a remark' >>tree/docs/names.txt
accepts
grep -q 'a remark' tree/docs/names.txt || fail "a check should leave the record alone"

# A removed name stays in the record and must be in the guide.
for gone in kva_low KVA_TWO kva_part.list kva_line; do
    fresh_tree
    case $gone in
    kva_low)
        edit docs/migrating.md 's/`kva_low`/`kva_name`/'
        rm tree/src/low.c
        edit include/kva/low.h '/kva_low/d'
        edit include/kva/main.h 's/kva_low(), //'
        ;;
    KVA_TWO) edit include/kva/main.h 's/, KVA_TWO = (1 << 1)//' ;;
    kva_part.list) edit include/kva/main.h 's/int .list.4.;//' ;;
    kva_line) edit include/kva/main.h '/kva_line/d' ;;
    esac
    line=$(grep -n "^$gone " tree/docs/names.txt | cut -d: -f1)
    refuses "docs/names.txt:$line" "$gone is gone; add it to docs/migrating.md"
    refuses "docs/names.txt:$line" "$gone is gone; add it to docs/migrating.md" --write
    edit docs/migrating.md "3 a | \`$gone\` | \`kva_name\` | |"
    refuses "docs/names.txt:$line" "$gone is not recorded as gone; run scripts/check-names.sh --write"
    accepts --write
    accepts
    grep -q "^$gone [a-z]* - kva/[a-z]*.h\$" tree/docs/names.txt || fail "the record should keep $gone"
done

# The members go with their structure.
edit docs/migrating.md '3 a | `kva_word` | `kva_name` | |'
edit include/kva/main.h '/kva_word/d'
accepts --write

# A line of the guide, or of the record, is deleted.
fresh_tree
edit docs/migrating.md '/kva_flush/d'
refuses docs/names.txt:11 'kva_flush is gone'
fresh_tree
edit docs/names.txt '/kva_flush/d'
refuses docs/migrating.md:3 'kva_flush has never been a public name'

# A name moves.
fresh_tree
edit include/kva/low.h '/kva_low/d'
echo 'KVA_API void kva_low(void);' >>tree/include/kva/side.h
refuses include/kva/side.h:3 'kva_low is no longer declared by kva/low.h; add it to docs/migrating.md'
refuses include/kva/side.h:3 'kva_low is no longer declared by kva/low.h; add it to docs/migrating.md' --write
"$check" --moved tree >moved
line="| \`kva_low\` | \`kva/low.h\` | \`kva/side.h\` |"
grep -qxF "$line" moved || fail "--moved should print '$line': $(cat moved)"
edit docs/migrating.md "\$ a $line"
refuses include/kva/side.h:3 'kva_low was declared by kva/low.h; run'
accepts --write
accepts

# A line for a structure covers its members.
fresh_tree
edit include/kva/main.h '/kva_word/d'
echo 'union kva_word { int whole; };' >>tree/include/kva/low.h
refuses include/kva/low.h:12 'kva_word was declared by kva/main.h'

# It moves to a header that the old one includes: programs see no difference.
fresh_tree
edit include/kva/main.h '/kva_line/d'
echo 'typedef void kva_line(void *context, const char *text);' >>tree/include/kva/low.h
accepts --write
accepts
grep -q '^kva_line type kva/low.h kva/main.h$' tree/docs/names.txt || fail "the record should say where kva_line was"
edit include/kva/main.h '/include/d'
refuses include/kva/low.h:12 'kva_line is no longer declared by kva/main.h'

# The guide is wrong.
fresh_tree
edit docs/migrating.md '3 s/kva_low/kva_lower/'
refuses docs/migrating.md:3 'there is no kva_lower'
fresh_tree
edit docs/migrating.md '7 a | `kva_named` | | |'
refuses docs/migrating.md:8 'there is no kva_named'
fresh_tree
edit docs/migrating.md '3 a | `kva_part.a` | | |'
refuses docs/migrating.md:4 'kva_part.a exists'
fresh_tree
edit docs/migrating.md '11 s,kva/side.h,kva/low.h,'
refuses docs/migrating.md:11 'kva_side is not declared by kva/low.h, but by kva/side.h'
fresh_tree
edit include/kva/main.h '4 a #include <kva/side.h>'
refuses docs/migrating.md:11 'kva/main.h still declares kva_side'

# An old name is used.
for file in src/low.c README.md man/kva.1 examples/one.c docs/theory.md include/kva/side.h; do
    fresh_tree
    mkdir -p tree/man tree/examples
    echo '/* see kva_flush() */' >>"tree/$file"
    refuses "$file:$(wc -l <"tree/$file")" 'kva_flush is an old name; see docs/migrating.md'
done

# Usage.
status=0
"$check" --other tree >out 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "an unknown option ended in status $status"
rm -rf tree
mkdir tree
status=0
"$check" tree >out 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "no headers ended in status $status"
