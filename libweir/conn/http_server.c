/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_server.h"

#include "libweir/base/assert.h"
#include "libweir/base/block.h"
#include "libweir/base/err.h"
#include "libweir/conn/http_crowd.h"
#include "libweir/conn/http_private.h"
#include "libweir/os/os.h"

#include <errno.h>

#define FIELDS         64U   /* of a head in the table that each request has */
#define STOP_TICK_MS   10U   /* how often a stopping server looks who still lingers */
#define STOP_LINGER_MS 1000U /* and how long */

static void maybe_free(struct wr_http_server *s);

int64_t wr_http_server_now_s_(struct wr_http_server *s)
{
    return (int64_t)(wr_loop_wall_ns(s->loop) / 1000000000u);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

const struct wr_http_head_limits wr_http_head_limits_default = {
    .parse = WR_HTTP_LIMITS_DEFAULT,
    .first_timeout_ms = 10000,
    .head_timeout_ms = 10000,
};

const struct wr_http_conn_limits wr_http_conn_limits_default = {
    .idle_timeout_ms = 60000,
    .max_requests = 10000,
    .max_life_ms = WR_FOREVER,
    .handler_timeout_ms = 60000,
    .body_timeout_ms = WR_FOREVER,
    .send_timeout_ms = 30000,
    .rate_window_ms = 10000,
    .min_body_bytes_per_s = 500,
    .min_send_bytes_per_s = 500,
    .max_body = 1u << 20,
    .linger = WR_HTTP_LINGER_ON,
};

static void fill_defaults(struct wr_http_options *o)
{
    o->max_conns = or_default(o->max_conns, 100000);
    o->output_high = o->output_high ? o->output_high : 256u << 10;
    o->output_hard = o->output_hard ? o->output_hard : 8u << 20;
    o->tls.handshake_timeout_ms = or_default(o->tls.handshake_timeout_ms, 10000);
}

static struct wr_http_head_limits head_limits(const struct wr_http_options *o)
{
    struct wr_http_head_limits h = wr_http_head_limits_default;
    if (o->head_limits)
        return *o->head_limits;
    if (o->limits.max_head)
        h.parse = o->limits;
    h.first_timeout_ms = or_default(o->first_timeout_ms, h.first_timeout_ms);
    h.head_timeout_ms = or_default(o->head_timeout_ms, h.head_timeout_ms);
    return h;
}

static struct wr_http_conn_limits conn_limits(const struct wr_http_options *o)
{
    struct wr_http_conn_limits l = wr_http_conn_limits_default;
    if (o->conn_limits)
        return *o->conn_limits;
    l.max_body = o->max_body ? o->max_body : l.max_body;
    l.max_requests = or_default(o->max_requests, l.max_requests);
    l.idle_timeout_ms = or_default(o->idle_timeout_ms, l.idle_timeout_ms);
    l.handler_timeout_ms = or_default(o->handler_timeout_ms, l.handler_timeout_ms);
    l.rate_window_ms = or_default(o->rate_window_ms, l.rate_window_ms);
    l.min_body_bytes_per_s = or_default(o->min_bytes_per_s, l.min_body_bytes_per_s);
    l.min_send_bytes_per_s = l.min_body_bytes_per_s;
    l.linger_ms = o->linger_ms;
    l.delay = o->listen.delay;
    return l;
}

/* ---- connections come and go ------------------------------------------------------------------------ */

static bool is_full(const struct wr_http_server *s)
{
    const struct wr_http_crowd *crowd = s->options.crowd;
    return wr_link_group_count(&s->group) >= s->options.max_conns || (crowd && crowd->full);
}

static void tell_full(struct wr_http_server *s, bool full)
{
    s->told_full = full;
    if (s->listener && full)
        wr_listener_pause(s->listener, WR_PAUSE_CONNS);
    else if (s->listener)
        wr_listener_resume(s->listener, WR_PAUSE_CONNS);
    if (s->options.on_full)
        s->options.on_full(s, full, s->options.owner_arg);
}

void wr_http_server_settle_full_(struct wr_http_server *s)
{
    bool full = is_full(s);
    if (!s->closing && full != s->told_full)
        tell_full(s, full);
}

static int take(struct wr_http_server *s, int fd, const struct wr_addr *peer)
{
    struct wr_http_conn *c = s->closing ? NULL : wr_pool_get(&s->conns);
    int err = c ? 0 : s->closing ? WR_E_STOPPED : WR_E_BUDGET;
    if (!err) {
        wr_http_conn_init_(c, s);
        if (peer)
            wr_http_front_keep_peer_(c, peer);
        err = wr_link_open(&s->group, &c->link, fd);
    }
    if (err) {
        s->stats.no_memory += !s->closing;
        wr_pool_put(&s->conns, c);
        (void)wr_os_close(fd);
        return err;
    }
    wr_http_crowd_came_(s);
    wr_http_server_settle_full_(s);
    wr_http_front_begin_(c);
    if (!wr_link_is_open(&c->link))
        return 0;
    if (s->eating)
        wr_link_again(&c->link); /* a handler gave it: its request lies in the scratch */
    else
        wr_link_ready(&c->link);
    return 0;
}

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    (void)l;
    (void)take(arg, fd, peer);
}

