/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Framed clients with calls under way against a server that answers late, goes silent, resets, closes, breaks
 * the protocol, stops reading, or is not there. Each call ends exactly once: with its own answer, or with
 * its connection. A server that is silent is noticed by the heartbeat, and when it is well again every
 * client is back within its longest back-off and every call is answered.
 */

#include "libweir/base/err.h"
#include "libweir/conn/client.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SERVER      2u
#define PORT        1000
#define CLIENTS_MAX 12u
#define CALLS_MAX   16u /* under way on one connection */
#define CALL_BYTES  17u /* 'Q' or 'A', serial, token */
#define WELL_CALLS  50u
#define SLACK_MS    2000u

struct client_case {
    struct wr_client_options options;
    unsigned mood; /* 0: bad; 1: no new calls; 2: well */
    unsigned clients, every_ms, restless;
    struct {
        unsigned mute, reset, close, garbage, deaf;
        uint64_t delay_ns;
    } server;
    uint64_t asked, answered, lost, opened, closed, well_asked, well_answered, failures;
    uint64_t by_reason[WR_CLOSES];
};

/* ---- the server: an actor -------------------------------------------------------------------------------------- */
struct rpc_server {
    struct client_case *h;
    struct sim_peer *listener;
    struct visitor *visitors;
    struct sim_event absence;
};

struct visitor {
    struct rpc_server *s;
    struct visitor *next;
    struct sim_peer *peer;
    struct sim_event answer;
    bool mute, deaf, amid;
    char in[65536], out[65536];
    size_t in_n, out_n;
};

static void visitor_flush(struct sim_event *e)
{
    struct visitor *v = wr_container_of(e, struct visitor, answer);
    struct client_case *h = v->s->h;
    if (!v->peer || v->out_n == 0)
        return;
    if (h->mood == 0 && sim_chance(h->server.reset)) {
        sim_hang_up(&v->peer, true);
        return;
    }
    if (h->mood == 0 && sim_chance(h->server.close)) {
        (void)sim_send(v->peer, v->out, sim_rand(v->out_n + 1));
        sim_hang_up(&v->peer, false);
        return;
    }
    if (h->mood == 0 && !v->amid && sim_chance(h->server.garbage)) {
        (void)sim_send(v->peer, "\xff\xff\xff\xff what", 9);
        v->out_n = 0;
        v->mute = true;
        return;
    }
    ssize_t r = sim_send(v->peer, v->out, v->out_n);
    if (r > 0) {
        memmove(v->out, v->out + r, v->out_n - (size_t)r);
        v->out_n -= (size_t)r;
        v->amid = v->out_n > 0; /* perhaps in the middle of a frame */
    }
    if (v->out_n > 0)
        sim_after(&v->answer, 10 * SIM_MS);
}

/* A question gets its answer, a ping its pong; both are the frame with another first byte. */
static void visitor_frame(struct visitor *v, const char *frame, size_t n)
{
    struct client_case *h = v->s->h;
    char kind = frame[4];
    if (n < 5 || (kind != 'Q' && kind != 'P')) {
        sim_violation("I1 client: it sends a frame of kind 0x%02x", (unsigned char)kind);
        return;
    }
    if (h->mood == 0 && sim_chance(h->server.mute))
        v->mute = true;
    if (v->mute || v->out_n + n > sizeof v->out)
        return;
    memcpy(v->out + v->out_n, frame, n);
    v->out[v->out_n + 4] = kind == 'Q' ? 'A' : 'O';
    v->out_n += n;
    if (!v->answer.place)
        sim_after(&v->answer, sim_rand(h->server.delay_ns + 1));
}

static void visitor_readable(struct sim_peer *peer, void *arg)
{
    struct visitor *v = arg;
    if (v->deaf)
        return;
    for (;;) {
        ssize_t r = sim_recv(peer, v->in + v->in_n, sizeof v->in - v->in_n);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            sim_cancel(&v->answer);
            sim_hang_up(&v->peer, false);
            return;
        }
        v->in_n += (size_t)r;
        size_t at = 0;
        for (;;) {
            const unsigned char *u = (const unsigned char *)v->in + at;
            size_t n = v->in_n - at < 4 ? 0 : 4 + ((size_t)u[2] << 8 | u[3]);
            if (n == 0 || v->in_n - at < n)
                break;
            visitor_frame(v, v->in + at, n);
            at += n;
        }
        memmove(v->in, v->in + at, v->in_n - at);
        v->in_n -= at;
        if (v->s->h->mood == 0 && sim_chance(v->s->h->server.deaf)) {
            v->deaf = true; /* until the client has had enough */
            return;
        }
    }
}

