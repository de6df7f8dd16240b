/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/net_table.h"

#include "libweir/base/err.h"
#include "libweir/io/net.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct net_entry {
    net_key low, high;
    const struct wr_span *value; /* NULL: removed */
    uint32_t order;
    uint8_t rank;
};

/* ---- reading --------------------------------------------------------------------------------------------- */

static net_key key_of(const uint8_t *p, size_t n)
{
    net_key k = 0;
    for (size_t i = 0; i < n; i++)
        k = k << 8 | p[i];
    return k;
}

static int read_range(struct wr_span text, struct net_range *out)
{
    struct wr_addr low, high;
    ptrdiff_t dash = wr_span_find_char(text, '-');
    if (dash < 0)
        return WR_E_SYNTAX;
    if (wr_addr_parse_ip(wr_span_sub(text, 0, (size_t)dash), &low) ||
        wr_addr_parse_ip(wr_span_sub(text, (size_t)dash + 1, text.n), &high) ||
        low.kind != high.kind)
        return WR_E_SYNTAX;
    out->v6 = low.kind == WR_ADDR_V6;
    out->rank = 0;
    out->low = out->v6 ? key_of(low.v6, 16) : key_of(low.v4, 4);
    out->high = out->v6 ? key_of(high.v6, 16) : key_of(high.v4, 4);
    return out->low <= out->high ? 0 : WR_E_SYNTAX;
}

int net_range_parse(struct wr_span text, bool ranges, struct net_range *out)
{
    struct wr_net net;
    if (ranges)
        return read_range(text, out);
    int surplus = wr_net_parse(text, &net);
    if (surplus < 0)
        return surplus;
    size_t n = net.kind == WR_ADDR_V6 ? 16 : 4;
    net_key mask = key_of(net.mask, n), all = ~(net_key)0 >> (128 - 8 * n);
    out->v6 = n == 16;
    out->rank = net.bits;
    out->low = key_of(net.ip, n);
    out->high = out->low | (all & ~mask);
    return surplus;
}

/* ---- collecting -------------------------------------------------------------------------------------------- */

void net_table_init(struct net_table *t, struct wr_arena *arena)
{
    *t = (struct net_table){.arena = arena};
    web_arena_heap(arena, &t->heap);
    wr_table_init(&t->ranges, &t->heap, (struct wr_hash_key){0});
}

static struct wr_span range_key(const struct net_range *range, char key[static 33])
{
    key[0] = range->v6 ? 6 : 4;
    memcpy(key + 1, &range->low, 16);
    memcpy(key + 17, &range->high, 16);
    return wr_span(key, 33);
}

/* The table of ranges holds the place of an entry in its family plus one: entries move while they grow. */
static struct net_entry *lookup(struct net_table *t, const struct net_range *range)
{
    char key[33];
    uintptr_t at = (uintptr_t)wr_table_get(&t->ranges, range_key(range, key));
    struct net_family *f = range->v6 ? &t->v6 : &t->v4;
    return at ? &f->entries[at - 1] : NULL;
}

static int grow(struct net_table *t, struct net_family *f)
{
    uint32_t cap = f->cap ? f->cap * 2 : 32;
    struct net_entry *more = wr_arena_alloc(t->arena, cap * sizeof(*more));
    if (!more)
        return -ENOMEM;
    if (f->nentries)
        memcpy(more, f->entries, f->nentries * sizeof(*more));
    f->entries = more;
    f->cap = cap;
    return 0;
}

int net_table_add(struct net_table *t, const struct net_range *range,
                  const struct wr_span *value, const struct wr_span **out_old)
{
    struct net_family *f = range->v6 ? &t->v6 : &t->v4;
    struct net_entry *e = lookup(t, range);
    *out_old = e ? e->value : NULL;
    if (e) {
        e->value = value;
        e->order = t->order++;
        return 0;
    }
    int err = f->nentries == f->cap ? grow(t, f) : 0;
    char *key = err ? NULL : wr_arena_alloc(t->arena, 33);
    if (!key)
        return -ENOMEM;
    f->entries[f->nentries] = (struct net_entry){range->low, range->high, value,
                                                 .order = t->order++, .rank = range->rank};
    f->nentries++;
    return wr_table_put(&t->ranges, range_key(range, key), (void *)(uintptr_t)f->nentries);
}

