#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Build the kernel, boot it in QEMU, and compare its output with the expected lines. Exit: 0 if they match, 1 if not, 77
# without a compiler for it or QEMU. CC is the compiler (with -m32, it must make 32-bit x86 code), CFLAGS are further
# flags, and KVA_SOURCE is another source tree. `run.sh FOLDER` leaves kernel.elf in FOLDER.
set -eu

folder=${1:+$(cd "$1" && pwd)}
cd "${KVA_SOURCE:-$(dirname "$0")/../..}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
image=${folder:-$work}/kernel.elf

# works COMPILER: whether it makes 32-bit code, and has the headers. Debian's `gcc -m32` alone does not: its <limits.h>
# includes the one of the 32-bit C library.
works()
{
    printf '#include <limits.h>\nint ints[sizeof(void *) == 4 ? 1 : -1];\n__asm__("outb %%al, %%dx");\n' |
        $1 -m32 -ffreestanding -x c -c - -o "$work/probe.o" 2>/dev/null
}

compiler=
for candidate in ${CC:+"$CC"} i686-linux-gnu-gcc clang; do
    works "$candidate" && compiler=$candidate && break
done
if [ -z "$compiler" ]; then
    echo "kernel: no compiler for 32-bit x86 code was found (install gcc-i686-linux-gnu on Debian); left out"
    exit 77
fi

# No vector registers, no floating point; no C library and no compiler's library; unused sections are dropped.
# shellcheck disable=SC2086  # a compiler and flags
$compiler -m32 -std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow ${CFLAGS:-} \
    -ffreestanding -mgeneral-regs-only -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
    -ffunction-sections -fdata-sections -Wl,--gc-sections -Wl,--build-id=none -nostdlib -static -Iinclude \
    -T examples/kernel/kernel.ld examples/kernel/start.S examples/kernel/kernel.c \
    src/base/*.c src/engine/*.c src/space/*.c src/frames/*.c -o "$image"
echo "kernel: built by $compiler, $(wc -c <"$image") bytes"

if ! command -v qemu-system-i386 >/dev/null 2>&1; then
    echo "kernel: qemu-system-i386 was not found (install qemu-system-x86 on Debian); not run"
    exit 77
fi
status=0
timeout -k 5 60 qemu-system-i386 -kernel "$image" -m 128 -display none -vga none -nic none -monitor none -serial stdio \
    -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 </dev/null >"$work/printed" || status=$?
cat "$work/printed"
if [ "$status" -ne 33 ]; then # 2 * 0x10 + 1, where 0x10 is what the kernel writes to that port
    echo "kernel: QEMU ended with status $status, not 33" >&2
    exit 1
fi

# Compare line by line. The end of the image depends on the compiler, and which frames are taken is not defined.
while IFS= read -r expected; do
    IFS= read -r printed <&3 || printed="the end"
    printf '%s\n' "$printed" | grep -Exq "$expected" || {
        echo "kernel: expected the line '$expected', got '$printed'" >&2
        exit 1
    }
done 3<"$work/printed" <<'LINES'
addresses
0x0000000000001000-0x0000000000003fff 12288 busy
0x0000000000004000-0x000000000009ffff 638976 free
0x00000000000a0000-0x00000000000fffff 393216 busy
0x0000000000100000-0x0000000000[0-9a-f]{3}fff [0-9]+ busy
0x0000000000[0-9a-f]{3}000-0x00000000bfffffff [0-9]+ free
0x00000000c0000000-0x00000000c03fffff 4194304 busy
0x00000000c0400000-0x00000000fedfffff 1050673152 free
0x00000000fee00000-0x00000000fee00fff 4096 busy
0x00000000fee01000-0x00000000ffffbfff 18853888 free
0x00000000ffffc000-0x00000000ffffffff 16384 busy
kva_free: the address is free already, at 0x00001000
the address is free already
frames
0x0000000000000000 [.:MmUu0-9]{64}
kva_frames_free: the address is free already, at 0x[0-9a-f]{8}
the address is free already
kernel: all is well
the end
LINES
