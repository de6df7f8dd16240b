/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem_pool.h"

#include "libweir/base/assert.h"

#include <string.h>

/*
 *   slab, 64 KiB, aligned to 64 KiB:
 *   [head | bitmap of free slots | slot 0 | slot 1 | ...            ]
 *    page 0        page 1        page 2   ...                page 15
 *
 * purged has a bit for each page that is not resident; a new slab begins with all but page 0 purged, so
 * a slab costs only the pages that were used. Slots that begin in a purged page are free but not
 * resident_free: they have nothing to give back.
 *
 * A slab with some slots free is in partial or, once it was searched for idle pages, in searched until
 * something is put: what survivors pin in every page is looked at once, not in every period.
 */
struct wr_pool_slab {
    struct wr_pool_slab *next, *prev;
    struct wr_pool *pool;
    struct wr_pool_slab **list; /* the one it is in */
    uint16_t free;
    bool searched; /* for pages to give back, and nothing was put since */
    uint32_t purged;
    uint64_t bits[]; /* 1: free */
};

#define PAGES_PER_SLAB ((uint32_t)(WR_PAGES_UNIT / WR_PAGE))
_Static_assert(WR_PAGES_UNIT / WR_PAGE <= 32, "purged has a bit for every page");
_Static_assert(WR_PAGES_UNIT / 16 <= UINT16_MAX, "free counts the smallest slots");

#define SEARCHES_PER_STEP 128

/* ---- slots --------------------------------------------------------------------------------------- */
static struct wr_pool_slab *slab_of(const void *object)
{
    return (struct wr_pool_slab *)((uintptr_t)object & ~(uintptr_t)(WR_PAGES_UNIT - 1));
}

static char *slot_at(const struct wr_pool *p, struct wr_pool_slab *s, uint32_t i)
{
    return (char *)s + p->slab_offset + (size_t)i * p->slot;
}

static bool slot_free(const struct wr_pool_slab *s, uint32_t i)
{
    return s->bits[i / 64] >> (i % 64) & 1;
}

static uint32_t first_free(const struct wr_pool_slab *s)
{
    uint32_t w = 0;
    while (s->bits[w] == 0)
        w++;
    return w * 64 + (uint32_t)__builtin_ctzll(s->bits[w]);
}

/* Slots that begin in [from, to) of the slab, as a range of indices. */
static void slots_between(const struct wr_pool *p, uint32_t from, uint32_t to, uint32_t *lo,
                          uint32_t *hi)
{
    uint32_t off = p->slab_offset;
    *lo = from <= off ? 0 : (from - off + p->slot - 1) / p->slot;
    *hi = to <= off ? 0 : (to - off + p->slot - 1) / p->slot;
    *hi = *hi < p->slots_per_slab ? *hi : p->slots_per_slab;
    *lo = *lo < *hi ? *lo : *hi;
}

static uint32_t count_free(const struct wr_pool_slab *s, uint32_t lo, uint32_t hi)
{
    uint32_t n = 0;
    while (lo < hi) {
        uint32_t bit = lo % 64, take = 64 - bit < hi - lo ? 64 - bit : hi - lo;
        uint64_t mask = (take == 64 ? UINT64_MAX : (UINT64_C(1) << take) - 1) << bit;
        n += (uint32_t)__builtin_popcountll(s->bits[lo / 64] & mask);
        lo += take;
    }
    return n;
}

static uint32_t free_in_page(const struct wr_pool *p, const struct wr_pool_slab *s,
                             uint32_t page)
{
    uint32_t lo, hi;
    slots_between(p, page * (uint32_t)WR_PAGE, (page + 1) * (uint32_t)WR_PAGE, &lo, &hi);
    return count_free(s, lo, hi);
}

/* ---- lists of slabs ------------------------------------------------------------------------------ */
static void list_remove(struct wr_pool_slab *s)
{
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        *s->list = s->next;
}

