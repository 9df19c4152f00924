#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# kva bench on the command line: help, tables, JSON, the same results for the same seed, and the messages for a wrong
# command line. KVA is the program; the working folder belongs to the test.
set -eu

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

command -v jq >/dev/null || fail 'jq is missing: install it to read the JSON'

# Everything is tiny: this tests the output, not the speed.
tiny='--turn 1 --reps 2 --operations 400'
workloads='churn ownerless holes aligned windows shapes policies ranges needle fill-drain hot longest'

# Check the exit code and the message of a call that must fail.
refuse() {
    wanted_code=$1
    wanted_text=$2
    shift 2
    code=0
    "$KVA" bench "$@" >out.txt 2>err.txt || code=$?
    [ "$code" = "$wanted_code" ] || fail "bench $*: exit code $code, expected $wanted_code"
    grep -q -- "$wanted_text" err.txt || fail "bench $*: expected '$wanted_text', found: $(cat err.txt)"
    [ ! -s out.txt ] || fail "bench $*: wrote to standard output: $(cat out.txt)"
}

"$KVA" bench --help >help.txt
for workload in $workloads evictions vmalloc frames; do
    grep -q "^$workload: [A-Z]" help.txt || fail "--help does not document $workload"
done
grep -q '^threads: 1, 2, 4, 16 and 64 threads' help.txt || fail '--help does not document threads'

# shellcheck disable=SC2086 # word splitting is wanted
"$KVA" bench $tiny --n 20,3 >table.txt 2>err.txt
[ ! -s err.txt ] || fail "a run in a pipe wrote to standard error: $(cat err.txt)"
for workload in $workloads; do
    grep -q "^$workload (n = " table.txt || fail "no table for $workload"
done
for phase in 'drain up' 'drain down' 'drain random' aligned unaligned plain 'power of two' odd phase nocross \
    lowest highest nearest 'lowest in reach' random best 'best, index' 'lowest, index' \
    free 'clear 1' 'clear 10' 'clear 100' 'clear 1000' 'clear 10000' 'hole up' 'hole down'; do
    grep -q "^  $phase " table.txt || fail "no row for the phase $phase"
done
[ "$(sed -n '/^policies aims/,/^$/p' table.txt | grep -Ec '^  (bt|rb), .* at most +2 x .* (met|MISSED)$')" = 6 ] || fail 'policies: aims are missing'
[ "$(sed -n '/^ranges aims/,/^$/p' table.txt | grep -Ec '^  (bt|rb), .* at most +100 ns .* (met|MISSED)$')" = 2 ] || fail 'ranges: aims are missing'
for engine in bt rb scan; do
    for n in 20 3; do
        grep -Eq "^ +$n  $engine +lru +([0-9.]+) +\\1 +[0-9]+ % +[0-9,.]+ +[0-9,]+ % +1.00 +-\$" table.txt || fail "evictions: no row for lru, $engine"
        grep -Eq "^ +$n  $engine +scan +[0-9.]+ +[0-9.]+ +[0-9]+ % +[0-9,.]+ +[0-9,]+ % +[0-9.]+ +[0-9,.]+\$" table.txt || fail "evictions: no row for scan, $engine"
    done
done
[ "$(sed -n '/^evictions aims/,/^$/p' table.txt | grep -Ec '^  (bt|rb): .* at most +1000 ns .* (met|MISSED)$')" = 2 ] || fail 'evictions: aims are missing'
grep -q '^vmalloc: kva is ' table.txt || fail 'vmalloc is not among all workloads'
grep -q '^threads: on [0-9]* CPU' table.txt || fail 'threads is not among all workloads'
grep -q '^frames: on [0-9]* CPU' table.txt || fail 'frames is not among all workloads'
head -n 2 table.txt | grep -q 'seed 1, 2 turns of 1 ms' || fail 'the head does not describe the run'

