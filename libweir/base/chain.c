/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/chain.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <errno.h>
#include <string.h>

/* ---- the row of slices --------------------------------------------------------------------------- */
static struct wr_bytes *row(const struct wr_chain *c)
{
    return c->many ? c->many : (struct wr_bytes *)(uintptr_t)c->inline_;
}

static struct wr_bytes *slice(const struct wr_chain *c, uint32_t i)
{
    return row(c) + c->first + i;
}

/* Of a chain that has slices. */
static struct wr_bytes *tail(const struct wr_chain *c)
{
    return slice(c, c->count - 1);
}

static int slide(struct wr_chain *c)
{
    memmove(row(c), slice(c, 0), c->count * sizeof *row(c));
    c->first = 0;
    return 0;
}

/* Room for more slices behind the last, so that what follows cannot fail. A long row slides to its
 * front only when at least as many have left it as must move; else a nearly full one would at every
 * append. */
WR_MUST static int make_slots(struct wr_chain *c, size_t more)
{
    size_t need = c->count + more, cap = (size_t)c->cap * 2;
    if (c->first + need <= c->cap)
        return 0;
    if (need <= c->cap && (!c->many || c->first >= c->count))
        return slide(c);
    while (need > cap)
        cap *= 2;
    if (cap > UINT32_MAX)
        return WR_E_TOO_BIG;
    const struct wr_heap *heap = c->pool->mem->heap;
    struct wr_bytes *many = wr_heap_alloc(heap, cap * sizeof *many);
    if (!many)
        return need <= c->cap ? slide(c) : -ENOMEM;
    memcpy(many, slice(c, 0), c->count * sizeof *many);
    wr_heap_free(heap, c->many, c->cap * sizeof *many);
    c->many = many;
    c->cap = (uint32_t)cap;
    c->first = 0;
    return 0;
}

/* Takes over s's reference; a slot is there. Neighbours in one block become one slice. */
static void push(struct wr_chain *c, struct wr_bytes s)
{
    struct wr_bytes *t = c->count ? tail(c) : NULL;
    c->len += s.n;
    if (t && t->block && t->block == s.block && t->p + t->n == s.p) {
        t->n += s.n;
        wr_block_drop(&s.block);
        return;
    }
    c->count++;
    *tail(c) = s;
}

static struct wr_bytes pop(struct wr_chain *c)
{
    struct wr_bytes s = *slice(c, 0);
    c->len -= s.n;
    c->count--;
    c->first = c->count ? c->first + 1 : 0;
    if (c->count == 0 && c->many) {
        wr_heap_free(c->pool->mem->heap, c->many, c->cap * sizeof *c->many);
        c->many = NULL;
        c->cap = WR_CHAIN_INLINE;
    }
    return s;
}

/* Bytes behind the last slice that nobody but this chain can see. */
static size_t tail_room(const struct wr_chain *c)
{
    if (c->count == 0)
        return 0;
    const struct wr_bytes *t = tail(c);
    if (!t->block || !wr_block_writable(t->block))
        return 0;
    return (size_t)(t->block->data + t->block->size - (t->p + t->n));
}

static char *tail_end(const struct wr_chain *c)
{
    const struct wr_bytes *t = tail(c);
    return t->block->data + (t->p - t->block->data) + t->n;
}

/* A slice's block is charged to whoever holds it alone. */
WR_MUST static int charge_slice(struct wr_chain *c, const struct wr_bytes *s)
{
    if (!s->block || s->block->shared || s->block->pool != c->pool ||
        !wr_block_writable(s->block))
        return 0;
    return wr_block_charge_to(s->block, c->budget);
}

/* ---- life ---------------------------------------------------------------------------------------- */
void wr_chain_init(struct wr_chain *c, struct wr_block_pool *pool, struct wr_budget *budget)
{
    *c = (struct wr_chain){.pool = pool, .budget = budget, .cap = WR_CHAIN_INLINE};
}

void wr_chain_deinit(struct wr_chain *c)
{
    wr_block_drop(&c->spare);
    c->room = 0;
    wr_chain_consume(c, c->len);
}

/* ---- input --------------------------------------------------------------------------------------- */
/* Less than this at the end of a block is no room for a read of its own. */
#define WORTH_A_READ 1024

