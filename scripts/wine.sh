#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Run a program for Windows under Wine, headless, and without a word from Wine itself.
# Usage: scripts/wine.sh PROGRAM [ARGUMENT...]
#
# Wine's files lie in build/wine. Left alone, Wine would first copy 700 MB of libraries and a registry
# there. The programs here are content with Wine's libraries where they are installed: so the system folder
# is a link to them, and Wine's setup is off.
set -eu

export WINEPREFIX
WINEPREFIX=$(cd "$(dirname "$0")/.." && pwd)/build/wine
export WINEDEBUG=-all

if [ ! -e "$WINEPREFIX/.update-timestamp" ]; then
    mkdir -p "$WINEPREFIX/drive_c/windows"
    for libraries in /usr/lib/*/wine/x86_64-windows; do
        [ ! -d "$libraries" ] || ln -sfn "$libraries" "$WINEPREFIX/drive_c/windows/system32"
    done
    # Last: two that begin at the same time do the same.
    [ ! -e "$WINEPREFIX/drive_c/windows/system32" ] || echo disable >"$WINEPREFIX/.update-timestamp"
fi
PATH=$PATH:/usr/lib/wine # where Debian puts wine64
exec wine64 "$@"
