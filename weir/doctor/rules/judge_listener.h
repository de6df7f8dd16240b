/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_LISTENER_H
#define DOCTOR_JUDGE_LISTENER_H

/*
 * What the rules know about listeners: who holds one, who watches it, and whether its queue stands.
 *
 * A queue stands when the same unaccepted sockets wait in it at both looks. A listener is watched when an epoll set
 * with an armed event for it exists, in whatever process: of workers that share it one is enough.
 *
 * 1. Kernels that do not tell the inode of a watched descriptor are asked by (pid, fd) instead: "in no set" is
 *    never said because a kernel is old.
 *
 * All pure; rows are borrowed from look B.
 */

#include "weir/doctor/rules/judge.h"

/* The next listener of the target from *io_at on that has an owner; NULL behind the last. */
const struct facts_socket *judge_next_listener(const struct judge *j, uint32_t *io_at);
/* The next process of the target that was there at both looks. */
const struct facts_process *judge_next_process(const struct judge *j, uint32_t *io_at);

/* The i-th watch of a socket, in whatever set of whatever process. */
const struct facts_watch *judge_watch(const struct facts_look *l, uint64_t inode, uint32_t i);
/* It can still fire: a one-shot that fired cannot. */
bool judge_armed(const struct facts_watch *w);
/* Its descriptor in pid, -1: it has none. */
int judge_held_as(const struct facts_look *l, uint64_t inode, uint32_t pid);

/* Something waits in the queue at both looks, and the same. */
bool judge_queue_stands(const struct judge *j, const struct facts_socket *listener,
                        struct judge_queue *out);
/* Something waits in the queue while a loop of the target that watches it edge-triggered sleeps: it may be that nobody
 * comes to take it, or that it came just now. */
bool judge_edge_sleeps(const struct judge *j, const struct facts_socket *listener);
/* Accepted by somebody, and at both looks there are bytes in it that nobody reads. */
bool judge_unread(const struct judge *j, const struct facts_socket *s);
/* A listener: subject, victims and the lines of its queue. */
void judge_put_listener(const struct judge *j, struct finding *f, const struct facts_socket *s);
void judge_put_queue(const struct judge *j, struct finding *f, const struct facts_socket *s,
                     const struct judge_queue *q);

/* What waits on sockets for somebody to come. */
struct judge_work {
    uint64_t unread, unaccepted; /* connections */
    uint64_t oldest_ms;
    const struct facts_socket *listener; /* the last whose queue stands; NULL: none does */
};
/* A listener whose queue stands, or a connection that nobody reads; false: nothing waits on s. */
bool judge_work_add(const struct judge *j, const struct facts_socket *s, struct judge_work *io);
/* Its counts and its listener. */
void judge_put_work(struct finding *f, const struct judge_work *w);

/* The process holds a connection that a client opened. */
bool judge_has_connection(const struct judge *j, uint32_t pid);

#endif
