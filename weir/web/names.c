/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/site_private.h"

#include "libweir/base/err.h"
#include "weir/web/core.h"
#include "weir/web/vars.h"

#include <errno.h>

/*
 * server_name. An address keeps one table with three kinds of keys: exact names, and what follows "*." or
 * precedes ".*". A host is looked up whole, then by its suffixes from the longest, then by its
 * prefixes from the longest, then by the patterns in their order.
 */

enum kind {
    EXACT,
    SUFFIX, /* *.example.com: the key is example.com */
    PREFIX, /* www.example.*: the key is www.example */
};

struct slot {
    struct wr_span key; /* p == NULL: free */
    const struct web_server *server;
    uint8_t kind;
};

struct pattern {
    const struct web_regex *regex;
    const struct web_server *server;
};

struct site_names {
    struct slot *slots;
    uint32_t mask;
    bool suffixes, prefixes;
    struct pattern *patterns;
    uint32_t npatterns;
};

static uint32_t hash(struct wr_span s, uint8_t kind)
{
    uint32_t h = 2166136261u + kind;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h ^ h >> 15;
}

static struct slot *slot_of(const struct site_names *n, struct wr_span key, uint8_t kind)
{
    uint32_t i = hash(key, kind) & n->mask;
    while (n->slots[i].key.p && !(n->slots[i].kind == kind && wr_span_eq(n->slots[i].key, key)))
        i = (i + 1) & n->mask;
    return &n->slots[i];
}

/* ---- the directive ------------------------------------------------------------------------------------------ */

static int lower(struct wr_arena *a, struct wr_span text, struct wr_span *out)
{
    char *p = wr_arena_strndup(a, text.p, text.n);
    if (!p)
        return -ENOMEM;
    for (size_t i = 0; i < text.n; i++)
        p[i] = wr_ascii_lower(p[i]);
    *out = wr_span(p, text.n);
    return 0;
}

static int read_name(struct conf_load *load, const struct conf_node *node, uint32_t i,
                     struct site_name *out)
{
    struct wr_span v = conf_arg(node, i);
    *out = (struct site_name){.node = node, .word = i};
    if (v.n && v.p[0] == '~') {
        if (v.n == 1)
            return conf_fail(load, node, i, "empty regex in server name \"%s\"", v.p);
        out->text = v;
        return web_regex_compile(load, node, i, wr_span_sub(v, 1, v.n - 1), true, &out->regex);
    }
    if (v.n && ((v.p[0] == '*' && (v.n < 3 || v.p[1] != '.')) || (v.p[0] == '.' && v.n < 2)))
        return conf_fail(load, node, i, "server name \"%s\" is invalid", v.p);
    if (wr_span_find_char(v, '/') >= 0)
        conf_warn(load, node, i, "server name \"%s\" has suspicious symbols", v.p);
    if (wr_span_eq(v, WR_LIT("$hostname")))
        v = web_vars_hostname(web_vars_of(load));
    return lower(load->arena, v, &out->text);
}

