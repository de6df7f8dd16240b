/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/request_private.h"

#include "libweir/base/num.h"
#include "libweir/io/log.h"

#include <errno.h>
#include <stdio.h>

/*
 * The head of an answer, in the order of fields that clients of nginx know: Server, Date, Content-Type,
 * Content-Length, Last-Modified, Location (when made absolute here), Transfer-Encoding, Connection, ETag, all
 * others. Fixed parts were formed when the configuration was loaded.
 */

/* ---- fields --------------------------------------------------------------------------------------------------------- */

int web_header_add(struct web_req *r, struct wr_span name, struct wr_span value)
{
    struct web_header *h = wr_arena_alloc(r->arena, sizeof(*h));
    if (!h)
        return -ENOMEM;
    *h = (struct web_header){NULL, name, value};
    *r->out.headers_tail = h;
    r->out.headers_tail = &h->next;
    return 0;
}

struct web_header *web_header_find(const struct web_out *out, struct wr_span name)
{
    for (struct web_header *h = out->headers; h; h = h->next)
        if (h->value.p && wr_span_ieq(h->name, name))
            return h;
    return NULL;
}

void web_clear_length(struct web_req *r)
{
    r->out.length = WEB_LENGTH_UNKNOWN;
}

void web_clear_ranges(struct web_req *r)
{
    struct web_header *h = web_header_find(&r->out, WR_LIT("Accept-Ranges"));
    r->out.allow_ranges = false;
    if (h)
        h->value.p = NULL;
}

void web_weaken_etag(struct web_req *r)
{
    struct wr_span e = r->out.etag;
    if (!e.n || wr_span_has_prefix(e, WR_LIT("W/")))
        return;
    char *p = e.p[0] == '"' ? wr_arena_alloc(r->arena, e.n + 2) : NULL;
    r->out.etag = (struct wr_span){0};
    if (!p)
        return;
    p[0] = 'W';
    p[1] = '/';
    memcpy(p + 2, e.p, e.n);
    r->out.etag = wr_span(p, e.n + 2);
}

/* ---- the status line ------------------------------------------------------------------------------------------------ */

/* As clients of nginx see it; a status without a phrase is a number and a blank. */
static struct wr_span phrase(int status)
{
    static const struct {
        int status;
        struct wr_span line;
    } rows[] = {
#define ROW(n, text) {n, WR_LIT("HTTP/1.1 " #n " " text "\r\n")}
        ROW(200, "OK"),
        ROW(304, "Not Modified"),
        ROW(404, "Not Found"),
        ROW(206, "Partial Content"),
        ROW(301, "Moved Permanently"),
        ROW(302, "Moved Temporarily"),
        ROW(201, "Created"),
        ROW(202, "Accepted"),
        ROW(204, "No Content"),
        ROW(303, "See Other"),
        ROW(307, "Temporary Redirect"),
        ROW(308, "Permanent Redirect"),
        ROW(400, "Bad Request"),
        ROW(401, "Unauthorized"),
        ROW(402, "Payment Required"),
        ROW(403, "Forbidden"),
        ROW(405, "Not Allowed"),
        ROW(406, "Not Acceptable"),
        ROW(408, "Request Time-out"),
        ROW(409, "Conflict"),
        ROW(410, "Gone"),
        ROW(411, "Length Required"),
        ROW(412, "Precondition Failed"),
        ROW(413, "Request Entity Too Large"),
        ROW(414, "Request-URI Too Large"),
        ROW(415, "Unsupported Media Type"),
        ROW(416, "Requested Range Not Satisfiable"),
        ROW(421, "Misdirected Request"),
        ROW(429, "Too Many Requests"),
        ROW(500, "Internal Server Error"),
        ROW(501, "Not Implemented"),
        ROW(502, "Bad Gateway"),
        ROW(503, "Service Temporarily Unavailable"),
        ROW(504, "Gateway Time-out"),
        ROW(505, "HTTP Version Not Supported"),
        ROW(507, "Insufficient Storage"),
#undef ROW
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].line;
    return (struct wr_span){0};
}

/* ---- forming -------------------------------------------------------------------------------------------------------- */

