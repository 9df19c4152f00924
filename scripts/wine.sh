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

PATH=$PATH:/usr/lib/wine # where Debian puts wine64 and wineserver

# Set up once, by one of those that begin at the same time, while the others wait. Debian's Wine notes in the prefix
# where its server lies: two first servers would each note their own, and one program look in the wrong place.
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
