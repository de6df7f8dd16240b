/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many requests a second, by key: limit_req_zone, limit_req, limit_req_status, limit_req_log_level,
 * limit_req_dry_run; $limit_req_status.
 *
 *     limit_req_zone $binary_remote_addr zone=one:10m rate=1r/s;
 *     limit_req zone=one burst=5 nodelay;
 *
 * A leaky bucket per key (leaky.h) in memory that all workers share. A request asks the bucket of each of
 * its limits, then pours into all of them: one that is refused by the last limit costs nothing in the
 * others. What is over the burst is refused, what is over `delay` waits. When a zone is full the key that
 * was used longest ago makes room; each new key also forgets up to two that have been idle for a minute.
 */
#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/log.h"
#include "libweir/io/loop.h"
#include "weir/access/delay.h"
#include "weir/access/leaky.h"
#include "weir/web/web.h"
#include "weir/web/zone_table.h"

#include <errno.h>

#define KEY_MAX  65535
#define ZONE_MIN (32u << 10)

/* ---- configuration ------------------------------------------------------------------------------------ */

enum status {
    STATUS_NONE,
    PASSED,
    DELAYED,
    REJECTED,
    DELAYED_DRY_RUN,
    REJECTED_DRY_RUN
};

struct bucket_node {
    struct zone_node n;
    struct leaky leaky;
};

struct req_zone {
    struct req_zone *next;
    struct web_zone *zone;
    struct web_value key;
    uint32_t rate;
    const struct conf_node *node;
};

struct limit {
    struct limit *next;
    const struct web_zone *zone;
    const struct req_zone *of; /* found when all is known */
    struct leaky_rule rule;
    uint32_t delay;
    bool nodelay;
    const struct conf_node *node;
};

struct http_conf {
    struct req_zone *zones;
};

