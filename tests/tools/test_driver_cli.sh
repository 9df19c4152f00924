#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# kva and kva test on the command line: exit codes, lines for grep, the same run for the same seed, JSON, and the messages
# for wrong command lines. KVA is the program; the working folder belongs to the test.
set -eu

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# refuse CODE TEXT ARGUMENT...: check the exit code and the message of a call that must fail at once.
refuse() {
    wanted_code=$1
    wanted_text=$2
    shift 2
    code=0
    "$KVA" "$@" >out.txt 2>err.txt || code=$?
    [ "$code" = "$wanted_code" ] || fail "kva $*: exit code $code, expected $wanted_code"
    grep -q -- "$wanted_text" err.txt || fail "kva $*: expected '$wanted_text', found: $(cat err.txt)"
    [ ! -s out.txt ] || fail "kva $*: wrote to standard output: $(cat out.txt)"
}

# ----------------------------------------------------------------------------------------- the program

refuse 2 'Usage: kva COMMAND'
refuse 2 "no command 'tset': the commands are test, replay, bench, help" tset
refuse 2 "no command 'tset'" help tset
refuse 2 'help takes one command; for kva test frames, run kva test frames --help' help test bench
"$KVA" --version >version.txt
grep -Eq '^kva [0-9]+\.[0-9]+\.[0-9]+$' version.txt || fail "--version prints $(cat version.txt)"
"$KVA" test --version >version_of_test.txt
cmp -s version.txt version_of_test.txt || fail 'test --version differs from --version'
"$KVA" --help >help.txt
"$KVA" help | cmp -s - help.txt || fail 'help differs from --help'
for command in test replay bench; do
    grep -q "^  $command " help.txt || fail "--help does not list $command"
    "$KVA" help "$command" >one.txt || fail "help $command: exit code $?"
    grep -q "^Usage: kva $command" one.txt || fail "help $command: $(head -n 1 one.txt)"
done

# --------------------------------------------------------------------------------- wrong command lines

refuse 2 'name a mode (performance, smoke or stress) or key=value pairs; the keys are nr_threads' test
refuse 2 'modes are performance, smoke and stress' test fast
refuse 2 'keys are nr_threads, sequential_test_order, test_repeat_count, test_loop_count, nr_pages, use_huge, run_test_mask, nr_pcpu_objects' test nr_page=1
refuse 2 "nr_threads takes a number from 1 to 65535, not '0'$" test nr_threads=0
refuse 2 'nr_threads takes a number from 1 to 65535' test nr_threads=65536
refuse 2 'run_test_mask takes a number from 1 to 8191' test smoke run_test_mask=8192
refuse 2 'run_test_mask takes a number from 1 to 255 with --memory ranges' test smoke --memory ranges run_test_mask=256
refuse 2 'use_huge takes only 1; leave it out to turn it off$' test use_huge=2
refuse 2 'given twice' test nr_pages=1 nr_pages=2
refuse 2 'too many arguments' test a b c d e f g h i j k l m n o p q r s
refuse 2 "no engine 'tree': the engines are list, bt, rb, scan, bt-lock, bt-pools, or all" test smoke --memory ranges --engine tree
refuse 2 "no engine 'tree': the engines are list, bt, rb, scan, bt-mutex, mmap, malloc, jemalloc, mimalloc, or all" test smoke --engine tree
refuse 2 "'mmap' is for --memory pages only: the engines are list, bt" test smoke --memory ranges --engine mmap
refuse 2 "'bt-pools' is for --memory ranges only: the engines are list, bt" test smoke --engine bt-pools
refuse 2 "engine 'rb' is named twice" test smoke --engine rb,rb
for budget in 0 -1 1x '' nan inf; do
    refuse 2 '--budget takes seconds, from 0.001 to 3600000' test smoke "--budget=$budget"
done
for time in 0 -1 1d 2mm '' 1001h; do
    refuse 2 '--time takes a time from 0.001s to 1000h' test stress "--time=$time"
done
for seed in -1 x '' 18446744073709551616; do
    refuse 2 '--seed takes a number from 0 to 18446744073709551615' test smoke "--seed=$seed"
