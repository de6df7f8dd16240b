/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_MEM_POOL_H
#define WR_BASE_MEM_POOL_H

/*
 * A typed pool: objects of one size, got and put in a few instructions, whose memory goes back.
 *
 * Objects are cut from slabs of 64 KiB; which slots of a slab are free is a bitmap in its head, so a
 * free slot is never touched and its page can be purged. In front of the slabs lies a stack of the
 * last objects put (LIFO: the warmest is got first). A period's low water of free slots says what was
 * not needed; half of that goes back at every tick.
 *
 * Invariants
 * 1. got - put == live. free slots of all slabs + stack + live == slots of all slabs.
 * 2. A page is charged to the pool's budget exactly while it may be resident.
 * 3. An object is aligned to 16 and keeps its address; its contents are undefined when got.
 *
 * The pool is the caller's memory, listed in its wr_mem; one thread. Debug modes: see mem.h.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/mem.h"
#include "libweir/base/mem_budget.h"

#define WR_POOL_STACK    64
#define WR_POOL_MAX_SIZE ((size_t)16320)

struct wr_pool_slab;

struct wr_pool_stats {
    size_t live, peak_live, slabs, resident_bytes, free_slots;
    uint64_t got, refused, returned_bytes;
    uint64_t searched; /* slabs, for pages to give back */
};

struct wr_pool {
    const char *name;
    struct wr_mem *mem;
    struct wr_budget *budget; /* NULL: not charged */
    size_t size;              /* of an object, as asked for */
    size_t keep_bytes;        /* free memory that ticks leave alone; 0 at init */
    /* private */
    struct wr_pool *next;
    struct wr_pool_slab *partial, *searched, *full, *empty;
    void *stack[WR_POOL_STACK];
    uint32_t stacked, stack_head, slot, slots_per_slab, slab_offset;
    uint16_t batch;
    bool watched;         /* some debug mode looks at each object */
    bool untagged;        /* but tags do not: whoever has the pool counts what it hands out */
    size_t resident_free; /* free slots that begin in a resident page */
    size_t low_free;      /* least free this period: resident_free + stacked */
    size_t due;           /* slots to give back */
    struct wr_pool_stats stats;
};

void wr_pool_init(struct wr_pool *p, struct wr_mem *mem, struct wr_budget *budget,
                  const char *name, size_t size);
void wr_pool_deinit(struct wr_pool *p); /* asserts that nothing is live */

/* NULL at the budget or when memory is refused. */
#define wr_pool_get(p)  wr_pool_get_at((p), WR_HERE)
#define wr_pool_zget(p) wr_pool_zget_at((p), WR_HERE)
WR_MUST void *wr_pool_get_at(struct wr_pool *p, const struct wr_site *site);
WR_MUST void *wr_pool_zget_at(struct wr_pool *p, const struct wr_site *site); /* zeroed */
void wr_pool_put(struct wr_pool *p, void *object);                            /* takes NULL */

size_t wr_pool_live(const struct wr_pool *p);
void wr_pool_stats(const struct wr_pool *p, struct wr_pool_stats *out);
void wr_pool_validate(const struct wr_pool *p);

/* For wr_mem. A period's end sets what is due; every call gives back due slots worth at most *room
 * bytes, and takes them off *room. */
enum wr_mem_more {
    WR_MEM_REST,
    WR_MEM_PERIOD,
    WR_MEM_DUE
};
enum wr_mem_more wr_pool_tick(struct wr_pool *p, bool period, size_t *room);
size_t wr_pool_trim(struct wr_pool *p); /* everything free, now */

#endif
