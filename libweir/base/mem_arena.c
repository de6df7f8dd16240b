/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem_arena.h"

#include "libweir/base/assert.h"
#include "libweir/base/block.h"
#include "libweir/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Chunks form a stack, the current one on top; what is larger than a quarter of a chunk lies apart in a
 * second stack, whose records are in front of the bytes, or in the arena when the bytes are a block. */
struct wr_arena_chunk {
    struct wr_arena_chunk *next;
    size_t size;
};

enum large_kind {
    LARGE_CHUNK,
    LARGE_BLOCK,
    LARGE_HEAP
};

struct wr_arena_large {
    struct wr_arena_large *next;
    size_t size; /* with this record, unless it is a block */
    struct wr_block *block;
    enum large_kind kind;
};

struct wr_arena_defer {
    struct wr_arena_defer *next;
    void (*fn)(void *arg);
    void *arg;
};

_Static_assert(sizeof(struct wr_arena_chunk) % 16 == 0, "data behind it is aligned");
_Static_assert(sizeof(struct wr_arena_large) % 16 == 0, "data behind it is aligned");
_Static_assert(WR_ARENA_SMALL % 16 == 0 && WR_ARENA_CHUNK % 16 == 0, "chunks end on 16");

/* What lives long is often a little more than one small chunk: 4 KiB for it would be three quarters
 * waste, so an arena that begins small stays small for a few. */
#define SMALL_CHUNKS 3
#define MAX_CHUNK    (WR_ARENA_CHUNK - sizeof(struct wr_arena_large))

/* ---- the source ---------------------------------------------------------------------------------- */
void wr_arena_source_init(struct wr_arena_source *s, struct wr_mem *mem,
                          struct wr_budget *budget, struct wr_block_pool *blocks)
{
    wr_pool_init(&s->small, mem, budget, "arena-1k", WR_ARENA_SMALL);
    wr_pool_init(&s->chunk, mem, budget, "arena-4k", WR_ARENA_CHUNK);
    s->blocks = blocks;
}

void wr_arena_source_deinit(struct wr_arena_source *s)
{
    wr_pool_deinit(&s->small);
    wr_pool_deinit(&s->chunk);
}

static struct wr_pool *pool_for(const struct wr_arena *a, size_t size)
{
    return size == WR_ARENA_SMALL ? &a->source->small : &a->source->chunk;
}

/* A chunk that is a block remembers it in front of its bytes. */
static struct wr_block **chunk_block(struct wr_arena_chunk *c)
{
    return (struct wr_block **)(void *)(c + 1);
}

static char *chunk_bytes(struct wr_arena_chunk *c)
{
    return (char *)(c + 1) + (c->size == WR_ARENA_BLOCK ? 16 : 0);
}

static void *chunk_take_block(struct wr_arena *a)
{
    struct wr_block *b;
    WR_ASSERT(a->source->blocks);
    if (wr_block_take_at(a->source->blocks, a->budget, WR_ARENA_BLOCK, a->site, &b) < 0)
        return NULL;
    struct wr_arena_chunk *c = (struct wr_arena_chunk *)(void *)b->data;
    *chunk_block(c) = b;
    return c;
}

static void *chunk_take(struct wr_arena *a, size_t size)
{
    if (size == WR_ARENA_BLOCK)
        return chunk_take_block(a);
    struct wr_pool *pool = pool_for(a, size);
    void *p = wr_pool_get_at(pool, a->site);
    if (p && a->budget && wr_budget_move(pool->budget, a->budget, size) < 0) {
        wr_pool_put(pool, p);
        p = NULL;
    }
    return p;
}

/* The charge goes back to a node above the pool's or is the pool's own: nothing there can refuse. */
static void chunk_return(struct wr_arena *a, void *p, size_t size)
{
    struct wr_pool *pool = pool_for(a, size);
    if (size == WR_ARENA_BLOCK) {
        struct wr_block *b = *chunk_block(p);
        wr_block_drop(&b);
        return;
    }
    if (a->budget) {
        int r = wr_budget_move(a->budget, pool->budget, size);
        WR_ASSERT(r == 0);
    }
    wr_pool_put(pool, p);
}

