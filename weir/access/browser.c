/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which browser it is: modern_browser, ancient_browser, modern_browser_value, ancient_browser_value.
 *
 *     modern_browser gecko 1.0.0;  modern_browser unlisted;  ancient_browser Links Lynx netscape4;
 *
 * The User-Agent field is looked through for the listed browsers in their order; the first that is found decides by its
 * version. Then come the ancient words; what is named nowhere is ancient unless `unlisted` is.
 */
#include "libweir/base/err.h"
#include "weir/web/vars.h"

#include <errno.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

/* Where the word stands that the version follows. */
static const struct kind {
    const char *name;
    size_t skip; /* the word is never before that */
    struct wr_span word;
} kinds[] = {
    {"opera",     0,                                       {"Opera", 5}      },
    {"msie",      sizeof("Mozilla/4.0 (compatible; ") - 1, {"MSIE ", 5}      },
    {"gecko",     sizeof("Mozilla/5.0 (") - 1,             {"rv:", 3}        },
    {"safari",    sizeof("Mozilla/5.0 (") - 1,             {"Safari/", 7}    },
    {"konqueror", sizeof("Mozilla/5.0 (compatible; ") - 1, {"Konqueror/", 10}},
};

struct modern {
    const struct kind *kind;
    uint64_t version;
};

struct modern_list {
    struct modern *list;
    uint32_t n, room;
    bool unlisted;
};

struct ancient_list {
    struct wr_span *list;
    uint32_t n, room;
    bool netscape4;
};

struct browser_conf {
    struct modern_list modern;
    struct ancient_list ancient;
    struct wr_span modern_value, ancient_value;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

#define SCALE \
    1000000 /* of the first number of a version; each further one counts a hundredth */

/* Numbers and points up to something else. *out_n: how many bytes. */
static uint64_t read_version(struct wr_span s, size_t *out_n)
{
    uint64_t version = 0, part = 0, scale = SCALE;
    size_t i = 0;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9') {
            if (part < UINT32_MAX)
                part = part * 10 + (uint64_t)(c - '0');
        } else if (c == '.') {
            version += part * scale;
            part = 0;
            scale /= 100;
        } else {
            break;
        }
    }
    *out_n = i;
    return version + part * scale;
}

/* 1: found and modern, 0: found and too old, -1: another browser. */
static int judge(const struct modern *m, struct wr_span agent)
{
    size_t n;
    struct wr_span s = wr_span_sub(agent, m->kind->skip, agent.n);
    ptrdiff_t at = wr_span_find(s, m->kind->word);
    if (at < 0)
        return -1;
    /* "Opera/7.50" and "Opera 7.50" */
    size_t behind = (size_t)at + m->kind->word.n + (m->kind == &kinds[0]);
    if (behind >= s.n)
        return -1;
    return read_version(wr_span_sub(s, behind, s.n), &n) >= m->version;
}

static bool is_netscape4(struct wr_span s)
{
    return s.n > sizeof("Mozilla/4.72 ") - 1 && wr_span_has_prefix(s, WR_LIT("Mozilla/")) &&
           s.p[8] > '0' && s.p[8] < '5';
}

static bool is_modern(struct web_req *r)
{
    const struct browser_conf *conf = web_location_conf(r, browser);
    struct wr_span agent =
        r->head ? wr_head_get(r->head, WR_H_USER_AGENT) : (struct wr_span){0};
    if (!agent.p)
        return conf->modern.unlisted;
    for (uint32_t i = 0; i < conf->modern.n; i++) {
        int verdict = judge(&conf->modern.list[i], agent);
        if (verdict >= 0)
            return verdict;
    }
    if (conf->ancient.netscape4 && is_netscape4(agent))
        return false;
    for (uint32_t i = 0; i < conf->ancient.n; i++)
        if (wr_span_find(agent, conf->ancient.list[i]) >= 0)
            return false;
    return conf->modern.unlisted;
}

static int get_browser(struct web_req *r, const struct web_var *v, struct wr_span rest,
                       struct web_val *out)
{
    (void)rest;
    const struct browser_conf *conf = web_location_conf(r, browser);
    if (is_modern(r) != (v->data != 0))
        return web_val_set(out, WR_LIT(""));
    return web_val_set(out, v->data ? conf->modern_value : conf->ancient_value);
}

