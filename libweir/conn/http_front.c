/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_private.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/sock.h"

#include <errno.h>

/*
 * Between accept and the first byte of HTTP: the PROXY header, the choice of TLS, the handshake and the
 * bound on how many of those are under way. And what can be asked of a connection.
 *
 *   PROXY --header--> (choose) --context--> SHAKE --done--> FIRST
 *                         \--- no context --------------------^
 */

#define HANDSHAKES   1024U
#define HANDSHAKE_MS 10000U
#define STEPS_A_TURN \
    8U /* of a quarter of a millisecond or so: nobody else waits longer than some */
#define SHED_AFTER_MS 1000U /* over the limit, handshakes as old as that go */
#define SHAKE_TICK_MS 100U
#define PROXY_READ    512U /* what comes first is seldom longer than a header */

/* ---- how many handshakes ------------------------------------------------------------------------------ */

static uint32_t max_handshakes(const struct wr_http_server *s)
{
    return s->options.tls.max_handshakes ? s->options.tls.max_handshakes : HANDSHAKES;
}

static void settle_handshakes(struct wr_http_server *s)
{
    bool too_many = s->handshaking >= max_handshakes(s);
    if (too_many == s->too_many_shaking || s->closing)
        return;
    s->too_many_shaking = too_many;
    if (too_many) {
        s->stats.handshake_pauses++;
        wr_loop_timer_arm(s->loop, &s->shake_tick, SHAKE_TICK_MS);
    } else {
        wr_loop_timer_cancel(&s->shake_tick);
    }
    if (s->listener && too_many)
        wr_listener_pause(s->listener, WR_PAUSE_HANDSHAKES);
    else if (s->listener)
        wr_listener_resume(s->listener, WR_PAUSE_HANDSHAKES);
}

/* Whoever is silent since a second makes room. */
static void on_shake_tick(struct wr_timer *t)
{
    struct wr_http_server *s = wr_container_of(t, struct wr_http_server, shake_tick);
    uint64_t now = wr_loop_now_ms(s->loop);
    uint32_t cursor = 0;
    for (struct wr_link *l; (l = wr_link_next(&s->group, &cursor));) {
        struct wr_http_conn *c = http_conn_of(l);
        if (!c->shaking || now - c->began_ms < SHED_AFTER_MS)
            continue;
        s->stats.handshakes_shed++;
        wr_link_close(l, WR_CLOSE_HANDSHAKE, WR_E_DEADLINE);
    }
    if (s->too_many_shaking)
        wr_loop_timer_arm(s->loop, &s->shake_tick, SHAKE_TICK_MS);
}

static void shake_begins(struct wr_http_conn *c)
{
    struct wr_http_server *s = c->server;
    c->shaking = true;
    s->handshaking++;
    s->shake_tick.fn = on_shake_tick;
    settle_handshakes(s);
}

static void shake_ends(struct wr_http_conn *c, uint64_t *counter)
{
    c->shaking = false;
    c->server->handshaking--;
    ++*counter;
    settle_handshakes(c->server);
}

bool wr_http_front_postpone_(struct wr_http_conn *c)
{
    struct wr_http_server *s = c->server;
    uint64_t turn = wr_loop_stats(s->loop)->turns;
    if (turn != s->shaken_turn) {
        s->shaken_turn = turn;
        s->shaken = 0;
    }
    if (s->shaken < STEPS_A_TURN)
        return false;
    wr_link_again(&c->link);
    return true;
}

void wr_http_front_look_(struct wr_http_conn *c, uint64_t wire_before)
{
    const struct wr_stream *stream = &c->link.stream;
    if (!c->shaking)
        return;
    if (wr_tls_wire_in(stream) != wire_before)
        c->server->shaken++;
    const struct wr_http_options *o = &c->server->options;
    if (wr_tls_error(stream) && o->on_shake_failed)
        o->on_shake_failed(c, wr_tls_error(stream), o->arg);
    if (wr_tls_handshaking(stream) || wr_tls_error(stream))
        return;
    c->plain = wr_tls_is_plain(stream);
    shake_ends(c,
               c->plain ? &c->server->stats.handshakes_failed : &c->server->stats.handshakes);
}

