/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_NET_KIT_H
#define WR_TESTS_NET_KIT_H

/*
 * For tests of sockets on a loop: turns until a condition holds or seconds have passed, and clients on
 * the loopback without a loop.
 */

#include "libweir/base/err.h"
#include "libweir/io/addr.h"
#include "libweir/io/loop.h"
#include "libweir/os/os.h"

#include <errno.h>

/* Turns until cond is true, at most ms. True when it became so. */
#define net_until(loop, ms, cond)                                                   \
    (__extension__({                                                                \
        uint64_t net_end_ = wr_os_now_ns(CLOCK_MONOTONIC) + (uint64_t)(ms)*1000000; \
        while (!(cond) && wr_os_now_ns(CLOCK_MONOTONIC) < net_end_)                 \
            (void)wr_loop_turn((loop), 5);                                          \
        (cond);                                                                     \
    }))

static inline void net_turns(struct wr_loop *loop, unsigned ms)
{
    (void)net_until(loop, ms, false);
}

static inline struct wr_addr net_addr(const char *text)
{
    struct wr_addr a = {0};
    if (wr_addr_parse(wr_span_str(text), &a))
        return (struct wr_addr){0};
    return a;
}

/* A non-blocking socket on its way to a; the result is the descriptor or the error. */
static inline int net_connect(const struct wr_addr *a)
{
    struct sockaddr_storage sa;
    socklen_t n = 0;
    int err = wr_addr_to_sockaddr(a, &sa, &n);
    int fd = err ? err : wr_os_socket(wr_addr_family(a), SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    err = wr_os_connect(fd, (struct sockaddr *)&sa, n);
    if (err && err != -EINPROGRESS) {
        (void)wr_os_close(fd);
        return err;
    }
    return fd;
}

#endif