#define FIXED_MAX 512 /* all that is not a text of the answer's own or of the configuration's */

struct writer {
    char *at;
};

static inline void put(struct writer *w, struct wr_span s)
{
    memcpy(w->at, s.p, s.n);
    w->at += s.n;
}

static inline void field(struct writer *w, struct wr_span name, struct wr_span value)
{
    put(w, name);
    put(w, value);
    *w->at++ = '\r';
    *w->at++ = '\n';
}
#define FIELD(w, name, value) field((w), WR_LIT(name ": "), (value))

static bool safe(struct wr_span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' && s.p[i] != '\t')
            return false;
    return true;
}

static void put_number(struct writer *w, struct wr_span name, uint64_t v)
{
    char digits[WR_NUM_TEXT];
    size_t n = wr_num_print_u64(digits, v);
    field(w, name, wr_span(digits, n));
}

static size_t size_of(const struct web_req *r)
{
    const struct web_out *o = &r->out;
    size_t n = FIXED_MAX + core_of(r->location)->server_line.n + o->status_line.n + o->type.n +
               o->charset.n + o->location.n + o->etag.n + o->encoding.n +
               o->last_modified_text.n;
    for (const struct web_header *h = o->headers; h; h = h->next)
        n += h->name.n + h->value.n + 4;
    return n;
}

static void put_status(struct writer *w, const struct web_out *o)
{
    struct wr_span line = phrase(o->status);
    if (o->status_line.n) {
        put(w, WR_LIT("HTTP/1.1 "));
        put(w, o->status_line);
        put(w, WR_LIT("\r\n"));
    } else if (line.p) {
        put(w, line);
    } else {
        w->at += snprintf(w->at, 32, "HTTP/1.1 %03d \r\n", o->status % 1000);
    }
}

static void put_type(struct writer *w, const struct web_out *o)
{
    put(w, WR_LIT("Content-Type: "));
    put(w, o->type);
    if (o->charset.n) {
        put(w, WR_LIT("; charset="));
        put(w, o->charset);
    }
    put(w, WR_LIT("\r\n"));
}

static void put_modified(struct writer *w, const struct web_out *o)
{
    if (o->last_modified_text.n) {
        FIELD(w, "Last-Modified", o->last_modified_text);
    } else if (o->last_modified >= 0) {
        put(w, WR_LIT("Last-Modified: "));
        wr_date_format(o->last_modified, w->at);
        w->at += WR_DATE_LEN;
        put(w, WR_LIT("\r\n"));
    }
}

static int put_server(struct writer *w, struct web_req *r)
{
    const struct core_location *c = core_of(r->location);
    struct wr_span text;
    if (c->tokens.mode != CORE_TOKENS_TEXT || web_value_constant(&c->tokens.text)) {
        put(w, c->server_line);
        return 0;
    }
    if (web_value_eval(r, &c->tokens.text, &text))
        return -ENOMEM;
    /* It was not counted when the room was. */
    if (text.n && text.n < FIXED_MAX / 4 && safe(text))
        FIELD(w, "Server", text);
    return 0;
}

static void put_others(struct writer *w, struct web_req *r)
{
    const struct web_out *o = &r->out;
    if (o->etag.n)
        FIELD(w, "ETag", o->etag);
    for (const struct web_header *h = o->headers; h; h = h->next) {
        if (!h->value.p)
            continue;
        put(w, h->name);
        put(w, WR_LIT(": "));
        put(w, h->value);
        put(w, WR_LIT("\r\n"));
    }
    if (o->encoding.n)
        FIELD(w, "Content-Encoding", o->encoding);
}

static inline void leave_out(struct web_req *r, struct wr_span *value, const char *what)
{
    if (value->n == 0 || WR_LIKELY(safe(*value)))
        return;
    web_error(r, WR_LOG_ERROR, 0, "%s of the answer holds control characters: left out", what);
    *value = (struct wr_span){0};
}

