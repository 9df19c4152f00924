#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Boot Debian's own kernel of a machine in an emulator, and run the tests there, or a command.
#
# A guest is a kernel and an initramfs. The initramfs holds only busybox, the build and the libraries that it needs:
# no disk, no network, no installed package. The build and the files that tests read have the paths of the host,
# because these paths were compiled into them.
#
#     scripts/guest.sh        on the host: packs, boots, reads the console
#     scripts/guest/init.sh   in the guest: the first process
#     scripts/guest/suite.sh  in the guest: the tests
set -eu

usage()
{
    cat <<'TEXT'
Usage: ./dev guest [amd64|i686|arm64] [--nodes N] [--memory MB] [--tests REGEX] [--timeout SECONDS] [COMMAND...]

Boot the kernel of Debian 12 for that machine (default: amd64) under QEMU, with N NUMA nodes (default: 1), as
many CPUs, but at least 2, and MB megabytes of memory (default: 1024). Run the tests there: all test programs, or
those whose names match REGEX (such as '^(vmap|threads)/'); kva test smoke, with a fraction of a second for each
of its tests; and a replay of a recorded program. Or run COMMAND, in the source tree, with kva and the test
programs on PATH. The guest has busybox, the build, include/ and tests/, but no network and no compiler.

Variables named KVA_* are passed to the guest. An emulator is slow: unless they are set, KVA_TEST_SCALE is 0.01
and KVA_TEST_PATIENCE 5 there. With KVA_TEST_SCALE=1, kva test smoke runs all its loops, and ./dev demo replaces
the replay.

The exit status is that of the tests, or of COMMAND; 1 if the guest ends without one (a panic, or SECONDS have
passed; default: 3600). The last line is "N passed, N failed, N skipped"; with COMMAND, it counts 1.
TEXT
}

die()
{
    echo "guest: $1" >&2
    exit 2
}

# number OPTION VALUE
number()
{
    case $2 in
    "" | *[!0-9]* | 0*) die "$1 needs a number above 0, not '$2'" ;;
    esac
}

machine=amd64
case ${1:-} in
amd64 | i686 | arm64)
    machine=$1
    shift
    ;;
esac
nodes=1
memory=1024
timeout=3600
tests=.
while [ $# -gt 0 ]; do
    case $1 in
    --nodes) number "$1" "${2:-}" && nodes=$2 ;;
    --memory) number "$1" "${2:-}" && memory=$2 ;;
    --timeout) number "$1" "${2:-}" && timeout=$2 ;;
    --tests) tests=${2:?"guest: --tests needs a regular expression"} ;;
    --help)
        usage
        exit 0
        ;;
    --)
        shift
        break
        ;;
    -*) die "unknown option '$1'; see ./dev guest --help" ;;
    *) break ;;
    esac
    shift 2
done

# The machine: the preset that builds for it, its names in Debian and QEMU, and its kernel.
case $machine in
amd64)
    preset=release debian=amd64 kernel=linux-image-amd64 prefix=
    qemu="qemu-system-x86_64 -machine q35 -cpu max" console=ttyS0
    ;;
i686)
    preset=i386 debian=i386 kernel=linux-image-686-pae prefix=i686-linux-gnu-
    qemu="qemu-system-i386 -machine q35 -cpu max" console=ttyS0
    ;;
arm64)
    preset=aarch64 debian=arm64 kernel=linux-image-arm64 prefix=aarch64-linux-gnu-
    qemu="qemu-system-aarch64 -machine virt,gic-version=3 -cpu max,pauth-impdef=on" console=ttyAMA0
    ;;
esac

if [ "$machine" = amd64 ] && [ "$(uname -m)" != x86_64 ]; then
    die "amd64 needs a build of this machine, which is $(uname -m); use i686 or arm64, which are cross-built"
fi
cd "$(dirname "$0")/.."
here=$PWD
build=$here/build/$preset
sysroot=$here/build/sysroot/$debian
[ "$nodes" -le "$memory" ] || die "$memory MB do not suffice for $nodes nodes; raise --memory"
./dev setup guests
./dev build "$preset"
scripts/fetch-packages.sh "$debian" busybox-static "$kernel"