static void list_add(struct wr_pool_slab **list, struct wr_pool_slab *s)
{
    s->list = list;
    s->prev = NULL;
    s->next = *list;
    if (*list)
        (*list)->prev = s;
    *list = s;
}

static void list_move(struct wr_pool *p, struct wr_pool_slab *s)
{
    struct wr_pool_slab **want = s->free == 0                   ? &p->full
                                 : s->free == p->slots_per_slab ? &p->empty
                                 : s->searched                  ? &p->searched
                                                                : &p->partial;
    if (want == s->list)
        return;
    list_remove(s);
    list_add(want, s);
}

/* ---- pages and their charge ---------------------------------------------------------------------- */
static bool charge_page(struct wr_pool *p)
{
    if (p->budget && wr_budget_charge(p->budget, WR_PAGE) < 0)
        return false;
    p->stats.resident_bytes += WR_PAGE;
    return true;
}

static void release_pages(struct wr_pool *p, size_t pages)
{
    p->stats.resident_bytes -= pages * WR_PAGE;
    p->stats.returned_bytes += pages * WR_PAGE;
    if (p->budget)
        wr_budget_release(p->budget, pages * WR_PAGE);
}

static struct wr_pool_slab *slab_new(struct wr_pool *p)
{
    if (!charge_page(p))
        return NULL;
    struct wr_pool_slab *s = wr_mem_map(p->mem, WR_PAGES_UNIT);
    if (!s) {
        release_pages(p, 1);
        return NULL;
    }
    s->pool = p;
    s->free = (uint16_t)p->slots_per_slab;
    s->searched = false;
    s->purged = (UINT32_C(1) << PAGES_PER_SLAB) - 2;
    for (uint32_t i = 0; i < (p->slots_per_slab + 63) / 64; i++) {
        uint32_t left = p->slots_per_slab - i * 64;
        s->bits[i] = left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
    }
    list_add(&p->empty, s);
    p->stats.slabs++;
    p->resident_free += free_in_page(p, s, 0);
    return s;
}

/* Returns the pages, whose charge the caller releases when it no longer walks a list: a release may
 * call somebody who comes back here. */
WR_MUST static size_t slab_free(struct wr_pool *p, struct wr_pool_slab *s)
{
    uint32_t gone = 0;
    for (uint32_t page = 0; page < PAGES_PER_SLAB; page++)
        if (!(s->purged >> page & 1))
            gone += free_in_page(p, s, page);
    size_t pages = PAGES_PER_SLAB - (uint32_t)__builtin_popcount(s->purged);
    list_remove(s);
    p->resident_free -= gone;
    p->stats.slabs--;
    wr_mem_unmap(p->mem, s, WR_PAGES_UNIT);
    return pages;
}

/* The pages under a slot that is no longer free become resident before it is handed out. */
static bool slot_wake(struct wr_pool *p, struct wr_pool_slab *s, uint32_t i)
{
    size_t from = p->slab_offset + (size_t)i * p->slot;
    for (size_t page = from / WR_PAGE; page <= (from + p->slot - 1) / WR_PAGE; page++) {
        if (!(s->purged >> page & 1))
            continue;
        list_move(p, s); /* at a soft mark the charge calls somebody who trims, puts or gets */
        if (!charge_page(p))
            return false;
        if (!(s->purged >> page & 1)) {
            release_pages(p, 1);
            continue;
        }
        s->purged &= ~(UINT32_C(1) << page);
        p->resident_free += free_in_page(p, s, (uint32_t)page);
    }
    return true;
}

/* ---- the stack in front of the slabs ------------------------------------------------------------- */
static void slot_release(struct wr_pool *p, void *object)
{
    struct wr_pool_slab *s = slab_of(object);
    size_t off = (size_t)((char *)object - (char *)s) - p->slab_offset;
    uint32_t i = (uint32_t)off / p->slot;
    WR_ASSERT(s->pool == p && off % p->slot == 0 && !slot_free(s, i));
    s->bits[i / 64] |= UINT64_C(1) << (i % 64);
    s->free++;
    s->searched = false;
    p->resident_free++;
    p->mem->freed += p->slot;
    list_move(p, s);
}

