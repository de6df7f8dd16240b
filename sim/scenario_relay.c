/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The relay between pairs of ends that one script holds: each knows every byte that the other sends. Ends
 * read slowly, finish early and listen on, reset, or fall silent. What arrives is always the beginning of what
 * was sent; when neither end breaks off all of it arrives, and both ends of the stream, too.
 */

#include "libweir/base/err.h"
#include "libweir/io/connect.h"
#include "libweir/io/listen.h"
#include "libweir/io/loop.h"
#include "libweir/io/relay.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT        2009
#define ORIGIN      2u
#define ORIGIN_PORT 900
#define FIRST_HOST  0x20000u
#define PAIRS_MAX   200u
#define TOKEN       8u
#define IDLE_MS     5000u

struct end {
    struct pair *pair;
    struct sim_peer *peer;
    struct sim_event next; /* goes on sending or reading after a rest */
    struct sim_event reset;
    bool origin, slow, silent, breaks, saw_end;
    uint64_t to_send, sent, got;
};

struct pair {
    struct relay_case *h;
    struct end a, b; /* the caller, the origin */
    struct sim_event begin, patience;
    uint8_t token[TOKEN];
    bool breaks; /* one end may see less than everything */
    bool over;
    /* what the relay said */
    unsigned told;
};

struct relay_case {
    struct wr_relay_options options;
    unsigned pairs, done, cancels_per_thousand;
    uint64_t pieces, started, ended, whole, idle, broken, cancelled;
    struct pair pair[PAIRS_MAX];
    struct sim_peer *listener;
    struct arrival *arrivals;
};

/* ---- the two ends: actors ------------------------------------------------------------------------------------ */
/* What this end sends: bytes at..at + n of its stream, eight of one word at a time. */
static void stream_fill(const struct end *e, uint64_t at, uint8_t *out, size_t n)
{
    uint64_t key, word = 0;
    memcpy(&key, e->pair->token, sizeof key);
    for (size_t i = 0; i < n; i++, at++) {
        if (i == 0 || at % 8 == 0) {
            uint64_t k = at / 8 + (e->origin ? 1ull << 40 : 0);
            word = k ? key ^ (k * 0x9e3779b97f4a7c15ull) : key; /* it begins with the token */
        }
        out[i] = (uint8_t)(word >> (at % 8 * 8));
    }
}

static struct end *other_end(struct end *e)
{
    return e->origin ? &e->pair->a : &e->pair->b;
}

static void pair_check(struct pair *p)
{
    if (p->over || p->a.peer || p->b.peer)
        return;
    p->over = true;
    p->h->done++;
    sim_cancel(&p->patience);
    for (struct end *e = &p->a; e; e = e == &p->a ? &p->b : NULL) {
        if (!p->breaks && (e->got != other_end(e)->to_send || !e->saw_end))
            sim_violation("relay: pair %u: the %s got %llu of %llu bytes%s",
                          (unsigned)(p - p->h->pair), e->origin ? "origin" : "caller",
                          (unsigned long long)e->got, (unsigned long long)other_end(e)->to_send,
                          e->saw_end ? "" : " and no end");
    }
}

static void end_close(struct end *e, bool reset)
{
    sim_cancel(&e->next);
    sim_cancel(&e->reset);
    sim_hang_up(&e->peer, reset);
    pair_check(e->pair);
}

static void end_reset(struct sim_event *ev)
{
    struct end *e = wr_container_of(ev, struct end, reset);
    if (!e->peer)
        return;
    end_close(e, true);
}

static void end_early(struct end *e, ssize_t why)
{
    if (!e->pair->breaks)
        sim_violation(
            "relay: pair %u: an early end at the %s (%zd), %llu of %llu sent, %llu got",
            (unsigned)(e->pair - e->pair->h->pair), e->origin ? "origin" : "caller", why,
            (unsigned long long)e->sent, (unsigned long long)e->to_send,
            (unsigned long long)e->got);
    end_close(e, false);
}

static void end_send(struct end *e)
{
    uint8_t bytes[16384];
    while (e->sent < e->to_send) {
        size_t n = sim_rand(3) ? sizeof bytes : 1 + sim_rand(sizeof bytes);
        if (n > e->to_send - e->sent)
            n = e->to_send - e->sent;
        stream_fill(e, e->sent, bytes, n);
        ssize_t r = sim_send(e->peer, bytes, n);
        if (r == -EAGAIN)
            return;
        if (r < 0) {
            end_early(e, r);
            return;
        }
        e->sent += (uint64_t)r;
    }
    if (e->silent)
        return;
    sim_peer_shutdown(e->peer);
    if (e->saw_end)
        end_close(e, false);
}