# JSON: well-formed and complete; values that do not depend on time are the same for the same seed.
facts='[.rows[], .longest[], .evictions.rows[] | {workload, phase, n, engine, live, live_bytes, memory_bytes, used_bytes, no_fit, way, evictions, bound}]'
for run in 1 2 3; do
    seed=$((run == 3 ? 8 : 7))
    # shellcheck disable=SC2086
    "$KVA" bench $tiny --n 50 --seed $seed --json --output "run$run.json" >out.txt
    [ ! -s out.txt ] || fail '--output still wrote to standard output'
    jq "$facts" "run$run.json" >"facts$run.json" || fail "run $run is not valid JSON"
done
cmp facts1.json facts2.json || fail 'the same seed gave different ranges'
! cmp -s facts1.json facts3.json || fail 'a different seed gave the same ranges'
jq -e '.command == "kva bench" and (.version | test("^[0-9.]+$")) and (.date | test("^20[0-9-]+T[0-9:]+Z$"))
       and .seed == "7" and (.machine.flags | test("-")) and .reps == 2 and (.machine.cpu | length) > 0 and .stopwatch.ns_per_tick > 0' run1.json \
    >/dev/null || fail 'JSON: the run is not described'
jq -e 'all(.rows[]; .skipped or (.ns > 0 and (.turns_ns | length) == 2
           and .latency_ns.p50 <= .latency_ns.p99 and .latency_ns.p99 <= .latency_ns.max))' run1.json \
    >/dev/null || fail 'JSON: a row is incomplete or its quantiles do not ascend'
jq -e 'all(.rows[]; .engine != "rb" or .ratio == 1)' run1.json >/dev/null || fail 'JSON: the base is not 1'
jq -e 'all(.rows[]; ([.workload] | inside(["shapes", "policies"])) == (.times_first != null)
           and (([.phase] | inside(["plain", "lowest"]) | not) or .times_first == 1))' run1.json \
    >/dev/null || fail 'JSON: comparisons with the first phase are wrong'
jq -e '([.rows[] | select(.workload == "policies")] | length) == 24 and (.aims | length) == 8 and all(.aims[]; .at_most > 0 and .met != null)' run1.json \
    >/dev/null || fail 'JSON: policies and aims are wrong'
jq -e '(.evictions.aims | length) == 2 and (.evictions.rows | length) == 6
       and ([.evictions.rows[] | {way, successes, candidates, evictions}] | unique | length) == 2
       and all(.evictions.rows[]; .successes == 40 and .evictions <= .candidates and (.turns_ns | length) == 2
               and .bound <= 1 and (.way == "lru") == (.candidate_ns == null))' run1.json >/dev/null || fail 'JSON: evictions are wrong'
jq -e '[.rows[] | select(.workload == "policies" and (.phase | test("^best"))) | .used_bytes] | unique | length == 1' run1.json \
    >/dev/null || fail 'JSON: the places of best fit depend on the index'
jq -e 'all(.longest[]; .operations == 400 and .repeated_max_ns <= .latency_ns.max * 1.01)' run1.json \
    >/dev/null || fail 'JSON: the repeated maximum exceeds the maximum of one turn'

# Rows that an engine's cap cuts are marked, and the mark is explained.
# shellcheck disable=SC2086
"$KVA" bench longest --turn 1 --operations 200002 --n 100,90 --engine all >capped.txt
grep -Eq '^ +100\*  scan +200,000\*' capped.txt || fail 'a capped row is not marked'
grep -Eq '^ +100  rb +200,002 ' capped.txt || fail 'an uncapped row is marked'
[ "$(grep -c '^  \* scan is O(n): at most n = 10,000 and 200,000 operations' capped.txt)" = 1 ] ||
    fail 'the mark must be explained once'

# One engine, one workload, another base.
# shellcheck disable=SC2086
"$KVA" bench hot $tiny --engine scan --n 5 >one.txt
[ "$(grep -c '(n = ' one.txt)" = 1 ] || fail 'unrequested workloads ran'
! grep -q '  rb ' one.txt || fail 'an unrequested engine ran'
grep -q 'x scan' one.txt || fail 'the only engine is not the base'
# shellcheck disable=SC2086
"$KVA" bench hot $tiny --base scan --n 5 --json | jq -e '.base == "scan"' >/dev/null || fail '--base is not in the JSON'

