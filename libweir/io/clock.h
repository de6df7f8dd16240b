/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_CLOCK_H
#define WR_IO_CLOCK_H

/*
 * The time of a loop: read once per turn, the same for everything that happens in it.
 *
 * wr_clock_read takes the monotonic time; the wall time (for Date headers, logs, certificates) is taken
 * at most once per reading and only when somebody asks. Nothing measures durations by the wall clock,
 * so that setting it breaks no timeout.
 *
 * 1. now_ns never goes back.
 * 2. A gap of more than WR_CLOCK_PAUSE_MS between two readings is a pause (the machine slept, the
 *    process was stopped): `paused` stays set until wr_clock_resume. Whoever judges deadlines looks
 *    at it, so that bytes which arrived in time are not called late.
 *
 * Caller's memory, one thread.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

#define WR_CLOCK_PAUSE_MS 1000

struct wr_clock {
    uint64_t now_ns, now_ms; /* read only */
    bool paused;
    /* private */
    bool wall_known;
    uint64_t wall_ns;
};

void wr_clock_init(struct wr_clock *c);

/* idle_ns: how much of the time since the last reading was meant to be slept. */
void wr_clock_read(struct wr_clock *c, uint64_t idle_ns);

static inline uint64_t wr_clock_ms(const struct wr_clock *c)
{
    return c->now_ms;
}

/* Nanoseconds since 1970, as of this reading. */
uint64_t wr_clock_wall_ns(struct wr_clock *c);

static inline void wr_clock_resume(struct wr_clock *c)
{
    c->paused = false;
}

#endif