static void end_heard_all(struct end *e)
{
    e->saw_end = true;
    if (e->got != other_end(e)->to_send && !e->pair->breaks)
        end_early(e, 0);
    else if (e->silent) /* its own end it will not say; nothing more can be heard */
        sim_after(&e->reset, 20 * SIM_S);
    else if (e->sent == e->to_send)
        end_close(e, false);
}

/* False: nothing more for now. */
static bool end_read(struct end *e)
{
    uint8_t bytes[16384];
    ssize_t r = sim_recv(e->peer, bytes, e->slow ? 1 + sim_rand(4000) : sizeof bytes);
    if (r < 0 && r != -EAGAIN)
        end_early(e, r);
    else if (r == 0 && !e->saw_end)
        end_heard_all(e);
    if (r <= 0)
        return false;
    uint8_t want[sizeof bytes];
    stream_fill(other_end(e), e->got, want, (size_t)r);
    if (memcmp(want, bytes, (size_t)r) != 0) {
        sim_violation("I1 relay: pair %u: not what was sent, behind byte %llu",
                      (unsigned)(e->pair - e->pair->h->pair), (unsigned long long)e->got);
        return false;
    }
    e->pair->h->pieces++;
    e->got += (uint64_t)r;
    return true;
}

static void end_readable(struct sim_peer *peer, void *arg)
{
    struct end *e = arg;
    (void)peer;
    if (e->slow && e->next.place)
        return; /* it rests */
    while (e->peer && end_read(e)) {
        if (e->slow) {
            sim_after(&e->next, 1 + sim_rand(20 * SIM_MS));
            return;
        }
    }
}

static void end_next(struct sim_event *ev)
{
    struct end *e = wr_container_of(ev, struct end, next);
    if (e->peer)
        end_readable(e->peer, e);
}

static void end_writable(struct sim_peer *peer, void *arg)
{
    struct end *e = arg;
    (void)peer;
    if (e->peer && e->sent < e->to_send)
        end_send(e);
}

static void caller_connected(struct sim_peer *peer, void *arg, int err)
{
    struct end *e = arg;
    (void)peer;
    if (err) {
        sim_violation("I2 relay: connecting to it: %d", err);
        return;
    }
    if (e->slow)
        sim_peer_window(e->peer, 2000);
    end_send(e);
}

static void pair_begin(struct sim_event *ev)
{
    static const struct sim_peer_ops ops = {caller_connected, end_readable, end_writable, NULL};
    struct pair *p = wr_container_of(ev, struct pair, begin);
    uint32_t host = FIRST_HOST + (uint32_t)(p - p->h->pair);
    p->a.peer = sim_dial(host, 1, PORT, &ops, &p->a);
    sim_after(&p->patience, 200 * SIM_S);
    if (p->a.breaks)
        sim_after(&p->a.reset, sim_rand(500 * SIM_MS));
}

static void pair_late(struct sim_event *ev)
{
    struct pair *p = wr_container_of(ev, struct pair, patience);
    sim_violation("I4 relay: pair %u stands: caller %llu/%llu sent, %llu got; origin %llu/%llu "
                  "sent, %llu got",
                  (unsigned)(p - p->h->pair), (unsigned long long)p->a.sent,
                  (unsigned long long)p->a.to_send, (unsigned long long)p->a.got,
                  (unsigned long long)p->b.sent, (unsigned long long)p->b.to_send,
                  (unsigned long long)p->b.got);
}

/* Who calls the origin is known by the first bytes. */
struct arrival {
    struct relay_case *h;
    struct arrival *next;
    struct sim_peer *peer;
    uint8_t token[TOKEN];
    size_t n;
    struct end *end; /* once known */
};

static void arrival_known(struct arrival *a)
{
    for (unsigned i = 0; i < a->h->pairs; i++) {
        struct pair *p = &a->h->pair[i];
        if (memcmp(p->token, a->token, TOKEN) != 0)
            continue;
        if (p->b.got || p->b.peer) {
            sim_violation("relay: pair %u reached the origin twice", i);
            return;
        }
        a->end = &p->b;
        p->b.peer = a->peer;
        p->b.got = TOKEN;
        if (p->b.slow)
            sim_peer_window(a->peer, 2000);
        if (p->b.breaks)
            sim_after(&p->b.reset, sim_rand(500 * SIM_MS));
        end_send(&p->b);
        return;
    }
    sim_violation("I1 relay: nobody has sent these first bytes");
}

static void arrival_readable(struct sim_peer *peer, void *arg)
{
    struct arrival *a = arg;
    while (!a->end) {
        ssize_t r = sim_recv(peer, a->token + a->n, TOKEN - a->n);
        if (r == -EAGAIN)
            return;
        if (r <= 0) { /* the caller left before it had spoken */
            sim_hang_up(&a->peer, false);
            return;
        }
        a->n += (size_t)r;
        if (a->n == TOKEN)
            arrival_known(a);
        if (sim_violated())
            return;
    }
    if (a->end->peer == peer)
        end_readable(peer, a->end);
}