# A slow engine is left out at large sizes, and the table explains it.
# shellcheck disable=SC2086
"$KVA" bench hot $tiny --engine scan --n 10001 >slow.txt
grep -q 'scan  *-  *-' slow.txt || fail 'the cap is not applied'
grep -q 'scan is O(n)' slow.txt || fail 'the cap is not explained'
# shellcheck disable=SC2086
"$KVA" bench hot $tiny --engine scan --n 10001 --json | jq -e '.rows[0].skipped' >/dev/null ||
    fail 'JSON: the skipped row is not marked'

# shellcheck disable=SC2086
"$KVA" bench evictions $tiny --engine bt,scan --n 1001 >slow.txt
grep -q '^ *1,001  scan  *lru  *-  *-' slow.txt || fail 'evictions: the cap is not applied'
[ "$(grep -c 'scan is O(n) and skipped above n = 1000;' slow.txt)" = 1 ] || fail 'evictions: the cap must be explained once'

# Memory: a table for each case, a row for each contender, and a figure or "not measured" for each aim.
# shellcheck disable=SC2086
"$KVA" bench vmalloc $tiny --areas 300 --n 1,100 --output vmalloc.txt >out.txt 2>err.txt
[ ! -s out.txt ] && [ ! -s err.txt ] || fail "vmalloc into a file also printed: $(cat out.txt err.txt)"
grep -q '^vmalloc: kva is bt, closed pages are [a-z]' vmalloc.txt || fail 'vmalloc does not describe its configuration'
for case in steady random cold cold-untouched many map-fresh map-again; do
    grep -q "^vmalloc $case (times in ns)" vmalloc.txt || fail "vmalloc: no table for $case"
done
for contender in kva kva-bare list mmap malloc; do
    [ "$(grep -Ec "^ +1(00)?  $contender +[0-9]" vmalloc.txt)" -ge 2 ] || fail "vmalloc: no rows for $contender"
done
for contender in kva kva-bare list mmap malloc; do
    grep -Eq "^ +300  $contender +[0-9].* [0-9,.]+ +[0-9,]+ +([0-9,]+|-)\$" vmalloc.txt || fail "vmalloc: no row for many areas, $contender"
done
# Calls that cannot be counted are marked as unknown.
grep -Eq '^ +1  malloc .* -  +-$' vmalloc.txt || fail 'vmalloc: the calls of malloc are not marked as unknown'
grep -Eq '^  all eight +[0-9,]+ +[0-9,]+ +[0-9,.]+$' vmalloc.txt || fail 'vmalloc: no sum over the suite'
grep -q '^vmalloc resident memory (KiB): at the start [0-9,]*, all areas written [0-9,]*, all freed and flushed once [0-9,]*$' vmalloc.txt ||
    fail 'vmalloc: no resident memory'
[ "$(grep -Ec ' at (least|most) .* (met|MISSED)$' vmalloc.txt)" -ge 16 ] || fail "vmalloc: aims are missing: $(tail -n 24 vmalloc.txt)"
# shellcheck disable=SC2086
"$KVA" bench vmalloc $tiny --areas 300 --n 7 --engine rb,bt --json >vmalloc.json
jq -e '.rows == [] and (.vmalloc.engine == "bt") and (.vmalloc.mechanism | length) > 0
       and ([.vmalloc.rows[].case] | unique) == ["cold", "cold-untouched", "many", "map-again", "map-fresh", "random", "steady"]
       and all(.vmalloc.rows[]; .status != "KVA_OK" or (.ns > 0 and (.turns_ns | length) == 2))
       and all(.vmalloc.rows[]; .contender != "mmap" or .ratio == 1)
       and all(.vmalloc.rows[]; (.case == "random") == (.pages == null))
       and all(.vmalloc.rows[]; .areas == (if .case == "many" then 300 else null end))
       and all(.vmalloc.rows[]; (.case == "many") == (.fill_ns != null) and (.case == "many") == (.mappings != null))
       and all(.vmalloc.rows[]; (.case == "many" and (.contender | test("^kva"))) == (.failed_unmap_pages != null))
       and (.vmalloc.suite.list_microseconds | length) == 8 and .vmalloc.suite.failed == null
       and .vmalloc.resident_bytes.full > .vmalloc.resident_bytes.start
       and all(.vmalloc.aims[]; (.measured == null) == (.met == null))
       and any(.vmalloc.aims[]; .measured == null)' vmalloc.json >/dev/null || fail "JSON: vmalloc: $(cat vmalloc.json)"
