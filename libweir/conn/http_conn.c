/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_private.h"

#include "libweir/base/err.h"
#include "libweir/io/sock.h"

#include <errno.h>

/* While the server stops, somebody who connected just before has so long for a first request. */
#define STOP_FIRST_MS 1000U

/*
 * One connection: bytes come in here, whole heads go to the handler, the rest of the connection's life is
 * decided in wr_http_conn_settle_, once, when the callbacks have returned.
 *
 *   phase    waits for                       deadline, then
 *   PROXY    the PROXY header                first_timeout_ms, close
 *   SHAKE    the handshake of TLS            handshake_timeout_ms, close
 *   FIRST    the first byte                  first_timeout_ms, close
 *   IDLE     the next request                idle_timeout_ms, close
 *   HEAD     the rest of a head              head_timeout_ms in all, 408
 *   BODY     bytes of a body                 body_timeout_ms without one, or too slow, 408
 *   HANDLE   the handler                     handler_timeout_ms without a piece, 503 or cut
 *   SEND     the client to take the answer   send_timeout_ms without a byte, or too slow, cut
 */

static uint64_t now_ms(const struct wr_http_conn *c)
{
    return wr_loop_now_ms(c->server->loop);
}

void wr_http_conn_init_(struct wr_http_conn *c, struct wr_http_server *s)
{
    c->server = s;
    c->req = NULL;
    wr_buf_init(&c->in, wr_loop_blocks(s->loop), wr_loop_budget(s->loop));
    c->limits = &s->limits;
    c->head_limits = &s->head;
    c->proxy = NULL;
    c->data[0] = c->data[1] = NULL;
    c->began_ms = c->last_ms = c->moved_ms = wr_loop_now_ms(s->loop);
    c->notsent_lowat = 0;
    uint64_t *serials = s->options.serials ? s->options.serials : &s->serials;
    c->serial = __atomic_add_fetch(serials, 1, __ATOMIC_RELAXED);
    c->peer_kind = WR_ADDR_NONE;
    c->slot = 0;
    c->shaking = c->plain = false;
    c->delay = s->options.listen.delay;
    c->window_bytes = 0;
    c->requests = c->phase_requests = 0;
    c->phase = HTTP_FIRST;
    c->eating = c->closing = c->dirty = c->eof = c->clogged = c->full = c->looked = false;
}

static bool request_over(struct wr_http_conn *c);

/* An answer that did not go out with the others of this turn is waited for, if its end is to be known. What is
 * gathered goes out in one send as good as always. */
static bool unsent(const struct wr_http_conn *c)
{
    return c->server->options.done_when_sent && c->link.out && wr_link_is_open(&c->link);
}

static void free_req(struct wr_http_conn *c)
{
    if (!c->req->keep_alive)
        c->closing = true;
    wr_http_req_free_(&c->req, c->req->refused ? WR_HTTP_REFUSED : WR_HTTP_ANSWERED, 0);
}

/* ---- bytes to requests -------------------------------------------------------------------------- */

/* The handler has returned. Unless the request is over with that, its head must outlive the bytes it came
 * in, if only for on_done. */
static void outlive_the_bytes(struct wr_http_conn *c)
{
    struct wr_http_req *req = c->req;
    bool done = req && req->answer == ANSWER_DONE;
    if (!req || (done && (req->body_done || !req->keep_alive) && wr_link_is_open(&c->link) &&
                 !unsent(c)))
        return;
    if (wr_http_req_keep_head_(req) == 0)
        return;
    c->dirty = true;
    if (req->answer == ANSWER_NONE)
        wr_http_req_refuse_(req, 503, WR_HTTP_ABORTED, WR_E_BUDGET);
    else if (done)
        req->keep_alive = false; /* over at once, while the bytes are here */
    if (c->req && !(done && wr_link_is_open(&c->link))) {
        wr_http_req_forget_head_(req);
        wr_link_close(&c->link, WR_CLOSE_MEMORY, WR_E_BUDGET);
    } else if (c->req) {
        free_req(c);
    }
}

