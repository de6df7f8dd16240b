/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/block.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <errno.h>
#include <string.h>

/*
 * The headers of a slab's blocks lie in a typed pool, the data on pages of its own, so that data stays
 * page-aligned and headers do not share its cache sets. free has a bit for each block that is not out,
 * asleep one for each that is not resident.
 */
struct wr_block_slab {
    struct wr_block_slab *next, *prev, **list;
    char *base;
    uint16_t free, asleep;
    uint8_t step, count;
    struct wr_block block[];
};

static const uint32_t step_size[WR_BLOCK_STEPS] = {
    4096, 16384, 65536, 262144, 1048576, 4194304, 8388608,
};

int wr_block_step_of(size_t n)
{
    for (int i = 0; i < WR_BLOCK_STEPS; i++)
        if (n <= step_size[i])
            return i;
    return -1;
}

size_t wr_block_step_size(int step)
{
    WR_ASSERT(step >= 0 && step < WR_BLOCK_STEPS);
    return step_size[step];
}

static unsigned blocks_per_slab(unsigned step)
{
    return step == 0 ? 16 : step == 1 ? 4 : 1;
}

static uint16_t all_bits(const struct wr_block_slab *s)
{
    return (uint16_t)((1u << s->count) - 1);
}

static size_t slab_bytes(const struct wr_block_slab *s)
{
    return (size_t)s->count * step_size[s->step];
}

/* ---- lists --------------------------------------------------------------------------------------- */
static void slab_unlink(struct wr_block_slab *s)
{
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        *s->list = s->next;
}

static void slab_link(struct wr_block_slab **list, struct wr_block_slab *s)
{
    s->list = list;
    s->prev = NULL;
    s->next = *list;
    if (*list)
        (*list)->prev = s;
    *list = s;
}

static void slab_sort(struct wr_block_step *st, struct wr_block_slab *s)
{
    struct wr_block_slab **want = s->free == 0             ? &st->full
                                  : s->free == all_bits(s) ? &st->empty
                                                           : &st->partial;
    if (want == s->list)
        return;
    slab_unlink(s);
    slab_link(want, s);
}

/* ---- slabs --------------------------------------------------------------------------------------- */
static struct wr_block_slab *slab_new(struct wr_block_pool *bp, unsigned step)
{
    unsigned n = blocks_per_slab(step);
    struct wr_block_slab *s = wr_pool_get(&bp->heads[step < 2 ? step : 2]);
    if (!s)
        return NULL;
    memset(s, 0, sizeof *s + n * sizeof s->block[0]);
    s->step = (uint8_t)step;
    s->count = (uint8_t)n;
    s->base = wr_mem_map(bp->mem, slab_bytes(s));
    if (!s->base) {
        wr_pool_put(&bp->heads[step < 2 ? step : 2], s);
        return NULL;
    }
    s->free = s->asleep = all_bits(s);
    for (unsigned i = 0; i < n; i++)
        s->block[i] = (struct wr_block){.data = s->base + (size_t)i * step_size[step],
                                        .size = step_size[step],
                                        .step = (uint8_t)step,
                                        .at = (uint8_t)i,
                                        .pool = bp,
                                        .slab = s};
    slab_link(&bp->step[step].empty, s);
    return s;
}

/* Returns the bytes that were resident; the caller releases their charge when it walks no list. */
WR_MUST static size_t slab_free(struct wr_block_pool *bp, struct wr_block_slab *s)
{
    unsigned awake = (unsigned)__builtin_popcount(all_bits(s) & ~s->asleep);
    size_t bytes = (size_t)awake * step_size[s->step];
    bp->step[s->step].free -= awake;
    slab_unlink(s);
    wr_mem_unmap(bp->mem, s->base, slab_bytes(s));
    wr_pool_put(&bp->heads[s->step < 2 ? s->step : 2], s);
    return bytes;
}

WR_MUST static size_t block_sleep(struct wr_block_pool *bp, struct wr_block_slab *s, unsigned i)
{
    size_t n = step_size[s->step];
    s->asleep |= (uint16_t)(1u << i);
    bp->step[s->step].free--;
    wr_mem_purge(bp->mem, s->base + i * n, n);
    return n;
}

