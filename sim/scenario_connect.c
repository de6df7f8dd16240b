/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Connecting by name to hosts of which some answer, some refuse, some are black holes and some cannot be
 * reached, with few local ports, and with callers that give up at any stage. Each connect ends exactly once,
 * in time, with a connection to one of the name's own addresses or with the stage and reason that its
 * addresses explain. When the name servers are well, one living address is enough.
 */

#include "libweir/base/err.h"
#include "libweir/io/connect.h"
#include "libweir/io/loop.h"
#include "libweir/io/ports.h"
#include "libweir/io/resolve.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/names.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SERVER 2u
#define HOSTS       4u /* 10.0.1.0 and so on live */
#define PORT        700
#define PER_FAMILY  4u /* so that all addresses of a name are tried */
#define WELL_JOBS   30u
#define SLACK_MS    1500u

enum address {
    GOOD,
    REFUSES,
    BLACK_HOLE,
    NO_WAY
};

struct connect_case {
    struct wr_connect_options options;
    struct wr_port_budget_options ports;
    struct names_mood names;
    unsigned mood; /* 0: bad; 1: nothing new; 2: well */
    bool budget;
    unsigned names_count, every_ms, hasty, hold_ms;
    uint64_t begun, connected, failed, given_up, well_begun, well_ended;
};

/* ---- the hosts: actors ----------------------------------------------------------------------------------- */
struct guest {
    struct guest *next;
    struct sim_peer *peer;
    struct sim_event bye;
};
struct host {
    struct connect_case *h;
    struct sim_peer *listener;
    struct guest *guests;
};

static void guest_bye(struct sim_event *e)
{
    struct guest *g = wr_container_of(e, struct guest, bye);
    sim_hang_up(&g->peer, sim_rand(4) == 0);
}

static void guest_readable(struct sim_peer *peer, void *arg)
{
    struct guest *g = arg;
    char bytes[64];
    ssize_t r = sim_recv(peer, bytes, sizeof bytes);
    if (r > 0)
        sim_violation("I1 connect: a host heard %zd bytes that nobody sent", r);
    if (r == -EAGAIN)
        return;
    sim_cancel(&g->bye);
    sim_hang_up(&g->peer, false);
}

static void host_incoming(struct sim_peer *listener, void *arg)
{
    static const struct sim_peer_ops ops = {.readable = guest_readable};
    struct host *h = arg;
    for (;;) {
        struct guest *g = calloc(1, sizeof *g);
        g->bye.fn = guest_bye;
        g->peer = sim_take(listener, &ops, g);
        if (!g->peer) {
            free(g);
            return;
        }
        g->next = h->guests;
        h->guests = g;
        if (sim_rand(3) ==
            0) /* while the mood is bad perhaps before the caller knows that it is in */
            sim_after(&g->bye, (h->h->mood ? SIM_S : 0) + sim_rand(100 * SIM_MS));
    }
}

static void host_close(struct host *h)
{
    sim_hang_up(&h->listener, false);
    while (h->guests) {
        struct guest *g = h->guests;
        h->guests = g->next;
        sim_cancel(&g->bye);
        sim_hang_up(&g->peer, true);
        free(g);
    }
}

/* ---- what a name means ------------------------------------------------------------------------------------- */
static void address_make(enum address what, unsigned k, uint8_t ip[4])
{
    const uint8_t of[4][4] = {
        {10,  0,  1,   (uint8_t)(k % HOSTS)},
        {10,  0,  3,   (uint8_t)k          },
        {192, 0,  2,   (uint8_t)k          },
        {198, 51, 100, (uint8_t)k          }
    };
    memcpy(ip, of[what], 4);
}

/* name-7.sim: which addresses, and of what kind, follows from the 7. */
static void meaning(const char *name, struct names_meaning *out)
{
    static const uint8_t prefix[12] = {0x20, 1, 0xd, 0xb8};
    unsigned k = 0;
    if (sscanf(name, "name-%u.sim", &k) != 1)
        return;
    uint64_t dice = (k + 1) * 0x9e3779b97f4a7c15ull;
    out->exists = true;
    out->v4_count = (unsigned)dice % (PER_FAMILY + 1);
    out->v6_count = (unsigned)(dice >> 8) % (PER_FAMILY + 1);
    for (unsigned i = 0; i < PER_FAMILY; i++) {
        address_make((dice >> (16 + 4 * i)) % 4, 16 * i + k % 16, out->v4[i]);
        memcpy(out->v6[i], prefix, sizeof prefix);
        address_make((dice >> (36 + 4 * i)) % 4, 16 * i + k % 16, out->v6[i] + 12);
    }
}

