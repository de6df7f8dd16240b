/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_private.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/http/status.h"

#include <errno.h>

static void skip_or_close(struct wr_http_req *req);

/* ---- life ------------------------------------------------------------------------------------------ */

void wr_http_req_init_(struct wr_http_req *req, struct wr_http_conn *c)
{
    struct wr_http_server *s = c->server;
    memset(req, 0, offsetof(struct wr_http_req, scope));
    req->conn = c;
    req->server = s;
    req->began_ms = wr_loop_now_ms(s->loop);
    wr_arena_init(&req->arena, &s->arenas, wr_loop_budget(s->loop), WR_ARENA_SMALL);
    req->out_mark = wr_http_out_total_(c);
    wr_head_init(&req->head, req->fields, s->fields);
    wr_parse_init_request(&req->parse, &req->head, &c->head_limits->parse);
    /* A head that is refused has no body, and must not count one that was here before. */
    req->body.at = 0;
    req->body.refusal.reason = WR_BAD_NONE;
    s->stats.begun++;
}

static void count_end(struct wr_http_server *s, const struct wr_http_req *req,
                      enum wr_http_end end)
{
    if (end == WR_HTTP_ANSWERED)
        s->stats.answered++;
    else if (end == WR_HTTP_REFUSED)
        s->stats.refused++;
    else
        s->stats.aborted++;
    if (req->status >= 100 && req->status < 600)
        s->stats.by_class[req->status / 100]++;
}

static void tell_done(struct wr_http_req *req, enum wr_http_end end, int err)
{
    struct wr_http_server *s = req->server;
    if (!s->options.on_done)
        return;
    if (!req->handled && !req->parse.refusal.reason)
        wr_http_req_forget_head_(req); /* half a head lies where it was read: nobody kept it */
    enum wr_reason why = req->handled ? req->body.refusal.reason : req->parse.refusal.reason;
    /* A connection that broke lost what waited, answers before this one included. */
    uint64_t out = wr_http_out_total_(req->conn);
    struct wr_http_done done = {
        .end = end,
        .status = req->status,
        .err = err,
        .refusal = end != WR_HTTP_REFUSED ? NULL
                   : req->refused         ? req->refusal
                                          : wr_reason_text(why),
        .body_in = req->body_in,
        .body_out = req->body_out,
        .bytes_in = wr_http_request_bytes(req),
        .bytes_out = out > req->out_mark ? out - req->out_mark : 0,
        .took_ms = wr_loop_now_ms(s->loop) - req->began_ms,
    };
    s->options.on_done(req, &done, s->options.arg);
}

void wr_http_req_free_(struct wr_http_req **ref, enum wr_http_end end, int err)
{
    struct wr_http_req *req = *ref;
    struct wr_http_server *s = req->server;
    *ref = NULL;
    if (req->has_scope) {
        if (end != WR_HTTP_ANSWERED)
            wr_scope_cancel(&req->scope, err ? err : WR_E_CANCELED);
        wr_scope_deinit(&req->scope);
    }
    /* A connection that closes between two requests has begun none. */
    if (end == WR_HTTP_ABORTED && !req->handled && wr_parse_is_idle(&req->parse)) {
        s->stats.begun--;
    } else {
        count_end(s, req, end);
        tell_done(req, end, err);
    }
    if (req->whole.pool)
        wr_buf_deinit(&req->whole);
    wr_arena_deinit(&req->arena);
    wr_pool_put(&s->reqs, req);
}

void wr_http_req_forget_head_(struct wr_http_req *req)
{
    wr_head_init(&req->head, req->fields, req->server->fields);
    req->head_at = NULL;
    req->head_n = 0;
}

void wr_http_keep_head_in(struct wr_http_req *req, char *to)
{
    const char *from = req->head_at;
    if (!req->head_n || req->head_kept)
        return;
    memcpy(to, from, req->head_n);
    wr_head_rebase(&req->head, from, req->head_n, to);
    req->head_at = to;
    req->head_kept = true;
}

int wr_http_req_keep_head_(struct wr_http_req *req)
{
    if (!req->head_n || req->head_kept)
        return 0;
    char *to = wr_arena_alloc(&req->arena, req->head_n);
    if (!to)
        return WR_E_BUDGET;
    wr_http_keep_head_in(req, to);
    return 0;
}

size_t wr_http_head_size(const struct wr_http_req *req)
{
    return req->head_n;
}

/* ---- what came ---------------------------------------------------------------------------------------- */

int wr_http_keep_head(struct wr_http_req *req)
{
    return wr_http_req_keep_head_(req);
}

const struct wr_head *wr_http_head(const struct wr_http_req *req)
{
    return &req->head;
}

enum wr_method wr_http_method(const struct wr_http_req *req)
{
    return req->head.method;
}

