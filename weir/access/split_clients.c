/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A variable that divides clients into parts: split_clients.
 *
 *     split_clients "${remote_addr}AAA" $variant { 0.5% .one;  2.0% .two;  * ""; }
 *
 * The string's MurmurHash2 falls into one of the parts, which lie behind each other from 0 to 2^32 - 1; the same
 * string always into the same one. `*` is what is left.
 */
#include "libweir/base/err.h"
#include "weir/access/murmur.h"
#include "weir/web/vars.h"

#include <errno.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

struct part {
    uint32_t below; /* 0: everything that is left */
    struct wr_span value;
};

struct split {
    struct web_var var;
    struct web_value source;
    struct part *parts;
    uint32_t nparts;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

static int get_split(struct web_req *r, const struct web_var *v, struct wr_span rest,
                     struct web_val *out)
{
    (void)rest;
    const struct split *split = (const struct split *)v->data;
    struct wr_span text;
    int err = web_value_peek(r, &split->source, &text);
    if (err)
        return err;
    uint32_t hash = murmur2(text);
    for (uint32_t i = 0; i < split->nparts; i++)
        if (!split->parts[i].below || hash < split->parts[i].below)
            return web_val_set(out, split->parts[i].value);
    return web_val_set(out, WR_LIT(""));
}

/* ---- setters ------------------------------------------------------------------------------------------ */

/* "12.34" in hundredths of a percent; false when it is none or 0. */
static bool read_percent(struct wr_span s, uint32_t *out)
{
    uint32_t v = 0, decimals = 0;
    bool point = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (s.p[i] < '0' || s.p[i] > '9' || v > 100000 || decimals == 2)
            return false;
        v = v * 10 + (uint32_t)(s.p[i] - '0');
        decimals += point;
    }
    for (; decimals < 2; decimals++)
        v *= 10;
    *out = v;
    return s.n > 0 && v > 0;
}

static int read_parts(struct conf_load *load, const struct conf_node *node, struct split *split)
{
    uint32_t sum = 0, percent;
    for (const struct conf_node *n = node->children; n; n = n->next) {
        struct wr_span text = conf_arg(n, 0);
        if (n->nwords == 1 && !n->block && wr_span_eq(text, WR_LIT("volatile"))) {
            split->var.flags |= WEB_VAR_NO_CACHE;
            continue;
        }
        struct part *part = &split->parts[split->nparts++];
        if (n->nwords != 2 || n->block)
            return conf_fail(load, n, 0, "invalid number of parameters");
        part->value = conf_arg(n, 1);
        if (wr_span_eq(text, WR_LIT("*")))
            continue;
        if (!text.n || text.p[text.n - 1] != '%' ||
            !read_percent(wr_span_sub(text, 0, text.n - 1), &percent))
            return conf_fail(load, n, 0, "invalid percent value \"%.*s\"", WR_SPANF(text));
        sum += percent;
        if (sum > 10000)
            return conf_fail(load, n, 0, "percent total is greater than 100%%");
        part->below = (uint32_t)((uint64_t)sum * UINT32_MAX / 10000);
    }
    return 0;
}

static int set_split(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct wr_span name = conf_arg(node, 2);
    uint32_t count = 0;
    for (const struct conf_node *n = node->children; n; n = n->next)
        count++;
    struct split *split = wr_arena_zalloc(load->arena, sizeof(*split));
    if (!split ||
        !(split->parts = wr_arena_zalloc(load->arena, (count + 1) * sizeof(struct part))))
        return -ENOMEM;
    if (name.n < 2 || name.p[0] != '$')
        return conf_fail(load, node, 2, "invalid variable name \"%.*s\"", WR_SPANF(name));
    split->var.get = get_split;
    split->var.data = (uintptr_t)split;
    split->var.flags = WEB_VAR_CHANGEABLE;
    int err = web_value_compile(load, node, 1, conf_arg(node, 1), &split->source);
    if (!err)
        err = web_var_define(load, node, 2, wr_span_sub(name, 1, name.n), &split->var);
    return err ? err : read_parts(load, node, split);
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"split_clients", CONF_HTTP, 2, 2, CONF_BLOCK | CONF_TWICE, CONF_AT_HTTP, set_split,
     CONF_NO_FIELD, NULL, NULL, "string $variable { ... }",
     "Makes a variable that divides what the string says into parts of given sizes."},
    {0             },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module split_clients_module = {
    .conf = {.name = "http_split_clients", .rows = rows},
};
