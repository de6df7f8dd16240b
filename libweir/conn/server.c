/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/server.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/conn/conn_group.h"
#include "libweir/io/scope.h"

#include <errno.h>

#define MAX_CONNS      100000U
#define STOP_TICK_MS   10U   /* how often a stopping server looks whether it is empty */
#define STOP_LINGER_MS 1000U /* and how long it waits for peers to answer its FIN */

struct wr_server {
    struct wr_conn_group g;
    struct wr_loop *loop;
    struct wr_listener *listener;
    uint32_t max_conns;
    uint64_t refused, send_to_gone;
    struct wr_op op; /* in the scope that the server belongs to */
    struct wr_timer stop_timer;
    uint64_t cut_ms, linger_until_ms;
    bool stopping, told_full;
    void (*on_full)(struct wr_server *s, bool full, void *arg);
    void (*on_notice)(struct wr_server *s, const struct wr_listen_notice *n, void *arg);
    void (*on_conn_closed)(struct wr_server *s, enum wr_close why, void *arg);
    void *arg;
    void (*stopped)(struct wr_server *s, void *arg);
    void *stopped_arg;
};

static struct wr_server *server_of(struct wr_conn_group *g)
{
    return wr_container_of(g, struct wr_server, g);
}

static void server_gone(struct wr_conn_group *g)
{
    struct wr_server *s = server_of(g);
    wr_heap_free(wr_loop_heap(s->loop), s, sizeof *s);
}

/* ---- accepting -------------------------------------------------------------------------------------- */

static bool full(const struct wr_server *s)
{
    return wr_link_group_count(&s->g.links) >= s->max_conns;
}

int wr_server_adopt(struct wr_server *s, int fd)
{
    struct wr_conn *c;
    int rc = wr_conn_new(&s->g, fd, &c);
    if (rc)
        s->refused++;
    else if (s->stopping) /* too late for more than what it had sent already */
        wr_conn_finish(c, WR_CLOSE_STOP, WR_E_STOPPED);
    if (full(s) && !s->told_full) {
        s->told_full = true;
        if (s->listener)
            wr_listener_pause(s->listener, WR_PAUSE_CONNS);
        if (s->on_full)
            s->on_full(s, true, s->arg);
    }
    return rc;
}

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    (void)l;
    (void)peer;
    (void)wr_server_adopt(arg, fd);
}

static void on_closed(struct wr_conn_group *g, struct wr_conn *c)
{
    struct wr_server *s = server_of(g);
    if (s->on_conn_closed)
        s->on_conn_closed(s, wr_conn_link(c)->why, s->arg);
    if (s->listener)
        wr_listener_resume(s->listener, WR_PAUSE_SHORTAGE);
    if (!s->told_full || full(s) || g->closing)
        return;
    s->told_full = false;
    if (s->listener)
        wr_listener_resume(s->listener, WR_PAUSE_CONNS);
    if (s->on_full)
        s->on_full(s, false, s->arg);
}

static void on_notice(struct wr_listener *l, const struct wr_listen_notice *n, void *arg)
{
    struct wr_server *s = arg;
    (void)l;
    s->on_notice(s, n, s->arg);
}

