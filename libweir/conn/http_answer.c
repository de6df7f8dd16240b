/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_private.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/http/status.h"

#include <stdio.h>

#define HEAD_MAX  4096 /* of an answer: line and fields */
#define SMALL_MAX 2048 /* a body that travels with its head */

/* ---- bytes to the connection ------------------------------------------------------------------------ */

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

int wr_http_req_put_(struct wr_http_req *req, const void *p, size_t n)
{
    return put(req, p, n);
}

uint64_t wr_http_out_total_(const struct wr_http_conn *c)
{
    const struct wr_link *l = &c->link;
    return l->stream.bytes_out + wr_link_queued(l) - l->stream.held;
}

/* ---- its answer ---------------------------------------------------------------------------------------- */

static bool bodyless(const struct wr_http_req *req, int status)
{
    return req->head.method == WR_METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

/* What the limits and the clock allow; no clock is read for a connection that may stay for ever. */
static bool may_stay(const struct wr_http_conn *c)
{
    const struct wr_http_conn_limits *o = c->limits;
    return c->requests < o->max_requests && o->idle_timeout_ms &&
           (o->max_life_ms == WR_FOREVER ||
            wr_loop_now_ms(c->server->loop) - c->began_ms < o->max_life_ms);
}

/* A client that waits for 100 and gets an answer instead may or may not send its body. */
static void decide_keep_alive(struct wr_http_req *req)
{
    struct wr_http_conn *c = req->conn;
    if (!may_stay(c))
        req->keep_alive = false;
    if (c->eof || req->server->stopping || (req->head.expect_continue && !req->body_done))
        req->keep_alive = false;
    if (req->head.body == WR_BODY_LENGTH && !req->body_done &&
        req->head.content_length - req->body_in > WR_HTTP_SKIPPED_MAX_)
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
    wr_link_hold(&req->conn->link, false);
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
    /* Of a 304 it would be the length of what a 200 had, which nobody has told (RFC 9110, 8.6). */
    write_head(req, &w, status, fields, nfields, status == 304 ? WR_HTTP_CHUNKED : body.n);
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
    (void)wr_http_error(req, status == 497 ? 400 : status);
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
    uint64_t queued = wr_link_queued(&c->link);
    req->above_high = queued > req->server->options.output_high;
    if (req->above_high || queued >= c->limits->postpone)
        wr_link_hold(&c->link, false);
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

static int end_with(struct wr_http_req *req, struct wr_span trailers)
{
    WR_ASSERT(req->answer == ANSWER_BEGUN);
    int err = 0;
    if (req->chunked && trailers.n) {
        err = put(req, WR_CHUNK_ZERO.p, WR_CHUNK_ZERO.n);
        err = err ? err : put(req, trailers.p, trailers.n);
        err = err ? err : put(req, "\r\n", 2);
    } else if (req->chunked) {
        err = put(req, WR_CHUNK_LAST.p, WR_CHUNK_LAST.n);
    } else if (req->owed && req->owed != WR_HTTP_CHUNKED) {
        err = WR_E_PROTO;
        wr_http_conn_abort_(req->conn, err);
    }
    return err ? err : answered(req);
}

int wr_http_end(struct wr_http_req *req)
{
    return end_with(req, (struct wr_span){0});
}

int wr_http_end_trailers(struct wr_http_req *req, struct wr_span lines)
{
    return end_with(req, lines);
}

/* ---- with a head of the application's ---------------------------------------------------------------- */

bool wr_http_keep_alive(struct wr_http_req *req)
{
    decide_keep_alive(req);
    return req->keep_alive;
}

void wr_http_set_close(struct wr_http_req *req)
{
    req->keep_alive = false;
}

int wr_http_begin_head(struct wr_http_req *req, int status, struct wr_span head_bytes,
                       uint64_t length)
{
    WR_ASSERT(req->answer == ANSWER_NONE && status >= 200);
    bool none = bodyless(req, status);
    decide_keep_alive(req);
    req->chunked = length == WR_HTTP_CHUNKED && req->head.minor == 1 && !none;
    if (length >= WR_HTTP_UNTIL_CLOSE) {
        if (!req->chunked && !none)
            req->keep_alive = false;
        length = WR_HTTP_CHUNKED; /* of any length, with chunks or without */
    }
    req->owed = none ? 0 : length;
    req->status = status;
    req->answer = ANSWER_BEGUN;
    /* What is on its way already, of the answers before, is not held up. */
    if (wr_http_queued(req) == 0)
        wr_link_hold(&req->conn->link, req->conn->limits->postpone > head_bytes.n);
    return put(req, head_bytes.p, head_bytes.n);
}

int wr_http_reply_bytes(struct wr_http_req *req, int status, struct wr_span head_bytes,
                        struct wr_span body)
{
    WR_ASSERT(req->answer == ANSWER_NONE && status >= 200);
    decide_keep_alive(req);
    if (bodyless(req, status))
        body.n = 0;
    req->status = status;
    int err = put(req, head_bytes.p, head_bytes.n);
    if (!err && body.n)
        err = put(req, body.p, body.n);
    if (err)
        return err;
    req->body_out = body.n;
    return answered(req);
}

int wr_http_interim(struct wr_http_req *req, struct wr_span head_bytes)
{
    WR_ASSERT(req->answer == ANSWER_NONE);
    if (req->head.minor == 0)
        return 0;
    if (head_bytes.n > 12 && memcmp(head_bytes.p + 9, "100", 3) == 0)
        req->head.expect_continue = false;
    return put(req, head_bytes.p, head_bytes.n);
}

bool wr_http_chunked(const struct wr_http_req *req)
{
    return req->chunked;
}

uint64_t wr_http_queued(const struct wr_http_req *req)
{
    return wr_link_queued(&req->conn->link);
}

uint64_t wr_http_sent(const struct wr_http_req *req)
{
    uint64_t out = req->conn->link.stream.bytes_out;
    return out > req->out_mark ? out - req->out_mark : 0;
}

bool wr_http_begun(const struct wr_http_req *req)
{
    return req->answer != ANSWER_NONE;
}

int wr_http_status(const struct wr_http_req *req)
{
    return req->status;
}

void wr_http_cut(struct wr_http_req *req)
{
    wr_http_conn_abort_(req->conn, WR_E_PROTO);
}