/* ---- taking -------------------------------------------------------------------------------------- */
static int slab_take(struct wr_block_pool *bp, unsigned step, struct wr_block **out)
{
    struct wr_block_step *st = &bp->step[step];
    struct wr_block_slab *s = st->partial ? st->partial : st->empty;
    if (!s)
        s = slab_new(bp, step);
    if (!s)
        return -ENOMEM;
    unsigned awake = s->free & ~(unsigned)s->asleep;
    unsigned i = (unsigned)__builtin_ctz(awake ? awake : s->free);
    uint16_t bit = (uint16_t)(1u << i);
    s->free &= (uint16_t)~bit;
    slab_sort(st, s);
    st->live++;
    if (awake) {
        if (--st->free < st->low_free)
            st->low_free = st->free;
    } else {
        /* It is taken already: at a soft mark the charge calls somebody who trims, drops or takes. */
        s->asleep &= (uint16_t)~bit;
        if (wr_budget_charge(&bp->budget, step_size[step]) < 0) {
            s->free |= bit;
            s->asleep |= bit;
            slab_sort(st, s);
            st->live--;
            if (s->asleep ==
                all_bits(s)) /* who is refused keeps nothing that another may wait for */
                (void)!slab_free(bp, s);
            return WR_E_BUDGET;
        }
    }
    *out = &s->block[i];
    return 0;
}

static int passthrough_take(struct wr_block_pool *bp, unsigned step, struct wr_block **out)
{
    size_t n = step_size[step];
    if (wr_budget_charge(&bp->budget, n) < 0)
        return WR_E_BUDGET;
    struct wr_block *b = wr_heap_alloc(bp->mem->heap, sizeof *b);
    char *data = b ? wr_heap_alloc(bp->mem->heap, n) : NULL;
    if (!data) {
        wr_heap_free(bp->mem->heap, b, sizeof *b);
        wr_budget_release(&bp->budget, n);
        return -ENOMEM;
    }
    *b =
        (struct wr_block){.data = data, .size = (uint32_t)n, .step = (uint8_t)step, .pool = bp};
    bp->step[step].live++;
    *out = b;
    return 0;
}

static int raw_take(struct wr_block_pool *bp, unsigned step, struct wr_block **out)
{
    if (bp->mem->opt.passthrough)
        return passthrough_take(bp, step, out);
    int r = slab_take(bp, step, out);
    if (r < 0 && wr_mem_make_room(bp->mem) > 0)
        r = slab_take(bp, step, out); /* what was kept for speed made room */
    return r;
}

static void block_born(struct wr_block_pool *bp, struct wr_block *b, const struct wr_site *site)
{
    b->refs = 1;
    b->shared = false;
    b->budget = &bp->budget;
    b->gen = ++bp->gen;
    b->lent = NULL;
    b->site = site;
    b->next = NULL;
    bp->live++;
    bp->taken++;
    if (bp->mem->tags)
        wr_mem_tag(bp->mem, site, b->size, 1);
    if (b->step < WR_BLOCK_STEPS)
        wr_mem_unpoison(bp->mem, b->data, b->size);
}

/* ---- going back ---------------------------------------------------------------------------------- */
static void slab_put(struct wr_block_pool *bp, struct wr_block *b)
{
    struct wr_block_slab *s = b->slab;
    struct wr_block_step *st = &bp->step[s->step];
    size_t bytes = 0;
    WR_ASSERT(!(s->free >> b->at & 1));
    s->free |= (uint16_t)(1u << b->at);
    st->free++;
    bp->mem->freed += b->size;
    slab_sort(st, s);
    if (WR_UNLIKELY(wr_budget_pressed(&bp->budget)))
        bytes = s->list == &st->empty ? slab_free(bp, s) : block_sleep(bp, s, b->at);
    if (bytes > 0)
        wr_budget_release(&bp->budget, bytes);
}

