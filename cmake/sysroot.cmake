# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# Libraries for a cross preset: Debian's, unpacked by scripts/fetch-packages.sh below build/sysroot/ARCH and
# found there alone. The toolchain file that includes this sets `debian_arch` and `triplet` first.
set(CMAKE_FIND_ROOT_PATH ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/${debian_arch})
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_LIBRARY_ARCHITECTURE ${triplet})
# Some headers lie one folder further down, and others include them by their name alone.
set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES ${CMAKE_FIND_ROOT_PATH}/usr/include/${triplet})
