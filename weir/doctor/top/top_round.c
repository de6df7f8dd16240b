/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/os/os.h"
#include "weir/doctor/top/top_run.h"

#include <stdio.h>

#define COST_FACTOR 125 /* 0.8 % */

uint64_t top_now_ns(void)
{
    return wr_os_now_ns(CLOCK_MONOTONIC);
}

uint64_t top_round_ms(const struct top *t)
{
    return (top_now_ns() - t->round_ns) / TOP_MS;
}

void top_round_begin(struct top *t)
{
    t->round_ns = top_now_ns();
    t->pulse_ns = t->round_ns;
    t->cpu_ns = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID);
    t->glances = 0;
}

uint64_t top_round_glance_ms(const struct top *t)
{
    if (t->glances >= TOP_GLANCES)
        return UINT64_MAX;
    return t->ui.every_ms * (t->glances + 1ULL) / (TOP_GLANCES + 1);
}

int top_round_glance(struct top *t)
{
    t->glances++;
    return top_source_glance(t->source);
}

/* The next whole look comes when this round's cost is less than 1 % of the time until then. */
void top_round_account(struct top *t)
{
    uint64_t cpu = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID) - t->cpu_ns;
    uint64_t wall = top_now_ns() - t->round_ns, least = cpu * COST_FACTOR / TOP_MS;
    t->ui.every_ms = (uint32_t)(least > t->ui.interval_ms ? least : t->ui.interval_ms);
    if (wall < t->ui.every_ms * (uint64_t)TOP_MS)
        wall = t->ui.every_ms * (uint64_t)TOP_MS;
    t->ui.cost = (uint32_t)((cpu * 1000 + wall / 2) / wall);
}

void top_say_message(struct top *t, const char *what, const char *more)
{
    (void)snprintf(t->ui.message, sizeof t->ui.message, "%s%s", what, more);
    t->message_ns = top_now_ns();
}

static void record(struct top *t)
{
    struct tm tm;
    char path[64];
    t->record = false;
    wr_os_calendar((int64_t)(wr_os_now_ns(CLOCK_REALTIME) / 1000000000U), false, &tm);
    (void)snprintf(path, sizeof path, "weir-top-%04d%02d%02d-%02d%02d%02d.facts",
                   (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
                   tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
    int err = top_source_record(t->source, path);
    if (err)
        top_say_message(t, WORD(t->ui.lang, TOP_M_NOT_RECORDED), word_error(t->ui.lang, err));
    else
        top_say_message(t, WORD(t->ui.lang, TOP_M_RECORDED), path);
}

int top_round_understand(struct top *t)
{
    struct top_input in = {.facts = top_source_facts(t->source),
                           .groups = top_source_groups(t->source),
                           .findings = t->found,
                           .lang = t->options.json ? LANG_EN : t->ui.lang};
    int err = top_judge(in.facts, in.groups, t->found);
    t->judged = !err;
    return err ? err : top_model_make(&t->model, &in, &t->past);
}

int top_round_look(struct top *t)
{
    int err = top_source_look(t->source, t->ui.every_ms);
    if (!err)
        err = top_round_understand(t);
    if (!err && t->record)
        record(t);
    return err;
}

int top_round_pulse(struct top *t)
{
    struct facts_look l;
    t->pulse_ns = top_now_ns();
    facts_look_init(&l, t->heap);
    int err = top_source_pulse(t->source, &l);
    if (!err)
        top_model_pulse(&t->model, &l, &t->past);
    facts_look_deinit(&l);
    return err;
}
