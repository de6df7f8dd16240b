/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Workers that go in order, under crowds of all tempers.
 *
 *   replace  all workers are replaced by new ones, again and again: no connection is turned away, none that
 *            a worker has is reset, and the books of all generations balance
 *   orphans  the master dies: the workers finish what they have and are gone in time, and nothing remains
 */

#include "sim/scenarios.h"
#include "sim/serve.h"

#include <signal.h>

#define LONG_GRACE_MS 120000u /* longer than any client stays */

/* Those that serve now may end their connections, in order. Who is not in a hurry resets nobody. */
static void excuse_children(struct serve *s)
{
    for (unsigned i = 0; sim_child(s->c->pid, i); i++)
        crowd_excuse(s->crowd, sim_child(s->c->pid, i), s->options.grace_ms < LONG_GRACE_MS);
}

/* The master may look at the signal late, and start somebody before it does. */
static void excuse_again(struct sim_event *e)
{
    struct serve *s = wr_container_of(e, struct serve, relief);
    excuse_children(s);
    if (sim_now() < s->excused_at + 200 * SIM_MS)
        sim_after(e, SIM_MS);
}

static void replace_now(struct sim_event *e)
{
    struct serve *s = wr_container_of(e, struct serve, mischief);
    s->excused_at = sim_now();
    excuse_again(&s->relief);
    sim_signal(s->c->pid, SIGUSR2);
    sim_after(e, 1 + sim_rand(s->mischief_ns));
}

static struct crowd_options steady_crowd(struct sim_case *c, struct serve *s)
{
    struct crowd_options w = serve_crowd(c, s, false);
    w.connections = 3 + (unsigned)case_draw(c, 30);
    w.tempers &= ~(1u << SILENT | 1u << STALLER);
    w.timeout_allowed = s->options.servers[0].listen.backlog > 0;
    return w;
}

static void service_draw(struct sim_case *c, struct serve *s)
{
    serve_init(s, c, 1 + (unsigned)case_draw(c, 4), false);
    s->options.servers[0].max_conns = 0;
    if (case_often(c, 500))
        s->options.grace_ms = LONG_GRACE_MS;
}

/* Every process that served has said what it did. */
static void generations_check(const struct serve *s)
{
    serve_account(s);
    if (!sim_violated() && s->starts != s->stops)
        sim_violation("I2 account: %llu processes began to serve, %llu stopped in order",
                      (unsigned long long)s->starts, (unsigned long long)s->stops);
}

static void replace_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct serve s;
    case_weather(c, &o);
    service_draw(c, &s);
    case_open(c, &o);
    case_start(c, "serve", serve_main, &s);
    struct crowd_options w = steady_crowd(c, &s);
    case_crowd(c, &w);
    s.crowd = c->crowds[0];
    s.mischief.fn = replace_now;
    s.relief.fn = excuse_again;
    s.mischief_ns = (100 + case_draw(c, 3000)) * SIM_MS;
    sim_after(&s.mischief, case_draw(c, 1000) * SIM_MS);
    c->queue_may_wait = true;
    case_play(c);
    sim_cancel(&s.mischief);
    sim_cancel(&s.relief);
    (void)sim_run(sim_now() + (s.options.grace_ms + 15000) * SIM_MS);
    case_rest(c, true);
    case_stop(c, SIGTERM, s.options.grace_ms * SIM_MS + 10 * SIM_S);
    generations_check(&s);
}

/* ---- the master dies ----------------------------------------------------------------------------------------- */
static void master_dies(struct sim_event *e)
{
    struct serve *s = wr_container_of(e, struct serve, mischief);
    excuse_children(s);
    crowd_excuse_unserved(s->crowd);
    s->c->orphans = true;
    sim_signal(s->c->pid, SIGKILL);
}

static void orphans_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct sim_host_view before, after;
    struct serve s;
    case_weather(c, &o);
    service_draw(c, &s);
    case_open(c, &o);
    sim_look(&before);
    case_start(c, "serve", serve_main, &s);
    struct crowd_options w = steady_crowd(c, &s);
    w.connections = 1 + (unsigned)case_draw(c, 5);
    case_crowd(c, &w);
    s.crowd = c->crowds[0];
    s.mischief.fn = master_dies;
    sim_after(&s.mischief, case_draw(c, 3000) * SIM_MS);
    c->queue_may_wait = true;
    case_play(c);
    if (!c->orphans)
        master_dies(&s.mischief);
    sim_cancel(&s.mischief);
    sim_cancel(&c->watch);
    (void)sim_run(sim_now() + s.options.grace_ms * SIM_MS + 20 * SIM_S);
    sim_look(&after);
    if (after.processes)
        sim_violation("I6 orphans: %u processes are left %llu ms after their master's death",
                      after.processes, (unsigned long long)s.options.grace_ms + 20000);
    else if (after.queued || after.embryos || after.close_wait || after.established)
        sim_violation("I5 orphans: %u queued, %u embryos, %u in CLOSE_WAIT, %u established",
                      after.queued, after.embryos, after.close_wait, after.established);
    else if (after.open_files != before.open_files)
        sim_violation("I3 orphans: %u open files, %u before", after.open_files,
                      before.open_files);
    generations_check(&s);
}

const struct scenario scenario_replace = {"replace", "all workers are replaced, under load",
                                          replace_run};
const struct scenario scenario_orphans = {"orphans", "the master dies, its workers finish",
                                          orphans_run};
