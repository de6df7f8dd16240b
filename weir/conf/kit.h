/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONF_KIT_H
#define CONF_KIT_H

/*
 * A small language for this room's tests and its fuzzer: two modules, all levels, blocks, every ready setter; and
 * a source whose files are a table.
 */

#include "weir/conf/conf.h"

#include <errno.h>
#include <stdio.h>

struct kit_core {
    int64_t workers;
    struct conf_texts env;
    struct wr_span pid;
};
struct kit_http {
    struct conf_texts map;
};
struct kit_server {
    struct wr_span name;
    uint64_t timeout, alone;
};
struct kit_location {
    bool etag;
    int mode;
    uint32_t bits;
    uint64_t size, later;
    struct conf_bufs bufs;
    struct conf_texts headers, rules, pairs;
};

static const struct conf_enum kit_modes[] = {
    {"off",  0},
    {"on",   1},
    {"auto", 2},
    {NULL,   0}
};
static const struct conf_enum kit_bits[] = {
    {"a",  1},
    {"b",  2},
    {NULL, 0}
};
static const struct conf_range kit_workers = {1, 64};

static int kit_block(struct conf_load *load, const struct conf_node *node, uint32_t context,
                     uint32_t levels)
{
    struct conf_scope *inner;
    int err = conf_scope_new(load, load->scope, node, context, levels, &inner);
    return err ? err : conf_apply(load, inner, node->children);
}

static int kit_set_http(struct conf_load *load, const struct conf_node *node,
                        const struct conf_row *row, void *field)
{
    (void)row, (void)field;
    return kit_block(load, node, CONF_HTTP,
                     1 << CONF_AT_HTTP | 1 << CONF_AT_SERVER | 1 << CONF_AT_LOCATION);
}

static int kit_set_server(struct conf_load *load, const struct conf_node *node,
                          const struct conf_row *row, void *field)
{
    (void)row, (void)field;
    return kit_block(load, node, CONF_SERVER, 1 << CONF_AT_SERVER | 1 << CONF_AT_LOCATION);
}

static int kit_set_location(struct conf_load *load, const struct conf_node *node,
                            const struct conf_row *row, void *field)
{
    (void)row, (void)field;
    return kit_block(load, node, CONF_LOCATION, 1 << CONF_AT_LOCATION);
}

/* A block that reads its own children, as types and map do. */
static int kit_set_map(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    for (const struct conf_node *c = node->children; c; c = c->next) {
        if (c->nwords != 2)
            return conf_fail(load, c, 0, "invalid number of the map parameters");
        int err = conf_set_texts(load, c, row, field);
        if (err)
            return err;
    }
    return 0;
}

#define KIT(level, type, member) (level), NULL, CONF_FIELD(struct type, member)
#define KIT_ROW(n, ctx, lo, hi, fl, lvl, fn, field, df, dt)                           \
    {                                                                                 \
        .name = (n), .contexts = (ctx), .min = (lo), .max = (hi), .flags = (fl),      \
        .level = (lvl), .set = (fn), field, .def = (df), .data = (dt), .syntax = "x", \
        .doc = "A row of the tests."                                                  \
    }
#define KIT_AT(type, member) \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define KIT_NO .offset = 0, .size = 0

static const struct conf_row kit_rows[] = {
    KIT_ROW("workers", CONF_MAIN, 1, 1, 0, CONF_AT_CORE, conf_set_num,
            KIT_AT(kit_core, workers), "1", &kit_workers),
    KIT_ROW("env", CONF_MAIN, 1, 1, CONF_TWICE, CONF_AT_CORE, conf_set_texts,
            KIT_AT(kit_core, env), NULL, NULL),
    KIT_ROW("http", CONF_MAIN, 0, 0, CONF_BLOCK, CONF_AT_CORE, kit_set_http, KIT_NO, NULL,
            NULL),
    KIT_ROW("map", CONF_HTTP, 2, 2, CONF_BLOCK, CONF_AT_HTTP, kit_set_map,
            KIT_AT(kit_http, map), NULL, NULL),
    KIT_ROW("server", CONF_HTTP, 0, 0, CONF_BLOCK | CONF_TWICE, CONF_AT_HTTP, kit_set_server,
            KIT_NO, NULL, NULL),
    KIT_ROW("server_name", CONF_SERVER, 1, CONF_MANY, 0, CONF_AT_SERVER, conf_set_text,
            KIT_AT(kit_server, name), "none", NULL),
    KIT_ROW("timeout", CONF_HTTP | CONF_SERVER, 1, 1, 0, CONF_AT_SERVER, conf_set_msec,
            KIT_AT(kit_server, timeout), "60s", "off"),
    KIT_ROW("alone", CONF_HTTP | CONF_SERVER, 1, 1, CONF_ALONE, CONF_AT_SERVER, conf_set_sec,
            KIT_AT(kit_server, alone), "1m", NULL),
    KIT_ROW("location", CONF_SERVER | CONF_LOCATION, 1, 2, CONF_BLOCK | CONF_TWICE,
            CONF_AT_LOCATION, kit_set_location, KIT_NO, NULL, NULL),
    {.name = NULL}};

