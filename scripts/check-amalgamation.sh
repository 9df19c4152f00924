#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Verify that the files of scripts/amalgamate.sh are all that a program needs, and that they are kva.
#
#   built       without a warning: by gcc and clang, in several standards and at all check levels, hosted, freestanding
#               and with 32 bits; also the headers in C++17. Other compilers get an error that names the reason
#   linked      freestanding, with only memcpy, memmove, memset and memcmp; hosted, with examples, in C and C++
#   closed      the object exports the names that the headers declare, and no others
#   the same    tests that compare all engines with the oracle, frames with their model and instances with theirs pass
#               with it instead of the library
#
# Needs gcc or clang. Other compilers are left out if they are missing, and so are the tests without cmocka.
set -eu

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
# The commands below name these two, so that their output stays short.
export strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
export kernel="-DKVA_FREESTANDING -fno-stack-protector -fno-pie"

# have COMMAND: whether it exists
have()
{
    command -v "$1" >/dev/null 2>&1
}

# later COMMAND...: words of a shell command that run_all runs, several at a time, in $work
later()
{
    printf '%s\0' "$*" >>"$work/commands"
}

run_all()
{
    # shellcheck disable=SC2016  # a script
    xargs -0 -n 1 -P "$jobs" sh -ec 'cd "$0"; echo "$1"; eval "$1"' "$work" <"$work/commands"
    rm "$work/commands"
}

# compile OBJECT COMPILER [FLAGS]
compile()
{
    object=$1
    shift
    later "$* \$strict -c kva.c -o $object"
}

# look COMPILER [FLAGS]: for warnings; no code is made
look()
{
    later "$* \$strict -fsyntax-only kva.c"
}

# refuse WORDS COMPILER [FLAGS]: the first error must have these words
refuse()
{
    words=$1
    shift
    later "$* -fsyntax-only kva.c 2>&1 | grep -m 1 error | grep '$words'"
}

# amalgamated FOLDER FILES...: copies of C files that include the amalgamated headers
amalgamated()
{
    into=$1
    shift
    mkdir -p "$into"
    for source in "$@"; do
        sed -f "$work/includes" "$source" >"$into/${source##*/}"
    done
}

# ------------------------------------------------------------------------------------------------- files

scripts/amalgamate.sh "$work"
scripts/amalgamate.sh "$work/again"
for name in kva.c kva.h kva_vm.h; do
    cmp "$work/$name" "$work/again/$name"
done
# A sed script that replaces each header of the tree by the one of the two that holds it.
for name in kva kva_vm; do
    sed -n "s|^/\* ---- \(kva/.*\) \*/$|s:<\1>:\"$name.h\":|p" "$work/$name.h"
done >"$work/includes"

# ------------------------------------------------------------------------------------------------- built

# The four functions that a freestanding compiler needs. No program runs: the linker only has to find them.
cat >"$work/the_four.c" <<'END_OF_FOUR'
void *memcpy(void *to, const void *from, __SIZE_TYPE__ bytes) { return from && bytes ? to : 0; }
void *memmove(void *to, const void *from, __SIZE_TYPE__ bytes) { return from && bytes ? to : 0; }
void *memset(void *to, int byte, __SIZE_TYPE__ bytes) { return byte && bytes ? to : 0; }
int memcmp(const void *a, const void *b, __SIZE_TYPE__ bytes) { return a == b && bytes; }
void entry(void) {}
END_OF_FOUR

# freestanding NAME COMPILER [FLAGS]: compile it, and link it with these alone
freestanding()
{
    name=$1
    shift
    later "$* -std=c11 \$kernel \$strict -c kva.c -o $name.o && $* -fno-builtin \$kernel -c the_four.c -o $name-four.o &&" \
        "$* -nostdlib -static -Wl,-e,entry $name.o $name-four.o -o $name"
}

# The longest first.
if have gcc; then
    compile gcc.o gcc -std=c11 -O2
    freestanding gcc-free gcc -ffreestanding -O1
    freestanding gcc-free-vmap gcc -ffreestanding -DKVA_VMAP -DKVA_CHECK_LEVEL=3 -O0
    freestanding gcc-hosted-free gcc -O0 # the macro alone
    look gcc -std=c17
    look gcc -std=gnu11 -DKVA_CHECK_LEVEL=0
    refuse "needs C11" gcc -std=gnu99
fi
if have clang; then
    compile clang.o clang -std=c11 -O1
    freestanding clang-free clang -ffreestanding -O1
    freestanding clang-free-vmap clang -ffreestanding -DKVA_VMAP -O0
    look clang -std=c17 -DKVA_CHECK_LEVEL=2
    look clang -std=gnu11 -DKVA_CHECK_LEVEL=3
