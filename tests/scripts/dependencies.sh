#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# docs/dependencies.md names each package that `./dev setup` installs.
set -eu

page=$KVA_SOURCE/docs/dependencies.md

# The last word of each probe in dev is a package.
sed -n '/^#/d; s/.*need_\(command\|header\|file\|library\) .* \([a-z0-9.+-]*\)$/\2/p' "$KVA_SOURCE/dev" | LC_ALL=C sort -u >packages
[ "$(wc -l <packages)" -gt 30 ] || {
    echo "dev has fewer packages than there were: $(cat packages)" >&2
    exit 1
}
failed=
while read -r package; do
    tr -c 'a-z0-9.+-' '\n' <"$page" | grep -qxF "$package" || {
        echo "docs/dependencies.md does not name $package, which ./dev setup installs" >&2
        failed=yes
    }
done <packages

[ -z "$failed" ]