int wr_chain_reserve(struct wr_chain *c, size_t n, struct wr_iov *iov, int max)
{
    WR_ASSERT(n > 0 && max > 0 && !c->spare && c->room == 0);
    size_t room = tail_room(c);
    int pieces = 0, r = make_slots(c, 1);
    if (r < 0)
        return r;
    if (max == 1 && room < n && room < WORTH_A_READ)
        room = 0;
    if (room < n && (max > 1 || room == 0)) {
        size_t want = n - room < WR_BLOCK_MAX ? n - room : WR_BLOCK_MAX;
        r = wr_block_take(c->pool, c->budget, want, &c->spare);
        if (r < 0)
            return r;
    }
    if (room > 0)
        iov[pieces++] = (struct wr_iov){tail_end(c), room};
    if (c->spare)
        iov[pieces++] = (struct wr_iov){c->spare->data, c->spare->size};
    c->room = (uint32_t)room;
    return pieces;
}

void wr_chain_commit(struct wr_chain *c, size_t n)
{
    size_t here = n < c->room ? n : c->room;
    if (here > 0) {
        WR_ASSERT(wr_block_writable(tail(c)->block));
        tail(c)->n += here;
        c->len += here;
        n -= here;
    }
    c->room = 0;
    if (n > 0) {
        WR_ASSERT(c->spare && n <= c->spare->size);
        push(c, (struct wr_bytes){.p = c->spare->data, .n = n, .block = c->spare});
        c->spare = NULL;
    }
    wr_block_drop(&c->spare);
}

/* ---- output -------------------------------------------------------------------------------------- */
int wr_chain_iov(const struct wr_chain *c, struct wr_iov *iov, int max)
{
    int n = 0;
    for (; n < max && (uint32_t)n < c->count; n++) {
        const struct wr_bytes *s = slice(c, (uint32_t)n);
        iov[n] = (struct wr_iov){(void *)(uintptr_t)s->p, s->n};
    }
    return n;
}

void wr_chain_consume(struct wr_chain *c, size_t n)
{
    WR_ASSERT(n <= c->len && c->room == 0 && !c->spare);
    while (n > 0) {
        struct wr_bytes *s = slice(c, 0);
        if (s->n > n) {
            s->p += n;
            s->n -= n;
            c->len -= n;
            return;
        }
        n -= s->n;
        struct wr_bytes gone = pop(c);
        wr_bytes_drop(&gone);
    }
}

struct wr_span wr_chain_first(const struct wr_chain *c)
{
    return c->count ? wr_bytes_span(slice(c, 0)) : wr_span("", 0);
}

size_t wr_chain_copy_out(const struct wr_chain *c, size_t from, void *p, size_t n)
{
    size_t done = 0;
    for (uint32_t i = 0; i < c->count && done < n; i++) {
        struct wr_span s = wr_bytes_span(slice(c, i));
        if (from >= s.n) {
            from -= s.n;
            continue;
        }
        s = wr_span_sub(s, from, n - done);
        memcpy((char *)p + done, s.p, s.n);
        done += s.n;
        from = 0;
    }
    return done;
}

/* ---- changing hands ------------------------------------------------------------------------------ */
/* The first slice, or n bytes of it when it is longer; dst has a slot. Returns how many bytes moved. */
static size_t shift(struct wr_chain *dst, struct wr_chain *src, size_t n)
{
    struct wr_bytes *s = slice(src, 0);
    if (s->n <= n) {
        n = s->n;
        push(dst, pop(src));
        return n;
    }
    push(dst, wr_bytes_sub(s, 0, n));
    s->p += n;
    s->n -= n;
    src->len -= n;
    return n;
}

int wr_chain_move(struct wr_chain *dst, struct wr_chain *src, size_t n)
{
    WR_ASSERT(dst != src && dst->room == 0 && !dst->spare && src->room == 0 && !src->spare);
    n = n < src->len ? n : src->len;
    while (n > 0) {
        const struct wr_bytes *s = slice(src, 0);
        int r = make_slots(dst, 1);
        if (r == 0 && s->n <= n)
            r = charge_slice(dst, s);
        if (r < 0)
            return r;
        n -= shift(dst, src, n);
    }
    return 0;
}

int wr_chain_split(struct wr_chain *src, size_t n, struct wr_chain *out)
{
    WR_ASSERT(n <= src->len && src->room == 0 && !src->spare);
    struct wr_chain front;
    size_t seen = 0;
    uint32_t slots = 0;
    while (seen < n)
        seen += slice(src, slots++)->n;
    wr_chain_init(&front, src->pool, src->budget);
    int r = make_slots(&front, slots);
    if (r < 0)
        return r;
    while (n > 0) /* the budget is the same: whoever pays for a block goes on paying */
        n -= shift(&front, src, n);
    *out = front;
    return 0;
}

int wr_chain_append(struct wr_chain *c, struct wr_bytes *b)
{
    WR_ASSERT(c->room == 0 && !c->spare);
    if (b->n == 0) {
        wr_bytes_drop(b);
        return 0;
    }
    int r = make_slots(c, 1);
    if (r == 0)
        r = charge_slice(c, b);
    if (r < 0)
        return r;
    push(c, wr_bytes_take(b));
    return 0;
}

