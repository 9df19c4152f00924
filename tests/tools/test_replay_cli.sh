#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# kva replay as a person calls it: the shipped traces on all engines, text and JSON, standard input, help, and
# what it says to files and command lines that it cannot use. KVA is the program, KVA_SOURCE the source tree;
# the working folder is the test's own.
set -eu

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

command -v jq >/dev/null || fail 'jq is missing, which reads the JSON here'
traces=$KVA_SOURCE/tests/traces

# The exit code and the words of a call that must fail, and write nothing to standard output.
refuse() {
    wanted_code=$1
    wanted_text=$2
    shift 2
    code=0
    "$KVA" replay "$@" >out.txt 2>err.txt || code=$?
    [ "$code" = "$wanted_code" ] || fail "replay $*: exit code $code, not $wanted_code"
    grep -qF -- "$wanted_text" err.txt || fail "replay $*: does not say '$wanted_text': $(cat err.txt)"
    [ ! -s out.txt ] || fail "replay $*: wrote to standard output: $(cat out.txt)"
}

# Each trace: played on all engines, with the same addresses, and true to its log: nothing had to be displaced,
# refused or guessed.
count=0
for trace in "$traces"/*.strace; do
    "$KVA" replay --repeat 3 "$trace" >text.txt 2>err.txt || fail "$trace: exit code $?: $(cat err.txt)"
    [ ! -s err.txt ] || fail "$trace: a run in a pipe wrote to standard error: $(cat err.txt)"
    grep -q '^rb ' text.txt && grep -q '^scan ' text.txt || fail "$trace: an engine is missing"
    grep -q '^All engines gave the same addresses in all [0-9]* calls\.$' text.txt || fail "$trace: not all alike"
    "$KVA" replay --repeat 1 --samples 4 --json "$trace" >json.txt
    jq -e '(keys_unsorted[:3] == ["command", "version", "date"]) and .command == "kva replay" and (.samples | length) == 4 and (.engines | map(.name)) == ["bt", "rb", "scan"]
        and ([.engines[] | .rounds == 1 and .operations > 100 and .ns_per_operation > 0] | all)
        and ([.samples[] | .fragmentation >= 0 and .fragmentation < 1 and .crumb_share < 1] | all)
        and .samples[3].operations == .engines[0].operations
        and .log.displaced + .log.refused + .log.unknown + .log.implied == 0' json.txt >/dev/null ||
        fail "$trace: JSON: $(cat json.txt)"
    count=$((count + 1))
done
[ "$count" -ge 3 ] || fail "only $count traces in $traces"

# One engine; standard input; a log of two lines whose outcome can be seen.
"$KVA" replay --engine scan --repeat 1 - <"$traces/redis.strace" >text.txt
grep -q '^(standard input): ' text.txt || fail 'standard input is not named'
! grep -q '^rb ' text.txt || fail '--engine scan played on rb, too'
! grep -q 'All engines' text.txt || fail 'one engine was compared with itself'
printf 'brk(NULL) = 0x1000000\nbrk(0x1003000) = 0x1003000\n' >small.log
"$KVA" replay --repeat 2 --json small.log | jq -e '.log.brk == 2 and .log.seconds == null and
    .engines[1].peak_busy_bytes == 12288 and .samples == [.samples[0]] and .samples[0].busy_segments == 1' \
    >/dev/null || fail 'the small log came out wrong'

"$KVA" replay --help >help.txt
for word in --engine --repeat --samples --json FILE 'Exit status'; do
    grep -qF -- "$word" help.txt || fail "--help does not say $word"
done

# Logs that cannot be read: file, line, column, the line itself, and a caret.
printf 'brk(NULL) = 0x1000\nbrk(NUL) = 0x1000\n' >bad.log
refuse 1 'bad.log:2:5: expected an address (0x... or NULL), found '"'NUL'" bad.log
printf '    brk(NUL) = 0x1000\n        ^\n' >wanted.txt
tail -n 2 err.txt | cmp - wanted.txt || fail "the place is not shown: $(cat err.txt)"
{ head -c 4096 "$KVA" && echo; } >binary.log # an ELF header need not have a line feed
refuse 1 'binary.log:1:1: expected the name of a call' binary.log
: >empty.log
refuse 1 'kva replay: empty.log: the log is empty' empty.log
refuse 1 'kva replay: /dev/null: the log is empty' /dev/null
refuse 3 "kva replay: '': No such file or directory" ''
printf 'brk(NULL) = 0x1000\r\n' >crlf.log
refuse 1 'crlf.log:1:19: expected a line feed, found a carriage return before it: convert the log' crlf.log
refuse 1 'there is no mmap, munmap, mremap or brk to play in it' "$(printf 'read(3) = 0\n' >other.log && echo other.log)"
head -c 10000 "$traces/gcc.strace" >cut.log
refuse 1 'the log is cut off here' cut.log
refuse 3 'missing.log: No such file or directory' missing.log
refuse 3 'kva replay: .: Is a directory' .

# Command lines that cannot be understood: the right words are listed.
refuse 2 'which file?'
refuse 2 'one file at a time' small.log small.log
refuse 2 "no engine 'tree': the engines are bt, rb, scan, or all" --engine tree small.log
refuse 2 "'list' is for kva test only: the engines are bt, rb, scan, or all" --engine list small.log
refuse 2 "engine 'rb' is named twice" --engine rb,rb small.log
refuse 2 "no engine '': the engines are bt, rb, scan, or all" --engine '' small.log
refuse 2 "--repeat takes a number from 1 to 1000000, not '0'" --repeat 0 small.log
refuse 2 "--repeat takes a number from 1 to 1000000, not '3x'" --repeat 3x small.log
refuse 2 "--samples takes a number from 1 to 1000, not '1001'" --samples 1001 small.log
refuse 2 'unrecognized option' --wrong small.log

# A full disk is not passed over.
if [ -w /dev/full ]; then
    code=0
    "$KVA" replay --repeat 1 small.log >/dev/full 2>err.txt || code=$?
    [ "$code" = 3 ] || fail "a full disk: exit code $code"
    grep -q 'standard output: No space left' err.txt || fail "a full disk: says $(cat err.txt)"
    code=0
    "$KVA" replay --repeat 1 --json small.log >/dev/full 2>err.txt || code=$?
    [ "$code" = 3 ] || fail "a full disk, JSON: exit code $code"
fi