static void raw_put(struct wr_block_pool *bp, struct wr_block *b)
{
    size_t n = b->size;
    if (b->step == WR_BLOCK_STEPS) {
        wr_pool_put(&bp->small, b);
        return;
    }
    bp->step[b->step].live--;
    if (bp->mem->opt.passthrough) {
        wr_mem_unpoison(bp->mem, b->data, n);
        wr_heap_free(bp->mem->heap, b->data, n);
        wr_heap_free(bp->mem->heap, b, sizeof *b);
        wr_budget_release(&bp->budget, n);
        return;
    }
    wr_mem_poison(bp->mem, b->data, n);
    slab_put(bp, b);
}

static void block_dead(struct wr_block *b)
{
    struct wr_block_pool *bp = b->pool;
    wr_block_charge_pool(b);
    b->gen = ++bp->gen;
    bp->live--;
    if (bp->mem->tags)
        wr_mem_tag(bp->mem, b->site, b->size, -1);
    if (b->step == 0 && bp->reserve_have < bp->reserve_want) {
        b->next = bp->reserve;
        bp->reserve = b;
        bp->reserve_have++;
        return;
    }
    raw_put(bp, b);
}

/* Shared blocks whose last holder was on another thread. */
static void drain_returned(struct wr_block_pool *bp)
{
    if (!__atomic_load_n(&bp->returned, __ATOMIC_RELAXED))
        return;
    struct wr_block *b = __atomic_exchange_n(&bp->returned, NULL, __ATOMIC_ACQUIRE);
    while (b) {
        struct wr_block *next = b->next;
        block_dead(b);
        b = next;
    }
}