done
refuse 2 '--held takes a number from 0 to 8388608' test smoke --held=99999999999
refuse 2 'requires an argument' test smoke --memory
refuse 2 "takes pages or ranges, not 'page'" test smoke --memory page
refuse 2 'unrecognized option' test smoke --memories

# ---------------------------------------------------------------------------------------------- runs

# Tiny: this tests the output, not the speed. Tests 2 and 4, which hold thousands of pages, run on the list walk alone: a
# library that verifies its whole structure after each change would take minutes for them.
tiny='test_loop_count=100 test_repeat_count=2 nr_pcpu_objects=300'
small='--memory ranges run_test_mask=249'

# Remove the values that may differ between two runs of one seed: times and cycles.
without_times() {
    sed -E -e 's/avg: [0-9]+ usec/avg/' -e 's/=[0-9]+ cycles/= cycles/' -e '/^test  .* us/,$d' "$1"
}

# shellcheck disable=SC2086 # word splitting is wanted
"$KVA" test smoke $tiny $small --engine all --seed 42 >text.txt 2>err.txt || fail "smoke: exit code $?"
[ ! -s err.txt ] || fail "a run in a pipe wrote to standard error: $(cat err.txt)"
grep -q '^Seed: 42$' text.txt || fail 'the seed is not printed'
for test in fix_size random_size fix_align random_size_align; do
    line="^Summary: ${test}_alloc_test passed: 2 failed: 0 xfailed: 0 repeat: 2 loops: 100 avg: [0-9]+ usec$"
    [ "$(grep -Ec "$line" text.txt)" = 6 ] || fail "no summary of ${test}_alloc_test for each engine"
done
line='^Summary: align_shift_alloc_test passed: 0 failed: 0 xfailed: 2 repeat: 2 loops: 1 avg: [0-9]+ usec$'
[ "$(grep -Ec "$line" text.txt)" = 6 ] || fail 'the shift test did not fail as expected'
line='^Summary: pcpu_alloc_test passed: 2 failed: 0 xfailed: 0 repeat: 2 loops: 300 avg: [0-9]+ usec$'
[ "$(grep -Ec "$line" text.txt)" = 6 ] || fail 'no summary of pcpu_alloc_test for each engine'
[ "$(grep -Ec '^All test took worker0=[0-9]+ cycles$' text.txt)" = 6 ] || fail 'no cycles for each engine'
grep -Eq '^test  +list us  +bt us  +list/bt  +rb us  +list/rb  +scan us  +list/scan  +bt-lock us  +list/bt-lock  +bt-pools us  +list/bt-pools$' text.txt || fail 'no table'
grep -Eq '^total cycles( +[0-9,.]+){11}$' text.txt || fail 'no totals in the table'

# shellcheck disable=SC2086
"$KVA" test stress $tiny $small --engine rb,list --seed 42 >text.txt
# shellcheck disable=SC2086
"$KVA" test stress $tiny $small --engine rb,list --seed 42 >again.txt
without_times text.txt >text.cut
without_times again.txt >again.cut
cmp text.cut again.cut || fail 'the same seed gave a different run'

# The large tests.
# shellcheck disable=SC2086
"$KVA" test performance --memory ranges $tiny run_test_mask=6 --engine list >large.txt
for test in full_fit long_busy_list; do
    line="^Summary: ${test}_alloc_test passed: 2 failed: 0 xfailed: 0 repeat: 2 loops: 100 avg: [0-9]+ usec$"
    [ "$(grep -Ec "$line" large.txt)" = 1 ] || fail "no summary of ${test}_alloc_test"
done

# One engine: no table. A chosen seed is printed, and repeats the order.
# shellcheck disable=SC2086
"$KVA" test nr_threads=3 $tiny $small >fresh.txt
! grep -q ' us  ' fresh.txt || fail 'a table for a single engine'
seed=$(sed -n 's/^Seed: //p' fresh.txt)
# shellcheck disable=SC2086
"$KVA" test nr_threads=3 $tiny $small --seed "$seed" >again.txt
without_times fresh.txt >text.cut
without_times again.txt >again.cut
cmp text.cut again.cut || fail 'the printed seed gave a different run'
[ "$(grep -c '^All test took worker[012]=' fresh.txt)" = 3 ] || fail 'not three workers'