static void flush(struct wr_pool *p, uint32_t n)
{
    while (n-- > 0) {
        void *oldest = p->stack[p->stack_head];
        p->stack_head = (p->stack_head + 1) % WR_POOL_STACK;
        p->stacked--;
        slot_release(p, oldest);
    }
}

static void push(struct wr_pool *p, void *object)
{
    if (p->stacked == WR_POOL_STACK)
        flush(p, WR_POOL_STACK / 2);
    p->stack[(p->stack_head + p->stacked++) % WR_POOL_STACK] = object;
}

static bool begins_resident(const struct wr_pool *p, const struct wr_pool_slab *s, uint32_t i)
{
    return !(s->purged >> (p->slab_offset + (size_t)i * p->slot) / WR_PAGE & 1);
}

/* The slot is taken before its pages are charged, so that its slab stays whatever the charge leads to. */
static bool slot_take(struct wr_pool *p, struct wr_pool_slab *s, uint32_t i)
{
    s->bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
    s->free--;
    p->resident_free -= begins_resident(p, s, i);
    if (WR_LIKELY(slot_wake(p, s, i)))
        return true;
    s->bits[i / 64] |= UINT64_C(1) << (i % 64);
    s->free++;
    s->searched = false;
    p->resident_free += begins_resident(p, s, i);
    return false;
}

/* Fills the stack with a few slots of one slab; after the first, only such as need no new page. */
static bool refill(struct wr_pool *p)
{
    struct wr_pool_slab *s = p->partial    ? p->partial
                             : p->searched ? p->searched
                             : p->empty    ? p->empty
                                           : slab_new(p);
    if (!s)
        return false;
    uint32_t n = 0;
    while (n < p->batch && s->free > 0) {
        uint32_t i = first_free(s);
        size_t last = p->slab_offset + (size_t)(i + 1) * p->slot - 1;
        if (n > 0 && s->purged >> (last / WR_PAGE) & 1)
            break;
        if (!slot_take(p, s, i))
            break;
        push(p, slot_at(p, s, i));
        n++;
    }
    list_move(p, s);
    if (n == 0 &&
        s->list == &p->empty) /* who is refused keeps nothing that another may wait for */
        release_pages(p, slab_free(p, s));
    return p->stacked > 0;
}

static inline void *pop_at(struct wr_pool *p, uint32_t at)
{
    size_t free_now = p->resident_free + --p->stacked;
    if (free_now < p->low_free)
        p->low_free = free_now;
    return p->stack[at % WR_POOL_STACK];
}

static inline void *pop_newest(struct wr_pool *p)
{
    return pop_at(p, p->stack_head + p->stacked - 1);
}

static void *pop(struct wr_pool *p)
{
    if (p->stacked == 0 && !refill(p))
        return NULL;
    if (!p->mem->opt.cold)
        return pop_newest(p);
    uint32_t oldest = p->stack_head;
    p->stack_head = (p->stack_head + 1) % WR_POOL_STACK;
    return pop_at(p, oldest);
}

/* ---- giving back --------------------------------------------------------------------------------- */
/* Resident pages that hold nothing but free slots. Page 0 holds the head. */
static uint32_t idle_pages(const struct wr_pool *p, const struct wr_pool_slab *s)
{
    uint32_t mask = 0;
    for (uint32_t page = 1; page < PAGES_PER_SLAB; page++) {
        uint32_t lo, hi, from = page * (uint32_t)WR_PAGE;
        if (s->purged >> page & 1)
            continue;
        slots_between(p, from, from + (uint32_t)WR_PAGE, &lo, &hi);
        /* From the one that reaches in from the page before. */
        lo = (from - p->slab_offset) / p->slot;
        if (count_free(s, lo, hi) == hi - lo)
            mask |= UINT32_C(1) << page;
    }
    return mask;
}

