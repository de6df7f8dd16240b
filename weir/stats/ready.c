/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /readyz: whether it serves, and if not, or not wholly, why.
 */
#include "libweir/io/board.h"
#include "weir/stats/report.h"

struct crowd { /* of workers */
    unsigned all, moving, starting;
    const struct state_stuck *stuck; /* one that does not move */
};

static struct crowd count(const struct report *r)
{
    struct crowd c = {0};
    for (unsigned i = r->state.first_worker_seat; i < wr_board_seats(r->board); i++) {
        uint64_t state = wr_word_get(&wr_board_seat(r->board, i)->state);
        bool stuck = i < STATE_SEATS && r->state.stuck[i].pid;
        if (state != WR_SEAT_STARTING && state != WR_SEAT_READY)
            continue;
        c.all++;
        c.starting += state == WR_SEAT_STARTING;
        c.moving += state == WR_SEAT_READY && !stuck;
        if (stuck)
            c.stuck = &r->state.stuck[i];
    }
    return c;
}

static void say_stuck(const struct report *r, const struct state_stuck *k, struct stats_text *t)
{
    uint64_t ms = r->now_ns > k->since_ns ? (r->now_ns - k->since_ns) / 1000000 : 0;
    stats_printf(t, "; worker process %llu stands still for %llu ms: %s%s%s%s%s",
                 (unsigned long long)k->pid, (unsigned long long)ms, k->what,
                 k->fn[0] ? " " : "", k->fn, k->syscall[0] ? " in " : "", k->syscall);
}

static void say(const struct report *r, const struct crowd *c, bool ready, struct stats_text *t)
{
    const struct state_words *s = &r->state;
    stats_printf(t, "%s", ready ? "ready" : "not ready");
    if (s->stopping)
        stats_printf(t, ": it is stopping");
    else if (!s->generation)
        stats_printf(t, ": it starts, %u of %u workers are ready", c->moving, c->all);
    else if (!s->workers)
        stats_printf(t, ": its workers were told to rest");
    else if (c->moving < s->workers)
        stats_printf(t, ": %u of %llu workers serve, %u are starting, %llu have died",
                     c->moving, (unsigned long long)s->workers, c->starting,
                     (unsigned long long)s->deaths);
    if (c->stuck)
        say_stuck(r, c->stuck, t);
    stats_printf(t, "\n");
}

bool report_ready(const struct report *r, struct stats_text *out)
{
    const struct crowd c = count(r);
    bool ready = !r->state.stopping && r->state.generation && c.moving;
    if (out)
        say(r, &c, ready, out);
    return ready;
}
