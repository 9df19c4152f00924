#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The public names, sorted, one on a line: every function and object that the headers kva/*.h declare with KVA_API. A
# declaration that has no KVA_API is an error: programs that use the shared library could not refer to it.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: scripts/public-names.sh INCLUDE_FOLDER COMPILER [FLAGS...]" >&2
    exit 2
fi
include=$1
shift

# All headers through the preprocessor, with a word in place of KVA_API that it leaves alone.
declarations()
{
    for header in "$include"/kva/*.h; do
        echo "#include <kva/${header##*/}>"
    done | "$@" -std=c11 -E -P -DKVA_EXPORT_H -DKVA_API=KVA_API_HERE -I"$include" -x c -
}

# What stands in braces is no declaration of its own. The name is the last word, or the one before the parameters.
text=$(declarations "$@")
names=$(printf '%s\n' "$text" | awk '
    { text = text " " $0 }
    END {
        while (gsub(/\{[^{}]*\}/, ";", text))
            ;
        count = split(text, statements, ";")
        for (i = 1; i <= count; i++) {
            head = statements[i]
            parameters = sub(/\(.*/, "", head)
            if (!match(head, /[A-Za-z_][A-Za-z_0-9]*[ \t]*$/))
                continue
            name = substr(head, RSTART)
            sub(/[ \t]+$/, "", name)
            if (head ~ /(^|[^A-Za-z_0-9])KVA_API_HERE[^A-Za-z_0-9]/)
                print name
            else if (name ~ /^kva_/ && head !~ /(^|[^A-Za-z_0-9])(static|typedef)[^A-Za-z_0-9]/ &&
                     (parameters || head ~ /(^|[^A-Za-z_0-9])extern[^A-Za-z_0-9]/)) {
                print name " is declared without KVA_API" >"/dev/stderr"
                wrong = 1
            }
        }
        exit wrong
    }')
[ -n "$names" ] || {
    echo "No name below $include is public" >&2
    exit 1
}
printf '%s\n' "$names" | LC_ALL=C sort -u
