/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/site_private.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Which location a URI belongs to. The prefixes of a set are sorted, and each knows its longest proper prefix
 * in the set (`up`). The greatest name not behind the URI is found by bisection; every name that is a
 * prefix of the URI is then that name itself or lies on its way up.
 */

struct site_entry {
    struct wr_span name;
    struct site_location *exact, *prefix; /* = and plain or ^~; at least one of them */
    int32_t up;
};

/* ---- the directive ------------------------------------------------------------------------------------------ */

static const char *read_modifier(struct wr_span mod, struct web_location *l, int *out_regex)
{
    *out_regex = 0;
    if (wr_span_eq(mod, WR_LIT("=")))
        l->exact = true;
    else if (wr_span_eq(mod, WR_LIT("^~")))
        l->no_regex = true;
    else if (wr_span_eq(mod, WR_LIT("~")))
        *out_regex = 1;
    else if (wr_span_eq(mod, WR_LIT("~*")))
        *out_regex = 2;
    else
        return "invalid location modifier";
    return NULL;
}

/* One word: the modifier may stick to the name. */
static struct wr_span cut_modifier(struct wr_span word)
{
    if (wr_span_has_prefix(word, WR_LIT("^~")) || wr_span_has_prefix(word, WR_LIT("~*")))
        return wr_span_sub(word, 0, 2);
    if (word.n && (word.p[0] == '=' || word.p[0] == '~'))
        return wr_span_sub(word, 0, 1);
    return wr_span_sub(word, 0, 0);
}

static int read_name(struct conf_load *load, const struct conf_node *node,
                     struct site_location *in)
{
    struct wr_span name = conf_arg(node, 1), mod = name;
    int regex = 0;
    in->word = node->nwords > 2 ? 2 : 1;
    if (node->nwords > 2) {
        name = conf_arg(node, 2);
    } else {
        mod = cut_modifier(name);
        name = wr_span_sub(name, mod.n, name.n);
    }
    if (mod.n) {
        const char *bad = read_modifier(mod, &in->l, &regex);
        if (bad)
            return conf_fail(load, node, 1, "%s \"%.*s\"", bad, WR_SPANF(mod));
    }
    in->l.name = name;
    in->l.named = mod.n == 0 && name.n && name.p[0] == '@';
    return regex ? web_regex_compile(load, node, in->word, name, regex == 2, &in->regex) : 0;
}

static int check_nesting(struct conf_load *load, const struct conf_node *node,
                         const struct site_location *in)
{
    const struct web_location *parent = &in->parent->l, *l = &in->l;
    if (!in->parent->parent && !parent->name.p)
        return 0;
    if (parent->exact || parent->named)
        return conf_fail(load, node, in->word,
                         "location \"%s\" cannot be inside the %s location \"%.*s\"", l->name.p,
                         parent->exact ? "exact" : "named", WR_SPANF(parent->name));
    if (l->named)
        return conf_fail(load, node, in->word,
                         "named location \"%s\" can be on the server level only", l->name.p);
    if (!in->regex && !wr_span_has_prefix(l->name, parent->name))
        return conf_fail(load, node, in->word, "location \"%s\" is outside location \"%.*s\"",
                         l->name.p, WR_SPANF(parent->name));
    return 0;
}

int site_set_location(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct conf_scope *scope;
    struct web_location *l;
    int err = site_location_new(load, node, CONF_LOCATION, &scope, &l);
    if (err)
        return err;
    struct site_location *in = site_inside(l);
    err = read_name(load, node, in);
    if (!err)
        err = check_nesting(load, node, in);
    struct site_set *set = &in->parent->inner;
    if (!err)
        err = site_push(load->arena, (void ***)(void *)&set->list, &set->n, &set->cap, in);
    return err ? err : conf_apply(load, scope, node->children);
}

/* ---- building ------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct site_location *x = *(struct site_location *const *)a;
    const struct site_location *y = *(struct site_location *const *)b;
    int c = wr_span_cmp(x->l.name, y->l.name);
    return c ? c : (x->l.exact ? 0 : 1) - (y->l.exact ? 0 : 1);
}

static int add_entry(struct conf_load *load, struct site_set *set, struct site_location *in)
{
    struct site_entry *e = set->nentries ? &set->entries[set->nentries - 1] : NULL;
    if (!e || !wr_span_eq(e->name, in->l.name)) {
        e = &set->entries[set->nentries++];
        *e = (struct site_entry){.name = in->l.name, .up = -1};
        for (int32_t up = (int32_t)set->nentries - 2; up >= 0; up = set->entries[up].up)
            if (wr_span_has_prefix(e->name, set->entries[up].name)) {
                e->up = up;
                break;
            }
    }
    struct site_location **place = in->l.exact ? &e->exact : &e->prefix;
    if (*place)
        return conf_fail(load, in->l.node, in->word, "duplicate location \"%.*s\"",
                         WR_SPANF(in->l.name));
    *place = in;
    set->redirects |= in->l.auto_redirect;
    return 0;
}

int site_set_build(struct conf_load *load, struct site_set *set)
{
    if (set->n == 0)
        return 0;
    struct site_location **sorted = wr_arena_alloc(load->arena, set->n * sizeof(*sorted));
    set->regexes = wr_arena_alloc(load->arena, set->n * sizeof(*set->regexes));
    set->entries = wr_arena_alloc(load->arena, set->n * sizeof(*set->entries));
    if (!sorted || !set->regexes || !set->entries)
        return -ENOMEM;
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        if (set->list[i]->regex)
            set->regexes[set->nregexes++] = set->list[i];
        else
            sorted[n++] = set->list[i];
    }
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (uint32_t i = 0; i < n; i++) {
        if (sorted[i]->l.named && i && wr_span_eq(sorted[i]->l.name, sorted[i - 1]->l.name))
            return conf_fail(load, sorted[i]->l.node, 1, "duplicate location \"%.*s\"",
                             WR_SPANF(sorted[i]->l.name));
        if (sorted[i]->l.named)
            continue; /* no URI begins with '@' */
        int err = add_entry(load, set, sorted[i]);
        if (err)
            return err;
    }
    return 0;
}