# A mask selects tests.
"$KVA" test performance test_loop_count=10 run_test_mask=9 >mask.txt
[ "$(sed -n 's/^Summary: \([a-z_]*\) .*/\1/p' mask.txt | tr '\n' ' ')" = 'fix_size_alloc_test random_size_alloc_test ' ] ||
    fail 'run_test_mask=9 did not run tests 1 and 8 in order'

# The output names the budget and the loops done.
"$KVA" test test_loop_count=1000000000 nr_threads=2 run_test_mask=1 --budget 0.02 --engine list,rb >budget.txt
grep -Eq 'cut by the budget: [0-9]+ of 1000000000 loops in all' budget.txt || fail 'the budget is not named'
grep -Eq '^fix_size_alloc_test +~[0-9,]+ +~[0-9,]+ +[0-9,.]+$' budget.txt || fail 'scaled times are not marked'

# A time: loops that it cuts, tests that were not reached, and enough rounds to fill it.
"$KVA" test stress --memory ranges run_test_mask=9 --time 0.1s --engine bt-pools >time.txt 2>err.txt || fail "--time: $(cat err.txt)"
[ ! -s err.txt ] || fail "a timed run in a pipe wrote to standard error: $(cat err.txt)"
grep -q '^Time: 0.100 seconds for each engine$' time.txt || fail 'the time is not printed'
grep -Eq '^Summary: .* \(cut by the time: [0-9]+ of [0-9]+ loops in all\)$' time.txt || fail 'a loop cut by the time is not marked'
grep -Eq '^(Not reached: (fix|random)_size_alloc_test|Summary: .*)$' time.txt || fail 'tests that were not reached are not listed'
"$KVA" test stress --memory ranges run_test_mask=1 test_loop_count=10 --time 0.1s --engine bt --json |
    jq -e '.time_nanoseconds == 100000000 and all(.engines[0].workers[]; .rounds > 1 and .tests[0].passed > 20)
        and .engines[0].total.ratio == null' >/dev/null || fail 'a timed run does not repeat its tests'

# On a terminal, a line shows what each worker does. It is rewritten ten times a second.
python3 - "$KVA" >terminal.txt <<'END' || fail "the progress line: $(cat terminal.txt)"
import os, pty, re, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], [sys.argv[1], "test", "stress", "--memory", "ranges", "run_test_mask=1", "--time", "1", "nr_threads=2"])
text = b""
try:
    while part := os.read(terminal, 65536):
        text += part
except OSError:
    pass
print(text.decode())
assert os.waitpid(child, 0)[1] == 0
lines = re.findall(r"\rbt 0:00:0[01] of 0:00:01, [0-9.]+( [kMGTP])? loops \| 0: (fix_size [0-9]+/20|done)", text.decode())
assert len(lines) >= 2, lines
END

# 64 workers among held areas, with huge pages.
"$KVA" test --memory ranges nr_threads=64 test_loop_count=50 run_test_mask=73 nr_pages=600 use_huge=1 --held 100 --engine all >many.txt
[ "$(grep -c '^All test took' many.txt)" = 384 ] || fail 'expected 64 workers on 6 engines'

# A refused allocation is a failed test: the held area leaves no room for such a range.
code=0
"$KVA" test --memory ranges nr_threads=1 test_loop_count=1 nr_pages=8589934592 run_test_mask=1 --held 1 >full.txt 2>err.txt || code=$?
[ "$code" = 1 ] || fail "a failed test: exit code $code, expected 1"
grep -q 'failed: 1' full.txt || fail 'a failed test is not counted'
grep -q 'fix_size_alloc_test: allocation refused' err.txt || fail "a failed test is not explained: $(cat err.txt)"
"$KVA" test --memory ranges nr_threads=1 test_loop_count=1 nr_pages=8589934592 run_test_mask=1 >full.txt || fail 'the range does not hold 2^33 pages'

