#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# A program links only the engine that it names; one that names none links bt only. $KVA_LINKED is the folder
# of the programs.
set -eu

# expect PROGRAM ENGINE: fail unless PROGRAM contains the functions of ENGINE and of no other engine.
expect()
{
    "$NM" "$KVA_LINKED/$1" | sed 's/.* //' >symbols
    for engine in rb bt scan; do
        found=$(grep -cE "^(kva_engine_$engine|${engine}_search)\$" symbols || true)
        if [ "$engine" = "$2" ] && [ "$found" = 0 ]; then
            echo "$1 has no engine $engine"
            exit 1
        elif [ "$engine" != "$2" ] && [ "$found" != 0 ]; then
            echo "$1 links the engine $engine, which it does not name"
            exit 1
        fi
    done
    if grep -q '^kva_engine_by_name$' symbols; then
        echo "$1 links the list of all engines"
        exit 1
    fi
}

for engine in rb bt scan; do
    expect "link_$engine" "$engine"
done
expect link_none bt