/* The application answers, if it wants to; the request takes no more bytes. */
WR_COLD static void ask_to_refuse(struct wr_http_conn *c, int status, const char *reason)
{
    struct wr_http_req *req = c->req;
    bool outer = c->eating, fresh = !req->head_kept;
    c->requests += !req->handled;
    req->refused = req->handled = true;
    req->refusal = reason;
    req->keep_alive = false;
    req->body_done = true;
    req->on_body = NULL;
    req->on_whole = NULL;
    c->eating = true;
    c->server->options.on_refuse(req, status, reason, c->server->options.arg);
    if (fresh)
        outlive_the_bytes(c);
    c->eating = outer;
    if (!outer && c->req && c->req->answer == ANSWER_DONE)
        (void)request_over(c);
    wr_http_conn_settle_(c);
}

void wr_http_conn_refuse_(struct wr_http_conn *c, int status, const char *reason,
                          enum wr_http_end how, int err)
{
    c->dirty = true;
    if (c->server->options.on_refuse && !c->req->refused && wr_link_is_open(&c->link))
        ask_to_refuse(c, status, reason);
    else
        wr_http_req_refuse_(c->req, status, how, err);
}

/* Found by the very read that brought the head. */
static bool is_plain(const struct wr_http_conn *c)
{
    return c->plain || (c->shaking && wr_tls_is_plain(&c->link.stream));
}

static const char *const plain_on_tls = "plain HTTP on a TLS port";

WR_COLD static void refuse(struct wr_http_conn *c, struct wr_span in)
{
    const struct wr_refusal *r = &c->req->parse.refusal;
    uint64_t looked = c->req->parse.at > r->at ? c->req->parse.at : r->at;
    c->req->head_at = in.p; /* as far as it was looked at, however much more came with it */
    c->req->head_n = looked + 1 < in.n ? (size_t)looked + 1 : in.n;
    if (is_plain(c))
        wr_http_conn_refuse_(c, 497, plain_on_tls, WR_HTTP_REFUSED, 0);
    else
        wr_http_conn_refuse_(c, wr_reason_status(r->reason), wr_reason_text(r->reason),
                             WR_HTTP_REFUSED, 0);
}

static void head_complete(struct wr_http_conn *c)
{
    struct wr_http_req *req = c->req;
    struct wr_http_server *s = c->server;
    c->requests++;
    req->handled = true;
    req->announced = c->announced;
    c->announced = false;
    req->keep_alive = req->head.keep_alive && !s->stopping;
    if (WR_UNLIKELY(is_plain(c))) {
        wr_http_conn_refuse_(c, 497, plain_on_tls, WR_HTTP_REFUSED, 0);
        return;
    }
    wr_body_init_head(&req->body, &req->head, &c->head_limits->parse);
    req->body_done = wr_body_is_done(&req->body);
    if (req->head.has_content_length && req->head.content_length > s->limits.max_body) {
        wr_http_conn_refuse_(c, 413, "the body is longer than allowed", WR_HTTP_REFUSED, 0);
        return;
    }
    s->options.on_request(req, s->options.arg);
    outlive_the_bytes(c);
}

/* Most heads have few fields; for one with more the table grows, once, and the head is read again. */
static enum wr_parsed parse_head(struct wr_http_req *req, struct wr_span in)
{
    const struct wr_http_limits *limits = &req->conn->head_limits->parse;
    enum wr_parsed r = wr_parse_head(&req->parse, in);
    if (WR_LIKELY(r != WR_PARSED_BAD) || req->parse.refusal.reason != WR_BAD_FIELDS_MANY ||
        req->head.fields_cap >= limits->max_fields)
        return r;
    struct wr_field *table =
        wr_arena_alloc(&req->arena, limits->max_fields * sizeof(struct wr_field));
    if (!table)
        return r;
    wr_head_init(&req->head, table, limits->max_fields);
    wr_parse_init_request(&req->parse, &req->head, limits);
    return wr_parse_head(&req->parse, in);
}

