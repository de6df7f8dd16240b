/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_SERVER_H
#define MASTER_SERVER_H

/*
 * The serving side of a process: a web_worker with its books in shared memory.
 *
 * A connection that comes or goes and a request that begins or ends are entered at once (conns, recorder,
 * stages); counters, states and deadlines twice a second, a bounded number of connections each time.
 *
 *   open --stop(graceful)--> leaving: the log names who is waited for --grace over--> who is cut --> stopped
 *
 * 1. stopped is called once, when the last connection is gone.
 * 2. What is not entered at once is at most half a second old, and exact at the end.
 *
 * In a worker process, or in the only process.
 */

#include "libweir/base/mem_budget.h"
#include "weir/stats/conns.h"
#include "weir/web/worker.h"

struct wr_shm;

struct server_totals {
    uint64_t opened, closed, timeouts, begun, aborted, in, out, by_class[6];
    uint64_t shed, errors, shortages, turned_away, no_memory;
    uint64_t unlogged, shakes_failed, shakes_shed, proxy_bad;
};

struct server {
    struct web_worker web; /* web.owner is this */
    struct wr_shm *shm;    /* may be NULL */
    unsigned seat_index;
    uint64_t grace_ms;
    struct wr_budget
        *budget; /* idle connections are closed when it is over its soft mark; may be NULL */
    void (*stopped)(struct server *s);
    void *arg;
    /* private */
    struct conns_table conns;
    struct server_totals
        before; /* what the counters stood at when this process took the seat */
    struct wr_timer tick, patience;
    uint64_t wall_ns;      /* what the wall clock is ahead of the loop's */
    uint32_t door, cursor; /* where the walk over connections goes on */
    bool open, leaving, said;
};

/* web's public fields are set. */
WR_MUST int server_open(struct server *s, struct web_generation *g,
                        const struct web_worker_fd *fds, uint32_t n);
/* Called again, or with graceful false: at once. */
void server_stop(struct server *s, bool graceful);
void server_close(struct server *s);
void server_free(struct server *s);

#endif