static void server_incoming(struct sim_peer *listener, void *arg)
{
    static const struct sim_peer_ops ops = {.readable = visitor_readable};
    struct rpc_server *s = arg;
    for (;;) {
        struct visitor *v = calloc(1, sizeof *v);
        v->s = s;
        v->answer.fn = visitor_flush;
        v->peer = sim_take(listener, &ops, v);
        if (!v->peer) {
            free(v);
            return;
        }
        v->next = s->visitors;
        s->visitors = v;
    }
}

static void server_listen(struct rpc_server *s)
{
    static const struct sim_peer_ops ops = {.incoming = server_incoming};
    if (!s->listener)
        s->listener = sim_serve(SERVER, PORT, 64, &ops, s);
}

/* Comes and goes while the mood is bad. */
static void server_absence(struct sim_event *e)
{
    struct rpc_server *s = wr_container_of(e, struct rpc_server, absence);
    if (s->listener && s->h->mood == 0)
        sim_hang_up(&s->listener, false);
    else
        server_listen(s);
    sim_after(e, sim_rand((s->listener ? 20 : 6) * SIM_S));
}

/* Well: those that are beyond help are let go, the others are answered. */
static void server_heal(struct rpc_server *s)
{
    server_listen(s);
    for (struct visitor *v = s->visitors; v; v = v->next)
        if (v->peer && (v->mute || v->deaf))
            sim_hang_up(&v->peer, true);
}

static void server_close(struct rpc_server *s)
{
    sim_cancel(&s->absence);
    sim_hang_up(&s->listener, false);
    while (s->visitors) {
        struct visitor *v = s->visitors;
        s->visitors = v->next;
        sim_cancel(&v->answer);
        sim_hang_up(&v->peer, true);
        free(v);
    }
}

/* ---- the program --------------------------------------------------------------------------------------------------- */
struct slot {
    struct app *app;
    struct wr_scope scope;
    struct wr_client *client;
    bool up;
    uint64_t down_ms; /* since when it is not connected */
};

struct app {
    struct client_case *h;
    struct wr_loop *loop;
    struct wr_signal signals;
    struct wr_timer tick;
    struct slot slots[CLIENTS_MAX];
    uint64_t serial;
    bool stopping;
};

/* Inside of a connection. */
struct calls {
    struct slot *slot;
    unsigned n, opened, closed;
    uint64_t heard_ms;
    struct {
        uint64_t serial, token;
        bool must;
    } call[CALLS_MAX];
};

static int on_open(struct wr_conn *c)
{
    struct calls *k = wr_conn_user(c);
    k->slot = wr_conn_arg(c);
    k->slot->up = true;
    k->heard_ms = wr_loop_now_ms(wr_conn_loop(c));
    k->slot->app->h->opened++;
    if (k->opened++)
        sim_violation("client: opened twice");
    return 0;
}

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    struct calls *k = wr_conn_user(c);
    struct wr_span s = wr_view_span(v);
    struct client_case *h = k->slot->app->h;
    uint64_t serial, token;
    if (k->closed || !k->opened)
        sim_violation("client: a frame outside of its connection's life");
    k->heard_ms = wr_loop_now_ms(wr_conn_loop(c));
    if (s.n == 1 && s.p[0] == 'O')
        return WR_FRAME_QUIET;
    if (s.n < CALL_BYTES || s.p[0] != 'A') {
        sim_violation("I1 client: a frame of %zu bytes that nobody sent", s.n);
        return WR_E_PROTO;
    }
    memcpy(&serial, s.p + 1, 8);
    memcpy(&token, s.p + 9, 8);
    unsigned i = 0;
    while (i < k->n && k->call[i].serial != serial)
        i++;
    if (i == k->n || k->call[i].token != token) {
        sim_violation("I1 client: call %llu was not asked on this connection",
                      (unsigned long long)serial);
        return 0;
    }
    h->answered++;
    h->well_answered += k->call[i].must;
    k->call[i] = k->call[--k->n];
    return 0;
}

static void on_idle(struct wr_conn *c, unsigned missed)
{
    (void)missed;
    (void)wr_conn_send(c, WR_LIT("P"));
}

static void on_close(struct wr_conn *c, enum wr_close why, int err)
{
    struct calls *k = wr_conn_user(c);
    struct client_case *h = k->slot->app->h;
    (void)err;
    h->closed++;
    h->by_reason[why]++;
    h->lost += k->n;
    k->slot->up = false;
    k->slot->down_ms = wr_loop_now_ms(wr_conn_loop(c));
    if (k->closed++ || !k->opened)
        sim_violation("client: closed %u times, opened %u", k->closed, k->opened);
    if (h->mood == 2 && k->n > 0 && !k->slot->app->stopping && why != WR_CLOSE_RESET)
        sim_violation("client: %u calls lost to a server that is well (%s)", k->n,
                      wr_close_name(why));
}

