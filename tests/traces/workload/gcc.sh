#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Writes the C program that gcc.strace shows being compiled: 700 functions of some 14 lines, and a table of them.
set -eu
cat <<'PROGRAM'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <pthread.h>
struct node { struct node *left, *right; long key; double value; char name[32]; };
PROGRAM
i=0
while [ $i -lt 700 ]; do
    if [ $i -eq 0 ]; then call='sum + 1'; else call="f$((i - 1))(n->right, b, sum)"; fi
    cat <<PROGRAM
static long f$i(struct node *n, long a, long b) {
    long sum = a * $((i + 3)) ^ b;
    for (long i = 0; i < (a & 63); i++) {
        switch ((sum + i) % 7) {
        case 0: sum += n->key * i; break;
        case 1: sum ^= (long)(n->value * $i.5); break;
        case 2: if (n->left) sum -= n->left->key; break;
        case 3: if (n->right) sum = $call; break;
        case 4: sum += (long)strlen(n->name) << (i & 7); break;
        default: n->name[i & 31] = (char)(sum & 127); n->value += sqrt((double)(i + $i));
        }
    }
    return sum;
}
PROGRAM
    i=$((i + 1))
done
printf 'static long (*const table[])(struct node *, long, long) = {f0'
i=1
while [ $i -lt 700 ]; do
    printf ',f%d' $i
    i=$((i + 1))
done
cat <<'PROGRAM'
};
int main(int c, char **v) { struct node n = {0}; long s = c; for (int i = 0; i < 700; i++) s += table[i](&n, s, i); printf("%ld %s\n", s, v[0]); return 0; }
PROGRAM
