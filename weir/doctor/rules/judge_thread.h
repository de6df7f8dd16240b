/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_THREAD_H
#define DOCTOR_JUDGE_THREAD_H

/*
 * What the rules know about threads: what a system call means, who slept from look to look, and what it waits for.
 *
 * A thread that is in the same call with the same arguments and the same count of voluntary switches at both looks
 * did not wake in between: it had no chance to do anything. Whether that is its duty (an event loop, an idle worker)
 * or a fault depends on the call. Texts name what a descriptor is, and who is at the other end.
 *
 * 1. What is not known (a call that could not be read, a count that is FACTS_UNKNOWN) is never "asleep".
 * 2. A runtime's idle threads sleep in futex by design: judge_blocked counts LOCK as blocked, and who asks decides.
 *
 * All pure; the look's memory is borrowed.
 */

#include "weir/doctor/rules/judge.h"

enum call_kind {
    CALL_UNKNOWN,
    CALL_RUNNING,
    CALL_LOOP,   /* waits for the events of a set that is visible */
    CALL_RING,   /* the same in io_uring */
    CALL_POLL,   /* the same, its descriptors are in its memory: not visible */
    CALL_ACCEPT, /* waits for a connection */
    CALL_READ,
    CALL_WRITE,
    CALL_CONNECT,
    CALL_FILE,
    CALL_LOCK,
    CALL_SLEEP,
    CALL_CHILD,
    CALL_SIGNAL, /* waits for a signal, as masters do */
    CALL_OTHER,
};

struct call {
    const char *name;
    enum call_kind kind;
    bool fd; /* its first argument is one */
};

const struct call *judge_call(const struct facts_thread *t);

uint64_t judge_between_ms(const struct judge *j);
/* The same thread at look A; NULL when it is new. */
const struct facts_thread *judge_thread_before(const struct judge *j,
                                               const struct facts_thread *t);
/* t, of look B, slept in one call from look to look. */
bool judge_slept(const struct judge *j, const struct facts_thread *t);
/* It slept in the middle of work, not where loops, masters and accepters wait, and long enough. */
bool judge_blocked(const struct judge *j, const struct facts_thread *t);

/* The next thread of a process from *io_at on; NULL behind the last. */
const struct facts_thread *judge_next_thread(const struct facts_look *l, uint32_t pid,
                                             uint32_t *io_at);
unsigned judge_threads(const struct facts_look *l, uint32_t pid);
/* The process was there at both looks, and all its threads and their calls could be read. */
bool judge_threads_known(const struct judge *j, uint32_t pid);
/* All its descriptors and epoll sets could be read. */
bool judge_fds_known(const struct judge *j, uint32_t pid);
/* It waits for events of this set. */
bool judge_waits_on(const struct facts_thread *t, int epoll);
/* How long t, of look B, slept in the call it is in, as glances and the first look tell. */
uint64_t judge_asleep_ms(const struct judge *j, const struct facts_thread *t);
/* Some thread of pid waited for events of this set, at a look or a glance. */
bool judge_set_served(const struct judge *j, uint32_t pid, int epoll);

/* A thread's name, at most 16 bytes: "pool-1-thread-12" is of the family "pool-*-thread-*". */
void judge_family(const char *comm, char out[17]);
/* Threads that a runtime keeps for itself. */
bool judge_is_runtime(const char *comm);

/* ---- texts ----------------------------------------------------------------------------------------- */
/* "pid 2190 logd (stopped)". */
void judge_process_text(const struct judge *j, uint32_t pid, char out[EVIDENCE_TEXT]);
/* What a descriptor of pid is: "tcp 127.0.0.1:9105", "pipe, other end pid 2190 logd (stopped)", a path. */
void judge_fd_text(const struct judge *j, uint32_t pid, int fd, char out[EVIDENCE_TEXT]);
/* What a sleeping thread waits for; "" where nobody can tell. */
void judge_wait_text(const struct judge *j, const struct facts_thread *t,
                     char out[EVIDENCE_TEXT]);
/* Who is at the other end of this pipe or unix socket: a process of another program before a relative, a reader
 * before who only holds it; 0 where it is not known. */
uint32_t judge_other_end(const struct facts_look *l, const struct facts_fd *fd);
/* The call's name, what it waits for, for how long: the evidence of every rule about a sleeping thread. */
void judge_put_sleep(const struct judge *j, struct finding *f, const struct facts_thread *t);

#endif
