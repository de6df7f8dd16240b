/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/clock.h"
#include "libweir/os/os.h"

#define MS UINT64_C(1000000)

void wr_clock_init(struct wr_clock *c)
{
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
    *c = (struct wr_clock){.now_ns = now, .now_ms = now / MS};
}

void wr_clock_read(struct wr_clock *c, uint64_t idle_ns)
{
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
    if (now < c->now_ns)
        now = c->now_ns;
    uint64_t gap = now - c->now_ns;
    if (gap > idle_ns && gap - idle_ns > WR_CLOCK_PAUSE_MS * MS)
        c->paused = true;
    c->now_ns = now;
    c->now_ms = now / MS;
    c->wall_known = false;
}

uint64_t wr_clock_wall_ns(struct wr_clock *c)
{
    if (!c->wall_known) {
        c->wall_ns = wr_os_now_ns(CLOCK_REALTIME);
        c->wall_known = true;
    }
    return c->wall_ns;
}