/* Fresh blocks filled with p[0..n), as a chain of their own. */
WR_MUST static int copy_to_new(struct wr_chain *fresh, const char *p, size_t n)
{
    while (n > 0) {
        struct wr_block *b;
        size_t want = n >= 65536 ? 65536 : n > 4096 ? 16384 : 4096;
        int r = make_slots(fresh, 1);
        if (r == 0)
            r = wr_block_take(fresh->pool, fresh->budget, want, &b);
        if (r < 0)
            return r;
        size_t take = n < b->size ? n : b->size;
        memcpy(b->data, p, take);
        push(fresh, (struct wr_bytes){.p = b->data, .n = take, .block = b});
        p += take;
        n -= take;
    }
    return 0;
}

int wr_chain_append_copy(struct wr_chain *c, const void *p, size_t n)
{
    WR_ASSERT(c->room == 0 && !c->spare);
    struct wr_chain fresh;
    size_t room = tail_room(c), here = n < room ? n : room;
    wr_chain_init(&fresh, c->pool, c->budget);
    int r = copy_to_new(&fresh, (const char *)p + here, n - here);
    if (r == 0)
        r = make_slots(c, fresh.count);
    if (r < 0) {
        wr_chain_deinit(&fresh);
        return r;
    }
    if (here > 0) {
        memcpy(tail_end(c), p, here);
        tail(c)->n += here;
        c->len += here;
    }
    while (fresh.count > 0)
        push(c, pop(&fresh));
    return 0;
}

/* ---- contiguous ---------------------------------------------------------------------------------- */
int wr_chain_pullup(struct wr_chain *c, size_t n, struct wr_span *out)
{
    WR_ASSERT(n <= c->len && c->room == 0 && !c->spare);
    if (n > 0 && slice(c, 0)->n < n) {
        struct wr_block *b;
        int r = wr_block_take(c->pool, c->budget, n, &b);
        if (r < 0)
            return r;
        (void)wr_chain_copy_out(c, 0, b->data, n);
        size_t left = n;
        while (slice(c, 0)->n < left) {
            left -= slice(c, 0)->n;
            struct wr_bytes gone = pop(c);
            wr_bytes_drop(&gone);
        }
        /* At least one slice went, so there is a place in front of the first that stays. */
        struct wr_bytes *s = slice(c, 0);
        s->p += left;
        s->n -= left;
        if (s->n > 0) {
            c->first--;
            c->count++;
        } else {
            wr_bytes_drop(s);
        }
        *slice(c, 0) = (struct wr_bytes){.p = b->data, .n = n, .block = b};
        c->len += n - left;
    }
    *out = wr_span_sub(wr_chain_first(c), 0, n);
    return 0;
}

int wr_chain_lend_at(struct wr_chain *c, size_t n, const struct wr_site *site,
                     struct wr_view *out)
{
    struct wr_span s;
    int r = wr_chain_pullup(c, n, &s);
    if (r < 0)
        return r;
    struct wr_block *b = c->count ? slice(c, 0)->block : NULL;
    *out = b ? wr_view_lend_at(b, s.p, s.n, site) : wr_view_static(s);
    return 0;
}

int wr_chain_take(struct wr_chain *c, size_t n, struct wr_bytes *out)
{
    struct wr_span s;
    int r = wr_chain_pullup(c, n, &s);
    if (r < 0)
        return r;
    if (n == 0) {
        *out = (struct wr_bytes){0};
        return 0;
    }
    struct wr_bytes *first = slice(c, 0);
    if (first->block && n < WR_BLOCK_SMALL && wr_bytes_copy(c->pool, s, out) == 0) {
        wr_chain_consume(c, n);
        return 0;
    }
    *out = wr_bytes_sub(first, 0, n);
    wr_chain_consume(c, n);
    if (out->block && !out->block->shared)
        wr_block_charge_pool(out->block); /* an anonymous holder: the pool pays */
    return 0;
}

void wr_chain_validate(const struct wr_chain *c)
{
    size_t len = 0;
    WR_ASSERT(c->first + c->count <= c->cap);
    WR_ASSERT(c->many || c->cap == WR_CHAIN_INLINE);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct wr_bytes *s = slice(c, i);
        WR_ASSERT(s->n > 0);
        if (s->block)
            WR_ASSERT(s->block->refs > 0 && s->p >= s->block->data &&
                      s->p + s->n <= s->block->data + s->block->size);
        len += s->n;
    }
    WR_ASSERT(len == c->len);
}
