# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# 64-bit Windows, where long has 32 bits: Debian's mingw-w64, and Wine to run what it builds. Wine is told to keep its
# files below build/, and neither to talk nor to ask.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_PREFIX_PATH ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/mingw) # filled by scripts/fetch-cmocka.sh
set(CMAKE_CROSSCOMPILING_EMULATOR env WINEPREFIX=${CMAKE_CURRENT_LIST_DIR}/../build/wine WINEDEBUG=-all
  WINEDLLOVERRIDES=mscoree,mshtml= /usr/lib/wine/wine64)