/* False when the head goes on behind these bytes: they must be kept and shown again. */
static bool eat_head(struct wr_http_conn *c, struct wr_span *in)
{
    if (!c->req) {
        c->req = wr_pool_get(&c->server->reqs);
        if (!c->req) {
            wr_link_close(&c->link, WR_CLOSE_MEMORY, WR_E_BUDGET);
            return false;
        }
        wr_http_req_init_(c->req, c);
    }
    switch (parse_head(c->req, *in)) {
    case WR_PARSED_MORE:
        return false;
    case WR_PARSED_BAD:
        refuse(c, *in);
        return true;
    case WR_PARSED_DONE:
        c->req->head_at = in->p;
        c->req->head_n = c->req->head.size;
        *in = wr_span_sub(*in, c->req->head.size, in->n);
        head_complete(c);
        return true;
    }
    return false;
}

/* The request under way is over when its answer and its body are: makes room for the next. */
static bool request_over(struct wr_http_conn *c)
{
    struct wr_http_req *req = c->req;
    if (req->answer != ANSWER_DONE || unsent(c))
        return false;
    if (!req->body_done && !req->keep_alive)
        c->dirty = true;
    else if (!req->body_done)
        return false;
    free_req(c);
    return true;
}

/* Who pipelines more than it reads waits: the next request is begun when its answer has room. */
static bool full(const struct wr_http_conn *c)
{
    return (!c->req || !c->req->handled) &&
           wr_link_queued(&c->link) > c->server->options.output_high;
}

/* Eats from the front of *in what can be eaten now. What is left belongs to an unfinished head, to a
 * later request, or to a body that nobody wants yet. */
static void eat(struct wr_http_conn *c, struct wr_span *in)
{
    while (wr_link_is_open(&c->link) && !c->closing) {
        if (c->req && c->req->handled) {
            /* also without bytes: a body that was paused at its last piece has its end left */
            if (!c->req->body_done && !wr_http_req_feed_(c->req, in))
                break;
            if (!c->req) /* refused while feeding */
                continue;
            if (!request_over(c))
                break;
            continue;
        }
        if (in->n == 0 || full(c) || !eat_head(c, in))
            break;
    }
}

/* What was not eaten must survive the scratch: the only copy a byte may see on its way in. */
static void keep_rest(struct wr_http_conn *c, struct wr_span rest)
{
    if (rest.n == 0 || !wr_link_is_open(&c->link) || (c->req && c->req->refused))
        return;
    if (c->closing) {
        c->dirty = true; /* who says more than is heard may go on */
        return;
    }
    if (wr_buf_put_span(&c->in, rest) != 0)
        wr_link_close(&c->link, WR_CLOSE_MEMORY, WR_E_BUDGET);
}

static void eat_kept(struct wr_http_conn *c)
{
    struct wr_span in = wr_buf_span(&c->in);
    size_t had = in.n;
    eat(c, &in);
    if (in.n == had)
        return;
    if (in.n == 0) {
        wr_buf_deinit(&c->in);
        return;
    }
    memmove(wr_buf_data(&c->in), in.p, in.n);
    wr_buf_truncate(&c->in, in.n);
}

/* Wants bytes: between requests, within a head, or for a body that somebody reads or skips. */
static bool hungry(const struct wr_http_conn *c)
{
    const struct wr_http_req *req = c->req;
    if (!wr_link_is_open(&c->link) || c->closing || c->eof || full(c))
        return false;
    if (!req || !req->handled)
        return true;
    if (req->body_done || req->body_paused)
        return false;
    if (req->answer == ANSWER_DONE) /* to skip the rest, if there is to be a next request */
        return req->keep_alive;
    return req->on_body || req->on_whole;
}

static ssize_t read_more(struct wr_http_conn *c)
{
    struct wr_span kept = wr_buf_span(&c->in);
    if (kept.n == 0) {
        char *scratch = wr_loop_scratch(c->server->loop);
        ssize_t n = wr_link_read(&c->link, scratch, WR_LOOP_SCRATCH);
        if (n > 0) {
            struct wr_span in = wr_span(scratch, (size_t)n);
            eat(c, &in);
            keep_rest(c, in);
        }
        return n;
    }
    char *room;
    int err = wr_buf_reserve(&c->in, 4096, &room);
    if (err)
        return err;
    ssize_t n = wr_link_read(&c->link, room, 4096);
    wr_buf_commit(&c->in, n > 0 ? (size_t)n : 0);
    if (n > 0)
        eat_kept(c);
    return n;
}

