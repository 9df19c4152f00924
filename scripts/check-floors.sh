#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Refuse an include of a file on a higher floor. Usage: scripts/check-floors.sh [ROOT]
#
# The floors of src/, each of which may include itself and the floors below:
#
#     4  observe
#     3  vmap
#     2  space   frames      neighbours: neither may include the other
#     1  engine
#     0  base
#
# src/ and the public headers include only system headers of a freestanding compiler, and no file outside src/ and
# include/. Only src/base declares the four memory functions. Ports and the peers in bench/ may use src/base. A peer
# of a part of a floor may also use that floor: bench/scanners uses src/frames. Examples and tools/ use the public
# headers only. Each offence is named as FILE:LINE. Exit: 0 none; 1 offences; 2 no tree.
set -eu

root=${1:-$(dirname "$0")/..}
cd "$root"
if [ ! -d src ]; then
    echo "check-floors: no src/ in $root" >&2
    exit 2
fi

folders=
for folder in include src ports examples tools bench; do
    [ ! -d "$folder" ] || folders="$folders $folder"
done

# shellcheck disable=SC2016,SC2086  # an awk program; a list of folders, of our own names
find $folders -name '*.[ch]' | LC_ALL=C sort | xargs awk '
BEGIN {
    floor["base"] = 0; floor["engine"] = 1; floor["space"] = 2; floor["frames"] = 2
    floor["vmap"] = 3; floor["observe"] = 4
    peer["scanners"] = "frames" # bench/scanners uses this floor
    # Headers of compilers; bt_simd.h keeps those for vector instructions out of freestanding builds.
    count = split("arm_neon cpuid immintrin float iso646 limits stdalign stdarg stdatomic stdbool stddef stdint stdnoreturn", names, " ")
    for (i = 1; i <= count; i++)
        freestanding[names[i] ".h"] = 1
}

function offence(what)
{
    printf "%s:%d: %s\n", FILENAME, FNR, what
    offences++
}

# Return the path without "." and "..".
function normal(path,    parts, count, kept, top, i, result)
{
    count = split(path, parts, "/")
    top = 0
    for (i = 1; i <= count; i++) {
        if (parts[i] == "." || parts[i] == "")
            continue
        if (parts[i] == ".." && top > 0)
            top--
        else
            kept[++top] = parts[i]
    }
    result = kept[1]
    for (i = 2; i <= top; i++)
        result = result "/" kept[i]
    return result
}

function exists(path,    line, found)
{
    found = (getline line < path) >= 0
    close(path)
    return found
}

# The file that an include names: beside the includer, or below src/ or include/.
function resolve(name,    path)
{
    path = FILENAME
    sub(/[^\/]*$/, "", path)
    path = normal(path name)
    if (exists(path))
        return path
    if (exists("src/" name))
        return normal("src/" name)
    return exists("include/" name) ? normal("include/" name) : path
}

function folder_of(path,    parts)
{
    split(path, parts, "/")
    return parts[2]
}

function check_within_src(target,    own, other)
{
    own = folder_of(FILENAME)
    if (!(own in floor)) {
        offence("src/" own " is no floor; see this script for the list")
        return
    }
    if (target !~ /^src\//) {
        if (target !~ /^include\//)
            offence("src/ includes " target ", which is outside the library")
        return
    }
    other = folder_of(target)
    if (!(other in floor))
        offence(target " is on no floor")
    else if (floor[other] > floor[own])
        offence(own " (floor " floor[own] ") includes " target " (floor " floor[other] "): upwards")
    else if (floor[other] == floor[own] && other != own)
        offence(own " includes " target ": neighbours on floor " floor[own] " do not know each other")
}

# Ports and peers may use src/base; a peer also its floor.
function check_beside_src(target,    own)
{
    own = folder_of(FILENAME)
    if (FILENAME !~ /^bench\// || !(own in peer) || folder_of(target) != peer[own])
        offence("a port or a peer includes " target ", above src/base")
}

function check_quoted(name,    target)
{
    target = resolve(name)
    if (FILENAME ~ /^src\//)
        check_within_src(target)
    else if (FILENAME ~ /^include\// && target !~ /^include\//)
        offence("a public header includes " target)
    else if (FILENAME ~ /^examples\// && target ~ /^src\//)
        offence("an example includes " target ", which users do not have")
    else if (FILENAME ~ /^tools\// && target ~ /^src\//)
        offence("a tool includes " target ", which users do not have")
    else if (FILENAME ~ /^(ports|bench)\// && target ~ /^src\// && target !~ /^src\/base\//)
        check_beside_src(target)
}

function check_system(name)
{
    if (name ~ /^kva\// || FILENAME ~ /^(ports|examples|tools|bench)\//)
        return
    if (!(name in freestanding))
        offence("<" name "> is not among the headers of a freestanding compiler")
}

/^[ \t]*#[ \t]*include/ {
    name = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", name)
    if (match(name, /^"[^"]*"/))
        check_quoted(substr(name, 2, RLENGTH - 2))
    else if (match(name, /^<[^>]*>/))
        check_system(substr(name, 2, RLENGTH - 2))
    else
        offence("cannot read this include")
    next
}

/^[ \t]*(extern[ \t]+)?(void|int)[ \t]+\*?mem(cpy|move|set|cmp)\(/ && FILENAME ~ /^src\// && FILENAME !~ /^src\/base\// {
    offence("the memory functions are declared in src/base alone")
}

END { exit offences > 0 }
' || exit 1 # xargs exits with 123
