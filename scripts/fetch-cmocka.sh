#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Put Debian 12's cmocka for another architecture below build/sysroot/ARCH, for the cross presets.
#
# Why not `apt-get install libcmocka-dev:s390x`: that would also pull in the foreign C library, which apt
# installs only in exactly the version of the native one. The two drift apart whenever an architecture gets
# its security updates later or no longer. The cross compilers bring a C library of their own; only cmocka
# is missing. So the two packages are fetched by apt's own downloader (its mirrors, its proxies), verified
# against the digests below, and unpacked without being installed.
#
# For musl and for Windows (mingw) Debian has none. There its source package is fetched in the same way, and
# built by the CMake files that it comes with.
set -eu

upstream=1.1.5
version=$upstream-2.1
debian= # its name there, where that is another
arch=${1:?usage: scripts/fetch-cmocka.sh i386|s390x|aarch64|musl|mingw}
case $arch in
i386)
    digest_lib=15cc34f8c784fcc534b8d412602b4de8e299311c5bd0809eb8e9ce17ce16ef66
    digest_dev=ce09ae2c8ff1f002c74cb72fdbd93e36c082bb7e01c4dc3d10ffada4c50368f9
    ;;
s390x)
    digest_lib=661e00ef2b05f743613a4325de7cff2e10ffb55b48018f1ba2af0c9247f81a08
    digest_dev=804bd4dee0d736758cb4de84981ec90f9244a8723f7d655e7d81a4fd0d025365
    ;;
aarch64)
    digest_lib=cddc0e4875e4232807603576f9aadbe6452d719796543f81d1b0bad419b2101f
    digest_dev=8813efcd79b2f7c6d41b4f8dd1441d01993524f5669a0bac3325600a6366d481
    debian=arm64
    ;;
musl | mingw)
    digest_source=f0ccd8242d55e2fd74b16ba518359151f6f8383ff8aef4976e48393f77bba8b6
    ;;
*)
    echo "fetch-cmocka: unknown architecture '$arch'; i386, s390x, aarch64, musl and mingw are known" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
root=build/sysroot/$arch
[ ! -e "$root/complete" ] || exit 0

# shellcheck disable=SC2016  # apt-get fills the format in, not the shell
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' |
    head -n 1)
pool=${mirror:-http://deb.debian.org/debian/}pool/main/c/cmocka

rm -rf "$root"
mkdir -p "$root/unpacked" "$root/include" "$root/lib"

# fetch FILE DIGEST
fetch()
{
    /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$pool/$1" "$root/$1" "SHA256:$2"
}

# fetch_package PACKAGE DIGEST
fetch_package()
{
    fetch "${1}_${version}_${debian:-$arch}.deb" "$2"
    dpkg-deb -x "$root/${1}_${version}_${debian:-$arch}.deb" "$root/unpacked"
}

take_packages()
{
    fetch_package libcmocka0 "$digest_lib"
    fetch_package libcmocka-dev "$digest_dev"
    cp "$root"/unpacked/usr/include/cmocka*.h "$root/include/"
    cp "$root"/unpacked/usr/lib/*/libcmocka.so.0.* "$root/lib/libcmocka.so.0"
    ln -s libcmocka.so.0 "$root/lib/libcmocka.so"
}

build_source()
{
    source=$root/unpacked/cmocka-$upstream
    archive=cmocka_$upstream.orig.tar.xz
    fetch "$archive" "$digest_source"
    (cd "$root/unpacked" && cmake -E tar xf "../$archive")
    cmake -S "$source" -B "$root/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/$arch.cmake" \
        -DCMAKE_BUILD_TYPE=Release -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF >/dev/null
    cmake --build "$root/build" --target cmocka-static
    cp "$source"/include/cmocka*.h "$root/include/"
    cp "$root/build/src/libcmocka-static.a" "$root/lib/libcmocka.a"
}

case $arch in
musl | mingw) build_source ;;
*) take_packages ;;
esac
touch "$root/complete"
