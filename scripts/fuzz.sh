#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Fuzz the bt engine against scan, and frame sets against their model, guided by coverage. Byte strings are programs:
# tests/fuzz/play.h and tests/fuzz/play_frames.h define them.
set -eu

usage()
{
    cat <<'END'
Usage: scripts/fuzz.sh SECONDS [FOLDER]

Build both fuzz targets with clang, AddressSanitizer and UndefinedBehaviorSanitizer, and run both at once for SECONDS.
FOLDER keeps the build, new programs, and a program that fails (default: build/fuzz). The targets start from
tests/fuzz/corpus and tests/fuzz/corpus_frames, whose programs every test run plays as well.

To keep the programs that a long run has found:
    build/fuzz/fuzz_bt -merge=1 -use_counters=0 tests/fuzz/corpus build/fuzz/found
    build/fuzz/fuzz_frames -merge=1 -use_counters=0 tests/fuzz/corpus_frames build/fuzz/found_frames
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
mkdir -p "$folder/found" "$folder/found_frames" "$folder/objects"
cc=${FUZZ_CC:-clang}
sanitizers=fuzzer,address,undefined
rm -f "$folder"/objects/*.o
common=$root/tests/common
fuzz=$root/tests/fuzz
printf '%s\n' "$root"/src/*/*.c "$root"/ports/linux/*.c "$root"/ports/test/*.c "$common/bt_tiny.c" "$common/bt_small.c" \
    "$common/filter.c" "$common/harness.c" "$common/frames_model.c" "$common/frames_play.c" "$fuzz/play.c" "$fuzz/play_frames.c" \
    "$fuzz/fuzz_bt.c" "$fuzz/fuzz_frames.c" |
    (
        cd "$folder/objects"
        xargs -n 4 -P "$jobs" "$cc" -std=c11 -g1 -O2 -fsanitize=$sanitizers \
            -fno-sanitize-recover=all -DKVA_CHECK_LEVEL=1 -I"$root" -I"$root/include" -I"$root/src" -I"$root/tests" -c
    )

# fuzz TARGET OTHER FOUND CORPUS: link all objects except the other target's, and run. Writes the status to a file.
fuzz()
{
    status=0
    # shellcheck disable=SC2046  # paths without blanks
    "$cc" -fsanitize=$sanitizers $(printf '%s\n' "$folder"/objects/*.o | grep -v "/$2\.o$") -lcmocka -o "$folder/$1" &&
        "$folder/$1" -max_total_time="$seconds" -max_len=1024 -len_control=20 -timeout=120 -print_final_stats=1 \
            -artifact_prefix="$folder/" "$folder/$3" "tests/fuzz/$4" || status=$?
    echo "$status" >"$folder/$1.status"
}

rm -f "$folder"/*.status
fuzz fuzz_bt fuzz_frames found corpus 2>&1 | sed -u 's/^/bt: /' &
fuzz fuzz_frames fuzz_bt found_frames corpus_frames 2>&1 | sed -u 's/^/frames: /' &
wait
[ "$(cat "$folder/fuzz_bt.status" "$folder/fuzz_frames.status")" = "$(printf '0\n0')" ]
