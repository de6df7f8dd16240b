/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The whole service, as a program would run it: one process or a pool of workers in one of the four accept
 * modes, framed echo, under crowds of all tempers.
 *
 *   serve    nothing goes wrong that a correct program would notice: every answer must come
 *   workers  workers are killed and stopped all the time: only what they held may be lost
 *   scarce   descriptors, memory and buffers run out, then come back: no crash, no leak, recovery
 */

#include "libweir/conn/service.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT 2007

/* Lies outside of the processes; each serving process adds its account when it stops. */
struct serve {
    struct sim_case *c;
    struct wr_service_options options;
    uint64_t opened, closed, left_open, stops, starts;
    uint64_t by_reason[WR_CLOSES];
    struct sim_event mischief;
    uint64_t mischief_ns;
    unsigned kills;
    bool stops_only;
    pid_t stopped;
    struct sim_event relief;
    struct crowd *crowd;
};

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    return wr_conn_send_view(c, v);
}

/* Keeps the message and answers some time later: the bytes must still be those that came. */
struct kept {
    struct wr_bytes bytes;
    struct wr_list link;
};

/* Of one connection, inside of it. */
struct keeper {
    struct wr_list waiting;
    struct wr_timer timer;
    struct wr_conn *conn;
};

static void keeper_due(struct wr_timer *t)
{
    struct keeper *k = wr_container_of(t, struct keeper, timer);
    struct wr_list *first = wr_list_first(&k->waiting);
    if (!first)
        return;
    struct kept *e = wr_container_of(first, struct kept, link);
    wr_list_remove(&e->link);
    if (wr_list_first(&k->waiting))
        wr_loop_timer_arm(wr_conn_loop(k->conn), &k->timer, 1 + sim_rand(10));
    (void)wr_conn_send_bytes(k->conn, &e->bytes);
    wr_heap_free(wr_os_heap(), e, sizeof *e);
}

static int keep_open(struct wr_conn *c)
{
    struct keeper *k = wr_conn_user(c);
    wr_list_init(&k->waiting);
    k->timer.fn = keeper_due;
    k->conn = c;
    return 0;
}

static int keep_frame(struct wr_conn *c, struct wr_view v)
{
    struct keeper *k = wr_conn_user(c);
    struct kept *e = wr_heap_zalloc(wr_os_heap(), sizeof *e);
    if (!e)
        return -ENOMEM;
    int r = wr_view_keep(v, &e->bytes);
    if (r < 0) {
        wr_heap_free(wr_os_heap(), e, sizeof *e);
        return r;
    }
    wr_list_init(&e->link);
    wr_list_add_tail(&k->waiting, &e->link);
    if (!wr_timer_armed(&k->timer))
        wr_loop_timer_arm(wr_conn_loop(c), &k->timer, 1 + sim_rand(10));
    return 0;
}

static void keep_close(struct wr_conn *c, enum wr_close why, int err)
{
    struct keeper *k = wr_conn_user(c);
    struct wr_list *link;
    (void)why, (void)err;
    wr_loop_timer_cancel(&k->timer);
    while ((link = wr_list_first(&k->waiting))) {
        struct kept *e = wr_container_of(link, struct kept, link);
        wr_list_remove(&e->link);
        wr_bytes_drop(&e->bytes);
        wr_heap_free(wr_os_heap(), e, sizeof *e);
    }
}

static int on_start(struct wr_service *service)
{
    struct serve *s = wr_service_arg(service);
    s->starts++;
    return 0;
}

static void on_stop(struct wr_service *service)
{
    struct serve *s = wr_service_arg(service);
    struct wr_server_stats st = wr_server_stats(wr_service_server(service, 0));
    s->stops++;
    s->opened += st.links.opened;
    s->left_open += st.open;
    for (unsigned i = 0; i < WR_CLOSES; i++) {
        s->closed += st.links.closed[i];
        s->by_reason[i] += st.links.closed[i];
    }
}

static int serve_main(void *arg)
{
    struct serve *s = arg;
    return wr_service_run(&s->options);
}

static const struct wr_proto echo = {.on_frame = on_frame};
static const struct wr_proto keep = {
    .on_open = keep_open, .on_frame = keep_frame, .on_close = keep_close};
static const struct wr_codec frames = WR_CODEC_LEN32(1 << 20);
static const struct wr_codec lines = WR_CODEC_LINES(1 << 20);

static const char *accept_mode(struct sim_case *c)
{
    static const char *const modes[] = {"reuseport", "exclusive", "notify", "fdpass"};
    return modes[case_draw(c, 4)];
}