fi
if have i686-linux-gnu-gcc; then
    compile i686.o i686-linux-gnu-gcc -std=c11 -O0
    freestanding i686-free i686-linux-gnu-gcc -ffreestanding -O1
fi
for compiler in "g++ -x c++" "clang -x c++"; do
    have "${compiler%% *}" || continue
    refuse "is C:" "$compiler"
    for header in kva.h kva_vm.h; do
        later "echo '#include \"$header\"' | $compiler -std=c++17 \$strict -I. -fsyntax-only -"
    done
done
run_all

# ------------------------------------------------------------------------------------------------ closed

cc=gcc
have gcc || cc=clang
nm -g --defined-only "$work/$cc.o" | awk 'NF { print $NF }' >"$work/exported"
[ -s "$work/exported" ]
# shellcheck disable=SC2016  # an awk program
awk '
FILENAME == ARGV[3] {
    names++
    if (!($1 in declared)) {
        print "kva.c exports " $1 ", which no header declares"
        failed = 1
    }
    next
}
{
    # A name that begins a list of parameters, or ends a declaration.
    while (match($0, /kva_[a-z0-9_]+[[(;]/)) {
        declared[substr($0, RSTART, RLENGTH - 1)] = 1
        $0 = substr($0, RSTART + RLENGTH)
    }
}
END {
    print names " names are exported, all of them public"
    exit failed
}' "$work/kva.h" "$work/kva_vm.h" "$work/exported"

# ------------------------------------------------------------------------------------------------ linked

amalgamated "$work/examples" examples/*.c
for example in first frames ranges ring; do
    later "$cc -std=c11 \$strict -I. examples/$example.c $cc.o -o examples/$example && examples/$example >$example.out"
done
amalgamated "$work/examples" tests/install/consumer.c
later "$cc -std=c11 \$strict -no-pie -I. examples/consumer.c $cc-free.o -o consumer && ./consumer"
cat >"$work/program.cpp" <<'END_OF_PROGRAM'
#include "kva_vm.h"

int main()
{
    kva_space *space = nullptr;
    kva_config config = {};
    config.first = 0x1000;
    config.last = 0xffff;
    config.quantum = 0x1000;
    if (kva_space_create(&config, &space) != KVA_OK)
        return 1;
    kva_request request = kva_request_of(0x2000);
    uint64_t start = 0;
    if (kva_alloc(space, &request, &start) != KVA_OK || kva_free(space, start) != KVA_OK)
        return 2;
    if (kva_space_destroy(space) != KVA_OK)
        return 3;

    kva_vm *vm = nullptr;
    if (kva_vm_create(nullptr, &vm) != KVA_OK)
        return 4;
    void *memory = kva_vmalloc(vm, 10000);
    if (!memory || kva_vfree(vm, memory) != KVA_OK || kva_vm_destroy(vm, nullptr, nullptr) != KVA_OK)
        return 5;
    return 0;
}
END_OF_PROGRAM
! have g++ || later "g++ -std=c++17 \$strict -I. program.cpp $cc.o -o program && ./program"
run_all

# ---------------------------------------------------------------------------------------------- the same

if ! echo '#include <cmocka.h>' | $cc -include stdarg.h -include stddef.h -include setjmp.h -include stdint.h \
    -E -o /dev/null -x c - 2>/dev/null; then
    echo "cmocka was not found: the tests are left out"
    exit 0
fi

# The engines of the tests, with tiny nodes, need some internal functions, which kva.c does not export.
ln -s "$PWD" "$work/tree"
export flags="-std=c11 -O0 -Itree -Itree/include -Itree/src -Itree/tests -DKVA_CHECK_LEVEL=1 -DKVA_TEST_HOSTED=1"
corpus="-DKVA_CORPUS='\"tree/tests/fuzz/corpus\"' -DKVA_CORPUS_FRAMES='\"tree/tests/fuzz/corpus_frames\"'"
for source in tests/common/*.c tests/fuzz/play*.c ports/test/*.c src/base/nodes.c src/base/check.c src/engine/fit.c src/engine/sizes.c; do
    later "$cc \$flags -c tree/$source -o support-$(basename "$source" .c).o"
done
run_all
ar rc "$work/support.a" "$work"/support-*.o
for test in space/test_lockstep frames/test_frames_lockstep vmap/test_vm_model fuzz/test_corpus; do
    name=${test#*/}
    later "$cc \$flags $corpus tree/tests/$test.c support.a $cc.o support.a -lcmocka -lpthread -o $name &&" \
        "KVA_TEST_SCALE=0.05 ./$name >$name.out 2>&1 || { cat $name.out; exit 1; }"
done
run_all
