#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# kva test frames on the command line: exit codes, lines for grep, JSON, and the messages for a wrong command line. KVA is
# the program; the working folder belongs to the test.
set -eu

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# refuse TEXT ARGUMENT...: check the message of a call that must fail at once.
refuse() {
    wanted_text=$1
    shift
    code=0
    "$KVA" test "$@" >out.txt 2>err.txt || code=$?
    [ "$code" = 2 ] || fail "kva test $*: exit code $code, expected 2"
    grep -q -- "$wanted_text" err.txt || fail "kva test $*: expected '$wanted_text', found: $(cat err.txt)"
    [ ! -s out.txt ] || fail "kva test $*: wrote to standard output: $(cat out.txt)"
}

refuse "^kva test frames: the modes are smoke and stress, not 'fast'$" frames fast
refuse '^kva test frames: too many arguments$' frames smoke stress
refuse "^kva test frames: --frames takes a number from 65536 to 268435456, not '65535'$" frames --frames 65535
refuse "^kva test frames: --threads takes a number from 1 to 65535, not '0'$" frames smoke --threads=0
refuse "^kva test frames: --seed takes a number from 0 to 18446744073709551615, not '-1'$" frames --seed=-1
refuse "^kva test frames: unrecognized option" frames --engine=bt
for time in 0 -1 1d '' 1001h; do
    refuse '^kva test frames: --time takes a time from 0.001s to 1000h' frames "--time=$time"
done
refuse 'modes are performance, smoke and stress' smoke frames

"$KVA" test --help >help.txt
grep -q 'kva test frames --help' help.txt || fail 'kva test --help does not mention frames'
"$KVA" test frames --help >help.txt
grep -q '^Usage: kva test frames \[OPTION...\] \[smoke|stress\]$' help.txt || fail "kva test frames --help: $(head -n 1 help.txt)"

# Without a mode it is a smoke test. Times and counts vary, the lines do not.
"$KVA" test frames --time 0.3 --seed 42 --threads 3 >text.txt 2>err.txt || fail "smoke: exit code $?: $(cat err.txt)"
[ ! -s err.txt ] || fail "a run in a pipe wrote to standard error: $(cat err.txt)"
grep -q '^Mode: frames smoke threads=3 frames=65536 cpus=[0-9]*$' text.txt || fail 'the mode is not printed'
grep -q '^Time: 0.300 seconds for all shapes$' text.txt || fail 'the time is not printed'
grep -q '^Seed: 42$' text.txt || fail 'the seed is not printed'
for shape in plain zones small; do
    grep -Eq "^Summary: $shape failed: 0 rounds: [1-9][0-9]* operations: [1-9][0-9]* frames: 6[0-9]{4} used at most: [0-9]+ % moved: [1-9][0-9]* runs, [1-9][0-9]* frames bookkeeping: [1-9][0-9]* bytes$" text.txt ||
        fail "no summary of $shape"
done
for operation in take give swap look compact; do
    [ "$(grep -Ec "^$operation +[1-9][0-9,]* +[0-9,]+$" text.txt)" = 3 ] || fail "'$operation' did not run on each shape"
done

# One thread, and more threads than CPUs.
"$KVA" test frames smoke --time 0.1 --threads 1 >one.txt || fail 'one thread'
"$KVA" test frames --threads 40 stress --time 0.2 --frames 1e5 >many.txt || fail '40 threads'
grep -q '^Mode: frames stress threads=40 frames=100000 ' many.txt || fail 'options after a mode are ignored'

# JSON: one document and nothing else.
"$KVA" test frames smoke --time 0.1 --seed 18446744073709551615 --json >out.json 2>err.txt
[ ! -s err.txt ] || fail "--json wrote to standard error: $(cat err.txt)"
jq -e '.command == "kva test frames" and .seed == "18446744073709551615" and .mode == "smoke" and .time_nanoseconds == 100000000
    and .threads >= 2 and (.shapes | map(.name)) == ["plain", "zones", "small"]
    and all(.shapes[]; .fault == null and .rounds > 0 and .frames > 60000 and .bookkeeping_bytes > 0 and .moved_frames >= .moved_runs and .used_at_most > 0)
    and (.shapes[0].operations[0] | .name == "take" and .done > 0) and .shapes[1].block_order == 9 and .shapes[2].block_order == 3
    and (.shapes[1].zones | map(.node)) == [1, 0, 0, 1, 0]
    and .shapes[1].zones[4].end == "0xffffffffffffffff"' out.json >/dev/null || fail "JSON: $(cat out.json)"

# The system starts fewer threads than requested.
code=0
(
    # shellcheck disable=SC3045 # dash and bash have it; without it nothing is limited
    ulimit -v 2000000 || exit 0
    "$KVA" test frames --threads 65535 --time 0.01
) >out.txt 2>err.txt || code=$?
if [ "$code" = 3 ]; then
    grep -Eq '^kva test frames: plain: (the system started fewer threads than --threads asks for|out of memory)$' err.txt ||
        fail "threads: $(cat err.txt)"
fi

# A full disk is an error.
if [ -w /dev/full ]; then
    code=0
    "$KVA" test frames --time 0.01 >/dev/full 2>err.txt || code=$?
    [ "$code" = 3 ] || fail "output to a full disk: exit code $code, expected 3"
    grep -q '^kva: standard output: ' err.txt || fail "output to a full disk: $(cat err.txt)"
fi
