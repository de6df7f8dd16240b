/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many requests at a time, by key: limit_conn_zone, limit_conn, limit_conn_status,
 * limit_conn_log_level, limit_conn_dry_run; $limit_conn_status.
 *
 *     limit_conn_zone $binary_remote_addr zone=addr:10m;
 *     limit_conn addr 2;
 *
 * A count per key in memory that all workers share, and a lease per request that is counted. Leases hang
 * on the process that took them, so what a killed worker held is given back: by its successor when that
 * starts, and by whoever is about to refuse a request.
 *
 *     key node: count <---- lease ----> owner: pid, list of its leases
 */
#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/log.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/os/os.h"
#include "weir/web/web.h"
#include "weir/web/zone_table.h"

#include <errno.h>

#define KEY_MAX      255
#define ZONE_MIN     (32u << 10)
#define OWNERS       256  /* processes that serve at a time, old ones that finish included */
#define LOOK_EACH_MS 1000 /* for the dead, when a limit is reached */

/* ---- configuration ------------------------------------------------------------------------------------ */

enum status {
    STATUS_NONE,
    PASSED,
    REJECTED,
    REJECTED_DRY_RUN
};

/* Both kinds of node lie in one table; a lease has a key that nobody asks for. */
struct conn_node {
    struct zone_node n;
    union {
        uint32_t count; /* of a key */
        struct {        /* of a lease */
            uint32_t of, owner, next, prev;
        };
    };
};

struct owner {
    uint32_t pid; /* 0: free */
    uint32_t leases;
};

struct owners { /* at the head of the zone */
    uint64_t looked_ms, serial;
    struct owner list[OWNERS];
};

struct conn_zone {
    struct conn_zone *next;
    struct web_zone *zone;
    struct web_value key;
    const struct conf_node *node;
    uint32_t owner; /* this process's place + 1; set in the worker */
    uint32_t epoch; /* when it was taken */
};

struct limit {
    struct limit *next;
    const struct web_zone *zone;
    struct conn_zone *of;
    uint32_t most;
    const struct conf_node *node;
};

struct http_conf {
    struct conn_zone *zones;
};

struct location_conf {
    struct limit *limits;
    int64_t status;
    int log_level;
    bool dry_run;
};

/* ---- leases; all under the lock ------------------------------------------------------------------------- */

static struct zone_table *table_of(const struct web_zone *zone)
{
    return zone->memory;
}

static struct owners *owners_of(struct zone_table *t)
{
    return zone_table_extra(t);
}

static struct conn_node *conn_at(struct zone_table *t, uint32_t place)
{
    return (struct conn_node *)(void *)zone_at(t, place);
}

static void lease_end(struct zone_table *t, struct conn_node *lease)
{
    struct owners *o = owners_of(t);
    struct conn_node *node = conn_at(t, lease->of);
    struct conn_node *next = conn_at(t, lease->next), *prev = conn_at(t, lease->prev);
    if (prev)
        prev->next = lease->next;
    else
        o->list[lease->owner].leases = lease->next;
    if (next)
        next->prev = lease->prev;
    zone_remove(t, &lease->n);
    if (node && --node->count == 0)
        zone_remove(t, &node->n);
}

static void owner_end(struct zone_table *t, struct owner *owner)
{
    struct conn_node *lease;
    while ((lease = conn_at(t, owner->leases)) != NULL)
        lease_end(t, lease);
    *owner = (struct owner){0};
}

/* What the dead held. */
static void bury(struct zone_table *t)
{
    struct owners *o = owners_of(t);
    for (unsigned i = 0; i < OWNERS; i++)
        if (o->list[i].pid && wr_os_kill((pid_t)o->list[i].pid, 0) == -ESRCH)
            owner_end(t, &o->list[i]);
}

/* This process's place among the owners, taken anew when the table was emptied. */
static bool be_owner(struct zone_table *t, struct conn_zone *z)
{
    struct owners *o = owners_of(t);
    if (z->owner && z->epoch == zone_epoch(t))
        return true;
    for (unsigned i = 0; i < OWNERS; i++) {
        if (o->list[i].pid)
            continue;
        o->list[i].pid = (uint32_t)wr_os_getpid();
        z->owner = i + 1;
        z->epoch = zone_epoch(t);
        return true;
    }
    return false;
}

