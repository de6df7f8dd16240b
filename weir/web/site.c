/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/site_private.h"

#include "weir/web/core.h"
#include "weir/web/vars.h"

#include <errno.h>

int site_push(struct wr_arena *a, void ***list, uint32_t *n, uint32_t *cap, void *p)
{
    if (*n == *cap) {
        uint32_t more = *cap ? *cap * 2 : 8;
        void **bigger = wr_arena_alloc(a, more * sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        if (*n)
            memcpy(bigger, *list, *n * sizeof(*bigger));
        *list = bigger;
        *cap = more;
    }
    (*list)[(*n)++] = p;
    return 0;
}

/* ---- scopes ------------------------------------------------------------------------------------------ */

struct web_location *site_scope_location(const struct conf_load *load)
{
    const struct conf_scope *s = load->scope;
    uint32_t inner = CONF_LOCATION | CONF_IF_SERVER | CONF_IF_LOCATION | CONF_LIMIT_EXCEPT;
    return s && s->context & inner ? s->user : NULL;
}

struct web_server *site_scope_server(const struct conf_load *load)
{
    for (const struct conf_scope *s = load->scope; s; s = s->parent)
        if (s->context == CONF_SERVER)
            return s->user;
    return NULL;
}

struct web_vars *web_vars_of(const struct conf_load *load)
{
    return site_of(load)->vars;
}

int site_location_new(struct conf_load *load, const struct conf_node *node, uint32_t context,
                      struct conf_scope **out_scope, struct web_location **out_location)
{
    struct web_generation *g = site_of(load);
    struct site_server *server = (struct site_server *)(void *)site_scope_server(load);
    struct site_location *in = wr_arena_zalloc(load->arena, sizeof(*in));
    struct conf_scope *scope;
    if (!in)
        return -ENOMEM;
    int err = conf_scope_new(load, load->scope, node, context, 1u << CONF_AT_LOCATION, &scope);
    if (!err)
        err = site_push(load->arena, (void ***)(void *)&g->locations, &g->nlocations,
                        &g->caps[2], &in->l);
    if (err)
        return err;
    struct web_location *parent = site_scope_location(load);
    in->parent = parent ? site_inside(parent) : &server->outer;
    in->l.private = in;
    in->l.server = &server->s;
    in->l.node = node;
    in->l.conf = scope->at[CONF_AT_LOCATION];
    in->l.is_if = context == CONF_IF_SERVER || context == CONF_IF_LOCATION;
    in->l.limit_except = context == CONF_LIMIT_EXCEPT;
    if (context != CONF_LOCATION) {
        in->l.name = in->parent->l.name;
        in->l.named = in->parent->l.named;
    }
    scope->user = &in->l;
    *out_scope = scope;
    *out_location = &in->l;
    return 0;
}

int site_set_server(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct web_generation *g = site_of(load);
    struct site_server *s = wr_arena_zalloc(load->arena, sizeof(*s));
    struct conf_scope *scope;
    if (!s)
        return -ENOMEM;
    int err = conf_scope_new(load, load->scope, node, CONF_SERVER,
                             1u << CONF_AT_SERVER | 1u << CONF_AT_LOCATION, &scope);
    if (!err)
        err = site_push(load->arena, (void ***)(void *)&g->servers, &g->nservers, &g->caps[1],
                        &s->s);
    if (!err)
        err = site_push(load->arena, (void ***)(void *)&g->locations, &g->nlocations,
                        &g->caps[2], &s->outer.l);
    if (err)
        return err;
    s->s.private = s;
    s->s.conf = scope->at[CONF_AT_SERVER];
    s->s.main_conf = g->main;
    s->s.generation = g;
    s->s.node = node;
    s->s.outer = &s->outer.l;
    s->outer.l.private = &s->outer;
    s->outer.l.server = &s->s;
    s->outer.l.conf = scope->at[CONF_AT_LOCATION];
    scope->user = &s->s;
    err = conf_apply(load, scope, node->children);
    if (!err && !s->listens)
        err = site_listen_default(load, &s->s, node);
    return err;
}

/* ---- what applies where --------------------------------------------------------------------------------- */

static web_phase_fn *const no_phase[] = {NULL};
static int (*const no_fn[])(struct web_req *r) = {NULL};

static bool wanted(bool (*ask)(const struct web_location *l), const struct web_location *l)
{
    return !ask || ask(l);
}

static int list_phase(struct wr_arena *a, const struct web_location *l, uint8_t phase,
                      web_phase_fn *const **out)
{
    uint32_t n = 0;
    web_phase_fn **list = NULL;
    for (int fill = 0; fill < 2; fill++) {
        uint32_t at = 0;
        for (uint32_t m = 0; m < WEB_MODULES; m++)
            for (const struct web_phase_row *row = web_modules[m]->phases; row && row->fn;
                 row++) {
                if (row->phase != phase || !wanted(row->wanted, l))
                    continue;
                if (fill)
                    list[at] = row->fn;
                at++;
            }
        n = at;
        if (n == 0) {
            *out = no_phase;
            return 0;
        }
        if (!fill && !(list = wr_arena_zalloc(a, (n + 1) * sizeof(*list))))
            return -ENOMEM;
    }
    *out = list;
    return 0;
}

typedef int module_fn(struct web_req *r);

/* The head filters, or the log functions. */
static int list_fns(struct wr_arena *a, const struct web_location *l, bool logs,
                    module_fn *const **out)
{
    module_fn *found[WEB_MODULES];
    uint32_t n = 0;
    for (uint32_t m = 0; m < WEB_MODULES; m++) {
        const struct web_module *mod = web_modules[m];
        module_fn *fn = logs ? mod->log : mod->head_filter;
        if (fn && wanted(logs ? mod->log_wanted : mod->head_wanted, l))
            found[n++] = fn;
    }
    *out = no_fn;
    if (n == 0)
        return 0;
    module_fn **list = wr_arena_zalloc(a, (n + 1) * sizeof(*list));
    if (!list)
        return -ENOMEM;
    memcpy(list, found, n * sizeof(*list));
    *out = list;
    return 0;
}

static int build_location(struct conf_load *load, struct web_location *l)
{
    struct site_location *in = site_inside(l);
    if (!l->handler && (l->is_if || l->limit_except))
        l->handler = in->parent->l.handler;
    for (uint8_t p = 0; p < WEB_PHASES; p++)
        if (list_phase(load->arena, l, p, &l->phase[p]))
            return -ENOMEM;
    if (list_fns(load->arena, l, false, &l->head_filters) ||
        list_fns(load->arena, l, true, &l->logs))
        return -ENOMEM;
    return site_set_build(load, &in->inner);
}

static int build(struct conf_load *load, struct web_generation *g)
{
    int err = 0;
    for (uint32_t i = 0; i < g->nlocations && !err; i++)
        err = build_location(load, g->locations[i]);
    for (uint32_t i = 0; i < g->nservers && !err; i++) {
        struct web_server *s = g->servers[i];
        for (uint8_t p = 0; p < WEB_PHASES; p++)
            s->phase[p] = s->outer->phase[p];
    }
    return err ? err : site_listen_build(load, g);
}

/* ---- a generation ----------------------------------------------------------------------------------------- */

static int load_nodes(struct conf_load *load, struct web_generation *g,
                      const struct conf_node *nodes, const struct web_generation *old)
{
    struct conf_scope *root;
    struct web_vars *vars;
    int err = web_vars_new(load, &vars);
    if (err)
        return err;
    g->vars = vars;
    err = conf_scope_new(load, NULL, NULL, CONF_MAIN, 1u << CONF_AT_CORE, &root);
    if (err)
        return err;
    g->core = root->at[CONF_AT_CORE];
    err = conf_apply(load, root, nodes);
    if (!err)
        err = conf_scope_settle(load, root);
    if (!err)
        err = build(load, g);
    if (!err)
        err = web_vars_ready(load, vars, ((struct core_main *)g->core[WEB_core])->pcre_jit);
    if (!err)
        err = site_zones_attach(load, g, old);
    for (uint32_t m = 0; m < WEB_MODULES && !err; m++)
        if (web_modules[m]->ready)
            err = web_modules[m]->ready(load, g);
    return err;
}

int site_path(const struct conf_load *load, struct wr_span path, struct wr_span *out)
{
    struct wr_span prefix = site_of(load)->prefix;
    if (path.n && (path.p[0] == '/' || path.p[0] == '$'))
        prefix.n = 0;
    char *p = wr_arena_alloc(load->arena, prefix.n + path.n + 1);
    if (!p)
        return -ENOMEM;
    if (prefix.n)
        memcpy(p, prefix.p, prefix.n);
    if (path.n)
        memcpy(p + prefix.n, path.p, path.n);
    p[prefix.n + path.n] = '\0';
    *out = wr_span(p, prefix.n + path.n);
    return 0;
}

int web_generation_load(struct conf_load *load, const struct conf_node *nodes,
                        const struct web_load_options *options, struct web_generation **out)
{
    struct web_generation *g = wr_arena_zalloc(load->arena, sizeof(*g));
    if (!g)
        return -ENOMEM;
    g->arena = load->arena;
    g->prefix = options->prefix;
    load->user = g;
    int err = load_nodes(load, g, nodes, options->old);
    if (err) {
        site_zones_drop(g);
        return err;
    }
    *out = g;
    return 0;
}

void web_generation_drop(struct web_generation **g)
{
    if (*g)
        site_zones_drop(*g);
    *g = NULL;
}

const struct web_server *web_server_next(const struct web_generation *g, uint32_t *cursor)
{
    return *cursor < g->nservers ? g->servers[(*cursor)++] : NULL;
}

const struct web_location *web_location_next(const struct web_generation *g, uint32_t *cursor)
{
    return *cursor < g->nlocations ? g->locations[(*cursor)++] : NULL;
}

void *web_generation_main(const struct web_generation *g, enum web_module_id m)
{
    return g->main ? g->main[m] : NULL;
}

void *web_generation_core(const struct web_generation *g, enum web_module_id m)
{
    return g->core[m];
}
