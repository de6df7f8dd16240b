/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_private.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/http/status.h"

#include <errno.h>
#include <stdio.h>

#define HEAD_MAX  4096 /* of an answer: line and fields */
#define SMALL_MAX 2048 /* a body that travels with its head */
#define SKIPPED_MAX \
    (64u << 10) /* of an unwanted body, before the connection is rather closed */

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
    wr_head_init(&req->head, req->fields, s->options.limits.max_fields);
    wr_parse_init_request(&req->parse, &req->head, &s->options.limits);
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
        wr_http_req_forget_head_(
            req); /* half a head lies where it was read, and nobody kept it */
    enum wr_reason why = req->handled ? req->body.refusal.reason : req->parse.refusal.reason;
    struct wr_http_done done = {
        .end = end,
        .status = req->status,
        .err = err,
        .refusal = end == WR_HTTP_REFUSED ? wr_reason_text(why) : NULL,
        .body_in = req->body_in,
        .body_out = req->body_out,
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
    wr_head_init(&req->head, req->fields, req->server->options.limits.max_fields);
}

int wr_http_req_keep_head_(struct wr_http_req *req)
{
    struct wr_head *head = &req->head;
    if (!head->nfields && !head->target.n)
        return 0;
    const char *from = req->head_at;
    char *to = wr_arena_alloc(&req->arena, head->size);
    if (!to)
        return WR_E_BUDGET;
    memcpy(to, from, head->size);
    wr_head_rebase(head, from, head->size, to);
    return 0;
}

/* What the connection does not take has closed it, or does so now: the request ends with it. */
static int put_failed(struct wr_http_req *req, int err)
{
    if (err && wr_link_is_open(&req->conn->link))
        wr_link_close(&req->conn->link, WR_CLOSE_MEMORY, err);
    return err;
}

static int put(struct wr_http_req *req, const void *p, size_t n)
{
    return put_failed(req, wr_link_put_copy(&req->conn->link, p, n));
}

/* ---- what came ---------------------------------------------------------------------------------------- */

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
        if (req->skipped > SKIPPED_MAX)
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
            if (req->body_in > req->server->options.max_body && req->answer == ANSWER_NONE) {
                c->dirty = true;
                wr_http_req_refuse_(req, 413, WR_HTTP_REFUSED, 0);
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
                wr_http_req_refuse_(req, wr_reason_status(req->body.refusal.reason),
                                    WR_HTTP_REFUSED, 0);
            else if (req->answer == ANSWER_DONE)
                req->keep_alive = false;
            else
                wr_http_conn_abort_(c, WR_E_PROTO);
            return true;
        }
    }
    return req->body_done || c->req != req || !req->keep_alive;
}

