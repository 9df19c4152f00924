#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The examples that the README does not print, as a reader would build them: each says what it should.
set -eu

root=$KVA_SOURCE
cc=${CC:-cc}

# The library, once for all.
"$cc" -std=c11 -O1 -I"$root/include" -c "$root"/src/*/*.c "$root"/ports/linux/*.c

# says PROGRAM TEXT...: build examples/PROGRAM.c, run it, and compare.
says()
{
    program=$1
    shift
    "$cc" -std=c11 -O1 -I"$root/include" "$root/examples/$program.c" ./*.o -o "$program"
    "./$program" >printed
    printf '%s\n' "$@" | diff -u - printed
}

# 16384 bytes, gone round ten times: 163840 is no multiple of 16384 bytes in messages of 100, so each end falls into one.
says ring 'byte 0 again, one ring further: 42' 'messages across the end, all intact: 10'
says ranges 'KVA_OK ring 0x0 frame 0xffe00000' \
    'the address lies inside a busy segment, not at its start' \
    '0x0000000000000000-0x0000000000002fff 12288 busy' \
    '0x0000000000003000-0x00000000fedfffff 4276080640 free' \
    '0x00000000fee00000-0x00000000feefffff 1048576 busy' \
    '0x00000000fef00000-0x00000000ffdfffff 15728640 free' \
    '0x00000000ffe00000-0x00000000ffe02fff 12288 busy' \
    '0x00000000ffe03000-0x00000000ffffffff 2084864 free'

# A new example needs a line here or in test_readme.sh.
for example in "$root"/examples/*.c; do
    case $(basename "$example" .c) in
    first | ring | ranges) ;;
    *)
        echo "nobody tests $example" >&2
        exit 1
        ;;
    esac
done
