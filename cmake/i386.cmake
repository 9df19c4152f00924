# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# 32-bit x86, by Debian's cross compiler. Not by `gcc -m32`: gcc-multilib conflicts with every cross compiler, and
# s390x needs one.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER i686-linux-gnu-gcc)
set(debian_arch i386)
set(triplet i386-linux-gnu)
include(${CMAKE_CURRENT_LIST_DIR}/sysroot.cmake)

# The cross C library is not where a 32-bit system has it, so programs hold its path.
set(root /usr/i686-linux-gnu)
# gcc 11 changed the alignment of 64-bit atomic fields, and notes this for every file.
set(CMAKE_C_FLAGS_INIT -Wno-psabi)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static-libgcc -Wl,--dynamic-linker=${root}/lib/ld-linux.so.2 -Wl,-rpath,${root}/lib")

# A 64-bit x86 kernel usually runs 32-bit programs itself; one built without that needs the emulator.
execute_process(COMMAND ${root}/lib/ld-linux.so.2 --version RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
if(refused)
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-i386)
endif()