static const struct conf_row kit_more_rows[] = {
    KIT_ROW("etag", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
            KIT_AT(kit_location, etag), "on", NULL),
    KIT_ROW("mode", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
            KIT_AT(kit_location, mode), "auto", kit_modes),
    KIT_ROW("bits", CONF_HSL, 1, CONF_MANY, 0, CONF_AT_LOCATION, conf_set_bits,
            KIT_AT(kit_location, bits), "a b a", kit_bits),
    KIT_ROW("size", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_size,
            KIT_AT(kit_location, size), "1m", "off"),
    KIT_ROW("bufs", CONF_HSL, 2, 2, 0, CONF_AT_LOCATION, conf_set_bufs,
            KIT_AT(kit_location, bufs), "2 32k", NULL),
    KIT_ROW("header", CONF_HSL, 2, 2, CONF_TWICE, CONF_AT_LOCATION, conf_set_pairs,
            KIT_AT(kit_location, headers), NULL, NULL),
    KIT_ROW("allow", CONF_HSL, 1, 1, CONF_TWICE, CONF_AT_LOCATION, conf_set_texts,
            KIT_AT(kit_location, rules), "all", NULL),
    KIT_ROW("deny", CONF_HSL, 1, 1, CONF_TWICE, CONF_AT_LOCATION, conf_set_texts,
            KIT_AT(kit_location, rules), "nobody", NULL),
    KIT_ROW("ignored", CONF_HSL, 0, CONF_MANY, CONF_TWICE | CONF_NOTE, CONF_AT_LOCATION,
            conf_set_nothing, KIT_NO, NULL, NULL),
    {.name = NULL}};

static int kit_settle(struct conf_load *load, struct conf_scope *scope)
{
    (void)load;
    if (scope->own & 1 << CONF_AT_LOCATION) {
        struct kit_location *l = scope->at[CONF_AT_LOCATION][1];
        l->later = l->size == UINT64_MAX ? 0 : l->size / 2;
    }
    return 0;
}

static const struct conf_module kit_core_module = {
    .name = "core",
    .size = {sizeof(struct kit_core), sizeof(struct kit_http), sizeof(struct kit_server), 0},
    .rows = kit_rows,
};
static const struct conf_module kit_more_module = {
    .name = "more",
    .size = {0, 0, 0, sizeof(struct kit_location)},
    .rows = kit_more_rows,
    .settle = kit_settle,
};
static const struct conf_module *const kit_modules[] = {&kit_core_module, &kit_more_module};

/* ---- files ------------------------------------------------------------------------------------------------------ */

struct kit_file {
    const char *name;
    struct wr_span text;
};
struct kit_files {
    const struct kit_file *list;
    size_t n;
    char said[4096]; /* all messages, a line each, hints behind " | " */
};

static int kit_read(void *ctx, const char *path, struct wr_arena *arena,
                    struct wr_span *out_text)
{
    struct kit_files *files = ctx;
    (void)arena;
    for (size_t i = 0; i < files->n; i++) {
        if (strcmp(files->list[i].name, path) == 0) {
            *out_text = files->list[i].text;
            return 0;
        }
    }
    return -ENOENT;
}

/* What lies before the '*' counts. */
static int kit_glob(void *ctx, const char *pattern, struct wr_arena *arena,
                    const char ***out_paths)
{
    struct kit_files *files = ctx;
    size_t n = strcspn(pattern, "*?[");
    int found = 0;
    *out_paths = wr_arena_alloc(arena, (files->n + 1) * sizeof(**out_paths));
    if (!*out_paths)
        return -ENOMEM;
    for (size_t i = 0; i < files->n; i++)
        if (strncmp(files->list[i].name, pattern, n) == 0)
            (*out_paths)[found++] = files->list[i].name;
    return found;
}

static void kit_say(void *ctx, enum conf_severity severity, const char *text, const char *hint)
{
    struct kit_files *files = ctx;
    size_t used = strlen(files->said);
    (void)snprintf(files->said + used, sizeof(files->said) - used, "%s%s%s%s%s",
                   used ? "\n" : "", severity == CONF_WARN ? "warn: " : "", text,
                   hint ? " | " : "", hint ? hint : "");
}

/* From text to settled structs. *out_scope is the outermost, when 0 comes back. */
static int kit_load(struct conf_load *load, struct wr_arena *arena,
                    const struct conf_source *source, const char *path,
                    struct conf_scope **out_scope)
{
    struct conf_node *nodes = NULL;
    conf_load_init(load, arena, source, kit_modules, 2);
    int err = conf_parse_file(load, path, &nodes);
    if (!err)
        err = conf_scope_new(load, NULL, NULL, CONF_MAIN, 1 << CONF_AT_CORE, out_scope);
    if (err && !load->errors) /* as the program does */
        conf_fail(load, NULL, 0, "no memory");
    if (!err)
        err = conf_apply(load, *out_scope, nodes);
    if (!err)
        err = conf_scope_settle(load, *out_scope);
    return err;
}

#endif
