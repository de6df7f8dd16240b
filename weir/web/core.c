/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/core.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/libweir.h"
#include "weir/web/core_private.h"
#include "weir/web/site.h"

#include <errno.h>
#include <stdio.h>

#define SERVER_NAME "weir"
#define THREADS_MAX 64    /* of a pool */
#define QUEUE_MAX   65536 /* and jobs that wait */

const struct wr_span core_server_token = WR_LIT(SERVER_NAME "/" WR_VERSION);

/* ---- blocks ------------------------------------------------------------------------------------------------- */

int core_set_events(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)row;
    struct conf_scope *scope;
    *(bool *)field = true;
    int err = conf_scope_new(load, load->scope, node, CONF_EVENTS, 0, &scope);
    return err ? err : conf_apply(load, scope, node->children);
}

int core_set_http(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct web_generation *g = site_of(load);
    struct conf_scope *scope;
    uint32_t levels = 1u << CONF_AT_HTTP | 1u << CONF_AT_SERVER | 1u << CONF_AT_LOCATION;
    int err = conf_scope_new(load, load->scope, node, CONF_HTTP, levels, &scope);
    if (err)
        return err;
    g->main = scope->at[CONF_AT_HTTP];
    g->outer_conf = scope->at[CONF_AT_LOCATION];
    g->has_http = true;
    return conf_apply(load, scope, node->children);
}

/* ---- main --------------------------------------------------------------------------------------------------- */

int core_set_user(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    (void)load;
    (void)row;
    struct core_main *m = wr_container_of((const char **)field, struct core_main, user);
    m->user = conf_str(node, 1);
    m->group = conf_str(node, node->nwords > 2 ? 2 : 1);
    return 0;
}

/* nginx knows more ways; on Linux these. */
int core_set_use(struct conf_load *load, const struct conf_node *node,
                 const struct conf_row *row, void *field)
{
    struct wr_span v = conf_arg(node, 1);
    if (!wr_span_eq(v, WR_LIT("epoll")) && !wr_span_eq(v, WR_LIT("poll")) &&
        !wr_span_eq(v, WR_LIT("select")))
        return conf_fail(load, node, 1, "invalid event type \"%s\"", conf_str(node, 1));
    return conf_set_text(load, node, row, field);
}

int core_set_processes(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    int64_t n;
    if (wr_span_eq(conf_arg(node, 1), WR_LIT("auto"))) {
        *(int *)field = CORE_AUTO;
        return 0;
    }
    if (conf_read_num(conf_arg(node, 1), &n) || n < 1 || n > 1024)
        return conf_fail(load, node, 1, "\"%s\" directive invalid value", row->name);
    *(int *)field = (int)n;
    return 0;
}

/* ---- files -------------------------------------------------------------------------------------------------- */

int core_set_root(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    struct core_root *root = field;
    struct wr_span path = conf_arg(node, 1);
    bool alias = row->data != NULL;
    if (root->path.text.p)
        return conf_fail(load, node, 0,
                         root->alias == alias
                             ? "\"%s\" directive is duplicate"
                             : "\"%s\" directive is duplicate, \"%s\" directive was specified "
                               "earlier",
                         row->name, root->alias ? "alias" : "root");
    if (wr_span_find(path, WR_LIT("$document_root")) >= 0 ||
        wr_span_find(path, WR_LIT("${document_root}")) >= 0 ||
        wr_span_find(path, WR_LIT("$realpath_root")) >= 0)
        return conf_fail(load, node, 1,
                         "the $document_root variable cannot be used in the \"%s\" directive",
                         row->name);
    if (!alias && path.n > 1 && path.p[path.n - 1] == '/')
        path = wr_span_sub(path, 0, path.n - 1);
    int err = site_path(load, path, &path);
    if (err)
        return err;
    struct web_location *l = site_scope_location(load);
    root->alias = alias;
    root->regex = alias && l && site_location_is_regex(l);
    root->name_n = alias && l ? (uint32_t)l->name.n : 0;
    if (alias && l && l->named)
        return conf_fail(load, node, 0,
                         "the \"alias\" directive cannot be used inside the named location");
    return web_value_compile(load, node, 1, path, &root->path);
}

