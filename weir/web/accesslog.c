/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module log: access_log, log_format, open_log_file_cache, error_log.
 *
 * When a request ends each access log of its location forms a line (log_format.c) and puts it into the
 * worker's ring for the logger; buffers, gzip, files and syslog are the logger's. A log whose path has
 * variables sends the path along, and the logger opens it only if it begins as the directive does and has
 * no ".." in it.
 */
#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/log_ring.h"
#include "libweir/os/os.h"
#include "weir/web/logs_private.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The structs are in logs_private.h, which four files share. */

/* ---- run time ----------------------------------------------------------------------------------------- */

static const struct log_location_conf *conf_of(const struct web_location *location)
{
    return location->conf[WEB_log];
}

/* The path that the variables make and a 0; 0: the line cannot be written. */
static size_t put_path(struct web_req *r, const struct access_target *t, char *out, size_t n)
{
    struct wr_span path;
    if (web_value_eval(r, &t->path, &path) < 0 || path.n == 0)
        return 0;
    struct wr_span prefix = wr_span_str(t->dest->def.path);
    bool relative = path.p[0] != '/';
    size_t need = path.n + (relative ? prefix.n : 0) + 1;
    if (need > n || need > WR_LOG_PATH_MAX)
        return 0;
    size_t at = 0;
    if (relative) {
        memcpy(out, prefix.p, prefix.n);
        at = prefix.n;
    }
    memcpy(out + at, path.p, path.n);
    out[at + path.n] = 0;
    if (wr_span_find(wr_span(out, need), WR_LIT("..")) < 0)
        return need;
    web_error(r, WR_LOG_ERROR, 0, "access log path with \"..\" refused: \"%s\"", out);
    return 0;
}

static void write_line(struct web_req *r, const struct access_target *t)
{
    char text[WR_LOG_RECORD_MAX];
    size_t n = 0;
    if (t->conditional && !web_value_true(r, &t->condition))
        return;
    if (t->named && (n = put_path(r, t, text, sizeof text)) == 0)
        return;
    n += log_format_run(r, t->format, text + n, sizeof text - n);
    (void)wr_log_raw(web_log(r), t->dest->channel, wr_span(text, n));
}

static int log_request(struct web_req *r)
{
    const struct log_location_conf *conf =
        conf_of(r->location ? r->location : r->server->outer);
    if (conf->access.off)
        return 0;
    for (const struct access_target *t = conf->access.first; t; t = t->next)
        write_line(r, t);
    return 0;
}

