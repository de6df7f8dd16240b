/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/wheel.h"

#include "libweir/base/assert.h"

#include <string.h>

#define SPAN_BITS (WR_WHEEL_LEVELS * WR_WHEEL_BITS)

/* The first tick at which due_ms is not in the future any more. */
static uint64_t tick_of(const struct wr_wheel *w, uint64_t due_ms)
{
    uint64_t part = due_ms & ((1ULL << w->tick_shift) - 1);
    return (due_ms >> w->tick_shift) + (part != 0);
}

static unsigned digit(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (level * WR_WHEEL_BITS)) & (WR_WHEEL_SLOTS - 1);
}

/* Which list a timer of this tick belongs to, seen from the wheel's tick. */
static struct wr_list *place_of(struct wr_wheel *w, uint64_t tick)
{
    if (tick <= w->cur)
        return &w->ready;
    unsigned top = 63U - (unsigned)__builtin_clzll(tick - w->cur);
    if (top >= SPAN_BITS)
        return &w->far;
    unsigned level = top / WR_WHEEL_BITS;
    return &w->slot[level * WR_WHEEL_SLOTS + digit(tick, level)];
}

/* The number of the slot, or -1 for the three other lists. */
static ptrdiff_t slot_number(const struct wr_wheel *w, const struct wr_list *head)
{
    bool inside = head >= w->slot && head < w->slot + WR_ARRAY_LEN(w->slot);
    return inside ? head - w->slot : -1;
}

static uint64_t *used_word(struct wr_wheel *w, ptrdiff_t slot)
{
    return &w->used[slot / WR_WHEEL_SLOTS][slot % WR_WHEEL_SLOTS / 64];
}

static void put(struct wr_wheel *w, struct wr_timer *t)
{
    w->opening = 0;
    struct wr_list *head = place_of(w, tick_of(w, t->due_ms));
    ptrdiff_t slot = slot_number(w, head);
    if (slot >= 0)
        *used_word(w, slot) |= 1ULL << (slot & 63);
    wr_list_add_tail(head, &t->link);
}

/* The last timer to leave a slot has the slot's head on both sides: that is how its bit is found. */
static void take(struct wr_wheel *w, struct wr_timer *t)
{
    w->opening = 0;
    struct wr_list *next = t->link.next;
    bool last = next == t->link.prev;
    wr_list_remove(&t->link);
    t->link.next = NULL;
    ptrdiff_t slot = last ? slot_number(w, next) : -1;
    if (slot >= 0)
        *used_word(w, slot) &= ~(1ULL << (slot & 63));
}

void wr_wheel_init_tick(struct wr_wheel *w, uint64_t now_ms, unsigned tick_shift)
{
    WR_ASSERT(tick_shift <= 6);
    memset(w, 0, sizeof(*w));
    w->tick_shift = tick_shift;
    w->now_ms = now_ms;
    w->cur = now_ms >> tick_shift;
    wr_list_init(&w->ready);
    wr_list_init(&w->batch);
    wr_list_init(&w->far);
    for (size_t i = 0; i < WR_ARRAY_LEN(w->slot); i++)
        wr_list_init(&w->slot[i]);
}

void wr_wheel_init(struct wr_wheel *w, uint64_t now_ms)
{
    wr_wheel_init_tick(w, now_ms, 0);
}

void wr_wheel_arm(struct wr_wheel *w, struct wr_timer *t, uint64_t due_ms)
{
    WR_ASSERT(t->fn);
    wr_wheel_cancel(t);
    t->wheel = w;
    t->due_ms = due_ms;
    put(w, t);
    w->armed++;
}

void wr_wheel_cancel(struct wr_timer *t)
{
    if (!wr_timer_armed(t))
        return;
    t->wheel->armed--;
    take(t->wheel, t);
}

/* How many slots ahead of the wheel's own the next one in use is, 1 to 256; 0 when there is none. */
static unsigned ahead(const struct wr_wheel *w, unsigned level)
{
    unsigned from = digit(w->cur, level) + 1;
    uint64_t mask = UINT64_MAX << (from & 63);
    for (unsigned i = 0; i <= WR_WHEEL_SLOTS / 64; i++, mask = UINT64_MAX) {
        unsigned word = (from / 64 + i) % (WR_WHEEL_SLOTS / 64);
        uint64_t used = w->used[level][word] & mask;
        if (used)
            return ((word * 64 + (unsigned)__builtin_ctzll(used) - from) &
                    (WR_WHEEL_SLOTS - 1)) +
                   1;
    }
    return 0;
}

