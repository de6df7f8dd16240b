/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file that stands for a directory.
 *
 *     index file ...;
 *
 * A URI that ends with a slash is asked for anew with the first name that exists behind it. A name may have
 * variables; one that begins with a slash is taken as it is, unseen, so it comes last.
 */
#include "weir/content/file.h"

#include "libweir/io/log.h"

#include <errno.h>

struct names {
    const struct web_value *list;
    uint32_t n;
};

struct location_conf {
    struct names names;
};

/* ---- run time ----------------------------------------------------------------------------------------------- */

static int refused(struct web_req *r, int err, struct wr_span path)
{
    if (err == -EACCES || err == -ELOOP || err == -EMLINK) {
        web_error(r, WR_LOG_ERROR, err, "\"%.*s\" is forbidden", WR_SPANF(path));
        return 403;
    }
    if (core_of(r->location)->log_not_found)
        web_error(r, WR_LOG_ERROR, err, "\"%.*s\" is not found", WR_SPANF(path));
    return 404;
}

/* Before the second name is tried: is there a directory at all? 0, or a status. */
static int test_directory(struct web_req *r, struct wr_span path)
{
    struct file_info info;
    int err = file_find(r, path, FILE_TEST, &info);
    if (err == -ENOENT || err == -ELOOP || err == -EMLINK)
        return refused(r, err, path);
    if (err == -EACCES || (!err && info.is_dir))
        return 0;
    web_error(r, WR_LOG_CRIT, err, "\"%.*s\" is not a directory", WR_SPANF(path));
    return 500;
}

static int join(struct web_req *r, struct wr_span a, struct wr_span b, struct wr_span *out)
{
    char *text = wr_arena_alloc(r->arena, a.n + b.n + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, a.p, a.n);
    memcpy(text + a.n, b.p, b.n);
    text[a.n + b.n] = '\0';
    *out = wr_span(text, a.n + b.n);
    return 0;
}

/* WEB_NEXT: not this one. */
static int try_name(struct web_req *r, struct wr_span dir, struct wr_span name)
{
    struct wr_span path, uri;
    struct file_info info;
    if (join(r, dir, name, &path))
        return 500;
    int err = file_find(r, path, FILE_TEST, &info);
    if (err == -ENOENT)
        return WEB_NEXT;
    if (err == -ENOTDIR || err == -ENAMETOOLONG || err == -EACCES || err == -ELOOP ||
        err == -EMLINK)
        return refused(r, err, path);
    if (err) {
        web_error(r, WR_LOG_CRIT, err, "%s \"%.*s\" failed", info.failed, WR_SPANF(path));
        return 500;
    }
    return join(r, r->uri, name, &uri) ? 500 : web_internal_redirect(r, uri, r->args);
}

static int index_handler(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, index);
    struct wr_span dir = {0}, name;
    size_t root_n;
    if (r->uri.n == 0 || r->uri.p[r->uri.n - 1] != '/' ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD &&
         r->method != WR_METHOD_POST))
        return WEB_NEXT;
    for (uint32_t i = 0; i < conf->names.n; i++) {
        if (web_value_eval(r, &conf->names.list[i], &name))
            return 500;
        if (name.n == 0)
            continue;
        if (name.p[0] == '/')
            return web_internal_redirect(r, name, r->args);
        bool first = dir.p == NULL;
        if (first && !web_map_path(r, 0, &dir, &root_n))
            return 500;
        int rc = try_name(r, dir, name);
        if (rc == WEB_NEXT && first)
            rc = test_directory(r, dir);
        if (rc != WEB_NEXT && rc != 0)
            return rc;
    }
    return WEB_NEXT;
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

static int set_names(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    struct names *names = field;
    uint32_t more = node->nwords - 1, n = names->n;
    struct web_value *list = wr_arena_zalloc(load->arena, (n + more) * sizeof *list);
    (void)row;
    if (!list)
        return -ENOMEM;
    if (n)
        memcpy(list, names->list, n * sizeof *list);
    for (uint32_t i = 0; i < more; i++) {
        struct wr_span name = conf_arg(node, i + 1);
        if (name.n == 0)
            return conf_fail(load, node, i + 1, "index \"\" in \"index\" directive is invalid");
        if (name.p[0] == '/' && i + 1 < more)
            conf_warn(load, node, i + 1,
                      "only the last index in \"index\" directive should be absolute");
        int err = web_value_compile(load, node, i + 1, name, &list[n + i]);
        if (err)
            return err;
    }
    *names = (struct names){list, n + more};
    return 0;
}

static bool index_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_index];
    return conf->names.n > 0;
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"index", CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, set_names,
     CONF_FIELD(struct location_conf, names), "index.html", NULL, "file ...",
     "The files that stand for a directory; the first that exists is taken."},
    {0     },
};

static const struct web_phase_row phases[] = {
    {WEB_CONTENT,   index_handler, index_wanted},
    {0},
};

/* ---- the module ------------------------------------------------------------------------------------------------------ */

const struct web_module index_module = {
    .conf = {.name = "http_index",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
};
