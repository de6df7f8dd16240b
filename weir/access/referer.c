/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a link stands that led here: valid_referers, referer_hash_max_size, referer_hash_bucket_size.
 *
 *     valid_referers none blocked server_names *.example.com www.example.org/galleries/ ~\.google\.;
 *     if ($invalid_referer) { return 403; }
 *
 * $invalid_referer is "1" when the Referer field names none of these, else empty. Names are those of hosts, with a path's
 * beginning behind them where wanted; patterns see the text behind "http://", those of server_name the host alone. A
 * field without a scheme is one that a firewall has blacked out: `blocked`.
 */
#include "libweir/base/err.h"
#include "weir/access/host_table.h"
#include "weir/web/vars.h"

#include <errno.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

struct pattern {
    struct pattern *next;
    struct web_regex *regex;
};

struct referers {
    struct host_table hosts;  /* the value is the path's beginning: struct wr_span */
    struct pattern *names;    /* of server_names: they see the host alone */
    struct pattern *patterns; /* they see all behind the scheme */
    bool none, blocked;
};

struct referer_conf {
    struct referers *valid; /* NULL: everything is */
};

/* ---- run time ----------------------------------------------------------------------------------------- */

#define SHORTEST (sizeof("http://i.ru") - 1)
#define HOST_MAX 256

/* What stands behind the scheme; p == NULL without one. */
static struct wr_span without_scheme(struct wr_span s)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; s.n >= SHORTEST && i < WR_ARRAY_LEN(schemes); i++) {
        struct wr_span scheme = wr_span_str(schemes[i]);
        if (wr_span_ieq(wr_span_sub(s, 0, scheme.n), scheme))
            return wr_span_sub(s, scheme.n, s.n);
    }
    return (struct wr_span){0};
}

/* The host up to its port or path, in lower case; false: there is no such host. */
static bool read_host(struct wr_span rest, char host[static HOST_MAX], size_t *out_n)
{
    size_t n = 0;
    for (; n < rest.n && rest.p[n] != '/' && rest.p[n] != ':'; n++) {
        if (n == HOST_MAX)
            return false;
        host[n] = wr_ascii_lower(rest.p[n]);
    }
    *out_n = n;
    return true;
}

/* Without a slash the path is empty: it begins with no other one. */
static bool path_begins(struct wr_span rest, struct wr_span with)
{
    ptrdiff_t slash = wr_span_find_char(rest, '/');
    return wr_span_has_prefix(wr_span_sub(rest, slash < 0 ? rest.n : (size_t)slash, rest.n),
                              with);
}

static bool any_matches(const struct pattern *p, struct wr_span text)
{
    while (p && web_regex_test(p->regex, text) != 1)
        p = p->next;
    return p != NULL;
}

static bool is_valid(struct web_req *r, const struct referers *valid)
{
    struct wr_span s = r->head ? wr_head_get(r->head, WR_H_REFERER) : (struct wr_span){0};
    char host[HOST_MAX];
    size_t n;
    if (!s.p)
        return valid->none;
    struct wr_span rest = without_scheme(s);
    if (!rest.p)
        return valid->blocked;
    if (!read_host(rest, host, &n))
        return false;
    const struct wr_span *path = host_table_find(&valid->hosts, wr_span(host, n));
    if (path)
        return path_begins(rest, *path);
    return any_matches(valid->names, wr_span(host, n)) || any_matches(valid->patterns, rest);
}

