/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module encoding: gzip_vary, gzip_http_version, gzip_proxied, gzip_disable.
 */

#include "weir/web/encoding.h"
#include "weir/web/vars.h"

#include "libweir/base/err.h"
#include "libweir/http/date.h"
#include "libweir/http/token.h"

#include <errno.h>
#include <string.h>

struct encoding_disable {
    struct web_regex **list;
    uint32_t n;
    bool msie6;
};

struct encoding_location {
    bool vary;
    int http_minor;
    uint32_t proxied;
    struct encoding_disable disable;
};

enum {
    PROXIED_OFF = 1,
    PROXIED_EXPIRED = 2,
    PROXIED_NO_CACHE = 4,
    PROXIED_NO_STORE = 8,
    PROXIED_PRIVATE = 16,
    PROXIED_NO_LAST_MODIFIED = 32,
    PROXIED_NO_ETAG = 64,
    PROXIED_AUTH = 128,
    PROXIED_ANY = 256,
};

/* ---- types ------------------------------------------------------------------------------------------ */

static int types_add(struct conf_load *load, struct web_types *set, struct wr_span type,
                     struct wr_span *room)
{
    char *low = wr_arena_strndup(load->arena, type.p, type.n);
    if (!low)
        return -ENOMEM;
    for (size_t i = 0; i < type.n; i++)
        low[i] = wr_ascii_lower(low[i]);
    struct wr_span s = wr_span(low, type.n);
    for (uint32_t i = 0; i < set->n; i++)
        if (wr_span_eq(set->list[i], s))
            return 0;
    room[set->n++] = s;
    return 0;
}

int web_set_types(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    struct web_types *set = field;
    struct wr_span *room =
        wr_arena_alloc(load->arena, (set->n + node->nwords + 1) * sizeof *room);
    if (!room)
        return -ENOMEM;
    if (set->n)
        memcpy(room, set->list, set->n * sizeof *room);
    set->list = room;
    if (row->data && set->n == 0 && types_add(load, set, wr_span_str(row->data), room))
        return -ENOMEM;
    for (uint32_t i = 1; i < node->nwords; i++) {
        if (wr_span_eq(conf_arg(node, i), WR_LIT("*"))) {
            set->any = true;
            continue;
        }
        uint32_t before = set->n;
        if (types_add(load, set, conf_arg(node, i), room))
            return -ENOMEM;
        if (set->n == before)
            conf_warn(load, node, i, "duplicate MIME type \"%s\"", conf_str(node, i));
    }
    return 0;
}

bool web_types_has(const struct web_types *types, struct wr_span type)
{
    if (type.n == 0)
        return false;
    if (types->any)
        return true;
    for (uint32_t i = 0; i < types->n; i++)
        if (types->list[i].n == type.n && wr_span_ieq(types->list[i], type))
            return true;
    return false;
}

/* ---- what the client takes -------------------------------------------------------------------------- */

/* qvalue of RFC 9110: 0 to 1 with at most three digits behind the point, and more than nothing. */
static bool weighs(struct wr_span q)
{
    bool some = q.n && q.p[0] == '1';
    if (q.n < 1 || q.n > 5 || (q.p[0] != '0' && q.p[0] != '1') || (q.n > 1 && q.p[1] != '.'))
        return false;
    for (size_t i = 2; i < q.n; i++) {
        if (q.p[i] < '0' || q.p[i] > (q.p[0] == '1' ? '0' : '9'))
            return false;
        some |= q.p[i] > '0';
    }
    return some;
}

/* "gzip;q=0.5": the element's name, and whether its weight is above nothing. */
static bool element_is(struct wr_span element, struct wr_span coding, bool *out_wanted)
{
    const char *semicolon = memchr(element.p, ';', element.n);
    struct wr_span name = element;
    if (semicolon)
        name.n = (size_t)(semicolon - element.p);
    while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
        name.n--;
    if (!wr_span_ieq(name, coding))
        return false;
    *out_wanted = true;
    if (!semicolon)
        return true;
    struct wr_span rest = wr_span_sub(element, (size_t)(semicolon - element.p), SIZE_MAX), key,
                   value;
    int rc;
    while ((rc = wr_param_next(&rest, &key, &value)) == 1)
        if (wr_span_ieq(key, WR_LIT("q")))
            *out_wanted = weighs(value);
    *out_wanted &= rc == 0;
    return true;
}

static bool client_takes(const struct web_req *r, struct wr_span coding)
{
    struct wr_span rest = wr_head_get(r->head, WR_H_ACCEPT_ENCODING), element;
    bool wanted = false;
    while (rest.n && wr_list_next(&rest, &element) == 1)
        if (element_is(element, coding, &wanted))
            return wanted;
    return false;
}

static bool cache_control_has(const struct web_req *r, struct wr_span token)
{
    for (const struct web_header *h = r->out.headers; h; h = h->next) {
        if (!h->value.p || !wr_span_ieq(h->name, WR_LIT("Cache-Control")))
            continue;
        struct wr_span rest = h->value, element;
        while (wr_list_next(&rest, &element) == 1) {
            const char *eq = memchr(element.p, '=', element.n);
            if (eq)
                element.n = (size_t)(eq - element.p);
            if (wr_span_ieq(element, token))
                return true;
        }
    }
    return false;
}

static bool has_expired(struct web_req *r)
{
    const struct web_header *h = web_header_find(&r->out, WR_LIT("Expires"));
    int64_t now_s = (int64_t)(wr_loop_wall_ns(web_loop(r)) / 1000000000), expires = 0;
    return h && (wr_date_parse(h->value, now_s, &expires) != 0 || expires <= now_s);
}

