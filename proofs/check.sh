#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Check the models in this folder by visiting all their states. Needs spin (Debian: spin), a C compiler, up to 3 GB of
# memory, and a minute or two.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for model in "$here"/*.pml; do
    echo "==== $(basename "$model")"
    spin -a "$model"
    cc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=3000 -DVECTORSZ=2048 -o pan pan.c
    ./pan -m2000000 -w26 | tee out | grep -E 'errors:|states, stored|State-vector|^pan:' || true
    grep -q 'errors: 0' out
    if grep -q 'Search not completed\|max search depth too small' out; then
        echo "check: the search was not completed" >&2
        exit 1
    fi
done