/* No CR, LF or other control may come from a variable: the answer would be another one. */
static void make_safe(struct web_req *r)
{
    struct web_out *o = &r->out;
    for (struct web_header *h = o->headers; h; h = h->next) {
        if (!h->value.p)
            continue;
        leave_out(r, &h->value, "a header");
        if (h->value.p && !safe(h->name))
            h->value.p = NULL;
    }
    leave_out(r, &o->type, "the type");
    leave_out(r, &o->charset, "the charset");
    leave_out(r, &o->location, "the location");
    leave_out(r, &o->etag, "the etag");
    leave_out(r, &o->encoding, "the encoding");
    leave_out(r, &o->status_line, "the status line");
    leave_out(r, &o->last_modified_text, "the date");
}

bool answer_has_body(const struct web_req *r)
{
    return r->method != WR_METHOD_HEAD && r->out.status != 204 && r->out.status != 304;
}

/* How the body's end is told: its length, chunks, or the end of the connection. */
static uint64_t framing(struct web_req *r)
{
    if (!answer_has_body(r))
        return r->out.length == WEB_LENGTH_UNKNOWN ? 0 : r->out.length;
    if (r->out.length != WEB_LENGTH_UNKNOWN)
        return r->out.length;
    if (r->head->minor >= 1 && core_of(r->location)->chunked_transfer_encoding)
        return WR_HTTP_CHUNKED;
    return WR_HTTP_UNTIL_CLOSE;
}

static bool disabled_browser(const struct web_req *r)
{
    const struct core_location *c = core_of(r->location);
    struct wr_span agent = wr_head_get(r->head, WR_H_USER_AGENT);
    if (c->keepalive_disable & CORE_DISABLE_NONE || !agent.n)
        return false;
    if (r->method == WR_METHOD_POST && c->keepalive_disable & CORE_DISABLE_MSIE6) {
        ptrdiff_t at = wr_span_find(agent, WR_LIT("MSIE "));
        if (at >= 0 && (size_t)at + 6 < agent.n && agent.p[at + 6] == '.' &&
            agent.p[at + 5] >= '4' && agent.p[at + 5] <= '6')
            return true;
    }
    return c->keepalive_disable & CORE_DISABLE_SAFARI &&
           wr_span_find(agent, WR_LIT("Safari/")) >= 0 &&
           wr_span_find(agent, WR_LIT("Mac OS X")) >= 0 &&
           wr_span_find(agent, WR_LIT("Chrome")) < 0;
}

/* absolute: where Location stands depends on who made it so. */
static int put_all(struct writer *w, struct web_req *r, uint64_t length, bool absolute,
                   bool keep)
{
    struct top *t = top_of(r);
    struct web_out *o = &r->out;
    bool chunked = length == WR_HTTP_CHUNKED;
    put_status(w, o);
    if (put_server(w, r))
        return -ENOMEM;
    put(w, web_worker_date(t->worker));
    if (o->type.n)
        put_type(w, o);
    if (o->length != WEB_LENGTH_UNKNOWN && o->status != 204)
        put_number(w, WR_LIT("Content-Length: "), o->length);
    put_modified(w, o);
    if (absolute)
        FIELD(w, "Location", o->location);
    if (chunked)
        put(w, WR_LIT("Transfer-Encoding: chunked\r\n"));
    if (keep)
        put(w, core_of(r->location)->keep_alive_line);
    else
        put(w, WR_LIT("Connection: close\r\n"));
    if (o->location.n && !absolute)
        FIELD(w, "Location", o->location);
    put_others(w, r);
    put(w, WR_LIT("\r\n"));
    return 0;
}

#define STACK_MAX 2048

int answer_head(struct top *t)
{
    struct web_req *r = &t->q.r;
    struct web_out *o = &r->out;
    char stack[STACK_MAX], *mem = stack;
    bool absolute =
        o->location.n && o->location.p[0] == '/' && core_of(r->location)->absolute_redirect;
    if (absolute && web_absolute(r, o->location, &o->location))
        return -ENOMEM;
    make_safe(r);
    uint64_t length = framing(r);
    if (length == WR_HTTP_UNTIL_CLOSE || r->no_keepalive || disabled_browser(r))
        wr_http_set_close(r->http);
    size_t need = size_of(r);
    if (need > STACK_MAX && !(mem = wr_arena_alloc(r->arena, need)))
        return -ENOMEM;
    struct writer w = {mem};
    if (put_all(&w, r, length, absolute, wr_http_keep_alive(r->http)))
        return -ENOMEM;
    r->head_bytes = (uint64_t)(w.at - mem);
    return wr_http_begin_head(r->http, o->status, wr_span(mem, (size_t)(w.at - mem)), length);
}

