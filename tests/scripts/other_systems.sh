#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# On a system without a port CMake builds the address ranges and the page frames, and reports what it omits
# and why. The compiler is this system's: no file of floors 0 to 2 tests the name of the system.
set -eu

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# configure BUILD [OPTION...]
configure()
{
    build=$1
    shift
    cmake -S "$KVA_SOURCE" -B "$build" -G Ninja -DCMAKE_C_COMPILER="$CC" "$@" >said 2>&1
}

configure default -DCMAKE_SYSTEM_NAME=FreeBSD || fail "it is not configured: $(cat said)"
for word in 'no port for FreeBSD' 'floors 0 to 2' kva_space_create 'the program kva' KVA_VMAP KVA_BUILD_TESTS \
    ports/README.md; do
    grep -q "$word" said || fail "it should say '$word': $(cat said)"
done
cmake --build default >said 2>&1 || fail "it is not built: $(cat said)"
[ -e default/libkva.a ] || fail "there is no library"
nm default/libkva.a >symbols 2>/dev/null
grep -q ' T kva_space_init$' symbols || fail "the address ranges are missing"
grep -q ' T kva_frames_create$' symbols || fail "the page frames are missing"
if grep -E ' (T kva_vm_create_from|[TU] mmap|T kva_space_create)$' symbols; then
    fail "what needs a port is there"
fi
[ ! -e default/kva ] || fail "the program was built"
cmake --install default --prefix installed >said 2>&1 || fail "it is not installed: $(cat said)"
for header in kva.h status.h memory.h deferred.h threads.h engine.h frames.h; do
    [ -e "installed/include/kva/$header" ] || fail "its header $header is missing"
done
for header in vm.h pages.h vmap.h pcpu.h report.h; do
    [ ! -e "installed/include/kva/$header" ] || fail "$header was installed, whose functions are missing"
done

# A part that was requested by name but cannot be built is an error.
if configure hosted -DCMAKE_SYSTEM_NAME=FreeBSD -DKVA_HOSTED=ON; then
    fail "a port that is not there was accepted"
fi
grep -q 'ports/freebsd' said || fail "the missing port should be named: $(cat said)"

if configure tools -DCMAKE_SYSTEM_NAME=FreeBSD -DKVA_BUILD_TOOLS=ON; then
    fail "the program was accepted, which needs a port"
fi
grep -q KVA_BUILD_TOOLS said || fail "the option should be named: $(cat said)"
configure tests -DCMAKE_SYSTEM_NAME=FreeBSD -DKVA_BUILD_TESTS=ON \
    -DCMOCKA_LIBRARY="$("$CC" -print-file-name=libcmocka.so)" || fail "no tests without a port: $(cat said)"
ctest --test-dir tests --show-only=json-v1 2>&1 | sed -n 's/^ *"name" : "\(.*\/.*\)",*$/\1/p' >said
grep -q space/test_lockstep said || fail "the tests of address ranges are missing: $(cat said)"
if grep -E '^(vmap|scripts|tools)/' said; then
    fail "tests that need a port, or this system's tools, are there"
fi

# This system has a port, and no such report.
configure own -DKVA_BUILD_TOOLS=OFF -DKVA_BUILD_TESTS=OFF || fail "it is not configured: $(cat said)"
if grep -q 'no port' said; then
    fail "it should not say: $(cat said)"
fi