int wr_http_server_adopt(struct wr_http_server *s, int fd)
{
    return take(s, fd, NULL);
}

void wr_http_server_conn_gone_(struct wr_http_server *s, struct wr_http_conn *c)
{
    wr_pool_put(&s->conns, c);
    wr_http_crowd_left_(s);
    wr_http_server_settle_full_(s);
    if (s->listener)
        wr_listener_resume(s->listener, WR_PAUSE_SHORTAGE);
    maybe_free(s);
}

/* ---- life ------------------------------------------------------------------------------------------- */

static void init_memory(struct wr_http_server *s)
{
    struct wr_block_pool *blocks = wr_loop_blocks(s->loop);
    struct wr_budget *budget = wr_loop_budget(s->loop);
    size_t fields = s->fields * sizeof(struct wr_field);
    s->mem = blocks->mem;
    wr_pool_init(&s->conns, s->mem, budget, "http_conn", sizeof(struct wr_http_conn));
    wr_pool_init(&s->reqs, s->mem, budget, "http_req", sizeof(struct wr_http_req) + fields);
    wr_arena_source_init(&s->arenas, s->mem, budget, blocks);
}

static void deinit_memory(struct wr_http_server *s)
{
    wr_arena_source_deinit(&s->arenas);
    wr_pool_deinit(&s->reqs);
    wr_pool_deinit(&s->conns);
}

static void free_now(struct wr_free_later *f)
{
    struct wr_http_server *s = wr_container_of(f, struct wr_http_server, later);
    wr_http_crowd_part_(s);
    wr_link_group_deinit(&s->group);
    deinit_memory(s);
    wr_heap_free(wr_loop_heap(s->loop), s, sizeof *s);
}

static void on_linger(struct wr_timer *t)
{
    maybe_free(wr_container_of(t, struct wr_http_server, grace));
}

/* Last answers are on their way to clients that still send. Whoever is told that all is over may end the
 * process, and with it them: it is told a little later. */
static bool linger_more(struct wr_http_server *s)
{
    uint64_t now = wr_loop_now_ms(s->loop);
    if (s->linger_until_ms == 0)
        s->linger_until_ms = now + STOP_LINGER_MS;
    if (wr_scope_pending(&s->group.lingering) == 0 || now >= s->linger_until_ms)
        return false;
    s->grace.fn = on_linger;
    wr_loop_timer_arm(s->loop, &s->grace, STOP_TICK_MS);
    return true;
}

/* After close: the memory goes behind the last connection. After stop: says so. */
static void maybe_free(struct wr_http_server *s)
{
    if (wr_link_group_count(&s->group) || !wr_link_group_idle(&s->group))
        return;
    if (s->closing) {
        s->closing = false;
        wr_loop_free_later(s->loop, &s->later, free_now);
    } else if (s->stopped && !linger_more(s)) {
        void (*stopped)(struct wr_http_server *, void *) = s->stopped;
        s->stopped = NULL;
        wr_loop_timer_cancel(&s->grace);
        stopped(s, s->stopped_arg);
    }
}

static void close_all(struct wr_http_server *s)
{
    uint32_t cursor = 0;
    for (struct wr_link *l; (l = wr_link_next(&s->group, &cursor));)
        wr_link_close(l, WR_CLOSE_STOP, WR_E_STOPPED);
}

static void on_scope_end(struct wr_op *op, int why)
{
    (void)why;
    struct wr_http_server *s = wr_container_of(op, struct wr_http_server, op);
    wr_http_server_close(&s);
}

static void on_notice(struct wr_listener *l, const struct wr_listen_notice *n, void *arg)
{
    struct wr_http_server *s = arg;
    (void)l;
    if (s->options.crowd && n->kind == WR_LISTEN_SHORTAGE)
        s->options.crowd->short_of_fds = true;
    if (s->options.on_notice)
        s->options.on_notice(s, n, s->options.owner_arg);
}

