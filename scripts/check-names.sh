#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Refuse a public name that appears, disappears or moves without a record.
# Usage: scripts/check-names.sh [--write | --moved] [ROOT]
#
# docs/names.txt records all present and former public names; scripts/names.awk reads the present ones from the
# headers. docs/migrating.md lists what became of the former ones. The first line of each of its tables gives the
# table's kind:
#
#     | Old name | Now | ...                      an old name, and names that exist
#     | Old name | ...                            an old name without a successor
#     | Name | Was declared by | Include now |    a name that the old header no longer declares
#     | Name | ...                                a name whose meaning has changed
#
# The record must match the headers. An old name must be in a table, and nowhere else in the tree; all other names
# must exist. Members go with their structure. Each offence is named as FILE:LINE. Exit: 0 none; 1 offences; 2 a wrong
# tree or usage.
#
#     --write   update the record. A name stays in it when it disappears. Refused while there is an offence of
#               another kind
#     --moved   print the rows that the table of moved names must have
set -eu

mode=check
case ${1:-} in
--write | --moved)
    mode=${1#--}
    shift
    ;;
-*)
    echo "check-names: unknown option '$1'; give --write or --moved" >&2
    exit 2
    ;;
esac
scripts=$(cd "$(dirname "$0")" && pwd)
root=${1:-$scripts/..}
cd "$root"
if [ ! -d include/kva ]; then
    echo "check-names: no include/kva in $root" >&2
    exit 2
fi

LC_ALL=C
export LC_ALL
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
record=docs/names.txt
guide=docs/migrating.md
(cd include && find kva -name '*.h' | sort | xargs awk -f "$scripts/names.awk" | sort) >"$room/found"
: >"$room/none"

# file_or_none FILE: print FILE, or an empty file if it does not exist
file_or_none()
{
    if [ -f "$1" ]; then echo "$1"; else echo "$room/none"; fi
}

# Print the offences; write the right record to room/record, and the old names to room/old.
# shellcheck disable=SC2016  # an awk program
awk -v mode="$mode" -v record="$record" -v guide="$guide" -v room="$room" '
BEGIN {
    identifier = "(kva|KVA)_[A-Za-z0-9_]+([.][a-z_0-9]+)?"
    again = "; run scripts/check-names.sh --write"
}

input == 1 && $1 == "name" { note_found($2, $3, $4, "include/" $4 ":" $5) }
input == 1 && $1 == "into" { into[$2, $3] = 1; headers[$2] = headers[$3] = 1 }
input == 2 && !/^#/ { note_recorded($1, $2, $3, $4) }
input == 3 { read_guide() }
END { finish() }

function offence(place, what)
{
    if (mode == "moved")
        return
    print place ": " what
}

# ------------------------------------------------------------------ headers and record

function note_found(name, kind, header, place)
{
    if (!((name, kind) in is_at)) {
        declares[name, kind] = header
        is_at[name, kind] = place
    } else if (!has(declares[name, kind], header)) {
        declares[name, kind] = declares[name, kind] "," header
    }
    headers[header] = 1
    exists[name] = exists[name] "," header
    keys[name, kind] = 1
}

function note_recorded(name, kind, header, before)
{
    recorded[name, kind] = header
    had[name, kind] = before
    record_line[name, kind] = record ":" FNR
    keys[name, kind] = 1
    ever[name] = 1
}

# has: whether a comma-separated list has a word.
function has(list, word)
{
    return index("," list ",", "," word ",") > 0
}

# before: the headers that declared a name and no longer do, or "-".
function before(key,    list, part, count, i, result)
{
    list = had[key] "," recorded[key]
    count = split(list, part, ",")
    for (i = 1; i <= count; i++)
        if (part[i] != "" && part[i] != "-" && !has(declares[key], part[i]) && !has(result, part[i]))
            result = result (result == "" ? "" : ",") part[i]
    return result == "" ? "-" : result
}

# reaches: whether `from` is or includes one of the headers of a list.
function reaches(from, list,    seen, other)
{
    if (has(list, from))
        return 1
    if (from in walking)
        return 0
    walking[from] = 1
    seen = 0
    for (other in headers)
        if ((from, other) in into && reaches(other, list))
            seen = 1
    delete walking[from]
    return seen
}

# --------------------------------------------------------------------------- the guide

function read_guide(    cell, count)
{
    if ($0 !~ /^\|/) {
        table = ""
        return
    }
    count = split($0, cell, "|")
    if (table == "") {
        table = trimmed(cell[2])
        second = trimmed(cell[3])
        third = trimmed(cell[4])
    } else if ($0 !~ /^\|[-: |]*$/) {
        place = guide ":" FNR
        if (table == "Old name")
            read_names(cell[2], "old")
        if (table == "Old name" && second == "Now")
            read_names(cell[3], "now")
        if (table == "Name")
            read_names(cell[2], third == "Include now" ? "moved" : "changed", cell[3], cell[4])
    }
}

