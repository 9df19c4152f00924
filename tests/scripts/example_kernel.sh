#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The kernel of examples/kernel builds without a warning, and boots. Its run.sh detects a kernel that prints
# something else, and one that fails. Parts that need a missing compiler or QEMU are skipped.
set -eu

run=$KVA_SOURCE/examples/kernel/run.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

status=0
CFLAGS=-Werror "$run" "$PWD" || status=$?
[ "$status" -ne 77 ] || exit 0
[ "$status" -eq 0 ] || fail "the kernel does not boot as it should"

# refuse EDIT LINE: with that edit of kernel.c, run.sh must fail and print the line.
refuse()
{
    rm -rf tree
    mkdir -p tree/examples
    cp -R "$KVA_SOURCE/examples/kernel" tree/examples
    ln -s "$KVA_SOURCE/src" "$KVA_SOURCE/include" tree
    sed -i "$1" tree/examples/kernel/kernel.c
    ! cmp -s "$KVA_SOURCE/examples/kernel/kernel.c" tree/examples/kernel/kernel.c || fail "no line for '$1'"
    status=0
    KVA_SOURCE=$PWD/tree CFLAGS=-O0 "$run" >out 2>&1 || status=$?
    [ "$status" -eq 1 ] || fail "the status is $status with '$1'"
    grep -Fxq "$2" out || fail "with '$1', run.sh printed: $(cat out)"
}
first='0x0000000000001000-0x000000000000'
refuse 's/\.size = 10000/.size = 20000/' "kernel: expected the line '${first}3fff 12288 busy', got '${first}5fff 20480 busy'"
refuse 's/\.start = 0xa0000/.start = 0xc0000/' "kernel: QEMU ended with status 35, not 33"