static bool any_is(const struct names_meaning *m, enum address what)
{
    for (unsigned i = 0; i < m->v4_count + m->v6_count; i++) {
        uint8_t want[4];
        const uint8_t *ip = i < m->v4_count ? m->v4[i] : m->v6[i - m->v4_count] + 12;
        address_make(what, 0, want);
        if (memcmp(ip, want, 3) == 0)
            return true;
    }
    return false;
}

static bool belongs(const struct names_meaning *m, const struct wr_addr *a)
{
    for (unsigned i = 0; i < m->v4_count; i++)
        if (a->kind == WR_ADDR_V4 && memcmp(a->v4, m->v4[i], 4) == 0)
            return true;
    for (unsigned i = 0; i < m->v6_count; i++)
        if (a->kind == WR_ADDR_V6 && memcmp(a->v6, m->v6[i], 16) == 0)
            return true;
    return false;
}

/* ---- the program ------------------------------------------------------------------------------------------- */
struct app {
    struct connect_case *h;
    struct wr_loop *loop;
    struct wr_resolver *resolver;
    struct wr_port_budget *ports;
    struct wr_signal signals;
    struct wr_timer tick;
    unsigned jobs;
    bool stopping;
};

struct job {
    struct app *app;
    struct wr_scope scope;
    struct wr_timer timer; /* gives up; later: closes what was won */
    struct names_meaning means;
    struct wr_addr peer;
    bool must, may_end;
    unsigned told;
    int fd;
    uint64_t begun_ms;
    char name[32];
};

static void job_free(struct job *j)
{
    j->app->jobs--;
    wr_loop_timer_cancel(&j->timer);
    wr_scope_deinit(&j->scope);
    wr_heap_free(wr_os_heap(), j, sizeof *j);
}

static void error_check(const struct job *j, int err, enum wr_connect_stage stage)
{
    const struct names_meaning *m = &j->means;
    bool dns = err == WR_E_DNS || err == WR_E_DNS_NONAME || err == WR_E_QUEUE_FULL;
    bool explained = dns                    ? !j->must || m->v4_count + m->v6_count == 0
                     : err == -ECONNREFUSED ? any_is(m, REFUSES)
                     : err == -ECONNRESET   ? any_is(m, GOOD)
                     : err == -ENETUNREACH  ? any_is(m, NO_WAY)
                     : err == WR_E_DEADLINE ? !j->must || any_is(m, BLACK_HOLE)
                     : err == WR_E_NOPORTS  ? !j->must
                                            : false;
    if (!explained)
        sim_violation("connect: %s: %s at stage %s", j->name, wr_err_name(err),
                      wr_connect_stage_name(stage));
    if (j->must && any_is(m, GOOD))
        sim_violation("connect: %s has a living address: %s", j->name, wr_err_name(err));
    if ((dns && stage != WR_CONNECT_DNS) || (err == WR_E_NOPORTS && stage != WR_CONNECT_PORT) ||
        ((err == -ECONNREFUSED || err == -ENETUNREACH) && stage != WR_CONNECT_CONNECT))
        sim_violation("connect: %s: %s is not of stage %s", j->name, wr_err_name(err),
                      wr_connect_stage_name(stage));
}

static void won_close(struct wr_timer *t)
{
    struct job *j = wr_container_of(t, struct job, timer);
    if (j->app->ports)
        wr_port_budget_give(j->app->ports, &j->peer, true, wr_loop_now_ms(j->app->loop));
    (void)wr_os_close(j->fd);
    job_free(j);
}

