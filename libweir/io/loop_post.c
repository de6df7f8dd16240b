/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop and other threads: posts through a bounded lock-free queue, one eventfd that is written once
 * however many posts there are until the loop has seen it.
 */
#include "libweir/base/err.h"
#include "libweir/io/loop_impl.h"

#include <sys/epoll.h>

/* More wait for the next turn, so that a storm of posts cannot keep connections waiting. */
#define POSTS_PER_TURN 256

int wr_loop_open_wake_(struct wr_loop *l)
{
    l->wake_fd = wr_os_eventfd(0, 0);
    if (l->wake_fd < 0)
        return l->wake_fd;
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0}; /* no wr_io has id 0 */
    return wr_os_epoll_ctl(l->ep, EPOLL_CTL_ADD, l->wake_fd, &ev);
}

void wr_loop_wake_(struct wr_loop *l)
{
    if (!__atomic_exchange_n(&l->woken, true, __ATOMIC_ACQ_REL))
        (void)wr_os_eventfd_add(l->wake_fd, 1); /* full is as good: it is readable */
}

/* First the eventfd, then the flag, then the queue: a post in between finds the flag down and writes. */
void wr_loop_woken_(struct wr_loop *l)
{
    uint64_t n;
    (void)!wr_os_eventfd_take(l->wake_fd, &n);
    (void)__atomic_exchange_n(&l->woken, false, __ATOMIC_ACQ_REL);
}

void wr_loop_run_posts_(struct wr_loop *l)
{
    struct wr_mpmc_item it;
    for (unsigned i = 0; i < POSTS_PER_TURN && wr_mpmc_pop(&l->posts, &it); i++) {
        l->stats->posts++;
        wr_loop_enter_(l, WR_FN(it.fn), -1);
        it.fn(it.arg);
        wr_loop_leave_(l, WR_FN(it.fn), -1);
    }
}

void wr_loop_drop_posts_(struct wr_loop *l)
{
    struct wr_mpmc_item it;
    while (wr_mpmc_pop(&l->posts, &it))
        if (it.drop)
            it.drop(it.arg);
}

static bool in_own_thread(const struct wr_loop *l)
{
    return wr_os_thread_self() == __atomic_load_n(&l->thread, __ATOMIC_RELAXED);
}

static int refuse(struct wr_loop *l, int why)
{
    (void)__atomic_fetch_add(&l->posts_refused, 1, __ATOMIC_RELAXED);
    return why;
}

int wr_loop_post(struct wr_loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
    if (wr_loop_stopped(l))
        return refuse(l, WR_E_STOPPED);
    if (!wr_mpmc_push(&l->posts, (struct wr_mpmc_item){fn, drop, arg}))
        return refuse(l, WR_E_QUEUE_FULL);
    if (!in_own_thread(l)) /* the loop itself looks before it waits */
        wr_loop_wake_(l);
    return 0;
}

int wr_loop_call(struct wr_loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
    if (!in_own_thread(l))
        return wr_loop_post(l, fn, drop, arg);
    fn(arg);
    return 0;
}

void wr_loop_stop(struct wr_loop *l)
{
    __atomic_store_n(&l->stopped, true, __ATOMIC_RELEASE);
    wr_loop_wake_(l);
}

bool wr_loop_stopped(const struct wr_loop *l)
{
    return __atomic_load_n(&l->stopped, __ATOMIC_ACQUIRE);
}
