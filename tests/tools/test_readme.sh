#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The README's example is examples/first.c, line by line, and prints what the README says it prints.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# block N: the N-th fenced block of the README.
block()
{
    awk -v want="$1" '/^```/ { inside = !inside; n += inside; next } inside && n == want' "$root/README.md"
}

block 2 >"$work/code"
block 3 >"$work/output"
[ -s "$work/code" ] && [ -s "$work/output" ]

sed 's/^    //' "$root/examples/first.c" >"$work/example"
grep -vxFf "$work/example" "$work/code" >"$work/strange" || true
if [ -s "$work/strange" ]; then
    echo "README.md has lines that examples/first.c has not:" >&2
    cat "$work/strange" >&2
    exit 1
fi

"${CC:-cc}" -std=c11 -I"$root/include" "$root/examples/first.c" "$root"/src/*/*.c "$root"/ports/linux/*.c -o "$work/first"
"$work/first" >"$work/printed"
diff -u "$work/output" "$work/printed"
