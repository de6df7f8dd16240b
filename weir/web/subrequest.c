/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/request_private.h"

#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>

/* ---- filters --------------------------------------------------------------------------------------------------------- */

void web_filter_push(struct web_req *r, struct web_filter *f)
{
    struct web_filter **at = &r->filters;
    while (*at)
        at = &(*at)->next;
    f->next = NULL;
    f->in_main = false;
    *at = f;
}

void web_filter_push_front(struct web_req *r, struct web_filter *f)
{
    f->next = r->filters;
    f->in_main = false;
    r->filters = f;
}

void web_filter_push_main(struct web_req *r, struct web_filter *f)
{
    struct web_filter **at = &r->main->main_filters;
    while (*at)
        at = &(*at)->next;
    f->next = NULL;
    f->in_main = true;
    *at = f;
}

int web_filter_next(struct web_filter *f, struct web_req *r, struct web_piece *in)
{
    struct request *q = request_of(r);
    if (f->next)
        return f->next->body(f->next, r, in);
    return f->in_main ? sink_take(q->top, in) : output_take(q, in);
}

static int to_main(struct top *t, struct web_piece *in)
{
    struct web_filter *f = t->q.r.main_filters;
    return f ? f->body(f, &t->q.r, in) : sink_take(t, in);
}

int web_send(struct web_req *r, struct web_piece *pieces)
{
    struct request *q = request_of(r);
    struct top *t = q->top;
    int rc;
    web_enter(t);
    for (struct web_piece *p = pieces; p; p = p->next)
        q->last_given |= p->last;
    if (!r->http || t->cut || t->gone)
        rc = WR_E_CLOSED;
    else
        rc = r->filters ? r->filters->body(r->filters, r, pieces) : output_take(q, pieces);
    if (rc < 0) /* wherever it failed: what was taken owns nothing any more */
        for (struct web_piece *p = pieces; p; p = p->next)
            web_piece_drop(p);
    web_leave_later(t);
    return rc;
}

/* ---- whose turn it is ------------------------------------------------------------------------------------------------- */

static void hold(struct request *q, struct held *h)
{
    *q->held_tail = h;
    q->held_tail = &h->next;
}

static int fail(struct request *q, struct web_piece *pieces)
{
    for (struct web_piece *p = pieces; p; p = p->next)
        web_piece_drop(p);
    request_cut(q->top);
    return -ENOMEM;
}

static int read_file(struct web_req *r, const struct web_piece *p, struct wr_span *out)
{
    char *mem = wr_arena_alloc(r->arena, p->len);
    if (!mem)
        return -ENOMEM;
    for (uint64_t at = 0; at < p->len;) {
        ssize_t n = wr_os_pread(p->file->fd, mem + at, p->len - at, (off_t)(p->off + at));
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        at += (uint64_t)n;
    }
    *out = wr_span(mem, p->len);
    return 0;
}

/* The answer of a subrequest that is kept in memory. */
static int gather(struct request *q, struct web_piece *p)
{
    struct web_req *r = &q->r;
    uint64_t n = web_piece_len(p), most = core_of(r->location)->subrequest_output_buffer_size;
    struct wr_span add = p->mem;
    if (n == 0)
        return 0;
    if (r->body.n + n > most) {
        web_error(r, WR_LOG_ERROR, 0, "too big subrequest response: %llu",
                  (unsigned long long)(r->body.n + n));
        return WR_E_TOO_BIG;
    }
    if (p->kind == WEB_BYTES)
        add = wr_bytes_span(&p->bytes);
    if (p->kind == WEB_FILE_RANGE) {
        int err = read_file(r, p, &add);
        if (err)
            return err;
    }
    char *mem = wr_arena_alloc(r->arena, r->body.n + add.n);
    if (!mem)
        return -ENOMEM;
    if (r->body.n)
        memcpy(mem, r->body.p, r->body.n);
    memcpy(mem + r->body.n, add.p, add.n);
    r->body = wr_span(mem, r->body.n + add.n);
    return 0;
}

static void last_out(struct request *q)
{
    q->last_out = true;
    q->finish_rc = WEB_DONE;
    request_post(q, POST_FINISH);
}

