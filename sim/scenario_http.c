/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The HTTP server under clients of all tempers. The handler echoes a token from the path or the body: at
 * once, later by a timer that belongs to the request's scope, in pieces, or streaming. What it remembers
 * of a request ends with the request: a timer that fires for a dead one is a violation.
 */

#include "libweir/base/err.h"
#include "libweir/conn/http_server.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <stdlib.h>
#include <string.h>

#define PORT 8080

struct http_case {
    struct wr_http_options options;
    unsigned later_per_thousand, pieces_per_thousand, slow_ms;
    uint64_t begun, answered, refused, aborted, done[3];
    uint64_t opened, closed;
    bool scarce;
};

struct app {
    struct http_case *h;
    struct wr_loop *loop;
    struct wr_http_server *server;
    struct wr_signal signals;
    unsigned pending;
};

/* An answer that comes by itself, some time after the handler has returned. */
struct later {
    struct wr_op op;
    struct wr_timer timer; /* cannot be called back, like a question to somebody else */
    struct wr_http_req *req;
    struct app *app;
    bool cancelled;
    size_t n;
    char body[];
};

static void reply_body(struct app *a, struct wr_http_req *req, struct wr_span body)
{
    if (sim_rand(1000) >= a->h->pieces_per_thousand) {
        wr_http_reply(req, 200, WR_LIT("text/plain"), body);
        return;
    }
    int r = wr_http_begin(req, 200, NULL, 0, body.n);
    while (r >= 0 && body.n > 0) {
        size_t n = 1 + sim_rand(body.n);
        r = wr_http_write(req, wr_span_sub(body, 0, n));
        body = wr_span_sub(body, n, body.n);
    }
    if (r >= 0)
        wr_http_end(req);
}

static void later_cancel(struct wr_op *op, int why)
{
    struct later *l = wr_container_of(op, struct later, op);
    (void)why;
    l->cancelled = true;
}

static void later_due(struct wr_timer *t)
{
    struct later *l = wr_container_of(t, struct later, timer);
    bool mine = wr_op_end(&l->op);
    if (mine && l->cancelled)
        sim_violation("scope: an operation ended by itself after it had been cancelled");
    else if (mine)
        wr_http_reply(l->req, 200, WR_LIT("text/plain"), wr_span(l->body, l->n));
    l->app->pending--;
    wr_heap_free(wr_os_heap(), l, sizeof *l + l->n);
}

static void echo_body(struct app *a, struct wr_http_req *req, struct wr_span body)
{
    if (sim_rand(1000) >= a->h->later_per_thousand) {
        reply_body(a, req, body);
        return;
    }
    struct later *l = wr_heap_alloc(wr_os_heap(), sizeof *l + body.n);
    if (!l) {
        wr_http_error(req, 503);
        return;
    }
    memset(l, 0, sizeof *l);
    l->req = req;
    l->app = a;
    l->n = body.n;
    l->timer.fn = later_due;
    memcpy(l->body, body.p, body.n);
    if (wr_op_begin(wr_http_scope(req), &l->op, later_cancel) < 0) {
        wr_heap_free(wr_os_heap(), l, sizeof *l + l->n);
        return; /* the request has ended meanwhile */
    }
    a->pending++;
    wr_loop_timer_arm(a->loop, &l->timer, 1 + sim_rand(a->h->slow_ms));
}

static void on_body(struct wr_http_req *req, struct wr_span body, int err, void *arg)
{
    if (err < 0)
        wr_http_error(req, err == WR_E_TOO_BIG ? 413 : 503);
    else
        echo_body(arg, req, body);
}

static void on_request(struct wr_http_req *req, void *arg)
{
    struct wr_span path = wr_http_path(req);
    if (wr_http_method(req) == WR_METHOD_POST)
        wr_http_read_body(req, 1 << 20, on_body, arg);
    else if (wr_span_has_prefix(path, WR_LIT("/echo/")))
        echo_body(arg, req, wr_span_sub(path, 6, path.n));
    else
        wr_http_error(req, 404);
}

/* The application's own words for what the server refuses. */
static void on_refuse(struct wr_http_req *req, int status, const char *reason, void *arg)
{
    (void)arg;
    wr_http_replyf(req, status, "text/plain", "refused: %s", reason);
}

static void on_done(struct wr_http_req *req, const struct wr_http_done *done, void *arg)
{
    struct app *a = arg;
    (void)req;
    a->h->done[done->end]++;
}

