# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# musl, another C library for Linux, by Debian's wrapper of gcc. It finds no kernel headers (linux/*.h), so that code
# that needs them does not build.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER musl-gcc)
set(CMAKE_PREFIX_PATH ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/musl) # filled by scripts/build-cmocka.sh
