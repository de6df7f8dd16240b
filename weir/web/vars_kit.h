/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_VARS_KIT_H
#define WEB_VARS_KIT_H

/*
 * A site without sockets for tests and fuzzers of variables and rewriting: the real modules in the text of an
 * http block with one `server` and in it `location PREFIX { ... }`, and an engine of forty lines that runs the rewrite phases of a request
 * and keeps what the modules would have answered.
 *
 * Everything that the request engine gives to modules is defined here, so that nothing of it is linked.
 */

#include "libweir/base/err.h"
#include "libweir/http/parse.h"
#include "libweir/http/uri.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <stdio.h>

/* ---- a configuration ------------------------------------------------------------------------------------ */

struct kit_conf {
    struct web_location *list[64];
    uint32_t n;
};

struct vars_kit {
    struct wr_loop *loop;
    struct wr_arena arena, request_arena;
    struct conf_load load;
    struct conf_source source;
    struct web_generation g;
    struct web_server server;
    struct web_location outer;
    struct kit_conf locations;
    struct conf_scope *http;
    char said[512]; /* the first mistake */
    /* the request under way */
    struct web_req r;
    struct web_conn conn;
    struct wr_head head;
    struct wr_field fields[32];
    char answer[4096]; /* "200 text", "302 location" */
    char errors[1024]; /* messages of the error log */
};

static struct vars_kit kit;

static int kit_set_location(struct conf_load *load, const struct conf_node *node,
                            const struct conf_row *row, void *field)
{
    (void)row, (void)field;
    struct conf_scope *scope;
    struct web_location *l;
    if (kit.locations.n == WR_ARRAY_LEN(kit.locations.list))
        return conf_fail(load, node, 0, "too many locations");
    int err = site_location_new(load, node, CONF_LOCATION, &scope, &l);
    if (err)
        return err;
    l->name = conf_arg(node, 1);
    kit.locations.list[kit.locations.n++] = l;
    return conf_apply(load, scope, node->children);
}

static int kit_set_server(struct conf_load *load, const struct conf_node *node,
                          const struct conf_row *row, void *field)
{
    (void)row, (void)field;
    struct conf_scope *scope;
    int err = conf_scope_new(load, load->scope, node, CONF_SERVER,
                             1 << CONF_AT_SERVER | 1 << CONF_AT_LOCATION, &scope);
    if (err)
        return err;
    scope->user = &kit.server;
    kit.server.conf = scope->at[CONF_AT_SERVER];
    kit.server.node = node;
    kit.outer.conf = scope->at[CONF_AT_LOCATION];
    return conf_apply(load, scope, node->children);
}

static const struct conf_row kit_rows[] = {
    {"server",        CONF_HTTP, 0, 0, CONF_BLOCK, CONF_AT_HTTP, kit_set_server, CONF_NO_FIELD, NULL,
     NULL, "{ ... }", "The server."},
    {"location",              CONF_SERVER, 1, 1, CONF_BLOCK | CONF_TWICE, CONF_AT_SERVER, kit_set_location,
     CONF_NO_FIELD, NULL, NULL, "prefix { ... }", "A location."},
    {"server_name",     CONF_SERVER, 1, CONF_MANY, CONF_TWICE, CONF_AT_SERVER, conf_set_nothing,
     CONF_NO_FIELD, NULL, NULL, "name ...", "Names."},
    {0},
};
static const struct web_module kit_module = {
    .conf = {.name = "kit", .rows = kit_rows}
};
static const struct web_module no_module = {.conf = {.name = "none"}};

#define WEB_MODULE(name) extern const struct web_module name##_module WR_UNUSED;
#include "weir/web/modules.def"
#undef WEB_MODULE

#define KIT_USES(id)                                                                     \
    ((id) == WEB_rewrite || (id) == WEB_map || (id) == WEB_geo || (id) == WEB_referer || \
     (id) == WEB_split_clients || (id) == WEB_browser || (id) == WEB_secure_link)
