/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_CHAIN_H
#define WR_BASE_CHAIN_H

/*
 * A chain: a queue of bytes made of slices of blocks. Grows, splits and changes hands without copying.
 *
 *      consume <--  [slice][slice][slice  ]  <-- reserve, commit, append
 *                    block  block  block....room
 *
 * Input: reserve gives room for a read, commit says how much came, lend shows it, consume drops it.
 * Output: append takes owned bytes or copies, iov lists them for writev, consume drops what was sent.
 *
 * Invariants
 * 1. len is the sum of the slices; no slice is empty; an empty chain without a reservation owns nothing.
 * 2. Room behind the last slice is written only while the chain is that block's sole holder: bytes that
 *    somebody kept never change, the next read goes into another block.
 * 3. reserve, then at most one commit, with nothing else in between but reading.
 * 4. A failed call leaves the chain as it was; move may stop early and says how far it came.
 *
 * The chain is the caller's memory; up to 4 slices lie in it, more in an array from the heap. It may be
 * moved by assignment.
 */

#include "libweir/base/block.h"
#include "libweir/base/bytes.h"
#include "libweir/base/compiler.h"

/* The layout of struct iovec, which base may not name; io/iov.h has the cast and its proof. */
struct wr_iov {
    void *base;
    size_t len;
};

#define WR_CHAIN_INLINE 4

struct wr_chain {
    /* private */
    size_t len;
    struct wr_block_pool *pool;
    struct wr_budget *budget;
    struct wr_bytes *many; /* NULL: the slices lie in inline_ */
    uint32_t first, count, cap, room;
    struct wr_block *spare; /* reserved, not yet committed */
    struct wr_bytes inline_[WR_CHAIN_INLINE];
};

void wr_chain_init(struct wr_chain *c, struct wr_block_pool *pool, struct wr_budget *budget);
void wr_chain_deinit(struct wr_chain *c); /* drops everything; the chain may be used again */

static inline size_t wr_chain_len(const struct wr_chain *c)
{
    return c->len;
}

/* Room for n bytes or a little more in at most max (1 or 2 are sensible) pieces. Returns the pieces, or
 * WR_E_BUDGET, -ENOMEM. With max 1 the one piece may be smaller than n, never empty. */
WR_MUST int wr_chain_reserve(struct wr_chain *c, size_t n, struct wr_iov *iov, int max);
void wr_chain_commit(struct wr_chain *c,
                     size_t n); /* n <= what was reserved; 0 gives it back */

/* The bytes as pieces for writing: returns how many of max were filled. */
int wr_chain_iov(const struct wr_chain *c, struct wr_iov *iov, int max);
void wr_chain_consume(struct wr_chain *c, size_t n);     /* n <= len */
struct wr_span wr_chain_first(const struct wr_chain *c); /* the first contiguous piece */
size_t wr_chain_copy_out(const struct wr_chain *c, size_t from, void *p,
                         size_t n); /* bytes copied */

/* The first n bytes (or all) go to the end of dst by reference, charged to dst's budget. 0, or an error
 * after some whole slices have moved: both chains are sound, the lengths say how far it came. */
WR_MUST int wr_chain_move(struct wr_chain *dst, struct wr_chain *src, size_t n);
/* The first n bytes (n <= len) become *out, initialised here, with src's pool and budget. On failure
 * src is whole again. */
WR_MUST int wr_chain_split(struct wr_chain *src, size_t n, struct wr_chain *out);

/* Takes *b, which becomes empty; on failure it still is the caller's. */
WR_MUST int wr_chain_append(struct wr_chain *c, struct wr_bytes *b);
WR_MUST int wr_chain_append_copy(struct wr_chain *c, const void *p, size_t n);

/* Makes the first n bytes contiguous (copying only if they are not) and shows them. n <= len, n <=
 * WR_BLOCK_MAX. The span is valid until the chain changes. */
WR_MUST int wr_chain_pullup(struct wr_chain *c, size_t n, struct wr_span *out);
/* The same as a view; end it before you change the chain. */
#define wr_chain_lend(c, n, out) wr_chain_lend_at((c), (n), WR_HERE, (out))
WR_MUST int wr_chain_lend_at(struct wr_chain *c, size_t n, const struct wr_site *site,
                             struct wr_view *out);
/* The first n bytes, consumed, as owned bytes; by reference when contiguous. */
WR_MUST int wr_chain_take(struct wr_chain *c, size_t n, struct wr_bytes *out);

void wr_chain_validate(const struct wr_chain *c);

#endif
