/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The whole service, as a program would run it: one process or a pool of workers in one of the four accept
 * modes, framed echo, under crowds of all tempers.
 *
 *   serve    nothing goes wrong that a correct program would notice: every answer must come
 *   workers  workers are killed and stopped all the time: only what they held may be lost
 *   scarce   descriptors, memory and buffers run out, then come back: no crash, no leak, recovery
 */

#include "sim/scenarios.h"
#include "sim/serve.h"

#include <signal.h>
#include <string.h>

static void serve_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct serve s;
    case_weather(c, &o);
    bool by_lines = case_often(c, 300);
    serve_init(&s, c, case_often(c, 500) ? 0 : 1 + (unsigned)case_draw(c, 3), by_lines);
    case_open(c, &o);
    case_start(c, "serve", serve_main, &s);
    struct crowd_options w = serve_crowd(c, &s, by_lines);
    if (s.options.servers[0].max_conns || s.options.servers[0].listen.backlog)
        c->queue_may_wait = true;
    if (s.options.servers[0].max_conns) /* who is silent for 10 s must not starve the others */
        w.tempers &= ~(1u << SILENT | 1u << STALLER | 1u << DRIBBLING | 1u << SLOW_READER);
    /* A full house behind a short queue turns handshakes away for as long as its guests talk. */
    w.timeout_allowed = s.options.servers[0].max_conns && s.options.servers[0].listen.backlog;
    case_crowd(c, &w);
    s.crowd = c->crowds[0];
    case_play(c);
    case_rest(c, false);
    case_stop(c, SIGTERM, 10 * SIM_S);
    serve_account(&s);
}

/* ---- workers die ------------------------------------------------------------------------------------- */
static void worker_relief(struct sim_event *e)
{
    struct serve *s = wr_container_of(e, struct serve, relief);
    sim_signal(s->stopped, SIGCONT);
    s->stopped = 0;
}

static void worker_mischief(struct sim_event *e)
{
    struct serve *s = wr_container_of(e, struct serve, mischief);
    unsigned n = 0;
    while (sim_child(s->c->pid, n))
        n++;
    pid_t victim = n ? sim_child(s->c->pid, (unsigned)sim_rand(n)) : 0;
    if (victim && s->stops_only) { /* one at a time: the others must go on serving */
        s->stopped = victim;
        sim_signal(victim, SIGSTOP);
        sim_after(&s->relief, s->mischief_ns / 2);
    } else if (victim) {
        bool hard = sim_rand(3) != 0;
        sim_signal(victim, hard ? SIGKILL : SIGTERM);
        s->kills++;
        /* One that stops in order finishes what it has, and cuts what is left after its grace. */
        crowd_excuse(s->crowd, victim, true);
    }
    if (s->stops_only) {
        sim_after(e, s->mischief_ns);
        return;
    }
    sim_after(e, 1 + sim_rand(s->mischief_ns));
}

static void workers_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct serve s;
    case_weather(c, &o);
    serve_init(&s, c, 1 + (unsigned)case_draw(c, 4), false);
    s.options.servers[0].max_conns = 0;
    case_open(c, &o);
    case_start(c, "serve", serve_main, &s);
    struct crowd_options w = serve_crowd(c, &s, false);
    w.connections = 5 + (unsigned)case_draw(c, 30);
    w.tempers &= ~(1u << SILENT | 1u << STALLER);
    w.timeout_allowed = s.options.servers[0].listen.backlog > 0;
    case_crowd(c, &w);
    s.crowd = c->crowds[0];
    s.mischief.fn = worker_mischief;
    s.mischief_ns = (50 + case_draw(c, 2000)) * SIM_MS;
    s.relief.fn = worker_relief;
    s.stops_only =
        case_often(c, 600) && s.options.workers >= 2 &&
        (strcmp(s.options.accept, "notify") == 0 || strcmp(s.options.accept, "fdpass") == 0);
    if (s.stops_only) {
        s.mischief_ns = 40 * SIM_S;
        o.faults.short_read =
            0; /* who comes back must get what waits in one read, before it judges */
        sim_set_faults(&o.faults);
    }
    sim_after(&s.mischief, case_draw(c, 1000) * SIM_MS);
    c->queue_may_wait = true;
    if (s.stops_only)
        c->queue_patience_ns = 10 * SIM_S;
    case_play(c);
    sim_cancel(&s.mischief);
    sim_cancel(&s.relief);
    if (s.stopped)
        sim_signal(s.stopped, SIGCONT);
    (void)sim_run(sim_now() +
                  30 * SIM_S); /* all workers are back, and those told to stop are gone */
    case_rest(c, true);
    case_stop(c, SIGTERM, 15 * SIM_S);
}

/* ---- nothing is left ----------------------------------------------------------------------------------- */
static void scarce_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct serve s;
    case_weather(c, &o);
    struct sim_faults good = o.faults, bad = o.faults;
    serve_init(&s, c, case_often(c, 700) ? 0 : 1 + (unsigned)case_draw(c, 2), false);
    s.options.servers[0].max_conns = 0; /* the limits are to be the kernel's */
    if (case_often(c, 400))
        o.nofile = 26 + (unsigned)case_draw(c, 40);
    bad.heap = case_often(c, 600) ? 1 + (unsigned)case_draw(c, 100) : 0;
    bad.no_files = case_often(c, 400) ? (unsigned)case_draw(c, 300) : 0;
    bad.no_buffers = case_often(c, 400) ? (unsigned)case_draw(c, 300) : 0;
    if (case_often(c, 300))
        s.options.memory_hard = (512u + (unsigned)case_draw(c, 4096)) << 10;
    case_open(c, &o);
    case_start(c, "serve", serve_main, &s);
    struct crowd_options w = serve_crowd(c, &s, false);
    w.clients += 20;
    w.ends_allowed = w.refusal_allowed = true;
    case_crowd(c, &w);
    s.crowd = c->crowds[0];
    s.kills = 1; /* no exact account */
    c->queue_may_wait = true;
    sim_set_faults(&bad);
    case_play(c);
    sim_set_faults(&good);
    (void)sim_run(sim_now() + 20 * SIM_S);
    w.clients = 5;
    w.ends_allowed = w.refusal_allowed = false;
    case_crowd(c, &w);
    case_play(c);
    case_rest(c, true);
    case_stop(c, SIGTERM, 10 * SIM_S);
}

const struct scenario scenario_serve = {"serve", "framed echo, one process or workers",
                                        serve_run};
const struct scenario scenario_workers = {"workers", "workers are killed and replaced",
                                          workers_run};
const struct scenario scenario_scarce = {"scarce", "descriptors, memory and buffers run out",
                                         scarce_run};