static ssize_t read_some(struct wr_http_conn *c)
{
    if (WR_LIKELY(!c->shaking)) {
        ssize_t n = read_more(c);
        if (n > 0)
            c->moved_ms = now_ms(c);
        return n;
    }
    uint64_t before = wr_tls_wire_in(&c->link.stream);
    ssize_t n = read_more(c);
    if (wr_link_is_open(&c->link))
        wr_http_front_look_(c, before);
    return n;
}

/* What there is of a head that does not come whole. */
static void show_half(struct wr_http_conn *c)
{
    struct wr_span in = wr_buf_span(&c->in);
    (void)!wr_parse_head(&c->req->parse,
                         in); /* the spans follow the bytes to where they lie now */
    c->req->head_at = in.p;
    c->req->head_n = in.n;
}

/* The peer sends no more. Between requests that is the end; a request under way is still answered. */
static void on_eof(struct wr_http_conn *c)
{
    struct wr_http_req *req = c->req;
    c->eof = true;
    if (!req)
        return;
    if (!req->handled && wr_parse_is_idle(&req->parse)) {
        wr_http_req_free_(&c->req, WR_HTTP_ABORTED, WR_E_CLOSED);
    } else if (!req->handled) {
        show_half(c);
        wr_http_conn_refuse_(c, 400, wr_reason_text(WR_BAD_TRUNCATED), WR_HTTP_REFUSED, 0);
    } else {
        req->keep_alive = false;
        if (!request_over(c) && req->answer != ANSWER_DONE && !req->refused)
            wr_http_conn_abort_(c, WR_E_CLOSED);
    }
}

/* A handler is at work and the peer has said that it sends no more. Behind what it had still sent that
 * means that it left, unless half-closed clients are wanted. */
WR_COLD static void on_hang_up(struct wr_http_conn *c)
{
    bool answered = c->req->answer == ANSWER_DONE || c->req->refused;
    if (c->server->options.serve_half_closed || c->eof || answered || wr_buf_span(&c->in).n)
        return;
    char *scratch = wr_loop_scratch(c->server->loop);
    ssize_t n = wr_link_read(&c->link, scratch, WR_LOOP_SCRATCH);
    if (n > 0)
        keep_rest(c, wr_span(scratch, (size_t)n));
    else if (n == 0)
        c->eof = true, wr_http_conn_abort_(c, WR_E_CLOSED);
    else if (n != -EAGAIN)
        wr_link_close(&c->link, WR_CLOSE_RESET, WR_E_CLOSED);
}

static void on_ready(struct wr_link *l)
{
    struct wr_http_conn *c = http_conn_of(l);
    size_t got = 0;
    if (WR_UNLIKELY(c->phase <= HTTP_SHAKE)) {
        if (c->phase == HTTP_PROXY && !wr_http_front_proxy_(c))
            return;
        if (c->shaking && wr_http_front_postpone_(c))
            return;
    }
    c->eating = c->server->eating = true;
    c->looked = c->server->stopping;
    c->announced = wr_io_announced(&l->io);
    if (wr_buf_span(&c->in).n || c->req)
        eat_kept(c);
    for (unsigned calls = 0; hungry(c); calls++) {
        if (calls == WR_IO_TURN_CALLS || got >= WR_IO_TURN_BYTES) {
            wr_link_again(l);
            break;
        }
        ssize_t n = read_some(c);
        if (n == -EAGAIN)
            break;
        if (n == 0) {
            on_eof(c);
            break;
        }
        if (n < 0) {
            wr_link_close(l, wr_close_of((int)n), (int)n);
            break;
        }
        got += (size_t)n;
        if (!l->stream.readable) /* dry: the next edge says when not */
            break;
    }
    if (l->stream.hang_up && c->req && !hungry(c))
        on_hang_up(c);
    c->full = full(c);
    c->eating = c->server->eating = false;
    wr_http_conn_settle_(c);
}

/* ---- where the connection stands ------------------------------------------------------------------- */