struct location_conf {
    struct limit *limits;
    int64_t status;
    int log_level;
    bool dry_run;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

struct asked { /* one limit of a request */
    const struct limit *limit;
    struct zone_key key;
    uint32_t excess;
};

static struct zone_table *table_of(const struct limit *limit)
{
    return limit->zone->memory;
}

/* Up to two that have long been empty go with each new one; the oldest when there is no room. */
static void make_room(struct zone_table *t, const struct leaky_rule *rule, uint64_t now)
{
    for (int i = 0; i < 2; i++) {
        struct zone_node *old = zone_oldest(t);
        if (!old || !leaky_idle(&((struct bucket_node *)(void *)old)->leaky, rule, now))
            return;
        zone_remove(t, old);
    }
}

static struct bucket_node *new_bucket(struct zone_table *t, const struct limit *limit,
                                      const struct zone_key *key, uint64_t now)
{
    make_room(t, &limit->rule, now);
    struct zone_node *n = zone_add(t, key);
    if (!n) {
        zone_remove(t, zone_oldest(t));
        n = zone_add(t, key);
    }
    if (n)
        leaky_init(&((struct bucket_node *)(void *)n)->leaky, now);
    return (struct bucket_node *)(void *)n;
}

/* What the bucket would hold; a new one holds nothing. pour: and from now on it does. */
static void ask(struct asked *a, bool pour, uint64_t now)
{
    const struct limit *limit = a->limit;
    struct zone_table *t = table_of(limit);
    (void)zone_lock(t);
    struct bucket_node *b = (struct bucket_node *)(void *)zone_find(t, &a->key);
    if (b)
        a->excess = leaky_ask(&b->leaky, &limit->rule, now);
    else if (pour)
        (void)!new_bucket(t, limit, &a->key, now);
    if (b && pour && a->excess <= limit->rule.burst)
        leaky_pour(&b->leaky, a->excess, now);
    zone_unlock(t);
}

/* 1: it counts; 0: it does not (no key, or one too long). */
static int make_key(struct web_req *r, const struct limit *limit, struct asked *out)
{
    struct wr_span text;
    *out = (struct asked){.limit = limit};
    int err = web_value_eval(r, &limit->of->key, &text);
    if (err)
        return err;
    if (text.n > KEY_MAX) {
        web_error(r, WR_LOG_ERROR, 0, "the value of the \"%.*s\" key is more than 65535 bytes",
                  WR_SPANF(limit->of->key.text));
        return 0;
    }
    out->key = zone_key(table_of(limit), text);
    return text.n > 0;
}

static void tell(struct web_req *r, const struct location_conf *conf, const struct asked *a,
                 bool refused)
{
    /* A delay is worth a level less than a refusal. */
    int level = refused ? conf->log_level : conf->log_level - 1;
    const char *dry = conf->dry_run ? ", dry run" : "";
    struct wr_span zone = a->limit->zone->name;
    if (refused)
        web_error(r, level, 0, "limiting requests%s, excess: %u.%03u by zone \"%.*s\"", dry,
                  a->excess / 1000, a->excess % 1000, WR_SPANF(zone));
    else
        web_error(r, level, 0, "delaying request%s, excess: %u.%03u, by zone \"%.*s\"", dry,
                  a->excess / 1000, a->excess % 1000, WR_SPANF(zone));
}

static int refuse(struct web_req *r, const struct location_conf *conf, const struct asked *a)
{
    tell(r, conf, a, true);
    r->main->limit_req_status = conf->dry_run ? REJECTED_DRY_RUN : REJECTED;
    return conf->dry_run ? WEB_NEXT : (int)conf->status;
}

static int hold(struct web_req *r, const struct location_conf *conf, const struct asked *a,
                uint64_t ms)
{
    tell(r, conf, a, false);
    r->main->limit_req_status = conf->dry_run ? DELAYED_DRY_RUN : DELAYED;
    return conf->dry_run ? WEB_NEXT : access_delay(r, ms, WEB_NEXT);
}

static uint64_t wait_of(const struct asked *a)
{
    if (a->limit->nodelay)
        return 0;
    return leaky_wait_ms(a->excess, a->limit->delay, a->limit->rule.rate);
}

/* Asks all, so that a refusal by one costs nothing in the others. 0, or what the request ends with. */
static int ask_all(struct web_req *r, const struct location_conf *conf, struct asked *asked,
                   uint32_t *out_n, uint64_t now)
{
    uint32_t n = 0;
    for (const struct limit *l = conf->limits; l; l = l->next) {
        int counts = make_key(r, l, &asked[n]);
        if (counts < 0)
            return 500;
        if (!counts)
            continue;
        bool only = !conf->limits->next;
        ask(&asked[n], only, now);
        if (asked[n].excess > l->rule.burst)
            return refuse(r, conf, &asked[n]);
        n++;
    }
    *out_n = n;
    return 0;
}

static int limit_requests(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, limit_req);
    uint64_t now = wr_loop_now_ms(web_loop(r)), longest = 0;
    uint32_t n = 0, room = 0;
    if (r->main->limit_req_status != STATUS_NONE)
        return WEB_NEXT;
    for (const struct limit *l = conf->limits; l; l = l->next)
        room++;
    struct asked one, *asked = room == 1 ? &one : wr_arena_alloc(r->arena, room * sizeof one);
    if (!asked)
        return 500;
    const struct asked *slowest = asked;
    int rc = ask_all(r, conf, asked, &n, now);
    if (rc || n == 0)
        return rc ? rc : WEB_NEXT;
    for (uint32_t i = 0; i < n; i++) {
        if (room > 1)
            ask(&asked[i], true, now);
        uint64_t ms = wait_of(&asked[i]);
        if (ms > longest) {
            longest = ms;
            slowest = &asked[i];
        }
    }
    if (longest)
        return hold(r, conf, slowest, longest);
    r->main->limit_req_status = PASSED;
    return WEB_NEXT;
}

static bool limit_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_limit_req];
    return conf->limits != NULL;
}