/* ---- life ---------------------------------------------------------------------------------------- */
void wr_arena_init_at(struct wr_arena *a, struct wr_arena_source *source,
                      struct wr_budget *budget, size_t first, const struct wr_site *site)
{
    WR_ASSERT(first == WR_ARENA_SMALL || first == WR_ARENA_CHUNK || first == WR_ARENA_BLOCK);
    size_t chunk = first == WR_ARENA_BLOCK ? WR_ARENA_BLOCK : WR_ARENA_CHUNK;
    *a = (struct wr_arena){.source = source,
                           .budget = budget,
                           .first = (uint32_t)first,
                           .apart = (uint16_t)(chunk / 4),
                           .site = site};
}

static void set_chunk(struct wr_arena *a, struct wr_arena_chunk *c)
{
    a->chunk = c;
    a->at = c ? chunk_bytes(c) : NULL;
    a->end = c ? (char *)c + c->size : NULL;
}

static void run_defers(struct wr_arena *a, const struct wr_arena_defer *until)
{
    while (a->defers != until) {
        struct wr_arena_defer *d = a->defers;
        a->defers = d->next;
        d->fn(d->arg);
    }
}

static void free_large(struct wr_arena *a, const struct wr_arena_large *until)
{
    while (a->large != until) {
        struct wr_arena_large *l = a->large;
        a->large = l->next;
        if (l->kind == LARGE_BLOCK) {
            wr_block_drop(&l->block);
        } else if (l->kind == LARGE_CHUNK) {
            chunk_return(a, l, l->size);
        } else {
            size_t n = l->size;
            wr_heap_free(a->source->chunk.mem->heap, l, n);
            if (a->budget)
                wr_budget_release(a->budget, n);
        }
    }
}

static void free_chunks(struct wr_arena *a, const struct wr_arena_chunk *until)
{
    while (a->chunk != until) {
        struct wr_arena_chunk *c = a->chunk;
        a->chunk = c->next;
        a->small = (uint16_t)(a->small - (c->size == WR_ARENA_SMALL));
        chunk_return(a, c, c->size);
    }
}

void wr_arena_reset(struct wr_arena *a, size_t keep)
{
    struct wr_arena_chunk *first = a->chunk;
    if (WR_LIKELY(first && !first->next && !a->defers && !a->large && first->size <= keep)) {
        a->at = chunk_bytes(first);
        return;
    }
    run_defers(a, NULL);
    free_large(a, NULL);
    while (first && first->next)
        first = first->next;
    if (first && first->size > keep)
        first = NULL;
    free_chunks(a, first);
    set_chunk(a, first);
}

/* ---- allocation ---------------------------------------------------------------------------------- */
static void *push_large(struct wr_arena *a, struct wr_arena_large *l, enum large_kind kind,
                        size_t size)
{
    *l = (struct wr_arena_large){.next = a->large, .size = size, .kind = kind};
    a->large = l;
    return l + 1;
}

/* Debug: each allocation is the heap's own, so that a sanitizer sees its ends. */
static void *alloc_passthrough(struct wr_arena *a, size_t n)
{
    size_t size = sizeof(struct wr_arena_large) + n;
    if (n > SIZE_MAX / 2 || (a->budget && wr_budget_charge(a->budget, size) < 0))
        return NULL;
    struct wr_arena_large *l = wr_heap_alloc(a->source->chunk.mem->heap, size);
    if (!l && a->budget)
        wr_budget_release(a->budget, size);
    return l ? push_large(a, l, LARGE_HEAP, size) : NULL;
}

static void *alloc_block(struct wr_arena *a, size_t n)
{
    struct wr_block *b;
    WR_ASSERT(a->source->blocks);
    struct wr_arena_large *l = wr_arena_alloc(a, sizeof *l);
    if (!l || wr_block_take_at(a->source->blocks, a->budget, n, a->site, &b) < 0)
        return NULL;
    (void)push_large(a, l, LARGE_BLOCK, b->size);
    l->block = b;
    return b->data;
}

