/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_MPMC_H
#define WR_IO_MPMC_H

/*
 * A bounded queue between threads without a lock: many may push, many may pop.
 *
 * A ring of cells, each with a ticket that says whose turn it is: at `round * capacity + index` the
 * cell waits for a push, one more and it waits for a pop. Who moves the ring's end by compare-and-swap
 * owns the cell until it moves the ticket on. All memory is taken at the start.
 *
 * 1. Items of one pusher come out in the order they went in.
 * 2. A push that was preempted half-way hides what was pushed behind it until it goes on: whoever
 *    pushes must wake the popper after its own push, not before.
 * 3. Full and empty are answers, nobody waits.
 *
 * Caller's memory. The items' meaning is the caller's.
 */

#include "libweir/base/heap.h"

#include <stdbool.h>

struct wr_mpmc_item {
    void (*fn)(void *arg);
    void (*drop)(void *arg);
    void *arg;
};

struct wr_mpmc_cell {
    uint64_t ticket;
    struct wr_mpmc_item item;
};

struct wr_mpmc {
    /* private */
    const struct wr_heap *heap;
    struct wr_mpmc_cell *cell;
    uint64_t mask;
    /* Pushers and poppers each write a line of their own. Kept apart by distance, not by alignment:
     * the queue is embedded in memory from a heap, which aligns to 16. */
    char apart_[WR_CACHE_LINE];
    uint64_t push_at;
    char apart__[WR_CACHE_LINE];
    uint64_t pop_at;
    char apart___[WR_CACHE_LINE];
};

/* capacity is rounded up to a power of two. -ENOMEM. */
WR_MUST int wr_mpmc_init(struct wr_mpmc *q, const struct wr_heap *heap, uint32_t capacity);
void wr_mpmc_deinit(struct wr_mpmc *q);

/* False when full. */
WR_MUST bool wr_mpmc_push(struct wr_mpmc *q, struct wr_mpmc_item item);

/* False when empty. */
WR_MUST bool wr_mpmc_pop(struct wr_mpmc *q, struct wr_mpmc_item *out);

/* What a pop would say at this moment. */
bool wr_mpmc_empty(const struct wr_mpmc *q);

#endif
