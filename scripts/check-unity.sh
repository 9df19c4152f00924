#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Verify that kva compiles as one file: no two files use one name for two things, and no file needs a macro that only
# it defines. gcc and clang, if installed, build it with CMake's unity build and all warnings: hosted, as a static and a
# shared library; and without a port, with floor 3 and without. Two examples are linked with the hosted libraries and
# run. gcc also reports names that are keywords of C++, because a program in C++ may include the one file.
set -eu

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

export CMAKE_GENERATOR=Ninja # as in the presets; make may be missing

# build NAME OPTIONS...: build the library by $compiler in $work/$compiler-NAME.
build()
{
    folder=$work/$compiler-$1
    echo "$compiler: $*"
    shift
    cmake -S . -B "$folder" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS=-Werror -DCMAKE_UNITY_BUILD=ON \
        -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 -DKVA_BUILD_TOOLS=OFF -DKVA_BUILD_TESTS=OFF "$@" >"$folder.log" &&
        cmake --build "$folder" --target kva >>"$folder.log" || {
        cat "$folder.log"
        return 1
    }
}

# run_examples LIBRARY: build and run them with the library that was built last.
run_examples()
{
    for example in first ranges; do
        "$compiler" -std=c11 -Iinclude "examples/$example.c" "$folder/$1" "-Wl,-rpath,$folder" \
            -o "$folder/$example" || return 1
        "$folder/$example" >"$folder.log" || return 1
    done
}

# check_keywords: check the one file that gcc has compiled, and the vector forms of bt, which are not in it.
check_keywords()
{
    echo "gcc: keywords of C++"
    gcc -std=c11 -D_GNU_SOURCE -Iinclude -Wc++-compat -fsyntax-only src/engine/bt_*.c \
        "$work/gcc-static/CMakeFiles/kva.dir/Unity/unity_0_c.c" 2>"$work/compat" || return 1
    ! grep -E 'C\+\+ keyword|operator name in C\+\+' "$work/compat"
}

# try: run all builds of one compiler. The two compilers together cover each check level.
try()
{
    case $compiler in
    gcc) levels="3 1 2 0" ;;
    *) levels="2 0 1 3" ;;
    esac
    # shellcheck disable=SC2086  # four words
    set -- $levels
    build static -DKVA_CHECK_LEVEL="$1" && run_examples libkva.a &&
        build shared -DKVA_CHECK_LEVEL="$2" -DBUILD_SHARED_LIBS=ON && run_examples libkva.so &&
        build portless -DKVA_CHECK_LEVEL="$3" -DKVA_HOSTED=OFF &&
        build ranges -DKVA_CHECK_LEVEL="$4" -DKVA_HOSTED=OFF -DKVA_VMAP=OFF &&
        { [ "$compiler" != gcc ] || check_keywords; }
}

compilers=
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null 2>&1 || continue
    try >"$work/$compiler.log" 2>&1 &
    compilers="$compilers $compiler=$!"
done
if [ -z "$compilers" ]; then
    echo "check-unity: found neither gcc nor clang; install one" >&2
    exit 1
fi
failed=
# The program and the tests must be compiled file by file even here.
cmake -S . -B "$work/all" -DCMAKE_UNITY_BUILD=ON >"$work/all.log" 2>&1 || {
    cat "$work/all.log"
    failed=yes
}
if find "$work/all" -path '*/Unity/*' | grep -v '/CMakeFiles/kva\.dir/'; then
    echo "check-unity: only the library may be built as one file, but these files are" >&2
    failed=yes
fi
for compiler in $compilers; do
    wait "${compiler#*=}" || failed=yes
    cat "$work/${compiler%=*}.log"
done
[ -z "$failed" ]
