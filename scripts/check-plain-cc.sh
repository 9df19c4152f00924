#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Verify that kva needs no build system: compiler commands build it, and programs that use it.
set -eu

cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# build EXAMPLE PARTS...: one command, by $compiler into $folder.
build()
{
    example=$1
    shift
    "$compiler" -std=c11 -Iinclude "$example" "$@" -o "$folder/example"
    "$folder/example" >/dev/null
}

# try: run $compiler as a user would, without a port and with the port for Linux. The first example is built from the
# sources, all examples from the objects.
try()
{
    folder=$work/$compiler
    mkdir "$folder"
    echo "$compiler -std=c11 -Iinclude -c src/*/*.c ports/linux/*.c"
    (cd "$folder" && "$compiler" -std=c11 -I"$root/include" -c "$root"/src/*/*.c "$root"/ports/linux/*.c)
    echo "$compiler -std=c11 -Iinclude PROGRAM.c src/*/*.c"
    build tests/install/consumer.c src/*/*.c
    echo "$compiler -std=c11 -Iinclude EXAMPLE.c src/*/*.c ports/linux/*.c"
    build examples/first.c src/*/*.c ports/linux/*.c
    for source in examples/*.c; do
        build "$source" "$folder"/*.o
    done
}

compilers=
for compiler in cc clang; do
    command -v "$compiler" >/dev/null 2>&1 || continue
    try >"$work/$compiler.log" 2>&1 &
    compilers="$compilers $compiler=$!"
done
if [ -z "$compilers" ]; then
    echo "check-plain-cc: found neither cc nor clang; install one" >&2
    exit 1
fi
failed=
for compiler in $compilers; do
    wait "${compiler#*=}" || failed=yes
    cat "$work/${compiler%=*}.log"
done
[ -z "$failed" ] || exit 1

# The headers must compile as C++. clang needs no C++ library for this.
if command -v clang >/dev/null 2>&1; then
    for header in include/kva/*.h; do
        echo "${header##*/} in C++"
        echo "#include <kva/${header##*/}>" | clang -x c++ -std=c++11 -Wall -Wextra -Werror -Iinclude -fsyntax-only -
    done
fi