static void on_fail(struct wr_client *client, int err, enum wr_connect_stage stage,
                    uint32_t retry_ms)
{
    struct slot *s = wr_client_arg(client);
    struct client_case *h = s->app->h;
    h->failures++;
    if (retry_ms == 0 || retry_ms > h->options.backoff_max_ms)
        sim_violation("client: the next attempt after %u ms", retry_ms);
    if (h->mood == 2)
        sim_violation("client: the server is well, but %s: %s", wr_connect_stage_name(stage),
                      wr_err_name(err));
}

static const struct wr_proto proto = {
    .on_open = on_open, .on_frame = on_frame, .on_idle = on_idle, .on_close = on_close};
static const struct wr_codec frames = WR_CODEC_LEN32(60000);

static void slot_open(struct app *a, struct slot *s)
{
    struct wr_client_options o = a->h->options;
    s->app = a;
    s->up = false;
    s->down_ms = wr_loop_now_ms(a->loop);
    o.conn.arg = s;
    wr_scope_init(&s->scope, a->loop, NULL, 0);
    int err = wr_client_connect(&s->scope, a->loop, &o, &s->client);
    if (err < 0)
        sim_violation("client: %s", wr_err_name(err));
}

/* The orderly way, or by the end of the scope, after which the pointer is dead. */
static void slot_close(struct slot *s)
{
    if (sim_rand(2)) {
        wr_client_close(&s->client);
    } else {
        s->client = NULL;
        wr_scope_cancel(&s->scope, WR_E_CANCELED);
    }
    wr_scope_deinit(&s->scope);
}

static void call(struct app *a, struct slot *s)
{
    struct client_case *h = a->h;
    struct wr_conn *c = wr_client_conn(s->client);
    struct calls *k = c ? wr_conn_user(c) : NULL;
    char frame[CALL_BYTES + 4000];
    if (!c || !k->opened || k->n == CALLS_MAX)
        return;
    size_t n = CALL_BYTES + sim_rand(sim_rand(10) ? 100 : sizeof frame - CALL_BYTES);
    uint64_t serial = ++a->serial, token = sim_rand(UINT64_MAX);
    memset(frame, 'x', n);
    frame[0] = 'Q';
    memcpy(frame + 1, &serial, 8);
    memcpy(frame + 9, &token, 8);
    k->call[k->n].serial = serial;
    k->call[k->n].token = token;
    k->call[k->n++].must = h->mood == 2;
    h->asked++;
    h->well_asked += h->mood == 2;
    int r = wr_conn_send(c, wr_span(frame, n));
    if (r < 0 && r != WR_E_HARD_LIMIT && r != WR_E_CLOSED)
        sim_violation("client: send says %s", wr_err_name(r));
}

static void slot_check(struct app *a, struct slot *s)
{
    const struct client_case *h = a->h;
    struct wr_client_stats st = wr_client_stats(s->client);
    struct wr_conn *c = wr_client_conn(s->client);
    uint64_t now = wr_loop_now_ms(a->loop), closed = 0;
    for (unsigned i = 0; i < WR_CLOSES; i++)
        closed += st.links.closed[i];
    if (st.attempts != st.failures + st.connected &&
        st.attempts != st.failures + st.connected + 1)
        sim_violation("I2 client: %llu attempts, %llu failures, %llu connections",
                      (unsigned long long)st.attempts, (unsigned long long)st.failures,
                      (unsigned long long)st.connected);
    /* The connection may be on its way out. */
    if (st.links.opened != closed && st.links.opened != closed + (c != NULL))
        sim_violation("I2 client: %llu opened, %llu closed, %d open",
                      (unsigned long long)st.links.opened, (unsigned long long)closed,
                      c != NULL);
    const struct wr_conn_options *o = &h->options.conn;
    uint64_t silence = (uint64_t)o->heartbeat_ms * (o->heartbeat_miss + 2) + SLACK_MS;
    if (c && now > ((struct calls *)wr_conn_user(c))->heard_ms + silence)
        sim_violation("I4 client: nothing was heard for %llu ms, and it is still open",
                      (unsigned long long)(now - ((struct calls *)wr_conn_user(c))->heard_ms));
    if (!s->up && h->mood != 0 &&
        now > s->down_ms + h->options.backoff_max_ms + h->options.connect.timeout_ms + 30000)
        sim_violation("client: the server is well, the client stays away");
}

static void on_tick(struct wr_timer *t)
{
    struct app *a = wr_container_of(t, struct app, tick);
    struct client_case *h = a->h;
    for (unsigned i = 0; i < h->clients; i++) {
        struct slot *s = &a->slots[i];
        slot_check(a, s);
        if (h->mood == 0 && sim_rand(1000) < h->restless) {
            slot_close(s);
            slot_open(a, s);
        } else if (h->mood == 0 ? sim_rand(2) : h->mood == 2 && h->well_asked < WELL_CALLS) {
            call(a, s);
        }
    }
    wr_loop_timer_arm(a->loop, t, 1 + sim_rand(h->every_ms));
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct app *a = wr_container_of(s, struct app, signals);
    (void)info;
    a->stopping = true;
    wr_loop_stop(a->loop);
}

