#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Run what does not fit CI: its tests at full scale, and long searches. This takes about a night. All steps run, even
# if one fails. docs/guarantees.md has a row for the last run: write the line before the summary there.
set -euo pipefail
set -m # each step is a process group, so that an interrupt ends all of it
cd "$(dirname "$0")/.."
exec </dev/null
export LC_ALL=C.UTF-8
# shellcheck source=scripts/steps.bash
. scripts/steps.bash

case $#${1:-} in
0) ;;
1-h | 1--help)
    echo "Usage: ./dev long"
    echo "Run what does not fit CI; takes about a night. build/long keeps the output of each step."
    exit 0
    ;;
*)
    echo "dev: long takes no arguments; see ./dev long --help" >&2
    exit 2
    ;;
esac

# The release build is the fastest, so its random tests run at scale 10. A test may take four hours.
export KVA_TEST_TIMEOUT=14400
steps=(
    "release, at scale 10:env KVA_TEST_SCALE=10 ./dev test release"
    "clang, at full scale:env KVA_TEST_SCALE=1 ./dev test clang"
    "AddressSanitizer, at full scale:env KVA_TEST_SCALE=1 ./dev test asan"
    "ThreadSanitizer, at full scale:env KVA_TEST_SCALE=1 ./dev test tsan"
    "Valgrind, at full scale:env KVA_TEST_SCALE=1 ./dev test valgrind"
    "i386, at full scale:env KVA_TEST_SCALE=1 ./dev test i386"
    "s390x, at full scale:env KVA_TEST_SCALE=1 ./dev test s390x"
    "aarch64, at full scale:env KVA_TEST_SCALE=1 ./dev test aarch64"
    "freestanding, at full scale:env KVA_TEST_SCALE=1 ./dev test freestanding"
    "musl, at full scale:env KVA_TEST_SCALE=1 ./dev test musl"
    "Windows under Wine, at full scale:env KVA_TEST_SCALE=1 ./dev test mingw"
    "guest amd64 with two nodes, at full scale:env KVA_TEST_SCALE=1 ./dev guest amd64 --nodes 2 --timeout 14400"
    "guest amd64, stress as long as it takes:./dev guest amd64 --nodes 2 --timeout 14400 kva test stress test_loop_count=10000"
    "guest i686, at full scale:env KVA_TEST_SCALE=1 ./dev guest i686 --timeout 14400"
    "guest arm64 with two nodes, at full scale:env KVA_TEST_SCALE=1 ./dev guest arm64 --nodes 2 --timeout 14400"
    "lint, with all that the analyzer can see:./dev lint 225000"
    "all mutations:./dev mutate"
    "all states of the models:./dev prove"
    "coverage:./dev coverage"
    "an hour of stress, and one on page frames:./dev stress 1h"
    "an hour of fuzzing:./dev fuzz 3600"
)
child=
trap '[ -z "$child" ] || kill -- "-$child" 2>/dev/null; exit 130' HUP INT TERM

# clock SECONDS
clock()
{
    printf '%d:%02d:%02d' $(($1 / 3600)) $(($1 / 60 % 60)) $(($1 % 60))
}

# watch HEAD: show a line with the time while the child runs, on a terminal.
watch()
{
    local began=$SECONDS
    while [ -t 1 ] && kill -0 "$child" 2>/dev/null; do
        printf '\r\033[K%s, %s' "$1" "$(clock $((SECONDS - began)))"
        sleep 1
    done
    [ ! -t 1 ] || printf '\r\033[K'
}

mkdir -p build/long
broken=0
for number in "${!steps[@]}"; do
    title=${steps[number]%%:*}
    log=build/long/$((number + 1)).log
    began=$SECONDS
    read -ra words <<<"${steps[number]#*:}"
    "${words[@]}" >"$log" 2>&1 &
    child=$!
    watch "[$((number + 1)) of ${#steps[@]}] $title"
    status=0
    wait "$child" || status=$?
    child=
    tally "$status" "$log"
    verdict=ok
    if [ "$status" -ne 0 ]; then
        broken=1
        verdict="FAILED, see $log"
    fi
    echo "$title: $verdict, $(clock $((SECONDS - began)))"
done
echo "$(git describe --always --dirty 2>/dev/null || echo 'no git checkout'), $(date -u +%F), $(uname -srm)"
report "$broken"
exit "$broken"
