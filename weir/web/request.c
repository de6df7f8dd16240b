/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/request_private.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/http/uri.h"
#include "libweir/io/log.h"

#include <errno.h>

/* ---- what is to be done next ---------------------------------------------------------------------------------- */

static void release(struct top *t);
static void finish(struct request *q, int rc);

void web_enter(struct top *t)
{
    t->running++;
}

void request_post(struct request *q, enum request_todo todo)
{
    struct top *t = q->top;
    q->todo = (uint8_t)(q->todo | todo);
    if (q->posted)
        return;
    q->posted = true;
    q->next_posted = NULL;
    *t->posted_tail = q;
    t->posted_tail = &q->next_posted;
}

/* First to the filters, which hold what did not go: the handler may have given everything. */
static void drain(struct request *q)
{
    struct top *t = q->top;
    bool filtered = q->r.filters || t->q.r.main_filters;
    int rc = filtered && !t->cut ? web_send(&q->r, NULL) : 0;
    if (rc < 0)
        request_cut(t);
    if (rc > 0)
        return; /* the room was theirs */
    if (!t->gone && !t->cut && !q->last_given && q->r.on_drain)
        q->r.on_drain(&q->r);
}

static void act(struct request *q)
{
    uint8_t todo = q->todo;
    q->todo = 0;
    if (q->done)
        return;
    if (todo & POST_START)
        phases_run(q);
    else if (todo & POST_RESUME)
        phases_resume(q, q->resume_rc);
    if (todo & POST_FINISH && !q->done && !q->top->gone)
        finish(q, q->finish_rc);
    if (todo & POST_DRAIN && !q->done && !q->top->gone)
        drain(q);
}

static void do_posted(struct top *t)
{
    while (t->posted && !t->gone) {
        struct request *q = t->posted;
        t->posted = q->next_posted;
        if (!t->posted)
            t->posted_tail = &t->posted;
        q->posted = false;
        act(q);
    }
}

void web_leave(struct top *t)
{
    if (t->running == 1)
        do_posted(t);
    if (--t->running == 0 && t->gone)
        release(t);
}

void web_leave_later(struct top *t)
{
    if (--t->running)
        return;
    if (t->gone || t->posted)
        wr_loop_at_turn_end(t->worker->loop, &t->task);
}

static void on_task(struct wr_task *task)
{
    struct top *t = wr_container_of(task, struct top, task);
    web_enter(t);
    web_leave(t);
}

void web_resume(struct web_req *r, int rc)
{
    struct request *q = request_of(r);
    struct top *t = q->top;
    web_enter(t);
    q->resume_rc = rc;
    request_post(q, POST_RESUME);
    web_leave(t);
}

void web_filter_go_on(struct web_filter *f, struct web_req *r)
{
    struct top *t = top_of(r);
    web_enter(t);
    if (!t->gone && !t->cut) {
        wr_http_touch(t->q.r.http);
        request_post(f->in_main ? t->active : request_of(r), POST_DRAIN);
    }
    web_leave(t);
}