int core_set_temp_path(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)row;
    struct core_temp_path *t = field;
    struct wr_span path = conf_arg(node, 1);
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path = wr_span_sub(path, 0, path.n - 1);
    t->nlevels = 0;
    for (uint32_t i = 2; i < node->nwords; i++) {
        int64_t n;
        if (conf_read_num(conf_arg(node, i), &n) || n < 1 || n > 3)
            return conf_fail(load, node, i, "invalid value \"%s\"", conf_str(node, i));
        t->level[t->nlevels++] = (uint8_t)n;
    }
    return site_path(load, path, &t->path);
}

int core_set_symlinks(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    (void)row;
    struct core_symlinks_conf *s = field;
    bool mode = false;
    for (uint32_t i = 1; i < node->nwords; i++) {
        struct wr_span v = conf_arg(node, i);
        if (wr_span_has_prefix(v, WR_LIT("from=")) && v.n > 5) {
            int err = web_value_compile(load, node, i, wr_span_sub(v, 5, v.n), &s->from);
            if (err)
                return err;
            continue;
        }
        mode = true;
        if (wr_span_eq(v, WR_LIT("off")))
            s->mode = CORE_SYMLINKS_FOLLOW;
        else if (wr_span_eq(v, WR_LIT("on")))
            s->mode = CORE_SYMLINKS_REFUSE;
        else if (wr_span_eq(v, WR_LIT("if_not_owner")))
            s->mode = CORE_SYMLINKS_OWNER;
        else
            return conf_fail(load, node, i, "invalid parameter \"%s\"", v.p);
    }
    if (!mode)
        return conf_fail(load, node, 0,
                         "\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" "
                         "parameter");
    return 0;
}

int core_set_file_cache(struct conf_load *load, const struct conf_node *node,
                        const struct conf_row *row, void *field)
{
    (void)row;
    struct core_file_cache *c = field;
    *c = (struct core_file_cache){.inactive_ms = 60000};
    for (uint32_t i = 1; i < node->nwords; i++) {
        struct wr_span v = conf_arg(node, i);
        int64_t n;
        if (wr_span_has_prefix(v, WR_LIT("max="))) {
            if (conf_read_num(wr_span_sub(v, 4, v.n), &n) || n <= 0)
                return conf_fail(load, node, i, "invalid \"open_file_cache\" parameter \"%s\"",
                                 v.p);
            c->max = (uint64_t)n;
        } else if (wr_span_has_prefix(v, WR_LIT("inactive="))) {
            uint64_t s;
            if (conf_read_sec(wr_span_sub(v, 9, v.n), &s))
                return conf_fail(load, node, i, "invalid \"open_file_cache\" parameter \"%s\"",
                                 v.p);
            c->inactive_ms = s * 1000;
        } else if (wr_span_eq(v, WR_LIT("off"))) {
            return 0;
        } else {
            return conf_fail(load, node, i, "invalid \"open_file_cache\" parameter \"%s\"",
                             v.p);
        }
    }
    c->on = c->max > 0;
    return c->on ? 0
                 : conf_fail(load, node, 0,
                             "\"open_file_cache\" must have the \"max\" parameter");
}

static struct core_thread_pool *thread_pool(struct conf_load *load,
                                            const struct conf_node *node, struct wr_span name)
{
    struct core_main *m = load->scope->at[CONF_AT_CORE][WEB_core];
    for (struct core_thread_pool *p = m->thread_pools; p; p = p->next)
        if (wr_span_eq(p->name, name))
            return p;
    struct core_thread_pool *p = wr_arena_zalloc(load->arena, sizeof *p);
    if (!p)
        return NULL;
    bool known = wr_span_eq(name, WR_LIT("default"));
    *p = (struct core_thread_pool){.next = m->thread_pools,
                                   .name = name,
                                   .node = node,
                                   .threads = known ? 8 : 0,
                                   .max_queue = 4096};
    m->thread_pools = p;
    return p;
}

