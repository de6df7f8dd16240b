/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_ACCEPT_H
#define WR_IO_ACCEPT_H

/*
 * How a pool of workers shares the connections of its listeners: four modes behind one stream of
 * accepted descriptors.
 *
 *   reuseport  one listening socket per worker; the kernel spreads by hash
 *   exclusive  one socket in every worker's epoll, EPOLLEXCLUSIVE: one wake-up per arrival
 *   notify     the master watches the socket and rings one worker's eventfd, in turn
 *   fdpass     the master accepts and hands descriptors over in batches (SCM_RIGHTS), in turn
 *
 * 1. The master holds every listening descriptor for the life of the family, so a worker's death or
 *    replacement loses no queued connection: with reuseport another worker accepts from the orphan's
 *    socket until the successor is ready; in the other modes the others take it anyway.
 * 2. notify: the eventfd coalesces and cannot be full in a way that matters; the master tells one
 *    worker, waits for "drained", that worker's death, or a few milliseconds, whichever is first, and
 *    looks at the queue again (level-triggered): nothing depends on one edge.
 * 3. fdpass: channels are bounded; a full or dead worker's share goes to another; when all are full the
 *    master stops accepting and the kernel's queue holds them. What lies unread in a dead worker's
 *    channel is taken back and given to another.
 * 4. Accepting is bounded per turn and goes on by itself; a descriptor shortage pauses it with back-off.
 *
 * Master: open the share before the workers are started and pass it the pool's events. Worker: open the stream, get descriptors by callback, close it when stopping.
 */

#include "libweir/io/proc.h"

struct wr_accept;       /* worker's side */
struct wr_accept_share; /* master's side, and what the child inherits of it */
struct wr_log;
struct wr_loop;
struct wr_seat;

enum wr_accept_mode {
    WR_ACCEPT_REUSEPORT,
    WR_ACCEPT_EXCLUSIVE,
    WR_ACCEPT_NOTIFY,
    WR_ACCEPT_FDPASS,
    WR_ACCEPT_MODES
};

const char *wr_accept_mode_name(enum wr_accept_mode mode);
int wr_accept_mode_parse(const char *name, enum wr_accept_mode *out) WR_MUST;

struct wr_accept_share_options {
    enum wr_accept_mode mode;
    unsigned workers;
    /* Opens one bound, listening, non-blocking socket; reuse_port as the mode needs it. Called once, or
     * once per worker. Returns the descriptor or a negative error. */
    int (*listen)(bool reuse_port, void *arg);
    void *arg;
    struct wr_log *log;
    struct wr_seat *seat; /* the master's, for accept counters in fdpass mode; may be NULL */
    unsigned channel_fds; /* fdpass: unread descriptors per worker; 0: 128 */
    unsigned patience_ms; /* notify: for "drained"; 0: 10 */
};

/* ---- master ---------------------------------------------------------------------------------------- */
int wr_accept_share_new(struct wr_loop *loop, const struct wr_accept_share_options *options,
                        struct wr_accept_share **out) WR_MUST;
/* Every event of the pool goes here (proc.h): the share learns who is ready, stopping, gone. */
void wr_accept_share_event(struct wr_accept_share *share, enum wr_procs_event event,
                           unsigned index, pid_t pid);
/* For wr_procs_options.list_to_close: what belongs to the master or to siblings, connections under way
 * included: a copy of one of those in a child would keep its client waiting for the end. */
unsigned wr_accept_share_list(const struct wr_accept_share *share, unsigned index,
                              int out_fds[static WR_PROCS_CLOSE_MAX]);
/* A listening descriptor (the first, or the worker's), to read its address back. */
int wr_accept_share_fd(const struct wr_accept_share *share, unsigned index);
void wr_accept_share_free(struct wr_accept_share **share);

/* ---- worker ---------------------------------------------------------------------------------------- */
/* fd is non-blocking, close-on-exec, and the callee's from now on. */
typedef void wr_accepted_fn(int fd, void *arg);

int wr_accept_open(struct wr_loop *loop, const struct wr_accept_share *share, unsigned index,
                   wr_accepted_fn *fn, void *arg, struct wr_seat *seat, struct wr_log *log,
                   struct wr_accept **out) WR_MUST;
/* Full house: takes nothing until resumed; the kernel's queue (or the other workers) hold them, and what the master has
 * handed over already waits. */
void wr_accept_pause(struct wr_accept *accept);
void wr_accept_resume(struct wr_accept *accept);
/* Stops taking. What was handed to this worker but not yet taken is drained to fn first. */
void wr_accept_close(struct wr_accept **accept);

#endif
