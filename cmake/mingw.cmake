# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# 64-bit Windows, where long has 32 bits: Debian's mingw-w64, and Wine to run the programs.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
# C99's formats, and warnings about them, instead of those of Windows' C library.
set(CMAKE_C_FLAGS_INIT "-D__USE_MINGW_ANSI_STDIO=1 -D__printf__=__gnu_printf__")
set(CMAKE_PREFIX_PATH ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/mingw) # filled by scripts/build-cmocka.sh
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/../scripts/wine.sh)
