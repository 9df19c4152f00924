#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/check-freestanding.sh must accept the tree as it is, and refuse one that calls the C library.
set -eu

check=$KVA_SOURCE/scripts/check-freestanding.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

"$check" || fail "the source tree asks for more than the four memory functions"

mkdir -p tree/include tree/src/base
cat >tree/src/base/copy.c <<'END'
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void copy(void *to, const void *from, size_t bytes);
void copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}
END
KVA_SOURCE=$PWD/tree "$check" || fail "memcpy was refused"

cat >tree/src/base/print.c <<'END'
int puts(const char *text);
void print(void);
void print(void)
{
    puts("hello");
}
END
# refuse SYMBOL FILE [SET]: the link must fail, and the linker must name both.
refuse()
{
    if KVA_SOURCE=$PWD/tree "$check" ${3:+"$3"} >out 2>&1; then
        fail "$1 was accepted"
    fi
    grep -q "$1" out || fail "$1 should be named: $(cat out)"
    grep -q "$2" out || fail "$2, which calls $1, should be named: $(cat out)"
}
refuse puts print

# A function that only some of the machines lack; all of them are checked.
if command -v clang >/dev/null && command -v ld.lld >/dev/null; then
    cat >tree/src/base/print.c <<'END'
#include <stdatomic.h>
#include <stdint.h>
uint64_t divide(uint64_t a, uint64_t b);
uint64_t divide(uint64_t a, uint64_t b)
{
    return a / b;
}
uint64_t load(_Atomic uint64_t *from);
uint64_t load(_Atomic uint64_t *from)
{
    return *from;
}
void outside(void);
static void unused(void)
{
    outside();
}
void (*is_named(void))(void);
void (*is_named(void))(void)
{
    return unused;
}
END
    for symbol in __udivdi3 __aeabi_uldivmod __atomic_load outside; do
        refuse "$symbol" print machines
    done
    [ "$(grep -c 'symbol: outside' out)" -eq 8 ] || fail "not every machine was looked at: $(cat out)"
fi
