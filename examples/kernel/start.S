/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/* The first instructions, and the header by which a Multiboot loader recognises a kernel. */

#define MAGIC 0x1badb002
#define FLAGS 2 /* the loader must hand over its map of the memory */

        .section .multiboot, "a"
        .balign 4
        .long   MAGIC, FLAGS, -(MAGIC + FLAGS)

/* On entry: 32-bit mode, flat segments, interrupts off; eax and ebx hold kernel_main's arguments. */
        .text
        .globl  _start
_start: cld
        mov     $stack_end, %esp
        sub     $8, %esp /* the ABI requires a multiple of 16 before the call */
        push    %ebx
        push    %eax
        call    kernel_main /* does not return */

        .section .bss
        .balign 16
        .skip   16384
stack_end:

        .section .note.GNU-stack, "", %progbits