void web_finish(struct web_req *r, int rc)
{
    struct request *q = request_of(r);
    struct top *t = q->top;
    web_enter(t);
    q->finish_rc = rc;
    request_post(q, POST_FINISH);
    web_leave(t);
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

void request_cut(struct top *t)
{
    if (t->cut || t->gone)
        return;
    t->cut = true;
    sink_drop(t);
    wr_http_cut(t->q.r.http);
}

static bool post_action(struct top *t)
{
    struct web_req *r = &t->q.r;
    struct wr_span uri = core_of(r->location)->post_action;
    if (!uri.n || t->post_action_made || wr_span_eq(uri, WR_LIT("off")))
        return false;
    bool named = uri.p[0] == '@';
    struct web_sub_options options = {.uri = named ? r->uri : uri,
                                      .args = named ? r->args : (struct wr_span){0},
                                      .no_body = true,
                                      .background = true,
                                      .logged = true};
    struct web_req *sub;
    t->post_action_made = true;
    if (web_subrequest(r, &options, &sub))
        return false;
    sub->method = r->method;
    sub->method_text = r->method_text;
    sub->err_status = r->err_status; /* what it tells of the answer stays true */
    if (named) {
        int rc = web_named_location(sub, uri);
        if (rc != WEB_LATER)
            web_finish(sub, rc);
    }
    return true;
}

/* All is said: the connection goes on without it. */
static void end_main(struct top *t)
{
    if (t->pending || t->gone || t->cut || t->q.done || post_action(t))
        return;
    t->q.done = true;
    answer_end(t); /* calls request_on_done */
}

static void over(struct request *q, int rc)
{
    q->finished = true;
    if (q->sub) {
        subrequest_over(q, rc);
        if (!q->top->gone && q->top->q.finished && q->top->complete)
            end_main(q->top);
    } else if (q->top->complete) {
        end_main(q->top);
    }
}

static void finish(struct request *q, int rc)
{
    struct web_req *r = &q->r;
    if (rc == WEB_LATER || q->top->cut)
        return;
    if (rc == WEB_NEXT)
        rc = 404;
    if (!q->sub && !r->head_sent && (rc == 444 || rc == 499)) {
        r->out.status = rc; /* for the log: the client gets nothing */
        request_cut(q->top);
        return;
    }
    if (rc >= 200 && !r->head_sent) {
        rc = error_page(q, rc);
        if (rc == WEB_LATER)
            return;
    } else if (rc >= 200) {
        rc = WEB_ERROR;
    }
    if (rc == WEB_OK || rc == WEB_DONE) {
        if (q->sub && q->last_given && !q->last_out && !r->header_only)
            return; /* its filters have the rest: its end leaves them and comes here again */
        if (q->last_given || (r->head_sent && r->header_only) || q->options.no_body) {
            if (!q->sub && r->header_only)
                q->top->complete = true;
            over(q, WEB_DONE);
            return;
        }
        if (!r->head_sent && !q->sub) {
            web_error(r, WR_LOG_CRIT, 0, "a handler ended without an answer");
            q->finish_rc = 500;
            request_post(q, POST_FINISH);
            return;
        }
    }
    if (q->options.background || (q->sub && !r->head_sent)) {
        over(q, WEB_ERROR);
        return;
    }
    request_cut(q->top);
}

/* ---- the beginning ------------------------------------------------------------------------------------------------- */

void request_reset_out(struct web_req *r)
{
    struct web_out *o = &r->out;
    o->type = o->charset = o->etag = o->encoding = o->last_modified_text = (struct wr_span){0};
    o->status_line = (struct wr_span){0};
    o->last_modified = -1;
    o->length = WEB_LENGTH_UNKNOWN;
    o->allow_ranges = o->expect_trailers = o->no_charset = false;
}

void request_init(struct request *q, struct top *t, struct request *parent)
{
    struct web_req *r = &q->r;
    q->top = t;
    q->held_tail = &q->held;
    r->private = q;
    r->main = &t->q.r;
    r->parent = parent ? &parent->r : NULL;
    r->conn = &t->conn;
    r->arena = &t->arena;
    r->redirects = REDIRECTS_MAX + 1;
    r->out.headers_tail = &r->out.headers;
    r->out.trailers_tail = &r->out.trailers;
    request_reset_out(r);
}

static void init_conn(struct top *t, struct web_door *door, struct wr_http_conn *conn)
{
    struct web_conn *c = &t->conn;
    const struct web_server *sni = wr_http_conn_data(conn);
    c->listen = door->listen;
    c->http = conn;
    c->number = wr_http_conn_serial(conn);
    c->began_ms = wr_http_conn_began_ms(conn);
    c->tls = door->listen->ssl && wr_http_conn_ssl(conn) != NULL;
    c->proxy_protocol = door->listen->proxy_protocol;
    c->local.kind = c->proxy_peer.kind = c->proxy_local.kind = WR_ADDR_NONE;
    if (wr_http_conn_peer(conn, &c->peer))
        c->peer.kind = WR_ADDR_NONE;
    if (c->proxy_protocol)
        (void)wr_http_conn_proxy_addr(conn, &c->proxy_peer, &c->proxy_local);
    if (door->listen->ninner)
        c->listen = site_listen(door->listen, web_local(&t->q.r));
    else if (!door->listen->wild)
        c->local = door->listen->options.addr;
    c->server = sni ? sni : c->listen->default_server;
}

static struct top *top_make(struct web_door *door, struct wr_http_conn *conn)
{
    struct web_worker *w = door->worker;
    struct top *t = wr_pool_get(&w->requests);
    if (!t)
        return NULL;
    memset(t, 0, offsetof(struct top, conn));
    t->worker = w;
    t->active = &t->q;
    t->posted_tail = &t->posted;
    t->queue_tail = &t->queue;
    wr_task_init(&t->task, on_task);
    wr_arena_init(&t->arena, &w->arenas, wr_loop_budget(w->loop), WR_ARENA_SMALL);
    request_init(&t->q, t, NULL);
    struct web_req *r = &t->q.r;
    init_conn(t, door, conn);
    r->client = t->conn.peer;
    web_set_server(r, t->conn.server);
    return t;
}

static struct top *top_new(struct web_door *door, struct wr_http_req *http)
{
    struct top *t = top_make(door, wr_http_conn(http));
    if (!t)
        return NULL;
    struct web_req *r = &t->q.r;
    r->http = http;
    r->head = wr_http_head(http);
    r->scope = wr_http_scope(http);
    r->began_ms = wr_http_began_ms(http);
    wr_http_set_data(http, t);
    return t;
}

struct web_req *web_handshake_begin(struct web_door *door, struct wr_http_conn *conn)
{
    static const struct wr_head no_head;
    struct top *t = top_make(door, conn);
    if (!t)
        return NULL;
    t->q.r.head = &no_head;
    t->q.r.handshake = true;
    t->q.r.began_ms = wr_loop_now_ms(door->worker->loop);
    return &t->q.r;
}

void web_handshake_end(struct web_req *r)
{
    release(top_of(r));
}

void web_set_server(struct web_req *r, const struct web_server *s)
{
    r->server = s;
    r->location = s->outer;
}

/* The host in lower case without port and final dot. 0 or negative. */
static int set_host(struct web_req *r)
{
    struct wr_span host = r->head->authority;
    if (!host.n)
        return 0;
    ptrdiff_t colon = host.n && host.p[0] == '[' ? wr_span_find_char(host, ']') : 0;
    struct wr_span tail = wr_span_sub(host, (size_t)colon, host.n);
    ptrdiff_t port = wr_span_find_char(tail, ':');
    if (port >= 0)
        host = wr_span_sub(host, 0, (size_t)(colon + port));
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    size_t i = 0;
    while (i < host.n && host.p[i] == wr_ascii_lower(host.p[i]))
        i++;
    if (i < host.n) {
        char *low = wr_arena_alloc(r->arena, host.n);
        if (!low)
            return -ENOMEM;
        for (i = 0; i < host.n; i++)
            low[i] = wr_ascii_lower(host.p[i]);
        host.p = low;
    }
    r->host = host;
    return 0;
}

/* Path and query lie side by side, except where "http://host?query" has no path of its own. */
static int raw_uri(struct web_req *r, struct wr_span path)
{
    bool beside = path.p + path.n + 1 == r->args.p;
    r->raw_uri = path;
    if (r->args.p && beside)
        r->raw_uri.n += 1 + r->args.n;
    if (!r->args.p || beside)
        return 0;
    char *both = wr_arena_printf(r->arena, "%.*s?%.*s", WR_SPANF(path), WR_SPANF(r->args));
    if (!both)
        return -ENOMEM;
    r->raw_uri = wr_span_str(both);
    return 0;
}

static int set_uri(struct web_req *r)
{
    const struct core_server *c = r->server->conf[WEB_core];
    struct wr_span path = wr_http_path(r->http);
    /* A head that was accepted has one blank and eight bytes of version behind its target. */
    const struct wr_head *h = r->head;
    r->line =
        wr_span(h->method_text.p, (size_t)(h->target.p - h->method_text.p) + h->target.n + 9);
    r->args = wr_http_query(r->http);
    if (raw_uri(r, path))
        return 500;
    r->uri = path;
    if (path.n == 0 || path.p[0] != '/')
        return 400;
    if (path.n == 1)
        return 0;
    char *mem = wr_arena_alloc(r->arena, path.n);
    if (!mem)
        return 500;
    if (wr_path_normalise(path, c->merge_slashes ? WR_PATH_MERGE_SLASHES : 0, mem, &r->uri)) {
        r->uri = path;
        return 400;
    }
    return 0;
}

static bool usual_name(struct wr_span name, bool underscores)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = wr_ascii_lower(name.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
              (c == '_' && underscores)))
            return false;
    }
    return true;
}