static bool log_wanted(const struct web_location *location)
{
    const struct log_location_conf *conf = conf_of(location);
    return conf->access.first && !conf->access.off;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static struct log_http_conf *http_conf(const struct conf_load *load)
{
    return load->scope->at[CONF_AT_HTTP][WEB_log];
}

static int find_format(struct conf_load *load, const struct conf_node *node, uint32_t word,
                       struct wr_span name, const struct log_format **out)
{
    struct log_http_conf *http = http_conf(load);
    struct log_format *f = log_format_find(http->formats, name);
    int r = 0;
    if (!f && wr_span_eq(name, WR_LIT("combined"))) {
        r = log_format_combined(load, &f);
        if (!r) {
            f->next = http->formats;
            http->formats = f;
        }
    }
    *out = f;
    if (!f && !r)
        return conf_fail(load, node, word, "unknown log format \"%.*s\"", WR_SPANF(name));
    return r;
}

static int set_gzip(struct conf_load *load, const struct conf_node *node, uint32_t word,
                    struct wr_span value, struct wr_log_sink_def *def)
{
    uint64_t level = 1;
    if (value.p && wr_num_parse_between(value, 1, 9, &level) < 0)
        return conf_fail(load, node, word, "invalid compression level \"%.*s\"",
                         WR_SPANF(value));
    def->gzip = (uint8_t)level;
    return 0;
}

/* One of buffer=, flush=, gzip, if=. */
static int set_option(struct conf_load *load, const struct conf_node *node, uint32_t word,
                      struct access_target *t, struct wr_log_sink_def *def)
{
    struct wr_span text = conf_arg(node, word), value;
    uint64_t number;
    if (wr_span_has_prefix(text, WR_LIT("buffer="))) {
        value = wr_span_sub(text, 7, text.n);
        if (conf_read_size(value, &number) < 0 || number == 0 || number > 64u << 20)
            return conf_fail(load, node, word, "invalid buffer size \"%.*s\"", WR_SPANF(value));
        def->buffer_bytes = (uint32_t)number;
        return 0;
    }
    if (wr_span_has_prefix(text, WR_LIT("flush="))) {
        value = wr_span_sub(text, 6, text.n);
        if (conf_read_msec(value, &number) < 0 || number == 0 || number > UINT32_MAX)
            return conf_fail(load, node, word, "invalid flush time \"%.*s\"", WR_SPANF(value));
        def->flush_ms = (uint32_t)number;
        return 0;
    }
    if (wr_span_has_prefix(text, WR_LIT("if="))) {
        t->conditional = true;
        return web_value_compile(load, node, word, wr_span_sub(text, 3, text.n), &t->condition);
    }
    if (wr_span_eq(text, WR_LIT("gzip")))
        return set_gzip(load, node, word, (struct wr_span){0}, def);
    if (wr_span_has_prefix(text, WR_LIT("gzip=")))
        return set_gzip(load, node, word, wr_span_sub(text, 5, text.n), def);
    return conf_fail(load, node, word, "invalid parameter \"%.*s\"", WR_SPANF(text));
}

static bool is_option(struct wr_span text)
{
    return wr_span_has_prefix(text, WR_LIT("buffer=")) ||
           wr_span_has_prefix(text, WR_LIT("flush=")) ||
           wr_span_has_prefix(text, WR_LIT("if=")) ||
           wr_span_has_prefix(text, WR_LIT("gzip=")) || wr_span_eq(text, WR_LIT("gzip"));
}

static int check_options(struct conf_load *load, const struct conf_node *node,
                         const struct access_target *t, struct wr_log_sink_def *def)
{
    bool held = def->buffer_bytes || def->gzip;
    if (def->flush_ms && !held)
        return conf_fail(load, node, 1, "no buffer is defined for access_log \"%.*s\"",
                         WR_SPANF(conf_arg(node, 1)));
    if (held && t->named)
        return conf_fail(load, node, 1, "buffered logs cannot have variables in name");
    if (held && def->kind == WR_LOG_TO_SYSLOG)
        return conf_fail(load, node, 1, "logs to syslog cannot be buffered");
    if (def->gzip && !def->buffer_bytes)
        def->buffer_bytes = 64u << 10;
    return 0;
}

/* What comes before the first variable is where files may lie. */
static int set_named_path(struct conf_load *load, const struct conf_node *node,
                          struct access_target *t, struct log_dest *dest)
{
    struct wr_span text = conf_arg(node, 1);
    struct wr_span prefix = wr_span_sub(text, 0, (size_t)wr_span_find_char(text, '$'));
    memset(dest->def.path, 0, sizeof dest->def.path);
    dest->def.kind = WR_LOG_TO_PATHS;
    t->named = true;
    int r = web_value_compile(load, node, 1, text, &t->path);
    /* A relative one stands behind the prefix; one that is all variable may lie anywhere. */
    if (!r && prefix.n && prefix.p[0] != '/')
        prefix = site_of(load)->prefix;
    if (prefix.n >= sizeof dest->def.path)
        return conf_fail(load, node, 1, "the path is too long");
    if (prefix.n)
        memcpy(dest->def.path, prefix.p, prefix.n);
    return r;
}

static int set_destination(struct conf_load *load, const struct conf_node *node,
                           struct access_target *t, struct log_dest **out)
{
    struct wr_span path = conf_arg(node, 1);
    bool named =
        !wr_span_has_prefix(path, WR_LIT("syslog:")) && wr_span_find_char(path, '$') >= 0;
    int r = log_dest_new(load, node, 1, named ? WR_LIT("/") : path, false, out);
    if (!r && named)
        r = set_named_path(load, node, t, *out);
    return r;
}

static void append_target(struct access_targets *list, struct access_target *t)
{
    if (list->last)
        list->last->next = t;
    else
        list->first = t;
    list->last = t;
}

static int set_access(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    struct access_targets *list = field;
    struct log_dest *dest = NULL;
    uint32_t word = 2;
    (void)row;
    if (wr_span_eq(conf_arg(node, 1), WR_LIT("off"))) {
        list->off = true;
        return node->nwords == 2 ? 0
                                 : conf_fail(load, node, 2, "invalid parameter \"%.*s\"",
                                             WR_SPANF(conf_arg(node, 2)));
    }
    struct access_target *t = wr_arena_zalloc(load->arena, sizeof *t);
    int r = t ? set_destination(load, node, t, &dest) : -ENOMEM;
    bool given = node->nwords > 2 && !is_option(conf_arg(node, 2));
    if (!r)
        r = find_format(load, node, given ? 2 : 1,
                        given ? conf_arg(node, 2) : WR_LIT("combined"), &t->format);
    for (word += given; !r && word < node->nwords; word++)
        r = set_option(load, node, word, t, &dest->def);
    if (!r)
        r = check_options(load, node, t, &dest->def);
    if (r)
        return r;
    t->dest = log_dest_add(load->scope, load->arena, dest);
    append_target(list, t);
    return t->dest ? 0 : -ENOMEM;
}

static int set_cache(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    struct log_file_cache *c = field;
    (void)row;
    *c = (struct log_file_cache){.min_uses = 1, .inactive_ms = 10000, .valid_ms = 60000};
    for (uint32_t i = 1; i < node->nwords; i++) {
        struct wr_span text = conf_arg(node, i);
        uint64_t number = 0;
        int r = 0;
        if (wr_span_eq(text, WR_LIT("off")) && node->nwords == 2)
            return 0;
        if (wr_span_has_prefix(text, WR_LIT("max="))) {
            r = wr_num_parse_between(wr_span_sub(text, 4, text.n), 1, 65536, &number);
            c->max = (uint32_t)number;
        } else if (wr_span_has_prefix(text, WR_LIT("min_uses="))) {
            r = wr_num_parse_between(wr_span_sub(text, 9, text.n), 1, UINT32_MAX, &number);
            c->min_uses = (uint32_t)number;
        } else if (wr_span_has_prefix(text, WR_LIT("inactive="))) {
            r = conf_read_msec(wr_span_sub(text, 9, text.n), &c->inactive_ms);
        } else if (wr_span_has_prefix(text, WR_LIT("valid="))) {
            r = conf_read_msec(wr_span_sub(text, 6, text.n), &c->valid_ms);
        } else {
            r = WR_E_SYNTAX;
        }
        if (r < 0)
            return conf_fail(load, node, i,
                             "invalid \"open_log_file_cache\" parameter \"%.*s\"",
                             WR_SPANF(text));
    }
    c->on = c->max > 0;
    return c->on ? 0
                 : conf_fail(load, node, 0,
                             "\"open_log_file_cache\" must have \"max\" parameter");
}

/* ---- when all is known ------------------------------------------------------------------------------------ */

static int open_log(const char *path)
{
    return wr_os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0644);
}