static void arrival_writable(struct sim_peer *peer, void *arg)
{
    struct arrival *a = arg;
    if (a->end && a->end->peer == peer)
        end_writable(peer, a->end);
}

static void origin_incoming(struct sim_peer *listener, void *arg)
{
    static const struct sim_peer_ops ops = {NULL, arrival_readable, arrival_writable, NULL};
    struct relay_case *h = arg;
    for (;;) {
        struct arrival *a = calloc(1, sizeof *a);
        a->h = h;
        a->peer = sim_take(listener, &ops, a);
        if (!a->peer) {
            free(a);
            return;
        }
        a->next = h->arrivals;
        h->arrivals = a;
    }
}

/* ---- the program ----------------------------------------------------------------------------------------------- */
struct app {
    struct relay_case *h;
    struct wr_loop *loop;
    struct wr_listener *listener;
    struct wr_signal signals;
    struct wr_scope all;
    unsigned live;
};

struct session {
    struct app *app;
    struct pair *pair;
    struct wr_scope scope;
    struct wr_timer whim; /* cancels it */
    struct wr_relay *relay;
    int fd; /* the caller's, until the relay has it */
};

static void session_free(struct session *s)
{
    s->app->live--;
    wr_loop_timer_cancel(&s->whim);
    wr_scope_deinit(&s->scope);
    wr_heap_free(wr_os_heap(), s, sizeof *s);
}

static void relay_over(void *arg, int err, const struct wr_relay_stats *st)
{
    struct session *s = arg;
    struct pair *p = s->pair;
    struct relay_case *h = s->app->h;
    if (p->told++)
        sim_violation("relay: a pair's end was told twice");
    h->ended++;
    h->whole += err == 0;
    h->idle += err == WR_E_IDLE;
    h->cancelled += err == WR_E_CANCELED;
    h->broken += err < 0 && err != WR_E_IDLE && err != WR_E_CANCELED;
    if (st->a_to_b > p->a.sent || st->b_to_a > p->b.sent)
        sim_violation("relay: it counts more bytes than were sent");
    if (err == 0 && (!st->a_fin || !st->b_fin))
        sim_violation("relay: a good end without both ends of the stream");
    if (err == 0 && !p->breaks && (st->a_to_b != p->a.to_send || st->b_to_a != p->b.to_send))
        sim_violation("relay: %llu and %llu bytes counted, %llu and %llu sent",
                      (unsigned long long)st->a_to_b, (unsigned long long)st->b_to_a,
                      (unsigned long long)p->a.to_send, (unsigned long long)p->b.to_send);
    if (err < 0 && !p->breaks)
        sim_violation("relay: nobody broke off: %s", wr_err_name(err));
    session_free(s);
}

static void origin_connected(void *arg, int err, const struct wr_connected *c)
{
    struct session *s = arg;
    if (err < 0) {
        if (!s->pair->breaks)
            sim_violation("relay: the origin: %s", wr_err_name(err));
        (void)wr_os_close(s->fd);
        session_free(s);
        return;
    }
    s->app->h->started++;
    err = wr_relay_start_fds(&s->scope, s->fd, c->fd, &s->app->h->options, relay_over, s,
                             &s->relay);
    if (err < 0)
        sim_violation("relay: start: %s", wr_err_name(err));
}

static void on_whim(struct wr_timer *t)
{
    struct session *s = wr_container_of(t, struct session, whim);
    wr_scope_cancel(&s->scope, WR_E_CANCELED); /* its end frees the session */
}

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *from, void *arg)
{
    struct app *a = arg;
    struct relay_case *h = a->h;
    uint32_t host = (uint32_t)from->v4[1] << 16 | (uint32_t)from->v4[2] << 8 | from->v4[3];
    struct session *s = wr_heap_zalloc(wr_os_heap(), sizeof *s);
    (void)l;
    if (!s || host - FIRST_HOST >= h->pairs) {
        sim_violation("relay: a caller from nowhere");
        return;
    }
    s->app = a;
    s->pair = &h->pair[host - FIRST_HOST];
    s->fd = fd;
    s->whim.fn = on_whim;
    a->live++;
    wr_scope_init(&s->scope, a->loop, &a->all, 0);
    if (sim_rand(1000) < h->cancels_per_thousand) {
        s->pair->breaks = true;
        wr_loop_timer_arm(a->loop, &s->whim, sim_rand(500));
    }
    const uint8_t ip[4] = {10, 0, 0, ORIGIN};
    struct wr_target to = {.addr = wr_addr_v4(ip, ORIGIN_PORT)};
    int err = wr_connect(&s->scope, NULL, &to, NULL, origin_connected, s);
    if (err < 0)
        sim_violation("relay: connect: %s", wr_err_name(err));
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct app *a = wr_container_of(s, struct app, signals);
    (void)info;
    wr_scope_cancel(&a->all, WR_E_CANCELED);
    wr_loop_stop(a->loop);
}

