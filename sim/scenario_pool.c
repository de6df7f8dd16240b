/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A connection pool against an origin that answers, delays, resets, closes and keeps silent, with
 * borrowers that finish, give up, or forget what they borrowed. Afterwards the origin is well again, and
 * the whole pool must be there: every job gets a connection and its own answer.
 */

#include "libweir/base/err.h"
#include "libweir/conn/pool.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORIGIN 2u
#define PORT   5000

struct pool_case {
    struct wr_conn_pool_options options;
    unsigned mood; /* 0: flaky; 1: no new jobs; 2: well, and every job must succeed */
    unsigned every_ms, forgetful, hasty;
    uint64_t started, answered, failed, well_started, well_answered;
    struct wr_conn_pool_stats stats;
};

/* ---- the origin: an actor ---------------------------------------------------------------------------- */
struct origin {
    struct pool_case *h;
    struct sim_peer *listener;
    struct visitor *visitors;
};
struct visitor {
    struct origin *o;
    struct visitor *next;
    struct sim_peer *peer;
    struct sim_event answer;
    char line[128];
    size_t n;
};

static void visitor_answer(struct sim_event *e)
{
    struct visitor *v = wr_container_of(e, struct visitor, answer);
    char text[160];
    uint64_t dice = v->o->h->mood == 0 ? sim_rand(100) : 99;
    if (!v->peer)
        return;
    size_t n = (size_t)snprintf(text, sizeof text, "=%.*s", (int)v->n, v->line);
    v->n = 0;
    if (dice < 5)
        sim_hang_up(&v->peer, true);
    else if (dice < 10)
        sim_hang_up(&v->peer, false);
    else if (dice < 15)
        return; /* never */
    else if (dice < 20)
        n /= 2;
    if (v->peer && sim_send(v->peer, text, n) > 0 && dice < 30 && dice >= 15)
        sim_hang_up(&v->peer, false);
}

static void visitor_readable(struct sim_peer *peer, void *arg)
{
    struct visitor *v = arg;
    for (;;) {
        ssize_t r = sim_recv(peer, v->line + v->n, sizeof v->line - v->n);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            sim_cancel(&v->answer);
            sim_hang_up(&v->peer, false);
            return;
        }
        v->n += (size_t)r;
        if (v->line[v->n - 1] == '\n')
            sim_after(&v->answer, sim_rand(v->o->h->mood ? 5 * SIM_MS : 300 * SIM_MS));
    }
}

static void origin_incoming(struct sim_peer *listener, void *arg)
{
    static const struct sim_peer_ops ops = {NULL, visitor_readable, NULL, NULL};
    struct origin *o = arg;
    for (;;) {
        struct visitor *v = calloc(1, sizeof *v);
        v->o = o;
        v->answer.fn = visitor_answer;
        v->peer = sim_take(listener, &ops, v);
        if (!v->peer) {
            free(v);
            return;
        }
        v->next = o->visitors;
        o->visitors = v;
    }
}

static void origin_close(struct origin *o)
{
    sim_hang_up(&o->listener, false);
    while (o->visitors) {
        struct visitor *v = o->visitors;
        o->visitors = v->next;
        sim_cancel(&v->answer);
        sim_hang_up(&v->peer, true);
        free(v);
    }
}

/* ---- the driver -------------------------------------------------------------------------------------- */
struct app {
    struct pool_case *h;
    struct wr_loop *loop;
    struct wr_conn_pool *pool;
    struct wr_signal signals;
    struct wr_timer tick;
    unsigned jobs;
    bool stopping;
};

struct thing {
    struct app *app;
    int fd;
    struct wr_io io; /* open while connecting and while borrowed */
    struct wr_op op;
    wr_pool_ready_fn *ready;
    void *token;
    struct job *job;
};

struct job {
    struct app *app;
    struct wr_scope scope;
    struct wr_lease lease;
    bool forgetful, hasty, must;
    unsigned told;
    uint64_t token;
    char line[64];
    size_t n;
};

static void thing_close(void *driver, void *object)
{
    struct thing *t = object;
    (void)driver;
    if (wr_io_is_open(&t->io))
        wr_io_close(&t->io);
    else
        wr_os_close(t->fd);
    wr_heap_free(wr_os_heap(), t, sizeof *t);
}

static void open_cancelled(struct wr_op *op, int why)
{
    struct thing *t = wr_container_of(op, struct thing, op);
    wr_pool_ready_fn *ready = t->ready;
    void *token = t->token;
    thing_close(NULL, t);
    ready(token, NULL, why);
}

static void job_ready(struct thing *t);