void wr_http_front_closed_(struct wr_http_conn *c)
{
    struct wr_http_server *s = c->server;
    if (c->shaking)
        shake_ends(c, &s->stats.handshakes_failed);
    if (c->proxy)
        wr_heap_free(wr_loop_heap(s->loop), c->proxy, sizeof *c->proxy + c->proxy->tlvs_n);
    c->proxy = NULL;
}

void wr_http_front_close_(struct wr_http_server *s)
{
    wr_loop_timer_cancel(&s->shake_tick);
}

/* ---- TLS ------------------------------------------------------------------------------------------------ */

static void begin_tls(struct wr_http_conn *c, struct wr_span seen)
{
    const struct wr_http_tls *tls = &c->server->options.tls;
    struct ssl_ctx_st *ctx = tls->choose ? tls->choose(c, c->server->options.arg) : tls->ctx;
    if (!ctx || !wr_link_is_open(&c->link))
        return;
    struct wr_tls_options o = {
        .detect_plain = !tls->plain_refused,
        .early_data = tls->early_data,
        .record_max = tls->record_max,
        .owner = c,
    };
    int err = wr_link_start_tls(&c->link, ctx, &o, seen);
    if (err) {
        wr_link_close(&c->link, WR_CLOSE_MEMORY, err);
        return;
    }
    wr_buf_deinit(&c->in); /* the stream has what lay behind a PROXY header */
    shake_begins(c);
    c->phase = HTTP_SHAKE;
}

void wr_http_front_begin_(struct wr_http_conn *c)
{
    const struct wr_http_options *o = &c->server->options;
    if (o->on_conn_open)
        o->on_conn_open(c, o->arg);
    if (!wr_link_is_open(&c->link))
        return;
    if (o->proxy_protocol)
        c->phase = HTTP_PROXY;
    else if (o->tls.ctx || o->tls.choose)
        begin_tls(c, (struct wr_span){0});
}

/* ---- the PROXY header ------------------------------------------------------------------------------------ */

static bool keep_header(struct wr_http_conn *c, const struct wr_proxy_header *h)
{
    struct http_proxy *p = wr_heap_alloc(wr_loop_heap(c->server->loop), sizeof *p + h->tlvs.n);
    if (!p) {
        wr_link_close(&c->link, WR_CLOSE_MEMORY, WR_E_BUDGET);
        return false;
    }
    p->header = *h;
    p->tlvs_n = h->tlvs.n;
    if (h->tlvs.n)
        memcpy(p->tlvs, h->tlvs.p, h->tlvs.n);
    p->header.tlvs = wr_span(p->tlvs, p->tlvs_n);
    c->proxy = p;
    return true;
}

/* Behind the header lies the first record of TLS, or a head, which stays in the buffer. */
static bool header_done(struct wr_http_conn *c, const struct wr_proxy_header *h)
{
    const struct wr_http_options *o = &c->server->options;
    size_t size = h->size;
    if (!keep_header(c, h))
        return false;
    struct wr_span rest = wr_span_sub(wr_buf_span(&c->in), size, SIZE_MAX);
    c->phase = HTTP_FIRST;
    c->last_ms = wr_loop_now_ms(c->server->loop);
    if (o->tls.ctx || o->tls.choose)
        begin_tls(c, rest);
    if (!wr_link_is_open(&c->link))
        return false;
    rest = wr_span_sub(wr_buf_span(&c->in), size, SIZE_MAX); /* nothing if TLS took it */
    if (rest.n == 0) {
        wr_buf_deinit(&c->in);
        return true;
    }
    memmove(wr_buf_data(&c->in), rest.p, rest.n);
    wr_buf_truncate(&c->in, rest.n);
    return true;
}

static void end_badly(struct wr_http_conn *c, enum wr_close why, int err)
{
    c->server->stats.proxy_bad++;
    wr_link_close(&c->link, why, err);
}

