/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOOP_IMPL_H
#define WR_IO_LOOP_IMPL_H

/*
 * The inside of a loop, for loop.c (the turn), loop_io.c (descriptors) and loop_post.c (other threads)
 * only. Not installed.
 */

#include "libweir/base/block.h"
#include "libweir/base/mem.h"
#include "libweir/base/slots.h"
#include "libweir/io/clock.h"
#include "libweir/io/loop.h"
#include "libweir/io/mpmc.h"
#include "libweir/io/pages.h"
#include "libweir/os/os.h"

struct wr_loop {
    int ep;
    int wake_fd;
    struct wr_clock clock;
    uint64_t mark_ns; /* the latest reading of the clock, this turn's or a callback's end */
    struct wr_loop_stats *stats;
    struct wr_leases *leases; /* or NULL */
    struct epoll_event *events;
    uint32_t max_events;
    struct wr_slots ios;
    const struct wr_io
        *announced; /* the kernel says that it can be read, and it is being called */

    struct wr_list again;  /* io: owed a call in the next turn */
    struct wr_list resume; /* io: owed a call in this turn */
    struct wr_list tasks;
    struct wr_free_later *frees, **frees_end;
    struct wr_wheel wheel;
    void (*timer_fn)(void); /* the timer that is running */
    uint64_t held_until_ms; /* no deadline is judged before, after a pause */
    unsigned timers_held;   /* turns since a pause in which deadlines were not judged */
    uint64_t mem_due_ms;

    char *scratch;
    const struct wr_heap *heap;
    struct wr_budget *budget;
    struct wr_os_pages pages;
    struct wr_mem mem;
    struct wr_block_pool blocks;

    uint64_t second_ns, second_busy_ns; /* the second that is being measured */
    struct wr_loop_stats own_stats;
    pid_t pid;

    /* Shared with other threads, by atomic operations. */
    uintptr_t thread; /* that runs the loop */
    struct wr_mpmc posts;
    uint64_t posts_refused;
    bool stopped;
    bool woken; /* the eventfd was written and not yet taken */
};

/* Written for readers in other threads and processes: never torn, in no particular order. */
#define WR_LOOP_PUBLISH(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

void wr_loop_longest_(struct wr_loop *l, uint64_t took, void (*fn)(void), int fd);

/* Every callback runs between these two: who is running is written before, how long it took after. */
static inline void wr_loop_enter_(struct wr_loop *l, void (*fn)(void), int fd)
{
    WR_LOOP_PUBLISH(l->stats->running_fn, (uint64_t)(uintptr_t)fn);
    WR_LOOP_PUBLISH(l->stats->running_fd, fd);
    WR_LOOP_PUBLISH(l->stats->running_since_ns, l->mark_ns);
}

/* One reading of the clock per callback: the end of one is the start of the next. */
static inline void wr_loop_leave_(struct wr_loop *l, void (*fn)(void), int fd)
{
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC), took = now - l->mark_ns;
    l->mark_ns = now;
    if (WR_UNLIKELY(took > l->stats->longest_ns))
        wr_loop_longest_(l, took, fn, fd);
}

int wr_loop_open_wake_(struct wr_loop *l);
void wr_loop_wake_(struct wr_loop *l);
void wr_loop_woken_(struct wr_loop *l);
void wr_loop_run_posts_(struct wr_loop *l);
void wr_loop_drop_posts_(struct wr_loop *l);

void wr_loop_dispatch_(struct wr_loop *l, const struct epoll_event *ev);
void wr_loop_resume_(struct wr_loop *l);
void wr_loop_forget_ios_(struct wr_loop *l);

#define WR_FN(f) ((void (*)(void))(f))

#endif