static int open_listener(struct wr_http_server *s)
{
    struct wr_listen_options listen = s->options.listen;
    if (s->options.addr) {
        int err = wr_addr_parse(wr_span_str(s->options.addr), &listen.addr);
        if (err)
            return err;
    }
    if (listen.addr.kind == WR_ADDR_NONE)
        return 0;
    listen.peer_unwanted = !s->options.peer_wanted;
    if (s->options.on_notice || s->options.crowd)
        listen.on_notice = on_notice;
    return wr_listener_open(s->loop, &listen, on_accept, s, &s->listener);
}

int wr_http_server_open(struct wr_loop *loop, const struct wr_http_options *options,
                        struct wr_http_server **out_server)
{
    WR_ASSERT(options->on_request && wr_loop_blocks(loop));
    struct wr_http_server *s = wr_heap_zalloc(wr_loop_heap(loop), sizeof *s);
    if (!s)
        return -ENOMEM;
    s->loop = loop;
    s->options = *options;
    fill_defaults(&s->options);
    s->head = head_limits(options);
    s->limits = conn_limits(options);
    s->fields = s->head.parse.max_fields < FIELDS ? s->head.parse.max_fields : FIELDS;
    init_memory(s);
    s->group = (struct wr_link_group){
        .ops = &wr_http_conn_ops_,
        .hard_limit = s->options.output_hard,
        .stall_ms = s->limits.send_timeout_ms,
        .linger_ms = s->limits.linger_ms,
    };
    int err = wr_link_group_init(&s->group, loop);
    if (err)
        goto fail;
    err = open_listener(s);
    if (!err && s->options.scope)
        err = wr_op_begin(s->options.scope, &s->op, on_scope_end);
    if (err) {
        wr_listener_close(&s->listener);
        wr_link_group_deinit(&s->group);
        goto fail;
    }
    wr_http_crowd_join_(s);
    *out_server = s;
    return 0;
fail:
    deinit_memory(s);
    wr_heap_free(wr_loop_heap(loop), s, sizeof *s);
    return err;
}

void wr_http_server_close(struct wr_http_server **server)
{
    struct wr_http_server *s = *server;
    *server = NULL;
    if (!s)
        return;
    (void)wr_op_end(&s->op);
    wr_loop_timer_cancel(&s->grace);
    wr_http_front_close_(s);
    wr_listener_close(&s->listener);
    s->closing = s->stopping = true;
    s->stopped = NULL;
    close_all(s);
    maybe_free(s);
}

/* ---- graceful stop ------------------------------------------------------------------------------------ */

static void on_grace(struct wr_timer *t)
{
    close_all(wr_container_of(t, struct wr_http_server, grace));
}

void wr_http_server_stop(struct wr_http_server *s, uint64_t grace_ms,
                         void (*stopped)(struct wr_http_server *s, void *arg), void *arg)
{
    s->stopping = true;
    s->stopped = stopped;
    s->stopped_arg = arg;
    s->linger_until_ms = grace_ms ? 0 : wr_loop_now_ms(s->loop);
    if (s->listener && !s->options.listen.exclusive && /* else the others take what waits */
        !wr_listener_paused(s->listener)) /* the kernel has let them in: they are served */
        (void)wr_listener_drain(s->listener, wr_listener_backlog(s->listener));
    wr_listener_close(&s->listener);
    s->grace.fn = on_grace;
    wr_loop_timer_arm(s->loop, &s->grace, grace_ms);
    uint32_t cursor = 0;
    for (struct wr_link *l; (l = wr_link_next(&s->group, &cursor));)
        wr_http_conn_stop_(wr_container_of(l, struct wr_http_conn, link));
    maybe_free(s);
}

static void count_phases(const struct wr_http_server *s, struct wr_http_stats *stats)
{
    uint32_t cursor = 0;
    for (const struct wr_http_conn *c; (c = wr_http_server_next_conn(s, &cursor));) {
        bool busy =
            c->phase >= HTTP_BODY || wr_http_conn_req(c); /* perhaps within its handler */
        stats->writing += busy;
        stats->waiting += !busy && c->phase == HTTP_IDLE;
        stats->reading += !busy && c->phase != HTTP_IDLE;
    }
}

struct wr_http_stats wr_http_server_stats(const struct wr_http_server *s)
{
    struct wr_http_stats stats = s->stats;
    stats.links = s->group.stats;
    stats.no_memory += stats.links.closed[WR_CLOSE_MEMORY];
    stats.open = wr_link_group_count(&s->group);
    stats.handshaking = s->handshaking;
    count_phases(s, &stats);
    return stats;
}

struct wr_listener *wr_http_server_listener(struct wr_http_server *s)
{
    return s->listener;
}
