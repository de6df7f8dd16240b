/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_HTTP_CROWD_H
#define WR_CONN_HTTP_CROWD_H

/*
 * One limit of connections for several HTTP servers of a loop: nginx's worker_connections.
 *
 * Every server that names the crowd in its options counts its connections there too. When the last place is taken,
 * those that idle longest between requests are closed to make room; where nobody idles, all the servers stop
 * accepting, and the kernel's queues (or other workers) hold who comes, until somebody leaves or idles.
 *
 * 1. open is the sum of the servers' open connections, and never above max but by wr_http_server_adopt.
 * 2. Who idles for less than a second stays: its next request may be on its way.
 * 3. on_full is told of both: reused > 0 while it could make room, 0 when accepting pauses.
 *
 * 4. Descriptors are the process's too: when any connection closes, every server that was short of them tries again.
 *
 * The caller owns the struct; it outlives its servers. Owner loop only.
 */

#include "libweir/base/list.h"
#include "libweir/io/loop.h"

#include <stdint.h>

struct wr_http_crowd {
    uint32_t max, open;
    uint64_t reused,
        pauses; /* connections closed to make room; times that accepting has paused */
    /* The last place is taken. May be NULL. */
    void (*on_full)(struct wr_http_crowd *crowd, uint32_t reused);
    /* private */
    struct wr_list servers;
    struct wr_loop *loop;
    struct wr_timer again; /* while full */
    bool full, short_of_fds;
};

void wr_http_crowd_init(struct wr_http_crowd *crowd, uint32_t max);

#endif