/* Output counts only once a flush has left some of it behind: what was put in this turn is on its way. */
static enum http_phase phase_of(const struct wr_http_conn *c)
{
    const struct wr_http_req *req = c->req;
    if (!req && (c->shaking || c->phase == HTTP_PROXY) && !c->closing)
        return c->shaking ? HTTP_SHAKE : HTTP_PROXY;
    if (c->clogged || (!req && c->closing) || (req && req->answer == ANSWER_DONE && unsent(c)))
        return HTTP_SEND;
    if (!req)
        return c->requests ? HTTP_IDLE : HTTP_FIRST;
    if (!req->handled)
        return HTTP_HEAD;
    return hungry(c) ? HTTP_BODY : HTTP_HANDLE;
}

static uint64_t window_counter(const struct wr_http_conn *c)
{
    return c->phase == HTTP_SEND ? c->link.stream.bytes_out : c->link.stream.bytes_in;
}

static uint32_t min_rate(const struct wr_http_conn *c)
{
    return c->phase == HTTP_SEND ? c->limits->min_send_bytes_per_s
                                 : c->limits->min_body_bytes_per_s;
}

static uint64_t window_due(const struct wr_http_conn *c)
{
    return min_rate(c) ? http_until(c->last_ms, c->limits->rate_window_ms) : UINT64_MAX;
}

/* Of a body: the end of a silence, counted from its first moment or the last byte. */
static uint64_t silence_due(const struct wr_http_conn *c)
{
    if (c->phase != HTTP_BODY)
        return UINT64_MAX; /* the link knows how long output stands still */
    return http_until(c->moved_ms, c->limits->body_timeout_ms);
}

static uint32_t idle_ms(const struct wr_http_conn *c)
{
    const struct wr_http_conn_limits *o = c->limits;
    bool stopping = c->server->stopping && o->min_idle_ms < o->idle_timeout_ms;
    return stopping ? o->min_idle_ms : o->idle_timeout_ms;
}

static uint64_t newcomer_due(const struct wr_http_conn *c, uint64_t since_ms, uint32_t limit_ms)
{
    bool hurry = c->server->stopping && limit_ms > STOP_FIRST_MS;
    return http_until(since_ms, hurry ? STOP_FIRST_MS : limit_ms);
}

uint64_t wr_http_conn_due_(const struct wr_http_conn *c)
{
    const struct wr_http_head_limits *head = c->head_limits;
    switch ((enum http_phase)c->phase) {
    case HTTP_SHAKE:
        return newcomer_due(c, c->began_ms, c->server->options.tls.handshake_timeout_ms);
    case HTTP_PROXY:
    case HTTP_FIRST:
        return newcomer_due(c, c->last_ms, head->first_timeout_ms);
    case HTTP_IDLE:
        return http_until(c->last_ms, idle_ms(c));
    case HTTP_HEAD:
        return http_until(c->last_ms, head->head_timeout_ms);
    case HTTP_HANDLE:
        return http_until(c->last_ms, c->limits->handler_timeout_ms);
    case HTTP_BODY:
    case HTTP_SEND:
        break;
    }
    uint64_t window = window_due(c), silence = silence_due(c);
    return window < silence ? window : silence;
}

/* Nothing more is wanted of the peer. When the answer is out: a plain close, unless bytes may come that
 * would turn it into a RST and take our answer with them. */
static void end(struct wr_http_conn *c)
{
    enum wr_close why = c->server->stopping ? WR_CLOSE_STOP
                        : c->eof            ? WR_CLOSE_PEER
                                            : WR_CLOSE_LOCAL;
    if (wr_buf_span(&c->in).n || (c->link.stream.readable && !c->eof))
        c->dirty = true;
    wr_buf_deinit(&c->in);
    wr_link_hold(&c->link, false);
    if (wr_link_queued(&c->link))
        return; /* on_flushed comes back */
    bool linger = c->dirty || c->limits->linger == WR_HTTP_LINGER_ALWAYS;
    if (linger && c->limits->linger != WR_HTTP_LINGER_OFF)
        wr_link_finish(&c->link, why, 0);
    else
        wr_link_close(&c->link, why, 0);
}

