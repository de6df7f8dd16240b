/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A variable that depends on the client's address: geo.
 *
 *     geo $where { default far;  127.0.0.0/8 here;  10.1.0.0/16 near;  proxy 10.0.0.0/8;  include more.conf; }
 *     geo $arg_ip $part { ranges;  10.1.0.0-10.1.255.255 left; }
 *
 * The address is r->client, or what a variable says, or, when the client is one of the `proxy` networks, what that
 * one forwards. Of networks that hold it the longest prefix counts, of ranges the last one given.
 */
#include "libweir/base/err.h"
#include "weir/access/net_table.h"
#include "weir/access/trusted.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <string.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

struct geo {
    struct web_var var;
    bool by_variable, ranges, recursive, begun;
    uint32_t source; /* the variable that says the address */
    struct net_table nets;
    struct trusted proxies;
    struct wr_span fallback;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

static void forwarded(struct web_req *r, const struct geo *geo, struct wr_addr *io)
{
    if (!r->head || !wr_head_has(r->head, WR_H_X_FORWARDED_FOR))
        return;
    for (uint32_t i = r->head->nfields; i > 0; i--) {
        const struct wr_field *f = &r->head->fields[i - 1];
        if (f->id != WR_H_X_FORWARDED_FOR)
            continue;
        if (trusted_walk(&geo->proxies, f->value, geo->recursive, io) != TRUSTED_MOVED)
            return;
    }
}

static int get_geo(struct web_req *r, const struct web_var *v, struct wr_span rest,
                   struct web_val *out)
{
    (void)rest;
    const struct geo *geo = (const struct geo *)v->data;
    struct wr_addr addr = r->client;
    if (geo->by_variable) {
        const struct web_val *val = web_var_get_fresh(r, geo->source);
        if (!val->valid)
            return -ENOMEM;
        if (wr_addr_parse_ip(val->text, &addr))
            addr = wr_addr_v4((const uint8_t[4]){255, 255, 255, 255}, 0);
    }
    if (addr.kind == WR_ADDR_UNIX)
        addr = wr_addr_v4((const uint8_t[4]){255, 255, 255, 255}, 0);
    if (geo->proxies.n)
        forwarded(r, geo, &addr);
    const struct wr_span *value = net_table_find(&geo->nets, &addr);
    return web_val_set(out, value ? *value : geo->fallback);
}

/* ---- setters ------------------------------------------------------------------------------------------ */

/* "ranges", "proxy_recursive", "volatile"; false: not such a word. */
static bool read_switch(const struct conf_node *node, struct geo *geo)
{
    struct wr_span word = conf_arg(node, 0);
    if (node->nwords != 1)
        return false;
    if (wr_span_eq(word, WR_LIT("proxy_recursive")))
        geo->recursive = true;
    else if (wr_span_eq(word, WR_LIT("ranges")))
        geo->ranges = true;
    else if (wr_span_eq(word, WR_LIT("volatile")))
        geo->var.flags |= WEB_VAR_NO_CACHE;
    else
        return false;
    return true;
}

static int add_proxy(struct conf_load *load, const struct conf_node *node, struct geo *geo)
{
    struct wr_span text = conf_arg(node, 1);
    int rc = trusted_add(&geo->proxies, load->arena, text);
    if (rc == WR_E_SYNTAX)
        return conf_fail(load, node, 1, "invalid network \"%.*s\"", WR_SPANF(text));
    return rc < 0 ? rc : 0;
}

static int read_range(struct conf_load *load, const struct conf_node *node, uint32_t word,
                      struct geo *geo, struct net_range *out)
{
    struct wr_span text = conf_arg(node, word);
    int rc = net_range_parse(text, geo->ranges, out);
    if (rc < 0)
        return conf_fail(load, node, word, "invalid %s \"%.*s\"",
                         geo->ranges ? "range" : "network", WR_SPANF(text));
    if (rc > 0)
        conf_warn(load, node, word, "low address bits of %.*s are meaningless", WR_SPANF(text));
    return 0;
}

static int add_net(struct conf_load *load, const struct conf_node *node, struct geo *geo)
{
    struct net_range range;
    const struct wr_span *old;
    struct wr_span *value = wr_arena_alloc(load->arena, sizeof(*value));
    if (!value)
        return -ENOMEM;
    *value = conf_arg(node, 1);
    int err = read_range(load, node, 0, geo, &range);
    if (!err)
        err = net_table_add(&geo->nets, &range, value, &old);
    if (!err && old)
        conf_warn(load, node, 0, "duplicate %s \"%s\", value: \"%.*s\", old value: \"%.*s\"",
                  geo->ranges ? "range" : "network", conf_str(node, 0), WR_SPANF(*value),
                  WR_SPANF(*old));
    return err;
}

static int read_entry(struct conf_load *load, const struct conf_node *node, struct geo *geo)
{
    struct wr_span word = conf_arg(node, 0);
    struct net_range range;
    if (read_switch(node, geo)) {
        if (geo->ranges && geo->begun)
            return conf_fail(load, node, 0,
                             "the \"ranges\" directive must be the first directive inside "
                             "\"geo\" block");
        return 0;
    }
    if (node->nwords != 2 || node->block)
        return conf_fail(load, node, 0, "invalid number of the geo parameters");
    if (wr_span_eq(word, WR_LIT("default"))) {
        geo->fallback = conf_arg(node, 1);
        return 0;
    }
    if (wr_span_eq(word, WR_LIT("proxy")))
        return add_proxy(load, node, geo);
    geo->begun = true;
    if (!wr_span_eq(word, WR_LIT("delete")))
        return add_net(load, node, geo);
    int err = read_range(load, node, 1, geo, &range);
    if (!err && !net_table_remove(&geo->nets, &range))
        conf_warn(load, node, 1, "no network \"%s\" to delete", conf_str(node, 1));
    return err;
}

static int read_name(struct conf_load *load, const struct conf_node *node, uint32_t word,
                     struct wr_span *out)
{
    struct wr_span name = conf_arg(node, word);
    if (name.n < 2 || name.p[0] != '$')
        return conf_fail(load, node, word, "invalid variable name \"%.*s\"", WR_SPANF(name));
    *out = wr_span_sub(name, 1, name.n);
    return 0;
}

static int set_geo(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct wr_span name;
    struct geo *geo = wr_arena_zalloc(load->arena, sizeof(*geo));
    if (!geo)
        return -ENOMEM;
    geo->fallback = WR_LIT("");
    geo->var.get = get_geo;
    geo->var.data = (uintptr_t)geo;
    geo->var.flags = WEB_VAR_CHANGEABLE;
    net_table_init(&geo->nets, load->arena);
    int err = 0;
    if (node->nwords == 3) {
        geo->by_variable = true;
        err = read_name(load, node, 1, &name);
        if (!err)
            err = web_var_index(load, node, 1, name, &geo->source);
    }
    if (!err)
        err = read_name(load, node, node->nwords - 1, &name);
    if (!err)
        err = web_var_define(load, node, node->nwords - 1, name, &geo->var);
    for (const struct conf_node *n = node->children; !err && n; n = n->next)
        err = read_entry(load, n, geo);
    return err ? err : net_table_build(&geo->nets);
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"geo", CONF_HTTP, 1, 2, CONF_BLOCK | CONF_TWICE, CONF_AT_HTTP, set_geo, CONF_NO_FIELD,
     NULL, NULL, "[$address] $variable { ... }",
     "Makes a variable whose value depends on the client's address."},
    {0   },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module geo_module = {
    .conf = {.name = "http_geo", .rows = rows},
};
