/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/request_private.h"

#include "libweir/base/err.h"
#include "libweir/io/log.h"

#include <errno.h>

/*
 *   POST_READ -> SERVER_REWRITE -> (location) -> REWRITE -> PRE_ACCESS -> ACCESS -> PRE_CONTENT -> CONTENT
 *                      ^              ^             |
 *        internal redirect            +-- uri changed
 *
 * A phase is a list of functions; request.list is the one it is in, taken when the phase begins, so that a
 * change of location within it (`if`) does not change what is still to be called.
 */

static void begin_phase(struct request *q, enum web_phase phase)
{
    struct web_req *r = &q->r;
    r->phase = (uint8_t)phase;
    r->phase_at = 0;
    q->list = phase < WEB_REWRITE ? r->server->phase[phase] : r->location->phase[phase];
}

static void end_with(struct request *q, int rc)
{
    q->finish_rc = rc;
    request_post(q, POST_FINISH);
}

/* ---- the location --------------------------------------------------------------------------------------------------- */

void web_set_location(struct web_req *r, const struct web_location *location)
{
    struct top *t = top_of(r);
    r->location = site_for_method(location, r->method_text);
    if (r->main != r || !r->http)
        return;
    const struct core_location *c = core_of(r->location);
    if (t->limits != &c->limits) {
        t->limits = &c->limits;
        (void)!wr_http_set_limits(r->http, t->limits); /* of any length: judged here */
    }
    r->discard_body = r->head->content_length > c->client_max_body_size;
}

static int slash_redirect(struct web_req *r)
{
    size_t n = r->location->name.n + (r->args.p ? 1 + r->args.n : 0);
    char *p = wr_arena_alloc(r->arena, n);
    if (!p)
        return 500;
    memcpy(p, r->location->name.p, r->location->name.n);
    if (r->args.p) {
        p[r->location->name.n] = '?';
        memcpy(p + r->location->name.n + 1, r->args.p, r->args.n);
    }
    return web_redirect(r, 301, wr_span(p, n));
}

/* 0, or what to finish with. */
static int choose_location(struct web_req *r)
{
    const struct web_location *l = NULL;
    enum site_found found = site_location(r, &l);
    if (found == SITE_FAILED)
        return 500;
    web_set_location(r, found == SITE_NONE ? r->server->outer : l);
    if (!r->internal && r->location->internal)
        return 404;
    if (r->discard_body && r->main == r && !r->internal) {
        web_error(r, WR_LOG_ERROR, 0, "client intended to send too large body: %llu bytes",
                  (unsigned long long)r->head->content_length);
        return 413;
    }
    return found == SITE_REDIRECT ? slash_redirect(r) : 0;
}

/* ---- from one phase to the next ------------------------------------------------------------------------------------- */

static bool enter_location(struct request *q)
{
    int rc = choose_location(&q->r);
    if (rc) {
        end_with(q, rc);
        return false;
    }
    begin_phase(q, WEB_REWRITE);
    return true;
}

static bool after_rewrite(struct request *q)
{
    struct web_req *r = &q->r;
    if (!r->uri_changed) {
        begin_phase(q, WEB_PRE_ACCESS);
        return true;
    }
    r->uri_changed = false;
    if (--r->redirects == 0) {
        web_error(r, WR_LOG_ERROR, 0,
                  "rewrite or internal redirection cycle while processing \"%.*s\"",
                  WR_SPANF(r->uri));
        end_with(q, 500);
        return false;
    }
    return enter_location(q);
}

static bool after_access(struct request *q)
{
    struct web_req *r = &q->r;
    if (r->access_code) {
        int code = r->access_code;
        r->access_code = 0;
        if (code == 403)
            web_error(r, WR_LOG_ERROR, 0, "access forbidden by rule");
        end_with(q, code);
        return false;
    }
    begin_phase(q, WEB_PRE_CONTENT);
    return true;
}

static bool nothing_there(struct request *q)
{
    struct web_req *r = &q->r;
    int rc = 404;
    if (r->uri.n && r->uri.p[r->uri.n - 1] == '/') {
        struct wr_span path;
        size_t root;
        if (web_map_path(r, 0, &path, &root))
            web_error(r, WR_LOG_ERROR, 0, "directory index of \"%.*s\" is forbidden",
                      WR_SPANF(path));
        rc = 403;
    }
    end_with(q, rc);
    return false;
}

static bool next_phase(struct request *q)
{
    switch ((enum web_phase)q->r.phase) {
    case WEB_POST_READ:
        begin_phase(q, WEB_SERVER_REWRITE);
        return true;
    case WEB_SERVER_REWRITE:
        q->r.uri_changed = false;
        return enter_location(q);
    case WEB_REWRITE:
        return after_rewrite(q);
    case WEB_PRE_ACCESS:
        begin_phase(q, q->sub ? WEB_PRE_CONTENT : WEB_ACCESS);
        return true;
    case WEB_ACCESS:
        return after_access(q);
    case WEB_PRE_CONTENT:
        begin_phase(q, WEB_CONTENT);
        return true;
    case WEB_CONTENT:
    case WEB_PHASES:
        break;
    }
    return nothing_there(q);
}