static int client_main(void *arg)
{
    struct app a = {.h = arg, .tick.fn = on_tick};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    for (unsigned i = 0; i < a.h->clients; i++)
        slot_open(&a, &a.slots[i]);
    wr_loop_timer_arm(a.loop, &a.tick, 3000);
    if (!r)
        r = wr_loop_run(a.loop);
    wr_loop_timer_cancel(&a.tick);
    for (unsigned i = 0; i < a.h->clients; i++)
        slot_close(&a.slots[i]);
    wr_signal_close(&a.signals);
    (void)wr_loop_turn(a.loop, 0);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

/* ---- the case -------------------------------------------------------------------------------------------------------- */
static void books_check(const struct client_case *h)
{
    if (sim_violated())
        return;
    if (h->asked != h->answered + h->lost)
        sim_violation("I2 client: %llu asked, %llu answered, %llu lost",
                      (unsigned long long)h->asked, (unsigned long long)h->answered,
                      (unsigned long long)h->lost);
    else if (h->opened != h->closed)
        sim_violation("I2 client: %llu opened, %llu closed", (unsigned long long)h->opened,
                      (unsigned long long)h->closed);
    else if (h->well_answered < WELL_CALLS)
        sim_violation("client: only %llu of %llu answered by a server that is well",
                      (unsigned long long)h->well_answered, (unsigned long long)h->well_asked);
}

static unsigned badness(struct sim_case *c, uint64_t most)
{
    return case_often(c, 400) ? (unsigned)case_draw(c, most) : 0;
}

static void client_draw(struct sim_case *c, struct client_case *h)
{
    *h = (struct client_case){.clients = 1 + (unsigned)case_draw(c, CLIENTS_MAX),
                              .every_ms = 1 + (unsigned)case_draw(c, 200),
                              .restless = badness(c, 20)};
    h->server.mute = badness(c, 100);
    h->server.reset = badness(c, 100);
    h->server.close = badness(c, 100);
    h->server.garbage = badness(c, 50);
    h->server.deaf = badness(c, 50);
    h->server.delay_ns = case_draw(c, 300) * SIM_MS;
    h->options = (struct wr_client_options){
        .conn = {.proto = &proto,
                 .codec = &frames,
                 .user_size = sizeof(struct calls),
                 .heartbeat_ms = 500 + (uint32_t)case_draw(c, 3000),
                 .heartbeat_miss = 1 + (uint32_t)case_draw(c, 4),
                 .write_stall_ms = 1000 + (uint32_t)case_draw(c, 4000),
                 .hard = case_often(c, 300) ? 8000 + case_draw(c, 20000) : 0},
        .target = "10.0.0.2:1000",
        .connect.timeout_ms = 3000,
        .reconnect = true,
        .backoff_ms = 1 + (uint32_t)case_draw(c, 300),
        .backoff_max_ms = 300 + (uint32_t)case_draw(c, 5000),
        .seed = c->seed,
        .on_fail = on_fail
    };
    if (h->options.conn.hard) {
        h->options.conn.high = h->options.conn.hard / 2;
        h->options.conn.low = h->options.conn.high / 4;
    }
}

static void client_run(struct sim_case *c)
{
    struct sim_options o = {0};
    struct client_case *h = malloc(sizeof *h);
    case_weather(c, &o);
    client_draw(c, h);
    case_open(c, &o);
    struct rpc_server server = {.h = h, .absence.fn = server_absence};
    if (case_often(c, 700))
        server_listen(&server);
    if (case_often(c, 500) || !server.listener)
        sim_after(&server.absence, sim_rand(10 * SIM_S));
    case_start(c, "client", client_main, h);
    (void)sim_run(sim_now() + (5 + case_draw(c, 40)) * SIM_S);
    h->mood = 1;
    sim_cancel(&server.absence);
    server_heal(&server);
    (void)sim_run(sim_now() + 40 * SIM_S);
    h->mood = 2;
    for (unsigned i = 0; i < 60 && h->well_answered < WELL_CALLS && !sim_violated(); i++)
        (void)sim_run(sim_now() + SIM_S);
    (void)sim_run(sim_now() + 2 * SIM_S);
    case_stop(c, SIGTERM, 5 * SIM_S);
    books_check(h);
    c->answers = h->answered;
    server_close(&server);
    free(h);
}

const struct scenario scenario_client = {
    "client", "framed clients that reconnect, against a server with moods", client_run};
