/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/bytes.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <string.h>

/* ---- borrowed ------------------------------------------------------------------------------------ */
struct wr_view wr_view_lend_at(struct wr_block *b, const void *p, size_t n,
                               const struct wr_site *site)
{
    WR_ASSERT((const char *)p >= b->data && (const char *)p + n <= b->data + b->size);
    b->lent = site;
    return (struct wr_view){.s = wr_span(p, n), .block = b, .gen = b->gen};
}

struct wr_view wr_view_static(struct wr_span s)
{
    return (struct wr_view){.s = s};
}

void wr_view_end(struct wr_view *v)
{
    struct wr_block *b = v->block;
    if (b && b->gen == v->gen) {
        wr_block_expire(b);
        if (wr_block_writable(b) && b->step < WR_BLOCK_STEPS)
            wr_mem_poison(b->pool->mem, b->data + (v->s.p - b->data), v->s.n);
    }
    *v = (struct wr_view){0};
}

static void check_fresh(const struct wr_view *v, const char *verb, const struct wr_site *site)
{
    const struct wr_block *b = v->block;
    if (!b || WR_LIKELY(b->gen == v->gen))
        return;
    WR_PANIC(
        "borrowed bytes lent at %s:%d (%s) are %s at %s:%d (%s) after their callback ended; "
        "wr_view_keep in time gives bytes of your own",
        b->lent ? b->lent->file : "?", b->lent ? b->lent->line : 0,
        b->lent ? b->lent->func : "?", verb, site->file, site->line, site->func);
}

struct wr_span wr_view_span_at(struct wr_view v, const struct wr_site *site)
{
    check_fresh(&v, "read", site);
    return v.s;
}

static int copy_small(struct wr_block_pool *bp, struct wr_span s, const struct wr_site *site,
                      struct wr_bytes *out)
{
    struct wr_block *b;
    int r = wr_block_take_small(bp, s.n, site, &b);
    if (r < 0)
        return r;
    memcpy(b->data, s.p, s.n);
    *out = (struct wr_bytes){.p = b->data, .n = s.n, .block = b};
    return 0;
}

int wr_view_keep_at(struct wr_view v, const struct wr_site *site, struct wr_bytes *out)
{
    check_fresh(&v, "kept", site);
    if (!v.block || v.s.n == 0) {
        *out = (struct wr_bytes){.p = v.s.p, .n = v.s.n};
        return 0;
    }
    /* A few bytes never pin a large block. */
    if (v.s.n < WR_BLOCK_SMALL && copy_small(v.block->pool, v.s, site, out) == 0)
        return 0;
    *out = (struct wr_bytes){.p = v.s.p, .n = v.s.n, .block = wr_block_ref(v.block)};
    return 0;
}

struct wr_view wr_view_sub(struct wr_view v, size_t from, size_t n)
{
    v.s = wr_span_sub(v.s, from, n);
    return v;
}

/* ---- owned --------------------------------------------------------------------------------------- */
int wr_bytes_copy(struct wr_block_pool *bp, struct wr_span s, struct wr_bytes *out)
{
    if (s.n == 0) {
        *out = (struct wr_bytes){0};
        return 0;
    }
    if (s.n <= WR_BLOCK_SMALL)
        return copy_small(bp, s, WR_HERE, out);
    struct wr_block *b;
    int r = wr_block_take(bp, NULL, s.n, &b);
    if (r < 0)
        return r;
    memcpy(b->data, s.p, s.n);
    *out = (struct wr_bytes){.p = b->data, .n = s.n, .block = b};
    return 0;
}

struct wr_bytes wr_bytes_ref(const struct wr_bytes *b)
{
    if (b->block)
        (void)wr_block_ref(b->block);
    return *b;
}

struct wr_bytes wr_bytes_sub(const struct wr_bytes *b, size_t from, size_t n)
{
    struct wr_span s = wr_span_sub(wr_bytes_span(b), from, n);
    if (s.n == 0)
        return (struct wr_bytes){0};
    struct wr_bytes sub = wr_bytes_ref(b);
    sub.p = s.p;
    sub.n = s.n;
    return sub;
}

struct wr_bytes wr_bytes_take(struct wr_bytes *b)
{
    struct wr_bytes taken = *b;
    *b = (struct wr_bytes){0};
    return taken;
}

void wr_bytes_drop(struct wr_bytes *b)
{
    struct wr_block *block = b->block;
    *b = (struct wr_bytes){0};
    wr_block_drop(&block);
}

void wr_bytes_share(struct wr_bytes *b)
{
    if (b->block)
        wr_block_share(b->block);
}