/* ---- what a function said ------------------------------------------------------------------------------------------- */

static void forget_refusal(struct web_req *r)
{
    struct web_header *h = web_header_find(&r->out, WR_LIT("WWW-Authenticate"));
    if (h)
        h->value.p = NULL;
    r->access_code = 0;
}

static bool heard_access(struct request *q, int rc)
{
    struct web_req *r = &q->r;
    bool any = core_of(r->location)->satisfy == CORE_SATISFY_ANY;
    if (rc == WEB_NEXT)
        return true;
    if (rc == WEB_OK) {
        if (any) {
            forget_refusal(r);
            return next_phase(q);
        }
        return true;
    }
    if (any && (rc == 401 || rc == 403)) {
        if (r->access_code != 401)
            r->access_code = (uint16_t)rc;
        return true;
    }
    end_with(q, rc);
    return false;
}

static bool heard_content(struct request *q, int rc)
{
    struct web_req *r = &q->r;
    if (rc == WEB_NEXT) {
        q->declined = true;
        return true;
    }
    if (rc != WEB_OK && rc != WEB_DONE)
        end_with(q, rc);
    else if (r->head_sent && (r->header_only || q->last_given))
        end_with(q, WEB_DONE);
    return false;
}

/* True: go on with the phases. */
static bool heard(struct request *q, int rc)
{
    struct web_req *r = &q->r;
    if (rc == WEB_LATER || q->done || q->top->gone || q->todo & (POST_START | POST_FINISH))
        return false;
    if (r->phase == WEB_CONTENT)
        return heard_content(q, rc);
    if (r->phase == WEB_ACCESS)
        return heard_access(q, rc);
    if (rc == WEB_NEXT)
        return true;
    if (rc == WEB_OK)
        return next_phase(q);
    if (rc == WEB_DONE) {
        if (r->head_sent && (r->header_only || q->last_given))
            end_with(q, WEB_DONE);
        return false;
    }
    end_with(q, rc);
    return false;
}

static void walk(struct request *q)
{
    struct web_req *r = &q->r;
    for (;;) {
        web_phase_fn *fn = q->list[r->phase_at];
        if (r->phase == WEB_CONTENT && r->location->handler && !q->declined)
            fn = r->location->handler;
        else if (!fn) {
            if (!next_phase(q))
                return;
            continue;
        } else {
            r->phase_at++;
        }
        if (!heard(q, fn(r)))
            return;
    }
}

void phases_run(struct request *q)
{
    if (!q->list)
        begin_phase(q, q->sub ? WEB_SERVER_REWRITE : WEB_POST_READ);
    walk(q);
}

void phases_resume(struct request *q, int rc)
{
    if (q->r.resume) {
        int (*fn)(struct web_req *) = q->r.resume;
        q->r.resume = NULL;
        rc = fn(&q->r);
    }
    if (heard(q, rc))
        walk(q);
}

/* ---- redirects inside ------------------------------------------------------------------------------------------------- */

static int cycle(struct web_req *r, const char *doing, struct wr_span to)
{
    if (--r->redirects)
        return 0;
    web_error(r, WR_LOG_ERROR, 0, "rewrite or internal redirection cycle while %s \"%.*s\"",
              doing, WR_SPANF(to));
    return 500;
}

static int start_again(struct request *q, enum web_phase phase)
{
    struct top *t = q->top;
    struct web_req *r = &q->r;
    web_enter(t);
    memset(r->ctx, 0, sizeof(r->ctx));
    r->internal = true;
    r->uri_changed = r->uri_behind_alias = false;
    r->access_code = 0;
    r->resume = NULL;
    q->declined = false;
    request_reset_out(r);
    begin_phase(q, phase);
    request_post(q, POST_START);
    web_leave(t);
    return WEB_LATER;
}

int web_internal_redirect(struct web_req *r, struct wr_span uri, struct wr_span args)
{
    struct request *q = request_of(r);
    int rc = cycle(r, "internally redirecting to", uri);
    if (rc)
        return rc;
    r->uri = uri;
    r->args = args;
    r->location = r->server->outer;
    return start_again(q, WEB_SERVER_REWRITE);
}

int web_named_location(struct web_req *r, struct wr_span name)
{
    struct request *q = request_of(r);
    int rc = cycle(r, "redirect to named location", name);
    if (rc)
        return rc;
    const struct web_location *l = site_named(r->server, name);
    if (!l || r->uri.n == 0) {
        web_error(r, WR_LOG_ERROR, 0, "could not find named location \"%.*s\"", WR_SPANF(name));
        return 500;
    }
    web_set_location(r, l);
    return start_again(q, WEB_REWRITE);
}
