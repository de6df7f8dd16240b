/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/conf/parse.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <errno.h>

void conf_load_init(struct conf_load *load, struct wr_arena *arena,
                    const struct conf_source *source, const struct conf_module *const *modules,
                    uint32_t nmodules)
{
    *load = (struct conf_load){
        .arena = arena, .source = source, .modules = modules, .nmodules = nmodules};
}

static uint32_t count_rows(const struct conf_module *m)
{
    uint32_t n = 0;
    while (m->rows && m->rows[n].name)
        n++;
    return n;
}

/* ---- structs of a block ------------------------------------------------------------------------------------ */

static int make_level(struct conf_load *load, struct conf_scope *scope, int level)
{
    size_t n = load->nmodules;
    void **at = wr_arena_zalloc(load->arena, (n + 1) * sizeof(*at));
    uint64_t **set = wr_arena_zalloc(load->arena, (n + 1) * sizeof(*set));
    if (!at || !set)
        return -ENOMEM;
    for (size_t m = 0; m < n; m++) {
        size_t size = load->modules[m]->size[level],
               words = count_rows(load->modules[m]) / 64 + 1;
        at[m] = size ? wr_arena_zalloc(load->arena, size) : NULL;
        set[m] = wr_arena_zalloc(load->arena, words * sizeof(uint64_t));
        if ((size && !at[m]) || !set[m])
            return -ENOMEM;
    }
    scope->at[level] = at;
    scope->set[level] = set;
    return 0;
}

int conf_scope_new(struct conf_load *load, struct conf_scope *parent,
                   const struct conf_node *node, uint32_t context, uint32_t levels,
                   struct conf_scope **out_scope)
{
    struct conf_scope *scope = wr_arena_zalloc(load->arena, sizeof(*scope));
    if (!scope)
        return -ENOMEM;
    scope->context = context;
    scope->parent = parent;
    scope->node = node;
    scope->load = load;
    scope->own = levels;
    for (int level = 0; level < CONF_LEVELS; level++) {
        if (levels & (1U << level)) {
            int err = make_level(load, scope, level);
            if (err)
                return err;
        } else if (parent) {
            scope->at[level] = parent->at[level];
            scope->set[level] = parent->set[level];
        }
    }
    if (!parent) {
        *out_scope = scope;
        return 0;
    }
    if (parent->last_child)
        parent->last_child->next = scope;
    else
        parent->first_child = scope;
    parent->last_child = scope;
    *out_scope = scope;
    return 0;
}

