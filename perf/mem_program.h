/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_PERF_MEM_PROGRAM_H
#define WR_PERF_MEM_PROGRAM_H

/*
 * What the memory programs share: the library's memory as a worker has it, over the kernel's pages; and
 * in draw.h the random numbers that they share with their malloc twins.
 */

#include "libweir/base/block.h"
#include "libweir/base/mem_arena.h"
#include "libweir/io/pages.h"
#include "libweir/os/os.h"
#include "perf/draw.h"

#include <stdlib.h>

struct mem_program {
    struct wr_os_pages pages;
    struct wr_mem mem;
    struct wr_budget process, worker, listener;
    struct wr_block_pool blocks;
    struct wr_arena_source arenas;
};

static inline void mem_program_start(struct mem_program *m)
{
    size_t hard = (size_t)1 << 30;
    wr_os_pages_init(&m->pages, wr_os_heap());
    wr_budget_init(&m->process, NULL, "process", hard, hard);
    wr_budget_init(&m->worker, &m->process, "worker", hard / 2, hard);
    wr_budget_init(&m->listener, &m->worker, "listener", hard / 2, hard);
    if (wr_mem_init(&m->mem, wr_os_heap(), &m->pages.pages, NULL) < 0 ||
        wr_block_pool_init(&m->blocks, &m->mem, &m->worker, 16) < 0)
        abort();
    wr_arena_source_init(&m->arenas, &m->mem, &m->worker, &m->blocks);
}

/* Panics on a leak. */
static inline void mem_program_end(struct mem_program *m)
{
    wr_arena_source_deinit(&m->arenas);
    wr_block_pool_deinit(&m->blocks);
    wr_budget_deinit(&m->listener);
    wr_budget_deinit(&m->worker);
    wr_budget_deinit(&m->process);
    wr_mem_deinit(&m->mem);
    wr_os_pages_deinit(&m->pages);
}

#endif
