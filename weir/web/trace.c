/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/trace.h"

#include "libweir/base/err.h"
#include "libweir/http/parse.h"
#include "libweir/http/uri.h"
#include "libweir/io/log.h"
#include "libweir/io/loop.h"
#include "weir/web/request_private.h"
#include "weir/web/site_private.h"
#include "weir/web/vars.h"

#include <errno.h>

#define TRACE_FIELDS 100
#define TRACE_ROUNDS 10

WR_PRINTF(5, 6)
static void tell(struct web_trace *t, enum web_trace_kind kind, const struct conf_node *node,
                 int number, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = wr_arena_vprintf(t->generation->arena, fmt, ap);
    va_end(ap);
    t->tell(t->ctx, kind, node, number, text ? text : "(no memory)");
}

/* ---- the request ------------------------------------------------------------------------------------------------ */

static void hear(struct web_worker *w, struct web_req *r, int level, const char *text)
{
    struct web_trace *t = wr_container_of(w, struct web_trace, worker);
    (void)r;
    tell(t, TRACE_STEP, NULL, level, "%s", text);
}

static int make_request(struct web_trace *t, struct web_req **out)
{
    struct wr_arena *a = t->generation->arena;
    struct top *top = wr_arena_zalloc(a, sizeof(*top));
    struct wr_head *head = wr_arena_zalloc(a, sizeof(*head));
    struct wr_field *fields = wr_arena_zalloc(a, TRACE_FIELDS * sizeof(*fields));
    struct wr_parse parse;
    if (!top || !head || !fields)
        return -ENOMEM;
    wr_head_init(head, fields, TRACE_FIELDS);
    wr_parse_init_request(&parse, head, NULL);
    enum wr_parsed parsed = wr_parse_head(&parse, t->head);
    if (parsed != WR_PARSED_DONE) {
        tell(t, TRACE_REFUSED, NULL, 400, "no request: %s",
             parsed == WR_PARSED_BAD ? wr_reason_text(parse.refusal.reason)
                                     : "it is cut short");
        return WR_E_SYNTAX;
    }
    top->worker = &t->worker;
    top->active = &top->q;
    top->posted_tail = &top->posted;
    top->queue_tail = &top->queue;
    request_init(&top->q, top, NULL);
    struct web_req *r = &top->q.r;
    r->arena = a;
    r->head = head;
    r->method = head->method;
    r->method_text = head->method_text;
    r->client = top->conn.peer = t->client;
    r->began_ms = wr_loop_now_ms(t->worker.loop);
    top->conn.tls = t->tls;
    top->conn.number = 1;
    *out = r;
    return 0;
}

/* ---- address and server ------------------------------------------------------------------------------------------- */

static const struct web_listen *find_listen(struct web_trace *t)
{
    const struct web_generation *g = t->generation;
    const struct web_listen *found = NULL;
    for (uint32_t i = 0; i < g->nlistens && !found; i++)
        if (g->listens[i]->options.addr.port == t->port && g->listens[i]->ssl == t->tls)
            found = g->listens[i];
    for (uint32_t i = 0; i < g->nlistens && !found; i++)
        if (g->listens[i]->ssl == t->tls)
            found = g->listens[i];
    return found ? found : g->nlistens ? g->listens[0] : NULL;
}

static const char *why_server(const struct web_listen *l, const struct web_server *s,
                              struct wr_span host)
{
    const struct site_server *in = s->private;
    if (l->nservers < 2 && !l->names)
        return "the only one on this address";
    for (uint32_t i = 0; i < in->nnames; i++) {
        const struct site_name *n = &in->names[i];
        if (n->regex ? web_regex_test(n->regex, host) > 0 : wr_span_eq(n->text, host))
            return n->regex ? "a pattern of its server_name matches the host"
                            : "its server_name is the host";
    }
    for (uint32_t i = 0; i < in->nnames; i++) {
        struct wr_span n = in->names[i].text;
        struct wr_span bare = wr_span_sub(n, n.n && n.p[0] == '*' ? 1 : 0, n.n);
        if (bare.n && bare.p[0] == '.' &&
            (wr_span_has_suffix(host, bare) || wr_span_eq(host, wr_span_sub(bare, 1, bare.n))))
            return "a wildcard of its server_name matches the host";
        if (n.n > 1 && wr_span_has_suffix(n, WR_LIT(".*")) &&
            wr_span_has_prefix(host, wr_span_sub(n, 0, n.n - 1)))
            return "a wildcard of its server_name matches the host";
    }
    return s == l->default_server ? "no server_name matches: the default of the address"
                                  : "by its names";
}