WR_MUST static size_t purge_pages(struct wr_pool *p, struct wr_pool_slab *s, uint32_t mask)
{
    size_t slots = 0;
    for (uint32_t page = 1; page < PAGES_PER_SLAB;) {
        uint32_t run = 0;
        for (; page + run < PAGES_PER_SLAB && mask >> (page + run) & 1; run++)
            slots += free_in_page(p, s, page + run);
        if (run > 0)
            wr_mem_purge(p->mem, (char *)s + page * WR_PAGE, run * WR_PAGE);
        page += run + 1;
    }
    s->purged |= mask;
    p->resident_free -= slots;
    return (size_t)__builtin_popcount(mask);
}

/* Gives back about this many free slots, and not much more than room bytes, and searches so many slabs
 * for them. Returns the slots. */
static size_t give_back(struct wr_pool *p, size_t slots, size_t *room, size_t searches)
{
    size_t before = p->resident_free, pages = 0;
    while (p->empty && before - p->resident_free < slots && pages * WR_PAGE < *room)
        pages += slab_free(p, p->empty);
    while (p->partial && before - p->resident_free < slots && pages * WR_PAGE < *room &&
           searches-- > 0) {
        struct wr_pool_slab *s = p->partial;
        uint32_t mask = (size_t)s->free * p->slot >= WR_PAGE ? idle_pages(p, s) : 0;
        if (mask)
            pages += purge_pages(p, s, mask);
        s->searched = true;
        p->stats.searched++;
        list_move(p, s);
    }
    size_t gave = before - p->resident_free;
    *room -= pages * WR_PAGE < *room ? pages * WR_PAGE : *room;
    if (pages > 0)
        release_pages(p, pages);
    return gave;
}

/* Somebody waits for memory: nothing is kept for speed. */
WR_COLD static void put_under_pressure(struct wr_pool *p, void *object)
{
    struct wr_pool_slab *s = slab_of(object);
    flush(p, p->stacked);
    slot_release(p, object);
    uint32_t mask = s->list == &p->empty ? 0 : idle_pages(p, s);
    size_t pages = s->list == &p->empty ? slab_free(p, s) : mask ? purge_pages(p, s, mask) : 0;
    if (pages > 0)
        release_pages(p, pages);
}

/* ---- debug modes --------------------------------------------------------------------------------- */
static size_t object_bytes(const struct wr_pool *p)
{
    return p->mem->opt.tags ? p->slot : p->size;
}

static const struct wr_site **object_site(const struct wr_pool *p, void *object)
{
    return (const struct wr_site **)(void *)((char *)object + p->slot - sizeof(void *));
}

static void *passthrough_get(struct wr_pool *p)
{
    size_t n = object_bytes(p);
    if (p->budget && wr_budget_charge(p->budget, n) < 0)
        return NULL;
    void *object = wr_heap_alloc(p->mem->heap, n);
    if (!object && p->budget)
        wr_budget_release(p->budget, n);
    return object;
}

static void passthrough_put(struct wr_pool *p, void *object)
{
    size_t n = object_bytes(p);
    wr_heap_free(p->mem->heap, object, n);
    if (p->budget)
        wr_budget_release(p->budget, n);
}

/* A purged page comes back as zeros; every other byte of a free slot must still be dead. */
static void check_dead(const struct wr_pool *p, const unsigned char *object)
{
    for (size_t i = 0; i < p->size; i++)
        if (object[i] != WR_MEM_DEAD && object[i] != 0)
            WR_PANIC("pool %s: object %p was written at byte %zu after it was put back",
                     p->name, (const void *)object, i);
}

static void tag_got(struct wr_pool *p, void *object, const struct wr_site *site)
{
    *object_site(p, object) = site;
    wr_mem_tag(p->mem, site, p->size, 1);
}

/* ---- public -------------------------------------------------------------------------------------- */
/* Where the first slot of n begins. A power of two in the slot's size is kept as alignment, so that
 * slots of 1024 do not lie across two pages and pin both. */