int core_set_thread_pool(struct conf_load *load, const struct conf_node *node,
                         const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct core_thread_pool *p = thread_pool(load, node, conf_arg(node, 1));
    int64_t threads = 0, queue = 65536;
    if (!p)
        return -ENOMEM;
    if (p->defined)
        return conf_fail(load, node, 1, "duplicate thread pool \"%s\"", conf_str(node, 1));
    for (uint32_t i = 2; i < node->nwords; i++) {
        struct wr_span word = conf_arg(node, i);
        if (wr_span_has_prefix(word, WR_LIT("threads="))) {
            if (conf_read_num(wr_span_sub(word, 8, word.n), &threads) || threads < 1)
                return conf_fail(load, node, i, "invalid threads value \"%s\"", word.p);
        } else if (wr_span_has_prefix(word, WR_LIT("max_queue="))) {
            if (conf_read_num(wr_span_sub(word, 10, word.n), &queue) || queue < 0)
                return conf_fail(load, node, i, "invalid max_queue value \"%s\"", word.p);
        }
    }
    if (!threads)
        return conf_fail(load, node, 0, "\"thread_pool\" must have \"threads\" parameter");
    if (threads > THREADS_MAX)
        conf_warn(load, node, 2, "a pool has at most %d threads", THREADS_MAX);
    p->defined = true;
    p->threads = threads < THREADS_MAX ? threads : THREADS_MAX;
    p->max_queue = queue < 1 ? 1 : queue < QUEUE_MAX ? queue : QUEUE_MAX;
    return 0;
}

/* A pool may be defined behind the place that names it. */
static int settle_pools(struct conf_load *load, const struct core_main *m)
{
    for (const struct core_thread_pool *p = m->thread_pools; p; p = p->next)
        if (!p->threads)
            return conf_fail(load, p->node, 1, "unknown thread pool \"%.*s\"",
                             WR_SPANF(p->name));
    return 0;
}

int core_set_aio(struct conf_load *load, const struct conf_node *node,
                 const struct conf_row *row, void *field)
{
    (void)row;
    struct core_location *c = wr_container_of((int *)field, struct core_location, aio);
    struct wr_span v = conf_arg(node, 1);
    if (wr_span_eq(v, WR_LIT("off")))
        c->aio = CORE_AIO_OFF;
    else if (wr_span_eq(v, WR_LIT("on")))
        c->aio = CORE_AIO_ON;
    else if (wr_span_eq(v, WR_LIT("threads")) || wr_span_has_prefix(v, WR_LIT("threads=")))
        c->aio = CORE_AIO_THREADS;
    else
        return conf_fail(load, node, 1, "invalid value \"%s\"", v.p);
    if (c->aio != CORE_AIO_THREADS)
        return 0;
    struct wr_span name = v.n > 8 ? wr_span_sub(v, 8, v.n) : WR_LIT("default");
    if (wr_span_find_char(name, '$') >= 0)
        return conf_fail(load, node, 1, "variables in \"%s\" are not supported", v.p);
    c->thread_pool = thread_pool(load, node, name);
    if (!c->thread_pool)
        return -ENOMEM;
    c->thread_pool->used = true;
    return 0;
}

int core_set_directio(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    struct core_location *c =
        wr_container_of((uint64_t *)field, struct core_location, directio);
    int err = conf_set_size(load, node, row, field);
    if (err || c->directio == UINT64_MAX)
        return err;
    c->direct_pool = thread_pool(load, node, WR_LIT("default"));
    if (!c->direct_pool)
        return -ENOMEM;
    c->direct_pool->used = true;
    return 0;
}

/* ---- connections -------------------------------------------------------------------------------------------- */

int core_set_keepalive(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    struct core_keepalive *k = field;
    k->header_s = 0;
    if (conf_read_msec(conf_arg(node, 1), &k->timeout_ms) || k->timeout_ms >= WR_FOREVER)
        return conf_fail(load, node, 1, "\"%s\" directive invalid value", row->name);
    if (node->nwords > 2 && conf_read_sec(conf_arg(node, 2), &k->header_s))
        return conf_fail(load, node, 2, "\"%s\" directive invalid value", row->name);
    return 0;
}