/* Between requests a stopping server closes, but not before it has read what was sent in good faith: a
 * request that lies in the socket is answered, not reset. */
static bool over(const struct wr_http_conn *c)
{
    bool stopping = c->looked && c->requests && wr_buf_span(&c->in).n == 0;
    if (stopping && c->limits->min_idle_ms) /* on_time ends it */
        stopping = c->phase == HTTP_IDLE && now_ms(c) >= c->last_ms + c->limits->min_idle_ms;
    return !c->req && (c->closing || c->eof || stopping);
}

void wr_http_conn_settle_(struct wr_http_conn *c)
{
    if (!wr_link_is_open(&c->link) || c->eating)
        return;
    if (over(c)) {
        c->closing = true;
        end(c);
        if (!wr_link_is_open(&c->link) || c->link.gathered)
            return; /* what was gathered goes out now: on_flushed comes back */
    }
    enum http_phase phase = phase_of(c);
    /* The same phase of another request has its own deadline; output is one stream. */
    if (phase == (enum http_phase)c->phase &&
        (phase == HTTP_SEND || c->requests == c->phase_requests))
        return;
    c->phase = (uint8_t)phase;
    c->phase_requests = c->requests;
    c->last_ms = c->moved_ms = now_ms(c);
    c->window_bytes = window_counter(c);
    wr_link_wake_by(&c->link, wr_http_conn_due_(c));
}

void wr_http_conn_stop_(struct wr_http_conn *c)
{
    if (!wr_link_is_open(&c->link))
        return;
    if (!c->req)
        wr_http_conn_wake_(c);
    wr_link_wake_by(&c->link, wr_http_conn_due_(c)); /* FIRST has less time from now on */
}

/* Such an answer must not look whole when the connection ends early. */
static bool ends_with_connection(const struct wr_http_req *req)
{
    return req && req->answer == ANSWER_BEGUN && req->owed == WR_HTTP_CHUNKED && !req->chunked;
}

static void cut(struct wr_http_conn *c, enum wr_close why, int err)
{
    if (ends_with_connection(c->req))
        (void)wr_sock_reset_on_close(wr_link_fd(&c->link));
    wr_link_close(&c->link, why, err);
}

void wr_http_conn_abort_(struct wr_http_conn *c, int err)
{
    if (ends_with_connection(c->req)) {
        cut(c, WR_CLOSE_LOCAL, err);
        return;
    }
    c->closing = c->dirty = true;
    wr_http_req_free_(&c->req, WR_HTTP_ABORTED, err);
    wr_http_conn_settle_(c);
}

void wr_http_conn_wake_(struct wr_http_conn *c)
{
    if (c->eating || !wr_link_is_open(&c->link))
        return;
    wr_link_again(&c->link);
}

void wr_http_conn_answered_(struct wr_http_conn *c)
{
    if (c->eating)
        return;
    if (c->req)
        (void)request_over(c); /* or the rest of its body is to be skipped */
    if (!c->closing)
        wr_http_conn_wake_(c);
    wr_http_conn_settle_(c);
}

static void on_flushed(struct wr_link *l)
{
    struct wr_http_conn *c = http_conn_of(l);
    struct wr_http_req *req = c->req;
    bool was_clogged = c->clogged;
    if (!wr_link_is_open(l))
        return;
    c->clogged = wr_link_queued(l) > 0;
    if (WR_LIKELY(!req && !c->closing && !c->clogged && !was_clogged && !c->full))
        return; /* between requests, and nothing had waited: on_ready has settled it */
    bool room = wr_link_queued(l) <= c->server->options.output_high / 2;
    if (c->full && room) {
        c->full = false;
        wr_http_conn_wake_(c);
    }
    if (req && req->answer == ANSWER_DONE && !c->clogged && !c->eating && request_over(c)) {
        if (!c->closing)
            wr_http_conn_wake_(c);
        wr_http_conn_settle_(c);
        return;
    }
    if (req && req->above_high && room) {
        req->above_high = false;
        if (req->on_drain && req->answer != ANSWER_DONE)
            req->on_drain(req, req->drain_arg);
    }
    wr_http_conn_settle_(c);
}