/* ---- ready made ---------------------------------------------------------------------------------------------*/

static int form_one(struct web_req *r, size_t need, bool keep, struct wr_span *out)
{
    char *mem = wr_arena_alloc(r->arena, need);
    if (!mem)
        return -ENOMEM;
    struct writer w = {mem};
    int err = put_all(&w, r, r->out.length, false, keep);
    *out = wr_span(mem, (size_t)(w.at - mem));
    return err;
}

int web_form_heads(struct web_req *r, struct web_formed *out)
{
    const struct web_out *o = &r->out;
    size_t need = size_of(r);
    if (o->location.n || o->status != 200 || o->length == WEB_LENGTH_UNKNOWN)
        return -EINVAL;
    make_safe(r);
    int err = form_one(r, need, true, &out->keep);
    if (!err)
        err = form_one(r, need, false, &out->close);
    if (err)
        return err;
    ptrdiff_t at = wr_span_find(out->keep, WR_LIT("\r\nDate: "));
    if (at < 0)
        return -EINVAL;
    out->date_at = (uint32_t)at + 8;
    out->date_s = 0;
    return 0;
}

int web_send_formed(struct web_req *r, struct web_formed *f, struct wr_span body)
{
    struct request *q = request_of(r);
    struct top *t = q->top;
    if (!r->http || t->cut)
        return WEB_ERROR;
    if (t->pending) /* a mirror's copy would end with the request */
        return WEB_NEXT;
    struct wr_span date = web_worker_date(t->worker);
    if (f->date_s != t->worker->date_s) {
        memcpy((char *)(uintptr_t)f->keep.p + f->date_at, date.p + 6, WR_DATE_LEN);
        memcpy((char *)(uintptr_t)f->close.p + f->date_at, date.p + 6, WR_DATE_LEN);
        f->date_s = t->worker->date_s;
    }
    if (r->no_keepalive || disabled_browser(r))
        wr_http_set_close(r->http);
    struct wr_span head = wr_http_keep_alive(r->http) ? f->keep : f->close;
    r->out.status = 200;
    r->header_only = r->method == WR_METHOD_HEAD;
    r->head_sent = t->begun = t->complete = q->last_given = q->finished = q->done = true;
    r->head_bytes = head.n;
    r->body_bytes = r->header_only ? 0 : body.n;
    (void)wr_http_reply_bytes(r->http, 200, head, body); /* calls request_on_done */
    return WEB_DONE;
}

/* ---- sending -------------------------------------------------------------------------------------------------------- */

static int filter_head(struct web_req *r)
{
    for (int (*const *fn)(struct web_req *) = r->location->head_filters; *fn; fn++) {
        int rc = (*fn)(r);
        if (rc)
            return rc;
    }
    return 0;
}

/* What does not go with the status. */
static void drop_fields(struct web_out *o)
{
    if (o->status != 200 && o->status != 206 && o->status != 304) {
        o->last_modified = -1;
        o->last_modified_text = (struct wr_span){0};
    }
    if (o->status == 204) {
        o->type = (struct wr_span){0};
        o->length = WEB_LENGTH_UNKNOWN;
    }
}

