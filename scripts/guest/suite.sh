#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# A guest without a command runs this: all test programs, as many at once as there are CPUs; `kva test smoke`; and the
# demonstration of `./dev demo`, or its last part. The last line counts them. /guest/tests has one line for each entry
# of ctest, which calls `try` or `skip` below; this script calls itself for a line.
set -u
results=/run/results

# try NAME SECONDS FOLDER PROGRAM [VARIABLE=VALUE...]
try()
{
    name=$1
    limit=$2
    folder=$3
    program=$4
    shift 4
    output=$results/output.$$
    began=$(date +%s)
    (cd "$folder" && exec env "$@" timeout -k 5 "$limit" "$program") >"$output" 2>&1
    report "$name" $? $(($(date +%s) - began)) "$output"
    rm -f "$output"
}

# skip NAME REASON
skip()
{
    printf 'skipped  %s: %s\n' "$1" "$2" # one write for the line
    echo "$1" >>"$results/skipped"
}

# report NAME STATUS SECONDS OUTPUT: one at a time, so that outputs do not mix
report()
{
    until mkdir "$results/lock" 2>/dev/null; do
        sleep 0.1
    done
    echo "$3 $1" >>"$results/times"
    if [ "$2" -eq 0 ]; then
        printf 'ok       %s  %s s\n' "$1" "$3"
        echo "$1" >>"$results/passed"
    else
        printf 'FAILED   %s  %s s, status %s\n' "$1" "$3" "$2"
        sed 's/^/    /' "$4"
        echo "$1" >>"$results/failed"
    fi
    rmdir "$results/lock"
}

# show FILE NAME COMMAND...: run a test whose output is shown even if it passes. The output goes to FILE.
show()
{
    output=$results/$1
    name=$2
    shift 2
    printf '\n==== %s\n' "$name" >"$output"
    began=$(date +%s)
    "$@" >>"$output" 2>&1
    report "$name" $? $(($(date +%s) - began)) "$results/nothing"
}

if [ $# -eq 1 ]; then
    eval "$(sed -n "$1p" /guest/tests)"
    exit 0
fi

mkdir -p $results
for kind in passed failed skipped times nothing; do
    : >$results/$kind
done
# lines_of NAMES [OTHERS]: print the line numbers of the tests whose names match NAMES and not OTHERS
lines_of()
{
    awk -F "'" -v names="^($1)\$" -v others="^(${2:-})\$" '$4 ~ names && $4 !~ others { print NR }' /guest/tests
}

# run: read line numbers, and run those tests, as many at once as there are CPUs
run()
{
    xargs -r -P "$(nproc)" -n 1 sh "$0"
}

# An emulator takes many minutes for all loops of `kva test`, and half a minute for a short demonstration. So below
# full scale only a short smoke test and the last part of the demonstration run.
show_kva()
{
    if [ "$KVA_TEST_SCALE" = 1 ]; then
        show smoke "kva test smoke" kva test smoke
        show demo "./dev demo" sh scripts/demo.sh kva
    else
        show smoke "kva test smoke" kva test smoke --budget 0.2 test_repeat_count=1
        show demo "kva replay" kva replay tests/traces/python.strace
    fi
}

# Tests that bring a process to its limit on mappings count the mappings repeatedly, which takes most of their time in
# an emulator. For those of vmap/ the limit is a quarter of the default, the least that they accept
# (test_can_reach_map_limit in tests/common/vmap.c). One test needs the default. The slowest run first.
limit=/proc/sys/vm/max_map_count
usual=$(cat $limit)
echo 16384 >$limit
slowest='vmap/test_vm_pages'
slow='vmap/test_vm_(joined|limits|tables)'
wide='vmap/test_vm_nodes'
{
    lines_of "$slowest"
    lines_of "$slow"
    lines_of "vmap/.*" "$slowest|$slow|$wide"
} | run
echo "$usual" >$limit
show_kva &
{
    lines_of "$wide"
    lines_of ".*" "vmap/.*"
} | run
wait
cat $results/smoke $results/demo
printf '\nThe slowest, in seconds:\n'
sort -rn $results/times | head -n 10 | sed 's/^/    /'
echo
if [ -s $results/failed ]; then
    echo "Failed:"
    sed 's/^/    /' $results/failed
fi
count()
{
    wc -l <"$results/$1"
}
# A test without a result, because its shell was killed, has failed.
lost=$(($(wc -l </guest/tests) + 2 - $(cat $results/passed $results/failed $results/skipped | wc -l)))
[ "$lost" -eq 0 ] || echo "$lost without a result"
failed=$(($(count failed) + lost))
echo "$(count passed) passed, $failed failed, $(count skipped) skipped"
[ "$failed" -eq 0 ]
