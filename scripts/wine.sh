#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Run a program for Windows under Wine, headless, without messages of Wine itself.
# Usage: scripts/wine.sh PROGRAM [ARGUMENT...]
#
# Wine's files lie in build/wine. By default, Wine would first copy 700 MB of libraries and a registry there. These
# programs need only Wine's installed libraries, so the system folder is a link to them, and Wine's setup is disabled.
set -eu

export WINEPREFIX
WINEPREFIX=$(cd "$(dirname "$0")/.." && pwd)/build/wine
export WINEDEBUG=-all

PATH=$PATH:/usr/lib/wine # where Debian puts wine64 and wineserver

# Set up once, under a lock. Debian's Wine writes the place of its server into the prefix: two first servers would
# each write their own, and one program would look in the wrong place.
mkdir -p "$WINEPREFIX/drive_c/windows"
(
    flock 9
    [ ! -e "$WINEPREFIX/.update-timestamp" ] || exit 0
    for libraries in /usr/lib/*/wine/x86_64-windows; do
        [ ! -d "$libraries" ] || ln -sfn "$libraries" "$WINEPREFIX/drive_c/windows/system32"
    done
    [ -e "$WINEPREFIX/drive_c/windows/system32" ] || exit 0
    wineserver 9>&- && echo disable >"$WINEPREFIX/.update-timestamp"
) 9>"$WINEPREFIX/lock"
exec wine64 "$@"