# JSON: one document and nothing else.
# shellcheck disable=SC2086
"$KVA" test smoke $tiny $small --engine rb,list --seed 18446744073709551615 --json >out.json 2>err.txt
[ ! -s err.txt ] || fail "--json wrote to standard error: $(cat err.txt)"
python3 - out.json <<'END' || fail 'the JSON differs from the manual'
import json, sys
document = json.load(open(sys.argv[1]))
assert list(document)[:4] == ["command", "version", "date", "seed"]
assert document["command"] == "kva test" and document["seed"] == "18446744073709551615"
assert document["parameters"]["test_loop_count"] == 100
assert document["memory"] == "ranges" and document["reference"] == "list"
assert [engine["name"] for engine in document["engines"]] == ["rb", "list"]
for engine in document["engines"]:
    assert engine["ended"] == "KVA_OK" and engine["total"]["cycles"] > 0
    assert [test["id"] for test in engine["tests"]] == [1, 8, 16, 32, 64, 128]
    assert all(test["microseconds"] > 0 and not test["scaled"] for test in engine["tests"])
    assert len(engine["workers"]) == 1
    for test in engine["workers"][0]["tests"]:
        assert test["failed"] == 0 and test["passed"] + test["xfailed"] == 2
        assert test["loops_done"] == test["loops_wanted"]
assert all(test["ratio"] == 1 for test in document["engines"][1]["tests"])
END

# ------------------------------------------------------------------------------------------ real memory

# All thirteen tests on all allocators except scan, which is slow with the thousands of pages of tests 2 and 4. The output
# lists the tests that an allocator cannot run; without liburcu two tests fail, with exit code 3.
code=0
heaps=$("$KVA" test performance test_loop_count=1 test_repeat_count=1 run_test_mask=1 --engine all | sed -n 's/^Engine: \([a-z]*malloc\) .*/,\1/p' | tr -d '\n')
# shellcheck disable=SC2086
"$KVA" test smoke $tiny --engine "list,bt,rb,mmap$heaps" --seed 42 >pages.txt 2>err.txt || code=$?
if grep -q 'this build has no liburcu' err.txt; then
    [ "$code" = 3 ] || fail "two tests without liburcu: exit code $code, expected 3"
    tests=fix_size_alloc
else
    [ "$code" = 0 ] || fail "thirteen tests on pages: exit code $code: $(cat err.txt)"
    tests='fix_size_alloc kvfree_rcu_1_arg_vmalloc kvfree_rcu_2_arg_vmalloc'
fi
grep -Eq '^Memory: pages of 4096 bytes, (1 node|[1-9][0-9]* nodes)$' pages.txt || fail 'the kind of areas is not printed'
kinds=$(grep -c '^Engine: ' pages.txt)
[ "$kinds" -ge 5 ] || fail "$kinds kinds on pages, expected at least 5"

# summaries TEST: the number of kinds that passed a test.
summaries() {
    grep -Ec "^Summary: ${1}_test passed: 2 failed: 0 xfailed: 0 repeat: 2 loops: [13]00 avg: [0-9]+ usec\$" pages.txt || true
}

left_out() {
    grep -c "^Left out: ${1}_test ([a-z]* cannot do it; see kva test --help)\$" pages.txt || true
}

for test in $tests full_fit_alloc long_busy_list_alloc random_size_alloc fix_align_alloc random_size_align_alloc pcpu_alloc \
    vm_map_ram no_block_alloc vrealloc; do
    passed=$(summaries "$test")
    [ $((passed + $(left_out "$test"))) = "$kinds" ] || fail "$test on pages: $passed of $kinds passed: $(grep "${test}_test" pages.txt)"
    [ "$passed" -ge 2 ] || fail "$test on pages: fewer than 2 kinds passed"
done
for engine in bt rb; do
    awk -v engine="$engine" '/^Engine: / { own = $2 == engine } own && /^Left out/ { found = 1 } END { exit found }' pages.txt ||
        fail "$engine leaves a test out"
done
grep -Eq '^vrealloc_test  +-  +[0-9,]+  +-' pages.txt || fail 'the table has no dash for a test that the list walk cannot run'

# shellcheck disable=SC2086
"$KVA" test smoke $tiny run_test_mask=7417 --engine scan >scan.txt || fail "scan on pages"