function trimmed(text)
{
    gsub(/^ +| +$/, "", text)
    return text
}

function header_in(text)
{
    return match(text, /kva\/[A-Za-z0-9_]+[.]h/) ? substr(text, RSTART, RLENGTH) : ""
}

function read_names(text, role, was, header,    name)
{
    was = header_in(was)
    header = header_in(header)
    while (match(text, identifier)) {
        name = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        if (role == "old")
            old[name] = place
        else
            told[name, role] = 1
        if (role != "old" && !(name in exists))
            offence(place, "there is no " name "; name an existing one, or move the line to the old names")
        else if (role == "moved" && !has(exists[name], header))
            offence(place, name " is not declared by " header ", but by " substr(exists[name], 2))
        else if (role == "moved" && reaches(was, header))
            offence(place, was " still declares " name "; remove the line")
    }
}

# -------------------------------------------------------------------------- comparison

function finish(    key, name, part)
{
    for (name in old) {
        if (name in exists)
            offence(old[name], name " exists; if its meaning has changed, move it to a table \"Name\"")
        else if (!(name in ever))
            offence(old[name], name " has never been a public name")
        else
            print name >(room "/old")
    }
    for (key in keys) {
        split(key, part, SUBSEP)
        compare(key, part[1], part[2])
    }
}

# compare: report a name once at most.
function compare(key, name, kind)
{
    print name, kind, (key in is_at ? declares[key] : "-"), before(key) >(room "/record")
    if (key in is_at ? is_moved(key, name, kind) : is_gone(key, name))
        return
    if (mode == "check")
        is_stale(key, name, kind)
}

# is_stale: report a name whose record is out of date. Members move with their structure.
function is_stale(key, name, kind)
{
    if (!(key in record_line) || (key in is_at && recorded[key] == "-"))
        offence(is_at[key], name " is new" again)
    else if (!(key in is_at) && recorded[key] != "-")
        offence(record_line[key], name " is not recorded as gone" again)
    else if (key in is_at && recorded[key] != declares[key] && kind != "member")
        offence(is_at[key], name " was declared by " recorded[key] again)
}

# is_gone: whether the guide lacks a name that is no longer declared.
function is_gone(key, name,    outer)
{
    outer = name
    sub(/[.].*/, "", outer)
    if (name in old || outer in old || (name, "changed") in told)
        return 0
    offence(record_line[key], name " is gone; add it to " guide again)
    return 1
}

# is_moved: whether the guide lacks the new header of a name that has moved.
function is_moved(key, name, kind,    part, count, i, result)
{
    if (kind == "member" || kind == "enumerator")
        return 0
    count = split(before(key), part, ",")
    for (i = 1; i <= count; i++) {
        if (part[i] == "-" || reaches(part[i], declares[key]))
            continue
        if (mode == "moved")
            print "| `" name "` | `" part[i] "` | `" declares[key] "` |"
        else if (!((name, "moved") in told))
            offence(is_at[key], name " is no longer declared by " part[i] "; add it to " guide again)
        result = !((name, "moved") in told)
    }
    return result
}
' input=1 "$room/found" input=2 "$(file_or_none "$record")" input=3 "$(file_or_none "$guide")" \
    >"$room/offences"

if [ "$mode" = moved ]; then
    sort -t '|' -k 4,4 -k 2,2 "$room/offences"
    exit 0
fi

# Search for old names as whole words, except in built and in other projects' files.
uses()
{
    [ -f "$room/old" ] || return 0
    grep -rnowIF -f "$room/old" --exclude-dir=.git --exclude-dir=build --exclude-dir=LICENSES . |
        awk -F: -v record="./$record" -v guide="./$guide" '
            $1 != "./CHANGELOG.md" && $1 != record && $1 != guide {
                print substr($1, 3) ":" $2 ": " $3 " is an old name; see " substr(guide, 3)
            }'
}

uses >>"$room/offences"
if [ -s "$room/offences" ]; then
    sort "$room/offences" >&2
    exit 1
fi
[ "$mode" = write ] || exit 0
{
    cat <<'END'
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The public names, written by scripts/check-names.sh --write: NAME KIND HEADER BEFORE. HEADER declares it ("-":
# none does any more); BEFORE has declared it, and does not any more. docs/migrating.md says what became of it then.
END
    sort "$room/record"
} >"$record"