/* A head without the fields whose names are unusual, when there are such. */
static int hide_fields(struct web_req *r)
{
    const struct core_server *c = r->server->conf[WEB_core];
    const struct wr_head *old = r->head;
    uint32_t hidden = 0;
    if (!c->ignore_invalid_headers)
        return 0;
    for (uint32_t i = 0; i < old->nfields; i++)
        hidden += old->fields[i].id == WR_H_OTHER &&
                  !usual_name(old->fields[i].name, c->underscores_in_headers);
    if (!hidden)
        return 0;
    struct wr_head *head = wr_arena_alloc(r->arena, sizeof(*head));
    struct wr_field *fields =
        wr_arena_alloc(r->arena, (old->nfields - hidden + 1) * sizeof(*fields));
    if (!head || !fields)
        return 500;
    *head = *old;
    head->fields = fields;
    head->nfields = 0;
    head->fields_cap = old->nfields - hidden + 1;
    memset(head->seen, 0, sizeof(head->seen));
    for (uint32_t i = 0; i < old->nfields; i++) {
        const struct wr_field *f = &old->fields[i];
        if (f->id == WR_H_OTHER && !usual_name(f->name, c->underscores_in_headers)) {
            web_error(r, WR_LOG_INFO, 0, "client sent invalid header line: \"%.*s\"",
                      WR_SPANF(f->name));
            continue;
        }
        if (!wr_head_add(head, f->id, f->name, f->value))
            return 500;
    }
    r->head = head;
    return 0;
}