int core_set_resolver(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    (void)row;
    struct core_resolver *res = field;
    struct wr_span *list = wr_arena_alloc(load->arena, node->nwords * sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (uint32_t i = 1; i < node->nwords; i++) {
        struct wr_span v = conf_arg(node, i);
        if (wr_span_has_prefix(v, WR_LIT("valid="))) {
            uint64_t s;
            if (conf_read_sec(wr_span_sub(v, 6, v.n), &s))
                return conf_fail(load, node, i, "invalid parameter: %s", v.p);
            res->valid_ms = s * 1000;
        } else if (wr_span_eq(v, WR_LIT("ipv4=off"))) {
            res->no_ipv4 = true;
        } else if (wr_span_eq(v, WR_LIT("ipv6=off"))) {
            res->no_ipv6 = true;
        } else if (!wr_span_eq(v, WR_LIT("ipv4=on")) && !wr_span_eq(v, WR_LIT("ipv6=on")) &&
                   !wr_span_has_prefix(v, WR_LIT("status_zone="))) {
            list[res->servers.n++] = v;
        }
    }
    res->servers.list = list;
    if (res->no_ipv4 && res->no_ipv6)
        return conf_fail(load, node, 0, "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
    return res->servers.n ? 0 : conf_fail(load, node, 0, "no name servers defined");
}

int core_set_tokens(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)row;
    struct core_tokens *t = field;
    struct wr_span v = conf_arg(node, 1);
    if (wr_span_eq(v, WR_LIT("on")))
        t->mode = CORE_TOKENS_ON;
    else if (wr_span_eq(v, WR_LIT("off")))
        t->mode = CORE_TOKENS_OFF;
    else if (wr_span_eq(v, WR_LIT("build")))
        t->mode = CORE_TOKENS_BUILD;
    else {
        t->mode = CORE_TOKENS_TEXT;
        return web_value_compile(load, node, 1, v, &t->text);
    }
    return 0;
}

int core_set_internal(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    (void)node;
    (void)row;
    (void)field;
    site_scope_location(load)->internal = true;
    return 0;
}

/* ---- made ready ----------------------------------------------------------------------------------------------- */

static uint32_t ms(uint64_t v)
{
    return v >= WR_FOREVER ? WR_FOREVER : (uint32_t)v;
}

#define HANDLER_TIMEOUT_MS 600000 /* an answer that nobody makes */
#define MIN_RATE_WINDOW_MS 30000
#define MIN_RATE           50 /* bytes a second: whoever is slower holds the connection, not the file */

static void settle_limits(struct core_location *c)
{
    static const enum wr_http_linger linger[] = {WR_HTTP_LINGER_OFF, WR_HTTP_LINGER_ON,
                                                 WR_HTTP_LINGER_ALWAYS};
    if (c->client_max_body_size == 0)
        c->client_max_body_size = UINT64_MAX;
    bool throttled = c->limit_rate.nparts || !wr_span_eq(c->limit_rate.text, WR_LIT("0"));
    uint64_t requests = (uint64_t)c->keepalive_requests;
    c->limits = (struct wr_http_conn_limits){
        .idle_timeout_ms = ms(c->keepalive.timeout_ms),
        .min_idle_ms = ms(c->keepalive_min_timeout_ms),
        .max_requests = requests > UINT32_MAX ? UINT32_MAX : (uint32_t)requests,
        .max_life_ms = ms(c->keepalive_time_ms),
        .handler_timeout_ms = HANDLER_TIMEOUT_MS,
        .body_timeout_ms = ms(c->client_body_timeout_ms),
        .send_timeout_ms = ms(c->send_timeout_ms),
        .rate_window_ms = MIN_RATE_WINDOW_MS,
        .min_body_bytes_per_s = MIN_RATE,
        .min_send_bytes_per_s = throttled ? 0 : MIN_RATE,
        .max_body = UINT64_MAX, /* phases.c and body.c count: the location is not known yet */
        .linger = linger[c->lingering_close],
        .linger_ms = ms(c->lingering_time_ms),
        .linger_idle_ms = ms(c->lingering_timeout_ms),
        .postpone =
            throttled || c->postpone_output > UINT32_MAX ? 0 : (uint32_t)c->postpone_output,
        .reset_on_timeout = c->reset_timedout_connection,
        .delay = !c->tcp_nodelay,
        .turn_bytes = c->sendfile_max_chunk < UINT32_MAX ? (uint32_t)c->sendfile_max_chunk : 0,
    };
}

static int text(struct wr_arena *a, struct wr_span *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = wr_arena_vprintf(a, fmt, ap);
    va_end(ap);
    *out = wr_span_str(p);
    return p ? 0 : -ENOMEM;
}

static int settle_texts(struct wr_arena *a, struct core_location *c)
{
    const char *name = SERVER_NAME;
    if (c->tokens.mode == CORE_TOKENS_ON)
        name = SERVER_NAME "/" WR_VERSION;
    if (c->tokens.mode == CORE_TOKENS_BUILD)
        name = SERVER_NAME "/" WR_VERSION " (libweir)";
    if (c->tokens.mode == CORE_TOKENS_TEXT && web_value_constant(&c->tokens.text))
        name = c->tokens.text.text.p;
    int err = *name ? text(a, &c->server_line, "Server: %s\r\n", name) : 0;
    if (!err)
        err = text(a, &c->error_tail, "<hr><center>%s</center>\r\n</body>\r\n</html>\r\n",
                   *name ? name : SERVER_NAME);
    if (err || c->keepalive.header_s == 0)
        return err;
    return text(a, &c->keep_alive_line,
                "Connection: keep-alive\r\nKeep-Alive: timeout=%llu\r\n",
                (unsigned long long)c->keepalive.header_s);
}

static int settle_location(struct conf_load *load, struct core_location *c)
{
    if (!c->types && core_types_default(load->arena, &c->types))
        return -ENOMEM;
    c->keep_alive_line = WR_LIT("Connection: keep-alive\r\n");
    settle_limits(c);
    return settle_texts(load->arena, c);
}

static uint32_t size32(uint64_t v)
{
    return v > (1u << 30) ? 1u << 30 : (uint32_t)v;
}

static void settle_server(struct core_server *s)
{
    uint32_t field = size32(s->large_client_header_buffers.size);
    s->head_limits = (struct wr_http_head_limits){
        .parse = WR_HTTP_LIMITS_DEFAULT,
        .first_timeout_ms = ms(s->client_header_timeout_ms),
        .head_timeout_ms = ms(s->client_header_timeout_ms),
    };
    s->head_limits.parse.max_line = s->head_limits.parse.max_field = field;
    s->head_limits.parse.max_head =
        size32(s->large_client_header_buffers.size * s->large_client_header_buffers.n);
    s->head_limits.parse.max_fields = (uint32_t)s->max_headers;
    s->head_limits.parse.allow_high_target = true;
}

static int core_settle(struct conf_load *load, struct conf_scope *scope)
{
    if (scope->context == CONF_MAIN) {
        struct core_main *m = scope->at[CONF_AT_CORE][WEB_core];
        if (!m->has_events)
            return conf_fail(load, NULL, 0, "no \"events\" section in configuration");
        return settle_pools(load, m);
    }
    if (scope->own & 1u << CONF_AT_SERVER)
        settle_server(scope->at[CONF_AT_SERVER][WEB_core]);
    if (scope->own & 1u << CONF_AT_LOCATION)
        return settle_location(load, scope->at[CONF_AT_LOCATION][WEB_core]);
    return 0;
}

const struct web_module core_module = {
    .conf = {.name = "http_core",
             .size = {[CONF_AT_CORE] = sizeof(struct core_main),
                      [CONF_AT_HTTP] = sizeof(struct core_http),
                      [CONF_AT_SERVER] = sizeof(struct core_server),
                      [CONF_AT_LOCATION] = sizeof(struct core_location)},
             .rows = core_rows,
             .settle = core_settle},
};
