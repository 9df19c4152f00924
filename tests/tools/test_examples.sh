#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Builds the examples that the README does not print, and checks their output.
set -eu

root=$KVA_SOURCE
cc=${CC:-cc}

# The library, built once.
"$cc" -std=c11 -O1 -I"$root/include" -c "$root"/src/*/*.c "$root"/ports/linux/*.c

# build PROGRAM: build and run examples/PROGRAM.c.
build()
{
    "$cc" -std=c11 -O1 -I"$root/include" "$root/examples/$1.c" ./*.o -o "$1"
    "./$1" >printed
}

# prints_exactly PROGRAM TEXT...: build it, run it, and compare the output.
prints_exactly()
{
    build "$1"
    shift
    printf '%s\n' "$@" | diff -u - printed
}

# prints PROGRAM PATTERN...: build it, run it, and look for a line of each pattern.
prints()
{
    program=$1
    build "$program"
    shift
    for line; do
        grep -Eq "$line" printed || {
            echo "examples/$program.c does not print '$line':" >&2
            cat printed >&2
            exit 1
        }
    done
}

# Ten times round 16384 bytes: 16384 is not a multiple of 100, so each end falls into a message.
prints_exactly ring 'byte 0 again, one ring further: 42' 'messages across the end, all intact: 10'
prints_exactly ranges 'KVA_OK ring 0x0 frame 0xffe00000' \
    'the address lies inside a busy segment, not at its start' \
    '0x0000000000000000-0x0000000000002fff 12288 busy' \
    '0x0000000000003000-0x00000000fedfffff 4276080640 free' \
    '0x00000000fee00000-0x00000000feefffff 1048576 busy' \
    '0x00000000fef00000-0x00000000ffdfffff 15728640 free' \
    '0x00000000ffe00000-0x00000000ffe02fff 12288 busy' \
    '0x00000000ffe03000-0x00000000ffffffff 2084864 free'

# Two ranges are few enough to be invalidated one by one, three are not.
prints_exactly iova 'sound 0xffffd000 disk 0xffffffffd000' 'not reused yet: 0xffffa000' 'invalidate 0xffffd000-0xffffffff' \
    'invalidate 0xffffffffa000-0xffffffffbfff' 'reused: 0xffffd000' \
    'invalidate everything: ranges in 0xffffffff6000-0xffffffffffff'
prints_exactly pci 'KVA_OK net 0xfebe0000' 'KVA_OK display 0xfd000000' 'KVA_OK disk 0xfebdc000' 'KVA_OK gpu 0x400000000' \
    'net to 0xe0000000: KVA_OK' 'display to 0xfc000000: KVA_OK' 'disk to 0xe0004000: KVA_EEXIST' '  there is net' \
    'gpu to 0x600000000: KVA_OK' '0xe0000010 is net + 0x10' '0xfebe0010 is no device' '0x700000000 is gpu + 0x100000000'
# One space, one thread: every address is determined.
prints_exactly gpu 'descriptors: KVA_OK' '400 textures, 0 refused, 0 misplaced: 61 evictions unbound 190' \
    'a screen of 200 MiB at 0xf800000 unbound 10' 'descriptors are where they were: yes'

# Which frames are allocated is undefined; their number is defined, and so are the holes.
prints frames '^KVA_OK, aligned: yes$' '^KVA_OK, within reach: yes$' '^the address lies inside a busy segment, not at its start$' \
    '^0x0000000000000000 [^:]{24}:{8}[^:]{32}$' '^zone 0 node 0 frames 0x100-0x7fff: 28288 present, 25188 free, 4224 absent$' \
    '^zone 1 node 1 frames 0x10000-0x17fff: 32768 present, 32256 free, 0 absent$'

# At the end one of 64 blocks is allocated, and about 4096 single frames are in nine or ten blocks.
prints compact '^0x0000000000000000 [0-3]{64}$' '^fragmentation 9[0-9]{2} of 1000: KVA_ENOSPC$' '^compacting: KVA_OK$' \
    '^0x0000000000000000 [.MmU0-9]{64}$'
free=$(tail -n 1 printed | tr -cd '.')
[ "${#free}" -ge 52 ] || {
    echo "examples/compact.c: ${#free} blocks are free at the end" >&2
    exit 1
}

# Whether frames are moved while they are mapped depends on the system. An eighth of 32 blocks is in use; after moves at
# least four consecutive blocks are free. The objects are intact in any case.
prints movable '^0x0000000000000000 [0-3]{32}$' '^a buffer of 2048 frames: KVA_ENOSPC$' \
    '^frames were moved: (yes|no); objects that are intact: all$'
if grep -q '^frames were moved: yes' printed; then
    tail -n 2 printed >end
    printf '%s\n' 'a buffer of 2048 frames: KVA_OK' 'read into it, pinned: yes' | diff -u - end
fi

# A new example needs a line here or in test_readme.sh.
for example in "$root"/examples/*.c; do
    case $(basename "$example" .c) in
    bugs | compact | first | frames | gpu | iova | movable | pci | ring | ranges) ;;
    *)
        echo "no test covers $example: add it to test_examples.sh or test_readme.sh" >&2
        exit 1
        ;;
    esac
done