/* ---- looking up ------------------------------------------------------------------------------------------------ */

/* The greatest entry that is not behind text; -1. */
static int32_t not_behind(const struct site_set *set, struct wr_span text)
{
    uint32_t lo = 0, hi = set->nentries;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (wr_span_cmp(set->entries[mid].name, text) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (int32_t)lo - 1;
}

/* A location "URI/" that wants to be asked for with its slash. */
static struct site_location *with_slash(const struct site_set *set, int32_t at,
                                        struct wr_span uri)
{
    for (uint32_t i = (uint32_t)(at + 1); i < set->nentries; i++) {
        const struct site_entry *e = &set->entries[i];
        if (e->name.n <= uri.n || memcmp(e->name.p, uri.p, uri.n) != 0 ||
            e->name.p[uri.n] > '/')
            return NULL;
        if (e->name.n == uri.n + 1 && e->name.p[uri.n] == '/')
            return e->prefix && e->prefix->l.auto_redirect ? e->prefix : NULL;
    }
    return NULL;
}

static enum site_found find(struct web_req *r, const struct site_set *set,
                            struct site_location **out)
{
    struct site_location *prefix = NULL;
    enum site_found found = SITE_NONE;
    int32_t at = not_behind(set, r->uri);
    for (int32_t i = at; i >= 0 && !prefix; i = set->entries[i].up) {
        const struct site_entry *e = &set->entries[i];
        if (!wr_span_has_prefix(r->uri, e->name))
            continue;
        if (e->exact && e->name.n == r->uri.n) {
            *out = e->exact;
            return SITE_FOUND;
        }
        prefix = e->prefix;
    }
    if (set->redirects && !(prefix && prefix->l.name.n == r->uri.n)) {
        struct site_location *slash = with_slash(set, at, r->uri);
        if (slash) {
            *out = slash;
            return SITE_REDIRECT;
        }
    }
    if (prefix) {
        *out = prefix;
        found = find(r, &prefix->inner, out);
        /* A pattern or an exact name inside is the last word; a mere prefix lets patterns outside speak. */
        if (found == SITE_REDIRECT || found == SITE_FAILED ||
            (found == SITE_FOUND && ((*out)->regex || (*out)->l.exact)))
            return found;
        found = SITE_FOUND;
        if (prefix->l.no_regex)
            return found;
    }
    for (uint32_t i = 0; i < set->nregexes; i++) {
        int rc = web_regex_match(r, set->regexes[i]->regex, r->uri);
        if (rc < 0)
            return SITE_FAILED;
        if (rc == 0)
            continue;
        struct site_location *in = set->regexes[i];
        *out = in;
        return find(r, &in->inner, out) == SITE_FAILED ? SITE_FAILED : SITE_FOUND;
    }
    return found;
}

enum site_found site_location(struct web_req *r, const struct web_location **out)
{
    struct site_location *in = site_inside(r->server->outer);
    enum site_found found = find(r, &in->inner, &in);
    *out = &in->l;
    return found;
}

const struct web_location *site_named(const struct web_server *s, struct wr_span name)
{
    const struct site_set *set = &site_inside(s->outer)->inner;
    for (uint32_t i = 0; i < set->n; i++)
        if (set->list[i]->l.named && wr_span_eq(set->list[i]->l.name, name))
            return &set->list[i]->l;
    return NULL;
}

/* ---- limit_except ------------------------------------------------------------------------------------------------ */

int site_set_limit_except(struct conf_load *load, const struct conf_node *node,
                          const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct site_location *outer = site_inside(site_scope_location(load));
    struct conf_scope *scope;
    struct web_location *l;
    for (uint32_t i = 1; i < node->nwords; i++) {
        uint32_t bit = site_method_bit(conf_arg(node, i));
        if (!bit)
            return conf_fail(load, node, i, "invalid method \"%s\"", conf_str(node, i));
        outer->allowed |= bit;
    }
    if (outer->allowed & site_method_bit(WR_LIT("GET")))
        outer->allowed |= site_method_bit(WR_LIT("HEAD"));
    int err = site_location_new(load, node, CONF_LIMIT_EXCEPT, &scope, &l);
    if (err)
        return err;
    outer->limit_except_at = site_inside(l);
    return conf_apply(load, scope, node->children);
}

uint32_t site_method_bit(struct wr_span name)
{
    static const char *const known[] = {"GET",       "HEAD", "POST",   "PUT",     "DELETE",
                                        "MKCOL",     "COPY", "MOVE",   "OPTIONS", "PROPFIND",
                                        "PROPPATCH", "LOCK", "UNLOCK", "PATCH"};
    for (uint32_t i = 0; i < WR_ARRAY_LEN(known); i++)
        if (wr_span_eq(name, wr_span_str(known[i])))
            return 1u << i;
    return 0;
}

const struct web_location *site_for_method(const struct web_location *l, struct wr_span method)
{
    const struct site_location *in = site_inside(l);
    if (!in->limit_except_at || in->allowed & site_method_bit(method))
        return l;
    return &in->limit_except_at->l;
}

bool site_location_is_regex(const struct web_location *l)
{
    const struct site_location *in = site_inside(l);
    while (in && in->l.node && (in->l.is_if || in->l.limit_except))
        in = in->parent;
    return in && in->regex;
}