/* The tick at which the next list is to be opened. */
static uint64_t next_opening(const struct wr_wheel *w)
{
    uint64_t first = UINT64_MAX;
    if (!wr_list_empty(&w->far))
        first = ((w->cur >> SPAN_BITS) + 1) << SPAN_BITS;
    for (unsigned level = 0; level < WR_WHEEL_LEVELS; level++) {
        unsigned below = level * WR_WHEEL_BITS, n = ahead(w, level);
        uint64_t at = ((w->cur >> below) + n) << below;
        if (n && at < first)
            first = at;
    }
    return first;
}

static bool levels_empty(const struct wr_wheel *w)
{
    uint64_t any = 0;
    for (unsigned level = 0; level < WR_WHEEL_LEVELS; level++)
        for (unsigned i = 0; i < WR_WHEEL_SLOTS / 64; i++)
            any |= w->used[level][i];
    return any == 0;
}

/* With nothing in between, the wheel jumps straight to its first far timer. */
static uint64_t first_far(const struct wr_wheel *w, uint64_t limit)
{
    for (struct wr_list *l = w->far.next; l != &w->far; l = l->next) {
        uint64_t tick = tick_of(w, wr_container_of(l, struct wr_timer, link)->due_ms);
        if (tick < limit)
            limit = tick;
    }
    return limit;
}

static void tell(struct wr_wheel *w, void (*fn)(void))
{
    if (w->watch)
        w->watch(w, fn);
}

static uint64_t deadline_due(const struct wr_deadline *d)
{
    return d->limit_ms > UINT64_MAX - d->last_ms ? UINT64_MAX : d->last_ms + d->limit_ms;
}

static void deadline_fires(struct wr_timer *t)
{
    struct wr_deadline *d = wr_container_of(t, struct wr_deadline, timer);
    uint64_t due = deadline_due(d);
    if (due > wr_wheel_now(t->wheel)) {
        wr_wheel_arm(t->wheel, t, due);
        return;
    }
    tell(t->wheel, (void (*)(void))d->fn);
    d->fn(d);
}

/* Down a level, or home. A deadline in the hand is looked at: a busy one goes back up from here and
 * never costs the way to level 0. */
static void spread(struct wr_wheel *w, struct wr_list *head)
{
    struct wr_list opened, *l;
    wr_list_init(&opened);
    wr_list_splice_tail(&opened, head);
    while ((l = wr_list_pop(&opened))) {
        struct wr_timer *t = wr_container_of(l, struct wr_timer, link);
        if (t->fn == deadline_fires)
            t->due_ms = deadline_due(wr_container_of(t, struct wr_deadline, timer));
        put(w, t);
    }
}

/* Opens every list that begins at the wheel's tick, the coarsest first: it may refill the finer. */
static void open_lists(struct wr_wheel *w, bool far)
{
    if (far)
        spread(w, &w->far);
    for (unsigned level = WR_WHEEL_LEVELS; level-- > 0;) {
        ptrdiff_t slot = (ptrdiff_t)(level * WR_WHEEL_SLOTS + digit(w->cur, level));
        if (w->cur & ((1ULL << (level * WR_WHEEL_BITS)) - 1) || wr_list_empty(&w->slot[slot]))
            continue;
        *used_word(w, slot) &= ~(1ULL << (slot & 63));
        spread(w, &w->slot[slot]);
    }
}

/* Moves everything due until the target tick to ready, in order. */
static void collect(struct wr_wheel *w, uint64_t target)
{
    uint64_t at;
    while ((at = next_opening(w)) <= target && at != UINT64_MAX) {
        bool far = at >> SPAN_BITS != w->cur >> SPAN_BITS;
        w->cur = levels_empty(w) ? first_far(w, target) : at;
        open_lists(w, far);
    }
    w->cur = target;
    w->opening = 0;
}