static void job_connected(void *arg, int err, const struct wr_connected *c)
{
    struct job *j = arg;
    struct app *a = j->app;
    struct connect_case *h = a->h;
    uint64_t took = wr_loop_now_ms(a->loop) - j->begun_ms;
    if (j->told++)
        sim_violation("connect: %s ended twice", j->name);
    if (took > (h->options.timeout_ms ? h->options.timeout_ms : 3000) + SLACK_MS)
        sim_violation("I4 connect: %s took %llu ms", j->name, (unsigned long long)took);
    if ((err == 0) != (c->fd >= 0))
        sim_violation("connect: %s: descriptor %d with %s", j->name, c->fd, wr_err_name(err));
    if (j->must)
        h->well_ended++;
    if (err == 0) {
        h->connected++;
        if (!belongs(&j->means, &c->peer))
            sim_violation("I1 connect: %s went to another's address", j->name);
        j->fd = c->fd;
        j->peer = c->peer;
        wr_loop_timer_cancel(&j->timer);
        j->timer.fn = won_close;
        wr_loop_timer_arm(a->loop, &j->timer, 1 + sim_rand(h->hold_ms));
        return;
    }
    bool ended = err == WR_E_CANCELED || (err == WR_E_DEADLINE && j->may_end);
    if (ended && !j->may_end && !a->stopping)
        sim_violation("connect: %s was cancelled by nobody", j->name);
    h->given_up += ended;
    h->failed += !ended;
    if (!ended)
        error_check(j, err, c->stage);
    if (wr_scope_why(&j->scope) == 0)
        job_free(j); /* else whoever cancels the scope does it, or its done below */
}

static void job_over(struct wr_scope *s, int why)
{
    struct job *j = wr_container_of(s, struct job, scope);
    (void)why;
    if (!j->told)
        sim_violation("connect: %s was not told when its scope ended", j->name);
    if (j->fd < 0)
        job_free(j);
}

static void job_impatient(struct wr_timer *t)
{
    wr_scope_cancel(&wr_container_of(t, struct job, timer)->scope, WR_E_CANCELED);
}

static void job_start(struct app *a)
{
    struct connect_case *h = a->h;
    struct job *j = wr_heap_zalloc(wr_os_heap(), sizeof *j);
    if (!j)
        return;
    j->app = a;
    j->fd = -1;
    j->must = h->mood == 2;
    j->timer.fn = job_impatient;
    j->begun_ms = wr_loop_now_ms(a->loop);
    (void)snprintf(j->name, sizeof j->name, "name-%u.sim", (unsigned)sim_rand(h->names_count));
    meaning(j->name, &j->means);
    bool hasty = !j->must && sim_rand(1000) < h->hasty, by_scope = sim_rand(2) == 0;
    j->may_end = hasty;
    wr_scope_init(&j->scope, a->loop, NULL, hasty && by_scope ? 1 + sim_rand(1000) : 0);
    j->scope.done = job_over;
    if (hasty && !by_scope)
        wr_loop_timer_arm(a->loop, &j->timer, sim_rand(sim_rand(2) ? 4000 : 300));
    h->begun++;
    h->well_begun += j->must;
    a->jobs++;
    struct wr_target to = {.name = wr_span_str(j->name), .port = PORT};
    struct wr_connect_options o = h->options;
    o.ports = a->ports;
    int err = wr_connect(&j->scope, a->resolver, &to, &o, job_connected, j);
    if (err < 0) {
        sim_violation("connect: %s", wr_err_name(err));
        job_free(j);
    } else if (j->told) {
        sim_violation("connect: told before the call returned");
    }
}

static void on_tick(struct wr_timer *t)
{
    struct app *a = wr_container_of(t, struct app, tick);
    struct connect_case *h = a->h;
    if (a->ports && sim_rand(50) == 0)
        wr_port_budget_validate(a->ports);
    if (a->stopping && a->jobs == 0) {
        wr_loop_stop(a->loop);
        return;
    }
    if (!a->stopping && h->mood == 0 && a->jobs < 60)
        job_start(a);
    else if (!a->stopping && h->mood == 2 && a->jobs == 0 && h->well_begun < WELL_JOBS)
        job_start(a);
    wr_loop_timer_arm(a->loop, t, 1 + sim_rand(h->every_ms));
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    (void)info;
    wr_container_of(s, struct app, signals)->stopping = true;
}