static int listen_at(struct wr_server *s, const struct wr_server_options *options)
{
    struct wr_listen_options lo = options->listen;
    if (options->addr) {
        int rc = wr_addr_parse(wr_span_str(options->addr), &lo.addr);
        if (rc)
            return rc;
    }
    if (lo.addr.kind == WR_ADDR_NONE)
        return 0;
    if (s->on_notice)
        lo.on_notice = on_notice;
    lo.peer_unwanted = true; /* wr_conn_peer asks the kernel, for the few who want to know */
    return wr_listener_open(s->loop, &lo, on_accept, s, &s->listener);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void shut(struct wr_server *s, enum wr_close why, int err)
{
    wr_listener_close(&s->listener);
    wr_loop_timer_cancel(&s->stop_timer);
    wr_op_end(&s->op);
    wr_conn_group_close(&s->g, why, err);
}

static void on_scope_end(struct wr_op *op, int why)
{
    struct wr_server *s = wr_container_of(op, struct wr_server, op);
    shut(s, WR_CLOSE_STOP, why);
}

int wr_server_open(struct wr_loop *loop, const struct wr_server_options *options,
                   struct wr_server **out_server)
{
    struct wr_server *s = wr_heap_zalloc(wr_loop_heap(loop), sizeof *s);
    if (!s)
        return -ENOMEM;
    s->loop = loop;
    s->on_full = options->on_full;
    s->on_notice = options->on_notice;
    s->on_conn_closed = options->on_conn_closed;
    s->arg = options->arg;
    s->max_conns = options->max_conns ? options->max_conns : MAX_CONNS;
    int rc = wr_conn_group_init(&s->g, loop, &options->conn, 0, options->scope, false);
    if (rc) {
        wr_heap_free(wr_loop_heap(loop), s, sizeof *s);
        return rc;
    }
    s->g.on_closed = on_closed;
    s->g.gone = server_gone;
    rc = listen_at(s, options);
    if (rc == 0 && options->scope)
        rc = wr_op_begin(options->scope, &s->op, on_scope_end);
    if (rc)
        shut(s, WR_CLOSE_LOCAL, rc);
    else
        *out_server = s;
    return rc;
}

void wr_server_close(struct wr_server **server)
{
    struct wr_server *s = *server;
    *server = NULL;
    if (s)
        shut(s, WR_CLOSE_STOP, WR_E_STOPPED);
}

/* ---- stopping ------------------------------------------------------------------------------------------- */

static void stop_tick(struct wr_timer *t)
{
    struct wr_server *s = wr_container_of(t, struct wr_server, stop_timer);
    bool busy = !wr_link_group_idle(&s->g.links);
    bool late = wr_loop_now_ms(s->loop) >= s->cut_ms;
    bool lingers = wr_scope_pending(&s->g.links.lingering) > 0;
    if (busy && late) {
        uint32_t cursor = 0;
        for (struct wr_link *l; (l = wr_link_next(&s->g.links, &cursor));)
            wr_link_close(l, WR_CLOSE_STOP, WR_E_STOPPED);
    }
    if (busy)
        s->linger_until_ms = wr_loop_now_ms(s->loop) + STOP_LINGER_MS;
    if (busy || (lingers && !late && wr_loop_now_ms(s->loop) < s->linger_until_ms)) {
        wr_loop_timer_arm(s->loop, &s->stop_timer, STOP_TICK_MS);
        return;
    }
    s->stopped(s, s->stopped_arg);
}

void wr_server_stop(struct wr_server *s, uint64_t grace_ms,
                    void (*stopped)(struct wr_server *s, void *arg), void *arg)
{
    uint32_t cursor = 0;
    uint64_t cut_ms = wr_loop_now_ms(s->loop) + grace_ms;
    if (s->stopping) { /* a second call can only shorten the first */
        s->cut_ms = cut_ms < s->cut_ms ? cut_ms : s->cut_ms;
        return;
    }
    s->stopping = true;
    s->cut_ms = cut_ms;
    s->linger_until_ms = wr_loop_now_ms(s->loop) + STOP_LINGER_MS;
    s->stopped = stopped;
    s->stopped_arg = arg;
    s->stop_timer.fn = stop_tick;
    wr_listener_close(&s->listener);
    for (struct wr_link *l; (l = wr_link_next(&s->g.links, &cursor));)
        wr_link_finish(l, WR_CLOSE_STOP, WR_E_STOPPED);
    wr_loop_timer_arm(s->loop, &s->stop_timer, 0);
}

/* ---- by id --------------------------------------------------------------------------------------------- */

struct wr_conn *wr_server_find(const struct wr_server *s, uint64_t id)
{
    struct wr_link *l = wr_link_find(&s->g.links, id);
    return l ? wr_conn_of(l) : NULL;
}

struct wr_conn *wr_server_next(const struct wr_server *s, uint32_t *cursor)
{
    struct wr_link *l = wr_link_next(&s->g.links, cursor);
    return l ? wr_conn_of(l) : NULL;
}

struct letter {
    struct wr_server *server;
    uint64_t id;
    struct wr_bytes message;
};

static void letter_free(struct letter *m)
{
    wr_bytes_drop(&m->message);
    wr_heap_free(wr_loop_heap(m->server->loop), m, sizeof *m);
}

static void deliver(void *arg)
{
    struct letter *m = arg;
    struct wr_conn *c = wr_server_find(m->server, m->id);
    if (c)
        (void)wr_conn_send_bytes(c, &m->message);
    else
        m->server->send_to_gone++;
    letter_free(m);
}

static void undelivered(void *arg)
{
    letter_free(arg);
}

int wr_server_send_to(struct wr_server *s, uint64_t id, struct wr_bytes *take_message)
{
    struct letter *m = wr_heap_alloc(wr_loop_heap(s->loop), sizeof *m);
    if (!m) {
        wr_bytes_drop(take_message);
        return -ENOMEM;
    }
    *m = (struct letter){.server = s, .id = id, .message = wr_bytes_take(take_message)};
    wr_bytes_share(&m->message);
    int rc = wr_loop_call(s->loop, deliver, undelivered, m);
    if (rc)
        letter_free(m);
    return rc;
}

/* ---- looking ------------------------------------------------------------------------------------------- */

struct wr_server_stats wr_server_stats(const struct wr_server *s)
{
    return (struct wr_server_stats){
        .links = s->g.links.stats,
        .frames_in = s->g.frames_in,
        .frames_out = s->g.frames_out,
        .send_to_gone = s->send_to_gone,
        .refused = s->refused,
        .open = wr_link_group_count(&s->g.links),
    };
}

struct wr_listener *wr_server_listener(struct wr_server *s)
{
    return s->listener;
}