/* Nothing was said: logs/access.log, in a prefix that has such a folder. */
static int default_access(struct conf_load *load, const struct conf_scope *scope,
                          struct access_targets *list)
{
    static const struct conf_node nowhere;
    struct log_dest *dest;
    struct access_target *t = wr_arena_zalloc(load->arena, sizeof *t);
    int r =
        t ? log_dest_new(load, &nowhere, 0, WR_LIT("logs/access.log"), false, &dest) : -ENOMEM;
    int fd = r ? r : open_log(dest->def.path);
    if (fd < 0)
        return r;
    (void)wr_os_close(fd);
    struct log_http_conf *http = scope->at[CONF_AT_HTTP][WEB_log];
    struct log_format *f = log_format_find(http->formats, WR_LIT("combined"));
    if (!f)
        r = log_format_combined(load, &f);
    t->format = f;
    t->dest = log_dest_add(scope, load->arena, dest);
    append_target(list, t);
    return r || t->dest ? r : -ENOMEM;
}

/* Outside of http there may be an error_log: the blocks within go on with it. */
static int settle(struct conf_load *load, struct conf_scope *scope)
{
    if (scope->context != CONF_HTTP)
        return 0;
    const struct log_core_conf *core = scope->at[CONF_AT_CORE][WEB_log];
    struct log_location_conf *conf = scope->at[CONF_AT_LOCATION][WEB_log];
    if (!conf->errors)
        conf->errors = core->errors;
    return conf->access.first || conf->access.off || load->look_only
               ? 0
               : default_access(load, scope, &conf->access);
}