bool wr_http_front_proxy_(struct wr_http_conn *c)
{
    struct wr_proxy_header h;
    for (;;) {
        char *room;
        int err = wr_buf_reserve(&c->in, PROXY_READ, &room);
        ssize_t n = err ? err : wr_link_read(&c->link, room, PROXY_READ);
        wr_buf_commit(&c->in, n > 0 ? (size_t)n : 0);
        if (n == -EAGAIN) {
            if (wr_buf_span(&c->in).n == 0)
                wr_buf_deinit(&c->in); /* who only waits owns no buffer */
            return false;
        }
        if (n <= 0) {
            end_badly(c, wr_close_of((int)n), (int)n);
            return false;
        }
        switch (wr_proxy_header_parse(wr_buf_span(&c->in), &h)) {
        case WR_PROXY_MORE:
            break;
        case WR_PROXY_DONE:
            return header_done(c, &h);
        case WR_PROXY_BAD:
            end_badly(c, WR_CLOSE_PROTO, WR_E_PROTO);
            return false;
        }
    }
}

/* ---- limits ---------------------------------------------------------------------------------------------- */

void wr_http_conn_use_(struct wr_http_conn *c, const struct wr_http_conn_limits *limits)
{
    struct wr_link *l = &c->link;
    c->limits = limits;
    wr_link_set_stall(l, limits->send_timeout_ms);
    wr_link_set_linger(l, limits->linger_ms, limits->linger_idle_ms);
    wr_link_set_turn_bytes(l, limits->turn_bytes);
    if (limits->delay != c->delay) {
        c->delay = limits->delay;
        (void)wr_sock_set(wr_link_fd(l), WR_LIT("nodelay"), !c->delay);
    }
    if (limits->notsent_lowat != c->notsent_lowat) {
        c->notsent_lowat = limits->notsent_lowat;
        (void)wr_sock_set(wr_link_fd(l), WR_LIT("notsent_lowat"), (int)c->notsent_lowat);
    }
    wr_link_wake_by(l, wr_http_conn_due_(c));
}

void wr_http_conn_set_limits(struct wr_http_conn *c, const struct wr_http_conn_limits *limits)
{
    if (c->limits != limits && wr_link_is_open(&c->link))
        wr_http_conn_use_(c, limits);
}

void wr_http_conn_set_head_limits(struct wr_http_conn *c,
                                  const struct wr_http_head_limits *limits)
{
    c->head_limits = limits;
    wr_link_wake_by(&c->link, wr_http_conn_due_(c));
}

/* ---- questions ------------------------------------------------------------------------------------------- */

uint64_t wr_http_conn_serial(const struct wr_http_conn *c)
{
    return c->serial;
}

void wr_http_conn_set_data(struct wr_http_conn *c, void *a, void *b)
{
    c->data[0] = a;
    c->data[1] = b;
}

void wr_http_conn_set_slot(struct wr_http_conn *c, uint32_t slot)
{
    c->slot = slot;
}

uint32_t wr_http_conn_slot(const struct wr_http_conn *c)
{
    return c->slot;
}

void *wr_http_conn_data(const struct wr_http_conn *c)
{
    return c->data[0];
}

void *wr_http_conn_data_b(const struct wr_http_conn *c)
{
    return c->data[1];
}

struct wr_http_server *wr_http_conn_server(const struct wr_http_conn *c)
{
    return c->server;
}

struct wr_http_conn *wr_http_conn_of_ssl(const struct ssl_st *ssl)
{
    return wr_tls_owner(ssl);
}

uint64_t wr_http_conn_number(const struct wr_http_conn *c)
{
    return c->link.id;
}

uint32_t wr_http_conn_requests(const struct wr_http_conn *c)
{
    return c->requests;
}

uint64_t wr_http_conn_began_ms(const struct wr_http_conn *c)
{
    return c->began_ms;
}

uint64_t wr_http_conn_bytes_in(const struct wr_http_conn *c)
{
    return c->link.stream.bytes_in;
}

