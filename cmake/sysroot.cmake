# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# Libraries for a cross preset: Debian's packages, which scripts/fetch-packages.sh unpacks below build/sysroot/ARCH.
# CMake looks nowhere else. The toolchain file that includes this one sets `debian_arch` and `triplet` first.
set(CMAKE_FIND_ROOT_PATH ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/${debian_arch})
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_LIBRARY_ARCHITECTURE ${triplet})
# Some headers lie in a subfolder, and other headers include them without it.
set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES ${CMAKE_FIND_ROOT_PATH}/usr/include/${triplet})
