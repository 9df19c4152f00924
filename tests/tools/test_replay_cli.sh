#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# kva replay on the command line: the traces of this tree on all engines, text and JSON, standard input, help, and the
# messages for unusable files and wrong command lines. KVA is the program, KVA_SOURCE the source tree; the working folder
# belongs to the test.
set -eu

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

command -v jq >/dev/null || fail 'jq is missing: install it to read the JSON'
traces=$KVA_SOURCE/tests/traces

# Check the exit code and the message of a call that must fail, and write nothing to standard output.
refuse() {
    wanted_code=$1
    wanted_text=$2
    shift 2
    code=0
    "$KVA" replay "$@" >out.txt 2>err.txt || code=$?
    [ "$code" = "$wanted_code" ] || fail "replay $*: exit code $code, expected $wanted_code"
    grep -qF -- "$wanted_text" err.txt || fail "replay $*: expected '$wanted_text', found: $(cat err.txt)"
    [ ! -s out.txt ] || fail "replay $*: wrote to standard output: $(cat out.txt)"
}

# Each trace is played on all engines, with the same addresses, and as logged: nothing is displaced, refused, unknown or
# implied.
count=0
for trace in "$traces"/*.strace; do
    "$KVA" replay --repeat 3 "$trace" >text.txt 2>err.txt || fail "$trace: exit code $?: $(cat err.txt)"
    [ ! -s err.txt ] || fail "$trace: a run in a pipe wrote to standard error: $(cat err.txt)"
    grep -q '^rb ' text.txt && grep -q '^scan ' text.txt || fail "$trace: an engine is missing"
    grep -q '^All engines gave the same addresses in all [0-9]* calls\.$' text.txt || fail "$trace: the engines differ"
    "$KVA" replay --repeat 1 --samples 4 --json "$trace" >json.txt
    jq -e '(keys_unsorted[:3] == ["command", "version", "date"]) and .command == "kva replay" and (.samples | length) == 4 and (.engines | map(.name)) == ["bt", "rb", "scan"]
        and ([.engines[] | .rounds == 1 and .operations > 100 and .ns_per_operation > 0] | all)
        and ([.samples[] | .fragmentation >= 0 and .fragmentation < 1 and .crumb_share < 1] | all)
        and .samples[3].operations == .engines[0].operations
        and .log.displaced + .log.refused + .log.unknown + .log.implied + .log.skipped_lines == 0
        and .left_out == null and .log.first_skipped == []' json.txt >/dev/null ||
        fail "$trace: JSON: $(cat json.txt)"
    count=$((count + 1))
done
[ "$count" -ge 3 ] || fail "only $count traces in $traces"

# One engine; standard input; a log of two lines with a known result.
"$KVA" replay --engine scan --repeat 1 - <"$traces/redis.strace" >text.txt
grep -q '^(standard input): ' text.txt || fail 'standard input is not named'
! grep -q '^rb ' text.txt || fail '--engine scan also played on rb'
! grep -q 'All engines' text.txt || fail 'one engine was compared with itself'
printf 'brk(NULL) = 0x1000000\nbrk(0x1003000) = 0x1003000\n' >small.log
"$KVA" replay --repeat 2 --json small.log | jq -e '.log.brk == 2 and .log.seconds == null and
    .engines[1].peak_busy_bytes == 12288 and .samples == [.samples[0]] and .samples[0].busy_segments == 1' \
    >/dev/null || fail 'the JSON of the small log is wrong'

"$KVA" replay --help >help.txt
for word in --engine --repeat --samples --json --strict --verbose FILE 'Exit status' unfinished summary; do
    grep -qF -- "$word" help.txt || fail "--help does not have '$word'"
done

# A log compressed by gzip is the same log, whatever its name; a cut one is read up to the cut.
gzip -c "$traces/gcc.strace" >gcc.log
"$KVA" replay --repeat 1 --json gcc.log | jq '.log | del(.file)' >zipped.txt
"$KVA" replay --repeat 1 --json --strict "$traces/gcc.strace" | jq '.log | del(.file)' >plain.txt
cmp zipped.txt plain.txt || fail 'a compressed log was played differently'
"$KVA" replay --repeat 1 --json - <gcc.log | jq '.log | del(.file)' | cmp - plain.txt || fail 'compressed standard input was played differently'
head -c 5000 gcc.log | "$KVA" replay --repeat 1 --json - |
    jq -e '.log.skipped.cut == 1 and .log.mmap > 10' >/dev/null || fail 'the JSON of a cut compressed log is wrong'

# Odd lines are skipped, counted by kind, and shown at the end: file, line, column, the line itself, and a caret.
cat >odd.log <<'END'
1 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, -1, 0) = 0x7f0000000000
hello, world

1 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, -1, 0) = 0x7f0000001000
hello again
1 munmap(0x7f0000800000, 4096) = 0
2 futex(0x7f0000001000, FUTEX_WAIT <unfinished ...>
END
"$KVA" replay --repeat 1 odd.log >text.txt
grep -q '^  odd      4 lines skipped: 2 text, 1 unfinished, 1 blank$' text.txt || fail "odd lines: $(cat text.txt)"
! grep -q 'odd.log:4' text.txt || fail 'notes without --verbose'
cat >wanted.txt <<'END'
odd.log:2:6: text (2 lines): expected '(', found ','
    hello, world
         ^
odd.log:7:35: unfinished (1 line): this call never ends: expected its rest before the end of the log
    2 futex(0x7f0000001000, FUTEX_WAIT <unfinished ...>
                                      ^
odd.log:3:1: blank (1 line): expected the name of a call, found a blank line
    
    ^
END
tail -n 9 text.txt | cmp - wanted.txt || fail "the first of each kind is not shown: $(cat text.txt)"
"$KVA" replay --repeat 1 --json odd.log | jq -e '.log.skipped_lines == 4 and .log.skipped.text == 2
    and .log.skipped.blank == 1 and .log.skipped.unfinished == 1 and .log.skipped.cut == 0 and (.log.skipped | length) == 11
    and (.log.first_skipped | map([.kind, .line, .column])) == [["text", 2, 6], ["unfinished", 7, 35], ["blank", 3, 1]]
    and (.log.first_skipped[0].message | startswith("expected")) and (has("notes") | not)' >/dev/null ||
    fail 'the odd lines in the JSON are wrong'

# --verbose lists the lines with notes.
"$KVA" replay --repeat 1 --verbose odd.log >text.txt
grep -qx 'odd.log:4: implied: mmap(0x0, 8192) = 0x7f0000001000' text.txt || fail "--verbose: $(cat text.txt)"
grep -qx 'odd.log:6: unknown: munmap(0x7f0000800000, 4096) = 0x0' text.txt || fail "--verbose: $(cat text.txt)"
"$KVA" replay --repeat 1 --verbose --json odd.log | jq -e '.notes == [{"kind": "implied", "line": 4, "call": "mmap"},
    {"kind": "unknown", "line": 6, "call": "munmap"}]' >/dev/null || fail 'the notes in the JSON are wrong'

# Above 2048 segments in one space (the mappings and the holes on both sides) scan is played only on request.
many() {
    awk -v n="$(($1 - 2))" 'BEGIN {
        for (i = 0; i < n; i++)
            printf "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0) = 0x7f%06x000\n", n - i
    }' >many.log
}
many 2048
"$KVA" replay --repeat 1 --json many.log >json.txt
jq -e '.engines[0].peak_segments_of_a_space == 2048 and .left_out == null
    and (.engines | map(.name)) == ["bt", "rb", "scan"]' json.txt >/dev/null || fail 'scan is left out below the limit'
many 2049
"$KVA" replay --repeat 1 --json many.log | jq -e '.left_out == "scan" and (.engines | map(.name)) == ["bt", "rb"]' \
    >/dev/null || fail 'scan is not left out'
"$KVA" replay --repeat 1 many.log >text.txt
grep -q '^Left out: scan' text.txt || fail 'the output does not mention that scan is left out'
"$KVA" replay --repeat 1 --engine all --json many.log |
    jq -e '.left_out == null and (.engines | map(.name)) == ["bt", "rb", "scan"]' >/dev/null ||
    fail '--engine all leaves scan out'

# The output of strace-log-merge can be played.
cat >merged.log <<'END'
7496 1795708523.678396 brk(NULL)             = 0x55b84bbe5000
7496 1795708523.680304 clone(child_stack=NULL, flags=SIGCHLD, child_tidptr=0x7f4a7a108a10) = 7497
7497 1795708523.680400 brk(0x55b84bbe6000)   = 0x55b84bbe6000
7496 1795708523.681647 +++ exited with 0 +++
7497 1795708523.681713 +++ exited with 0 +++
END
"$KVA" replay --repeat 1 --strict --json merged.log | jq -e '.log.processes == 2 and .log.spaces == 2' >/dev/null ||
    fail 'the JSON of a merged log is wrong'

# --strict refuses at the first odd line.
printf 'brk(NULL) = 0x1000\nbrk(NUL) = 0x1000\n' >bad.log
refuse 1 'bad.log:2:5: expected an address (0x... or NULL), found '"'NUL'" --strict bad.log
printf '    brk(NUL) = 0x1000\n        ^\n' >wanted.txt
tail -n 2 err.txt | cmp - wanted.txt || fail "the place is not shown: $(cat err.txt)"
"$KVA" replay --repeat 1 bad.log >text.txt || fail 'a log with one odd line was refused'
grep -q 'bad.log:2:5: call (1 line): expected an address' text.txt || fail "the call is not shown: $(cat text.txt)"
refuse 1 'odd.log:2:6: expected' --strict odd.log
printf 'brk(NULL) = 0x1000\r\n' >crlf.log
refuse 1 'crlf.log:1:19: expected a line feed, found a carriage return before it: convert the log' --strict crlf.log
head -c 10000 "$traces/gcc.strace" >cut.log
refuse 1 'the log is cut off here' --strict cut.log
"$KVA" replay --repeat 1 cut.log >text.txt || fail 'a cut log was refused'

# Files that are not logs.
printf '\0\001\n' >binary.log
refuse 1 'binary.log:1:1: no line is output of strace; the first line: expected the name of a call' binary.log
refuse 1 "kva replay: $KVA: this is a program (ELF); kva replay reads logs of strace" "$KVA"
printf 'x 12 [001]  1.5: a:b: c\n' >perf.log
refuse 1 'perf.log: this is the output of perf script; kva replay reads logs of strace' perf.log
refuse 1 'perf.log: this is the output of perf script; kva replay reads logs of strace' --strict perf.log
printf 'malloc(24) = 0x5581\n' >ltrace.log
refuse 1 'ltrace.log: this is a log of ltrace; kva replay reads logs of strace' ltrace.log
: >empty.log
refuse 1 'kva replay: empty.log: the log is empty' empty.log
gzip -c empty.log >empty.gz
refuse 1 'kva replay: empty.gz: the log is empty' empty.gz
refuse 1 'kva replay: /dev/null: the log is empty' /dev/null
refuse 3 "kva replay: '': No such file or directory" ''
printf 'read(3) = 0\nhello\n' >other.log
refuse 1 'the log has no successful mmap, munmap, mremap or brk call to play' other.log
grep -q 'other.log:2:6: text (1 line)' err.txt || fail "the skipped line is not shown: $(cat err.txt)"
refuse 3 'missing.log: No such file or directory' missing.log
refuse 3 'kva replay: .: Is a directory' .

# Wrong command lines: the message lists the valid words.
refuse 2 'name a file to play'
refuse 2 'only one file can be played' small.log small.log
refuse 2 "no engine 'tree': the engines are bt, rb, scan, or all" --engine tree small.log
refuse 2 "'list' is for kva test only: the engines are bt, rb, scan, or all" --engine list small.log
refuse 2 "engine 'rb' is named twice" --engine rb,rb small.log
refuse 2 "no engine '': the engines are bt, rb, scan, or all" --engine '' small.log
refuse 2 "--repeat takes a number from 1 to 1000000, not '0'" --repeat 0 small.log
refuse 2 "--repeat takes a number from 1 to 1000000, not '3x'" --repeat 3x small.log
refuse 2 "--samples takes a number from 1 to 1000, not '1001'" --samples 1001 small.log
refuse 2 'unrecognized option' --wrong small.log

# A full disk is an error.
if [ -w /dev/full ]; then
    code=0
    "$KVA" replay --repeat 1 small.log >/dev/full 2>err.txt || code=$?
    [ "$code" = 3 ] || fail "a full disk: exit code $code, expected 3"
    grep -q 'standard output: No space left' err.txt || fail "a full disk: printed $(cat err.txt)"
    code=0
    "$KVA" replay --repeat 1 --json small.log >/dev/full 2>err.txt || code=$?
    [ "$code" = 3 ] || fail "a full disk, JSON: exit code $code, expected 3"
fi
