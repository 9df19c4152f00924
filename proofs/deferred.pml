/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/*
 * Deferred free, flush and pool drain, as src/space/defer.c and pool.c do them, for Spin. How to check it: proofs/check.sh.
 *
 * UNITS units of address space. Each is in one place: free in the tree, held by a thread, parked in one of two colours, or pooled
 * with one of the CPUs. Threads take a unit (from their CPU's pool, else from the tree), give it back to the pool of any CPU, or
 * park it. Whoever finds nothing drains all pools, then flushes, then says "no space".
 *
 * CHECKED
 *   S1  a unit is given back by a flush only if it was parked before the flush's callback began
 *   S2  no unit is held twice, none is lost
 *   S3  "no space" is said only if at one moment of the call all units were held, or parked after the call began
 *   S4  no thread waits for ever (no invalid end state; with -l, some thread always gets on)
 *
 * The locks are words: `space`, and one for each CPU; taken in the order CPUs, space. A flush gives back one unit for each hold of
 * the space's lock (a slice of 1).
 */
#define THREADS 3
#define CPUS 2
#define UNITS 2
#define ROUNDS 2

#define NOBODY 255

mtype = { TREE, HELD, PARKED, POOLED };
mtype = { NONE, CALLING, GIVING };

mtype where[UNITS] = TREE;
byte holder[UNITS] = NOBODY;
byte colour_of[UNITS];
byte cpu_of[UNITS];
bool told[UNITS];     /* parked, and inside the range that a callback was told of */
bool was_parked[THREADS * UNITS]; /* when the thread's request began, and ever since */

bool space = false;
bool cpu[CPUS] = false;

mtype stage = NONE;
byte colour = 0;
byte begun = 0;
byte ended = 0;

#define lock(l)   atomic { !l -> l = true }
#define unlock(l) l = false

inline count_waiting(c, n) {
    d_step {
        n = 0;
        u = 0;
        do
        :: u < UNITS -> n = n + (where[u] == PARKED && colour_of[u] == c -> 1 : 0); u++
        :: else -> break
        od;
        u = 0
    }
}

/* The space is locked, and nothing is under way. */
inline begin_flush() {
    d_step {
        colour = 1 - colour;
        begun++;
        stage = CALLING;
        u = 0;
        do
        :: u < UNITS ->
            told[u] = (where[u] == PARKED && colour_of[u] == 1 - colour);
            u++
        :: else -> break
        od;
        u = 0
    }
    unlock(space);
    skip; /* the callback */
    lock(space);
    stage = GIVING
}

/* The space is locked: one unit of the old colour becomes free; the flush ends when none is left. */
inline give_slice() {
    d_step {
        u = 0;
        do
        :: u < UNITS && !(where[u] == PARKED && colour_of[u] == 1 - colour) -> u++
        :: else -> break
        od;
        if
        :: u < UNITS ->
            assert(told[u]); /* S1 */
            told[u] = false;
            where[u] = TREE;
            n = 0;
            do
            :: n < THREADS -> was_parked[n * UNITS + u] = false; n++
            :: else -> break
            od
        :: else
        fi;
        u = 0
    }
    count_waiting(1 - colour, n);
    if
    :: n == 0 -> stage = NONE; ended++
    :: else
    fi
}

/* The space is locked: until all that is parked now is free. */
inline settle() {
    count_waiting(colour, n);
    goal = begun + (n > 0 -> 1 : 0);
    do
    :: ended >= goal -> break
    :: ended < goal && stage == NONE -> begin_flush()
    :: ended < goal && stage == CALLING ->
        unlock(space);
        (stage != CALLING); /* the word that announces a turn */
        lock(space)
    :: ended < goal && stage == GIVING ->
        give_slice();
        unlock(space);
        lock(space)
    od
}

/* Into u, the lowest unit in the tree; UNITS if there is none. */
inline take_from_tree() {
    d_step {
        u = 0;
        do
        :: u < UNITS && where[u] != TREE -> u++
        :: else -> break
        od;
        if
        :: u < UNITS ->
            assert(holder[u] == NOBODY); /* S2 */
            where[u] = HELD;
            holder[u] = me;
            mine = u
        :: else
        fi;
        u = 0
    }
}

