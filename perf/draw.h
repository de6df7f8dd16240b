/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_PERF_DRAW_H
#define WR_PERF_DRAW_H

/*
 * The same random numbers in every memory program, whatever library it is linked with. They are no part of what is
 * compared and took two thirds of the time of a request when they were made one after the other on the way: now
 * they are drawn before the clock starts, more of them than a branch predictor remembers, and used in a circle.
 */
#include <stdint.h>

#define DRAWS (1u << 16)

static uint32_t draw_table[DRAWS];
static unsigned draw_at;

static inline void draw_start(void)
{
    uint64_t s = 88172645463325252u;
    for (unsigned i = 0; i < DRAWS; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        draw_table[i] = (uint32_t)(s >> 32);
    }
}

static inline unsigned draw(unsigned n)
{
    return (unsigned)((uint64_t)draw_table[draw_at++ % DRAWS] * n >> 32);
}

#endif