mkdir -p build/guest
run=$(mktemp -d -p "$here/build/guest")
qemu_pid=
# shellcheck disable=SC2317  # the trap calls it
clean()
{
    [ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null || true
    rm -rf "$run"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

now()
{
    date +%s
}

# ------------------------------------------------------------------------------------------ the initramfs

packing=$(now)
root=$run/root
mkdir -p "$root/bin" "$root/lib" "$root/guest/bin" "$root$here"

# Strip debug sections: all of the initramfs is memory of the guest.
for program in "$build/kva" "$build"/tests/*; do
    if [ -f "$program" ] && [ -x "$program" ]; then
        mkdir -p "$root$(dirname "$program")"
        "${prefix}strip" --strip-debug -o "$root$program" "$program"
        ln -s "$program" "$root/guest/bin/"
    fi
done

# library NAME: print its file. If the compiler finds none, it prints the name alone.
library()
{
    for file in "$sysroot"/usr/lib/*-linux-gnu*/"$1"; do
        [ ! -e "$file" ] || { echo "$file" && return; }
    done
    file=$("${prefix}gcc" -print-file-name="$1")
    [ -e "$file" ] || die "library $1 for $machine was not found"
    echo "$file"
}

# needs FILE...: print the libraries that they name, each once
needs()
{
    readelf -d "$@" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | LC_ALL=C sort -u
}

# bring NAME...: copy libraries, and those that they name, into /lib, where each loader looks.
bring()
{
    for name in "$@"; do
        [ ! -e "$root/lib/$name" ] || continue
        cp -L "$(library "$name")" "$root/lib/$name"
        # shellcheck disable=SC2046  # names
        bring $(needs "$root/lib/$name")
    done
}

# libgcc_s is opened when a thread is cancelled; no file names it.
# shellcheck disable=SC2046
bring libgcc_s.so.1 $(needs "$root$build/kva" "$root$build"/tests/*)
loader=$(readelf -l "$build/kva" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
if [ ! -e "$root$loader" ]; then
    mkdir -p "$root$(dirname "$loader")"
    cp -L "$(library "$(basename "$loader")")" "$root$loader"
fi

# The files that tests and the demonstration read.
cp -R --parents include tests scripts/demo.sh "$root$here"
cp "$sysroot/usr/bin/busybox" "$root/bin/"
cp scripts/guest/init.sh "$root/init"
cp scripts/guest/suite.sh "$root/guest/"
chmod +x "$root/init"

# quoted WORD...: quote them for a shell
quoted()
{
    for word in "$@"; do
        printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
    done
}

mark="guest $(basename "$run")"
export KVA_TEST_SCALE="${KVA_TEST_SCALE:-0.01}"
export KVA_TEST_PATIENCE="${KVA_TEST_PATIENCE:-5}"
{
    echo "MARK=$(quoted "$mark")"
    echo "FOLDER=$(quoted "$here")"
    env | sed -n 's/^\(KVA_[A-Z0-9_]*\)=.*/\1/p' | while IFS= read -r name; do
        eval "value=\$$name"
        # shellcheck disable=SC2154  # eval sets it
        echo "export $name=$(quoted "$value")"
    done
} >"$root/guest/environment"
command=$(quoted "$@")
if [ -n "$command" ]; then
    echo "$command" >"$root/guest/command"
else
    echo "exec sh /guest/suite.sh" >"$root/guest/command"
fi
# Remove the emulator that may stand before a test's program. A test whose command is a shell is a script, which needs
# a compiler or the whole source tree.
ctest --test-dir "$build" --show-only=json-v1 |
    jq -r --arg tests "$tests" --arg build "$build/" --argjson patience "$KVA_TEST_PATIENCE" '
    .tests[]
    | select(.name | test($tests))
    | (.properties | map({key: .name, value}) | from_entries) as $is
    | (.command // ["not built"]) as $command
    | first(($command[] | select(startswith($build))), $command[0]) as $program
    | if $command[0] | endswith("/sh") then
          ["skip", .name, "a script: it needs tools that a guest does not have"]
      else
          ["try", .name, ($is.TIMEOUT // 240) * $patience, $is.WORKING_DIRECTORY, $program]
              + ($is.ENVIRONMENT // [])
      end
    | @sh' >"$root/guest/tests"
[ -s "$root/guest/tests" ] || die "no test name matches '$tests'"

(cd "$root" && find . | cpio --quiet -o -H newc -R +0:+0) >"$run/initramfs"
rm -rf "$root"

# ------------------------------------------------------------------------------------------ the machine

cpus=2
[ "$nodes" -le 2 ] || cpus=$nodes
set -- -smp "$cpus" -m $((memory / nodes * nodes))
if [ "$nodes" -gt 1 ]; then
    node=0
    while [ "$node" -lt "$nodes" ]; do
        set -- "$@" -object "memory-backend-ram,id=node$node,size=$((memory / nodes))M" \
            -numa "node,nodeid=$node,cpus=$node,memdev=node$node"
        node=$((node + 1))
    done
fi
kernel=$(find "$sysroot/boot" -name 'vmlinuz-*' | LC_ALL=C sort -V | tail -n 1)
mkfifo "$run/console"
booting=$(now)
# shellcheck disable=SC2086  # a command and its arguments
timeout -k 10 "$timeout" $qemu "$@" -accel tcg,thread=multi \
    -display none -vga none -nic none -monitor none -serial stdio -no-reboot \
    -kernel "$kernel" -initrd "$run/initramfs" \
    -append "console=$console panic=-1 rdinit=/init quiet" </dev/null >"$run/console" 2>"$run/qemu" &
qemu_pid=$!

began=
status=
return=$(printf '\r')
while IFS= read -r line; do
    line=${line%"$return"}
    case $line in
    *"$mark begins"*)
        began=yes
        echo "guest: packed in $((booting - packing)) s, up after $(($(now) - booting)) s more"
        ;;
    *"$mark ends "*)
        status=${line##*"$mark ends "}
        status=${status%% *}
        line=${line%%"$mark ends"*} # the last output of the command, if it did not end the line
        [ -z "$line" ] || printf '%s\n' "$line"
        ;;
    *)
        if [ -z "$began" ]; then
            printf '%s\n' "$line" >>"$run/boot"
        elif [ -z "$status" ]; then
            printf '%s\n' "$line"
        fi
        ;;
    esac
done <"$run/console"
ended=0
wait "$qemu_pid" || ended=$?
qemu_pid=

if [ -z "$status" ]; then
    cat "$run/boot" "$run/qemu" 2>/dev/null || true
    case $ended in
    124 | 137) echo "guest: stopped after $timeout seconds; raise --timeout" >&2 ;;
    0) echo "guest: it ended without an exit status; if its kernel panicked, the lines above give the reason" >&2 ;;
    *) echo "guest: QEMU ended with status $ended" >&2 ;;
    esac
    status=1
    echo "0 passed, 1 failed"
elif [ -n "$command" ]; then
    [ "$status" -eq 0 ] && echo "1 passed, 0 failed" || echo "0 passed, 1 failed"
fi
exit "$status"