/* ---- deadlines ---------------------------------------------------------------------------------------- */

static bool moves_enough(const struct wr_http_conn *c)
{
    uint64_t moved = window_counter(c) - c->window_bytes;
    return moved * 1000 >= (uint64_t)min_rate(c) * c->limits->rate_window_ms;
}

/* It was answered; only the rest of a body that nobody wants does not come. */
static void give_up_rest(struct wr_http_conn *c)
{
    c->req->keep_alive = false;
    (void)request_over(c);
    wr_http_conn_settle_(c);
}

static void too_slow(struct wr_http_conn *c)
{
    if (!c->req->handled)
        show_half(c);
    wr_http_conn_refuse_(c, 408, "the client was too slow", WR_HTTP_ABORTED, WR_E_DEADLINE);
}

/* Who was too slow gets a RST, when that is wanted, and no answer. */
static bool reset(struct wr_http_conn *c)
{
    if (!c->limits->reset_on_timeout || c->phase == HTTP_HANDLE)
        return false;
    (void)wr_sock_reset_on_close(wr_link_fd(&c->link));
    if (c->req && c->req->answer == ANSWER_NONE)
        c->req->status = 408;
    wr_link_close(&c->link, WR_CLOSE_TIMEOUT, WR_E_DEADLINE);
    return true;
}

static void out_of_time(struct wr_http_conn *c)
{
    switch ((enum http_phase)c->phase) {
    case HTTP_PROXY:
    case HTTP_SHAKE:
    case HTTP_FIRST:
        if (!reset(c))
            wr_link_close(&c->link, c->server->stopping ? WR_CLOSE_STOP : WR_CLOSE_HANDSHAKE,
                          WR_E_DEADLINE);
        return;
    case HTTP_IDLE:
        wr_link_finish(&c->link, WR_CLOSE_IDLE, WR_E_IDLE);
        return;
    case HTTP_SEND:
        cut(c, WR_CLOSE_WRITE_STALL, WR_E_WRITE_STALL);
        return;
    case HTTP_HEAD:
    case HTTP_BODY:
    case HTTP_HANDLE:
        break;
    }
    if (reset(c))
        return;
    c->dirty = true;
    if (c->req->answer == ANSWER_BEGUN)
        cut(c, WR_CLOSE_TIMEOUT, WR_E_DEADLINE);
    else if (c->req->answer == ANSWER_DONE)
        give_up_rest(c);
    else if (c->phase == HTTP_HANDLE)
        wr_http_req_refuse_(c->req, 503, WR_HTTP_ABORTED, WR_E_DEADLINE);
    else
        too_slow(c);
}

static uint64_t on_time(struct wr_link *l, uint64_t now)
{
    struct wr_http_conn *c = http_conn_of(l);
    uint64_t due = wr_http_conn_due_(c);
    if (now < due)
        return due;
    if ((c->phase == HTTP_BODY || c->phase == HTTP_SEND) && now < silence_due(c) &&
        moves_enough(c)) {
        c->last_ms = now;
        c->window_bytes = window_counter(c);
        return wr_http_conn_due_(c);
    }
    out_of_time(c);
    return wr_link_is_open(l) ? wr_http_conn_due_(c) : UINT64_MAX;
}

static void on_closed(struct wr_link *l, enum wr_close why, int err)
{
    struct wr_http_conn *c = http_conn_of(l);
    if (c->req)
        wr_http_req_free_(&c->req, WR_HTTP_ABORTED,
                          why == WR_CLOSE_STOP   ? WR_E_STOPPED
                          : err == WR_E_DEADLINE ? err
                                                 : WR_E_CLOSED);
    wr_buf_deinit(&c->in);
    wr_http_front_closed_(c);
    if (c->server->options.on_conn_close)
        c->server->options.on_conn_close(c, why, err, c->server->options.arg);
    wr_http_server_conn_gone_(c->server, c);
}

const struct wr_link_ops wr_http_conn_ops_ = {
    .on_ready = on_ready,
    .on_flushed = on_flushed,
    .on_time = on_time,
    .on_closed = on_closed,
};