static struct conn_node *lease_new(struct zone_table *t, struct conn_zone *z,
                                   struct conn_node *node)
{
    struct owners *o = owners_of(t);
    uint64_t serial = o->serial++;
    struct zone_key key = zone_key(t, wr_span(&serial, sizeof serial));
    key.b ^= 0x6c65617365ull; /* not the hash of anybody's key */
    struct conn_node *lease = (struct conn_node *)(void *)zone_add(t, &key);
    if (!lease)
        return NULL;
    struct owner *owner = &o->list[z->owner - 1];
    struct conn_node *next = conn_at(t, owner->leases);
    lease->of = zone_place(t, &node->n);
    lease->owner = z->owner - 1;
    lease->next = owner->leases;
    owner->leases = zone_place(t, &lease->n);
    if (next)
        next->prev = owner->leases;
    return lease;
}

/* The lease's place; 0: over the limit, or no room. *out_count: how many there are. */
static uint32_t lease_take(struct zone_table *t, struct conn_zone *z,
                           const struct zone_key *key, uint32_t most)
{
    if (!be_owner(t, z))
        return 0;
    struct conn_node *node = (struct conn_node *)(void *)zone_find(t, key);
    if (node && node->count >= most)
        return 0;
    if (!node)
        node = (struct conn_node *)(void *)zone_add(t, key);
    if (!node)
        return 0;
    struct conn_node *lease = lease_new(t, z, node);
    if (!lease && node->count == 0)
        zone_remove(t, &node->n);
    if (!lease)
        return 0;
    node->count++;
    return zone_place(t, &lease->n);
}

/* ---- run time ----------------------------------------------------------------------------------------- */

struct held { /* a request's lease; ends with the request, or before */
    struct held *next;
    struct zone_table *table;
    struct zone_key lease; /* as it was: a place may have got another owner since */
    uint32_t place, epoch;
};

static void release(struct held *h)
{
    struct zone_table *t = h->table;
    (void)zone_lock(t);
    struct conn_node *lease = h->epoch == zone_epoch(t) ? conn_at(t, h->place) : NULL;
    if (lease && lease->n.key.a == h->lease.a && lease->n.key.b == h->lease.b)
        lease_end(t, lease);
    zone_unlock(t);
}

static void on_request_end(void *arg)
{
    release(arg);
}

/* 1: taken; 0: over the limit; negative: refused memory. */
static int take(struct web_req *r, const struct limit *limit, const struct zone_key *key)
{
    struct zone_table *t = table_of(limit->zone);
    struct held *h = wr_arena_zalloc(r->arena, sizeof *h);
    uint64_t now = wr_loop_now_ms(web_loop(r));
    if (!h)
        return -ENOMEM;
    (void)zone_lock(t);
    uint32_t place = lease_take(t, limit->of, key, limit->most);
    if (!place && now - owners_of(t)->looked_ms >= LOOK_EACH_MS) {
        owners_of(t)->looked_ms = now;
        bury(t);
        place = lease_take(t, limit->of, key, limit->most);
    }
    *h = (struct held){.table = t, .place = place, .epoch = zone_epoch(t)};
    if (place)
        h->lease = conn_at(t, place)->n.key;
    zone_unlock(t);
    if (!place)
        return 0;
    int r2 = wr_arena_defer(r->main->arena, on_request_end, h);
    if (r2 < 0)
        release(h);
    return r2 < 0 ? r2 : 1;
}

/* 1: there is one; 0: none, or too long; negative: refused memory. */
static int make_key(struct web_req *r, const struct limit *limit, struct zone_key *out)
{
    struct wr_span text;
    int err = web_value_eval(r, &limit->of->key, &text);
    if (err)
        return err;
    if (text.n > KEY_MAX) {
        web_error(r, WR_LOG_ERROR, 0, "the value of the \"%.*s\" key is more than 255 bytes",
                  WR_SPANF(limit->of->key.text));
        return 0;
    }
    *out = zone_key(table_of(limit->zone), text);
    return text.n > 0;
}

static int refuse(struct web_req *r, const struct location_conf *conf,
                  const struct limit *limit)
{
    web_error(r, conf->log_level, 0, "limiting connections%s by zone \"%.*s\"",
              conf->dry_run ? ", dry run," : "", WR_SPANF(limit->zone->name));
    r->main->limit_conn_status = conf->dry_run ? REJECTED_DRY_RUN : REJECTED;
    return conf->dry_run ? WEB_NEXT : (int)conf->status;
}

