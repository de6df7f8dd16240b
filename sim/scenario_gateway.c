/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A service behind a unix socket, and a process in front of it that relays: whatever crowds of all tempers do to
 * the one on TCP must have its answer from the other, through connect and relay, in all accept modes.
 */

#include "libweir/base/err.h"
#include "libweir/io/connect.h"
#include "libweir/io/listen.h"
#include "libweir/io/loop.h"
#include "libweir/io/relay.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/scenarios.h"
#include "sim/serve.h"

#include <signal.h>

#define PATH "unix:/run/serve.sock"

struct gateway {
    struct wr_relay_options options;
    uint64_t accepted, refused, started, ended;
};

struct app {
    struct gateway *h;
    struct wr_loop *loop;
    struct wr_listener *listener;
    struct wr_signal signals;
    struct wr_scope all;
};

struct session {
    struct app *app;
    struct wr_relay *relay;
    int fd; /* the caller's, until the relay has it */
};

static void relay_over(void *arg, int err, const struct wr_relay_stats *st)
{
    struct session *s = arg;
    (void)err, (void)st;
    s->app->h->ended++;
    wr_heap_free(wr_os_heap(), s, sizeof *s);
}

static void connected(void *arg, int err, const struct wr_connected *c)
{
    struct session *s = arg;
    struct gateway *h = s->app->h;
    if (err == 0) {
        h->started++;
        err = wr_relay_start_fds(&s->app->all, s->fd, c->fd, &h->options, relay_over, s,
                                 &s->relay);
        if (err < 0)
            sim_violation("gateway: the relay: %s", wr_err_name(err));
        return;
    }
    h->refused++;
    if (err != WR_E_CANCELED)
        sim_violation("gateway: the service behind it: %s", wr_err_name(err));
    (void)wr_os_close(s->fd);
    wr_heap_free(wr_os_heap(), s, sizeof *s);
}

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *from, void *arg)
{
    struct app *a = arg;
    struct wr_target to = {0};
    struct session *s = wr_heap_zalloc(wr_os_heap(), sizeof *s);
    (void)l, (void)from;
    int err = wr_addr_parse(WR_LIT(PATH), &to.addr);
    a->h->accepted++;
    s->app = a;
    s->fd = fd;
    if (!err)
        err = wr_connect(&a->all, NULL, &to, NULL, connected, s);
    if (err)
        sim_violation("gateway: connect: %s", wr_err_name(err));
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct app *a = wr_container_of(s, struct app, signals);
    (void)info;
    wr_scope_cancel(&a->all, WR_E_CANCELED);
    wr_loop_stop(a->loop);
}

static int gateway_main(void *arg)
{
    struct app a = {.h = arg};
    struct wr_listen_options o = {.peer_unwanted = true};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    wr_scope_init(&a.all, a.loop, NULL, 0);
    r = wr_addr_parse(WR_LIT("0.0.0.0:2007"), &o.addr);
    if (!r)
        r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    if (!r)
        r = wr_listener_open(a.loop, &o, on_accept, &a, &a.listener);
    if (!r)
        r = wr_loop_run(a.loop);
    wr_listener_close(&a.listener);
    wr_scope_deinit(&a.all);
    wr_signal_close(&a.signals);
    (void)wr_loop_turn(a.loop, 0);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

static void gateway_end(const struct gateway *h, pid_t pid, int fds)
{
    if (!sim_violated() && sim_fds(pid) != fds)
        sim_violation("I3 gateway: %d descriptors at rest, %d before", sim_fds(pid), fds);
    if (!sim_violated() && (h->started != h->ended || h->accepted != h->started + h->refused))
        sim_violation("I2 gateway: %llu accepted, %llu refused, %llu started, %llu ended",
                      (unsigned long long)h->accepted, (unsigned long long)h->refused,
                      (unsigned long long)h->started, (unsigned long long)h->ended);
    sim_signal(pid, SIGTERM);
    (void)sim_run(sim_now() + 2 * SIM_S);
    if (!sim_violated() && (sim_alive(pid) || sim_heap_live(pid) || sim_mapped(pid)))
        sim_violation("I3 gateway: at its end: %s, %zu bytes of heap",
                      sim_alive(pid) ? "alive" : "gone", sim_heap_live(pid));
}

static void gateway_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct gateway h = {.options.no_splice = case_often(c, 300)};
    struct serve s;
    case_weather(c, &o);
    serve_init(&s, c, case_often(c, 400) ? 0 : 1 + (unsigned)case_draw(c, 3), false);
    s.options.servers[0].addr = PATH;
    s.options.servers[0].max_conns = 0;
    s.options.servers[0].listen.backlog = 0;
    case_open(c, &o);
    case_start(c, "serve", serve_main, &s);
    pid_t gateway = sim_start("gateway", gateway_main, &h);
    (void)sim_run(sim_now() + SIM_S);
    int fds = sim_fds(gateway);
    struct crowd_options w = serve_crowd(c, &s, false);
    case_crowd(c, &w);
    s.crowd = c->crowds[0];
    case_play(c);
    (void)sim_run(sim_now() + 15 * SIM_S);
    gateway_end(&h, gateway, fds);
    case_rest(c, false);
    case_stop(c, SIGTERM, 10 * SIM_S);
    serve_account(&s);
}

const struct scenario scenario_gateway = {
    "gateway", "a relay in front of a service on a unix socket", gateway_run};