size_t wr_wheel_advance(struct wr_wheel *w, uint64_t now_ms)
{
    WR_ASSERT(!w->running);
    if (now_ms > w->now_ms)
        w->now_ms = now_ms;
    if (w->now_ms >> w->tick_shift > w->cur)
        collect(w, w->now_ms >> w->tick_shift);

    /* A list of its own: what the callbacks arm goes to ready and waits for the next advance. */
    size_t n = 0;
    w->running = true;
    wr_list_splice_tail(&w->batch, &w->ready);
    struct wr_list *l;
    while ((l = wr_list_first(&w->batch))) {
        struct wr_timer *t = wr_container_of(l, struct wr_timer, link);
        wr_wheel_cancel(t);
        n++;
        tell(w, (void (*)(void))t->fn);
        t->fn(t);
    }
    w->running = false;
    return n;
}

uint64_t wr_wheel_next_due(struct wr_wheel *w)
{
    if (!wr_list_empty(&w->ready) || !wr_list_empty(&w->batch))
        return w->now_ms;
    if (!w->opening) /* asked at every turn, changed by few */
        w->opening = next_opening(w);
    uint64_t at = w->opening;
    return at > UINT64_MAX >> w->tick_shift ? UINT64_MAX : at << w->tick_shift;
}

/* A tick lies in its digit's slot, at most one turn of that level ahead. */
static bool place_valid(const struct wr_wheel *w, const struct wr_list *head, uint64_t tick)
{
    ptrdiff_t slot = slot_number(w, head);
    if (head == &w->ready || head == &w->batch)
        return tick <= w->cur;
    if (slot < 0)
        return tick >> SPAN_BITS > w->cur >> SPAN_BITS;
    unsigned level = (unsigned)(slot / WR_WHEEL_SLOTS), below = level * WR_WHEEL_BITS;
    uint64_t n = (tick >> below) - (w->cur >> below);
    return n >= 1 && n <= WR_WHEEL_SLOTS && digit(tick, level) == slot % WR_WHEEL_SLOTS;
}

/* Every timer of the list belongs there; adds their number to *n. */
static bool list_valid(const struct wr_wheel *w, const struct wr_list *head, size_t *n)
{
    if (!wr_list_validate(head))
        return false;
    for (struct wr_list *l = head->next; l != head; l = l->next, ++*n) {
        const struct wr_timer *t = wr_container_of(l, struct wr_timer, link);
        if (t->wheel != w || !t->fn || !place_valid(w, head, tick_of(w, t->due_ms)))
            return false;
    }
    return true;
}

bool wr_wheel_validate(const struct wr_wheel *w)
{
    size_t n = 0;
    if (w->cur != w->now_ms >> w->tick_shift)
        return false;
    if (!list_valid(w, &w->ready, &n) || !list_valid(w, &w->batch, &n) ||
        !list_valid(w, &w->far, &n))
        return false;
    for (size_t i = 0; i < WR_ARRAY_LEN(w->slot); i++) {
        uint64_t word = w->used[i / WR_WHEEL_SLOTS][i % WR_WHEEL_SLOTS / 64];
        if (!list_valid(w, &w->slot[i], &n) ||
            (word >> (i & 63) & 1) == wr_list_empty(&w->slot[i]))
            return false;
    }
    return n == w->armed && (!w->opening || w->opening == next_opening(w));
}

void wr_deadline_start(struct wr_deadline *d, struct wr_wheel *w, uint64_t now_ms,
                       uint64_t limit_ms)
{
    d->last_ms = now_ms;
    d->limit_ms = limit_ms;
    d->timer.fn = deadline_fires;
    wr_wheel_arm(w, &d->timer, deadline_due(d));
}

void wr_deadline_set_limit(struct wr_deadline *d, uint64_t limit_ms)
{
    d->limit_ms = limit_ms;
    if (wr_timer_armed(&d->timer) && deadline_due(d) < d->timer.due_ms)
        wr_wheel_arm(d->timer.wheel, &d->timer, deadline_due(d));
}

void wr_deadline_stop(struct wr_deadline *d)
{
    wr_wheel_cancel(&d->timer);
}
