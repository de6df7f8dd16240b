/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_MEM_KIT_H
#define WR_TESTS_MEM_KIT_H

/*
 * What a loop has, for tests without one: page source, wr_mem, budgets process > worker, blocks and an
 * arena source, all over the heap given, so that tests/nth.h sees every allocation.
 *
 *     struct mem_kit k;
 *     int r = mem_kit_init(&k, heap, "slabs,poison");   // NULL: the default options
 *     if (r < 0)
 *         return r;
 *     ... k.blocks, k.arenas, k.worker ...
 *     mem_kit_deinit(&k);                               // panics on a leak
 */

#include "libweir/base/block.h"
#include "libweir/base/mem.h"
#include "libweir/base/mem_arena.h"
#include "libweir/base/mem_budget.h"

struct mem_kit {
    struct wr_pages_heap pages;
    struct wr_mem mem;
    struct wr_budget process, worker;
    struct wr_block_pool blocks;
    struct wr_arena_source arenas;
};

WR_MUST static inline int mem_kit_init(struct mem_kit *k, const struct wr_heap *heap,
                                       const char *modes)
{
    struct wr_mem_options opt;
    wr_mem_options_default(&opt);
    int r = modes ? wr_mem_options_parse(wr_span_str(modes), &opt) : 0;
    if (r < 0)
        return r;
    wr_pages_heap_init(&k->pages, heap);
    r = wr_mem_init(&k->mem, heap, &k->pages.pages, &opt);
    if (r < 0)
        return r;
    wr_budget_init(&k->process, NULL, "process", WR_BUDGET_NONE, WR_BUDGET_NONE);
    wr_budget_init(&k->worker, &k->process, "worker", WR_BUDGET_NONE, WR_BUDGET_NONE);
    r = wr_block_pool_init(&k->blocks, &k->mem, &k->worker, 0);
    if (r < 0) {
        wr_budget_deinit(&k->worker);
        wr_budget_deinit(&k->process);
        wr_mem_deinit(&k->mem);
        return r;
    }
    wr_arena_source_init(&k->arenas, &k->mem, &k->worker, &k->blocks);
    return 0;
}

static inline void mem_kit_validate(const struct mem_kit *k)
{
    wr_block_pool_validate(&k->blocks);
    wr_pool_validate(&k->arenas.small);
    wr_pool_validate(&k->arenas.chunk);
    wr_budget_validate(&k->worker);
    wr_budget_validate(&k->process);
}

static inline void mem_kit_deinit(struct mem_kit *k)
{
    wr_arena_source_deinit(&k->arenas);
    wr_block_pool_deinit(&k->blocks);
    wr_budget_deinit(&k->worker);
    wr_budget_deinit(&k->process);
    wr_mem_deinit(&k->mem);
}

#endif