static void serve_init(struct serve *s, struct sim_case *c, unsigned workers, bool by_lines)
{
    *s = (struct serve){.c = c};
    struct wr_service_options *o = &s->options;
    o->name = "serve";
    o->workers = workers;
    o->accept = accept_mode(c);
    o->arg = s;
    o->on_start = on_start;
    o->on_stop = on_stop;
    o->grace_ms = 2000;
    o->log_level = WR_LOG_DEBUG;
    o->servers[0] = (struct wr_server_options){
        .addr = "0.0.0.0:2007", .conn = {.proto = &echo, .codec = by_lines ? &lines : &frames}
    };
    if (case_often(c, 400)) {
        o->servers[0].conn.proto = &keep;
        o->servers[0].conn.user_size = sizeof(struct keeper);
    }
    if (case_often(c, 300))
        o->servers[0].listen.backlog = 1 + (unsigned)case_draw(c, 20);
    if (case_often(c, 200))
        o->servers[0].max_conns = 2 + (uint32_t)case_draw(c, 10);
    if (case_often(c, 300))
        o->servers[0].listen.defer_accept_s = 1 + (unsigned)case_draw(c, 10);
    if (case_often(c, 300))
        o->servers[0].conn.frames_per_turn = 1 + (uint32_t)case_draw(c, 8);
    if (case_often(c, 300))
        o->servers[0].listen.burst = 1 + (unsigned)case_draw(c, 8);
}

static struct crowd_options crowd_draw(struct sim_case *c, const struct serve *s, bool by_lines)
{
    unsigned big = case_often(c, 200) ? 80 : 20, tempers = (1u << TEMPERS) - 1;
    if (s->options.servers[0].conn.proto == &keep)
        tempers &= ~(1u << HALF_CLOSER); /* an end is a good-bye: later answers find nobody */
    return (struct crowd_options){.host = 1,
                                  .port = PORT,
                                  .speech = by_lines ? &speech_lines : &speech_frames,
                                  .clients = 1 + (unsigned)case_draw(c, big),
                                  .connections = 1 + (unsigned)case_draw(c, 4),
                                  .requests_max = 1 + (unsigned)case_draw(c, 60),
                                  .size_max = 1 + (unsigned)case_draw(c, 12000),
                                  .spread_ns = case_draw(c, 1000) * SIM_MS,
                                  .think_ns = case_draw(c, 200) * SIM_MS,
                                  .patience_ns = 200 * SIM_S,
                                  .tempers = tempers};
}

/* The service's own account against the clients'. Exact when no process was killed. */
static void accounts_check(const struct serve *s)
{
    const struct crowd_tally *t = crowd_tally(s->crowd);
    if (sim_violated() || s->kills > 0)
        return;
    if (s->opened != s->closed || s->left_open)
        sim_violation("I2 account: %llu connections opened, %llu closed, %llu open at the end",
                      (unsigned long long)s->opened, (unsigned long long)s->closed,
                      (unsigned long long)s->left_open);
    else if (s->opened > t->completed)
        sim_violation("I2 account: the service opened %llu, the clients completed %llu",
                      (unsigned long long)s->opened, (unsigned long long)t->completed);
}

static void serve_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct serve s;
    case_weather(c, &o);
    bool by_lines = case_often(c, 300);
    serve_init(&s, c, case_often(c, 500) ? 0 : 1 + (unsigned)case_draw(c, 3), by_lines);
    case_open(c, &o);
    case_start(c, "serve", serve_main, &s);
    struct crowd_options w = crowd_draw(c, &s, by_lines);
    if (s.options.servers[0].max_conns || s.options.servers[0].listen.backlog)
        c->queue_may_wait = true;
    if (s.options.servers[0].max_conns) /* who is silent for 10 s must not starve the others */
        w.tempers &= ~(1u << SILENT | 1u << STALLER | 1u << DRIBBLING | 1u << SLOW_READER);
    /* A full house behind a short queue turns handshakes away for as long as its guests talk. */
    w.refusal_allowed = s.options.servers[0].max_conns && s.options.servers[0].listen.backlog;
    case_crowd(c, &w);
    s.crowd = c->crowds[0];
    case_play(c);
    case_rest(c, false);
    case_stop(c, SIGTERM, 10 * SIM_S);
    accounts_check(&s);
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
        /* A worker that stops in order ends what it has, with a reason, within its grace. */
        crowd_excuse(s->crowd, hard ? 0 : 4 * SIM_S);
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
    struct crowd_options w = crowd_draw(c, &s, false);
    w.connections = 5 + (unsigned)case_draw(c, 30);
    w.tempers &= ~(1u << SILENT | 1u << STALLER);
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
    struct crowd_options w = crowd_draw(c, &s, false);
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
