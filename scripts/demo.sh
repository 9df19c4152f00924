#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The demonstration of `./dev demo`, with the program KVA. Each test may take two seconds of a worker, one second on
# memory, or BUDGET seconds.
#
# The range is like that of a machine that has been up for a while: 5,000 other areas, with holes between them. In an
# empty range the old walk's cached position is always right; see docs/benchmarks.md.
set -eu
kva=${1:?usage: scripts/demo.sh KVA [BUDGET]}

echo "The 2019 vmalloc test suite on the old list walk, rb and scan"
"$kva" test performance --memory ranges test_repeat_count=1 test_loop_count=300000 --held 5000 \
    --budget "${2:-2}" --engine list,rb,scan
echo
echo "The same on real memory: every page touched, every area guarded except those of mmap and malloc"
"$kva" test performance test_repeat_count=1 test_loop_count=100000 run_test_mask=15 --budget "${2:-1}" \
    --engine list,bt,mmap,malloc
echo
echo "A recorded program, replayed: a Python interpreter at work"
"$kva" replay tests/traces/python.strace