static uint32_t clip(uint64_t ms)
{
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void give_cache(const struct log_location_conf *conf)
{
    for (struct access_target *t = conf->access.first; t && conf->cache.on; t = t->next) {
        if (!t->named || t->dest->def.cache_max)
            continue;
        t->dest->def.cache_max = conf->cache.max;
        t->dest->def.cache_min_uses = conf->cache.min_uses;
        t->dest->def.cache_inactive_ms = clip(conf->cache.inactive_ms);
        t->dest->def.cache_valid_ms = clip(conf->cache.valid_ms);
    }
}

/* The master finds out now, and says so, what the logger could only complain about later. */
static int try_open(struct conf_load *load, struct log_dest *d)
{
    if (d->def.kind != WR_LOG_TO_FILE || load->look_only)
        return 0;
    int fd = open_log(d->def.path);
    if (fd >= 0)
        return wr_os_close(fd);
    if (fd == -ENXIO) /* a pipe whose reader comes later */
        return 0;
    return conf_fail(load, d->node, d->word, "open() \"%s\" failed (%d: %s)", d->def.path, -fd,
                     strerrordesc_np(-fd));
}

static int ready(struct conf_load *load, struct web_generation *g)
{
    struct log_core_conf *core = web_generation_core(g, WEB_log);
    const struct web_location *l;
    uint32_t cursor = 0;
    while ((l = web_location_next(g, &cursor)) != NULL)
        give_cache(conf_of(l));
    for (struct log_dest *d = core->dests; d; d = d->next) {
        int r = try_open(load, d);
        if (r)
            return r;
    }
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"error_log",    CONF_MAIN, 1, CONF_MANY, CONF_TWICE, CONF_AT_CORE, log_set_error,
     CONF_FIELD(struct log_core_conf, errors), NULL, NULL,
     "file | stderr | syslog:server=address [level]", "Where errors are written, and which."},
    {"error_log",             CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, log_set_error,
     CONF_FIELD(struct log_location_conf, errors), NULL, NULL,
     "file | stderr | syslog:server=address [level]", "Where errors are written, and which."},
    {"log_format",    CONF_HTTP, 2, CONF_MANY, CONF_TWICE, CONF_AT_HTTP, log_set_format,
     CONF_FIELD(struct log_http_conf, formats), NULL, NULL,
     "name [escape=default|json|none] string ...", "Names the shape of access log lines."},
    {"access_log", CONF_HSL | CONF_IF_LOCATION | CONF_LIMIT_EXCEPT, 1, CONF_MANY, CONF_TWICE,
     CONF_AT_LOCATION, set_access, CONF_FIELD(struct log_location_conf, access), NULL, NULL,
     "path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition]] | off", "Writes a line per request."},
    {"open_log_file_cache",       CONF_HSL, 1, 4, 0, CONF_AT_LOCATION, set_cache,
     CONF_FIELD(struct log_location_conf, cache), NULL, NULL,
     "max=N [inactive=time] [min_uses=N] [valid=time] | off", "Keeps access logs open whose paths have variables."},
    {0         },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module log_module = {
    .conf = {.name = "http_log",
             .size = {[CONF_AT_CORE] = sizeof(struct log_core_conf),
                      [CONF_AT_HTTP] = sizeof(struct log_http_conf),
                      [CONF_AT_LOCATION] = sizeof(struct log_location_conf)},
             .rows = rows,
             .settle = settle},
    .log = log_request,
    .log_wanted = log_wanted,
    .ready = ready,
};