int site_set_server_name(struct conf_load *load, const struct conf_node *node,
                         const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct site_server *s = site_scope_server(load)->private;
    uint32_t more = node->nwords - 1;
    struct site_name *list = wr_arena_alloc(load->arena, (s->nnames + more) * sizeof(*list));
    if (!list)
        return -ENOMEM;
    if (s->nnames)
        memcpy(list, s->names, s->nnames * sizeof(*list));
    for (uint32_t i = 1; i <= more; i++) {
        int err = read_name(load, node, i, &list[s->nnames + i - 1]);
        if (err)
            return err;
    }
    s->names = list;
    s->nnames += more;
    s->s.name = list[0].text;
    if (s->s.name.n && s->s.name.p[0] == '.')
        s->s.name = wr_span_sub(s->s.name, 1, s->s.name.n);
    return 0;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

static void add_key(struct conf_load *load, const struct web_listen *l, struct site_names *n,
                    const struct site_name *name, const struct web_server *s, uint8_t kind,
                    struct wr_span key)
{
    struct slot *slot = slot_of(n, key, kind);
    if (slot->key.p) {
        if (name->node)
            conf_warn(load, name->node, name->word,
                      "conflicting server name \"%s\" on %s, ignored", name->text.p, l->text.p);
        return;
    }
    *slot = (struct slot){key, s, kind};
    n->suffixes |= kind == SUFFIX;
    n->prefixes |= kind == PREFIX;
}

static int add_name(struct conf_load *load, const struct web_listen *l, struct site_names *n,
                    const struct site_name *name, const struct web_server *s)
{
    struct wr_span t = name->text;
    if (name->regex) {
        n->patterns[n->npatterns++] = (struct pattern){name->regex, s};
        return 0;
    }
    if (wr_span_has_suffix(t, WR_LIT(".*")) && t.n > 2) {
        add_key(load, l, n, name, s, PREFIX, wr_span_sub(t, 0, t.n - 2));
        t = wr_span_sub(t, 0, t.n - 2);
    } else if (wr_span_has_prefix(t, WR_LIT("*."))) {
        t = wr_span_sub(t, 2, t.n);
        add_key(load, l, n, name, s, SUFFIX, t);
    } else if (t.n && t.p[0] == '.') {
        t = wr_span_sub(t, 1, t.n);
        add_key(load, l, n, name, s, EXACT, t);
        add_key(load, l, n, name, s, SUFFIX, t);
    } else {
        add_key(load, l, n, name, s, EXACT, t);
    }
    if (wr_span_find_char(t, '*') >= 0 || wr_span_find(t, WR_LIT("..")) >= 0)
        return conf_fail(load, name->node, name->word,
                         "invalid server name or wildcard \"%s\" on %s", name->text.p,
                         l->text.p);
    return 0;
}

int site_names_build(struct conf_load *load, struct web_listen *l)
{
    uint32_t keys = 0, patterns = 0, size = 8;
    for (uint32_t i = 0; i < l->nservers; i++) {
        const struct site_server *s = l->servers[i]->private;
        keys += 2 * (s->nnames + 1);
        for (uint32_t k = 0; k < s->nnames; k++)
            patterns += s->names[k].regex != NULL;
    }
    if (l->nservers == 1 && patterns == 0)
        return 0; /* whoever comes here means the only one */
    while (size < 2 * keys)
        size *= 2;
    struct site_names *n = wr_arena_zalloc(load->arena, sizeof(*n));
    if (!n || !(n->slots = wr_arena_zalloc(load->arena, size * sizeof(*n->slots))) ||
        !(n->patterns = wr_arena_zalloc(load->arena, (patterns + 1) * sizeof(*n->patterns))))
        return -ENOMEM;
    n->mask = size - 1;
    for (uint32_t i = 0; i < l->nservers; i++) {
        const struct site_server *s = l->servers[i]->private;
        struct site_name none = {.text = WR_LIT(""), .node = s->s.node};
        if (s->nnames == 0 && add_name(load, l, n, &none, &s->s))
            return WR_E_SYNTAX;
        for (uint32_t k = 0; k < s->nnames; k++) {
            int err = add_name(load, l, n, &s->names[k], &s->s);
            if (err)
                return err;
        }
    }
    l->names = n;
    return 0;
}

/* ---- looking up ----------------------------------------------------------------------------------------------- */

static const struct web_server *by_suffix(const struct site_names *n, struct wr_span host)
{
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] != '.')
            continue;
        struct slot *s = slot_of(n, wr_span_sub(host, i + 1, host.n), SUFFIX);
        if (s->key.p)
            return s->server;
    }
    return NULL;
}

static const struct web_server *by_prefix(const struct site_names *n, struct wr_span host)
{
    for (size_t i = host.n; i-- > 1;) {
        if (host.p[i] != '.')
            continue;
        struct slot *s = slot_of(n, wr_span_sub(host, 0, i), PREFIX);
        if (s->key.p)
            return s->server;
    }
    return NULL;
}

const struct web_server *site_server_named(const struct web_listen *l, struct web_req *r,
                                           struct wr_span host)
{
    const struct site_names *n = l->names;
    const struct web_server *found = NULL;
    if (!n)
        return NULL;
    struct slot *s = slot_of(n, host, EXACT);
    if (s->key.p)
        return s->server;
    if (n->suffixes)
        found = by_suffix(n, host);
    if (!found && n->prefixes)
        found = by_prefix(n, host);
    for (uint32_t i = 0; !found && host.n && i < n->npatterns; i++) {
        const struct pattern *p = &n->patterns[i];
        int rc = r ? web_regex_match(r, p->regex, host) : web_regex_test(p->regex, host);
        if (rc > 0)
            found = p->server;
    }
    return found;
}

const struct web_server *site_server(const struct web_listen *l, struct web_req *r,
                                     struct wr_span host)
{
    const struct web_server *found = site_server_named(l, r, host);
    return found ? found : l->default_server;
}