static int send_head(struct web_req *r)
{
    struct request *q = request_of(r);
    struct top *t = q->top;
    if (r->head_sent) {
        web_error(r, WR_LOG_CRIT, 0, "header already sent");
        return WEB_ERROR;
    }
    if (r->err_status) {
        r->out.status = r->err_status;
        r->out.status_line = (struct wr_span){0};
    }
    if (!r->out.status)
        r->out.status = 200;
    int rc = filter_head(r);
    if (rc)
        return rc;
    r->head_sent = true;
    if (q->sub) {
        r->header_only = q->options.no_body;
        return r->header_only ? WEB_DONE : 0;
    }
    drop_fields(&r->out);
    r->header_only = !answer_has_body(r);
    if (r->out.expect_trailers && !r->header_only && r->head->minor >= 1 &&
        core_of(r->location)->chunked_transfer_encoding)
        r->out.length = WEB_LENGTH_UNKNOWN;
    if (answer_head(t)) {
        request_cut(t);
        return WEB_ERROR;
    }
    t->begun = true;
    sink_begin(t);
    if (t->active->held && output_flush(t) < 0)
        return WEB_ERROR;
    return r->header_only ? WEB_DONE : 0;
}

/* The field lines behind the last chunk; p == NULL: none. */
static struct wr_span trailer_lines(struct web_req *r)
{
    size_t n = 0;
    for (const struct web_header *h = r->out.trailers; h; h = h->next)
        if (h->value.p && safe(h->name) && safe(h->value))
            n += h->name.n + h->value.n + 4;
    struct writer w = {n ? wr_arena_alloc(r->arena, n) : NULL};
    if (!w.at)
        return (struct wr_span){0};
    for (const struct web_header *h = r->out.trailers; h; h = h->next) {
        if (!h->value.p || !safe(h->name) || !safe(h->value))
            continue;
        put(&w, h->name);
        put(&w, WR_LIT(": "));
        put(&w, h->value);
        put(&w, WR_LIT("\r\n"));
    }
    return wr_span(w.at - n, n);
}

void answer_end(struct top *t)
{
    struct web_req *r = &t->q.r;
    struct wr_span lines = {0};
    if (r->out.trailers && wr_http_chunked(r->http))
        lines = trailer_lines(r);
    if (lines.p)
        (void)wr_http_end_trailers(r->http, lines);
    else
        (void)wr_http_end(r->http);
}

int web_send_head(struct web_req *r)
{
    struct top *t = top_of(r);
    if (!r->http || t->cut)
        return WEB_ERROR;
    web_enter(t);
    int rc = send_head(r);
    web_leave_later(t);
    return rc;
}

int web_reply(struct web_req *r, int status, struct wr_span type, struct wr_span body)
{
    r->out.status = status;
    r->out.type = type;
    r->out.length = body.n;
    int rc = web_send_head(r);
    if (rc)
        return rc;
    struct web_piece piece = {.kind = WEB_MEM, .last = true, .mem = body};
    rc = web_send(r, &piece);
    return rc < 0 ? WEB_ERROR : WEB_DONE;
}

int web_redirect(struct web_req *r, int status, struct wr_span location)
{
    r->out.location = location;
    return status;
}

/* ---- absolute addresses ----------------------------------------------------------------------------------------------- */

static uint16_t port_of(struct web_req *r)
{
    const struct wr_addr *a = r->conn->listen->wild || r->conn->listen->options.addr.port
                                  ? &r->conn->listen->options.addr
                                  : web_local(r);
    return a->kind == WR_ADDR_UNIX ? 0 : a->port;
}

static struct wr_span server_of(struct web_req *r, char *text)
{
    const struct core_location *c = core_of(r->location);
    struct wr_span name = c->server_name_in_redirect ? r->server->name : r->host;
    if (name.n)
        return name;
    size_t n = wr_addr_format_ip(web_local(r), text);
    return wr_span(text, n);
}

int web_absolute(struct web_req *r, struct wr_span path, struct wr_span *out)
{
    const struct core_location *c = core_of(r->location);
    char text[WR_ADDR_TEXT_MAX], port_text[8] = "";
    struct wr_span host = server_of(r, text);
    uint16_t port = c->port_in_redirect ? port_of(r) : 0;
    if (port && port != (r->conn->tls ? 443 : 80))
        (void)snprintf(port_text, sizeof(port_text), ":%u", port);
    char *p = wr_arena_printf(r->arena, "%s://%.*s%s%.*s", r->conn->tls ? "https" : "http",
                              WR_SPANF(host), port_text, WR_SPANF(path));
    if (!p)
        return -ENOMEM;
    *out = wr_span_str(p);
    return 0;
}