#define WEB_MODULE(name)                                        \
    __builtin_choose_expr(KIT_USES(WEB_##name), &name##_module, \
                          WEB_##name == WEB_core ? &kit_module : &no_module),
const struct web_module *const web_modules[WEB_MODULES + 1] = {
#include "weir/web/modules.def"
};
#undef WEB_MODULE

static const struct conf_module *kit_conf_modules[WEB_MODULES];

static int kit_no_file(void *ctx, const char *path, struct wr_arena *arena,
                       struct wr_span *out_text)
{
    (void)ctx, (void)path, (void)arena, (void)out_text;
    return -ENOENT;
}

static int kit_no_glob(void *ctx, const char *pattern, struct wr_arena *arena,
                       const char ***out_paths)
{
    (void)ctx, (void)pattern, (void)arena, (void)out_paths;
    return 0;
}

static void kit_say(void *ctx, enum conf_severity severity, const char *text, const char *hint)
{
    (void)ctx, (void)hint;
    if (severity == CONF_EMERG && !kit.said[0])
        (void)snprintf(kit.said, sizeof(kit.said), "%s", text);
}

/* arenas: the test's, of tests/mem_kit.h. */
WR_MUST static inline int kit_init(struct wr_arena_source *arenas)
{
    struct wr_loop_options options = {0};
    int err = wr_loop_new(&options, &kit.loop);
    if (err)
        return err;
    wr_arena_init(&kit.arena, arenas, NULL, WR_ARENA_BLOCK);
    wr_arena_init(&kit.request_arena, arenas, NULL, WR_ARENA_CHUNK);
    for (uint32_t i = 0; i < WEB_MODULES; i++)
        kit_conf_modules[i] = &web_modules[i]->conf;
    return 0;
}

static inline void kit_deinit(void)
{
    wr_arena_deinit(&kit.request_arena);
    wr_arena_deinit(&kit.arena);
    wr_loop_free(&kit.loop);
}

WR_MUST static inline int kit_apply(struct wr_span text)
{
    struct conf_node *nodes;
    struct web_vars *vars;
    int err = web_vars_new(&kit.load, &vars);
    if (err)
        return err;
    kit.g.vars = vars;
    err = conf_scope_new(&kit.load, NULL, NULL, CONF_HTTP,
                         1 << CONF_AT_CORE | 1 << CONF_AT_HTTP | 1 << CONF_AT_SERVER |
                             1 << CONF_AT_LOCATION,
                         &kit.http);
    if (!err)
        err = conf_parse_text(&kit.load, "t", text, &nodes);
    if (!err)
        err = conf_apply(&kit.load, kit.http, nodes);
    if (!err)
        err = conf_scope_settle(&kit.load, kit.http);
    return err ? err : web_vars_ready(&kit.load, vars, true);
}

/* The text of an http block. 0, or an error and kit.said. */
WR_MUST static inline int kit_load(struct wr_span text)
{
    wr_arena_reset(&kit.request_arena, 0);
    wr_arena_reset(&kit.arena, 0);
    kit.source = (struct conf_source){kit_no_file, kit_no_glob, kit_say, &kit};
    kit.g = (struct web_generation){.arena = &kit.arena};
    kit.server = (struct web_server){.outer = &kit.outer, .generation = &kit.g};
    kit.outer = (struct web_location){.server = &kit.server};
    kit.locations.n = 0;
    kit.said[0] = '\0';
    conf_load_init(&kit.load, &kit.arena, &kit.source, kit_conf_modules, WEB_MODULES);
    kit.load.user = &kit.g;
    int err = kit_apply(text);
    if (err)
        return err;
    kit.server.main_conf = kit.http->at[CONF_AT_HTTP];
    kit.server.name = WR_LIT("name.test");
    if (!kit.outer.conf) { /* no server block */
        kit.server.conf = kit.http->at[CONF_AT_SERVER];
        kit.outer.conf = kit.http->at[CONF_AT_LOCATION];
    }
    return 0;
}

/* ---- a request --------------------------------------------------------------------------------------------- */

static const struct web_location *kit_find(struct wr_span uri)
{
    const struct web_location *best = &kit.outer;
    for (uint32_t i = 0; i < kit.locations.n; i++) {
        const struct web_location *l = kit.locations.list[i];
        if (wr_span_has_prefix(uri, l->name) &&
            (best == &kit.outer || l->name.n > best->name.n))
            best = l;
    }
    return best;
}

static int kit_phase(enum web_phase phase)
{
    struct web_req *r = &kit.r;
    for (const struct web_phase_row *p = rewrite_module.phases; p->fn; p++)
        if (p->phase == phase && p->wanted(r->location))
            return p->fn(r);
    return WEB_NEXT;
}

/* "GET /x?y HTTP/1.1\r\n...": 0, or negative when the head is none. The answer is in kit.answer. */
WR_MUST static inline int kit_begin(struct wr_span head)
{
    struct wr_parse parse;
    struct web_req *r = &kit.r;
    struct wr_uri uri;
    wr_arena_reset(&kit.request_arena, 0);
    kit.answer[0] = kit.errors[0] = '\0';
    wr_head_init(&kit.head, kit.fields, WR_ARRAY_LEN(kit.fields));
    wr_parse_init_request(&parse, &kit.head, NULL);
    if (wr_parse_head(&parse, head) != WR_PARSED_DONE)
        return WR_E_SYNTAX;
    if (wr_uri_parse(kit.head.target, kit.head.method, &uri) != WR_BAD_NONE || uri.path.n == 0)
        return WR_E_SYNTAX;
    kit.conn = (struct web_conn){
        .server = &kit.server,
        .number = 7,
        .peer = wr_addr_v4((const uint8_t[4]){192, 0, 2, 1}, 4321),
        .local = wr_addr_v4((const uint8_t[4]){192, 0, 2, 9}, 80),
    };
    *r = (struct web_req){.conn = &kit.conn,
                          .main = r,
                          .server = &kit.server,
                          .location = &kit.outer,
                          .arena = &kit.request_arena,
                          .head = &kit.head,
                          .method = kit.head.method,
                          .method_text = kit.head.method_text,
                          .line = kit.head.target,
                          .raw_uri = kit.head.target,
                          .host = WR_LIT("example.test"),
                          .client = kit.conn.peer,
                          .redirects = 11};
    char *mem = wr_arena_alloc(r->arena, uri.path.n + 1);
    if (!mem)
        return -ENOMEM;
    r->args = uri.has_query ? uri.query : (struct wr_span){0};
    return wr_path_normalise(uri.path, WR_PATH_MERGE_SLASHES, mem, &r->uri);
}

/* Runs the rewrite phases; returns what ended them. */
WR_MUST static inline int kit_run(void)
{
    struct web_req *r = &kit.r;
    int rc = kit_phase(WEB_SERVER_REWRITE);
    while (rc == WEB_NEXT || rc == WEB_OK) {
        r->location = kit_find(r->uri);
        r->uri_changed = false;
        rc = kit_phase(WEB_REWRITE);
        if ((rc != WEB_NEXT && rc != WEB_OK) || !r->uri_changed)
            break;
        if (--r->redirects == 0)
            rc = 500;
    }
    return rc;
}

/* ---- what the engine gives to modules ----------------------------------------------------------------------- */

struct web_vars *web_vars_of(const struct conf_load *load)
{
    return site_of(load)->vars;
}

int site_location_new(struct conf_load *load, const struct conf_node *node, uint32_t context,
                      struct conf_scope **out_scope, struct web_location **out_location)
{
    struct web_location *l = wr_arena_zalloc(load->arena, sizeof(*l));
    int err =
        l ? conf_scope_new(load, load->scope, node, context, 1 << CONF_AT_LOCATION, out_scope)
          : -ENOMEM;
    if (err)
        return err;
    l->conf = (*out_scope)->at[CONF_AT_LOCATION];
    l->server = &kit.server;
    l->is_if = context != CONF_LOCATION;
    l->node = node;
    (*out_scope)->user = l;
    *out_location = l;
    return 0;
}

struct web_server *site_scope_server(const struct conf_load *load)
{
    (void)load;
    return &kit.server;
}

void web_set_location(struct web_req *r, const struct web_location *location)
{
    r->location = location;
}

int web_reply(struct web_req *r, int status, struct wr_span type, struct wr_span body)
{
    (void)r, (void)type;
    (void)snprintf(kit.answer, sizeof(kit.answer), "%d %.*s", status, WR_SPANF(body));
    return WEB_DONE;
}

int web_redirect(struct web_req *r, int status, struct wr_span location)
{
    return web_reply(r, status, WR_LIT(""), location);
}

int web_discard_body(struct web_req *r)
{
    (void)r;
    return 0;
}

void web_set_type(struct web_req *r)
{
    r->out.type = WR_LIT("text/plain");
}

void web_error(struct web_req *r, int level, int err, const char *fmt, ...)
{
    (void)r, (void)level, (void)err;
    size_t n = strlen(kit.errors);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(kit.errors + n, sizeof(kit.errors) - n, fmt, ap);
    va_end(ap);
}

char *web_map_path(struct web_req *r, size_t extra, struct wr_span *out_path,
                   size_t *out_root_len)
{
    char *p = wr_arena_alloc(r->arena, r->uri.n + extra + 6);
    if (!p)
        return NULL;
    memcpy(p, "/root", 5);
    memcpy(p + 5, r->uri.p, r->uri.n);
    p[5 + r->uri.n] = '\0';
    *out_path = wr_span(p, 5 + r->uri.n);
    *out_root_len = 5;
    return p;
}

struct wr_span web_field(const struct web_req *r, struct wr_span name)
{
    uint32_t at = 0;
    const struct wr_field *f = wr_head_find(r->head, name, &at);
    return f ? f->value : (struct wr_span){0};
}

const struct wr_addr *web_local(struct web_req *r)
{
    return &r->conn->local;
}

struct wr_loop *web_loop(const struct web_req *r)
{
    (void)r;
    return kit.loop;
}

uint64_t web_bytes_sent(const struct web_req *r)
{
    return r->head_bytes + r->body_bytes;
}

bool web_complete(const struct web_req *r)
{
    (void)r;
    return false;
}

#endif
