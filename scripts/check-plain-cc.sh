#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Show that kva needs no build system: the compiler's own command line builds it, and programs that use it.
set -eu

cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

for compiler in cc clang; do
    command -v "$compiler" >/dev/null 2>&1 || continue
    echo "$compiler -std=c11 -Iinclude -c src/*/*.c"
    (cd "$work" && "$compiler" -std=c11 -I"$root/include" -c "$root"/src/*/*.c)
    rm -f "$work"/*.o
    # As a user would: without a port, and with the one for Linux.
    "$compiler" -std=c11 -Iinclude tests/install/consumer.c src/*/*.c -o "$work/consumer"
    "$work/consumer"
    for example in examples/*.c; do
        [ -e "$example" ] || continue
        echo "$compiler -std=c11 -Iinclude $example src/*/*.c ports/linux/*.c"
        "$compiler" -std=c11 -Iinclude "$example" src/*/*.c ports/linux/*.c -o "$work/example"
        "$work/example" >/dev/null
    done
done

# The header serves C++, too. clang needs no C++ library to see that.
if command -v clang >/dev/null 2>&1; then
    echo "kva.h in C++"
    echo '#include <kva/kva.h>' | clang -x c++ -std=c++11 -Wall -Wextra -Werror -Iinclude -fsyntax-only -
fi