static bool bit_get(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

bool conf_scope_has(const struct conf_scope *scope, enum conf_level level, uint32_t module,
                    size_t offset)
{
    const struct conf_row *rows = scope->load->modules[module]->rows;
    if (!(scope->own & (1U << level)))
        return false;
    for (size_t i = 0; rows && rows[i].name; i++)
        if (rows[i].level == level && rows[i].size && rows[i].offset == offset &&
            bit_get(scope->set[level][module], i))
            return true;
    return false;
}

/* ---- directives to fields ------------------------------------------------------------------------------------ */

static int fail_unknown(struct conf_load *load, const struct conf_node *node, uint32_t context)
{
    struct wr_span name = conf_arg(node, 0);
    const char *later = conf_known(name), *near = conf_nearest(load, name, context);
    const char *hint = NULL;
    if (later)
        hint = wr_arena_printf(load->arena, "\"%.*s\" belongs to %s", WR_SPANF(name), later);
    else if (near && conf_row_find(load, wr_span_str(near), context, NULL))
        hint = wr_arena_printf(load->arena, "did you mean \"%s\"?", near);
    else if (near)
        hint = wr_arena_printf(load->arena, "did you mean \"%s\"? It may not stand here", near);
    return conf_fail_hint(load, node, 0, hint, "unknown directive \"%.*s\"", WR_SPANF(name));
}

static int fail_misplaced(struct conf_load *load, const struct conf_node *node)
{
    struct wr_span name = conf_arg(node, 0);
    uint32_t contexts = 0;
    char places[160];
    for (uint32_t m = 0; m < load->nmodules; m++)
        for (const struct conf_row *r = load->modules[m]->rows; r && r->name; r++)
            if (wr_span_eq(wr_span_str(r->name), name))
                contexts |= r->contexts;
    conf_contexts_text(contexts, places, sizeof(places));
    return conf_fail_hint(load, node, 0,
                          wr_arena_printf(load->arena, "it may stand in: %s", places),
                          "\"%.*s\" directive is not allowed here", WR_SPANF(name));
}

static int check_shape(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row)
{
    uint32_t n = node->nwords - 1;
    if (node->block && !(row->flags & CONF_BLOCK))
        return conf_fail(load, node, 0, "directive \"%s\" is not terminated by \";\"",
                         row->name);
    if (!node->block && (row->flags & CONF_BLOCK))
        return conf_fail(load, node, 0, "directive \"%s\" has no opening \"{\"", row->name);
    if (n < row->min || (n > row->max && row->max != CONF_MANY))
        return conf_fail_hint(load, node, 0,
                              row->syntax ? wr_arena_printf(load->arena, "it is written: %s %s",
                                                            row->name, row->syntax)
                                          : NULL,
                              "invalid number of arguments in \"%s\" directive", row->name);
    return 0;
}

static int apply_one(struct conf_load *load, struct conf_scope *scope,
                     const struct conf_node *node)
{
    uint32_t m = 0;
    if (node->error)
        return conf_fail(load, node, 0, "%s", node->error);
    const struct conf_row *row = conf_row_find(load, conf_arg(node, 0), scope->context, &m);
    if (!row && conf_row_find(load, conf_arg(node, 0), UINT32_MAX, NULL))
        return fail_misplaced(load, node);
    if (!row)
        return fail_unknown(load, node, scope->context);
    int err = check_shape(load, node, row);
    if (err)
        return err;
    WR_ASSERT(scope->set[row->level]); /* the block's owner gave it no structs of this level */
    uint64_t *bits = scope->set[row->level][m];
    size_t i = (size_t)(row - load->modules[m]->rows);
    if (bit_get(bits, i) && !(row->flags & CONF_TWICE))
        return conf_fail(load, node, 0, "\"%s\" directive is duplicate", row->name);
    bits[i / 64] |= (uint64_t)1 << (i % 64);
    char *base = scope->at[row->level][m];
    err = row->set(load, node, row, base ? base + row->offset : NULL);
    if (err && !load->errors)
        conf_fail(load, node, 0, "\"%s\" directive: %s", row->name, wr_err_text(err));
    return err;
}

int conf_apply(struct conf_load *load, struct conf_scope *scope, const struct conf_node *nodes)
{
    struct conf_scope *outer = load->scope;
    int err = 0;
    load->scope = scope;
    for (const struct conf_node *node = nodes; node && !err; node = node->next)
        err = apply_one(load, scope, node);
    load->scope = outer;
    return err;
}

/* ---- inheritance ------------------------------------------------------------------------------------------------ */

static bool same_field(const struct conf_row *a, const struct conf_row *b)
{
    return a->level == b->level && a->offset == b->offset && a->size && b->size;
}

/* Of the rows that share a field the first stands for it. */
static bool is_first(const struct conf_row *rows, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (same_field(&rows[j], &rows[i]))
            return false;
    return true;
}

static bool is_given(const struct conf_row *rows, const uint64_t *bits, size_t i)
{
    for (size_t j = 0; rows[j].name; j++)
        if (bit_get(bits, j) && same_field(&rows[j], &rows[i]))
            return true;
    return false;
}

static int set_default(struct conf_load *load, struct conf_scope *scope,
                       const struct conf_row *row, char *field)
{
    struct conf_file *file = wr_arena_zalloc(load->arena, sizeof(*file));
    char *text = wr_arena_printf(load->arena, "%s %s;", row->name, row->def);
    struct conf_node *node = NULL;
    if (!file || !text)
        return -ENOMEM;
    file->name = "its default";
    file->text = wr_span_str(text);
    int err = conf_parse_words(load, file, &node);
    if (err)
        return err;
    struct conf_scope *outer = load->scope;
    load->scope = scope;
    load->in_default = true;
    err = row->set(load, node, row, field);
    load->in_default = false;
    load->scope = outer;
    return err;
}

static int settle_module(struct conf_load *load, struct conf_scope *scope, int level, size_t m)
{
    const struct conf_row *rows = load->modules[m]->rows;
    const uint64_t *bits = scope->set[level][m];
    const struct conf_scope *parent = scope->parent;
    char *mine = scope->at[level][m];
    const char *outer = parent && parent->at[level] ? parent->at[level][m] : NULL;
    if (!rows || !mine)
        return 0;
    for (size_t i = 0; rows[i].name; i++) {
        const struct conf_row *row = &rows[i];
        int err = 0;
        if (row->level != level || !row->size || is_given(rows, bits, i))
            continue;
        if (!outer && row->def && is_first(rows, i))
            err = set_default(load, scope, row, mine + row->offset);
        else if (outer && !(row->flags & CONF_ALONE))
            memcpy(mine + row->offset, outer + row->offset, row->size);
        if (err) {
            conf_fail(load, NULL, 0, "\"%s\" directive: no default \"%s\": %s", row->name,
                      row->def, wr_err_text(err));
            return err;
        }
    }
    return 0;
}

static int settle_one(struct conf_load *load, struct conf_scope *scope)
{
    for (int level = 0; level < CONF_LEVELS; level++) {
        if (!(scope->own & (1U << level)))
            continue;
        for (size_t m = 0; m < load->nmodules; m++) {
            int err = settle_module(load, scope, level, m);
            if (err)
                return err;
        }
    }
    for (size_t m = 0; m < load->nmodules; m++) {
        const struct conf_module *module = load->modules[m];
        int err = module->settle ? module->settle(load, scope) : 0;
        if (err && !load->errors)
            conf_fail(load, scope->node, 0, "module %s: %s", module->name, wr_err_text(err));
        if (err)
            return err;
    }
    return 0;
}

int conf_scope_settle(struct conf_load *load, struct conf_scope *scope)
{
    if (load->broken) /* a block that reads its own children went over it */
        return conf_fail(load, load->broken, 0, "%s", load->broken->error);
    int err = scope->settled ? 0 : settle_one(load, scope);
    scope->settled = true;
    for (struct conf_scope *s = scope->first_child; s && !err; s = s->next)
        err = conf_scope_settle(load, s);
    return err;
}
