#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Count the functions and files that a call passes through. Usage: scripts/count-passes.sh [--list CALL]
#
# The calls: alloc and free, in a space of one thread without pools; vmalloc-first (the first of an instance),
# vmalloc-fresh, vmalloc-cached and vfree, in an instance with the defaults. tests/cost/passes.c makes them. gcc
# compiles the library with -finstrument-functions -O0, so inline functions count as well. The plain form of bt is
# used, so that the figures of different machines are comparable.
#
#     functions   that are entered, each counted once
#     files       that hold these functions, headers included
#     copies      as functions, but an inline function counts once for each object in which it is entered
#     calls       entries in all
#
# --list CALL prints the functions with their files instead, in the order of their first entry. Set KVA_SOURCE to
# measure another tree with this tree's program. Exit: 2 for a wrong usage.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "${KVA_SOURCE:-$here}" && pwd)
listed=
case $# in
0) ;;
2) listed=$2 && [ "$1" = --list ] ;;
*) false ;;
esac || {
    echo "usage: scripts/count-passes.sh [--list CALL]" >&2
    exit 2
}
program=$here/tests/cost/passes.c
if [ -n "$listed" ] && ! grep -q "(\"$listed\"" "$program"; then
    echo "count-passes: unknown call '$listed'; tests/cost/passes.c has the calls" >&2
    exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cd "$work"
# Each folder has a folder of its own for its objects: two files may have the same name.
for folder in "$root"/src/* "$root"/ports/linux; do
    [ -d "$folder" ] || continue
    mkdir "${folder##*/}"
    (
        cd "${folder##*/}"
        gcc -std=c11 -O0 -gdwarf-4 -fno-pie -finstrument-functions -w -I"$root/include" -c "$folder"/*.c
    )
done
gcc -std=c11 -O0 -fno-pie -no-pie -I"$root/include" "$program" ./*/*.o -pthread -o passes
KVA_SIMD=scalar ./passes >trace
# Write "CALL ADDRESS FUNCTION FILE"; addr2line prints a line for the function and one for FILE:LINE.
cut -d' ' -f2 trace | addr2line -f -e passes | paste -d' ' - - | paste -d' ' trace - >named

awk -v root="$root/" -v listed="$listed" '
# Return a path below the root, without "." and "..".
function normal(path)
{
    sub(/:[0-9?]+$/, "", path)
    while (sub(/\/[^\/.][^\/]*\/\.\.\//, "/", path)) { }
    return index(path, root) == 1 ? substr(path, length(root) + 1) : path
}

{
    file = normal($4)
    if ($1 == listed && !(($1, $3, file) in seen_function))
        printf "%-32s %s\n", $3, file
    if (!($1 in calls))
        order[++kinds] = $1
    calls[$1]++
    functions[$1] += !(($1, $3, file) in seen_function)
    files[$1] += !(($1, file) in seen_file)
    copies[$1] += !(($1, $2) in seen_copy)
    seen_function[$1, $3, file]
    seen_file[$1, file]
    seen_copy[$1, $2]
}

END {
    if (listed != "")
        exit
    row = "%-16s %9s %9s %9s %9s\n"
    printf row, "call", "functions", "files", "copies", "calls"
    for (i = 1; i <= kinds; i++) {
        call = order[i]
        printf row, call, functions[call], files[call], copies[call], calls[call]
    }
}
' named
