/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/zone_table.h"

#include "libweir/base/hash.h"
#include "libweir/os/os.h"
#include "weir/web/web.h"

#include <errno.h>

struct zone_table {
    uint32_t lock, epoch;
    uint32_t nodes, buckets; /* buckets: a power of two */
    uint32_t node_size, nodes_at, buckets_at, extra_at;
    uint32_t free, newest, oldest, count, fresh_from; /* places from there on were never used */
    uint32_t extra;
    struct wr_hash_key secret[2];
    struct zone_key tag;
};

static struct zone_node *node_at(struct zone_table *t, uint32_t place)
{
    return (struct zone_node *)(void *)((char *)t + t->nodes_at +
                                        (uint64_t)(place - 1) * t->node_size);
}

static uint32_t *bucket_of(struct zone_table *t, const struct zone_key *key)
{
    return (uint32_t *)(void *)((char *)t + t->buckets_at) + (key->a & (t->buckets - 1));
}

static void empty(struct zone_table *t)
{
    memset((char *)t + t->buckets_at, 0, t->buckets * sizeof(uint32_t));
    memset((char *)t + t->extra_at, 0, t->extra);
    t->free = t->newest = t->oldest = t->count = 0;
    t->fresh_from = 1;
    t->epoch++;
}

static struct zone_key key_of(const struct wr_hash_key secret[2], struct wr_span text)
{
    return (struct zone_key){wr_hash_span(secret[0], text), wr_hash_span(secret[1], text)};
}

int zone_table_init(void *memory, uint64_t size, uint32_t node_size, uint32_t extra,
                    struct wr_span tag)
{
    struct zone_table *t = memory;
    uint64_t head = (sizeof *t + 15) & ~15ull, extra_size = (extra + 15) & ~15ull;
    node_size = (node_size + 15) & ~15u;
    if (size < head + extra_size + node_size + 8)
        return -ENOSPC;
    if (size > UINT32_MAX)
        size = UINT32_MAX;
    uint64_t room = size - head - extra_size, buckets = 1;
    while (buckets * 2 * (sizeof(uint32_t) + node_size) <= room)
        buckets *= 2;
    uint64_t table = (buckets * sizeof(uint32_t) + 15) & ~15ull;
    *t = (struct zone_table){
        .nodes = (uint32_t)((room - table) / node_size),
        .buckets = (uint32_t)buckets,
        .node_size = node_size,
        .extra_at = (uint32_t)head,
        .extra = extra,
        .buckets_at = (uint32_t)(head + extra_size),
        .nodes_at = (uint32_t)(head + extra_size + table),
    };
    int r = wr_os_random(t->secret, sizeof t->secret);
    if (r < 0)
        return r;
    t->tag = key_of(t->secret, tag);
    empty(t);
    return t->nodes ? 0 : -ENOSPC;
}

bool zone_table_agrees(const void *memory, struct wr_span tag)
{
    const struct zone_table *t = memory;
    struct zone_key key = key_of(t->secret, tag);
    return key.a == t->tag.a && key.b == t->tag.b;
}

void *zone_table_extra(struct zone_table *t)
{
    return (char *)t + t->extra_at;
}

struct zone_key zone_key(const struct zone_table *t, struct wr_span text)
{
    return key_of(t->secret, text);
}

bool zone_lock(struct zone_table *t)
{
    bool broken = web_zone_lock(&t->lock);
    if (broken)
        empty(t);
    return broken;
}

void zone_unlock(struct zone_table *t)
{
    web_zone_unlock(&t->lock);
}

uint32_t zone_epoch(const struct zone_table *t)
{
    return t->epoch;
}

/* ---- the order of use ------------------------------------------------------------------------------------- */

uint32_t zone_place(const struct zone_table *t, const struct zone_node *node)
{
    uint64_t at = (uint64_t)((const char *)node - (const char *)t) - t->nodes_at;
    return (uint32_t)(at / t->node_size) + 1;
}

static void order_remove(struct zone_table *t, struct zone_node *n)
{
    *(n->newer ? &node_at(t, n->newer)->older : &t->newest) = n->older;
    *(n->older ? &node_at(t, n->older)->newer : &t->oldest) = n->newer;
}

static void order_add(struct zone_table *t, struct zone_node *n, uint32_t place)
{
    n->newer = 0;
    n->older = t->newest;
    *(t->newest ? &node_at(t, t->newest)->newer : &t->oldest) = place;
    t->newest = place;
}

struct zone_node *zone_oldest(struct zone_table *t)
{
    return t->oldest ? node_at(t, t->oldest) : NULL;
}

/* ---- by key ------------------------------------------------------------------------------------------------- */

struct zone_node *zone_find(struct zone_table *t, const struct zone_key *key)
{
    for (uint32_t at = *bucket_of(t, key); at; at = node_at(t, at)->next) {
        struct zone_node *n = node_at(t, at);
        if (n->key.a != key->a || n->key.b != key->b)
            continue;
        if (t->newest != at) {
            order_remove(t, n);
            order_add(t, n, at);
        }
        return n;
    }
    return NULL;
}

struct zone_node *zone_add(struct zone_table *t, const struct zone_key *key)
{
    uint32_t place = t->free;
    if (place)
        t->free = node_at(t, place)->next;
    else if (t->fresh_from <= t->nodes)
        place = t->fresh_from++;
    if (!place)
        return NULL;
    struct zone_node *n = node_at(t, place);
    uint32_t *bucket = bucket_of(t, key);
    memset(n, 0, t->node_size);
    n->key = *key;
    n->next = *bucket;
    n->used = 1;
    *bucket = place;
    order_add(t, n, place);
    t->count++;
    return n;
}

void zone_remove(struct zone_table *t, struct zone_node *n)
{
    uint32_t place = zone_place(t, n), *at = bucket_of(t, &n->key);
    while (*at != place)
        at = &node_at(t, *at)->next;
    *at = n->next;
    order_remove(t, n);
    n->used = 0;
    n->next = t->free;
    t->free = place;
    t->count--;
}

struct zone_node *zone_at(struct zone_table *t, uint32_t place)
{
    if (place == 0 || place >= t->fresh_from || !node_at(t, place)->used)
        return NULL;
    return node_at(t, place);
}

uint32_t zone_count(const struct zone_table *t)
{
    return t->count;
}

bool zone_validate(struct zone_table *t)
{
    uint32_t n = 0, last = 0, hashed = 0;
    for (uint32_t at = t->newest; at; last = at, at = node_at(t, at)->older, n++)
        if (n > t->count || node_at(t, at)->newer != last || !node_at(t, at)->used)
            return false;
    for (uint32_t b = 0; b < t->buckets; b++)
        for (uint32_t at = ((uint32_t *)(void *)((char *)t + t->buckets_at))[b];
             at && hashed <= t->count; at = node_at(t, at)->next)
            hashed++;
    return n == t->count && hashed == t->count && t->oldest == last;
}