static void thing_ready(struct wr_io *io, uint32_t events)
{
    struct thing *t = wr_container_of(io, struct thing, io);
    int err = 0;
    socklen_t n = sizeof err;
    (void)events;
    if (!t->ready) {
        job_ready(t);
        return;
    }
    if (wr_os_getsockopt(wr_io_fd(io), SOL_SOCKET, SO_ERROR, &err, &n) < 0)
        err = EIO;
    if (!wr_op_end(&t->op))
        return;
    wr_pool_ready_fn *ready = t->ready;
    void *token = t->token;
    t->ready = NULL;
    if (err) {
        thing_close(NULL, t);
        ready(token, NULL, -err);
        return;
    }
    t->fd = wr_io_detach(io);
    ready(token, t, 0);
}

static int thing_open(void *driver, struct wr_scope *scope, wr_pool_ready_fn *ready,
                      void *token)
{
    struct app *a = driver;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    to.sin_addr.s_addr = htonl(10u << 24 | ORIGIN);
    struct thing *t = wr_heap_zalloc(wr_os_heap(), sizeof *t);
    if (!t)
        return -ENOMEM;
    *t = (struct thing){.app = a, .ready = ready, .token = token};
    int r = t->fd = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    if (r >= 0)
        r = wr_os_connect(t->fd, (struct sockaddr *)&to, sizeof to);
    if (r == -EINPROGRESS)
        r = wr_io_open(a->loop, &t->io, t->fd, WR_IO_EDGE, thing_ready);
    if (r == 0)
        r = wr_op_begin(scope, &t->op, open_cancelled);
    if (r < 0) {
        if (t->fd >= 0)
            thing_close(NULL, t);
        else
            wr_heap_free(wr_os_heap(), t, sizeof *t);
    }
    return r;
}

static int thing_fd(void *driver, void *object)
{
    (void)driver;
    return ((struct thing *)object)->fd;
}

/* ---- jobs -------------------------------------------------------------------------------------------- */
static void job_end(struct job *j, int err)
{
    bool good = err == 0;
    struct pool_case *h = j->app->h;
    h->answered += good;
    h->failed += !good;
    h->well_answered += good && j->must;
    if (j->must && !good)
        sim_violation("pool: a job failed though the origin is well: %s", wr_err_name(err));
    j->app->jobs--;
    wr_scope_deinit(&j->scope);
    wr_heap_free(wr_os_heap(), j, sizeof *j);
}

static void job_over(struct wr_scope *s, int why)
{
    /* What it had borrowed has been reclaimed by now. */
    job_end(wr_container_of(s, struct job, scope), why);
}

static void job_broken(struct job *j)
{
    wr_lease_discard(&j->lease);
    job_end(j, -EPIPE);
}

static void job_ready(struct thing *t)
{
    struct job *j = t->job;
    char want[64];
    size_t len =
        (size_t)snprintf(want, sizeof want, "=%016llx\n", (unsigned long long)j->token);
    while (j->n < len) {
        ssize_t r = wr_os_recv(wr_io_fd(&t->io), j->line + j->n, sizeof j->line - j->n, 0);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            job_broken(j);
            return;
        }
        j->n += (size_t)r;
        if (j->n > len || memcmp(j->line, want, j->n) != 0) {
            sim_violation("I1 pool: a job got another one's answer: %.20s", j->line);
            return;
        }
    }
    t->fd = wr_io_detach(&t->io);
    t->job = NULL;
    wr_lease_release(&j->lease);
    job_end(j, 0);
}

static void job_leased(void *arg, int err, struct wr_lease lease)
{
    struct job *j = arg;
    if (j->told++)
        sim_violation("pool: a take was answered twice");
    if (err < 0) {
        job_end(j, err);
        return;
    }
    j->lease = lease;
    if (j->forgetful)
        return; /* until the pool loses patience, or the scope ends */
    struct thing *t = wr_lease_object(&lease);
    size_t n =
        (size_t)snprintf(j->line, sizeof j->line, "%016llx\n", (unsigned long long)j->token);
    t->job = j;
    ssize_t r = wr_io_open(j->app->loop, &t->io, t->fd, WR_IO_EDGE, thing_ready);
    for (size_t sent = 0; r >= 0 && sent < n; sent += (size_t)r)
        if ((r = wr_os_send(t->fd, j->line + sent, n - sent, 0)) < 0)
            break;
    if (r < 0) {
        job_broken(j);
        return;
    }
    if (j->hasty)
        wr_scope_set_deadline(&j->scope, 1 + sim_rand(200));
}

