#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The man pages have exactly the options of --help; kva(1) has the engines. KVA is the program, KVA_SOURCE the source tree;
# the working folder belongs to the test.
set -eu

man=$KVA_SOURCE/man
failed=

# help_of COMMAND...: the command's own options, one per line. kva(1) has those of all commands.
help_of()
{
    "$KVA" "$@" --help | sed -n 's/^ *\(-[a-zA-Z?], *\)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p' | grep -vxF -e --help -e --usage -e --version
}

# page_of COMMAND: the options of its page
page_of()
{
    sed -n 's/\\&//g; s/^\.It .*Fl -\([a-z][a-z-]*\).*/--\1/p' "$man/kva-$1.1" | grep -vxF -e --help
}

# compare COMMAND: compare the page with the options in ./help
compare()
{
    page_of "$1" | LC_ALL=C sort -u >page
    LC_ALL=C sort -u <help >sorted
    [ -s page ] && diff sorted page >difference || {
        echo "kva $1: --help (<) and kva-$1(1) (>) differ:" >&2
        cat difference >&2
        failed=yes
    }
}

help_of replay >help
compare replay
help_of bench >help
compare bench
{
    help_of test
    help_of test frames
} >help
compare test

for option in help usage version; do
    grep -q "Fl -$option" "$man/kva.1" || {
        echo "kva(1) does not explain --$option" >&2
        failed=yes
    }
done
for engine in $("$KVA" bench --help | sed -n 's/^Engines of this build: \([a-z, ]*\)\..*/\1/p' | tr -d ,); do
    grep -qx "\.It Cm $engine" "$man/kva.1" || {
        echo "kva(1) does not explain the engine $engine" >&2
        failed=yes
    }
done
[ -z "$failed" ]
