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
    unsigned top = 63U - (unsigned)__builtin_clzll(tick ^ w->cur);
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
    struct wr_list *head = place_of(w, tick_of(w, t->due_ms));
    ptrdiff_t slot = slot_number(w, head);
    if (slot >= 0)
        *used_word(w, slot) |= 1ULL << (slot & 63);
    wr_list_add_tail(head, &t->link);
}

/* The last timer to leave a slot has the slot's head on both sides: that is how its bit is found. */
static void take(struct wr_wheel *w, struct wr_timer *t)
{
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

/* The lowest slot in use on a level, or -1. All slots in use lie ahead of the wheel's own digit. */
static int first_used(const struct wr_wheel *w, unsigned level)
{
    for (unsigned i = 0; i < WR_WHEEL_SLOTS / 64; i++)
        if (w->used[level][i])
            return (int)(i * 64) + __builtin_ctzll(w->used[level][i]);
    return -1;
}

/* The tick at which the next list is opened, and which list: slots of a lower level all come before
 * those of a higher one, because they share more digits with the wheel's tick. */
static uint64_t next_opening(const struct wr_wheel *w, ptrdiff_t *out_slot)
{
    for (unsigned level = 0; level < WR_WHEEL_LEVELS; level++) {
        int s = first_used(w, level);
        if (s < 0)
            continue;
        unsigned below = level * WR_WHEEL_BITS;
        uint64_t high = w->cur >> below >> WR_WHEEL_BITS << WR_WHEEL_BITS;
        *out_slot = (ptrdiff_t)(level * WR_WHEEL_SLOTS) + s;
        return (high | (uint64_t)s) << below;
    }
    *out_slot = -1;
    if (wr_list_empty(&w->far))
        return UINT64_MAX;
    return ((w->cur >> SPAN_BITS) + 1) << SPAN_BITS;
}

/* With all levels empty, the wheel jumps straight to its first far timer. */
static uint64_t first_far(const struct wr_wheel *w, uint64_t limit)
{
    for (struct wr_list *l = w->far.next; l != &w->far; l = l->next) {
        uint64_t tick = tick_of(w, wr_container_of(l, struct wr_timer, link)->due_ms);
        if (tick < limit)
            limit = tick;
    }
    return limit;
}

/* Moves everything due until the target tick to ready, in order. */
static void collect(struct wr_wheel *w, uint64_t target)
{
    ptrdiff_t slot;
    uint64_t at;
    while ((at = next_opening(w, &slot)) <= target && at != UINT64_MAX) {
        struct wr_list opened;
        wr_list_init(&opened);
        w->cur = slot >= 0 ? at : first_far(w, target);
        wr_list_splice_tail(&opened, slot >= 0 ? &w->slot[slot] : &w->far);
        if (slot >= 0)
            *used_word(w, slot) &= ~(1ULL << (slot & 63));
        struct wr_list *l;
        while ((l = wr_list_pop(&opened)))
            put(w, wr_container_of(l, struct wr_timer, link));
    }
    w->cur = target;
}

static void tell(struct wr_wheel *w, void (*fn)(void))
{
    if (w->watch)
        w->watch(w, fn);
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

uint64_t wr_wheel_next_due(const struct wr_wheel *w)
{
    if (!wr_list_empty(&w->ready) || !wr_list_empty(&w->batch))
        return w->now_ms;
    ptrdiff_t slot;
    uint64_t at = next_opening(w, &slot);
    return at > UINT64_MAX >> w->tick_shift ? UINT64_MAX : at << w->tick_shift;
}

/* Every timer of the list belongs there; adds their number to *n. */
static bool list_valid(const struct wr_wheel *w, const struct wr_list *head, size_t *n)
{
    if (!wr_list_validate(head))
        return false;
    for (struct wr_list *l = head->next; l != head; l = l->next) {
        const struct wr_timer *t = wr_container_of(l, struct wr_timer, link);
        uint64_t tick = tick_of(w, t->due_ms);
        bool due = head == &w->ready || head == &w->batch;
        if (t->wheel != w || !t->fn || (tick <= w->cur) != due)
            return false;
        if (!due && tick >> SPAN_BITS == w->cur >> SPAN_BITS) {
            unsigned level = (63U - (unsigned)__builtin_clzll(tick ^ w->cur)) / WR_WHEEL_BITS;
            if (head != &w->slot[level * WR_WHEEL_SLOTS + digit(tick, level)])
                return false;
        } else if (!due && head != &w->far) {
            return false;
        }
        (*n)++;
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
    return n == w->armed;
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