static int get_msie(struct web_req *r, const struct web_var *v, struct wr_span rest,
                    struct web_val *out)
{
    (void)v;
    (void)rest;
    struct wr_span agent =
        r->head ? wr_head_get(r->head, WR_H_USER_AGENT) : (struct wr_span){0};
    bool msie =
        wr_span_find(agent, WR_LIT("MSIE ")) >= 0 && wr_span_find(agent, WR_LIT("Opera")) < 0;
    return web_val_set(out, msie ? WR_LIT("1") : WR_LIT(""));
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static int set_modern(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    (void)row;
    struct modern_list *list = field;
    struct wr_span name = conf_arg(node, 1);
    struct modern m = {0};
    size_t n;
    if (node->nwords == 2) {
        if (!wr_span_eq(name, WR_LIT("unlisted")))
            return conf_fail(load, node, 1, "unknown browser name \"%.*s\"", WR_SPANF(name));
        list->unlisted = true;
        return 0;
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(kinds); i++)
        if (wr_span_eq(name, wr_span_str(kinds[i].name)))
            m.kind = &kinds[i];
    if (!m.kind)
        return conf_fail(load, node, 1, "unknown browser name \"%.*s\"", WR_SPANF(name));
    m.version = read_version(conf_arg(node, 2), &n);
    if (n != conf_arg(node, 2).n || !n)
        return conf_fail(load, node, 2, "invalid browser version \"%s\"", conf_str(node, 2));
    if (list->n == list->room) {
        uint32_t room = list->room ? 2 * list->room : 8;
        struct modern *more = wr_arena_alloc(load->arena, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        if (list->n)
            memcpy(more, list->list, list->n * sizeof(*more));
        list->list = more;
        list->room = room;
    }
    /* Opera pretends to be others: it is looked for first, whatever the order of the file. */
    uint32_t at = list->n++;
    for (; at > 0 && m.kind < list->list[at - 1].kind; at--)
        list->list[at] = list->list[at - 1];
    list->list[at] = m;
    return 0;
}

static int set_ancient(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)row;
    struct ancient_list *list = field;
    struct wr_span *more =
        wr_arena_alloc(load->arena, (list->n + node->nwords) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    if (list->n)
        memcpy(more, list->list, list->n * sizeof(*more));
    list->list = more;
    for (uint32_t i = 1; i < node->nwords; i++) {
        if (wr_span_eq(conf_arg(node, i), WR_LIT("netscape4")))
            list->netscape4 = true;
        else
            list->list[list->n++] = conf_arg(node, i);
    }
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"modern_browser", CONF_HSL, 1, 2, CONF_TWICE, CONF_AT_LOCATION, set_modern,
     CONF_FIELD(struct browser_conf, modern), NULL, NULL, "browser version | unlisted",
     "A browser that is modern from this version on: msie gecko opera safari konqueror."},
    {"ancient_browser",               CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, set_ancient,
     CONF_FIELD(struct browser_conf, ancient), NULL, NULL, "string ...",
     "Words of User-Agent that make a browser ancient; netscape4 is one of its own."},
    {"modern_browser_value",      CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_text,
     CONF_FIELD(struct browser_conf, modern_value), "1", NULL, "string",
     "What $modern_browser is when it is."},
    {"ancient_browser_value",      CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_text,
     CONF_FIELD(struct browser_conf, ancient_value), "1", NULL, "string",
     "What $ancient_browser is when it is."},
    {0        },
};

static const struct web_var variables[] = {
    {"msie",           get_msie, NULL, WEB_VAR_CHANGEABLE, 0},
    {"modern_browser",            get_browser, NULL, WEB_VAR_CHANGEABLE, 1},
    {"ancient_browser",               get_browser, NULL, WEB_VAR_CHANGEABLE, 0},
    {0},
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module browser_module = {
    .conf = {.name = "http_browser",
             .size = {[CONF_AT_LOCATION] = sizeof(struct browser_conf)},
             .rows = rows},
    .variables = variables,
};
