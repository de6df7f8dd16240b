/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module charset: the charset parameter of Content-Type, and recoding between 8-bit charsets and UTF-8.
 *
 * charset, charset_map, charset_types, override_charset, source_charset.
 */

#include "libweir/base/err.h"
#include "weir/filter/charset_table.h"
#include "weir/filter/recode.h"
#include "weir/web/encoding.h"

#include <errno.h>
#include <string.h>

#define OUT ((size_t)8192)

struct charset_http {
    struct charset_table *tables;
};

struct charset_name { /* a constant, variables, or off */
    struct web_value value;
    bool given, off;
};

struct charset_location {
    struct charset_name target, source;
    struct web_types types;
    bool override;
};

/* ---- run time ------------------------------------------------------------------------------------------- */

static const struct recode_coder coder = {"charset", charset_convert, charset_close};

static int name_of(struct web_req *r, const struct charset_name *name, struct wr_span *out)
{
    *out = (struct wr_span){0};
    return name->given && !name->off ? web_value_eval(r, &name->value, out) : 0;
}

static const struct charset_table *table_between(const struct charset_http *http,
                                                 struct wr_span from, struct wr_span to)
{
    for (const struct charset_table *t = http->tables; t; t = t->next)
        if (wr_span_ieq(t->from, from) && wr_span_ieq(t->to, to))
            return t;
    return NULL;
}

/* The charset the answer shall have; empty: leave it. */
static int target_of(struct web_req *r, const struct charset_location *conf,
                     struct wr_span *out)
{
    *out = (struct wr_span){0};
    if (r->out.type.n == 0 || r->out.no_charset)
        return 0;
    /* Old browsers took the charset of a redirect for that of the page it leads to. */
    if (r->out.status == 301 || r->out.status == 302)
        return 0;
    if (r->out.charset.n ? !conf->override : !web_types_has(&conf->types, r->out.type))
        return 0;
    return name_of(r, &conf->target, out);
}

static int charset_head(struct web_req *r)
{
    const struct charset_location *conf = web_location_conf(r, charset);
    const struct charset_http *http = web_main_conf(r, charset);
    struct wr_span target, source = r->out.charset;
    if (target_of(r, conf, &target))
        return WEB_ERROR;
    if (target.n == 0)
        return 0;
    if (source.n == 0 && name_of(r, &conf->source, &source))
        return WEB_ERROR;
    r->out.charset = target;
    const struct charset_table *t = source.n ? table_between(http, source, target) : NULL;
    if (!t || r->header_only || r->out.encoding.n)
        return 0;
    void *state = NULL;
    struct recode *c = NULL;
    if (charset_open(r->arena, t, &state) || recode_new(r, &coder, state, OUT, &c))
        return WEB_ERROR;
    if (t->changes_length) {
        web_clear_length(r);
        web_clear_ranges(r);
    }
    web_filter_push(r, &c->filter);
    return 0;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static int set_name(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    struct charset_name *name = field;
    name->given = true;
    if (row->data && wr_span_eq(conf_arg(node, 1), WR_LIT("off"))) {
        name->off = true;
        return 0;
    }
    return web_value_compile(load, node, 1, conf_arg(node, 1), &name->value);
}

/* charset_map FROM TO { FROM-CODE TO-CODE; ... }: two tables, there and back. */
static int set_map(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    struct charset_http *http = field;
    struct wr_span from = conf_arg(node, 1), to = conf_arg(node, 2);
    if (wr_span_ieq(from, to))
        return conf_fail(load, node, 2,
                         "\"charset_map\" between the same charsets \"%s\" and \"%s\"",
                         conf_str(node, 1), conf_str(node, 2));
    if (table_between(http, from, to))
        return conf_fail(load, node, 0, "duplicate \"charset_map\" between \"%s\" and \"%s\"",
                         conf_str(node, 1), conf_str(node, 2));
    struct charset_table *there = charset_table_new(load->arena, from, to);
    struct charset_table *back = charset_table_new(load->arena, to, from);
    if (!there || !back)
        return -ENOMEM;
    for (const struct conf_node *n = node->children; n; n = n->next) {
        if (n->nwords != 2)
            return conf_fail(load, n, 0, "invalid parameters number");
        int rc = charset_table_add(load->arena, there, conf_arg(n, 0), conf_arg(n, 1));
        if (rc == 0)
            rc = charset_table_add(load->arena, back, conf_arg(n, 1), conf_arg(n, 0));
        if (rc == WR_E_SYNTAX)
            return conf_fail(load, n, 0, "invalid value \"%s %s\"", conf_str(n, 0),
                             conf_str(n, 1));
        if (rc)
            return rc;
    }
    back->next = http->tables;
    there->next = back;
    http->tables = there;
    return 0;
}

static int settle(struct conf_load *load, struct conf_scope *scope)
{
    if (!scope->at[CONF_AT_LOCATION])
        return 0; /* outside of http */
    const struct charset_http *http = scope->at[CONF_AT_HTTP][WEB_charset];
    const struct charset_location *conf = scope->at[CONF_AT_LOCATION][WEB_charset];
    const struct charset_name *from = &conf->source, *to = &conf->target;
    if (!from->given || !to->given || from->off || to->off ||
        !web_value_constant(&from->value) || !web_value_constant(&to->value))
        return 0;
    if (wr_span_ieq(from->value.text, to->value.text) ||
        table_between(http, from->value.text, to->value.text))
        return 0;
    return conf_fail(load, scope->node, 0,
                     "no \"charset_map\" between the charsets \"%.*s\" and \"%.*s\"",
                     WR_SPANF(from->value.text), WR_SPANF(to->value.text));
}

static const struct conf_row rows[] = {
    {"charset", CONF_HSL | CONF_IF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, set_name,
     CONF_FIELD(struct charset_location, target), "off", "off", "charset | off",
     "Adds the charset to Content-Type, recoding from source_charset where they differ."},
    {"source_charset",        CONF_HSL | CONF_IF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, set_name,
     CONF_FIELD(struct charset_location, source), NULL, NULL, "charset",
     "The charset that answers are in."},
    {"override_charset",        CONF_HSL | CONF_IF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct charset_location, override), "off", NULL, "on | off",
     "Recodes also answers that bring a charset of their own."},
    {"charset_types", CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, web_set_types,
     CONF_FIELD(struct charset_location, types),
     "text/html text/xml text/plain text/vnd.wap.wml application/javascript "
     "application/rss+xml", "text/html", "mime-type ...", "The media types that get a charset; * is every one."},
    {"charset_map",  CONF_HTTP, 2, 2, CONF_BLOCK | CONF_TWICE, CONF_AT_HTTP, set_map,
     CONF_FIELD(struct charset_http, tables), NULL, NULL, "from to { code code; ... }",
     "A table between two charsets, codes in hexadecimal, UTF-8 as its bytes."},
    {0   },
};

static bool charset_wanted(const struct web_location *location)
{
    const struct charset_location *conf = location->conf[WEB_charset];
    return conf->target.given && !conf->target.off;
}

const struct web_module charset_module = {
    .conf = {.name = "http_charset",
             .size = {[CONF_AT_HTTP] = sizeof(struct charset_http),
                      [CONF_AT_LOCATION] = sizeof(struct charset_location)},
             .rows = rows,
             .settle = settle},
    .head_filter = charset_head,
    .head_wanted = charset_wanted,
};
