/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_ACCEPT_PRIVATE_H
#define WR_IO_ACCEPT_PRIVATE_H

/*
 * Shared by accept.c (worker) and accept_share.c (master): what lies in the memory between them, and the
 * descriptors that a child inherits.
 */

#include "libweir/io/accept.h"
#include "libweir/io/listen.h"
#include "libweir/io/loop.h"

#define ACCEPT_BURST   64
#define ACCEPT_PENDING 256

/* One line per worker in shared memory. */
struct accept_words {
    /* the worker's; atomic additions, because during a replacement there are two */
    WR_CACHE_ALIGNED uint64_t taken; /* descriptors read from its channel */
    uint64_t drained;                /* times it found the queue empty */
    uint64_t paused;
    /* the master's */
    WR_CACHE_ALIGNED uint64_t adopted_by; /* index + 1 of who accepts for this dead worker; 0 */
};

struct accept_lane { /* the master's view of one worker */
    int listen_fd;   /* reuseport: its own socket */
    int bell;        /* eventfd to the worker */
    int channel[2];  /* fdpass: [0] the master writes, [1] the worker reads; both stay open */
    bool ready, late;
    bool orphan;  /* its process died; cleared when a successor is ready */
    pid_t holder; /* the latest that got ready */
    uint64_t drained_seen, sent;
    uint64_t blocked_until_ms;
};

struct wr_accept_share {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    struct wr_accept_share_options o;
    int words_fd;
    struct accept_words *words;
    int drained_fd; /* workers to master */
    struct wr_io watch, drained;
    struct wr_listener *listener; /* fdpass */
    struct wr_timer timer;        /* notify: patience; fdpass: try again */
    struct wr_task flush;
    struct wr_free_later later;
    unsigned next; /* whose turn it is */
    int told;      /* notify: who was told; -1 */
    int pending[ACCEPT_PENDING];
    unsigned n_pending;
    struct accept_lane lane[];
};

static inline int accept_listen_fd(const struct wr_accept_share *s, unsigned index)
{
    return s->lane[s->o.mode == WR_ACCEPT_REUSEPORT ? index : 0].listen_fd;
}

#endif