static void *alloc_apart(struct wr_arena *a, size_t n)
{
    if (n > MAX_CHUNK)
        return alloc_block(a, n);
    struct wr_arena_large *l = chunk_take(a, WR_ARENA_CHUNK);
    return l ? push_large(a, l, LARGE_CHUNK, WR_ARENA_CHUNK) : NULL;
}

void *wr_arena_alloc_slow(struct wr_arena *a, size_t n)
{
    n = n ? n : 1;
    if (a->source->chunk.mem->opt.passthrough)
        return alloc_passthrough(a, n);
    if (n > a->apart)
        return alloc_apart(a, n);
    if (n > (size_t)(a->end - a->at)) {
        bool small = a->first == WR_ARENA_SMALL && a->small < SMALL_CHUNKS &&
                     n <= WR_ARENA_SMALL - sizeof(struct wr_arena_chunk);
        size_t size = small                        ? WR_ARENA_SMALL
                      : a->first == WR_ARENA_BLOCK ? WR_ARENA_BLOCK
                                                   : WR_ARENA_CHUNK;
        struct wr_arena_chunk *c = chunk_take(a, size);
        if (!c)
            return NULL;
        *c = (struct wr_arena_chunk){.next = a->chunk, .size = size};
        a->small = (uint16_t)(a->small + small);
        set_chunk(a, c);
    }
    char *p = a->at;
    a->at += (n + 15) & ~(size_t)15;
    return p;
}

void *wr_arena_zalloc(struct wr_arena *a, size_t n)
{
    void *p = wr_arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

char *wr_arena_strndup(struct wr_arena *a, const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? wr_arena_alloc(a, n + 1) : NULL;
    if (!p)
        return NULL;
    if (n > 0)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

int wr_arena_dup(struct wr_arena *a, struct wr_span s, struct wr_span *out)
{
    char *p = wr_arena_strndup(a, s.p, s.n);
    if (!p)
        return -ENOMEM;
    *out = wr_span(p, s.n);
    return 0;
}

char *wr_arena_vprintf(struct wr_arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : wr_arena_alloc(a, (size_t)n + 1);
    if (p)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *wr_arena_printf(struct wr_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = wr_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

/* ---- marks --------------------------------------------------------------------------------------- */
struct wr_arena_mark wr_arena_mark(const struct wr_arena *a)
{
    return (struct wr_arena_mark){a->at, a->chunk, a->large, a->defers};
}

void wr_arena_rewind(struct wr_arena *a, struct wr_arena_mark mark)
{
    run_defers(a, mark.defers);
    free_large(a, mark.large);
    free_chunks(a, mark.chunk);
    set_chunk(a, mark.chunk);
    a->at = mark.at;
}

int wr_arena_defer(struct wr_arena *a, void (*fn)(void *arg), void *arg)
{
    struct wr_arena_defer *d = wr_arena_alloc(a, sizeof *d);
    if (!d)
        return -ENOMEM;
    *d = (struct wr_arena_defer){a->defers, fn, arg};
    a->defers = d;
    return 0;
}

size_t wr_arena_held(const struct wr_arena *a)
{
    size_t n = 0;
    for (const struct wr_arena_chunk *c = a->chunk; c; c = c->next)
        n += c->size;
    for (const struct wr_arena_large *l = a->large; l; l = l->next)
        n += l->size;
    return n;
}

void wr_arena_validate(const struct wr_arena *a)
{
    const struct wr_arena_chunk *c = a->chunk;
    WR_ASSERT(c ? a->end == (const char *)c + c->size : a->at == a->end);
    WR_ASSERT(a->at <= a->end && (!c || a->at >= chunk_bytes(a->chunk)));
    for (; c; c = c->next)
        WR_ASSERT(c->size == WR_ARENA_CHUNK || c->size == WR_ARENA_SMALL ||
                  c->size == WR_ARENA_BLOCK);
    for (const struct wr_arena_large *l = a->large; l; l = l->next)
        WR_ASSERT((l->kind == LARGE_BLOCK) == (l->block != NULL));
    WR_ASSERT(!a->budget || a->budget->used >= wr_arena_held(a));
}
