/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEIR_EXAMPLES_KV_STORE_H
#define WEIR_EXAMPLES_KV_STORE_H

/*
 * The store of the rpc example: keys to values, bounded in number, every byte owned.
 */

#include "libweir/libweir.h"

#include <errno.h>
#include <stdlib.h>

#define KV_MAX 10000

struct kv_entry {
    struct wr_bytes value;
    size_t key_n;
    char key[];
};

static inline struct kv_entry *kv_find(const struct wr_table *t, struct wr_span key)
{
    return wr_table_get(t, key);
}

/* 0, WR_E_QUEUE_FULL when the store is full, -ENOMEM. value is taken in any case. */
static inline int kv_put(struct wr_table *t, struct wr_span key, struct wr_bytes *value)
{
    struct kv_entry *e = kv_find(t, key);
    int rc = WR_E_QUEUE_FULL;
    if (!e && wr_table_count(t) < KV_MAX) {
        rc = -ENOMEM;
        e = calloc(1, sizeof *e + key.n);
        if (e) {
            memcpy(e->key, key.p, key.n);
            e->key_n = key.n;
            rc = wr_table_put(t, wr_span(e->key, key.n), e);
        }
        if (e && rc) {
            free(e);
            e = NULL;
        }
    }
    if (!e) {
        wr_bytes_drop(value);
        return rc;
    }
    wr_bytes_drop(&e->value);
    e->value = wr_bytes_take(value);
    return 0;
}

static inline void kv_free(struct wr_table *t)
{
    size_t cursor = 0;
    for (struct kv_entry *e; (e = wr_table_next(t, &cursor));) {
        wr_bytes_drop(&e->value);
        free(e);
    }
    wr_table_deinit(t);
}

#endif
