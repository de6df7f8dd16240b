/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_CONN_KIT_H
#define WR_TESTS_CONN_KIT_H

/*
 * A loop with memory behind it, and ordinary blocking-free sockets as the other side, for tests of conn.
 */

#include "libweir/base/mem_budget.h"
#include "libweir/io/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct conn_kit {
    struct wr_budget budget;
    struct wr_loop *loop;
};

WR_MUST static inline int conn_kit_init(struct conn_kit *k, const struct wr_heap *heap)
{
    wr_budget_init(&k->budget, NULL, "test", WR_BUDGET_NONE, WR_BUDGET_NONE);
    int rc =
        wr_loop_new(&(struct wr_loop_options){.heap = heap, .budget = &k->budget}, &k->loop);
    if (rc)
        wr_budget_deinit(&k->budget);
    return rc;
}

static inline void conn_kit_deinit(struct conn_kit *k)
{
    wr_loop_free(&k->loop);
    wr_budget_deinit(&k->budget); /* asserts that nothing is charged */
}

static inline uint64_t kit_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Turns until the condition holds, or for max_ms. */
#define KIT_UNTIL(k, max_ms, cond)                                                 \
    for (uint64_t end_ = kit_now_ms() + (max_ms); !(cond) && kit_now_ms() < end_;) \
    wr_loop_turn((k)->loop, 5)

static inline void kit_turns(struct conn_kit *k, int n)
{
    while (n--)
        wr_loop_turn(k->loop, 0);
}

/* A connected pair; the second is the peer's. */
static inline bool kit_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0;
}

/* Reads until n bytes came, FIN or max_ms, turning the loop meanwhile. Returns the bytes. */
static inline size_t kit_read(struct conn_kit *k, int fd, char *out, size_t n, int max_ms)
{
    size_t got = 0;
    uint64_t end = kit_now_ms() + (uint64_t)max_ms;
    while (got < n && kit_now_ms() < end) {
        ssize_t r = read(fd, out + got, n - got);
        if (r > 0)
            got += (size_t)r;
        else if (r == 0 || errno != EAGAIN)
            break;
        else
            wr_loop_turn(k->loop, 1);
    }
    return got;
}

/* Writes all of it, turning the loop when the socket is full. */
static inline bool kit_write(struct conn_kit *k, int fd, const char *p, size_t n)
{
    uint64_t end = kit_now_ms() + 5000;
    while (n && kit_now_ms() < end) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r > 0) {
            p += r;
            n -= (size_t)r;
        } else if (errno != EAGAIN) {
            return false;
        }
        wr_loop_turn(k->loop, 0);
    }
    return n == 0;
}

#endif
