/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "libweir/base/table.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <string.h>

#define NO_INDEX  UINT32_MAX
#define DEPTH_MAX 100 /* variables that need variables: a map of itself ends here */
#define CIRCLE    (UINT32_MAX / 2) /* depth, until the outermost look-up is over */

/* A name that is defined, used, or both. */
struct entry {
    struct wr_span name;
    const struct web_var *v;
    uint32_t index;
};

/* What r->vars[i] stands for. */
struct slot {
    struct entry *entry;
    const struct web_var *v; /* bound by web_vars_ready */
    struct wr_span rest;
    const struct conf_node *node; /* who asked first */
    uint32_t word;
};

struct web_vars {
    struct wr_arena *arena;
    struct wr_heap heap;
    struct wr_table names; /* of struct entry */
    struct slot *slots;
    const struct web_var **prefixes; /* the longest first */
    uint32_t nslots, slots_cap, nprefixes, depth;
    struct web_regex_state *regex;
    struct web_local_time time;
    struct wr_span hostname;
};

static const struct web_val nothing; /* memory was refused */

/* ---- an arena as a heap ------------------------------------------------------------------------------ */

static void *arena_heap_alloc(void *ctx, size_t n)
{
    return wr_arena_alloc(ctx, n);
}

static void *arena_heap_realloc(void *ctx, void *p, size_t old, size_t n)
{
    if (n <= old)
        return p;
    void *to = wr_arena_alloc(ctx, n);
    if (to && p)
        memcpy(to, p, old);
    return to;
}

static void arena_heap_free(void *ctx, void *p, size_t n)
{
    (void)ctx;
    (void)p;
    (void)n;
}

void web_arena_heap(struct wr_arena *arena, struct wr_heap *out)
{
    *out =
        (struct wr_heap){arena_heap_alloc, arena_heap_realloc, arena_heap_free, .ctx = arena};
}

/* ---- names ----------------------------------------------------------------------------------------------- */

static struct wr_span lower(struct wr_arena *arena, struct wr_span name)
{
    char *p = wr_arena_strndup(arena, name.p, name.n);
    for (size_t i = 0; p && i < name.n; i++)
        p[i] = wr_ascii_lower(p[i]);
    return wr_span(p, name.n);
}

/* Names are short; one that is longer than any known is looked up as it is. */
static struct entry *entry_find(const struct web_vars *vars, struct wr_span name)
{
    char low[128];
    if (name.n > sizeof(low))
        return wr_table_get(&vars->names, name);
    for (size_t i = 0; i < name.n; i++)
        low[i] = wr_ascii_lower(name.p[i]);
    return wr_table_get(&vars->names, wr_span(low, name.n));
}

static int entry_make(struct web_vars *vars, struct wr_span name, struct entry **out)
{
    struct wr_span low = lower(vars->arena, name);
    struct entry *e = low.p ? wr_table_get(&vars->names, low) : NULL;
    if (low.p && !e) {
        e = wr_arena_zalloc(vars->arena, sizeof(*e));
        if (e) {
            e->name = low;
            e->index = NO_INDEX;
            int err = wr_table_put(&vars->names, low, e);
            if (err)
                return err;
        }
    }
    *out = e;
    return e ? 0 : -ENOMEM;
}

