/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/*
 * A model of deferred free, flush and pool drain (src/space/defer.c, pool.c) for Spin. proofs/check.sh checks it.
 *
 * There are UNITS units of address space. Each is in one place: free in the tree, held by a thread, deferred in one
 * of two epochs, or pooled with one of the CPUs. A thread takes a unit from its CPU's pool, or else from the tree. It
 * gives the unit back to the pool of any CPU, or defers it. A thread that finds no unit drains all pools, then
 * flushes, then returns "no space".
 *
 * CHECKED
 *   S1  a flush frees a unit only if the unit was deferred before the flush's callback began
 *   S2  no unit is held twice, and none is lost
 *   S3  "no space" is returned only if at one moment of the call each unit was held, or deferred after the call began
 *   S4  no thread waits for ever: there is no invalid end state. (Compiled with -DNP and run with -l, the verifier
 *       also shows that no threads keep each other busy for ever.)
 *
 * Each lock is a boolean: `space`, and one for each CPU. They are taken in the order CPUs, space. A flush frees one
 * unit under each hold of the space's lock (a slice of 1).
 */
#define THREADS 3
#define CPUS 2
#define UNITS 2
#define ROUNDS 2

#define NO_THREAD 255

mtype = { TREE, HELD, DEFERRED, POOLED };
mtype = { NONE, CALLING, GIVING };

mtype where[UNITS] = TREE;
byte holder[UNITS] = NO_THREAD;
byte epoch_of[UNITS];
byte cpu_of[UNITS];
bool covered[UNITS];                /* deferred, and inside the range that a callback received */
bool was_deferred[THREADS * UNITS]; /* since the thread's request began, or longer */

bool space = false;
bool cpu[CPUS] = false;

mtype stage = NONE;
byte epoch = 0;
byte begun = 0;
byte ended = 0;

#define lock(l)   atomic { !l -> l = true }
#define unlock(l) l = false

inline count_waiting(c, n) {
    d_step {
        n = 0;
        u = 0;
        do
        :: u < UNITS -> n = n + (where[u] == DEFERRED && epoch_of[u] == c -> 1 : 0); u++
        :: else -> break
        od;
        u = 0
    }
}

/* The space is locked, and no flush is under way. */
inline begin_flush() {
    d_step {
        epoch = 1 - epoch;
        begun++;
        stage = CALLING;
        u = 0;
        do
        :: u < UNITS ->
            covered[u] = (where[u] == DEFERRED && epoch_of[u] == 1 - epoch);
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

/* The space is locked. Free one unit of the old epoch; the flush ends when none is left. */
inline give_slice() {
    d_step {
        u = 0;
        do
        :: u < UNITS && !(where[u] == DEFERRED && epoch_of[u] == 1 - epoch) -> u++
        :: else -> break
        od;
        if
        :: u < UNITS ->
            assert(covered[u]); /* S1 */
            covered[u] = false;
            where[u] = TREE;
            n = 0;
            do
            :: n < THREADS -> was_deferred[n * UNITS + u] = false; n++
            :: else -> break
            od
        :: else
        fi;
        u = 0
    }
    count_waiting(1 - epoch, n);
    if
    :: n == 0 -> stage = NONE; ended++
    :: else
    fi
}

/* The space is locked. Return when all units that are deferred now are free. */
inline flush_all() {
    count_waiting(epoch, n);
    goal = begun + (n > 0 -> 1 : 0);
    do
    :: ended >= goal -> break
    :: ended < goal && stage == NONE -> begin_flush()
    :: ended < goal && stage == CALLING ->
        unlock(space);
        (stage != CALLING); /* wait for the word that a stage change writes */
        lock(space)
    :: ended < goal && stage == GIVING ->
        give_slice();
        unlock(space);
        lock(space)
    od
}

/* Take the lowest unit of the tree, if there is one: `mine`. */
inline take_from_tree() {
    d_step {
        u = 0;
        do
        :: u < UNITS && where[u] != TREE -> u++
        :: else -> break
        od;
        if
        :: u < UNITS ->
            assert(holder[u] == NO_THREAD); /* S2 */
            where[u] = HELD;
            holder[u] = me;
            mine = u
        :: else
        fi;
        u = 0
    }
}

/* The space is not locked. Move all pools to the tree, under all locks at once, and keep the space locked. S3 refers
 * to this moment. */
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
            :: where[u] == TREE || (where[u] == DEFERRED && was_deferred[me * UNITS + u]) -> no_room = false
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
    byte mine = NO_THREAD;
    byte round = 0;
    byte at = 0;
    byte u = 0;
    byte n = 0;
    byte goal = 0;
    bool no_room = false;

    do
    :: round == ROUNDS -> break
    :: round < ROUNDS && mine == NO_THREAD ->
        /* the units that are deferred when the request begins */
        d_step {
            u = 0;
            do
            :: u < UNITS -> was_deferred[me * UNITS + u] = (where[u] == DEFERRED); u++
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
                assert(holder[u] == NO_THREAD); /* S2 */
                where[u] = HELD;
                holder[u] = me;
                mine = u
            :: else
            fi;
            u = 0
        }
        unlock(cpu[at]);
        if
        :: mine == NO_THREAD ->
            lock(space);
            take_from_tree();
            unlock(space)
        :: else
        fi;
        if
        :: mine == NO_THREAD -> drain(); take_from_tree(); unlock(space)
        :: else
        fi;
        if
        :: mine == NO_THREAD ->
            lock(space);
            flush_all();
            unlock(space);
            drain();
            take_from_tree();
            unlock(space);
            assert(mine != NO_THREAD || no_room) /* S3 */
        :: else
        fi;
        at = 0;
        n = 0;
        goal = 0;
        no_room = false;
        round++
    :: round < ROUNDS && mine != NO_THREAD ->
        if
        :: /* defer it */
            lock(space);
            d_step {
                assert(where[mine] == HELD && holder[mine] == me); /* S2 */
                holder[mine] = NO_THREAD;
                where[mine] = DEFERRED;
                epoch_of[mine] = epoch;
                covered[mine] = false;
                mine = NO_THREAD
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
                holder[mine] = NO_THREAD;
                where[mine] = POOLED;
                cpu_of[mine] = at;
                mine = NO_THREAD
            }
            unlock(cpu[at]);
            at = 0
        fi
    od;
    /* A thread holds no unit at its end, so `init` finds all of them. */
    if
    :: mine != NO_THREAD ->
        lock(space);
        d_step {
            assert(where[mine] == HELD && holder[mine] == me);
            holder[mine] = NO_THREAD;
            where[mine] = TREE;
            mine = NO_THREAD
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
    :: i < UNITS -> assert(where[i] != HELD && holder[i] == NO_THREAD); i++ /* S2 */
    :: else -> break
    od
}
