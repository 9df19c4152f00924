#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Install the release build, move the tree elsewhere, and build the project in tests/install against it: with
# find_package, with pkg-config, and with a shared library. Needs build/release (./dev build release).
set -eu

cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

export CMAKE_GENERATOR=Ninja # as the presets; make may not be there

# consume PREFIX: the two ways to find an installed kva.
consume()
{
    echo "  find_package(kva)"
    cmake -S tests/install -B "$work/consumer" -DCMAKE_PREFIX_PATH="$1" >/dev/null
    cmake --build "$work/consumer" >/dev/null
    "$work/consumer/consumer"
    rm -rf "$work/consumer"

    echo "  pkg-config kva"
    libdir=$(dirname "$(find "$1" -name 'libkva.*' | head -n 1)")
    flags=$(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs kva)
    # shellcheck disable=SC2086  # flags
    cc -std=c11 tests/install/consumer.c $flags -Wl,-rpath,"$libdir" -o "$work/linked"
    "$work/linked"
}

echo "Static"
cmake --install build/release --prefix "$work/first" >/dev/null
mv "$work/first" "$work/static" # nothing in it may remember where it was
consume "$work/static"
for header in include/kva/*.h; do
    [ -e "$work/static/$header" ] || {
        echo "check-install: $header was not installed" >&2
        exit 1
    }
done
for page in man/*.1; do
    [ -e "$work/static/share/man/man1/$(basename "$page")" ] || {
        echo "check-install: $page was not installed" >&2
        exit 1
    }
done
"$work/static/bin/kva" --help >/dev/null

echo "Shared"
cmake -S . -B "$work/build" -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release -DKVA_BUILD_TOOLS=OFF \
    -DKVA_BUILD_TESTS=OFF >/dev/null
cmake --build "$work/build" >/dev/null
cmake --install "$work/build" --prefix "$work/shared" >/dev/null
consume "$work/shared"

echo "Inside another project"
mkdir "$work/outer"
cat >"$work/outer/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(outer LANGUAGES C)
add_subdirectory($root kva)
add_executable(consumer $root/tests/install/consumer.c)
target_link_libraries(consumer PRIVATE kva::kva)
if(TARGET kva_program OR TARGET kva_test_support)
  message(FATAL_ERROR "kva's program and tests are none of the outer project's business")
endif()
END
cmake -S "$work/outer" -B "$work/outer/build" >/dev/null
cmake --build "$work/outer/build" >/dev/null
"$work/outer/build/consumer"
