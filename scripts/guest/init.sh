#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The first process of a guest (scripts/guest.sh): set up a small system, run the command, power off. All output goes
# over the console, to which the kernel also writes. Two marked lines delimit the command's output for the host; the
# second has the exit status.
/bin/busybox mkdir -p /proc /sys /dev /run
/bin/busybox --install -s /bin
export PATH=/guest/bin:/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec <>/dev/console >&0 2>&1
stty -opost
mkdir -p /dev/shm /tmp
chmod 1777 /tmp
mount -t tmpfs tmpfs /dev/shm
ln -sf /proc/self/fd /dev/fd
ln -sf /dev/fd/0 /dev/stdin
ln -sf /dev/fd/1 /dev/stdout
ln -sf /dev/fd/2 /dev/stderr
dmesg -n 1 # only a panic goes to the console

# shellcheck disable=SC1091  # the host wrote it
. /guest/environment # MARK, FOLDER, and the caller's KVA_* variables
cd "$FOLDER" || exit 1
echo "$MARK begins"
# Not on the terminal itself: programs would show progress there, which does not belong in a log.
{
    sh /guest/command </dev/null 2>&1
    echo $? >/run/status
} | cat
echo "$MARK ends $(cat /run/status) "
sync
poweroff -f
