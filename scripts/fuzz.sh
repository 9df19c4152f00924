#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Fuzz the bt engine against scan, guided by coverage: byte strings are programs; see tests/fuzz/play.h.
set -eu

usage()
{
    cat <<'END'
Usage: scripts/fuzz.sh SECONDS [FOLDER]

Build the fuzz target with clang, AddressSanitizer and UndefinedBehaviorSanitizer, and run it for so long. FOLDER
keeps the build, what is found on the way, and a program that fails (default: build/fuzz). It starts from
tests/fuzz/corpus, whose programs every test run plays as well.

To keep what a long run has found: build/fuzz/fuzz_bt -merge=1 -use_counters=0 tests/fuzz/corpus build/fuzz/found
Exits with 0 if nothing failed.
END
}

case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
'' | *[!0-9]*)
    usage >&2
    exit 2
    ;;
esac

seconds=$1
cd "$(dirname "$0")/.."
root=$PWD
folder=${2:-build/fuzz}
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
mkdir -p "$folder/found" "$folder/objects"
cc=${FUZZ_CC:-clang}
rm -f "$folder"/objects/*.o
common=$root/tests/common
printf '%s\n' "$root"/src/*/*.c "$root"/ports/linux/*.c "$root"/ports/test/*.c "$common/bt_tiny.c" \
    "$common/bt_small.c" "$common/harness.c" "$root/tests/fuzz/play.c" "$root/tests/fuzz/fuzz_bt.c" |
    (
        cd "$folder/objects"
        xargs -n 4 -P "$jobs" "$cc" -std=c11 -g1 -O2 -fsanitize=fuzzer,address,undefined \
            -fno-sanitize-recover=all -DKVA_CHECK_LEVEL=1 -I"$root" -I"$root/include" -I"$root/src" -I"$root/tests" -c
    )
"$cc" -fsanitize=fuzzer,address,undefined "$folder"/objects/*.o -lcmocka -o "$folder/fuzz_bt"
"$folder/fuzz_bt" -max_total_time="$seconds" -max_len=1024 -len_control=20 -timeout=120 -print_final_stats=1 \
    -artifact_prefix="$folder/" "$folder/found" tests/fuzz/corpus