/* In this request's memory, where modules may point into it. */
static int keep_head(struct web_req *r)
{
    char *mem = wr_arena_alloc(r->arena, wr_http_head_size(r->http) + 1);
    if (!mem)
        return -ENOMEM;
    wr_http_keep_head_in(r->http, mem);
    return 0;
}

/* 0, or the status to refuse it with. */
static int take_head(struct top *t)
{
    struct web_req *r = &t->q.r;
    if (keep_head(r))
        return 500;
    r->method = r->head->method;
    r->method_text = r->head->method_text;
    int status = set_uri(r);
    if (set_host(r))
        return 500;
    web_set_server(r, t->conn.server);
    if (r->host.n && t->conn.listen->names)
        web_set_server(r, site_server(t->conn.listen, r, r->host));
    if (r->method == WR_METHOD_CONNECT || r->method == WR_METHOD_TRACE)
        return 405;
    return status ? status : hide_fields(r);
}

/* Memory is over its soft mark: what is under way needs the rest. The answer takes none that lasts. */
static void turn_away(struct web_worker *w, struct wr_http_req *http)
{
    static const struct wr_http_field fields[] = {
        {WR_LIT("Content-Type"), WR_LIT("text/plain")},
        {WR_LIT("Retry-After"),  WR_LIT("1")         }
    };
    struct wr_span text = WR_LIT("503 Service Unavailable: short of memory\n");
    bool bare = wr_http_head(http)->method == WR_METHOD_HEAD;
    web_worker_turned_away(w);
    wr_http_set_close(http);
    int err = wr_http_begin(http, 503, fields, WR_ARRAY_LEN(fields), text.n);
    if (!err && !bare)
        err = wr_http_write(http, text) < 0;
    if (!err)
        (void)wr_http_end(http);
}

void request_on_request(struct wr_http_req *http, void *arg)
{
    struct web_door *door = arg;
    if (web_worker_short(door->worker)) {
        turn_away(door->worker, http);
        return;
    }
    struct top *t = top_new(door, http);
    if (!t) {
        (void)wr_http_error(http, 503);
        return;
    }
    web_enter(t);
    int status = take_head(t);
    if (door->worker->on_request)
        door->worker->on_request(door->worker, &t->q.r, false);
    if (status)
        finish(&t->q, status);
    else
        phases_run(&t->q);
    web_leave(t);
}

/* The body of a request under way came too late, was too long or malformed. */
static void refuse_body(struct top *t, int status, const char *reason)
{
    struct web_req *r = &t->q.r;
    web_enter(t);
    web_error(r, WR_LOG_INFO, 0, "client sent a body that is refused: %s", reason);
    wr_http_set_close(r->http);
    body_give_up(t, WR_E_PROTO);
    if (r->head_sent)
        request_cut(t);
    else
        finish(&t->q, status);
    web_leave(t);
}

/* What is known of a request whose head was refused, or that was answered without being begun. */
static void describe(struct top *t, struct wr_http_req *http)
{
    struct web_req *r = &t->q.r;
    r->method = r->head->method;
    r->method_text = r->head->method_text;
    r->line = wr_http_request_line(http);
    r->uri = r->raw_uri = wr_http_path(http);
    (void)set_host(r);
    if (r->host.n && t->conn.listen->names)
        web_set_server(r, site_server(t->conn.listen, r, r->host));
}

