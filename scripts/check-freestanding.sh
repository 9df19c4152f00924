#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Show that the library needs no C library. Usage: scripts/check-freestanding.sh
#
# All of src/ is compiled as for a kernel and linked into one object. What that object still asks for may only be
# memcpy, memmove, memset and memcmp: the four that every compiler takes for granted. It is done with each
# compiler found, 64- and 32-bit, at the check level that ships and at the highest. On 32-bit hosts this also
# shows that no 64-bit division crept in: it would ask for __udivdi3 and its kin, which a kernel does not have.
# Set KVA_SOURCE to check another tree.
set -eu

cd "${KVA_SOURCE:-$(dirname "$0")/..}"
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
checked=0
failed=0

# works COMPILER [FLAGS]: whether it makes freestanding objects. Debian's `gcc -m32` on its own does not: its
# <limits.h> wants the 32-bit C library's. i686-linux-gnu-gcc does.
works()
{
    echo '#include <limits.h>' >"$work/probe.c"
    "$@" -ffreestanding -c "$work/probe.c" -o "$work/probe.o" 2>/dev/null
}

# check LEVEL OPTIMISATION COMPILER [FLAGS]
check()
{
    level=$1
    optimisation=$2
    shift 2
    what="$* $optimisation, check level $level"
    rm -f "$work"/*.o
    (
        cd "$work" # where the objects go: one for each source, so no two sources may have the same name
        printf '%s\0' "$root"/src/*/*.c | xargs -0 -n 8 -P "$jobs" "$@" -std=c11 "$optimisation" -ffreestanding \
            -fno-stack-protector -fno-pie -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
            -DKVA_CHECK_LEVEL="$level" -I"$root/include" -c
    )
    [ "$(find "$work" -name '*.o' | wc -l)" -eq "$(find src/*/*.c | wc -l)" ] || {
        echo "check-freestanding: two files of src/ have the same name" >&2
        exit 1
    }
    "$@" -nostdlib -r "$work"/*.o -o "$work/all"
    undefined=$(nm -u "$work/all" | awk '{ print $2 }' | grep -vxE 'memcpy|memmove|memset|memcmp' || true)
    checked=$((checked + 1))
    if [ -n "$undefined" ]; then
        failed=$((failed + 1))
        echo "$what: undefined symbols:" >&2
        for symbol in $undefined; do
            users=$(nm -A "$work"/*.o | grep " U $symbol\$" | sed 's|.*/||; s|\.o:.*||' | tr '\n' ' ')
            echo "    $symbol, asked for by $users" >&2
        done
    else
        echo "$what: asks for nothing but $(nm -u "$work/all" | awk '{ printf "%s ", $2 }')"
    fi
}

while read -r compiler; do
    # shellcheck disable=SC2086  # a compiler and its flags
    if works $compiler; then
        rm -f "$work/probe.o"
        check 1 -O2 $compiler
        check 3 -O2 $compiler
        [ "$compiler" != clang ] || check 1 -O0 $compiler # clang -O0 calls memset where -O2 does not
    else
        echo "$compiler: makes no freestanding objects here; left out"
    fi
done <<END
gcc
gcc -m32
i686-linux-gnu-gcc
s390x-linux-gnu-gcc
clang
clang -m32
END

if [ "$checked" -eq 0 ]; then
    echo "check-freestanding: no compiler found" >&2
    exit 1
fi
[ "$failed" -eq 0 ]
