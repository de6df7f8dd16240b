/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_OUTQ_H
#define WR_IO_OUTQ_H

/*
 * What waits to be written to one connection: bytes and ranges of files, in order, counted, bounded.
 *
 * The bytes lie in one chain; a file range is a small record that says how many of the chain's bytes go
 * before it. wr_outq_flush writes from the front: one writev for the bytes up to the next range, then
 * one sendfile for the range (or a read and a write where the stream has no sendfile), up to a budget.
 *
 * 1. queued = bytes in the chain + bytes in the ranges. It never exceeds hard_limit: a put over it is
 *    refused whole (WR_E_HARD_LIMIT), and so is one that memory refuses, except that a chain may have
 *    moved in part: what is left of it says so.
 * 2. A range's release is called exactly once: sent, or dropped by deinit, or failed.
 * 3. An empty queue owns no memory.
 * 4. A file that ends before its range does is -EIO: the promised length can no longer be kept.
 * 5. Puts never write. Gather a turn's output, then flush once.
 *
 * Embedded in its owner. Owner loop only.
 */

#include "libweir/base/chain.h"
#include "libweir/base/compiler.h"
#include "libweir/io/stream.h"

struct wr_heap;

struct wr_outq_file {
    int fd;
    uint64_t offset, len;
    /* Read in pieces of read_bytes and written in pieces of copy_bytes where it does not go out by sendfile;
     * 0: 64 KiB. copied: it never does. */
    uint32_t read_bytes, copy_bytes;
    bool copied;
    void (*release)(void *arg, int fd); /* or NULL: the descriptor is somebody else's */
    void *arg;
};

struct wr_outq_range; /* opaque */

struct wr_outq {
    /* private */
    struct wr_chain bytes;
    struct wr_outq_range *first, *last;
    const struct wr_heap *heap;
    uint64_t queued, hard_limit;
    uint64_t behind; /* bytes in the chain behind the last range */
};

enum wr_outq_state {
    WR_OUTQ_DONE,  /* everything is in the kernel */
    WR_OUTQ_FULL,  /* the socket is full: come back when it is writable */
    WR_OUTQ_AGAIN, /* the budget is spent: come back in the next turn without an edge */
};

/* budget is charged for the blocks; NULL: the block pool's own. */
void wr_outq_init(struct wr_outq *q, struct wr_block_pool *blocks, struct wr_budget *budget,
                  const struct wr_heap *heap, uint64_t hard_limit);
void wr_outq_deinit(struct wr_outq *q);

WR_MUST int wr_outq_put_copy(struct wr_outq *q, const void *p, size_t n);
WR_MUST int wr_outq_put_bytes(struct wr_outq *q,
                              struct wr_bytes *take_bytes); /* taken on success */
WR_MUST int wr_outq_put_chain(struct wr_outq *q,
                              struct wr_chain *take_chain); /* emptied on success */
WR_MUST int wr_outq_put_file(struct wr_outq *q, const struct wr_outq_file *file);

/* A state, or the stream's error. *out_sent (may be NULL) is what this call wrote. */
WR_MUST int wr_outq_flush(struct wr_outq *q, struct wr_stream *s, size_t budget,
                          uint64_t *out_sent);

static inline uint64_t wr_outq_queued(const struct wr_outq *q)
{
    return q->queued;
}

void wr_outq_validate(const struct wr_outq *q);

#endif