static uint32_t slots_begin(uint32_t n, uint32_t slot)
{
    size_t head = sizeof(struct wr_pool_slab) + (n + 63) / 64 * sizeof(uint64_t);
    size_t align = slot & -slot;
    align = align < WR_PAGE ? align : WR_PAGE;
    return (uint32_t)((head + align - 1) & ~(align - 1));
}

void wr_pool_init(struct wr_pool *p, struct wr_mem *mem, struct wr_budget *budget,
                  const char *name, size_t size)
{
    WR_ASSERT(size > 0 && size <= WR_POOL_MAX_SIZE);
    *p = (struct wr_pool){.name = name, .mem = mem, .budget = budget, .size = size};
    p->slot = (uint32_t)((size + (mem->opt.tags ? sizeof(void *) : 0) + 15) & ~(size_t)15);
    uint32_t n = (uint32_t)(WR_PAGES_UNIT / p->slot);
    while (slots_begin(n, p->slot) + (size_t)n * p->slot > WR_PAGES_UNIT)
        n--;
    p->slots_per_slab = n;
    p->slab_offset = slots_begin(n, p->slot);
    const struct wr_mem_options *o = &mem->opt;
    p->watched = o->passthrough || o->poison || o->tags || o->cold;
    p->batch = p->slot >= 4096 ? 1 : p->slot >= 1024 ? 4 : 16;
    p->next = mem->pools;
    mem->pools = p;
}

void wr_pool_deinit(struct wr_pool *p)
{
    if (p->stats.live > 0)
        WR_PANIC("pool %s: %zu objects never put back", p->name, p->stats.live);
    flush(p, p->stacked);
    while (p->empty)
        release_pages(p, slab_free(p, p->empty));
    WR_ASSERT(!p->partial && !p->searched && !p->full && p->resident_free == 0);
    struct wr_pool **at = &p->mem->pools;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
}

static inline void count_got(struct wr_pool *p)
{
    if (++p->stats.live > p->stats.peak_live)
        p->stats.peak_live = p->stats.live;
    p->stats.got++;
}

static void *get_slow(struct wr_pool *p, const struct wr_site *site)
{
    const struct wr_mem_options *o = &p->mem->opt;
    void *object = WR_UNLIKELY(o->passthrough) ? passthrough_get(p) : pop(p);
    if (WR_UNLIKELY(!object) && !o->passthrough && wr_mem_make_room(p->mem) > 0)
        object = pop(p); /* what other pools kept for speed made room */
    if (WR_UNLIKELY(!object)) {
        p->stats.refused++;
        return NULL;
    }
    count_got(p);
    if (o->poison && !o->passthrough) {
        wr_mem_unpoison(p->mem, object, p->slot);
        check_dead(p, object);
    }
    if (o->tags && !p->untagged)
        tag_got(p, object, site);
    return object;
}

/* Nearly always a free slot lies at hand, and nobody watches. */
void *wr_pool_get_at(struct wr_pool *p, const struct wr_site *site)
{
    if (WR_UNLIKELY(p->stacked == 0 || p->watched))
        return get_slow(p, site);
    count_got(p);
    return pop_newest(p);
}

void *wr_pool_zget_at(struct wr_pool *p, const struct wr_site *site)
{
    void *object = wr_pool_get_at(p, site);
    if (object)
        memset(object, 0, p->size);
    return object;
}

/* False: the object is gone. */
WR_COLD static bool watch_put(struct wr_pool *p, void *object)
{
    const struct wr_mem_options *o = &p->mem->opt;
    if (o->tags && !p->untagged)
        wr_mem_tag(p->mem, *object_site(p, object), p->size, -1);
    if (o->passthrough)
        passthrough_put(p, object);
    else
        wr_mem_poison(p->mem, object, p->size);
    return !o->passthrough;
}

