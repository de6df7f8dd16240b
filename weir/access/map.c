/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A variable whose value depends on another's: map, map_hash_max_size, map_hash_bucket_size.
 *
 *     map $http_host $backend { hostnames;  default 0;  *.example.com 1;  ~^(?<sub>.+)\.org$ $sub; }
 *
 * Asked for, the source is evaluated and looked up: whole, as a host pattern when `hostnames` is there, then by
 * the patterns in the order of the file. Letters count without their case except in patterns. A value may have variables
 * of its own, named captures among them.
 */
#include "libweir/base/err.h"
#include "weir/access/host_table.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <string.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

struct pattern {
    struct pattern *next;
    struct web_regex *regex;
    struct web_value *value;
};

struct map {
    struct web_var var;
    struct web_value source;
    struct host_table names;
    struct pattern *patterns, **patterns_tail;
    struct web_value *fallback;
    bool hostnames;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

static struct wr_span lower(struct web_req *r, struct wr_span s)
{
    size_t i = 0;
    while (i < s.n && wr_ascii_lower(s.p[i]) == s.p[i])
        i++;
    if (i == s.n)
        return s;
    char *p = wr_arena_strndup(r->arena, s.p, s.n);
    for (; p && i < s.n; i++)
        p[i] = wr_ascii_lower(p[i]);
    return wr_span(p, s.n);
}

static int find(struct web_req *r, const struct map *map, struct wr_span subject,
                const struct web_value **out)
{
    struct wr_span name = lower(r, subject);
    if (!name.p)
        return -ENOMEM;
    if (map->hostnames && name.n && name.p[name.n - 1] == '.')
        name.n--;
    *out = host_table_find(&map->names, name);
    for (const struct pattern *p = map->patterns; !*out && p; p = p->next) {
        int rc = web_regex_match(r, p->regex, subject);
        if (rc < 0)
            return rc;
        if (rc)
            *out = p->value;
    }
    return 0;
}

static int get_map(struct web_req *r, const struct web_var *v, struct wr_span rest,
                   struct web_val *out)
{
    (void)rest;
    const struct map *map = (const struct map *)v->data;
    const struct web_value *value;
    struct wr_span subject, text = WR_LIT("");
    int err = web_value_peek(r, &map->source, &subject);
    if (!err && !subject.p)
        subject = WR_LIT("");
    if (!err)
        err = find(r, map, subject, &value);
    if (err)
        return err;
    if (!value)
        value = map->fallback;
    if (value)
        err = web_value_peek(r, value, &text);
    return err ? err : web_val_set(out, text);
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static int add_pattern(struct conf_load *load, const struct conf_node *node, struct map *map,
                       struct web_value *value)
{
    struct wr_span text = conf_arg(node, 0);
    bool caseless = text.n > 1 && text.p[1] == '*';
    struct pattern *p = wr_arena_zalloc(load->arena, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->value = value;
    *map->patterns_tail = p;
    map->patterns_tail = &p->next;
    return web_regex_compile(load, node, 0, wr_span_sub(text, 1u + caseless, text.n), caseless,
                             &p->regex);
}

static int add_entry(struct conf_load *load, const struct conf_node *node, struct map *map)
{
    struct wr_span key = conf_arg(node, 0);
    struct web_value *value = wr_arena_zalloc(load->arena, sizeof(*value));
    if (!value)
        return -ENOMEM;
    int err = web_value_compile(load, node, 1, conf_arg(node, 1), value);
    if (err)
        return err;
    if (wr_span_eq(key, WR_LIT("default"))) {
        if (map->fallback)
            return conf_fail(load, node, 0, "duplicate default map parameter");
        map->fallback = value;
        return 0;
    }
    if (key.n && key.p[0] == '~')
        return add_pattern(load, node, map, value);
    if (key.n && key.p[0] == '\\')
        key = wr_span_sub(key, 1, key.n);
    err = host_table_add(&map->names, key, map->hostnames, value);
    if (err == WR_E_EXISTS)
        return conf_fail(load, node, 0, "conflicting parameter \"%.*s\"", WR_SPANF(key));
    if (err == WR_E_SYNTAX)
        return conf_fail(load, node, 0, "invalid hostname or wildcard \"%.*s\"", WR_SPANF(key));
    return err;
}

static int read_entry(struct conf_load *load, const struct conf_node *node, struct map *map)
{
    struct wr_span key = conf_arg(node, 0);
    if (node->nwords == 1 && wr_span_eq(key, WR_LIT("hostnames"))) {
        map->hostnames = true;
        return 0;
    }
    if (node->nwords == 1 && wr_span_eq(key, WR_LIT("volatile"))) {
        map->var.flags |= WEB_VAR_NO_CACHE;
        return 0;
    }
    if (node->nwords != 2 || node->block)
        return conf_fail(load, node, 0, "invalid number of the map parameters");
    return add_entry(load, node, map);
}

static int set_map(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct wr_span name = conf_arg(node, 2);
    struct map *map = wr_arena_zalloc(load->arena, sizeof(*map));
    if (!map)
        return -ENOMEM;
    if (name.n < 2 || name.p[0] != '$')
        return conf_fail(load, node, 2, "invalid variable name \"%.*s\"", WR_SPANF(name));
    host_table_init(&map->names, load->arena);
    map->patterns_tail = &map->patterns;
    map->var.get = get_map;
    map->var.data = (uintptr_t)map;
    map->var.flags = WEB_VAR_CHANGEABLE;
    int err = web_value_compile(load, node, 1, conf_arg(node, 1), &map->source);
    if (!err)
        err = web_var_define(load, node, 2, wr_span_sub(name, 1, name.n), &map->var);
    for (const struct conf_node *n = node->children; !err && n; n = n->next)
        err = read_entry(load, n, map);
    return err;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"map",                    CONF_HTTP, 2, 2, CONF_BLOCK | CONF_TWICE, CONF_AT_HTTP, set_map, CONF_NO_FIELD,
     NULL, NULL, "string $variable { ... }",
     "Makes a variable whose value is chosen by the value of others."},
    {"map_hash_max_size",                       CONF_HTTP, 1, 1, CONF_NOTE, CONF_AT_HTTP, conf_set_nothing,
     CONF_NO_FIELD, NULL, NULL, "size", "Accepted; the table grows as it needs."},
    {"map_hash_bucket_size", CONF_HTTP, 1, 1, CONF_NOTE, CONF_AT_HTTP, conf_set_nothing,
     CONF_NO_FIELD, NULL, NULL, "size", "Accepted; the table grows as it needs."},
    {0                },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module map_module = {
    .conf = {.name = "http_map", .rows = rows},
};
