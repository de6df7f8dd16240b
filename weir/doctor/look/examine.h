/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_EXAMINE_H
#define DOCTOR_EXAMINE_H

/*
 * One examination: two looks at the same processes and up to 8 glances at their threads in between.
 *
 * A look asks for the listeners first, then for the target's processes (how many descriptors, which, the epoll sets
 * and rings among them, threads), then for all other sockets, for who else holds the listeners and the other ends
 * of pipes and unix sockets, and last for the machine's numbers. examine() does all and sleeps between; who has
 * something better to do meanwhile takes the steps one by one: examine_begin, examine_glance whenever
 * examine_due_ms is 0, examine_end, and examine_again to go on from there with the second look as the first of
 * the next examination.
 *
 * 1. Nothing is changed, stopped or traced: see look.h. The target does not notice but for the time.
 * 2. What cannot be read is in the facts as a gap or a bit of process.unread; only what leaves no facts is an error.
 * 3. Every socket has a row, of whomever; tcp facts have only those of the target and those that nobody
 *    accepted yet. Of other processes only the descriptors are listed that are also the target's listeners, or
 *    the other end of its pipes and unix sockets.
 * 4. A target in another network namespace is looked at from inside, by a thread that goes there; where that is
 *    forbidden, from outside, which shows less and is a gap. The caller's threads stay where they are. The others
 *    of a target that is in several namespaces are seen without their sockets.
 * 5. Between begin and end nobody else touches the facts; the arrays in struct examine live until examine_drop.
 *
 * The facts are the caller's (facts_init before, facts_deinit after), and so is the examination; examine_drop frees
 * what it holds, at any point. One thread.
 */

#include "weir/doctor/look/look.h"

#define EXAMINE_WAIT_MS 2000
#define EXAMINE_PIDS    4096 /* processes, at most */

struct examine {
    const uint32_t *pids; /* none: every process that listens */
    uint32_t n_pids;
    const uint16_t
        *ports; /* only sockets with one of these at either end; none: all. Listeners always */
    uint32_t n_ports;
    uint32_t wait_ms;  /* between the looks; 0: EXAMINE_WAIT_MS */
    uint32_t aside_ms; /* of each look, at most so much in pauses: look_pace */
    unsigned see;      /* SEE_...; 0: everything */
    uint64_t net;      /* inode of the network namespace; 0: that of the first process */
};

enum examine_result { /* of what could be looked at; below 0: an error, and the facts are worth nothing */
    EXAMINE_DONE,
    EXAMINE_NO_LISTENER, /* the facts are whole, but none of the processes listens */
    EXAMINE_BLIND, /* whether they listen could not be seen: their descriptors are closed to us */
    EXAMINE_ENDED, /* all processes ended before the second look */
};

/* enum examine_result; -ESRCH: there is no such process; -ENOMEM, -E2BIG. */
WR_MUST int examine(const struct examine *what, struct facts *out);

struct examination {
    struct examine what;
    struct facts *out;
    uint64_t begun_ns;
    /* private */
    FACTS_LIST(uint32_t) targets; /* sorted */
    uint32_t outside;             /* a process of the namespace that could not be entered */
    struct look_pace pace;
};

/* The first look. 0, or as examine(). */
WR_MUST int examine_begin(struct examination *e, const struct examine *what, struct facts *out);
/* Until the next step should be taken; the ninth one is examine_end. */
uint32_t examine_due_ms(const struct examination *e);
bool examine_is_last(const struct examination *e);
WR_MUST int examine_glance(struct examination *e);
/* The second look. As examine(). */
WR_MUST int examine_end(struct examination *e);
/* After examine_end: its look becomes the first one of the next examination. */
void examine_again(struct examination *e);
void examine_drop(struct examination *e);

/* The processes of the examination: those asked for that there were, or those found. Sorted. */
const uint32_t *examine_targets(const struct examination *e, uint32_t *out_n);

/* Which processes hold a listener of this port (TCP; 0: of any port), by number. How many; -errno. A process
 * whose descriptors are closed to us is not among them: *out_hidden says that there are such. */
WR_MUST int examine_find(uint16_t port, uint32_t *out_pids, uint32_t room, bool *out_hidden);

/* Who is behind the connections that these processes made to this machine: the processes that hold the other
 * ends, or listen where they lead. pids: sorted. Reads /proc once more. How many, not counting pids themselves;
 * -errno. */
WR_MUST int examine_upstream(const struct facts *f, const uint32_t *pids, uint32_t n,
                             uint32_t *out_pids, uint32_t room);

#endif