static bool name_ok(struct wr_span name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = wr_ascii_lower(name.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return name.n > 0;
}

static int add_rows(struct web_vars *vars, const struct web_var *rows)
{
    for (const struct web_var *v = rows; v && v->name; v++) {
        struct entry *e;
        int err = (v->flags & WEB_VAR_PREFIX) ? 0 : entry_make(vars, wr_span_str(v->name), &e);
        if (err)
            return err;
        if (!(v->flags & WEB_VAR_PREFIX)) {
            e->v = v;
            continue;
        }
        uint32_t at = vars->nprefixes++;
        while (at > 0 && strlen(vars->prefixes[at - 1]->name) < strlen(v->name)) {
            vars->prefixes[at] = vars->prefixes[at - 1];
            at--;
        }
        vars->prefixes[at] = v;
    }
    return 0;
}

static uint32_t count_prefixes(const struct web_var *rows)
{
    uint32_t n = 0;
    for (const struct web_var *v = rows; v && v->name; v++)
        n += (v->flags & WEB_VAR_PREFIX) != 0;
    return n;
}

static int add_all_rows(struct web_vars *vars)
{
    static const struct web_var *const own[] = {web_core_variables, web_conn_variables,
                                                web_field_variables};
    uint32_t n = 0;
    for (size_t i = 0; i < WR_ARRAY_LEN(own); i++)
        n += count_prefixes(own[i]);
    for (const struct web_module *const *m = web_modules; *m; m++)
        n += count_prefixes((*m)->variables);
    vars->prefixes = wr_arena_zalloc(vars->arena, (n + 1) * sizeof(*vars->prefixes));
    if (!vars->prefixes)
        return -ENOMEM;
    int err = 0;
    for (size_t i = 0; !err && i < WR_ARRAY_LEN(own); i++)
        err = add_rows(vars, own[i]);
    for (const struct web_module *const *m = web_modules; !err && *m; m++)
        err = add_rows(vars, (*m)->variables);
    return err;
}

int web_vars_new(struct conf_load *load, struct web_vars **out)
{
    struct web_vars *vars = wr_arena_zalloc(load->arena, sizeof(*vars));
    if (!vars)
        return -ENOMEM;
    vars->arena = load->arena;
    vars->time.s = INT64_MIN;
    web_arena_heap(load->arena, &vars->heap);
    wr_table_init(&vars->names, &vars->heap, (struct wr_hash_key){0});
    char host[256];
    int err = wr_os_hostname(host, sizeof(host));
    if (!err)
        err = wr_arena_dup(load->arena, wr_span_str(host), &vars->hostname);
    if (!err)
        err = web_regex_state_new(load->arena, &vars->regex);
    if (!err)
        err = add_all_rows(vars);
    if (!err)
        *out = vars;
    return err;
}

/* ---- load time --------------------------------------------------------------------------------------------- */

static int slot_new(struct web_vars *vars, struct entry *e, const struct conf_node *node,
                    uint32_t word)
{
    if (vars->nslots == vars->slots_cap) {
        uint32_t cap = vars->slots_cap ? 2 * vars->slots_cap : 32;
        struct slot *more = wr_arena_zalloc(vars->arena, cap * sizeof(*more));
        if (!more)
            return -ENOMEM;
        if (vars->nslots)
            memcpy(more, vars->slots, vars->nslots * sizeof(*more));
        vars->slots = more;
        vars->slots_cap = cap;
    }
    e->index = vars->nslots++;
    vars->slots[e->index] = (struct slot){.entry = e, .node = node, .word = word};
    return 0;
}

int web_var_index(struct conf_load *load, const struct conf_node *node, uint32_t word,
                  struct wr_span name, uint32_t *out_index)
{
    struct web_vars *vars = web_vars_of(load);
    struct entry *e;
    if (!name_ok(name))
        return conf_fail(load, node, word, "invalid variable name \"$%.*s\"", WR_SPANF(name));
    int err = entry_make(vars, name, &e);
    if (!err && e->index == NO_INDEX)
        err = slot_new(vars, e, node, word);
    if (!err)
        *out_index = e->index;
    return err;
}

int web_var_define(struct conf_load *load, const struct conf_node *node, uint32_t word,
                   struct wr_span name, struct web_var *v)
{
    struct web_vars *vars = web_vars_of(load);
    struct entry *e;
    if (!name_ok(name))
        return conf_fail(load, node, word, "invalid variable name \"$%.*s\"", WR_SPANF(name));
    int err = entry_make(vars, name, &e);
    if (err)
        return err;
    v->name = e->name.p;
    if (!e->v || (e->v->flags & WEB_VAR_WEAK)) {
        e->v = v;
        return 0;
    }
    if (v->flags & WEB_VAR_WEAK)
        return 0;
    if (!(e->v->flags & WEB_VAR_CHANGEABLE))
        return conf_fail(load, node, word, "the duplicate \"%.*s\" variable", WR_SPANF(name));
    e->v = v;
    return 0;
}

const struct web_var *web_var_find(const struct conf_load *load, struct wr_span name)
{
    const struct web_vars *vars = web_vars_of(load);
    const struct entry *e = entry_find(vars, name);
    return e ? e->v : NULL;
}

static const struct web_var *prefix_of(const struct web_vars *vars, struct wr_span name,
                                       struct wr_span *out_rest)
{
    for (uint32_t i = 0; i < vars->nprefixes; i++) {
        struct wr_span head = wr_span_str(vars->prefixes[i]->name);
        if (name.n < head.n || !wr_span_ieq(wr_span_sub(name, 0, head.n), head))
            continue;
        *out_rest = wr_span_sub(name, head.n, name.n - head.n);
        return vars->prefixes[i];
    }
    return NULL;
}

/* user_agent becomes User-Agent's number, so that the request looks it up in one load. */
static uintptr_t field_data(struct wr_span rest)
{
    char name[128];
    if (rest.n > sizeof(name))
        return (uintptr_t)WR_H_OTHER + 1;
    for (size_t i = 0; i < rest.n; i++)
        name[i] = rest.p[i] == '_' ? '-' : rest.p[i];
    return (uintptr_t)wr_header_of(wr_span(name, rest.n)) + 1;
}

static int bind_slot(struct web_vars *vars, struct slot *slot)
{
    slot->v = slot->entry->v;
    if (slot->v)
        return 0;
    const struct web_var *prefix = prefix_of(vars, slot->entry->name, &slot->rest);
    if (!prefix)
        return WR_E_NOT_FOUND;
    struct web_var *bound = wr_arena_alloc(vars->arena, sizeof(*bound));
    if (!bound)
        return -ENOMEM;
    *bound = *prefix;
    if (prefix->flags & WEB_VAR_FIELD)
        bound->data = field_data(slot->rest);
    slot->v = bound;
    return 0;
}

int web_vars_ready(struct conf_load *load, struct web_vars *vars, bool jit)
{
    for (uint32_t i = 0; i < vars->nslots; i++) {
        struct slot *slot = &vars->slots[i];
        int err = bind_slot(vars, slot);
        if (err == WR_E_NOT_FOUND)
            return conf_fail(load, slot->node, slot->word, "unknown \"%.*s\" variable",
                             WR_SPANF(slot->entry->name));
        if (err)
            return err;
    }
    web_regex_state_ready(vars->regex, jit);
    site_of(load)->nvars = vars->nslots;
    return 0;
}

struct wr_span web_var_name(const struct web_vars *vars, uint32_t index)
{
    return index < vars->nslots ? vars->slots[index].entry->name : (struct wr_span){0};
}

struct web_regex_state *web_vars_regex(struct web_vars *vars)
{
    return vars->regex;
}

struct web_local_time *web_vars_time(struct web_vars *vars)
{
    return &vars->time;
}

struct wr_span web_vars_hostname(const struct web_vars *vars)
{
    return vars->hostname;
}

/* ---- run time ------------------------------------------------------------------------------------------------ */

static struct web_vars *vars_of(const struct web_req *r)
{
    return r->server->generation->vars;
}

/* One array for a request and all its subrequests. */
static struct web_val *values(struct web_req *r)
{
    if (WR_LIKELY(r->vars != NULL))
        return r->vars;
    struct web_req *top = r->main ? r->main : r;
    if (!top->vars)
        top->vars = wr_arena_zalloc(top->arena, (vars_of(r)->nslots + 1) * sizeof(*top->vars));
    return r->vars = top->vars;
}

/* The row's function, into a copy: it may itself ask for variables, this one included. */
static int look_up(struct web_req *r, const struct web_var *v, struct wr_span rest,
                   struct web_val *out)
{
    struct web_vars *vars = vars_of(r);
    struct web_val val = {0};
    if (vars->depth >= DEPTH_MAX) {
        /* Once: what names itself twice would come here 2^100 times. */
        if (vars->depth != CIRCLE)
            web_error(r, WR_LOG_ERROR, 0, "cycle while evaluating variable \"%s\"", v->name);
        vars->depth = CIRCLE;
        *out = (struct web_val){.valid = true, .no_cache = true};
        return 0;
    }
    uint32_t depth = vars->depth++;
    int err = v->get(r, v, rest, &val);
    if (vars->depth != CIRCLE || depth == 0)
        vars->depth = depth;
    if (err)
        return err;
    val.valid = true;
    if (v->flags & WEB_VAR_NO_CACHE)
        val.no_cache = true;
    if (!val.found)
        val.text = WR_LIT("");
    *out = val;
    return 0;
}

static const struct web_val *get(struct web_req *r, uint32_t index, bool fresh)
{
    struct web_val *vals = values(r);
    if (!vals)
        return &nothing;
    struct web_val *val = &vals[index];
    if (val->valid && !(fresh && val->no_cache))
        return val;
    const struct slot *slot = &vars_of(r)->slots[index];
    struct web_val made;
    if (look_up(r, slot->v, slot->rest, &made))
        return &nothing;
    *val = made;
    return val;
}

const struct web_val *web_var_get(struct web_req *r, uint32_t index)
{
    return get(r, index, false);
}

const struct web_val *web_var_get_fresh(struct web_req *r, uint32_t index)
{
    return get(r, index, true);
}

const struct web_val *web_var_by_name(struct web_req *r, struct wr_span name)
{
    const struct web_vars *vars = vars_of(r);
    const struct entry *e = entry_find(vars, name);
    if (e && e->index != NO_INDEX)
        return get(r, e->index, true);
    struct wr_span rest = {0};
    const struct web_var *v = e ? e->v : prefix_of(vars, name, &rest);
    struct web_val *val = wr_arena_zalloc(r->arena, sizeof(*val));
    if (!val || (v && look_up(r, v, rest, val)))
        return &nothing;
    if (!v)
        *val = (struct web_val){.text = WR_LIT(""), .valid = true};
    return val;
}

void web_var_put(struct web_req *r, uint32_t index, struct wr_span value)
{
    struct web_val *vals = values(r);
    if (vals)
        vals[index] = (struct web_val){.text = value, .found = true, .valid = true};
}

void web_var_forget(struct web_req *r, uint32_t index)
{
    if (r->vars)
        r->vars[index].valid = false;
}

int web_var_none(struct web_req *r, const struct web_var *v, struct wr_span rest,
                 struct web_val *out)
{
    (void)r;
    (void)v;
    (void)rest;
    out->found = false;
    return 0;
}

int web_val_set(struct web_val *out, struct wr_span text)
{
    out->text = text;
    out->found = true;
    return 0;
}

int web_val_printf(struct web_req *r, struct web_val *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = wr_arena_vprintf(r->arena, fmt, ap);
    va_end(ap);
    return text ? web_val_set(out, wr_span_str(text)) : -ENOMEM;
}