static void push_returned(struct wr_block *b)
{
    struct wr_block *head = __atomic_load_n(&b->pool->returned, __ATOMIC_RELAXED);
    do
        b->next = head;
    while (!__atomic_compare_exchange_n(&b->pool->returned, &head, b, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

/* ---- public -------------------------------------------------------------------------------------- */
int wr_block_pool_init(struct wr_block_pool *bp, struct wr_mem *mem, struct wr_budget *parent,
                       uint32_t reserve_blocks)
{
    static const char *const names[3] = {"block-heads-4k", "block-heads-16k", "block-heads"};
    static const unsigned counts[3] = {16, 4, 1};
    *bp = (struct wr_block_pool){.mem = mem, .reserve_want = reserve_blocks};
    wr_budget_init(&bp->budget, parent, "blocks", WR_BUDGET_NONE, WR_BUDGET_NONE);
    wr_pool_init(&bp->small, mem, &bp->budget, "block-small",
                 sizeof(struct wr_block) + WR_BLOCK_SMALL);
    for (int i = 0; i < 3; i++)
        wr_pool_init(&bp->heads[i], mem, &bp->budget, names[i],
                     sizeof(struct wr_block_slab) + counts[i] * sizeof(struct wr_block));
    bp->small.untagged = true; /* a block is counted as a block */
    for (int i = 0; i < 3; i++)
        bp->heads[i].untagged = true;
    bp->next = mem->block_pools;
    mem->block_pools = bp;
    for (uint32_t i = 0; i < reserve_blocks; i++) {
        struct wr_block *b;
        int r = raw_take(bp, 0, &b);
        if (r < 0) {
            wr_block_pool_deinit(bp);
            return r;
        }
        b->next = bp->reserve;
        bp->reserve = b;
        bp->reserve_have++;
    }
    return 0;
}

void wr_block_pool_deinit(struct wr_block_pool *bp)
{
    drain_returned(bp);
    if (bp->live > 0)
        WR_PANIC("%zu blocks never dropped", bp->live);
    while (bp->reserve) {
        struct wr_block *b = bp->reserve;
        bp->reserve = b->next;
        bp->reserve_have--;
        raw_put(bp, b);
    }
    (void)wr_block_pool_trim(bp);
    wr_pool_deinit(&bp->small);
    for (int i = 0; i < 3; i++)
        wr_pool_deinit(&bp->heads[i]);
    wr_budget_deinit(&bp->budget);
    struct wr_block_pool **at = &bp->mem->block_pools;
    while (*at != bp)
        at = &(*at)->next;
    *at = bp->next;
}

int wr_block_take_at(struct wr_block_pool *bp, struct wr_budget *budget, size_t n,
                     const struct wr_site *site, struct wr_block **out)
{
    struct wr_block *b;
    int step = wr_block_step_of(n);
    if (step < 0)
        return WR_E_TOO_BIG;
    drain_returned(bp);
    int r = raw_take(bp, (unsigned)step, &b);
    if (r == 0 && budget && wr_budget_move(&bp->budget, budget, b->size) < 0) {
        raw_put(bp, b);
        r = WR_E_BUDGET;
    }
    if (r < 0) {
        bp->refused++;
        return r;
    }
    block_born(bp, b, site);
    if (budget)
        b->budget = budget;
    *out = b;
    return 0;
}

int wr_block_take_urgent(struct wr_block_pool *bp, size_t n, const struct wr_site *site,
                         struct wr_block **out)
{
    int r = wr_block_take_at(bp, NULL, n, site, out);
    struct wr_block *b = bp->reserve;
    if (r == 0 || !b)
        return r;
    bp->reserve = b->next;
    bp->reserve_have--;
    block_born(bp, b, site);
    *out = b;
    return 0;
}

int wr_block_take_small(struct wr_block_pool *bp, size_t n, const struct wr_site *site,
                        struct wr_block **out)
{
    WR_ASSERT(n <= WR_BLOCK_SMALL);
    struct wr_block *b = wr_pool_get_at(&bp->small, site);
    if (!b) {
        bp->refused++;
        return WR_E_BUDGET;
    }
    *b = (struct wr_block){.data = (char *)(b + 1),
                           .size = (uint32_t)WR_BLOCK_SMALL,
                           .step = WR_BLOCK_STEPS,
                           .pool = bp};
    block_born(bp, b, site);
    *out = b;
    return 0;
}

struct wr_block *wr_block_ref(struct wr_block *b)
{
    if (b->shared) {
        __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
        return b;
    }
    WR_ASSERT(b->refs > 0);
    if (b->refs++ == 1)
        wr_block_charge_pool(b);
    return b;
}

void wr_block_drop(struct wr_block **bp)
{
    struct wr_block *b = *bp;
    *bp = NULL;
    if (!b)
        return;
    if (b->shared) {
        if (__atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0)
            push_returned(b);
        return;
    }
    WR_ASSERT(b->refs > 0);
    if (--b->refs == 0)
        block_dead(b);
}

bool wr_block_writable(const struct wr_block *b)
{
    return __atomic_load_n(&b->refs, __ATOMIC_ACQUIRE) == 1;
}

char *wr_block_open(struct wr_block *b)
{
    if (!wr_block_writable(b))
        WR_PANIC("a block taken at %s:%d is written while %u hold it", b->site->file,
                 b->site->line, b->refs);
    if (b->step < WR_BLOCK_STEPS)
        wr_mem_unpoison(b->pool->mem, b->data, b->size);
    return b->data;
}

void wr_block_expire(struct wr_block *b)
{
    b->gen = ++b->pool->gen;
}

void wr_block_share(struct wr_block *b)
{
    wr_block_charge_pool(b);
    b->shared = true;
}

int wr_block_charge_to(struct wr_block *b, struct wr_budget *to)
{
    to = to ? to : &b->pool->budget;
    if (b->budget == to || b->step == WR_BLOCK_STEPS)
        return 0;
    int r = wr_budget_move(b->budget, to, b->size);
    if (r == 0)
        b->budget = to;
    return r;
}

void wr_block_charge_pool(struct wr_block *b)
{
    int r = wr_block_charge_to(b, NULL);
    WR_ASSERT(r == 0); /* the holder's budget hangs in the pool's tree */
}

/* ---- giving back --------------------------------------------------------------------------------- */
static size_t give_back(struct wr_block_pool *bp, unsigned step, size_t blocks, size_t *room)
{
    struct wr_block_step *st = &bp->step[step];
    size_t before = st->free, bytes = 0;
    while (st->empty && before - st->free < blocks && bytes < *room)
        bytes += slab_free(bp, st->empty);
    for (struct wr_block_slab *s = st->partial; s; s = s->next)
        for (unsigned i = 0; i < s->count; i++) {
            if (before - st->free >= blocks || bytes >= *room)
                break;
            if ((s->free & ~(unsigned)s->asleep) >> i & 1)
                bytes += block_sleep(bp, s, i);
        }
    size_t gave = before - st->free;
    *room -= bytes < *room ? bytes : *room;
    if (bytes > 0)
        wr_budget_release(&bp->budget, bytes);
    return gave;
}

static enum wr_mem_more tick_step(struct wr_block_pool *bp, unsigned step, bool period,
                                  size_t *room)
{
    struct wr_block_step *st = &bp->step[step];
    bool active = false;
    if (period) {
        active = st->low_free < st->free;
        st->due = (st->low_free + 1) / 2;
        st->low_free = st->free;
    }
    if (st->due == 0 || *room == 0)
        return st->due ? WR_MEM_DUE : active ? WR_MEM_PERIOD : WR_MEM_REST;
    size_t gave = give_back(bp, step, st->due, room);
    st->low_free -= gave < st->low_free ? gave : st->low_free;
    st->due = gave >= st->due || *room > 0 ? 0 : st->due - gave;
    return st->due ? WR_MEM_DUE : gave || active ? WR_MEM_PERIOD : WR_MEM_REST;
}

enum wr_mem_more wr_block_pool_tick(struct wr_block_pool *bp, bool period, size_t *room)
{
    enum wr_mem_more more = WR_MEM_REST;
    drain_returned(bp);
    for (unsigned i = WR_BLOCK_STEPS; i-- > 0;) {
        enum wr_mem_more r = tick_step(bp, i, period, room);
        more = r > more ? r : more;
    }
    return more;
}

size_t wr_block_pool_trim(struct wr_block_pool *bp)
{
    size_t room = SIZE_MAX;
    drain_returned(bp);
    for (unsigned i = 0; i < WR_BLOCK_STEPS; i++) {
        (void)give_back(bp, i, SIZE_MAX, &room);
        bp->step[i].low_free = bp->step[i].free;
        bp->step[i].due = 0;
    }
    return SIZE_MAX - room;
}

/* ---- validate ------------------------------------------------------------------------------------ */
static void validate_list(const struct wr_block_step *st, struct wr_block_slab *const *list,
                          size_t *awake, size_t *out)
{
    const struct wr_block_slab *prev = NULL;
    for (struct wr_block_slab *s = *list; s; prev = s, s = s->next) {
        WR_ASSERT(s->list == list && s->prev == prev);
        WR_ASSERT((s->asleep & ~s->free) == 0);
        WR_ASSERT((list == &st->full) == (s->free == 0));
        WR_ASSERT((list == &st->empty) == (s->free == all_bits(s)));
        *awake += (unsigned)__builtin_popcount(s->free & ~(unsigned)s->asleep);
        *out += s->count - (unsigned)__builtin_popcount(s->free);
    }
}

void wr_block_pool_validate(const struct wr_block_pool *bp)
{
    size_t live = wr_pool_live(&bp->small), resident = 0, reserve = 0;
    for (unsigned i = 0; i < WR_BLOCK_STEPS; i++) {
        const struct wr_block_step *st = &bp->step[i];
        size_t awake = 0, out = 0;
        validate_list(st, &st->partial, &awake, &out);
        validate_list(st, &st->full, &awake, &out);
        validate_list(st, &st->empty, &awake, &out);
        WR_ASSERT(bp->mem->opt.passthrough || (awake == st->free && out == st->live));
        live += st->live;
        resident += awake * step_size[i];
    }
    for (const struct wr_block *b = bp->reserve; b; b = b->next)
        reserve++;
    WR_ASSERT(reserve == bp->reserve_have && reserve <= bp->reserve_want);
    WR_ASSERT(bp->budget.used >= resident);
    const struct wr_block *back = __atomic_load_n(&bp->returned, __ATOMIC_ACQUIRE);
    WR_ASSERT(back || live == bp->live + reserve);
    wr_pool_validate(&bp->small);
    for (int i = 0; i < 3; i++)
        wr_pool_validate(&bp->heads[i]);
}