static int get_status(struct web_req *r, const struct web_var *v, struct wr_span rest,
                      struct web_val *out)
{
    static const struct wr_span names[] = {
        [PASSED] = WR_LIT("PASSED"),
        [DELAYED] = WR_LIT("DELAYED"),
        [REJECTED] = WR_LIT("REJECTED"),
        [DELAYED_DRY_RUN] = WR_LIT("DELAYED_DRY_RUN"),
        [REJECTED_DRY_RUN] = WR_LIT("REJECTED_DRY_RUN"),
    };
    unsigned status = r->main->limit_req_status;
    (void)v;
    (void)rest;
    out->found = status != STATUS_NONE;
    if (out->found)
        out->text = names[status];
    return 0;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

/* "zone=NAME:SIZE" behind its '='. */
static int read_zone(struct conf_load *load, const struct conf_node *node, uint32_t word,
                     struct wr_span text, struct wr_span *out_name, uint64_t *out_size)
{
    ptrdiff_t colon = wr_span_find_char(text, ':');
    struct wr_span size = wr_span_sub(text, colon < 0 ? text.n : (size_t)colon + 1, text.n);
    if (colon <= 0 || conf_read_size(size, out_size) < 0)
        return conf_fail(load, node, word, "invalid zone size \"%.*s\"",
                         WR_SPANF(conf_arg(node, word)));
    *out_name = wr_span_sub(text, 0, (size_t)colon);
    if (*out_size < ZONE_MIN)
        return conf_fail(load, node, word, "zone \"%.*s\" is too small",
                         WR_SPANF(conf_arg(node, word)));
    return 0;
}

/* "10r/s", "30r/m" as thousandths a second. */
static int read_rate(struct wr_span text, uint32_t *out)
{
    uint64_t n, scale = 1;
    if (wr_span_has_suffix(text, WR_LIT("r/m")))
        scale = 60;
    else if (!wr_span_has_suffix(text, WR_LIT("r/s")))
        return WR_E_SYNTAX;
    if (wr_num_parse_between(wr_span_sub(text, 0, text.n - 3), 1, 1000000, &n) < 0)
        return WR_E_SYNTAX;
    *out = (uint32_t)(n * 1000 / scale);
    return *out ? 0 : WR_E_SYNTAX;
}

static int set_zone(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    struct req_zone **list = field, *z = wr_arena_zalloc(load->arena, sizeof *z);
    struct wr_span name = {0};
    uint64_t size = 0;
    uint32_t at = 0;
    (void)row;
    if (!z)
        return -ENOMEM;
    z->node = node;
    z->rate = 1000;
    int r = web_value_compile(load, node, 1, conf_arg(node, 1), &z->key);
    for (uint32_t i = 2; !r && i < node->nwords; i++) {
        struct wr_span text = conf_arg(node, i);
        if (wr_span_has_prefix(text, WR_LIT("zone="))) {
            r = read_zone(load, node, at = i, wr_span_sub(text, 5, text.n), &name, &size);
        } else if (wr_span_has_prefix(text, WR_LIT("rate="))) {
            if (read_rate(wr_span_sub(text, 5, text.n), &z->rate) < 0)
                r = conf_fail(load, node, i, "invalid rate \"%.*s\"", WR_SPANF(text));
        } else if (wr_span_eq(text, WR_LIT("sync"))) {
            r = conf_fail(load, node, i, "zones are not synchronised between machines");
        } else {
            r = conf_fail(load, node, i, "invalid parameter \"%.*s\"", WR_SPANF(text));
        }
    }
    if (!r && !name.n)
        r = conf_fail(load, node, 0, "\"limit_req_zone\" must have \"zone\" parameter");
    if (!r)
        r = web_zone_declare(load, node, at, name, size, WEB_limit_req, &z->zone);
    for (struct req_zone *other = *list; !r && other; other = other->next)
        if (other->zone == z->zone)
            r = conf_fail(load, node, at,
                          "limit_req_zone \"%.*s\" is already bound to key \"%.*s\"",
                          WR_SPANF(name), WR_SPANF(other->key.text));
    z->next = *list;
    *list = z;
    return r;
}

static int set_limit_option(struct conf_load *load, const struct conf_node *node, uint32_t i,
                            struct limit *limit)
{
    struct wr_span text = conf_arg(node, i);
    uint64_t n;
    if (wr_span_has_prefix(text, WR_LIT("burst="))) {
        if (wr_num_parse_between(wr_span_sub(text, 6, text.n), 1, 4000000, &n) < 0)
            return conf_fail(load, node, i, "invalid burst value \"%.*s\"", WR_SPANF(text));
        limit->rule.burst = (uint32_t)n * 1000;
        return 0;
    }
    if (wr_span_has_prefix(text, WR_LIT("delay="))) {
        if (wr_num_parse_between(wr_span_sub(text, 6, text.n), 1, 4000000, &n) < 0)
            return conf_fail(load, node, i, "invalid delay value \"%.*s\"", WR_SPANF(text));
        limit->delay = (uint32_t)n * 1000;
        return 0;
    }
    if (wr_span_eq(text, WR_LIT("nodelay"))) {
        limit->nodelay = true;
        return 0;
    }
    return conf_fail(load, node, i, "invalid parameter \"%.*s\"", WR_SPANF(text));
}

static int set_limit(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    struct limit **at = field, *limit = wr_arena_zalloc(load->arena, sizeof *limit);
    struct web_zone *zone = NULL;
    int r = 0;
    (void)row;
    if (!limit)
        return -ENOMEM;
    limit->node = node;
    for (uint32_t i = 1; !r && i < node->nwords; i++) {
        struct wr_span text = conf_arg(node, i);
        if (wr_span_has_prefix(text, WR_LIT("zone=")))
            r = web_zone_declare(load, node, i, wr_span_sub(text, 5, text.n), 0, WEB_limit_req,
                                 &zone);
        else
            r = set_limit_option(load, node, i, limit);
    }
    if (!r && !zone)
        r = conf_fail(load, node, 0, "\"limit_req\" must have \"zone\" parameter");
    for (; !r && *at; at = &(*at)->next)
        if ((*at)->zone == zone)
            r = conf_fail(load, node, 0, "is duplicate");
    limit->zone = zone;
    *at = limit;
    return r;
}

/* ---- when all is known ------------------------------------------------------------------------------------ */

static int lay_out(struct conf_load *load, const struct req_zone *z)
{
    if (!z->zone->fresh)
        return zone_table_agrees(z->zone->memory, z->key.text)
                   ? 0
                   : conf_fail(
                         load, z->node, 1,
                         "limit_req \"%.*s\" uses the \"%.*s\" key while previously it used "
                         "another one",
                         WR_SPANF(z->zone->name), WR_SPANF(z->key.text));
    return zone_table_init(z->zone->memory, z->zone->size, sizeof(struct bucket_node), 0,
                           z->key.text);
}

static int bind_limit(struct conf_load *load, const struct http_conf *http, struct limit *limit)
{
    const struct req_zone *z = http->zones;
    while (z && z->zone != limit->zone)
        z = z->next;
    if (!z)
        return conf_fail(load, limit->node, 0, "unknown limit_req_zone \"%.*s\"",
                         WR_SPANF(limit->zone->name));
    limit->of = z;
    limit->rule.rate = z->rate;
    return 0;
}

static int ready(struct conf_load *load, struct web_generation *g)
{
    const struct http_conf *http = web_generation_main(g, WEB_limit_req);
    const struct web_location *l;
    uint32_t cursor = 0;
    int r = 0;
    for (const struct req_zone *z = http ? http->zones : NULL; !r && z; z = z->next)
        r = lay_out(load, z);
    while (!r && (l = web_location_next(g, &cursor)) != NULL) {
        const struct location_conf *conf = l->conf[WEB_limit_req];
        for (struct limit *limit = conf->limits; !r && limit; limit = limit->next)
            r = bind_limit(load, http, limit);
    }
    return r;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_enum log_levels[] = {
    {"info",         WR_LOG_INFO},
    {"notice",              WR_LOG_NOTICE},
    {"warn",WR_LOG_WARN},
    {"error",         WR_LOG_ERROR},
    {0             },
};
static const struct conf_range statuses = {400, 599};

static const struct conf_row rows[] = {
    {"limit_req_zone", CONF_HTTP, 3, 4, CONF_TWICE, CONF_AT_HTTP, set_zone,
     CONF_FIELD(struct http_conf, zones), NULL, NULL, "key zone=name:size rate=rate",
     "Shared memory that counts requests by key."},
    {"limit_req",               CONF_HSL, 1, 3, CONF_TWICE, CONF_AT_LOCATION, set_limit,
     CONF_FIELD(struct location_conf, limits), NULL, NULL,
     "zone=name [burst=number] [nodelay | delay=number]", "Delays or refuses requests beyond a zone's rate."},
    {"limit_req_status",      CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_num,
     CONF_FIELD(struct location_conf, status), "503", &statuses, "code",
     "The status of a refusal."},
    {"limit_req_log_level",        CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct location_conf, log_level), "error", log_levels,
     "info | notice | warn | error", "The log level of refusals; delays are one lower."},
    {"limit_req_dry_run",          CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct location_conf, dry_run), "off", NULL, "on | off",
     "Counts and logs, but neither delays nor refuses."},
    {0           },
};

static const struct web_phase_row phases[] = {
    {WEB_PRE_ACCESS, limit_requests, limit_wanted},
    {0 },
};

static const struct web_var variables[] = {
    {"limit_req_status", get_status, NULL, WEB_VAR_NO_CACHE, 0},
    {0             },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module limit_req_module = {
    .conf = {.name = "http_limit_req",
             .size = {[CONF_AT_HTTP] = sizeof(struct http_conf),
                      [CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
    .variables = variables,
    .ready = ready,
};
