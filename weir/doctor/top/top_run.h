/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_RUN_H
#define DOCTOR_TOP_RUN_H

/*
 * One run of `weir top`, between its files: top.c (command line, --once, --json), top_round.c (from look to look) and
 * top_loop.c (keys, signals, time).
 *
 * A round goes from one whole look to the next: top_round_begin, TOP_GLANCES glances and any number of pulses,
 * top_round_look, top_round_account, and from the beginning.
 */

#include "weir/doctor/top/top.h"
#include "weir/doctor/top/top_keys.h"
#include "weir/doctor/top/top_tty.h"
#include "weir/doctor/top/top_view.h"

#define TOP_GLANCES 2
#define TOP_MS      1000000U /* in nanoseconds */

struct top {
    struct top_options options;
    const struct wr_heap *heap;
    struct top_source *source;
    struct top_model model;
    struct top_past past;
    struct findings *found;
    bool judged;
    struct top_ui ui;
    struct top_tty tty;
    struct top_keys keys;
    struct top_screen now, shown;
    bool painted, utf8, colour, record;
    unsigned rows, columns;
    /* time, all CLOCK_MONOTONIC */
    uint64_t round_ns; /* when this round began: at its first look */
    uint64_t cpu_ns;   /* of this process then */
    uint64_t pulse_ns; /* of the last pulse or look */
    uint64_t message_ns;
    unsigned glances;
    int status;
};

uint64_t top_now_ns(void);
void top_say_message(struct top *t, const char *what, const char *more);

/* ---- top_round.c ------------------------------------------------------------------------------------ */
void top_round_begin(struct top *t);
uint64_t top_round_ms(const struct top *t); /* since then */
/* When, in the round, the next glance is due; UINT64_MAX: there were all. */
uint64_t top_round_glance_ms(const struct top *t);
WR_MUST int top_round_glance(struct top *t);
WR_MUST int top_round_pulse(struct top *t);
/* The whole look, its findings, its model; recorded if that was asked for. */
WR_MUST int top_round_look(struct top *t);
/* The same of facts that are there already. */
WR_MUST int top_round_understand(struct top *t);
/* Says what the round cost, and how long the next one has to be. */
void top_round_account(struct top *t);

/* ---- top_loop.c ------------------------------------------------------------------------------------- */
WR_MUST int top_draw(struct top *t); /* into t->now */
/* Until q, a signal, or an error. */
WR_MUST int top_loop(struct top *t);

#endif
