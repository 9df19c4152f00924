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
if KVA_SOURCE=$PWD/tree "$check" >out 2>&1; then
    fail "puts was accepted"
fi
grep -q ' puts, asked for by .*print' out || fail "puts and its caller should be named: $(cat out)"
