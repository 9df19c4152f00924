#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Refuse an include or a call of a higher file inside a floor. Usage: scripts/check-rooms.sh [ROOT]
#
# src/README.md draws the order of each folder's files (ports/linux/README.md that of the port's), in a fenced block
# after the line "FOLDER, from top to bottom:".
#
#     take.c  give.c    the public calls             side by side: neither may call the other
#     core.c            search, occupy, give back
#                       (indented: the subject continues)
#     space.h           the structures
#
# A file may include only files below it, and its object may refer only to them. A header has the place of the .c file
# of its name, unless it is drawn itself. Every other file must be drawn, and no other name may be.
#
# $CC or cc makes the objects. Headers are also compiled alone, with all their inline functions. A few cannot be
# (bt_tree.h needs macros of its includer): they are checked in the objects that include them. No object of src/ may
# refer to a floor above or beside its own; src/README.md names the floor of each folder. Exit: 0 no offences; 1
# offences; 2 the tree cannot be checked.
set -eu

cd "${1:-$(dirname "$0")/..}"
if [ ! -f src/README.md ]; then
    echo "check-rooms: no src/README.md in $PWD" >&2
    exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Ports that draw their files; ports/test has none.
ports=
for drawing in ports/*/README.md; do
    [ ! -e "$drawing" ] || ports="$ports ${drawing%/README.md}"
done
# shellcheck disable=SC2086  # folders
find src $ports -name '*.[ch]' 2>/dev/null | LC_ALL=C sort >"$work/files"
while read -r file; do
    mkdir -p "$work/${file%/*}"
    case $file in
    *.c) alone= ;;
    *.h) alone='-x c -D_GNU_SOURCE -fkeep-inline-functions' ;;
    esac
    # shellcheck disable=SC2086  # flags
    "${CC:-cc}" -std=c11 -O0 -w -Iinclude $alone -c "$file" -o "$work/$file.o" 2>"$work/log" && continue
    if [ -z "$alone" ]; then
        cat "$work/log" >&2
        exit 2
    fi
done <"$work/files"
(cd "$work" && find . -name '*.o' | sed 's|^\./||' | LC_ALL=C sort | xargs nm -A -g -P) >"$work/symbols"

# shellcheck disable=SC2016,SC2046  # an awk program; a list of names without blanks
awk -v files="$work/files" -v symbols="$work/symbols" '
function offence(what)
{
    print what
    offences++
}

function folder_of(path)
{
    sub(/\/[^\/]*$/, "", path)
    return path
}

function source_of(path)
{
    sub(/\.h$/, ".c", path)
    return path
}

# Read a line of a drawing: the files of one level, then the subject.
function read_level(    i, path)
{
    for (i = 1; i <= NF && $i ~ /^[A-Za-z0-9_]+\.[ch]$/; i++) {
        path = folder "/" $i
        if (!(path in exists))
            offence(FILENAME ":" FNR ": " path " does not exist")
        else if (path in level)
            offence(FILENAME ":" FNR ": " path " is drawn twice")
        else
            level[path] = FNR
    }
    if (i == 1)
        offence(FILENAME ":" FNR ": a line of a drawing begins with a file, NAME.c or NAME.h")
}

# Give every file a level: a header that is not drawn gets that of its .c file.
function complete_levels(    path, undrawn)
{
    for (path in exists)
        if (!(folder_of(path) in drawn))
            undrawn[folder_of(path)]
        else if (!(path in level) && source_of(path) in level)
            level[path] = level[source_of(path)]
        else if (!(path in level))
            offence(path " is missing in the drawing of " folder_of(path))
    for (path in undrawn)
        offence(path " has no drawing")
}

# Return the place of `to` if `from` must not use it, or "".
function wrong_place(from, to,    own, other)
{
    own = folder_of(from)
    other = folder_of(to)
    if (own != other)
        return (own in floor) && floor[other] >= floor[own] ? "on no floor below" : ""
    if (!(from in level) || !(to in level) || level[from] < level[to])
        return ""
    if (level[from] > level[to])
        return "above it"
    return source_of(from) == source_of(to) ? "" : "beside it"
}

function judge(from, does, to,    place)
{
    place = wrong_place(from, to)
    if (place != "")
        offence(from does " " to ", which stands " place)
}

function check_calls(    line, part, count, user, symbol, home)
{
    while ((getline line <symbols) > 0) { # FILE.o: SYMBOL TYPE ...
        split(line, part, " ")
        sub(/\.o:$/, "", part[1])
        if (part[3] !~ /^[Uvw]$/)
            home[part[2]] = part[1]
        else {
            user[++count] = part[1]
            symbol[count] = part[2]
        }
    }
    for (; count > 0; count--)
        if (symbol[count] in home)
            judge(user[count], " calls " symbol[count] " of", home[symbol[count]])
}

BEGIN {
    while ((getline path <files) > 0)
        exists[path]
}

FILENAME ~ /\.[ch]$/ {
    if (!complete++)
        complete_levels()
    if ($0 ~ /^[ \t]*#[ \t]*include[ \t]*"[^"\/]*"/) {
        split($0, quoted, "\"")
        judge(FILENAME, ":" FNR ": includes", folder_of(FILENAME) "/" quoted[2])
    }
    next
}

match($0, /src\/[a-z]+\/ +floor [0-9]/) {
    split(substr($0, RSTART, RLENGTH), part, "/")
    floor["src/" part[2]] = substr($0, RSTART + RLENGTH - 1, 1)
}

/^[a-z\/]+, from top to bottom:$/ { folder = substr($1, 1, length($1) - 1); inside = 0; next }
folder != "" && /^```/ {
    drawn[folder]
    if (inside++)
        folder = ""
    next
}
folder != "" && inside && /^[^ ]/ { read_level() }

END {
    check_calls()
    exit offences > 0
}
' $(find src/README.md ports/*/README.md 2>/dev/null) $(cat "$work/files")