static int choose_server(struct web_trace *t, struct web_req *r)
{
    const struct web_listen *l = find_listen(t);
    char *host;
    struct wr_host h;
    if (!l) {
        tell(t, TRACE_REFUSED, NULL, 0, "the configuration listens nowhere");
        return WR_E_NOT_FOUND;
    }
    struct web_conn *c = r->conn;
    c->listen = l;
    c->local = l->options.addr;
    c->server = l->default_server;
    tell(t, TRACE_LISTEN, l->node, l->options.addr.port, "%.*s%s", WR_SPANF(l->text),
         l->ssl ? " ssl" : "");
    if (r->head->authority.n && wr_host_parse(r->head->authority, &h) == 0) {
        host = wr_arena_strndup(r->arena, h.name.p, h.name.n);
        if (!host)
            return -ENOMEM;
        for (size_t i = 0; i < h.name.n; i++)
            host[i] = wr_ascii_lower(host[i]);
        r->host = wr_span(host, h.name.n);
    }
    web_set_server(r, c->server);
    if (r->host.n && l->names)
        web_set_server(r, site_server(l, r, r->host));
    tell(t, TRACE_SERVER, r->server->node, 0, "%s", why_server(l, r->server, r->host));
    return 0;
}

static int set_uri(struct web_trace *t, struct web_req *r)
{
    const struct core_server *c = r->server->conf[WEB_core];
    struct wr_uri u;
    r->line = wr_span_sub(t->head, 0, (size_t)wr_span_find_char(t->head, '\r'));
    if (wr_uri_parse(r->head->target, r->method, &u) != WR_BAD_NONE || !u.path.n) {
        tell(t, TRACE_REFUSED, NULL, 400, "the target is no path");
        return WR_E_SYNTAX;
    }
    r->args = u.query;
    r->raw_uri = u.path;
    if (u.query.p)
        r->raw_uri.n += 1 + u.query.n;
    char *mem = wr_arena_alloc(r->arena, u.path.n + 1);
    if (!mem)
        return -ENOMEM;
    if (wr_path_normalise(u.path, c->merge_slashes ? WR_PATH_MERGE_SLASHES : 0, mem, &r->uri)) {
        tell(t, TRACE_REFUSED, NULL, 400, "the path leaves the root or is badly encoded");
        return WR_E_SYNTAX;
    }
    return 0;
}

/* ---- the location --------------------------------------------------------------------------------------------------- */

static void tell_candidates(struct web_trace *t, const struct web_req *r,
                            const struct site_set *set)
{
    for (uint32_t i = 0; i < set->n; i++) {
        const struct site_location *in = set->list[i];
        const struct web_location *l = &in->l;
        bool hit;
        if (l->named)
            continue;
        if (in->regex) {
            hit = web_regex_test(in->regex, r->uri) > 0;
            tell(t, TRACE_CANDIDATE, l->node, hit, hit ? "matches" : "does not match");
        } else if (l->exact) {
            hit = wr_span_eq(l->name, r->uri);
            tell(t, TRACE_CANDIDATE, l->node, hit, hit ? "is the URI" : "is not the URI");
        } else {
            hit = wr_span_has_prefix(r->uri, l->name);
            if (hit)
                tell(t, TRACE_CANDIDATE, l->node, 1, "begins the URI (%zu bytes)%s", l->name.n,
                     l->no_regex ? "; as the longest, it keeps patterns from being tried" : "");
            else
                tell(t, TRACE_CANDIDATE, l->node, 0, "does not begin the URI");
        }
        if (hit)
            tell_candidates(t, r, &in->inner);
    }
}

