/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The macros that the port's files need before the headers of the C library: each file includes this first.
 * That is too late where other files of the library come before it, as in a unity build: there the build
 * defines both macros for all files (CMakeLists.txt). The output of ./dev amalgamate begins with this header.
 */
#ifndef KVA_PORTS_LINUX_GNU_H
#define KVA_PORTS_LINUX_GNU_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64 /* frame sets of more than 2 GiB on 32-bit hosts */
#endif

#endif