static int relay_main(void *arg)
{
    struct app a = {.h = arg};
    struct wr_listen_options o = {0};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    wr_scope_init(&a.all, a.loop, NULL, 0);
    r = wr_addr_parse(WR_LIT("0.0.0.0:2009"), &o.addr);
    if (!r)
        r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    if (!r)
        r = wr_listener_open(a.loop, &o, on_accept, &a, &a.listener);
    if (!r)
        r = wr_loop_run(a.loop);
    wr_listener_close(&a.listener);
    if (a.live)
        sim_violation("relay: %u sessions survive their scope", a.live);
    wr_scope_deinit(&a.all);
    wr_signal_close(&a.signals);
    (void)wr_loop_turn(a.loop, 0);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

/* ---- the case ---------------------------------------------------------------------------------------------------- */
static void end_init(struct sim_case *c, struct pair *p, struct end *e, uint64_t size_max)
{
    e->pair = p;
    e->origin = e == &p->b;
    e->next.fn = end_next;
    e->reset.fn = end_reset;
    e->to_send = (e->origin ? 0 : TOKEN) + case_draw(c, size_max);
    e->slow = case_often(c, 150);
    if (e->slow)
        other_end(e)->to_send = other_end(e)->to_send % 60000 + TOKEN;
    e->breaks = case_often(c, 100);
    e->silent = case_often(c, 80);
    p->breaks |= e->breaks | e->silent;
}

static void pairs_draw(struct sim_case *c, struct relay_case *h)
{
    uint64_t size_max = case_often(c, 300) ? 400000 : 1 + case_draw(c, 50000);
    uint64_t spread_ns = case_draw(c, 3000) * SIM_MS;
    for (unsigned i = 0; i < h->pairs; i++) {
        struct pair *p = &h->pair[i];
        p->h = h;
        uint64_t token = case_draw(c, UINT64_MAX);
        memcpy(p->token, &token, TOKEN);
        end_init(c, p, &p->a, size_max);
        end_init(c, p, &p->b, size_max);
        p->begin.fn = pair_begin;
        p->patience.fn = pair_late;
        sim_after(&p->begin, case_draw(c, spread_ns + 1));
    }
}

/* A caller that broke off, or was cancelled, before it reached the origin leaves one end only. */
static void pairs_end(struct relay_case *h)
{
    sim_hang_up(&h->listener, false);
    for (unsigned i = 0; i < h->pairs; i++) {
        struct pair *p = &h->pair[i];
        sim_cancel(&p->begin);
        sim_cancel(&p->patience);
        for (struct end *e = &p->a; e; e = e == &p->a ? &p->b : NULL) {
            sim_cancel(&e->next);
            sim_cancel(&e->reset);
        }
        sim_hang_up(&p->a.peer, true);
    }
    while (h->arrivals) {
        struct arrival *a = h->arrivals;
        h->arrivals = a->next;
        if (a->end)
            sim_hang_up(&a->end->peer, true);
        else
            sim_hang_up(&a->peer, true);
        free(a);
    }
}

static void relay_run(struct sim_case *c)
{
    static const struct sim_peer_ops listener = {.incoming = origin_incoming};
    struct sim_options o = {0};
    case_weather(c, &o);
    struct relay_case *h = calloc(1, sizeof *h);
    h->pairs = 1 + (unsigned)case_draw(c, case_often(c, 200) ? PAIRS_MAX : 40);
    h->cancels_per_thousand = case_often(c, 400) ? (unsigned)case_draw(c, 300) : 0;
    h->options.idle_timeout_ms = IDLE_MS;
    h->options.no_splice = case_often(c, 300);
    case_open(c, &o);
    h->listener = sim_serve(ORIGIN, ORIGIN_PORT, 4096, &listener, h);
    case_start(c, "relay", relay_main, h);
    pairs_draw(c, h);
    while (!sim_violated() && h->done < h->pairs)
        (void)sim_run(sim_now() + 100 * SIM_MS);
    case_rest(c, false);
    case_stop(c, SIGTERM, 5 * SIM_S);
    if (!sim_violated() && h->started != h->ended)
        sim_violation("I2 relay: %llu started, %llu ended", (unsigned long long)h->started,
                      (unsigned long long)h->ended);
    c->answers = h->pieces;
    pairs_end(h);
    free(h);
}

const struct scenario scenario_relay = {
    "relay", "two ends that read slowly, finish early, reset or fall silent", relay_run};
