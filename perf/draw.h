/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_PERF_DRAW_H
#define WR_PERF_DRAW_H

/* The same random numbers in every memory program, whatever library it is linked with. */
#include <stdint.h>

static uint64_t draw_state = 88172645463325252u;

static inline unsigned draw(unsigned n)
{
    draw_state ^= draw_state << 13;
    draw_state ^= draw_state >> 7;
    draw_state ^= draw_state << 17;
    return (unsigned)(draw_state >> 33) % n;
}

#endif
