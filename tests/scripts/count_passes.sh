#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/count-passes.sh must count each call, and list as many functions and files as its table states.
set -eu

count=$KVA_SOURCE/scripts/count-passes.sh
fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

command -v gcc >/dev/null 2>&1 || {
    echo "no gcc here: left out"
    exit 0
}

wrong()
{
    fail "$1: $(cat table)"
}

# functions CALL: how many functions the call enters, by the table.
functions()
{
    awk -v call="$1" '$1 == call { print $2 }' table
}

"$count" >table
calls='alloc free vmalloc-first vmalloc-fresh vfree vmalloc-cached'
[ "$(awk 'NR > 1 { printf "%s ", $1 }' table)" = "$calls " ] || wrong "calls"
awk 'NR > 1 && !(1 < $3 && $3 < $2 && $2 <= $4 && $4 <= $5) { exit 1 }' table || wrong "figures"
# An area from the cache takes a short path; the first one needs more preparation than later ones.
[ "$(functions vmalloc-cached)" -lt "$(functions vmalloc-fresh)" ] || wrong "cached"
[ "$(functions vmalloc-fresh)" -lt "$(functions vmalloc-first)" ] || wrong "first"

"$count" --list free >list
head -n 1 list | grep -qx 'kva_free  *src/space/give\.c' || fail "what is entered first: $(cat list)"
[ "$(wc -l <list)" -eq "$(functions free)" ] || wrong "not so many in the list"
[ "$(awk '{ print $2 }' list | sort -u | wc -l)" -eq "$(awk '$1 == "free" { print $3 }' table)" ] ||
    wrong "not so many files in the list"
while read -r function file; do
    [ -f "$KVA_SOURCE/$file" ] || fail "there is no $file, which $function should be in"
done <list

for usage in '--list' '--list nothing' 'free'; do
    status=0
    # shellcheck disable=SC2086  # words of a command line
    "$count" $usage >out 2>&1 || status=$?
    [ "$status" -eq 2 ] || fail "$usage ended in status $status: $(cat out)"
done