static void job_start(struct app *a)
{
    struct pool_case *h = a->h;
    struct job *j = wr_heap_zalloc(wr_os_heap(), sizeof *j);
    if (!j)
        return;
    j->app = a;
    j->must = h->mood == 2;
    j->token = sim_rand(UINT64_MAX);
    j->forgetful = !j->must && sim_rand(1000) < h->forgetful;
    j->hasty = !j->must && sim_rand(1000) < h->hasty;
    wr_scope_init(&j->scope, a->loop, NULL, j->must ? 30000 : 500 + sim_rand(4000));
    j->scope.done = job_over;
    h->started++;
    h->well_started += j->must;
    a->jobs++;
    int err = wr_conn_pool_take(a->pool, &j->scope, job_leased, j);
    if (err < 0)
        job_end(j, err);
}

static void on_tick(struct wr_timer *t)
{
    struct app *a = wr_container_of(t, struct app, tick);
    if (a->stopping) {
        if (a->jobs == 0)
            wr_loop_stop(a->loop);
    } else if (a->h->mood == 0 || (a->h->mood == 2 && a->h->well_started < 30 &&
                                   a->jobs < a->h->options.max_open)) {
        job_start(a);
    }
    if (!wr_conn_pool_validate(a->pool))
        sim_violation("pool: its books are not in order");
    wr_loop_timer_arm(a->loop, t, 1 + sim_rand(a->h->every_ms));
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    (void)info;
    wr_container_of(s, struct app, signals)->stopping = true;
}

static int pool_main(void *arg)
{
    static const struct wr_conn_pool_ops ops = {
        .kind = "sim", .open = thing_open, .fd = thing_fd, .close = thing_close};
    struct app a = {.h = arg, .tick.fn = on_tick};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    if (!r)
        r = wr_conn_pool_new(a.loop, &ops, &a, &a.h->options, &a.pool);
    if (!r) {
        wr_loop_timer_arm(a.loop, &a.tick, 3000);
        r = wr_loop_run(a.loop);
    }
    a.h->stats = wr_conn_pool_stats(a.pool);
    wr_loop_timer_cancel(&a.tick);
    wr_conn_pool_free(&a.pool);
    wr_signal_close(&a.signals);
    (void)wr_loop_turn(a.loop, 0);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

static void books_check(const struct pool_case *h)
{
    const struct wr_conn_pool_stats *s = &h->stats;
    if (sim_violated())
        return;
    if (s->taken != s->released + s->discarded + s->reclaimed + s->lent || s->lent)
        sim_violation(
            "pool: %llu taken, %llu released, %llu discarded, %llu reclaimed, %u lent",
            (unsigned long long)s->taken, (unsigned long long)s->released,
            (unsigned long long)s->discarded, (unsigned long long)s->reclaimed, s->lent);
    else if (h->started != h->answered + h->failed)
        sim_violation("pool: %llu jobs, %llu answered, %llu failed",
                      (unsigned long long)h->started, (unsigned long long)h->answered,
                      (unsigned long long)h->failed);
    else if (h->well_answered != 30)
        sim_violation("pool: only %llu of 30 jobs were done after the origin was well again",
                      (unsigned long long)h->well_answered);
}

static void pool_run(struct sim_case *c)
{
    static const struct sim_peer_ops listener = {.incoming = origin_incoming};
    struct sim_options o = {0};
    case_weather(c, &o);
    if (case_often(c, 300)) { /* few ports: those in TIME_WAIT are missed soon */
        o.port_min = 40000;
        o.port_max = 40000 + 20 + (unsigned)case_draw(c, 200);
    }
    struct pool_case h = {.every_ms = 1 + (unsigned)case_draw(c, 60),
                          .forgetful = case_often(c, 600) ? (unsigned)case_draw(c, 200) : 0,
                          .hasty = case_often(c, 600) ? (unsigned)case_draw(c, 400) : 0};
    h.options = (struct wr_conn_pool_options){.name = "sim",
                                              .max_open = 1 + (uint32_t)case_draw(c, 12),
                                              .max_waiters = 12 + (uint32_t)case_draw(c, 60),
                                              .wait_ms = 1000,
                                              .idle_ms = 200 + (uint32_t)case_draw(c, 20000),
                                              .leak_ms = 1000,
                                              .leak_kill_ms = 2000,
                                              .fifo = case_often(c, 500),
                                              .seed = c->seed};
    case_open(c, &o);
    struct origin origin = {.h = &h};
    origin.listener = sim_serve(ORIGIN, PORT, 64, &listener, &origin);
    case_start(c, "pool", pool_main, &h);
    (void)sim_run(sim_now() + (5 + case_draw(c, 20)) * SIM_S);
    h.mood = 1;
    (void)sim_run(sim_now() + 90 * SIM_S); /* leases are reclaimed, ports are free again */
    h.mood = 2;
    (void)sim_run(sim_now() + 60 * SIM_S);
    case_stop(c, SIGTERM, 60 * SIM_S);
    books_check(&h);
    c->answers = h.answered;
    origin_close(&origin);
}

const struct scenario scenario_pool = {"pool", "a connection pool against a flaky origin",
                                       pool_run};