static bool proxied_allows(struct web_req *r, uint32_t rules)
{
    if (rules & PROXIED_ANY)
        return true;
    if (rules & PROXIED_OFF)
        return false;
    if (wr_head_has(r->head, WR_H_AUTHORIZATION) && rules & PROXIED_AUTH)
        return true;
    bool has_expires = web_header_find(&r->out, WR_LIT("Expires")) != NULL;
    if (has_expires)
        return rules & PROXIED_EXPIRED && has_expired(r);
    if (web_header_find(&r->out, WR_LIT("Cache-Control")))
        return (rules & PROXIED_NO_CACHE && cache_control_has(r, WR_LIT("no-cache"))) ||
               (rules & PROXIED_NO_STORE && cache_control_has(r, WR_LIT("no-store"))) ||
               (rules & PROXIED_PRIVATE && cache_control_has(r, WR_LIT("private")));
    return !(rules & PROXIED_NO_LAST_MODIFIED && r->out.last_modified >= 0) &&
           !(rules & PROXIED_NO_ETAG && r->out.etag.n);
}

/* "MSIE 4." to "MSIE 6." without SV1: older than the one that can. */
static bool is_old_msie(struct wr_span agent)
{
    const char *at = agent.n ? memmem(agent.p, agent.n, "MSIE ", 5) : NULL;
    if (!at || agent.p + agent.n - at < 7 || at[6] != '.')
        return false;
    if (at[5] == '4' || at[5] == '5')
        return true;
    return at[5] == '6' && !memmem(at, (size_t)(agent.p + agent.n - at), "SV1", 3);
}

static bool agent_is_disabled(struct web_req *r, const struct encoding_disable *disable)
{
    struct wr_span agent = wr_head_get(r->head, WR_H_USER_AGENT);
    if (!agent.p || (!disable->n && !disable->msie6))
        return false;
    if (disable->msie6 && is_old_msie(agent))
        return true;
    bool found = false;
    for (uint32_t i = 0; i < disable->n && !found; i++)
        found = web_regex_test(disable->list[i], agent) == 1;
    return found;
}

bool web_encoding_accepted(struct web_req *r, struct wr_span coding)
{
    const struct encoding_location *conf = web_location_conf(r, encoding);
    if (!wr_head_has(r->head, WR_H_ACCEPT_ENCODING) || r != r->main)
        return false;
    if (r->head->minor < conf->http_minor || !client_takes(r, coding))
        return false;
    if (wr_head_has(r->head, WR_H_VIA) && !proxied_allows(r, conf->proxied))
        return false;
    return !agent_is_disabled(r, &conf->disable);
}

bool web_encoding_varies(const struct web_req *r)
{
    const struct encoding_location *conf = web_location_conf(r, encoding);
    return conf->vary;
}

int web_encoding_vary(struct web_req *r)
{
    if (!web_encoding_varies(r))
        return 0;
    const struct web_header *h = web_header_find(&r->out, WR_LIT("Vary"));
    if (h && wr_token_list_has(h->value, WR_LIT("Accept-Encoding")) == 1)
        return 0;
    return web_header_add(r, WR_LIT("Vary"), WR_LIT("Accept-Encoding"));
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static int set_disable(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)row;
    struct encoding_disable *d = field;
    struct web_regex **list =
        wr_arena_alloc(load->arena, (d->n + node->nwords) * sizeof(struct web_regex *));
    if (!list)
        return -ENOMEM;
    for (uint32_t i = 0; i < d->n; i++)
        list[i] = d->list[i];
    d->list = list;
    for (uint32_t i = 1; i < node->nwords; i++) {
        if (wr_span_eq(conf_arg(node, i), WR_LIT("msie6"))) {
            d->msie6 = true;
            continue;
        }
        int rc = web_regex_compile(load, node, i, conf_arg(node, i), true, &list[d->n]);
        if (rc)
            return rc;
        d->n++;
    }
    return 0;
}

static const struct conf_enum http_versions[] = {
    {"1.0", 0},
    {"1.1", 1},
    {NULL,  0}
};
static const struct conf_enum proxied_rules[] = {
    {"off",              PROXIED_OFF             },
    {"expired",          PROXIED_EXPIRED         },
    {"no-cache",         PROXIED_NO_CACHE        },
    {"no-store",         PROXIED_NO_STORE        },
    {"private",          PROXIED_PRIVATE         },
    {"no_last_modified", PROXIED_NO_LAST_MODIFIED},
    {"no_etag",          PROXIED_NO_ETAG         },
    {"auth",             PROXIED_AUTH            },
    {"any",              PROXIED_ANY             },
    {NULL,               0                       }
};

static const struct conf_row rows[] = {
    {"gzip_vary",    CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct encoding_location, vary), "off", NULL, "on | off",
     "Adds Vary: Accept-Encoding to answers that depend on it."},
    {"gzip_http_version",             CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct encoding_location, http_minor), "1.1", http_versions, "1.0 | 1.1",
     "The lowest version of a request that is answered compressed."},
    {"gzip_proxied",             CONF_HSL, 1, CONF_MANY, 0, CONF_AT_LOCATION, conf_set_bits,
     CONF_FIELD(struct encoding_location, proxied), "off", proxied_rules,
     "off | expired | no-cache | no-store | private | no_last_modified | no_etag | auth | any "
     "...", "Which answers are compressed for requests that come through a proxy (with a Via field)."},
    {"gzip_disable", CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, set_disable,
     CONF_FIELD(struct encoding_location, disable), NULL, NULL, "regex ...",
     "Clients whose User-Agent matches are answered uncompressed; msie6 is a ready name."},
    {0        },
};

const struct web_module encoding_module = {
    .conf = {.name = "http_encoding",
             .size = {[CONF_AT_LOCATION] = sizeof(struct encoding_location)},
             .rows = rows},
};
