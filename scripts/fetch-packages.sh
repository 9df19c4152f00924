#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Unpack Debian 12's packages of an architecture below build/sysroot/ARCH: libraries for cross builds, kernels and
# busybox for guests. The system's own list of packages is neither read nor changed.
#
# Not by `dpkg --add-architecture`: a foreign library pulls in the foreign C library, which apt installs only in
# exactly the version of the native one. The two differ whenever an architecture gets its security updates later, or
# no longer. The cross compilers bring a C library of their own.
#
# No version stands here, because kernels change with each security update, and a mirror keeps only the last. apt,
# with a state of its own that has one architecture and no installed package, finds today's version in the signed
# index, verifies each package, and uses the mirrors and proxies of the system.
#
# Unpacked packages stay; `rm -r build/sysroot` renews them.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: scripts/fetch-packages.sh amd64|arm64|i386|s390x PACKAGE..." >&2
    exit 2
fi
arch=$1
shift

cd "$(dirname "$0")/.."
root=$PWD/build/sysroot/$arch
unpacked=$root/var/unpacked # one file for each package, made last
state=$root/var/apt

missing()
{
    for package in "$@"; do
        [ -e "$unpacked/$package" ] || printf '%s ' "$package"
    done
}

[ -n "$(missing "$@")" ] || exit 0
mkdir -p "$unpacked"
# If two fetch at once, the second waits, and finds all packages unpacked.
exec 9>"$root/var/lock"
flock 9
packages=$(missing "$@")
[ -n "$packages" ] || exit 0

# mirror_of CODENAME DEFAULT: the system's mirror of that release
mirror_of()
{
    # shellcheck disable=SC2016  # apt-get expands the format, not the shell
    uri=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' "Codename: $1" 'Component: main' | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${uri:-$2} $1 main"
}

rm -rf "$state"
mkdir -p "$state/lists/partial" "$state/archives/partial"
: >"$state/status"
mirror_of bookworm http://deb.debian.org/debian/ >"$state/sources.list"
mirror_of bookworm-security http://deb.debian.org/debian-security/ >>"$state/sources.list"
cat >"$state/apt.conf" <<CONF
APT::Architecture "$arch";
#clear APT::Architectures;
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
#clear APT::Update;
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Cache::pkgcache "packages.bin";
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
CONF
apt()
{
    command=$1
    shift
    "$command" -c "$state/apt.conf" "$@"
}

# A package such as linux-image-amd64 depends on today's kernel. Print the kernel's name.
kernel_of()
{
    apt apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1
}

# unpack FILE: omit the parts that neither a build nor a guest needs. The file system is merged: /lib is /usr/lib.
unpack()
{
    dpkg-deb --fsys-tarfile "$1" | tar -x -C "$root" --no-same-owner --keep-directory-symlink \
        --exclude=./lib/modules --exclude=./usr/share --exclude='./usr/lib/linux-image-*'
}

# Links in packages may be absolute; make them relative, so that they stay below $root.
keep_links_inside()
{
    find "$root/usr" -type l -lname '/*' | while IFS= read -r link; do
        ln -sfr "$root$(readlink "$link")" "$link"
    done
}

for folder in bin sbin lib; do
    mkdir -p "$root/usr/$folder"
    ln -sfn "usr/$folder" "$root/$folder"
done
echo "Fetching $packages($arch)"
# If an index cannot be fetched, apt reports it. The other one may suffice; if not, the download fails.
apt apt-get -q=2 update || true
names=
for package in $packages; do
    case $package in
    linux-image-*) names="$names $(kernel_of "$package")" ;;
    *) names="$names $package" ;;
    esac
done
# apt downloads into the current folder.
# shellcheck disable=SC2086  # a list of names
(cd "$state/archives" && apt apt-get -q=2 download $names)
for file in "$state"/archives/*.deb; do
    unpack "$file"
done
keep_links_inside
for package in $packages; do
    : >"$unpacked/$package"
done
rm -rf "$state"