"$KVA" bench hot --turn 1 --n 5 --json | jq -e '.vmalloc == null' >/dev/null || fail 'JSON: an unrequested vmalloc'

# Threads: a table for each case, a row for each contender and crew, waits, aims.
# shellcheck disable=SC2086
"$KVA" bench threads $tiny --n 100,5 --output threads.txt >out.txt 2>err.txt
[ ! -s out.txt ] && [ ! -s err.txt ] || fail "threads into a file also printed: $(cat out.txt err.txt)"
grep -Eq '^threads: on [0-9]+ CPUs?, engine bt$' threads.txt || fail 'threads does not describe the machine'
for n in 100 64; do
    for case in churn find; do
        grep -q "^threads $case (n = $n live ranges)\$" threads.txt || fail "threads: no table for $case, n = $n"
    done
done
for crew in 1 2 4 16 64; do
    for contender in pools lock 2019; do
        rows=$(grep -Ec "^ +$crew  $contender +[0-9,.]+ +[0-9,]+ % +[0-9,.]+ +[0-9,.]+ +([0-9,.]+|-) +[0-9]+ %$" threads.txt)
        [ "$rows" = $((crew <= 2 ? 4 : 2)) ] || fail "threads: $rows rows for $contender with $crew threads"
    done
    for contender in kva mutex; do
        grep -Eq "^ +$crew  $contender +[0-9,.]+ " threads.txt || fail "threads: no row of vmalloc, $contender with $crew"
    done
done
grep -q '^threads wait: while another thread frees 40 areas' threads.txt || fail 'threads: no waits'
[ "$(sed -n '/^threads wait/,/^threads aims/p' threads.txt | grep -Ec '^  (pools|lock|2019|kva) +[0-9,]+ ')" = 4 ] || fail 'threads: waits are missing'
[ "$(grep -Ec ' at (least|most) .* (met|MISSED|not measured)$' threads.txt)" = 11 ] || fail "threads: aims are missing: $(tail -n 12 threads.txt)"
# shellcheck disable=SC2086
"$KVA" bench threads $tiny --engine rb --json |
    jq -e '.rows == [] and .vmalloc == null and .threads.engine == "rb" and .threads.cpus > 0
        and (.threads.rows | length) == 33
        and all(.threads.rows[]; .ns > 0 and (.turns_ns | length) == 2 and .cpu_share > 0)
        and all(.threads.rows[]; .contender != "2019" or .times_2019 == 1)
        and all(.threads.rows[]; (.case == "vmalloc") == (.n == null))
        and (.threads.waits | length) == 4 and all(.threads.waits[]; .areas == 40)
        and (.threads.aims | length) == 11' >/dev/null || fail 'JSON: threads are wrong'
"$KVA" bench hot --turn 1 --n 5 --json | jq -e '.threads == null and .evictions == null and .aims == []' >/dev/null || fail 'JSON: unrequested threads'

# Page frames: tables of calls, churns and threads, the bookkeeping, aims. Values that do not depend on time depend on the seed.
# shellcheck disable=SC2086
"$KVA" bench frames $tiny --n 8200,5 --output frames.txt >out.txt 2>err.txt
[ ! -s out.txt ] && [ ! -s err.txt ] || fail "frames into a file also printed: $(cat out.txt err.txt)"
grep -Eq '^frames: on [0-9]+ CPUs?, blocks of 512, one thread is (not )?alone: ' frames.txt || fail 'frames does not describe the machine'
for n in 8,192 4,096; do
    for table in "calls (n = $n frames; times in ns)" "places (n = $n frames; times in ns)" "churn (n = $n frames; times in ns)" "compaction (n = $n frames)" "threads (n = $n frames, a quarter used)"; do
        [ "$(grep -cF "frames $table" frames.txt)" = 1 ] || fail "frames: no table '$table'"
    done
    for contender in kva buddy; do
        grep -Eq "^ +$n +$contender +[0-9,]+ +[0-9]+\.[0-9]+\$" frames.txt || fail "frames: no bookkeeping of $contender, n = $n"
    done