# Parameters of the newer tests: frames to map, huge pages, the mask.
"$KVA" test performance test_loop_count=20 test_repeat_count=1 run_test_mask=5121 nr_pages=600 use_huge=1 --engine bt >large.txt
[ "$(grep -c '^Summary: .* passed: 1 failed: 0' large.txt)" = 3 ] || fail "600 pages, huge: $(cat large.txt)"

# An alignment that no reservation has must fail.
"$KVA" test performance test_loop_count=1 test_repeat_count=1 run_test_mask=64 --engine bt >shift.txt || fail 'align_shift on pages'
grep -q '^Summary: align_shift_alloc_test passed: 0 failed: 0 xfailed: 1' shift.txt || fail 'no alignment was too large'

# Several workers on one instance, shuffled: the same seed gives the same orders.
# shellcheck disable=SC2086
"$KVA" test nr_threads=4 $tiny run_test_mask=7417 --engine bt,malloc --seed 7 >text.txt || fail 'four workers on pages'
# shellcheck disable=SC2086
"$KVA" test nr_threads=4 $tiny run_test_mask=7417 --engine bt,malloc --seed 7 >again.txt
without_times text.txt >text.cut
without_times again.txt >again.cut
cmp text.cut again.cut || fail 'the same seed gave a different run on pages'

# shellcheck disable=SC2086
"$KVA" test smoke $tiny run_test_mask=7295 --engine bt,mmap --json >out.json
jq -e '.memory == "pages" and (.engines | map(.name)) == ["bt", "mmap"]
    and (.engines[0].tests | map(.id)) == [1, 2, 4, 8, 16, 32, 64, 1024, 2048, 4096]
    and all(.engines[0].tests[]; .left_out == false and .microseconds > 0)
    and (.engines[1].tests | map(select(.left_out)) | map(.id, .microseconds)) == [2048, null]
    and .engines[1].total.ratio == null' out.json >/dev/null || fail "JSON of pages: $(cat out.json)"

# ------------------------------------------------------------------------------------------ failures

# A killed run has printed its seed, also in a pipe.
"$KVA" test performance test_loop_count=1e9 --seed 77 --engine rb >killed.txt &
run=$!
waited=0
while [ ! -s killed.txt ] && [ "$waited" -lt 100 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
kill -9 "$run"
wait "$run" 2>/dev/null || true
grep -q '^Seed: 77$' killed.txt || fail 'a killed run has not printed its seed'

# The system starts fewer threads than requested.
code=0
(
    # shellcheck disable=SC3045 # dash and bash have it; without it nothing is limited
    ulimit -v 2000000 || exit 0
    "$KVA" test nr_threads=65535 test_loop_count=1 run_test_mask=1
) >out.txt 2>err.txt || code=$?
if [ "$code" = 3 ]; then
    grep -Eq 'the system started only [0-9]+ of 65535 threads; lower nr_threads' err.txt || fail "threads: $(cat err.txt)"
fi

# A full disk is an error.
if [ -w /dev/full ]; then
    for arguments in --help 'help test' 'test --help' 'replay --help' 'bench --help' --version \
        'test smoke test_loop_count=1 run_test_mask=1 --engine all' 'test smoke test_loop_count=1 run_test_mask=1 --json'; do
        code=0
        # shellcheck disable=SC2086
        "$KVA" $arguments >/dev/full 2>err.txt || code=$?
        [ "$code" = 3 ] || fail "kva $arguments to a full disk: exit code $code, expected 3"
        grep -q '^kva: standard output: ' err.txt || fail "kva $arguments to a full disk: printed $(cat err.txt)"
        [ "$(wc -l <err.txt)" = 1 ] || fail "kva $arguments to a full disk: the message is printed twice"
    done
    code=0
    # shellcheck disable=SC2086
    "$KVA" test smoke $tiny run_test_mask=1 >/dev/full 2>err.txt || code=$?
    [ "$code" = 3 ] || fail "output to a full disk: exit code $code, expected 3"
    grep -q 'standard output' err.txt || fail "output to a full disk: printed $(cat err.txt)"
fi