/* The space is not locked: all pools go to the tree, under all locks at once, and the space stays locked. At that moment S3 looks. */
inline drain() {
    lock(cpu[0]);
    lock(cpu[1]);
    lock(space);
    d_step {
        no_room = true;
        u = 0;
        do
        :: u < UNITS ->
            if
            :: where[u] == POOLED -> where[u] = TREE
            :: else
            fi;
            if
            :: where[u] == TREE || (where[u] == PARKED && was_parked[me * UNITS + u]) -> no_room = false
            :: else
            fi;
            u++
        :: else -> break
        od;
        u = 0
    }
    unlock(cpu[1]);
    unlock(cpu[0])
}

proctype thread(byte me)
{
    byte mine = NOBODY;
    byte round = 0;
    byte at = 0;
    byte u = 0;
    byte n = 0;
    byte goal = 0;
    bool no_room = false;

    do
    :: round == ROUNDS -> break
    :: round < ROUNDS && mine == NOBODY ->
        /* what was parked when the request began */
        d_step {
            u = 0;
            do
            :: u < UNITS -> was_parked[me * UNITS + u] = (where[u] == PARKED); u++
            :: else -> break
            od;
            u = 0
        }
        if
        :: at = 0
        :: at = 1
        fi;
        lock(cpu[at]);
        d_step {
            do
            :: u < UNITS && !(where[u] == POOLED && cpu_of[u] == at) -> u++
            :: else -> break
            od;
            if
            :: u < UNITS ->
                assert(holder[u] == NOBODY); /* S2 */
                where[u] = HELD;
                holder[u] = me;
                mine = u
            :: else
            fi;
            u = 0
        }
        unlock(cpu[at]);
        if
        :: mine == NOBODY ->
            lock(space);
            take_from_tree();
            unlock(space)
        :: else
        fi;
        if
        :: mine == NOBODY -> drain(); take_from_tree(); unlock(space)
        :: else
        fi;
        if
        :: mine == NOBODY ->
            lock(space);
            settle();
            unlock(space);
            drain();
            take_from_tree();
            unlock(space);
            assert(mine != NOBODY || no_room) /* S3 */
        :: else
        fi;
        at = 0;
        n = 0;
        goal = 0;
        no_room = false;
        round++
    :: round < ROUNDS && mine != NOBODY ->
        if
        :: /* park it */
            lock(space);
            d_step {
                assert(where[mine] == HELD && holder[mine] == me); /* S2 */
                holder[mine] = NOBODY;
                where[mine] = PARKED;
                colour_of[mine] = colour;
                told[mine] = false;
                mine = NOBODY
            }
            unlock(space)
        :: /* give it to a pool */
            if
            :: at = 0
            :: at = 1
            fi;
            lock(cpu[at]);
            d_step {
                assert(where[mine] == HELD && holder[mine] == me); /* S2 */
                holder[mine] = NOBODY;
                where[mine] = POOLED;
                cpu_of[mine] = at;
                mine = NOBODY
            }
            unlock(cpu[at]);
            at = 0
        fi
    od;
    /* nothing is left in a thread's hands: the last one to end is to find all of it */
    if
    :: mine != NOBODY ->
        lock(space);
        d_step {
            assert(where[mine] == HELD && holder[mine] == me);
            holder[mine] = NOBODY;
            where[mine] = TREE;
            mine = NOBODY
        }
        unlock(space)
    :: else
    fi
}

init {
    byte i = 0;

    atomic {
        do
        :: i < THREADS -> run thread(i); i++
        :: else -> break
        od
    }
    (_nr_pr == 1); /* all threads have ended: S4 */
    assert(!space && !cpu[0] && !cpu[1]);
    i = 0;
    do
    :: i < UNITS -> assert(where[i] != HELD && holder[i] == NOBODY); i++ /* S2 */
    :: else -> break
    od
}
