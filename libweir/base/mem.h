/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_MEM_H
#define WR_BASE_MEM_H

/*
 * The memory story on one page.
 *
 *        process -- worker -- listener / upstream -- connection        wr_budget: who may hold how much
 *                      :                                 :             (marks, waiters, reserve)
 *      +---------------+-------------+-------------------+-----------+
 *      |  wr_pool      |  wr_arena   |  wr_chain  wr_buf  wr_bytes   |  what you ask
 *      |  one type     |  one life   |  bytes, counted, not copied   |
 *      +---------------+------+------+---------------+---------------+
 *      |  slabs of 64 KiB     |   blocks 4K 16K 64K 256K 1M 4M 8M    |  what they are cut from
 *      +----------------------+--------------------------------------+
 *      |  wr_mem: heap + pages + debug modes + the clock's tick      |  one per loop
 *      +---------------------------+---------------------------------+
 *      |  wr_heap (malloc)         |  wr_pages (mmap, munmap, purge) |  arguments: base has no kernel
 *      +---------------------------+---------------------------------+
 *
 * Which one? Many objects of one struct: a pool. Many small things that die together (a request): an
 * arena. Bytes from or for the network: a chain, or a buf if you build them; bytes that somebody keeps:
 * wr_bytes. A table or a long-lived odd size: the heap.
 *
 * How memory returns: every pool watches, per period of WR_MEM_PERIOD_MS, the least number of free
 * slots it had: that many were not needed for a whole period, and half of them go back (whole slabs are
 * unmapped, free pages between survivors are purged). The loop calls wr_mem_tick; it returns when it
 * wants to be called again, so a server that sleeps in epoll shrinks, and then sleeps undisturbed.
 *
 * Invariants
 * 1. Never exits at a limit: an allocation that does not fit the budget, the heap or the kernel's mood
 *    returns NULL or WR_E_BUDGET, and the caller parks or refuses.
 * 2. A budget counts resident bytes: what a holder holds is charged to the holder, free pages kept for
 *    speed are charged to the pool, all of it below the worker's node.
 * 3. A wr_mem and everything made from it belong to one thread; only wr_block references marked shared
 *    may be dropped elsewhere.
 * 4. Every object is counted: at the end live() of every pool is 0, or wr_mem_leaks names the sites.
 *
 * Debug modes are chosen at run time (environment WR_MEM, an option, a test):
 *   passthrough   every object and block its own malloc: for ASan and valgrind; automatic under ASan
 *   slabs         the opposite, where passthrough is automatic
 *   poison        what is free or no longer lent is filled with 0xDE (and poisoned under ASan); a
 *                 write into it is found when the slot is handed out again
 *   tags          every object remembers who asked for it; wr_mem_leaks reports by site
 *   cold          reuse what has been free the longest, so that use after free shows
 *   fail=n        refuse the n-th allocation        fail-random=1/n   refuse one in n, seed=s
 */

#include "libweir/base/compiler.h"
#include "libweir/base/heap.h"
#include "libweir/base/pages.h"
#include "libweir/base/span.h"

#define WR_MEM_PERIOD_MS 100
#define WR_MEM_STEP_MS \
    4 /* between two steps of one period, and what a step gives back at most */
#define WR_MEM_STEP_BYTES ((size_t)4 << 20)

struct wr_mem_options {
    bool passthrough, poison, tags, cold;
    uint64_t fail_nth;    /* 0: never */
    uint64_t fail_one_in; /* 0: never */
    uint64_t seed;
};

/* passthrough under ASan, poison in builds with -Ddebug_asserts=true, nothing else. */
void wr_mem_options_default(struct wr_mem_options *out);
/* "passthrough,poison,fail=3": adds to *opt. WR_E_SYNTAX at an unknown word; *opt is then untouched. */
WR_MUST int wr_mem_options_parse(struct wr_span text, struct wr_mem_options *opt);

struct wr_pool;
struct wr_block_pool;
struct wr_mem_tag;

/* Embedded in a loop, a test, a program. Fields are private but for reading stats. */
struct wr_mem {
    const struct wr_heap *heap; /* through the fault gate */
    struct wr_mem_options opt;
    size_t mapped_bytes; /* through wr_mem_map */
    uint64_t maps, unmaps, purges;
    /* private */
    const struct wr_pages *pages;
    struct wr_heap_failing failing;
    struct wr_pool *pools;
    struct wr_block_pool *block_pools;
    struct wr_mem_tag *tags;
    uint64_t next_tick_ms, next_period_ms;
    size_t freed; /* into pools since the last trim */
};

/* opt NULL means the default. Fails only if tags are wanted and their table is refused. */
WR_MUST int wr_mem_init(struct wr_mem *m, const struct wr_heap *heap,
                        const struct wr_pages *pages, const struct wr_mem_options *opt);
/* All pools are gone by now. */
void wr_mem_deinit(struct wr_mem *m);

/* Gives memory back when a period has passed. Returns when to call again: UINT64_MAX when there is
 * nothing left to give back; ask again after the next activity. Cheap when nothing is due. */
uint64_t wr_mem_tick(struct wr_mem *m, uint64_t now_ms);
/* Gives back everything free at once: at a soft mark. Returns the bytes. */
size_t wr_mem_trim(struct wr_mem *m);

/* With tags: calls fn for each site that holds something; fn may be NULL. Returns the objects. */
size_t wr_mem_leaks(const struct wr_mem *m,
                    void (*fn)(void *arg, const struct wr_site *site, size_t objects,
                               size_t bytes),
                    void *arg);

/* For pools and blocks. make_room trims if enough was freed since the last time to make it worth while. */
size_t wr_mem_make_room(struct wr_mem *m);
WR_MUST void *wr_mem_map(struct wr_mem *m, size_t n);
void wr_mem_unmap(struct wr_mem *m, void *p, size_t n);
void wr_mem_purge(struct wr_mem *m, void *p, size_t n);
void wr_mem_tag(struct wr_mem *m, const struct wr_site *site, size_t bytes, int sign);

/* Poison of freed or no longer lent bytes; wr_mem_unpoison before they are used again. */
#define WR_MEM_DEAD 0xDE
void wr_mem_poison(const struct wr_mem *m, void *p, size_t n);
void wr_mem_unpoison(const struct wr_mem *m, void *p, size_t n);

#endif