uint64_t wr_http_conn_bytes_out(const struct wr_http_conn *c)
{
    return c->link.stream.bytes_out;
}

int wr_http_conn_fd(const struct wr_http_conn *c)
{
    return wr_link_fd(&c->link);
}

struct ssl_st *wr_http_conn_ssl(const struct wr_http_conn *c)
{
    return wr_link_is_open(&c->link) ? wr_tls_ssl(&c->link.stream) : NULL;
}

void wr_http_front_keep_peer_(struct wr_http_conn *c, const struct wr_addr *peer)
{
    c->peer_port = peer->port;
    if (peer->kind == WR_ADDR_V4) {
        memcpy(c->peer_ip, peer->v4, 4);
        c->peer_kind = WR_ADDR_V4;
    } else if (peer->kind == WR_ADDR_V6) {
        memcpy(c->peer_ip, peer->v6, 16);
        c->peer_scope = peer->scope;
        c->peer_kind = WR_ADDR_V6;
    }
}

static int ask_peer(struct wr_http_conn *c, struct wr_addr *out_addr)
{
    int err = wr_addr_of_peer(wr_link_fd(&c->link), out_addr);
    if (!err)
        wr_http_front_keep_peer_(c, out_addr);
    return err;
}

int wr_http_conn_peer(const struct wr_http_conn *c, struct wr_addr *out_addr)
{
    if (c->peer_kind == WR_ADDR_V4)
        *out_addr = wr_addr_v4(c->peer_ip, c->peer_port);
    else if (c->peer_kind == WR_ADDR_V6)
        *out_addr = wr_addr_v6(c->peer_ip, c->peer_scope, c->peer_port);
    else
        return ask_peer((struct wr_http_conn *)(uintptr_t)c, out_addr);
    return 0;
}

int wr_http_conn_local(const struct wr_http_conn *c, struct wr_addr *out_addr)
{
    return wr_addr_of_socket(wr_link_fd(&c->link), out_addr);
}

static struct wr_addr proxy_addr(enum wr_proxy_family family, const uint8_t ip[16],
                                 uint16_t port)
{
    return family == WR_PROXY_V4 ? wr_addr_v4(ip, port) : wr_addr_v6(ip, 0, port);
}

bool wr_http_conn_proxy_addr(const struct wr_http_conn *c, struct wr_addr *out_src,
                             struct wr_addr *out_dst)
{
    const struct wr_proxy_header *h = c->proxy ? &c->proxy->header : NULL;
    if (!h || h->family == WR_PROXY_NONE)
        return false;
    if (out_src)
        *out_src = proxy_addr(h->family, h->src, h->src_port);
    if (out_dst)
        *out_dst = proxy_addr(h->family, h->dst, h->dst_port);
    return true;
}

struct wr_span wr_http_conn_proxy_tlvs(const struct wr_http_conn *c)
{
    return c->proxy ? c->proxy->header.tlvs : (struct wr_span){0};
}

const char *wr_http_conn_phase(const struct wr_http_conn *c)
{
    static const char *const names[] = {"proxy", "handshake", "first",  "idle",
                                        "head",  "body",      "handle", "send"};
    return names[c->phase];
}

uint64_t wr_http_conn_due_ms(const struct wr_http_conn *c)
{
    return wr_http_conn_due_(c);
}

struct wr_http_req *wr_http_conn_req(const struct wr_http_conn *c)
{
    return c->req && c->req->handled ? c->req : NULL;
}

struct wr_http_conn *wr_http_server_next_conn(const struct wr_http_server *s, uint32_t *cursor)
{
    struct wr_link *l = wr_link_next(&s->group, cursor);
    return l ? http_conn_of(l) : NULL;
}

void wr_http_conn_abort(struct wr_http_conn *c, bool reset)
{
    if (!wr_link_is_open(&c->link))
        return;
    if (reset)
        (void)wr_sock_reset_on_close(wr_link_fd(&c->link));
    wr_link_close(&c->link, WR_CLOSE_LOCAL, WR_E_CLOSED);
}
