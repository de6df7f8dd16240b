/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_MEM_ARENA_H
#define WR_BASE_MEM_ARENA_H

/*
 * An arena: many small allocations with one life, such as a request's. Freed in one step.
 *
 * Allocation moves a pointer through a chunk; a full chunk gets a successor (1 KiB a few times, then
 * 4 KiB; 4 KiB from the start; or blocks of 64 KiB) from an arena source. What no longer fits and is
 * larger than a quarter of a chunk lies apart, in a chunk or block of its own, and goes with the arena.
 *
 * Invariants
 * 1. Memory is aligned to 16 and lives until reset, deinit or a rewind to an earlier mark.
 * 2. Deferred functions run in reverse order of their registration, before any memory goes.
 * 3. After reset(0) and after init the arena holds nothing: an idle connection costs this struct.
 * 4. Chunks and blocks are charged to the arena's budget (NULL: to the source's).
 *
 * The arena is the caller's memory; one owner, one thread.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/mem.h"
#include "libweir/base/mem_budget.h"
#include "libweir/base/mem_pool.h"
#include "libweir/base/span.h"

#include <stdarg.h>

#define WR_ARENA_SMALL ((size_t)1024)
#define WR_ARENA_CHUNK ((size_t)4096)
#define WR_ARENA_BLOCK ((size_t)65536) /* for an arena that one loop uses again and again */

struct wr_block_pool;

/* The pools that arenas draw from: one per loop. */
struct wr_arena_source {
    struct wr_pool small, chunk;
    struct wr_block_pool *blocks;
};
void wr_arena_source_init(struct wr_arena_source *s, struct wr_mem *mem,
                          struct wr_budget *budget, struct wr_block_pool *blocks);
void wr_arena_source_deinit(struct wr_arena_source *s);

struct wr_arena_chunk;
struct wr_arena_large;
struct wr_arena_defer;

struct wr_arena {
    /* private */
    char *at, *end; /* of the current chunk */
    struct wr_arena_chunk *chunk;
    struct wr_arena_large *large;
    struct wr_arena_defer *defers;
    struct wr_arena_source *source;
    struct wr_budget *budget;
    const struct wr_site *site;
    uint32_t first; /* size of the first chunk */
    uint16_t small; /* small chunks it has */
    uint16_t apart; /* what does not fit and is larger than this lies apart */
};

struct wr_arena_mark {
    char *at;
    struct wr_arena_chunk *chunk;
    struct wr_arena_large *large;
    struct wr_arena_defer *defers;
};

/* first: size of the first chunk, WR_ARENA_SMALL, WR_ARENA_CHUNK or WR_ARENA_BLOCK. Allocates
 * nothing yet. */
#define wr_arena_init(a, source, budget, first) \
    wr_arena_init_at((a), (source), (budget), (first), WR_HERE)
void wr_arena_init_at(struct wr_arena *a, struct wr_arena_source *source,
                      struct wr_budget *budget, size_t first, const struct wr_site *site);
/* Runs the defers and frees everything but the first chunk if it is not larger than keep bytes. */
void wr_arena_reset(struct wr_arena *a, size_t keep);
static inline void wr_arena_deinit(struct wr_arena *a)
{
    if (a->chunk || a->large || a->defers)
        wr_arena_reset(a, 0);
}

WR_MUST void *wr_arena_alloc_slow(struct wr_arena *a, size_t n);

/* NULL when refused. n == 0 gives a pointer that may not be read. */
WR_MUST static inline void *wr_arena_alloc(struct wr_arena *a, size_t n)
{
    size_t room = (size_t)(a->end - a->at);
    if (WR_LIKELY(n - 1 < room)) {
        char *p = a->at;
        a->at += (n + 15) & ~(size_t)15; /* chunks end on 16 */
        return p;
    }
    return wr_arena_alloc_slow(a, n);
}

WR_MUST void *wr_arena_zalloc(struct wr_arena *a, size_t n);
WR_MUST char *wr_arena_strndup(struct wr_arena *a, const char *s, size_t n); /* 0-terminated */
WR_MUST int wr_arena_dup(struct wr_arena *a, struct wr_span s, struct wr_span *out);
WR_MUST char *wr_arena_printf(struct wr_arena *a, const char *fmt, ...) WR_PRINTF(2, 3);
WR_MUST char *wr_arena_vprintf(struct wr_arena *a, const char *fmt, va_list ap) WR_PRINTF(2, 0);

/* True if p, the last allocation, could be made new_size bytes long where it lies. */
static inline bool wr_arena_grow(struct wr_arena *a, void *p, size_t old, size_t new_size)
{
    size_t was = (old + 15) & ~(size_t)15;
    if (new_size <= old)
        return true;
    if ((char *)p + was != a->at || new_size - was > (size_t)(a->end - a->at))
        return a->at && new_size <= was; /* within the padding; passthrough has none */
    a->at = (char *)p + ((new_size + 15) & ~(size_t)15);
    return true;
}

struct wr_arena_mark wr_arena_mark(const struct wr_arena *a);
void wr_arena_rewind(struct wr_arena *a, struct wr_arena_mark mark);
/* fn(arg) at reset, deinit or a rewind past here. */
WR_MUST int wr_arena_defer(struct wr_arena *a, void (*fn)(void *arg), void *arg);

size_t wr_arena_held(const struct wr_arena *a); /* bytes of chunks and blocks */
void wr_arena_validate(const struct wr_arena *a);

#endif
