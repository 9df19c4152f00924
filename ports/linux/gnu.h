/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What the port's files ask of the headers of the C library. They include this before any other header. It
 * comes too late where other files of the library stand before them, as in a unity build: there the build
 * defines both macros for all files (CMakeLists.txt). What ./dev amalgamate writes begins with this header.
 */
#ifndef KVA_PORTS_LINUX_GNU_H
#define KVA_PORTS_LINUX_GNU_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64 /* pools of more than 2 GiB on 32-bit hosts */
#endif

#endif
