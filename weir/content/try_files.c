/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first file of a list that exists.
 *
 *     try_files file ... uri | =code | @name;
 *
 * Before the content phase each name is looked for below the root; one that ends with a slash must be a
 * directory. The first that is there becomes the request's URI. None: the last argument is what happens.
 * Where `alias` is set, names are of URIs: the location's own prefix is cut off and need not be written.
 */
#include "weir/content/file.h"

#include "libweir/io/log.h"

#include <errno.h>

enum last_kind {
    LAST_URI,
    LAST_CODE,
    LAST_NAMED
};

struct name {
    struct web_value value;
    bool dir; /* it was written with a slash at its end, which is cut off here */
};

struct tries {
    struct name *names; /* all but the last */
    uint32_t n;
    int kind, code;
    struct web_value last;
};

struct location_conf {
    const struct tries *tries;
};

/* ---- run time ----------------------------------------------------------------------------------------------- */

/* The URI that the name stands for. */
static int uri_of(struct web_req *r, const struct web_value *value, struct wr_span *out)
{
    const struct core_root *root = &core_of(r->location)->root;
    struct wr_span name, prefix = wr_span_sub(r->uri, 0, root->name_n);
    int err = web_value_eval(r, value, &name);
    if (err || !root->alias || root->regex ||
        (!web_value_constant(value) && wr_span_has_prefix(name, prefix))) {
        *out = name;
        return err;
    }
    char *text = wr_arena_printf(r->arena, "%.*s%.*s", WR_SPANF(prefix), WR_SPANF(name));
    *out = wr_span_str(text);
    return text ? 0 : -ENOMEM;
}

/* An alias of a pattern is a path already: names are put behind it. */
static bool path_of(struct web_req *r, struct wr_span uri, struct wr_span *out)
{
    const struct core_root *root = &core_of(r->location)->root;
    bool behind = root->alias && root->regex;
    struct wr_span was = r->uri;
    size_t root_n;
    if (!behind)
        r->uri = uri;
    char *path = web_map_path(r, uri.n, out, &root_n);
    r->uri = was;
    if (!path)
        return false;
    if (behind) {
        memcpy(path + out->n, uri.p, uri.n);
        out->n += uri.n;
        path[out->n] = '\0';
    }
    return true;
}

static bool exists(struct web_req *r, struct wr_span path, bool dir)
{
    struct file_info info;
    int err = file_find(r, path, FILE_TEST, &info);
    if (err && err != -ENOENT && err != -ENOTDIR && err != -ENAMETOOLONG && err != -EACCES)
        web_error(r, WR_LOG_CRIT, err, "%s \"%.*s\" failed", info.failed, WR_SPANF(path));
    return !err && info.is_dir == dir;
}

static int none_exists(struct web_req *r, const struct tries *t)
{
    struct wr_span uri;
    if (t->kind == LAST_CODE)
        return t->code;
    if (web_value_eval(r, &t->last, &uri))
        return 500;
    if (t->kind == LAST_NAMED)
        return web_named_location(r, uri);
    ptrdiff_t q = wr_span_find_char(uri, '?');
    if (q < 0)
        return web_internal_redirect(r, uri, (struct wr_span){0});
    return web_internal_redirect(r, wr_span_sub(uri, 0, (size_t)q),
                                 wr_span_sub(uri, (size_t)q + 1, uri.n));
}

static int try_files_phase(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, try_files);
    const struct tries *t = conf->tries;
    const struct core_root *root = &core_of(r->location)->root;
    for (uint32_t i = 0; i < t->n; i++) {
        struct wr_span uri, path;
        if (uri_of(r, &t->names[i].value, &uri) || !path_of(r, uri, &path))
            return 500;
        if (!exists(r, path, t->names[i].dir))
            continue;
        bool behind = root->alias && root->regex;
        if (!behind || !t->names[i].dir)
            r->uri = uri;
        r->uri_behind_alias |= behind && !t->names[i].dir;
        return WEB_NEXT;
    }
    return none_exists(r, t);
}

static bool try_files_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_try_files];
    return conf->tries != NULL;
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

static int set_last(struct conf_load *load, const struct conf_node *node, struct tries *t)
{
    uint32_t word = node->nwords - 1;
    struct wr_span text = conf_arg(node, word);
    int64_t code;
    if (text.n && text.p[0] == '=') {
        if (conf_read_num(wr_span_sub(text, 1, text.n), &code) || code < 0 || code > 999)
            return conf_fail(load, node, word, "invalid code \"%.*s\"", WR_SPANF(text));
        t->kind = LAST_CODE;
        t->code = (int)code;
        return 0;
    }
    t->kind = text.n && text.p[0] == '@' ? LAST_NAMED : LAST_URI;
    return web_value_compile(load, node, word, text, &t->last);
}

static int set_tries(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    struct tries *t = wr_arena_zalloc(load->arena, sizeof *t);
    (void)row;
    if (!t)
        return -ENOMEM;
    t->n = node->nwords - 2;
    t->names = wr_arena_zalloc(load->arena, t->n * sizeof *t->names);
    if (!t->names)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->n; i++) {
        struct wr_span text = conf_arg(node, i + 1);
        t->names[i].dir = text.n > 0 && text.p[text.n - 1] == '/';
        text.n -= t->names[i].dir;
        int err = web_value_compile(load, node, i + 1, text, &t->names[i].value);
        if (err)
            return err;
    }
    *(const struct tries **)field = t;
    return set_last(load, node, t);
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"try_files", CONF_SERVER | CONF_LOCATION, 2, CONF_MANY, CONF_ALONE, CONF_AT_LOCATION,
     set_tries, CONF_FIELD(struct location_conf, tries), NULL, NULL,
     "file ... uri | =code | @name", "Takes the first file that exists, or else does what the last argument says."},
    {0         },
};

static const struct web_phase_row phases[] = {
    {WEB_PRE_CONTENT,   try_files_phase, try_files_wanted},
    {0},
};

/* ---- the module ------------------------------------------------------------------------------------------------------ */

const struct web_module try_files_module = {
    .conf = {.name = "http_try_files",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
};
