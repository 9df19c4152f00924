#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The shared library exports exactly the public names, each with the version of the ABI. The static library
# defines them as hidden, so that a shared object that contains it does not export them.
set -eu
export LC_ALL=C

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# scripts/check-names.sh compares this list with the headers.
awk '$2 ~ /^(function|object)$/ && $3 != "-" { print $1 }' "$KVA_SOURCE/docs/names.txt" | sort >public
test -s public

# same FILE WHAT: fail unless FILE contains exactly the public names.
same()
{
    surplus=$(comm -13 public "$1")
    missing=$(comm -23 public "$1")
    [ -z "$surplus" ] || fail "$2, and should not: $surplus"
    [ -z "$missing" ] || fail "$2 all public names but: $missing"
}

# Num: Value Size Type Bind Vis Ndx Name. GNU ld lists the version itself as a name.
"$READELF" --dyn-syms -W "$KVA_SHARED" | awk -v abi="$KVA_ABI" '
    $1 ~ /^[0-9]+:$/ && $5 ~ /^(GLOBAL|WEAK|UNIQUE)$/ && $7 != "UND" && $8 !~ "^" abi "(@@" abi ")?$" { print $8 }
    ' >exports
test -s exports
sed -n "s/@@$KVA_ABI\$//p" exports | sort >versioned
sed 's/@.*//' exports | sort >names
same names "the shared library exports"
same versioned "the shared library exports with the version $KVA_ABI"

"$READELF" -s -W "$KVA_STATIC" | awk '
    $1 ~ /^[0-9]+:$/ && $5 ~ /^(GLOBAL|WEAK|UNIQUE)$/ && $7 != "UND" { print $6, $8 }' >defined
if grep -q '__gnu_lto_slim$' defined; then
    exit 0 # built for link-time optimisation by gcc: the objects have no symbols yet
fi
sed 's/.* //' defined | sort >names
missing=$(comm -23 public names)
[ -z "$missing" ] || fail "the static library does not define $missing"
visible=$(grep -v '^HIDDEN ' defined || true)
[ -z "$visible" ] || fail "names of the static library that a shared object would export: $visible"
