#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Install the release build, move the installed tree, and build the project in tests/install against it: with
# find_package, with pkg-config, in plug-ins, and with a shared library; also for Windows if mingw-w64 is installed.
# Needs build/release (./dev build release).
set -eu

cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

export CMAKE_GENERATOR=Ninja # as in the presets; make may be missing

fail()
{
    echo "check-install: $*" >&2
    exit 1
}

# installed PREFIX FOLDER FILE...: the files must be in the tree.
installed()
{
    folder=$1/$2
    shift 2
    for file in "$@"; do
        [ -e "$folder/${file##*/}" ] || fail "$file was not installed in $folder"
    done
}

# whole PREFIX: each installed header must include only installed ones.
whole()
{
    for header in "$1"/include/kva/*.h; do
        echo "#include <kva/${header##*/}>" | cc -std=c11 -fsyntax-only -I"$1/include" -x c - ||
            fail "${header##*/} includes a header that was not installed"
    done
}

# consume PREFIX: find the installed kva in both ways.
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
mv "$work/first" "$work/static" # no file in it may hold the old path
consume "$work/static"
installed "$work/static" include/kva include/kva/*.h
installed "$work/static" share/man/man1 man/*.1
installed "$work/static" share/doc/kva LICENSE README.md CHANGELOG.md
whole "$work/static"
"$work/static/bin/kva" --help >/dev/null

echo "Plug-ins, each with a static library in it"
libdir=$(dirname "$(find "$work/static" -name libkva.a)")
cc -std=c11 -pthread tests/install/host.c -ldl -o "$work/host"
plugins=
for number in 1 2; do
    plugin=$work/plugin$number.so
    cc -std=c11 -fPIC -shared -Wl,-z,defs -I"$work/static/include" tests/install/plugin.c -L"$libdir" -lkva -o "$plugin"
    exports=$(nm -D --defined-only "$plugin" | sed 's/.* //; /^_init$/d; /^_fini$/d')
    [ "$exports" = plugin_run ] || fail "a plug-in should export plugin_run alone, but exports $exports"
    plugins="$plugins $plugin"
done
# shellcheck disable=SC2086  # a list of names
"$work/host" $plugins

echo "Shared"
cmake -S . -B "$work/build" -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release -DKVA_BUILD_TOOLS=OFF \
    -DKVA_BUILD_TESTS=OFF >/dev/null
cmake --build "$work/build" >/dev/null
cmake --install "$work/build" --prefix "$work/shared" >/dev/null
consume "$work/shared"
library=$(find "$work/shared" -name libkva.so)
minor=$(pkg-config --modversion "$(dirname "$library")/pkgconfig/kva.pc" | sed 's/\.[^.]*$//')
[ "$(objdump -p "$library" | awk '$1 == "SONAME" { print $2 }')" = "libkva.so.$minor" ] ||
    fail "the soname of $library should be libkva.so.$minor"

echo "Without floor 3 and without a port"
cmake -S . -B "$work/floors" -DCMAKE_BUILD_TYPE=Release -DKVA_HOSTED=OFF -DKVA_VMAP=OFF -DKVA_BUILD_TOOLS=OFF \
    -DKVA_BUILD_TESTS=OFF >/dev/null
cmake --build "$work/floors" >/dev/null
cmake --install "$work/floors" --prefix "$work/low" >/dev/null
[ ! -e "$work/low/include/kva/vm.h" ] || fail "kva/vm.h was installed, but the library has no floor 3"
whole "$work/low"
consume "$work/low"

# The DLL must export the public names that the floors define; the port's do not exist on Windows.
if command -v x86_64-w64-mingw32-gcc >/dev/null 2>&1; then
    echo "DLL"
    toolchain=-DCMAKE_TOOLCHAIN_FILE=$root/cmake/mingw.cmake
    cmake -S . -B "$work/windows" "$toolchain" -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build "$work/windows" >/dev/null
    cmake --install "$work/windows" --prefix "$work/dll" >/dev/null
    whole "$work/dll"
    awk '$2 ~ /^(function|object)$/ && $3 != "-" { print $1 }' docs/names.txt | LC_ALL=C sort >"$work/public"
    find "$work/windows/CMakeFiles/kva.dir" -name '*.obj' -exec x86_64-w64-mingw32-nm --defined-only {} + |
        awk '$2 ~ /^[A-Z]$/ { print $3 }' | LC_ALL=C sort -u | LC_ALL=C comm -12 "$work/public" - >"$work/expected"
    x86_64-w64-mingw32-objdump -p "$work/dll/bin/libkva.dll" |
        awk '/Name Pointer\] Table/ { table = 1; next } table && NF == 0 { exit } table { print $NF }' |
        LC_ALL=C sort >"$work/exports"
    [ -s "$work/expected" ] || fail "no public name is in the objects of libkva.dll"
    diff "$work/expected" "$work/exports" || fail "the exports of libkva.dll are not the public names"
    cmake -S tests/install -B "$work/importer" "$toolchain" -Dkva_DIR="$work/dll/lib/cmake/kva" >/dev/null
    cmake --build "$work/importer" >/dev/null
    x86_64-w64-mingw32-nm "$(find "$work/importer" -name 'consumer*.obj')" | grep -q ' U __imp_kva_alloc$' ||
        fail "a program that uses libkva.dll does not import from it directly"
fi

echo "Inside another project"
mkdir "$work/outer"
cat >"$work/outer/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(outer LANGUAGES C)
add_subdirectory($root kva)
add_executable(consumer $root/tests/install/consumer.c)
target_link_libraries(consumer PRIVATE kva::kva)
if(TARGET kva_program OR TARGET kva_test_support)
  message(FATAL_ERROR "kva's program and tests must not be built in the outer project")
endif()
END
cmake -S "$work/outer" -B "$work/outer/build" >/dev/null
cmake --build "$work/outer/build" >/dev/null
"$work/outer/build/consumer"