static void stopped(struct wr_http_server *s, void *arg)
{
    struct app *a = arg;
    struct wr_http_stats st = wr_http_server_stats(s);
    struct http_case *h = a->h;
    h->begun = st.begun;
    h->answered = st.answered;
    h->refused = st.refused;
    h->aborted = st.aborted;
    h->opened = st.links.opened;
    for (unsigned i = 0; i < WR_CLOSES; i++)
        h->closed += st.links.closed[i];
    wr_loop_stop(a->loop);
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct app *a = wr_container_of(s, struct app, signals);
    (void)info;
    wr_http_server_stop(a->server, 1000, stopped, a);
}

static int http_main(void *arg)
{
    struct app a = {.h = arg};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    struct wr_http_options o = a.h->options;
    o.arg = &a;
    r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    if (!r)
        r = wr_http_server_open(a.loop, &o, &a.server);
    if (!r)
        r = wr_loop_run(a.loop);
    wr_http_server_close(&a.server);
    wr_signal_close(&a.signals);
    while (a.pending > 0)
        (void)wr_loop_turn(a.loop, 20);
    (void)wr_loop_turn(a.loop, 0);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

/* Every request ended exactly once, and under the name that the server counted. */
static void http_accounts(const struct http_case *h)
{
    if (sim_violated())
        return;
    if (h->begun != h->answered + h->refused + h->aborted)
        sim_violation(
            "I2 account: %llu requests begun, %llu answered, %llu refused, %llu aborted",
            (unsigned long long)h->begun, (unsigned long long)h->answered,
            (unsigned long long)h->refused, (unsigned long long)h->aborted);
    else if (h->done[0] + h->done[1] + h->done[2] != h->begun)
        sim_violation("I8 log: %llu requests begun, %llu were told to the log",
                      (unsigned long long)h->begun,
                      (unsigned long long)(h->done[0] + h->done[1] + h->done[2]));
    else if (h->opened != h->closed)
        sim_violation("I2 account: %llu connections opened, %llu closed",
                      (unsigned long long)h->opened, (unsigned long long)h->closed);
}

static void http_run(struct sim_case *c)
{
    struct sim_options o = {0};
    case_weather(c, &o);
    struct http_case h = {
        .later_per_thousand = case_often(c, 500) ? (unsigned)case_draw(c, 1000) : 0,
        .pieces_per_thousand = case_often(c, 500) ? (unsigned)case_draw(c, 1000) : 0,
        .slow_ms = 1 + (unsigned)case_draw(c, 300),
        .scarce = case_often(c, 250)};
    h.options = (struct wr_http_options){.addr = "0.0.0.0:8080",
                                         .on_request = on_request,
                                         .on_done = on_done,
                                         .on_refuse = h.slow_ms & 1 ? on_refuse : NULL,
                                         .done_when_sent = h.slow_ms & 2,
                                         .serve_half_closed = case_often(c, 500)};
    if (case_often(c, 300))
        h.options.listen.backlog = 1 + (unsigned)case_draw(c, 20);
    if (case_often(c, 200))
        h.options.handler_timeout_ms = 10 + (uint32_t)case_draw(c, 200);
    if (case_often(c, 200))
        h.options.listen.defer_accept_s = 1 + (unsigned)case_draw(c, 10);
    case_open(c, &o);
    case_start(c, "http", http_main, &h);
    struct crowd_options w = {.host = 1,
                              .port = PORT,
                              .speech = &speech_http,
                              .clients = 1 + (unsigned)case_draw(c, 40),
                              .connections = 1 + (unsigned)case_draw(c, 5),
                              .requests_max = 1 + (unsigned)case_draw(c, 40),
                              .size_max = 1 + (unsigned)case_draw(c, 8000),
                              .spread_ns = case_draw(c, 1000) * SIM_MS,
                              .think_ns = case_draw(c, 200) * SIM_MS,
                              .patience_ns = 200 * SIM_S,
                              .tempers = (1u << TEMPERS) - 1};
    if (!h.options.serve_half_closed)
        w.tempers &= ~(1u << HALF_CLOSER);
    struct sim_faults good = o.faults, bad = o.faults;
    if (h.scarce) {
        bad.heap = 1 + (unsigned)case_draw(c, 60);
        bad.no_buffers = (unsigned)case_draw(c, 100);
        bad.no_files = (unsigned)case_draw(c, 100);
    }
    w.ends_allowed = w.errors_allowed = h.scarce || h.options.handler_timeout_ms;
    c->queue_may_wait = h.scarce || h.options.listen.backlog;
    sim_set_faults(&bad);
    case_crowd(c, &w);
    case_play(c);
    sim_set_faults(&good);
    case_rest(c, false);
    case_stop(c, SIGTERM, 10 * SIM_S);
    http_accounts(&h);
}

const struct scenario scenario_http = {
    "http", "HTTP/1.1: keep-alive, pipelining, bodies, aborts", http_run};
