# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# IBM Z: a big-endian 64-bit machine, emulated. QEMU looks for the C library below -L first.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(CMAKE_C_COMPILER s390x-linux-gnu-gcc)
set(debian_arch s390x)
set(triplet s390x-linux-gnu)
include(${CMAKE_CURRENT_LIST_DIR}/sysroot.cmake)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-s390x -L /usr/s390x-linux-gnu)
