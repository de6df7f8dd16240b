/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * ssl_ocsp_cache: what responders said of clients' certificates, in memory that all workers share. When there is no
 * room the oldest goes.
 */

#include "weir/ssl/ssl.h"

#include <errno.h>

struct status {
    struct zone_node node; /* first */
    uint64_t until_s;
    int status;
};

static struct zone_table *table_of(const struct ssl_server *s)
{
    return s->ocsp_cache ? s->ocsp_cache->memory : NULL;
}

bool ssl_status_find(const struct ssl_server *s, struct wr_span id, uint64_t now_s, int *out)
{
    struct zone_table *t = table_of(s);
    if (!t)
        return false;
    struct zone_key key = zone_key(t, id);
    (void)zone_lock(t);
    const struct status *found = (const void *)zone_find(t, &key);
    bool good = found && now_s < found->until_s;
    if (good)
        *out = found->status;
    zone_unlock(t);
    return good;
}

void ssl_status_keep(const struct ssl_server *s, struct wr_span id, int status,
                     uint64_t until_s)
{
    struct zone_table *t = table_of(s);
    if (!t)
        return;
    struct zone_key key = zone_key(t, id);
    (void)zone_lock(t);
    struct zone_node *node = zone_find(t, &key), *oldest;
    while (!node && !(node = zone_add(t, &key)) && (oldest = zone_oldest(t)))
        zone_remove(t, oldest);
    if (node) {
        struct status *to = (struct status *)(void *)node;
        to->status = status;
        to->until_s = until_s;
    }
    zone_unlock(t);
}

int ssl_status_ready(struct conf_load *load, struct ssl_server *s)
{
    struct web_zone *z = s->ocsp_cache;
    struct wr_span tag = WR_LIT("ocsp statuses");
    if (!z || !z->memory || (!z->fresh && zone_table_agrees(z->memory, tag)))
        return 0;
    int rc = zone_table_init(z->memory, z->size, sizeof(struct status), 0, tag);
    z->fresh = false;
    return rc ? conf_fail(load, s->server->node, 0, "OCSP cache \"%.*s\" is too small",
                          WR_SPANF(z->name))
              : 0;
}
