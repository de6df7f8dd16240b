/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/heap.h"

#include "libweir/base/assert.h"

#include <stdlib.h>
#include <string.h>

void *wr_heap_alloc(const struct wr_heap *h, size_t n)
{
    return h->alloc(h->ctx, n ? n : 1);
}

void *wr_heap_zalloc(const struct wr_heap *h, size_t n)
{
    void *p = wr_heap_alloc(h, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *wr_heap_array(const struct wr_heap *h, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    return wr_heap_zalloc(h, n);
}

void *wr_heap_realloc(const struct wr_heap *h, void *p, size_t old, size_t n)
{
    if (!p)
        return wr_heap_alloc(h, n);
    return h->realloc(h->ctx, p, old ? old : 1, n ? n : 1);
}

char *wr_heap_strndup(const struct wr_heap *h, const char *s, size_t n)
{
    char *p = wr_heap_alloc(h, n + 1);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

void wr_heap_free(const struct wr_heap *h, void *p, size_t n)
{
    if (p)
        h->free(h->ctx, p, n ? n : 1);
}

/* ---- the C library's ----------------------------------------------------------------------------- */
static void *libc_alloc(void *ctx, size_t n)
{
    (void)ctx;
    return malloc(n);
}

static void *libc_realloc(void *ctx, void *p, size_t old, size_t n)
{
    (void)ctx;
    (void)old;
    return realloc(p, n);
}

static void libc_free(void *ctx, void *p, size_t n)
{
    (void)ctx;
    (void)n;
    free(p);
}

static const struct wr_heap libc_heap = {libc_alloc, libc_realloc, libc_free, NULL};

const struct wr_heap *wr_heap_libc(void)
{
    return &libc_heap;
}

/* ---- counting ------------------------------------------------------------------------------------ */
static void count_bytes(struct wr_heap_counting *c, size_t more, size_t less)
{
    WR_ASSERT(c->bytes + more >= less);
    c->bytes = c->bytes + more - less;
    if (c->bytes > c->peak_bytes)
        c->peak_bytes = c->bytes;
}

static void *counting_alloc(void *ctx, size_t n)
{
    struct wr_heap_counting *c = ctx;
    void *p = c->under->alloc(c->under->ctx, n);
    if (p) {
        c->objects++;
        c->allocs++;
        count_bytes(c, n, 0);
    }
    return p;
}

static void *counting_realloc(void *ctx, void *p, size_t old, size_t n)
{
    struct wr_heap_counting *c = ctx;
    void *q = c->under->realloc(c->under->ctx, p, old, n);
    if (q)
        count_bytes(c, n, old);
    return q;
}

static void counting_free(void *ctx, void *p, size_t n)
{
    struct wr_heap_counting *c = ctx;
    WR_ASSERT(c->objects > 0);
    c->objects--;
    c->frees++;
    count_bytes(c, 0, n);
    c->under->free(c->under->ctx, p, n);
}

void wr_heap_counting_init(struct wr_heap_counting *c, const struct wr_heap *under)
{
    *c = (struct wr_heap_counting){
        .heap = {counting_alloc, counting_realloc, counting_free, c},
        .under = under,
    };
}

/* ---- refusing ------------------------------------------------------------------------------------ */
void wr_fault_init(struct wr_fault *f, uint64_t nth, uint64_t one_in, uint64_t seed)
{
    *f = (struct wr_fault){
        .nth = nth, .one_in = one_in, .seed = seed ? seed : 0x9e3779b97f4a7c15u};
}

bool wr_fault_hits(struct wr_fault *f)
{
    bool hit = ++f->seen == f->nth;
    if (f->one_in) {
        f->seed ^= f->seed << 13;
        f->seed ^= f->seed >> 7;
        f->seed ^= f->seed << 17;
        hit |= (f->seed >> 11) % f->one_in == 0;
    }
    f->refused += hit;
    return hit;
}

static void *failing_alloc(void *ctx, size_t n)
{
    struct wr_heap_failing *f = ctx;
    return wr_fault_hits(&f->fault) ? NULL : f->under->alloc(f->under->ctx, n);
}

static void *failing_realloc(void *ctx, void *p, size_t old, size_t n)
{
    struct wr_heap_failing *f = ctx;
    if (n > old && wr_fault_hits(&f->fault))
        return NULL;
    return f->under->realloc(f->under->ctx, p, old, n);
}

static void failing_free(void *ctx, void *p, size_t n)
{
    struct wr_heap_failing *f = ctx;
    f->under->free(f->under->ctx, p, n);
}

void wr_heap_failing_init(struct wr_heap_failing *f, const struct wr_heap *under, uint64_t nth,
                          uint64_t one_in, uint64_t seed)
{
    *f = (struct wr_heap_failing){
        .heap = {failing_alloc, failing_realloc, failing_free, f},
        .under = under,
    };
    wr_fault_init(&f->fault, nth, one_in, seed);
}