static const char *why_location(enum site_found found, const struct web_location *l)
{
    if (found == SITE_NONE)
        return "no location matches: the server's own settings apply";
    if (found == SITE_REDIRECT)
        return "it is the URI and a slash: the client is sent there (301)";
    if (found == SITE_FAILED)
        return "a pattern could not be run (500)";
    if (site_inside(l)->regex)
        return "the first pattern in the file that matches";
    if (l->exact)
        return "it is the URI";
    return l->no_regex ? "the longest prefix, and ^~ ends the search"
                       : "the longest prefix, and no pattern matches";
}

/* 0; 1: that is the answer. */
static int choose_location(struct web_trace *t, struct web_req *r)
{
    const struct web_location *l = NULL;
    tell(t, TRACE_URI, NULL, 0, "%.*s", WR_SPANF(r->uri));
    tell_candidates(t, r, &site_inside(r->server->outer)->inner);
    enum site_found found = site_location(r, &l);
    if (found == SITE_NONE)
        l = r->server->outer;
    tell(t, TRACE_LOCATION, found == SITE_NONE ? NULL : l->node, 0, "%s",
         why_location(found, l));
    if (found == SITE_FAILED || found == SITE_REDIRECT) {
        tell(t, TRACE_STATUS, NULL, found == SITE_FAILED ? 500 : 301, "%.*s",
             found == SITE_FAILED ? 0 : (int)l->name.n, l->name.p);
        return 1;
    }
    web_set_location(r, l);
    if (r->location != l)
        tell(t, TRACE_STEP, r->location->node, 0, "limit_except applies to %.*s",
             WR_SPANF(r->method_text));
    if (r->location->internal && !r->internal) {
        tell(t, TRACE_STATUS, NULL, 404, "%s", "");
        return 1;
    }
    return 0;
}

/* ---- phases ------------------------------------------------------------------------------------------------------------ */

/* 0; 1: that is the answer. */
static int run_phase(struct web_trace *t, struct web_req *r, enum web_phase phase)
{
    web_phase_fn *const *fn =
        phase < WEB_REWRITE ? r->server->phase[phase] : r->location->phase[phase];
    r->phase = (uint8_t)phase;
    for (; *fn; fn++) {
        int rc = (*fn)(r);
        if (rc >= 200) {
            tell(t, TRACE_STATUS, NULL, rc, "%.*s", WR_SPANF(r->out.location));
            return 1;
        }
        if (rc == WEB_OK)
            break;
        if (rc != WEB_NEXT) {
            tell(t, TRACE_STATUS, NULL, r->out.status, "%s", "");
            return 1;
        }
    }
    return 0;
}

static int follow(struct web_trace *t, struct web_req *r)
{
    if (run_phase(t, r, WEB_POST_READ) || run_phase(t, r, WEB_SERVER_REWRITE))
        return 1;
    for (int round = 0; round < TRACE_ROUNDS; round++) {
        r->uri_changed = false;
        if (choose_location(t, r) || run_phase(t, r, WEB_REWRITE))
            return 1;
        if (!r->uri_changed)
            return 0;
    }
    tell(t, TRACE_STATUS, NULL, 500, "%s", "");
    tell(t, TRACE_STEP, NULL, WR_LOG_ERROR, "rewriting goes in a circle");
    return 1;
}

int web_trace_run(struct web_trace *t)
{
    const struct wr_loop_options defaults = {.heap = NULL};
    int err = wr_loop_new(&defaults, &t->worker.loop);
    t->worker.on_error = hear;
    t->worker.generation = t->generation;
    if (!err)
        err = make_request(t, &t->r);
    if (!err)
        err = choose_server(t, t->r);
    if (!err)
        err = set_uri(t, t->r);
    if (!err)
        t->answered = follow(t, t->r) != 0;
    return err;
}

void web_trace_end(struct web_trace *t)
{
    if (t->worker.loop)
        wr_loop_free(&t->worker.loop);
}
