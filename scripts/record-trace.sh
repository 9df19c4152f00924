#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Record the address-space traffic of a program for `kva replay`.
#
#   scripts/record-trace.sh OUT -- COMMAND [ARGUMENT]...
#
# Runs COMMAND under strace with all its threads and children, and writes OUT: the calls that change an address space
# (mmap, munmap, mremap, brk; mprotect for completeness) and those that begin one (execve, fork, vfork, clone,
# clone3), with process numbers and times. The exit code is COMMAND's.
#
# This script made the logs in tests/traces. They are meant to be published, so a log reveals little about the
# machine: of each executed program only the last part of the path is kept, and no argument. Addresses, sizes, flags,
# process numbers and times stay unchanged.
#
# RECORD_USER=NAME runs COMMAND as that user (a database server may refuse to run as root).
set -eu

usage() {
    echo "usage: scripts/record-trace.sh OUT -- COMMAND [ARGUMENT]..." >&2
    exit 2
}

[ $# -ge 3 ] && [ "$2" = -- ] || usage
out=$1
shift 2

if ! command -v strace >/dev/null; then
    echo "record-trace: strace is missing (Debian: apt-get install strace)" >&2
    exit 3
fi

raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
trap 'exit 130' INT TERM

code=0
strace -f -ttt -s 0 -o "$raw" ${RECORD_USER:+-u "$RECORD_USER"} \
    -e trace=mmap,munmap,mremap,brk,mprotect,execve,fork,vfork,clone,clone3 \
    -- "$@" || code=$?

# execve("/usr/bin/cc1", ["cc1"...], 0x7ffc...  ->  execve("cc1", [...], 0x7ffc...
sed -E 's|execve\("([^"]*/)?([^"/]*)", \[.*\], (0x[0-9a-f]+)|execve("\2", [...], \3|' "$raw" >"$out"
exit "$code"