/* What a request took before it was refused stays its own until it ends: a moment later. */
static int limit_connections(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, limit_conn);
    if (r->main->limit_conn_status != STATUS_NONE)
        return WEB_NEXT;
    for (const struct limit *limit = conf->limits; limit; limit = limit->next) {
        struct zone_key key;
        int rc = make_key(r, limit, &key);
        if (rc < 0)
            return 500;
        if (rc == 0)
            continue;
        r->main->limit_conn_status = PASSED;
        rc = take(r, limit, &key);
        if (rc < 0)
            return 500;
        if (rc == 0)
            return refuse(r, conf, limit);
    }
    return WEB_NEXT;
}

static bool limit_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_limit_conn];
    return conf->limits != NULL;
}

static int get_status(struct web_req *r, const struct web_var *v, struct wr_span rest,
                      struct web_val *out)
{
    static const struct wr_span names[] = {
        [PASSED] = WR_LIT("PASSED"),
        [REJECTED] = WR_LIT("REJECTED"),
        [REJECTED_DRY_RUN] = WR_LIT("REJECTED_DRY_RUN"),
    };
    unsigned status = r->main->limit_conn_status;
    (void)v;
    (void)rest;
    out->found = status != STATUS_NONE;
    if (out->found)
        out->text = names[status];
    return 0;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static int read_zone(struct conf_load *load, const struct conf_node *node, struct wr_span text,
                     struct wr_span *out_name, uint64_t *out_size)
{
    ptrdiff_t colon = wr_span_find_char(text, ':');
    if (!wr_span_has_prefix(text, WR_LIT("zone=")))
        return conf_fail(load, node, 2, "invalid parameter \"%.*s\"", WR_SPANF(text));
    if (colon <= 5 ||
        conf_read_size(wr_span_sub(text, (size_t)colon + 1, text.n), out_size) < 0)
        return conf_fail(load, node, 2, "invalid zone size \"%.*s\"", WR_SPANF(text));
    if (*out_size < ZONE_MIN)
        return conf_fail(load, node, 2, "zone \"%.*s\" is too small", WR_SPANF(text));
    *out_name = wr_span_sub(text, 5, (size_t)colon - 5);
    return 0;
}

static int set_zone(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    struct conn_zone **list = field, *z = wr_arena_zalloc(load->arena, sizeof *z);
    struct wr_span name;
    uint64_t size;
    (void)row;
    if (!z)
        return -ENOMEM;
    z->node = node;
    int r = web_value_compile(load, node, 1, conf_arg(node, 1), &z->key);
    if (!r)
        r = read_zone(load, node, conf_arg(node, 2), &name, &size);
    if (!r)
        r = web_zone_declare(load, node, 2, name, size, WEB_limit_conn, &z->zone);
    for (struct conn_zone *other = *list; !r && other; other = other->next)
        if (other->zone == z->zone)
            r = conf_fail(load, node, 2,
                          "limit_conn_zone \"%.*s\" is already bound to key \"%.*s\"",
                          WR_SPANF(name), WR_SPANF(other->key.text));
    z->next = *list;
    *list = z;
    return r;
}

static int set_limit(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    struct limit **at = field, *limit = wr_arena_zalloc(load->arena, sizeof *limit);
    struct web_zone *zone;
    uint64_t most;
    (void)row;
    if (!limit)
        return -ENOMEM;
    if (wr_num_parse_between(conf_arg(node, 2), 1, UINT32_MAX, &most) < 0)
        return conf_fail(load, node, 2, "invalid number of connections \"%.*s\"",
                         WR_SPANF(conf_arg(node, 2)));
    if (most > 65535)
        return conf_fail(load, node, 2, "connection limit must be less 65536");
    int r = web_zone_declare(load, node, 1, conf_arg(node, 1), 0, WEB_limit_conn, &zone);
    if (r)
        return r;
    *limit = (struct limit){.zone = zone, .most = (uint32_t)most, .node = node};
    for (; *at; at = &(*at)->next)
        if ((*at)->zone == zone)
            return conf_fail(load, node, 0, "is duplicate");
    *at = limit;
    return 0;
}

/* ---- when all is known ------------------------------------------------------------------------------------ */

static int lay_out(struct conf_load *load, const struct conn_zone *z)
{
    if (!z->zone->fresh)
        return zone_table_agrees(z->zone->memory, z->key.text)
                   ? 0
                   : conf_fail(
                         load, z->node, 1,
                         "limit_conn_zone \"%.*s\" uses the \"%.*s\" key while previously it "
                         "used another one",
                         WR_SPANF(z->zone->name), WR_SPANF(z->key.text));
    return zone_table_init(z->zone->memory, z->zone->size, sizeof(struct conn_node),
                           sizeof(struct owners), z->key.text);
}

static int bind_limit(struct conf_load *load, const struct http_conf *http, struct limit *limit)
{
    struct conn_zone *z = http->zones;
    while (z && z->zone != limit->zone)
        z = z->next;
    if (!z)
        return conf_fail(load, limit->node, 1, "unknown limit_conn_zone \"%.*s\"",
                         WR_SPANF(limit->zone->name));
    limit->of = z;
    return 0;
}

static int ready(struct conf_load *load, struct web_generation *g)
{
    const struct http_conf *http = web_generation_main(g, WEB_limit_conn);
    const struct web_location *l;
    uint32_t cursor = 0;
    int r = 0;
    for (const struct conn_zone *z = http ? http->zones : NULL; !r && z; z = z->next)
        r = lay_out(load, z);
    while (!r && (l = web_location_next(g, &cursor)) != NULL) {
        const struct location_conf *conf = l->conf[WEB_limit_conn];
        for (struct limit *limit = conf->limits; !r && limit; limit = limit->next)
            r = bind_limit(load, http, limit);
    }
    return r;
}

/* A new worker may follow one that was killed. */
static int start(struct web_worker *w, struct web_generation *g)
{
    const struct http_conf *http = web_generation_main(g, WEB_limit_conn);
    (void)w;
    for (struct conn_zone *z = http ? http->zones : NULL; z; z = z->next) {
        struct zone_table *t = table_of(z->zone);
        (void)zone_lock(t);
        bury(t);
        z->owner = 0;
        zone_unlock(t);
    }
    return 0;
}

/* Its requests have ended; what is left of its leases goes with it. */
static void stop(struct web_worker *w, struct web_generation *g)
{
    const struct http_conf *http = web_generation_main(g, WEB_limit_conn);
    (void)w;
    for (struct conn_zone *z = http ? http->zones : NULL; z; z = z->next) {
        struct zone_table *t = table_of(z->zone);
        (void)zone_lock(t);
        if (z->owner && z->epoch == zone_epoch(t))
            owner_end(t, &owners_of(t)->list[z->owner - 1]);
        z->owner = 0;
        zone_unlock(t);
    }
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
    {"limit_conn_zone", CONF_HTTP, 2, 2, CONF_TWICE, CONF_AT_HTTP, set_zone,
     CONF_FIELD(struct http_conf, zones), NULL, NULL, "key zone=name:size",
     "Shared memory that counts requests under way by key."},
    {"limit_conn",                CONF_HSL, 2, 2, CONF_TWICE, CONF_AT_LOCATION, set_limit,
     CONF_FIELD(struct location_conf, limits), NULL, NULL, "zone number",
     "Refuses more requests at a time than that for a key."},
    {"limit_conn_status",       CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_num,
     CONF_FIELD(struct location_conf, status), "503", &statuses, "code",
     "The status of a refusal."},
    {"limit_conn_log_level",         CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct location_conf, log_level), "error", log_levels,
     "info | notice | warn | error", "The log level of refusals."},
    {"limit_conn_dry_run",           CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct location_conf, dry_run), "off", NULL, "on | off",
     "Counts and logs, but refuses nothing."},
    {0            },
};

static const struct web_phase_row phases[] = {
    {WEB_PRE_ACCESS, limit_connections, limit_wanted},
    {0 },
};

static const struct web_var variables[] = {
    {"limit_conn_status", get_status, NULL, WEB_VAR_NO_CACHE, 0},
    {0              },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module limit_conn_module = {
    .conf = {.name = "http_limit_conn",
             .size = {[CONF_AT_HTTP] = sizeof(struct http_conf),
                      [CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
    .variables = variables,
    .ready = ready,
    .start = start,
    .stop = stop,
};