void wr_pool_put(struct wr_pool *p, void *object)
{
    if (!object)
        return;
    WR_ASSERT(p->stats.live > 0);
    p->stats.live--;
    if (WR_UNLIKELY(p->watched) && !watch_put(p, object))
        return;
    if (WR_UNLIKELY(p->budget && wr_budget_pressed(p->budget)))
        put_under_pressure(p, object);
    else
        push(p, object);
}

size_t wr_pool_live(const struct wr_pool *p)
{
    return p->stats.live;
}

void wr_pool_stats(const struct wr_pool *p, struct wr_pool_stats *out)
{
    *out = p->stats;
    out->free_slots = p->resident_free + p->stacked;
}

enum wr_mem_more wr_pool_tick(struct wr_pool *p, bool period, size_t *room)
{
    bool active = false;
    if (period) {
        size_t keep = p->keep_bytes / p->slot, now = p->resident_free + p->stacked;
        active = p->low_free < now || p->stacked > 0;
        p->due = p->low_free > keep ? (p->low_free - keep + 1) / 2 : 0;
        flush(p, (p->stacked + 1) / 2);
        p->low_free = now;
    }
    if (p->due == 0 || *room == 0)
        return p->due ? WR_MEM_DUE : active ? WR_MEM_PERIOD : WR_MEM_REST;
    size_t gave = give_back(p, p->due, room, SEARCHES_PER_STEP);
    p->low_free -= gave < p->low_free ? gave : p->low_free;
    p->due = gave >= p->due || (!p->empty && !p->partial) ? 0 : p->due - gave;
    return p->due ? WR_MEM_DUE : gave || active ? WR_MEM_PERIOD : WR_MEM_REST;
}

size_t wr_pool_trim(struct wr_pool *p)
{
    size_t room = SIZE_MAX;
    flush(p, p->stacked);
    (void)give_back(p, SIZE_MAX, &room, SIZE_MAX);
    p->low_free = p->resident_free;
    p->due = 0;
    return SIZE_MAX - room;
}

/* ---- validate ------------------------------------------------------------------------------------ */
static void validate_list(const struct wr_pool *p, struct wr_pool_slab *const *list,
                          size_t sums[4])
{
    const struct wr_pool_slab *prev = NULL;
    for (struct wr_pool_slab *s = *list; s; prev = s, s = s->next) {
        uint32_t resident = 0;
        for (uint32_t page = 0; page < PAGES_PER_SLAB; page++)
            if (!(s->purged >> page & 1))
                resident += free_in_page(p, s, page);
        WR_ASSERT(s->pool == p && s->list == list && s->prev == prev);
        WR_ASSERT(s->free == count_free(s, 0, p->slots_per_slab) && !(s->purged & 1));
        WR_ASSERT((list == &p->full) == (s->free == 0));
        WR_ASSERT(list != &p->searched || s->searched);
        WR_ASSERT((list == &p->empty) == (s->free == p->slots_per_slab));
        sums[0]++;
        sums[1] += s->free;
        sums[2] += resident;
        sums[3] += PAGES_PER_SLAB - (uint32_t)__builtin_popcount(s->purged);
    }
}

void wr_pool_validate(const struct wr_pool *p)
{
    size_t sums[4] = {0};
    if (p->mem->opt.passthrough)
        return;
    validate_list(p, &p->partial, sums);
    validate_list(p, &p->searched, sums);
    validate_list(p, &p->full, sums);
    validate_list(p, &p->empty, sums);
    WR_ASSERT(sums[0] == p->stats.slabs);
    WR_ASSERT(sums[1] + p->stacked + p->stats.live == sums[0] * p->slots_per_slab);
    WR_ASSERT(sums[2] == p->resident_free);
    WR_ASSERT(sums[3] * WR_PAGE == p->stats.resident_bytes);
    for (uint32_t i = 0; i < p->stacked; i++) {
        void *object = p->stack[(p->stack_head + i) % WR_POOL_STACK];
        WR_ASSERT(slab_of(object)->pool == p);
    }
}
