/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_BLOCK_H
#define WR_BASE_BLOCK_H

/*
 * Reference-counted blocks of bytes in steps: what chains, bufs and bytes are made of.
 *
 * A block is a header and, apart from it, 4K 16K 64K 256K 1M 4M or 8M of page-aligned data (n == step
 * takes that step). 4K and 16K blocks are cut from 64 KiB slabs, larger ones are mapped singly. Free
 * blocks are kept by the low-water rule of mem.h.
 *
 * Invariants
 * 1. Only a sole holder (refs == 1) may write: wr_block_writable. Who reads from the network asks it and
 *    takes another block when it says no, so kept bytes never change. Writing functions assert it.
 * 2. A block with one holder is charged to that holder's budget; when it gets a second one, to the
 *    block pool's, from then on. So a budget may go when its own chains are gone.
 * 3. gen changes whenever what was lent is over or the block is reused; a view with another gen is stale.
 *    The header stays readable after the last drop only while its slab is kept: until a tick or a trim,
 *    and not when somebody waits for memory or blocks are passed through.
 * 4. References are plain until wr_block_share; afterwards they are atomic and the last drop, on whatever
 *    thread, hands the block back to its pool's thread.
 *
 * The pool is the caller's memory, one per loop; it outlives its blocks.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/mem.h"
#include "libweir/base/mem_budget.h"
#include "libweir/base/mem_pool.h"

#define WR_BLOCK_STEPS 7
#define WR_BLOCK_MAX   ((size_t)8 << 20)
#define WR_BLOCK_SMALL \
    ((size_t)256) /* copies of up to this size get a small block of their own */

struct wr_block_slab;
struct wr_block_pool;

struct wr_block {
    char *data;
    uint32_t size; /* of data: a step, or WR_BLOCK_SMALL */
    uint32_t gen;
    uint32_t refs;
    uint8_t step; /* index; WR_BLOCK_STEPS: a small one */
    bool shared;
    uint8_t at; /* in its slab */
    struct wr_block_pool *pool;
    struct wr_budget *budget; /* who is charged */
    struct wr_block_slab *slab;
    struct wr_block *next;      /* while on its way back */
    const struct wr_site *lent; /* where its bytes were lent last */
    const struct wr_site *site; /* who took it */
};

struct wr_block_step {
    struct wr_block_slab *partial, *full, *empty;
    size_t free, low_free; /* resident free blocks; their minimum this period */
    size_t due, live;
};

struct wr_block_pool {
    struct wr_mem *mem;
    struct wr_budget
        budget;  /* node "blocks" under the one given: free blocks and shared ones */
    size_t live; /* blocks out, all steps and small ones */
    uint64_t taken, refused;
    /* private */
    struct wr_block_pool *next;
    struct wr_block_step step[WR_BLOCK_STEPS];
    struct wr_pool small;      /* header and bytes together */
    struct wr_pool heads[3];   /* slabs of 16, 4 and 1 blocks */
    uint32_t gen;              /* the last one given */
    struct wr_block *returned; /* atomic stack: shared blocks dropped elsewhere */
    struct wr_block *reserve;  /* for urgent takes */
    uint32_t reserve_want, reserve_have;
};

/* parent may be NULL. reserve_blocks 4K blocks are set aside for wr_block_take_urgent. */
WR_MUST int wr_block_pool_init(struct wr_block_pool *bp, struct wr_mem *mem,
                               struct wr_budget *parent, uint32_t reserve_blocks);
void wr_block_pool_deinit(struct wr_block_pool *bp); /* asserts that nothing is out */

/* The step for n bytes (index 0..6), or -1 above WR_BLOCK_MAX; and its size. */
int wr_block_step_of(size_t n);
size_t wr_block_step_size(int step);

/* A block of at least n bytes with one reference, charged to budget (NULL: to the pool). 0,
 * WR_E_BUDGET, -ENOMEM, or WR_E_TOO_BIG above WR_BLOCK_MAX. */
#define wr_block_take(bp, budget, n, out) wr_block_take_at((bp), (budget), (n), WR_HERE, (out))
WR_MUST int wr_block_take_at(struct wr_block_pool *bp, struct wr_budget *budget, size_t n,
                             const struct wr_site *site, struct wr_block **out);
/* For what must finish: falls back on the reserve, of 4 KiB blocks. *out may be smaller than n. */
WR_MUST int wr_block_take_urgent(struct wr_block_pool *bp, size_t n, const struct wr_site *site,
                                 struct wr_block **out);
/* A small block, n <= WR_BLOCK_SMALL, for copies. */
WR_MUST int wr_block_take_small(struct wr_block_pool *bp, size_t n, const struct wr_site *site,
                                struct wr_block **out);

struct wr_block *wr_block_ref(struct wr_block *b); /* returns b */
void wr_block_drop(struct wr_block **b);           /* empties the pointer; takes NULL */
bool wr_block_writable(const struct wr_block *b);  /* one holder */
char *wr_block_open(struct wr_block *b);  /* its data for writing; panics if not writable */
void wr_block_expire(struct wr_block *b); /* what was lent from it is stale from here on */
void wr_block_share(struct wr_block *b);  /* from here on any thread may hold it */
/* Hands the charge of a sole-held block to another holder's budget. */
WR_MUST int wr_block_charge_to(struct wr_block *b, struct wr_budget *to);

/* The same to the pool's own node, which refuses nothing: for holders without a budget. */
void wr_block_charge_pool(struct wr_block *b);

void wr_block_pool_validate(const struct wr_block_pool *bp);
enum wr_mem_more wr_block_pool_tick(struct wr_block_pool *bp, bool period, size_t *room);
size_t wr_block_pool_trim(struct wr_block_pool *bp);

#endif