done
for contender in kva buddy; do
    for call in 'hot +[0369]' 'bulk +0' 'fail +6' 'fill +[0-9]' 'free +[0-9]'; do
        grep -Eq "^  $call  $contender +[0-9,.]+ +[0-9,]+ % +[0-9,.]+\$" frames.txt || fail "frames: no row for $call, $contender"
    done
    for churn in '0 +25 %' '0 +50 %' '0 +75 %' '0..9 +50 %' '0..9 +90 %'; do
        grep -Eq "^  $churn  $contender +[0-9,.]+ +[0-9,]+ % +[0-9,.]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[-0-9.]+\$" frames.txt ||
            fail "frames: no row for a churn, $churn, $contender"
    done
    for crew in 'churn +1 alone' 'churn +1' 'churn +2' 'churn +4' 'churn +8' 'churn +16' 'handover +2'; do
        [ "$(grep -Ec "^  $crew  $contender +[0-9,.]+ +[0-9,]+ % +[-0-9,.]+ +[-0-9,.]+ +[-0-9,.]+ +[-0-9,.]+ +[0-9]+ %\$" frames.txt)" = 2 ] ||
            fail "frames: no row for $crew, $contender"
    done
done
for contender in zones window plain; do
    for call in 'hot +[09] +0 %' 'bulk +0 +0 %' 'fail +6 +0 %' 'fill +0 +0 %' 'free +0 +0 %' 'churn +0 +25 %' 'mixed +0..9 +50 %'; do
        grep -Eq "^  $call  $contender +[0-9,.]+ +[0-9,]+ % +[0-9,.]+\$" frames.txt || fail "frames: no row for $call, $contender"
    done
    grep -Fqx "frames, $contender: aims" frames.txt || fail "frames: no aims of $contender"
done
for packing in 'thinned  0' 'thinned  0..9' 'churned  0' 'churned  0..9' 'traffic  0'; do
    for contender in counts scanners; do
        grep -Eq "^  $packing +[257][05] %  $contender +([0-9,]+ +){6}[-0-9.]+ +[-0-9.]+ +[-0-9,.]+ +[-0-9,.]+ +[-0-9,.]+ +[-0-9,.]+\$" frames.txt ||
            fail "frames: no row for a compaction, $packing, $contender"
    done
done
[ "$(grep -Ec ' at (least|most) .* (met|MISSED|not measured)$' frames.txt)" = 44 ] || fail "frames: aims are missing: $(tail -n 22 frames.txt)"
for run in 1 2 3; do
    # shellcheck disable=SC2086
    "$KVA" bench frames $tiny --n 8192 --seed $((run == 3 ? 8 : 7)) --json >frames.json
    jq '[.frames.rows[] | select(.used_percent and (.places | not)) | {contender, order, used_percent, huge_free, huge_possible, huge_taken, refused}]' frames.json >"shapes$run.json"