/* The part of an absolute target behind scheme and authority, or the target itself. */
static struct wr_span origin_form(const struct wr_head *head)
{
    struct wr_span t = head->target;
    if (head->form != WR_TARGET_ABSOLUTE)
        return t;
    ptrdiff_t at = wr_span_find(t, WR_LIT("://"));
    t = wr_span_sub(t, (size_t)at + 3, t.n);
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] == '/' || t.p[i] == '?')
            return t.p[i] == '/' ? wr_span_sub(t, i, t.n) : WR_LIT("/");
    return WR_LIT("/");
}

struct wr_span wr_http_path(const struct wr_http_req *req)
{
    struct wr_span t = origin_form(&req->head);
    ptrdiff_t q = wr_span_find_char(t, '?');
    return q < 0 ? t : wr_span_sub(t, 0, (size_t)q);
}

struct wr_span wr_http_query(const struct wr_http_req *req)
{
    ptrdiff_t q = wr_span_find_char(req->head.target, '?');
    return q < 0 ? (struct wr_span){0} : wr_span_sub(req->head.target, (size_t)q + 1, SIZE_MAX);
}

struct wr_span wr_http_header(const struct wr_http_req *req, enum wr_header id)
{
    return wr_head_get(&req->head, id);
}

struct wr_span wr_http_request_line(const struct wr_http_req *req)
{
    struct wr_span s = wr_span(req->head_at, req->head_at ? req->head_n : 0);
    while (s.n && (s.p[0] == '\r' || s.p[0] == '\n'))
        s = wr_span_sub(s, 1, s.n);
    const struct wr_span target = req->head.target;
    size_t n = target.n && target.p >= s.p ? (size_t)(target.p + target.n - s.p) : 0;
    while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n')
        n++;
    return wr_span_sub(s, 0, n);
}

uint64_t wr_http_request_bytes(const struct wr_http_req *req)
{
    return req->head_n + req->body.at;
}

bool wr_http_announced(const struct wr_http_req *req)
{
    return req->announced;
}

struct wr_http_conn *wr_http_conn(const struct wr_http_req *req)
{
    return req->conn;
}

struct ssl_st *wr_http_ssl(const struct wr_http_req *req)
{
    return wr_http_conn_ssl(req->conn);
}

bool wr_http_in_early_data(const struct wr_http_req *req)
{
    return wr_link_is_open(&req->conn->link) && wr_tls_in_early_data(&req->conn->link.stream);
}

int wr_http_local(const struct wr_http_req *req, struct wr_addr *out_addr)
{
    return wr_http_conn_local(req->conn, out_addr);
}

bool wr_http_proxy_addr(const struct wr_http_req *req, struct wr_addr *out_src,
                        struct wr_addr *out_dst)
{
    return wr_http_conn_proxy_addr(req->conn, out_src, out_dst);
}

uint64_t wr_http_began_ms(const struct wr_http_req *req)
{
    return req->began_ms;
}

void wr_http_set_data(struct wr_http_req *req, void *data)
{
    req->data = data;
}

void *wr_http_data(const struct wr_http_req *req)
{
    return req->data;
}

int wr_http_set_limits(struct wr_http_req *req, const struct wr_http_conn_limits *limits)
{
    struct wr_http_conn *c = req->conn;
    if (c->limits != limits && wr_link_is_open(&c->link))
        wr_http_conn_use_(c, limits);
    bool too_long = req->head.has_content_length && req->head.content_length > limits->max_body;
    return too_long && !req->refused ? WR_E_TOO_BIG : 0;
}

void wr_http_touch(struct wr_http_req *req)
{
    struct wr_http_conn *c = req->conn;
    if (c->phase == HTTP_HANDLE)
        c->last_ms = wr_loop_now_ms(req->server->loop);
}

struct wr_loop *wr_http_loop(const struct wr_http_req *req)
{
    return req->server->loop;
}

uint64_t wr_http_conn_id(const struct wr_http_req *req)
{
    return req->conn->link.id;
}

int wr_http_peer(const struct wr_http_req *req, struct wr_addr *out_addr)
{
    return wr_addr_of_peer(wr_link_fd(&req->conn->link), out_addr);
}

struct wr_arena *wr_http_arena(struct wr_http_req *req)
{
    return &req->arena;
}

struct wr_scope *wr_http_scope(struct wr_http_req *req)
{
    if (!req->has_scope) {
        wr_scope_init(&req->scope, req->server->loop, NULL, 0);
        req->has_scope = true;
    }
    return &req->scope;
}

/* ---- its body ------------------------------------------------------------------------------------------ */