void request_on_refuse(struct wr_http_req *http, int status, const char *reason, void *arg)
{
    struct web_door *door = arg;
    struct top *t = wr_http_data(http);
    if (t) {
        refuse_body(t, status, reason);
        return;
    }
    t = top_new(door, http);
    if (!t) {
        (void)wr_http_error(http, status);
        return;
    }
    web_enter(t);
    struct web_req *r = &t->q.r;
    if (keep_head(r) == 0)
        describe(t, http);
    if (door->worker->on_request)
        door->worker->on_request(door->worker, r, false);
    wr_http_set_close(http);
    web_error(r, WR_LOG_INFO, 0, "client sent a request that is refused: %s", reason);
    finish(&t->q, status == 431 ? 494 : status);
    web_leave(t);
}

/* ---- it is over ------------------------------------------------------------------------------------------------------ */

static void log_all(struct web_req *r)
{
    for (int (*const *fn)(struct web_req *) = r->location->logs; *fn; fn++)
        (void)(*fn)(r);
}

/* Answered when memory was short, without a request of ours: it has one for as long as its line takes. */
static void log_unbegun(struct web_door *door, struct wr_http_req *http,
                        const struct wr_http_done *done)
{
    struct top *t = top_new(door, http);
    if (!t) {
        web_worker_unlogged(door->worker);
        return;
    }
    struct web_req *r = &t->q.r;
    describe(t, http);
    r->out.status = done->status ? done->status : 499;
    r->body_bytes = done->body_out;
    r->head_bytes = done->bytes_out - done->body_out;
    t->complete = done->end != WR_HTTP_ABORTED;
    log_all(r);
    wr_http_set_data(http, NULL);
    t->gone = true;
    r->http = NULL;
    release(t);
}

void request_on_done(struct wr_http_req *http, const struct wr_http_done *done, void *arg)
{
    struct top *t = wr_http_data(http);
    if (!t) {
        log_unbegun(arg, http, done);
        return;
    }
    struct web_req *r = &t->q.r;
    if (done->end == WR_HTTP_ABORTED) {
        t->complete = false;
        uint64_t sent = wr_http_sent(http);
        r->body_bytes = sent > r->head_bytes ? sent - r->head_bytes : 0;
        if (sent < r->head_bytes)
            r->head_bytes = sent;
        if (!r->head_sent)
            r->out.status = done->status ? done->status : r->out.status == 444 ? 444 : 499;
    }
    t->running++;
    log_all(r);
    if (t->worker->on_request)
        t->worker->on_request(t->worker, r, true);
    t->running--;
    t->gone = true;
    r->http = NULL;
    for (struct request *s = t->subs; s; s = s->next)
        s->r.http = NULL;
    wr_http_set_data(http, NULL);
    if (t->running == 0)
        release(t);
}

static void release(struct top *t)
{
    wr_loop_timer_cancel(&t->rate_timer);
    wr_task_cancel(&t->task);
    sink_drop(t);
    for (struct request *s = t->subs; s; s = s->next)
        for (struct held *h = s->held; h; h = h->next)
            held_drop(h);
    for (struct held *h = t->q.held; h; h = h->next)
        held_drop(h);
    body_drop(t);
    wr_arena_deinit(&t->arena);
    wr_pool_put(&t->worker->requests, t);
}

/* ---- small questions --------------------------------------------------------------------------------------------------- */

bool web_complete(const struct web_req *r)
{
    const struct top *t = request_of(r)->top;
    return t->complete && !t->cut;
}

uint64_t web_bytes_sent(const struct web_req *r)
{
    return r->main->head_bytes + r->main->body_bytes;
}

struct wr_loop *web_loop(const struct web_req *r)
{
    return top_of(r)->worker->loop;
}

struct web_worker *web_worker_of(const struct web_req *r)
{
    return top_of(r)->worker;
}

struct wr_log *web_log(const struct web_req *r)
{
    return top_of(r)->worker->log;
}

const struct wr_addr *web_local(struct web_req *r)
{
    struct web_conn *c = r->conn;
    if (c->local.kind == WR_ADDR_NONE && c->http && wr_http_conn_local(c->http, &c->local))
        c->local = c->listen->options.addr;
    return &c->local;
}

struct wr_span web_field(const struct web_req *r, struct wr_span name)
{
    enum wr_header id = wr_header_of(name);
    if (id != WR_H_OTHER)
        return wr_head_get(r->head, id);
    uint32_t at = 0;
    const struct wr_field *f = wr_head_find(r->head, name, &at);
    return f ? f->value : (struct wr_span){0};
}
