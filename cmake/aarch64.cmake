# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# 64-bit Arm, emulated; it runs the NEON form of bt. QEMU looks for the C library below -L first.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(debian_arch arm64)
set(triplet aarch64-linux-gnu)
include(${CMAKE_CURRENT_LIST_DIR}/sysroot.cmake)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