done
# Each CPU has its own blocks: the results depend on the seed alone only if the run is bound to one CPU.
cmp shapes1.json shapes2.json || jq -e '.machine.pinned_to == null' frames.json >/dev/null || fail 'frames: the same seed gave a different set'
! cmp -s shapes1.json shapes3.json || fail 'frames: a different seed gave the same sets'
jq -e '.rows == [] and .vmalloc == null and .threads == null and .frames.cpus > 0 and .frames.block == 512
       and ([.frames.rows[].case] | unique) == ["bulk", "churn", "fail", "fill", "free", "hot", "mixed"]
       and (.frames.rows | length) == 86 and ([.frames.rows[] | select(.places) | .contender] | unique) == ["plain", "window", "zones"]
       and all(.frames.rows[]; .ns > 0 and (.turns_ns | length) == 2 and .frames == 8192)
       and all(.frames.rows[]; (.contender != "buddy" and .contender != "plain") or .ratio == 1)
       and all(.frames.rows[]; (.case == "mixed") == (.order == null))
       and all(.frames.rows[]; (.case == "mixed" or .case == "churn") == (.used_percent != null))
       and all(.frames.rows[]; (.used_percent == null or .places) == (.huge_free == null) and .huge_free <= .huge_possible)
       and (.frames.crews | length) == 14 and ([.frames.crews[] | select(.alone)] | length) == 2
       and all(.frames.crews[]; .ns > 0 and (.case == "handover" or .cpu_ns > 0) and .cpu_share > 0)
       and all(.frames.crews[]; .threads > 1 or .alone or .times_one_thread == 1)
       and all(.frames.bookkeeping[]; .bits_per_frame > 1)
       and (.frames.compaction | length) == 26 and ([.frames.compaction[].contender] | unique) == ["counts", "scanners"]
       and ([.frames.compaction[].set_up] | unique) == ["churned", "thinned", "traffic"]
       and all(.frames.compaction[]; .huge_free_after <= .huge_possible and .moved_frames >= .moved_runs)
       and all(.frames.compaction[]; .set_up == "traffic" or .mixed or .contender != "counts" or .moved_frames == .fewest_frames)
       and all(.frames.compaction[]; .set_up != "thinned" or .contender != "counts" or (.ns > 0 and .one_ns > 0 and .bookkeeping_ns >= 0))
       and (.frames.aims | length) == 20 and all(.frames.aims[]; (.measured == null) == (.met == null))
       and (.frames.place_aims | keys) == ["plain", "window", "zones"] and all(.frames.place_aims[]; length == 8)' frames.json >/dev/null ||
    fail "JSON: frames: $(cat frames.json)"
"$KVA" bench hot --turn 1 --n 5 --json | jq -e '.frames == null' >/dev/null || fail 'JSON: unrequested frames'

refuse 2 'churn, ownerless, holes, aligned, windows, shapes, policies, ranges, needle, fill-drain, hot, longest, evictions, vmalloc, threads, frames' nonsense
refuse 2 "no engine 'rbb': the engines are bt, rb, scan, or all" --engine rbb
refuse 2 "no engine 'rbb': the engines are bt, rb, scan, or all" --base rbb
refuse 2 "'list' is for kva test only: the engines are bt, rb, scan, or all" --engine list
refuse 2 "engine 'rb' is named twice" --engine rb,rb
refuse 2 'takes one engine' --base all
refuse 2 'add it to --engine' --engine scan --base rb
refuse 2 "--n takes a number from 1 to 10000000, not '0'" --n 10,0
refuse 2 "--seed takes a number from 0 to 18446744073709551615, not 'x'" --seed x
refuse 2 "--reps takes a number from 1 to 100, not '101'" --reps 101
refuse 2 "--turn takes a number from 1 to 60000, not '0'" --turn 0
refuse 2 "--operations takes a number from 2 to 1000000000, not '1'" --operations 1
refuse 2 "--areas takes a number from 1 to 10000000, not '0'" --areas 0
refuse 2 "takes an even number, not '3'" longest --operations 3
refuse 3 'No such file' --output no/such/folder/file hot
if [ -w /dev/full ]; then
    # shellcheck disable=SC2086
    refuse 3 'could not be written' hot $tiny --n 5 --output /dev/full
    for json in '' --json; do
        code=0
        # shellcheck disable=SC2086
        "$KVA" bench hot $tiny --n 5 $json >/dev/full 2>err.txt || code=$?
        [ "$code" = 3 ] || fail "a full disk: exit code $code, expected 3"
        grep -q 'standard output' err.txt || fail "a full disk: expected 'standard output', found: $(cat err.txt)"
    done
fi