bool net_table_remove(struct net_table *t, const struct net_range *range)
{
    struct net_entry *e = lookup(t, range);
    bool had = e && e->value;
    if (had)
        e->value = NULL;
    return had;
}

/* ---- flattening: a sweep from the lowest address up, with a heap of what covers it ---------------------- */

struct sweep {
    const struct net_entry **open; /* a heap, the one that counts on top */
    uint32_t nopen;
    struct net_family *f;
};

static bool counts_before(const struct net_entry *a, const struct net_entry *b)
{
    return a->rank != b->rank ? a->rank > b->rank : a->order > b->order;
}

static void push(struct sweep *s, const struct net_entry *e)
{
    uint32_t i = s->nopen++;
    for (; i > 0 && counts_before(e, s->open[(i - 1) / 2]); i = (i - 1) / 2)
        s->open[i] = s->open[(i - 1) / 2];
    s->open[i] = e;
}

static void pop(struct sweep *s)
{
    const struct net_entry *e = s->open[--s->nopen];
    uint32_t i = 0, child;
    while ((child = 2 * i + 1) < s->nopen) {
        if (child + 1 < s->nopen && counts_before(s->open[child + 1], s->open[child]))
            child++;
        if (!counts_before(s->open[child], e))
            break;
        s->open[i] = s->open[child];
        i = child;
    }
    s->open[i] = e;
}

static void emit(struct sweep *s, net_key low, net_key high, const struct wr_span *value)
{
    struct net_piece *last = s->f->npieces ? &s->f->pieces[s->f->npieces - 1] : NULL;
    if (last && last->value == value && last->high + 1 == low)
        last->high = high;
    else
        s->f->pieces[s->f->npieces++] = (struct net_piece){low, high, value};
}

/* What lies from `from` to just before `to`; `to` itself is where the next entry begins. */
static net_key sweep_to(struct sweep *s, net_key from, net_key to, bool to_end)
{
    while (s->nopen && (to_end || from < to)) {
        const struct net_entry *top = s->open[0];
        if (top->high < from) {
            pop(s);
            continue;
        }
        net_key high = to_end || top->high < to - 1 ? top->high : to - 1;
        emit(s, from, high, top->value);
        from = high + 1;
        if (from == 0)
            break; /* behind the last address of all */
        if (high == top->high)
            pop(s);
    }
    return to;
}

static int by_start(const void *a, const void *b)
{
    const struct net_entry *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int build(struct net_table *t, struct net_family *f)
{
    struct sweep s = {.f = f};
    if (!f->nentries)
        return 0;
    /* Each entry begins one piece, and its end uncovers at most one more. */
    f->pieces = wr_arena_alloc(t->arena, (2 * (size_t)f->nentries + 1) * sizeof(*f->pieces));
    s.open = wr_arena_alloc(t->arena, f->nentries * sizeof(const struct net_entry *));
    if (!f->pieces || !s.open)
        return -ENOMEM;
    qsort(f->entries, f->nentries, sizeof(*f->entries), by_start);
    net_key at = 0;
    for (uint32_t i = 0; i < f->nentries; i++) {
        const struct net_entry *e = &f->entries[i];
        if (!e->value)
            continue;
        at = sweep_to(&s, at, e->low, false);
        push(&s, e);
    }
    (void)sweep_to(&s, at, 0, true);
    return 0;
}

int net_table_build(struct net_table *t)
{
    int err = build(t, &t->v4);
    return err ? err : build(t, &t->v6);
}

/* ---- finding ---------------------------------------------------------------------------------------------- */

static const struct wr_span *find(const struct net_family *f, net_key key)
{
    uint32_t low = 0, high = f->npieces;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct net_piece *p = &f->pieces[mid];
        if (key < p->low)
            high = mid;
        else if (key > p->high)
            low = mid + 1;
        else
            return p->value;
    }
    return NULL;
}

const struct wr_span *net_table_find(const struct net_table *t, const struct wr_addr *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (addr->kind == WR_ADDR_V4)
        return find(&t->v4, key_of(addr->v4, 4));
    if (addr->kind != WR_ADDR_V6)
        return NULL;
    if (memcmp(addr->v6, mapped, sizeof(mapped)) == 0)
        return find(&t->v4, key_of(addr->v6 + 12, 4));
    return find(&t->v6, key_of(addr->v6, 16));
}
