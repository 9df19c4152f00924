#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The README's code is that of its examples, line by line, and prints the output in the README. Values that differ from run
# to run, such as addresses and offsets in the code, are compared by their form.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" # a core file would be written here

# block N: the N-th fenced block of the README that is not in a list.
block()
{
    awk -v want="$1" '/^```/ { inside = !inside; n += inside; next } inside && n == want' "$root/README.md" >"$work/block"
    [ -s "$work/block" ]
    cat "$work/block"
}

# is_from EXAMPLE N: each line of block N is in that example.
is_from()
{
    sed 's/^ *//' "$root/examples/$1.c" >"$work/example"
    block "$2" | sed 's/^ *//' | grep -vxFf "$work/example" >"$work/strange" || true
    if [ -s "$work/strange" ]; then
        echo "README.md has lines that are missing in examples/$1.c:" >&2
        cat "$work/strange" >&2
        exit 1
    fi
}

# form: replace values that differ from run to run. Addresses of ranges.c are constant, and stay.
form()
{
    sed -E "s|$root/||g; s/0x0{4}[0-9a-f]{12}/RANGE/g; s/0x[0-9a-f]{9,}/ADDRESS/g; s/\+0x[0-9a-f]+/+OFFSET/g"
}

# prints FILE N: the file equals block N, except for values that differ from run to run.
prints()
{
    block "$2" | form >"$work/expected"
    form <"$1" | diff -u "$work/expected" -
}

# The library, built once; later its floor 3 again for AddressSanitizer.
mkdir "$work/plain"
(cd "$work/plain" && "$cc" -std=c11 -I"$root/include" -c "$root"/src/*/*.c "$root"/ports/linux/*.c)

# program NAME SOURCE [OPTION...]: build it
program()
{
    name=$1
    source=$2
    shift 2
    "$cc" -std=c11 -I"$root/include" "$@" "$source" "$work"/plain/*.o -o "$work/$name"
}

is_from first 2
program first "$root/examples/first.c"
"$work/first" >"$work/printed"
prints "$work/printed" 3

# Bugs: the program prints a sentence and dies.
is_from bugs 4
is_from bugs 6
is_from bugs 8
program bugs "$root/examples/bugs.c" -g -rdynamic
for bug in past purged; do
    if "$work/bugs" "$bug" 2>>"$work/sentences"; then
        echo "examples/bugs.c survives '$bug'" >&2
        exit 1
    fi
done
grep -F ' area ' "$work/sentences" >"$work/printed" # the shell may also print how the program ended
prints "$work/printed" 5
"$work/bugs" >"$work/printed"
prints "$work/printed" 9

# The oracle: an example with one more line prints the same, and kva replay reports the same for a trace.
program ranges "$root/examples/ranges.c"
"$work/ranges" >"$work/expected"
{
    echo '#include <kva/kva.h>'
    echo '#include <kva/engine.h>'
    sed "/struct kva_config config = /r /dev/stdin" "$root/examples/ranges.c" <<LINE
$(block 10)
LINE
} >"$work/oracle.c"
[ "$(grep -cFxf "$work/block" "$work/oracle.c")" -eq 1 ]
program oracle "$work/oracle.c"
"$work/oracle" | diff -u "$work/expected" -
"$KVA" replay --engine all --repeat 1 "$root/tests/traces/redis.strace" | tail -n 1 >"$work/printed"
prints "$work/printed" 11

# A write to a freed area. From here on, programs are built for AddressSanitizer.
if echo 'int main(void) { return 0; }' | "$cc" -fsanitize=address -x c - -o "$work/probe" && "$work/probe"; then
    mkdir "$work/poisoned"
    (cd "$work/poisoned" && "$cc" -std=c11 -g -fsanitize=address -I"$root/include" -c "$root"/src/vmap/*.c)
    cp "$work"/poisoned/*.o "$work/plain"
    program bugs_asan "$root/examples/bugs.c" -g -rdynamic -fsanitize=address
    if "$work/bugs_asan" stale 2>"$work/report"; then
        echo "AddressSanitizer does not detect a write to a freed area" >&2
        exit 1
    fi
    grep '^SUMMARY' "$work/report" >"$work/printed"
    prints "$work/printed" 7
else
    echo "left out: this compiler has no AddressSanitizer"
fi
