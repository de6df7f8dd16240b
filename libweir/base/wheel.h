/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_WHEEL_H
#define WR_BASE_WHEEL_H

/*
 * Timers of one loop: a hierarchical timing wheel. Arming and cancelling are O(1) and allocate
 * nothing; time is an argument.
 *
 * How far ahead a timer is due decides its level, the digit (base 256) of its due tick its slot
 * there. When time reaches a slot of a higher level its timers are spread over the levels below, so a
 * timer moves at most once per level, and what moves at once is only what is due within one slot. One
 * bit per slot says whether it holds anything: a jump in time costs the slots and timers it passes,
 * never the ticks.
 *
 *   tick      = cur ......|.......................|......................|..............> due
 *   level       0: 256 slots of 1 tick   1: of 256    2: of 2^16   3: of 2^24    far: the rest
 *
 * 1. A timer never runs before its due_ms; it runs in the first advance that reaches its tick.
 * 2. wr_wheel_advance runs expired timers in the order of their ticks (within one tick in no
 *    promised order). Timers armed with a due time already past run first, as they were armed.
 * 3. A timer is disarmed when its fn is called. The fn may arm and cancel any timer, free its
 *    own, and may not call wr_wheel_advance. What it arms runs in a later advance at the earliest,
 *    even if it is due already: a timer that re-arms itself cannot hold the loop.
 * 4. Time never goes back: an earlier now_ms is taken as the latest one seen.
 * 5. A zeroed struct wr_timer is a disarmed one. Cancelling a disarmed timer does nothing.
 *
 * The wheel belongs to its loop, a timer to whoever embeds it; cancel before freeing its memory.
 * Loop thread only.
 */

#include "libweir/base/list.h"

#define WR_WHEEL_LEVELS 4
#define WR_WHEEL_BITS   8
#define WR_WHEEL_SLOTS  (1 << WR_WHEEL_BITS)

struct wr_timer {
    void (*fn)(struct wr_timer *t);
    /* private */
    struct wr_wheel *wheel;
    struct wr_list link; /* next is NULL while disarmed */
    /* read only */
    uint64_t due_ms; /* as armed */
};

/* About 16 KiB: 4 x 256 list heads. */
struct wr_wheel {
    /* Optional, set after init: told which function is about to run, so that a slow one has a name. */
    void (*watch)(struct wr_wheel *w, void (*fn)(void));
    /* private */
    uint64_t cur; /* in ticks: everything due until here has been collected */
    uint64_t now_ms;
    uint64_t opening; /* tick of the next list to be opened; 0: to be looked for */
    size_t armed;
    unsigned tick_shift;
    bool running;
    uint64_t used[WR_WHEEL_LEVELS][WR_WHEEL_SLOTS / 64];
    struct wr_list ready; /* due, not yet run */
    struct wr_list batch; /* being run by wr_wheel_advance */
    struct wr_list far;   /* beyond the last level */
    struct wr_list slot[WR_WHEEL_LEVELS * WR_WHEEL_SLOTS];
};

/* Ticks of 1 ms; wr_wheel_init_tick: of 1 << tick_shift ms (0 to 6), due times are rounded up. */
void wr_wheel_init(struct wr_wheel *w, uint64_t now_ms);
void wr_wheel_init_tick(struct wr_wheel *w, uint64_t now_ms, unsigned tick_shift);

/* due_ms is absolute, in the same clock as now_ms. Re-arms an armed timer. t->fn must be set. */
void wr_wheel_arm(struct wr_wheel *w, struct wr_timer *t, uint64_t due_ms);
void wr_wheel_cancel(struct wr_timer *t);

static inline bool wr_timer_armed(const struct wr_timer *t)
{
    return t->link.next != NULL;
}

/* Sets the time and runs what is due. Returns how many timers were run. */
size_t wr_wheel_advance(struct wr_wheel *w, uint64_t now_ms);

/* When wr_wheel_advance has something to do next: never later than the first due timer, earlier only
 * when a higher level must be spread first (at most 4 times in a timer's life, and
 * once in 2^32 ticks). UINT64_MAX: never. */
uint64_t wr_wheel_next_due(struct wr_wheel *w);

/* The time of the latest advance (inside a fn: the current one). */
static inline uint64_t wr_wheel_now(const struct wr_wheel *w)
{
    return w->now_ms;
}

static inline size_t wr_wheel_armed(const struct wr_wheel *w)
{
    return w->armed;
}

/* For tests: every timer in its place, every bit right, the count right. O(slots + timers). */
bool wr_wheel_validate(const struct wr_wheel *w);

/*
 * A deadline that activity pushes back: idle limits, heartbeats. Activity is one store; the timer
 * stays where it is; only when the wheel has it in hand, to spread or to fire, is the stamp looked at
 * and the timer put to the new place: about once per limit, however busy the connection is.
 *
 * Put it where its first line of 64 bytes is touched anyway: the store then costs no cache miss of its own.
 */
struct wr_deadline {
    uint64_t last_ms; /* the latest activity */
    uint64_t limit_ms;
    void (*fn)(
        struct wr_deadline *d); /* limit_ms passed without activity; may start it again */
    /* private */
    struct wr_timer timer;
};
_Static_assert(sizeof(struct wr_deadline) == WR_CACHE_LINE, "a deadline is one cache line");

/* Starts or starts again, from now_ms. d->fn must be set. A limit of UINT64_MAX never fires. */
void wr_deadline_start(struct wr_deadline *d, struct wr_wheel *w, uint64_t now_ms,
                       uint64_t limit_ms);

/* A new limit counted from the latest activity; a shorter one moves the timer at once. */
void wr_deadline_set_limit(struct wr_deadline *d, uint64_t limit_ms);
void wr_deadline_stop(struct wr_deadline *d);

static inline void wr_deadline_touch(struct wr_deadline *d, uint64_t now_ms)
{
    d->last_ms = now_ms;
}

static inline bool wr_deadline_running(const struct wr_deadline *d)
{
    return wr_timer_armed(&d->timer);
}

#endif