static void want_body(struct wr_http_req *req)
{
    if (req->head.expect_continue && req->body_in == 0 && req->answer == ANSWER_NONE)
        (void)put(req, "HTTP/1.1 100 Continue\r\n\r\n", 25);
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

/* ---- its answer ---------------------------------------------------------------------------------------- */

static bool bodyless(const struct wr_http_req *req, int status)
{
    return req->head.method == WR_METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

/* A client that waits for 100 and gets an answer instead may or may not send its body. */
static void decide_keep_alive(struct wr_http_req *req)
{
    struct wr_http_conn *c = req->conn;
    if (c->eof || req->server->stopping || (req->head.expect_continue && !req->body_done))
        req->keep_alive = false;
    if (req->head.body == WR_BODY_LENGTH && !req->body_done &&
        req->head.content_length - req->body_in > SKIPPED_MAX)
        req->keep_alive = false;
}

static void write_head(struct wr_http_req *req, struct wr_writer *w, int status,
                       const struct wr_http_field *fields, size_t nfields, uint64_t length)
{
    struct wr_http_server *s = req->server;
    decide_keep_alive(req);
    wr_write_status(w, status, (struct wr_span){0});
    wr_write_date(w, &s->date, wr_http_server_now_s_(s));
    for (size_t i = 0; i < nfields; i++)
        wr_write_field(w, fields[i].name, fields[i].value);
    if (length != WR_HTTP_CHUNKED && status >= 200 && status != 204)
        wr_write_header_num(w, WR_H_CONTENT_LENGTH, length);
    else if (req->chunked)
        wr_write_framing(w, WR_BODY_CHUNKED, 0);
    if (!req->keep_alive)
        wr_write_header(w, WR_H_CONNECTION, WR_LIT("close"));
    else if (req->head.minor == 0)
        wr_write_header(w, WR_H_CONNECTION, WR_LIT("keep-alive"));
}

static int answered(struct wr_http_req *req)
{
    req->answer = ANSWER_DONE;
    wr_http_conn_answered_(req->conn);
    return 0;
}

static int answer_whole(struct wr_http_req *req, int status, const struct wr_http_field *fields,
                        size_t nfields, struct wr_span body)
{
    char mem[HEAD_MAX + SMALL_MAX];
    struct wr_writer w;
    struct wr_span with = body.n <= SMALL_MAX ? body : (struct wr_span){0};
    bool none = bodyless(req, status);
    size_t n;
    wr_writer_init(&w, mem, sizeof mem);
    req->status = status;
    write_head(req, &w, status, fields, nfields, body.n);
    int err = wr_write_end(&w, none ? (struct wr_span){0} : with, &n);
    if (err)
        return err;
    err = put(req, mem, n);
    if (!err && !none && with.n != body.n)
        err = put(req, body.p, body.n);
    if (err)
        return err;
    req->body_out = none ? 0 : body.n;
    return answered(req);
}

int wr_http_reply(struct wr_http_req *req, int status, struct wr_span type, struct wr_span body)
{
    WR_ASSERT(req->answer == ANSWER_NONE && status >= 200 && status < 600);
    struct wr_http_field field = {WR_LIT("Content-Type"), type};
    int err = answer_whole(req, status, &field, type.n ? 1 : 0, body);
    if (err && wr_link_is_open(&req->conn->link)) /* a type that may not be written */
        (void)wr_http_error(req, 500);
    return err;
}

int wr_http_replyf(struct wr_http_req *req, int status, const char *type, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = wr_arena_vprintf(&req->arena, fmt, ap);
    va_end(ap);
    if (!text) {
        (void)wr_http_error(req, 503);
        return WR_E_BUDGET;
    }
    return wr_http_reply(req, status, wr_span_str(type), wr_span_str(text));
}

int wr_http_error(struct wr_http_req *req, int status)
{
    char text[96];
    struct wr_span reason = wr_status_text(status);
    int n = snprintf(text, sizeof text, "%d %.*s\n", status, WR_SPANF(reason));
    struct wr_http_field field = {WR_LIT("Content-Type"), WR_LIT("text/plain")};
    return answer_whole(req, status, &field, 1, wr_span(text, (size_t)n));
}

void wr_http_req_refuse_(struct wr_http_req *req, int status, enum wr_http_end end, int err)
{
    struct wr_http_conn *c = req->conn;
    bool outer = c->eating;
    req->keep_alive = false;
    c->eating = true; /* nothing goes on in this connection */
    (void)wr_http_error(req, status);
    c->eating = outer;
    c->closing = c->dirty = true;
    if (c->req)
        wr_http_req_free_(&c->req, end, err);
    wr_http_conn_settle_(c);
}

int wr_http_ready_form(struct wr_http_ready *r, char *mem, size_t n, int status,
                       struct wr_span type, struct wr_span body)
{
    r->status = status;
    r->type = type;
    r->body_n = body.n;
    int err = wr_ready_form(&r->keep, mem, n / 2, status, type, body, false);
    return err ? err : wr_ready_form(&r->close, mem + n / 2, n / 2, status, type, body, true);
}

int wr_http_reply_ready(struct wr_http_req *req, struct wr_http_ready *r)
{
    WR_ASSERT(req->answer == ANSWER_NONE);
    struct wr_http_server *s = req->server;
    decide_keep_alive(req);
    struct wr_span bytes = wr_ready_bytes(req->keep_alive ? &r->keep : &r->close, &s->date,
                                          wr_http_server_now_s_(s));
    if (req->head.minor == 0 && req->keep_alive) {
        struct wr_span body = wr_span_sub(bytes, bytes.n - r->body_n, r->body_n);
        return wr_http_reply(req, r->status, r->type, body);
    }
    req->status = r->status;
    if (bodyless(req, r->status))
        bytes.n -= r->body_n;
    else
        req->body_out = r->body_n;
    int err = put(req, bytes.p, bytes.n);
    return err ? err : answered(req);
}

/* ---- in pieces --------------------------------------------------------------------------------------- */

int wr_http_begin(struct wr_http_req *req, int status, const struct wr_http_field *fields,
                  size_t nfields, uint64_t length)
{
    WR_ASSERT(req->answer == ANSWER_NONE && status >= 200 && status < 600);
    char mem[HEAD_MAX];
    struct wr_writer w;
    size_t n;
    wr_writer_init(&w, mem, sizeof mem);
    if (length == WR_HTTP_CHUNKED && req->head.minor == 0)
        req->keep_alive = false; /* its end is the connection's */
    req->chunked = length == WR_HTTP_CHUNKED && req->head.minor == 1 && !bodyless(req, status);
    req->status = status;
    write_head(req, &w, status, fields, nfields, length);
    int err = wr_write_end(&w, (struct wr_span){0}, &n);
    if (err) {
        req->chunked = false;
        (void)wr_http_error(req, 500);
        return err;
    }
    req->owed = bodyless(req, status) ? 0 : length;
    req->answer = ANSWER_BEGUN;
    return put(req, mem, n);
}

/* What of n bytes the answer still has room for, or 0 with an error in *err. */
static uint64_t room_for(struct wr_http_req *req, uint64_t n, int *err)
{
    WR_ASSERT(req->answer == ANSWER_BEGUN);
    *err = 0;
    if (bodyless(req, req->status))
        return 0;
    if (req->owed == WR_HTTP_CHUNKED)
        return n;
    if (n > req->owed) {
        *err = WR_E_TOO_BIG;
        n = req->owed;
    }
    req->owed -= n;
    return n;
}

static int chunk_open(struct wr_http_req *req, uint64_t n)
{
    char head[WR_CHUNK_HEAD_MAX];
    if (!req->chunked)
        return 0;
    return put(req, head, wr_chunk_head(head, n));
}

static int piece_out(struct wr_http_req *req, uint64_t n, int err)
{
    if (!err && req->chunked)
        err = put(req, WR_CHUNK_END.p, WR_CHUNK_END.n);
    if (err)
        return err;
    struct wr_http_conn *c = req->conn;
    req->body_out += n;
    c->last_ms = c->phase == HTTP_HANDLE ? wr_loop_now_ms(req->server->loop) : c->last_ms;
    req->above_high = wr_link_queued(&c->link) > req->server->options.output_high;
    return req->above_high;
}

static int copy_out(struct wr_http_req *req, const char *p, uint64_t n)
{
    int err = chunk_open(req, n);
    return piece_out(req, n, err ? err : put(req, p, n));
}

int wr_http_write(struct wr_http_req *req, struct wr_span piece)
{
    int cut;
    uint64_t n = room_for(req, piece.n, &cut);
    int err = n ? copy_out(req, piece.p, n) : 0;
    return cut ? cut : err;
}

int wr_http_write_bytes(struct wr_http_req *req, struct wr_bytes *take_bytes)
{
    struct wr_bytes bytes = wr_bytes_take(take_bytes);
    int cut, err;
    uint64_t n = room_for(req, bytes.n, &cut);
    if (n == 0 || n != bytes.n) {
        err = n ? copy_out(req, bytes.p, n) : 0;
        wr_bytes_drop(&bytes);
        return cut ? cut : err;
    }
    err = chunk_open(req, n);
    if (!err)
        err = wr_link_put_bytes(&req->conn->link, &bytes);
    wr_bytes_drop(&bytes);
    return piece_out(req, n, put_failed(req, err));
}

int wr_http_write_file(struct wr_http_req *req, const struct wr_outq_file *file)
{
    struct wr_outq_file range = *file;
    int cut, err;
    range.len = room_for(req, file->len, &cut);
    if (range.len == 0) {
        if (file->release)
            file->release(file->arg, file->fd);
        return cut;
    }
    err = chunk_open(req, range.len);
    if (!err)
        err = wr_link_put_file(&req->conn->link, &range);
    if (err && range.release)
        range.release(range.arg, range.fd);
    err = piece_out(req, range.len, put_failed(req, err));
    return cut ? cut : err;
}

void wr_http_on_drain(struct wr_http_req *req, void (*fn)(struct wr_http_req *req, void *arg),
                      void *arg)
{
    req->on_drain = fn;
    req->drain_arg = arg;
}

int wr_http_end(struct wr_http_req *req)
{
    WR_ASSERT(req->answer == ANSWER_BEGUN);
    int err = 0;
    if (req->chunked)
        err = put(req, WR_CHUNK_LAST.p, WR_CHUNK_LAST.n);
    else if (req->owed && req->owed != WR_HTTP_CHUNKED) {
        err = WR_E_PROTO;
        wr_http_conn_abort_(req->conn, err);
    }
    return err ? err : answered(req);
}
