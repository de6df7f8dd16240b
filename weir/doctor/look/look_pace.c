/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#define PIECE_NS 100000U  /* at a stretch: what a request may wait for us and nobody notices */
#define PAUSE_NS 1000000U /* several requests' worth for the others */

void look_behind(void)
{
    if (wr_os_set_batch(true) != 0) {
        /* a real-time priority that somebody gave us stays */
    }
}

void look_pace(struct look_pace *p, uint32_t aside_ms)
{
    *p = (struct look_pace){.begun_ns = wr_os_now_ns(CLOCK_MONOTONIC),
                            .left_ns = aside_ms * 1000000ULL};
}

/* The time is the wall's: a piece during which somebody else ran was a pause already, but we cannot tell whether
 * it was for those whom we watch. */
void look_pause(struct look_pace *p)
{
    if (!p || p->left_ns == 0)
        return;
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
    if (now - p->begun_ns < PIECE_NS)
        return;
    (void)wr_os_sleep_ns(PAUSE_NS);
    p->begun_ns = wr_os_now_ns(CLOCK_MONOTONIC);
    uint64_t slept = p->begun_ns - now;
    p->left_ns -= slept < p->left_ns ? slept : p->left_ns;
}
