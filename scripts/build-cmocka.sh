#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Build cmocka below build/sysroot/PRESET for a preset for which Debian has none, musl or mingw (Windows): from the
# source of Debian 12's package, with its own CMake files. apt's downloader fetches the source from apt's mirrors,
# through its proxies, and verifies it against the digest below.
set -eu

upstream=1.1.5
archive=cmocka_$upstream.orig.tar.xz
digest=f0ccd8242d55e2fd74b16ba518359151f6f8383ff8aef4976e48393f77bba8b6
preset=${1:?usage: scripts/build-cmocka.sh musl|mingw}
case $preset in
musl | mingw) ;;
*)
    echo "build-cmocka: unknown preset '$preset'; musl and mingw are known" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
root=build/sysroot/$preset
[ ! -e "$root/complete" ] || exit 0

# shellcheck disable=SC2016  # apt-get expands the format, not the shell
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' |
    head -n 1)
pool=${mirror:-http://deb.debian.org/debian/}pool/main/c/cmocka

source=$root/unpacked/cmocka-$upstream
rm -rf "$root"
mkdir -p "$root/unpacked" "$root/include" "$root/lib"
/usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$pool/$archive" "$root/$archive" "SHA256:$digest"
(cd "$root/unpacked" && cmake -E tar xf "../$archive")
cmake -S "$source" -B "$root/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/$preset.cmake" \
    -DCMAKE_BUILD_TYPE=Release -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF >/dev/null
cmake --build "$root/build" --target cmocka-static
cp "$source"/include/cmocka*.h "$root/include/"
cp "$root/build/src/libcmocka-static.a" "$root/lib/libcmocka.a"
touch "$root/complete"