int output_take(struct request *q, struct web_piece *pieces)
{
    struct top *t = q->top;
    bool silent = q->options.no_body || q->options.background;
    bool through = !silent && !q->options.in_memory && t->active == q && !q->held && t->begun;
    bool last = false;
    for (struct web_piece *p = pieces, *next; p; p = next) {
        next = p->next;
        last |= p->last;
        if (q->sub) {
            p->last = false;
            p->flush = true;
        }
        if (through)
            continue;
        struct held *h = silent || q->options.in_memory ? NULL : held_new(t, p);
        if (h)
            hold(q, h);
        else if (!silent && (!q->options.in_memory || gather(q, p)))
            return fail(q, p);
        web_piece_drop(p);
    }
    if (q->sub && last)
        last_out(q);
    if (silent || q->options.in_memory)
        return 0;
    if (through)
        return to_main(t, pieces);
    return q->held ? 1 : 0;
}

int output_flush(struct top *t)
{
    const struct request *before = t->active;
    for (;;) {
        struct request *q = t->active;
        bool waited = q->held || q != before; /* in its filters, too */
        while (q->held) {
            struct held *h = q->held;
            q->held = h->next;
            if (!q->held)
                q->held_tail = &q->held;
            if (h->sub) {
                if (h->sub->done && !h->sub->held)
                    continue;
                t->active = h->sub;
                break;
            }
            int rc = to_main(t, &h->piece);
            held_done(t, h);
            if (rc < 0)
                return rc;
        }
        if (t->active != q)
            continue;
        if (waited && !q->done)
            request_post(q, POST_DRAIN);
        if (!q->sub || !q->done)
            return 0;
        t->active = request_of(q->r.parent);
    }
}

/* ---- subrequests ---------------------------------------------------------------------------------------------------------- */

void subrequest_over(struct request *q, int rc)
{
    struct top *t = q->top;
    struct web_req *r = &q->r;
    if (q->done)
        return;
    q->done = true;
    t->pending--;
    if ((q->options.logged || core_of(r->location)->log_subrequest) && !r->logged) {
        r->logged = true;
        for (int (*const *fn)(struct web_req *) = r->location->logs; *fn; fn++)
            (void)(*fn)(r);
    }
    if (q->options.done)
        q->options.done(r, rc, q->options.arg);
    if (!t->gone && t->active == q && output_flush(t) < 0)
        request_cut(t);
}

static void inherit(struct request *q, struct web_req *parent)
{
    struct web_req *r = &q->r;
    r->http = parent->http;
    r->server = parent->server;
    r->location = parent->server->outer;
    r->scope = parent->scope;
    r->head = parent->head;
    r->method = WR_METHOD_GET;
    r->method_text = WR_LIT("GET");
    r->line = parent->line;
    r->raw_uri = parent->raw_uri;
    r->host = parent->host;
    r->client = parent->client;
    r->began_ms = wr_loop_now_ms(web_loop(parent));
    r->redirects = REDIRECTS_MAX + 1;
    r->subrequests_depth = (uint8_t)(parent->subrequests_depth + 1);
    r->internal = true;
    r->vars = parent->vars;
    if (!q->options.clone_body)
        return;
    r->method = parent->method;
    r->method_text = parent->method_text;
    r->body = parent->body;
    r->body_file = parent->body_file;
    r->body_len = parent->body_len;
    q->body_known = true;
}

/* Its output's place is behind what its parent has given so far. */
static int take_place(struct request *q, struct request *parent)
{
    struct top *t = q->top;
    if (q->options.no_body || q->options.background || q->options.in_memory)
        return 0;
    if (t->active == parent && !parent->held) {
        t->active = q;
        return 0;
    }
    struct held *h = wr_arena_zalloc(&t->arena, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->sub = q;
    hold(parent, h);
    return 0;
}

int web_subrequest(struct web_req *r, const struct web_sub_options *options,
                   struct web_req **out_sub)
{
    struct request *parent = request_of(r);
    struct top *t = parent->top;
    if (r->subrequests_depth >= SUB_DEPTH_MAX || t->nsubs >= SUBREQUESTS_MAX) {
        web_error(r, WR_LOG_ERROR, 0, "subrequests cycle while processing \"%.*s\"",
                  WR_SPANF(options->uri));
        return WR_E_QUEUE_FULL;
    }
    struct request *q = wr_arena_zalloc(&t->arena, sizeof(*q));
    if (!q)
        return -ENOMEM;
    q->sub = true;
    q->options = *options;
    request_init(q, t, parent);
    inherit(q, r);
    q->r.uri = options->uri;
    q->r.args = options->args;
    if (take_place(q, parent))
        return -ENOMEM;
    q->next = t->subs;
    t->subs = q;
    t->nsubs++;
    t->pending++;
    if (out_sub)
        *out_sub = &q->r;
    web_enter(t);
    request_post(q, POST_START);
    web_leave_later(t);
    return 0;
}
