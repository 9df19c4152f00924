#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Write kva as files to copy into a program: kva.c, kva.h and, for its vmalloc, kva_vm.h.
#
# Usage: scripts/amalgamate.sh [FOLDER]      (default: build/amalgamation)
#
# The same sources give the same files, byte for byte. FOLDER does not change unless all three could be made. Their
# origins are comments, not #line directives: a program that has these files has no src/, and a debugger or a compiler
# must name a file that exists. Set KVA_SOURCE to read another tree.
set -eu
export LC_ALL=C

if [ $# -gt 1 ]; then
    echo "Usage: scripts/amalgamate.sh [FOLDER]" >&2
    exit 2
fi
scripts=$(cd "$(dirname "$0")" && pwd)
source=$(cd "${KVA_SOURCE:-$scripts/..}" && pwd)
folder=${1:-$source/build/amalgamation}
if ! mkdir -p -- "$folder" 2>/dev/null; then
    echo "amalgamate: cannot make the folder $folder" >&2
    exit 1
fi
folder=$(cd -- "$folder" && pwd)

work=$(TMPDIR=$folder mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$source"
awk -v into="$work" -f "$scripts/amalgamate.awk" include/kva/*.h src/*/*.c ports/linux/*.c
for name in kva.c kva.h kva_vm.h; do
    [ -s "$work/$name" ] || exit 1
done
mv "$work/kva.c" "$work/kva.h" "$work/kva_vm.h" "$folder"