static int connect_main(void *arg)
{
    struct app a = {.h = arg, .tick.fn = on_tick};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    if (!r)
        r = wr_resolver_new(a.loop, NULL, &a.resolver);
    if (!r && a.h->budget)
        r = wr_port_budget_new(wr_os_heap(), &a.h->ports, &a.ports);
    if (!r) {
        wr_loop_timer_arm(a.loop, &a.tick, 3000);
        r = wr_loop_run(a.loop);
    }
    wr_loop_timer_cancel(&a.tick);
    wr_resolver_free(&a.resolver);
    wr_port_budget_free(&a.ports);
    wr_signal_close(&a.signals);
    (void)wr_loop_turn(a.loop, 0);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

/* ---- the case ------------------------------------------------------------------------------------------------ */
static void books_check(const struct connect_case *h)
{
    if (sim_violated())
        return;
    if (h->begun != h->connected + h->failed + h->given_up)
        sim_violation("I2 connect: %llu begun, %llu connected, %llu failed, %llu given up",
                      (unsigned long long)h->begun, (unsigned long long)h->connected,
                      (unsigned long long)h->failed, (unsigned long long)h->given_up);
    else if (h->well_ended != WELL_JOBS)
        sim_violation("connect: only %llu of %u ended when all was well",
                      (unsigned long long)h->well_ended, WELL_JOBS);
}

static void connect_draw(struct sim_case *c, struct connect_case *h, struct sim_options *o)
{
    if (case_often(c, 500)) {
        o->port_min = 40000;
        o->port_max = 40000 + 45 + (unsigned)case_draw(c, 60);
    }
    *h = (struct connect_case){.names_count = 1 + (unsigned)case_draw(c, 60),
                               .every_ms = 1 + (unsigned)case_draw(c, 100),
                               .hold_ms = 1 + (unsigned)case_draw(c, 400),
                               .hasty = case_often(c, 600) ? (unsigned)case_draw(c, 800) : 0,
                               .budget = case_often(c, 500)};
    if (case_often(c, 500)) {
        h->options.stagger_ms = 20 + (unsigned)case_draw(c, 250);
        h->options.timeout_ms = 9 * h->options.stagger_ms + 1000;
    } else {
        h->options.timeout_ms = 4000;
    }
    h->names = (struct names_mood){.lost = case_often(c, 400) ? (unsigned)case_draw(c, 900) : 0,
                                   .cut = case_often(c, 300) ? 300 : 0,
                                   .fail = case_often(c, 300) ? 200 : 0,
                                   .delay_ns = case_draw(c, 800) * SIM_MS,
                                   .ttl_max_s = 1 + (unsigned)case_draw(c, 20)};
}

static void connect_run(struct sim_case *c)
{
    static const struct sim_peer_ops listener = {.incoming = host_incoming};
    static const char conf[] = "nameserver 10.0.0.2\noptions timeout:1\n";
    struct sim_options o = {0};
    struct connect_case h;
    struct host hosts[HOSTS] = {0};
    case_weather(c, &o);
    connect_draw(c, &h, &o);
    case_open(c, &o);
    (void)sim_file_put("/etc/resolv.conf", conf, sizeof conf - 1);
    for (unsigned i = 0; i < HOSTS; i++)
        hosts[i].h = &h;
    for (unsigned i = 0; i < HOSTS; i++)
        hosts[i].listener = sim_serve(0x100 + i, PORT, 256, &listener, &hosts[i]);
    struct names *names = names_serve(NAME_SERVER, &h.names, meaning);
    case_start(c, "connect", connect_main, &h);
    (void)sim_run(sim_now() + (5 + case_draw(c, 30)) * SIM_S);
    h.mood = 1;
    (void)sim_run(sim_now() + 90 * SIM_S); /* ports come back from TIME_WAIT */
    h.names = (struct names_mood){.delay_ns = SIM_MS, .ttl_max_s = 5};
    h.mood = 2;
    for (unsigned i = 0; i < 300 && h.well_ended < WELL_JOBS && !sim_violated(); i++)
        (void)sim_run(sim_now() + SIM_S);
    case_rest(c, false);
    if (case_often(c, 400)) { /* told to stop while connecting */
        h.mood = 0;
        (void)sim_run(sim_now() + case_draw(c, 3000) * SIM_MS);
    }
    case_stop(c, SIGTERM, 20 * SIM_S);
    books_check(&h);
    c->answers = h.connected + h.failed;
    for (unsigned i = 0; i < HOSTS; i++)
        host_close(&hosts[i]);
    names_free(&names);
}

const struct scenario scenario_connect = {
    "connect", "by name to hosts that live, refuse, or never answer", connect_run};