static int get_invalid(struct web_req *r, const struct web_var *v, struct wr_span rest,
                       struct web_val *out)
{
    (void)v;
    (void)rest;
    const struct referer_conf *conf = web_location_conf(r, referer);
    bool good = !conf->valid || is_valid(r, conf->valid);
    return web_val_set(out, good ? WR_LIT("") : WR_LIT("1"));
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static int add_pattern(struct conf_load *load, const struct conf_node *node, uint32_t word,
                       struct pattern **tail)
{
    struct wr_span text = conf_arg(node, word);
    struct pattern *p = wr_arena_zalloc(load->arena, sizeof(*p));
    if (!p)
        return -ENOMEM;
    while (*tail)
        tail = &(*tail)->next;
    *tail = p;
    return web_regex_compile(load, node, word, wr_span_sub(text, 1, text.n), true, &p->regex);
}

static int add_host(struct conf_load *load, const struct conf_node *node, uint32_t word,
                    struct referers *valid)
{
    struct wr_span host = conf_arg(node, word);
    struct wr_span *path = wr_arena_zalloc(load->arena, sizeof(*path));
    if (!path)
        return -ENOMEM;
    ptrdiff_t slash = wr_span_find_char(host, '/');
    *path = WR_LIT("");
    if (slash >= 0) {
        *path = wr_span_sub(host, (size_t)slash, host.n);
        host.n = (size_t)slash;
    }
    int err = host_table_add(&valid->hosts, host, true, path);
    if (err == WR_E_SYNTAX)
        return conf_fail(load, node, word, "invalid hostname or wildcard \"%.*s\"",
                         WR_SPANF(host));
    return err == WR_E_EXISTS ? 0 : err; /* the first one counts */
}

/* The names of the server around; none: the directive has no effect. */
static int add_server_names(struct conf_load *load, struct referers *valid)
{
    const struct web_server *server = site_scope_server(load);
    const struct conf_node *n = server && server->node ? server->node->children : NULL;
    for (; n; n = n->next) {
        if (!wr_span_eq(conf_arg(n, 0), WR_LIT("server_name")))
            continue;
        for (uint32_t i = 1; i < n->nwords; i++) {
            struct wr_span name = conf_arg(n, i);
            if (!name.n)
                continue;
            int err = name.p[0] == '~' ? add_pattern(load, n, i, &valid->names)
                                       : add_host(load, n, i, valid);
            if (err)
                return err;
        }
    }
    return 0;
}

static int add_word(struct conf_load *load, const struct conf_node *node, uint32_t word,
                    struct referers *valid)
{
    struct wr_span text = conf_arg(node, word);
    if (!text.n)
        return conf_fail(load, node, word, "invalid referer \"\"");
    if (wr_span_eq(text, WR_LIT("none")))
        valid->none = true;
    else if (wr_span_eq(text, WR_LIT("blocked")))
        valid->blocked = true;
    else if (wr_span_eq(text, WR_LIT("server_names")))
        return add_server_names(load, valid);
    else if (text.p[0] == '~')
        return add_pattern(load, node, word, &valid->patterns);
    else if (wr_span_find(text, WR_LIT("://")) >= 0)
        return conf_fail(load, node, word, "invalid referer \"%.*s\": leave out the scheme",
                         WR_SPANF(text));
    else
        return add_host(load, node, word, valid);
    return 0;
}

static int set_valid(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    (void)row;
    struct referers **valid = field;
    if (!*valid) {
        *valid = wr_arena_zalloc(load->arena, sizeof(**valid));
        if (!*valid)
            return -ENOMEM;
        host_table_init(&(*valid)->hosts, load->arena);
    }
    int err = 0;
    for (uint32_t i = 1; !err && i < node->nwords; i++)
        err = add_word(load, node, i, *valid);
    return err;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

#define PLACES (CONF_SERVER | CONF_LOCATION)

static const struct conf_row rows[] = {
    {"valid_referers", PLACES, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, set_valid,
     CONF_FIELD(struct referer_conf, valid), NULL, NULL,
     "none | blocked | server_names | string ...", "Says which Referer fields leave $invalid_referer empty."},
    {"referer_hash_max_size",               PLACES, 1, 1, CONF_NOTE, CONF_AT_LOCATION, conf_set_nothing,
     CONF_NO_FIELD, NULL, NULL, "size", "Accepted; the table grows as it needs."},
    {"referer_hash_bucket_size",      PLACES, 1, 1, CONF_NOTE, CONF_AT_LOCATION, conf_set_nothing,
     CONF_NO_FIELD, NULL, NULL, "size", "Accepted; the table grows as it needs."},
    {0      },
};

static const struct web_var variables[] = {
    {"invalid_referer", get_invalid, NULL, WEB_VAR_CHANGEABLE | WEB_VAR_NO_CACHE, 0},
    {0            },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module referer_module = {
    .conf = {.name = "http_referer",
             .size = {[CONF_AT_LOCATION] = sizeof(struct referer_conf)},
             .rows = rows},
    .variables = variables,
};