static void whole_is(struct wr_http_req *req, int err)
{
    void (*fn)(struct wr_http_req *, struct wr_span, int, void *) = req->on_whole;
    req->on_whole = NULL;
    fn(req, err ? (struct wr_span){0} : wr_buf_span(&req->whole), err, req->body_arg);
}

static void collect(struct wr_http_req *req, struct wr_span piece)
{
    int err = 0;
    if (wr_buf_span(&req->whole).n + piece.n > req->whole_max)
        err = WR_E_TOO_BIG;
    else
        err = wr_buf_put_span(&req->whole, piece);
    if (!err)
        return;
    req->keep_alive = false;
    whole_is(req, err);
}

static void deliver(struct wr_http_req *req, struct wr_span piece, bool last)
{
    if (req->answer == ANSWER_DONE) {
        req->skipped += piece.n;
        if (req->skipped > WR_HTTP_SKIPPED_MAX_)
            skip_or_close(req);
    } else if (req->on_body) {
        req->on_body(req, piece, last, req->body_arg);
    } else if (req->on_whole) {
        if (piece.n)
            collect(req, piece);
        if (last && req->on_whole)
            whole_is(req, 0);
    }
}

/* More of an unwanted body than it is worth: the answer stands, the connection ends. */
static void skip_or_close(struct wr_http_req *req)
{
    req->keep_alive = false;
    req->conn->dirty = true;
}

static bool wants_body(const struct wr_http_req *req)
{
    if (req->answer == ANSWER_DONE)
        return req->keep_alive;
    return (req->on_body || req->on_whole) && !req->body_paused;
}

bool wr_http_req_feed_(struct wr_http_req *req, struct wr_span *in)
{
    struct wr_http_conn *c = req->conn;
    struct wr_span piece;
    while (c->req == req && !req->body_done && wants_body(req) && wr_link_is_open(&c->link)) {
        switch (wr_body_next(&req->body, in, &piece)) {
        case WR_BODY_MORE:
            return true;
        case WR_BODY_DATA:
            req->body_in += piece.n;
            if (req->body_in > c->limits->max_body && req->answer == ANSWER_NONE) {
                wr_http_conn_refuse_(c, 413, "the body is longer than allowed", WR_HTTP_REFUSED,
                                     0);
                return true;
            }
            deliver(req, piece, false);
            break;
        case WR_BODY_DONE:
            req->body_done = true;
            deliver(req, (struct wr_span){0}, true);
            return true;
        case WR_BODY_BAD:
            c->dirty = true;
            if (req->answer == ANSWER_NONE)
                wr_http_conn_refuse_(c, wr_reason_status(req->body.refusal.reason),
                                     wr_reason_text(req->body.refusal.reason), WR_HTTP_REFUSED,
                                     0);
            else if (req->answer == ANSWER_DONE)
                req->keep_alive = false;
            else
                wr_http_conn_abort_(c, WR_E_PROTO);
            return true;
        }
    }
    return c->req != req || req->body_done || !req->keep_alive;
}

static void want_body(struct wr_http_req *req)
{
    if (req->head.expect_continue && req->body_in == 0 && req->answer == ANSWER_NONE)
        (void)wr_http_req_put_(req, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    req->head.expect_continue = false;
    wr_http_conn_wake_(req->conn);
}

int wr_http_read_body(struct wr_http_req *req, size_t max,
                      void (*fn)(struct wr_http_req *req, struct wr_span body, int err,
                                 void *arg),
                      void *arg)
{
    WR_ASSERT(!req->on_whole && !req->on_body && req->answer == ANSWER_NONE);
    wr_buf_init(&req->whole, wr_loop_blocks(req->server->loop),
                wr_loop_budget(req->server->loop));
    req->on_whole = fn;
    req->body_arg = arg;
    req->whole_max = max;
    if (req->body_done) {
        whole_is(req, 0);
    } else if (req->head.body == WR_BODY_LENGTH && req->head.content_length > max) {
        req->keep_alive = false;
        whole_is(req, WR_E_TOO_BIG);
    } else {
        want_body(req);
    }
    return 0;
}

void wr_http_stream_body(struct wr_http_req *req,
                         void (*fn)(struct wr_http_req *req, struct wr_span piece, bool last,
                                    void *arg),
                         void *arg)
{
    WR_ASSERT(!req->on_whole && !req->on_body && req->answer != ANSWER_DONE);
    req->on_body = fn;
    req->body_arg = arg;
    if (req->body_done)
        fn(req, (struct wr_span){0}, true, arg);
    else
        want_body(req);
}

void wr_http_pause_body(struct wr_http_req *req, bool pause)
{
    req->body_paused = pause;
    if (pause)
        wr_http_conn_settle_(req->conn); /* the silence is ours */
    else
        wr_http_conn_wake_(req->conn);
}
