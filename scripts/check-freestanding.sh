#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Verify that the library needs no C library. Usage: scripts/check-freestanding.sh [hosts|machines]
#
# All of src/ is compiled as for a kernel, and linked with only memcpy, memmove, memset and memcmp, the four functions
# that every compiler needs. The linker names any other symbol, and the file that needs it. On 32-bit machines this
# also detects 64-bit divisions and 64-bit atomic operations: they need functions such as __udivdi3 and __atomic_load,
# which a kernel does not have.
#
#   hosts      (default) each compiler found for this machine and those that the tests run on, at the check
#              level that ships and at the highest
#   machines   others, at the same levels, by clang and lld, which must be installed: 64-bit Windows, where
#              long has 32 bits; WebAssembly; and two microcontrollers, Arm and RISC-V
#
# Set KVA_SOURCE to check another tree.
set -eu

set_of_compilers=${1:-hosts}
cd "${KVA_SOURCE:-$(dirname "$0")/..}"
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
linker= # the linker's option, if it is not the compiler's own
checked=0
failed=0

# No program runs: the linker only has to find them.
cat >"$work/the_four.c" <<'END'
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
void entry(void);
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) { return from && bytes ? to : 0; }
void *memmove(void *to, const void *from, size_t bytes) { return from && bytes ? to : 0; }
void *memset(void *to, int byte, size_t bytes) { return byte && bytes ? to : 0; }
int memcmp(const void *a, const void *b, size_t bytes) { return a == b && bytes; }
void entry(void) {}
END

# works COMPILER [FLAGS]: whether it makes freestanding objects. Debian's `gcc -m32` alone does not: its <limits.h>
# includes the one of the 32-bit C library. i686-linux-gnu-gcc does.
works()
{
    echo '#include <limits.h>' >"$work/probe.c"
    "$@" -ffreestanding -c "$work/probe.c" -o "$work/probe.o" 2>/dev/null
}

# check FOLDERS LEVEL OPTIMISATION COMPILER [FLAGS]: FOLDERS is a pattern below src/
check()
{
    folders=$1
    level=$2
    optimisation=$3
    shift 3
    what="$* $optimisation, check level $level"
    rm -f "$work"/*.o
    # shellcheck disable=SC2086  # a pattern
    printf '%s\0' "$work/the_four.c" "$root"/src/$folders/*.c >"$work/sources"
    # Objects go where the compiler runs: one for each source, so no two sources may have the same name.
    (
        cd "$work"
        xargs -0 -n 8 -P "$jobs" "$@" -std=c11 "$optimisation" -ffreestanding -fno-stack-protector -fno-pie \
            -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
            -DKVA_CHECK_LEVEL="$level" -I"$root/include" -c <sources
    )
    [ "$(find "$work" -name '*.o' | wc -l)" -eq "$(tr -dc '\0' <"$work/sources" | wc -c)" ] || {
        echo "check-freestanding: two files of src/ have the same name" >&2
        exit 1
    }
    checked=$((checked + 1))
    # By default, WebAssembly's linker ignores sections that it finds unused.
    if "$@" -nostdlib -static ${linker:+"$linker"} -Wl,-e,entry,--no-gc-sections "$work"/*.o \
        -o "$work/program" 2>"$work/said"; then
        echo "$what: needs only memcpy, memmove, memset and memcmp"
    else
        failed=$((failed + 1))
        echo "$what: does not link with these alone:" >&2
        sed "s|$work/||g; s/^/    /" "$work/said" >&2
    fi
}

check_hosts()
{
    while read -r compiler; do
        # shellcheck disable=SC2086  # a compiler and its flags
        if works $compiler; then
            check '*' 1 -O2 $compiler
            check '*' 3 -O2 $compiler
            [ "$compiler" != clang ] || check '*' 1 -O0 $compiler # clang -O0 calls memset where -O2 does not
        else
            echo "$compiler: cannot make freestanding objects here; left out"
        fi
    done <<END
gcc
gcc -m32
i686-linux-gnu-gcc
s390x-linux-gnu-gcc
clang
clang -m32
END
}

# Floor 3 (vmap) is left out: it is for systems with pages. Arm's ABI has its own names for the four functions, such
# as __aeabi_memcpy; its GNU variant does not use them.
check_machines()
{
    linker=-fuse-ld=lld
    while read -r machine; do
        # shellcheck disable=SC2086  # a machine and its flags
        check '[!v]*' 1 -O2 clang -target $machine
        # shellcheck disable=SC2086
        check '[!v]*' 3 -O2 clang -target $machine
    done <<END
x86_64-pc-windows-gnu
wasm32-unknown-unknown
thumbv7m-none-eabi -meabi gnu
riscv32-unknown-elf -march=rv32imac -mabi=ilp32
END
}

case $set_of_compilers in
hosts) check_hosts ;;
machines) check_machines ;;
*)
    echo "check-freestanding: unknown set '$set_of_compilers'; give hosts or machines" >&2
    exit 2
    ;;
esac

if [ "$checked" -eq 0 ]; then
    echo "check-freestanding: no compiler found" >&2
    exit 1
fi
[ "$failed" -eq 0 ]
