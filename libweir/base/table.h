/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_TABLE_H
#define WR_BASE_TABLE_H

/*
 * A hash table from bytes or from numbers to pointers. Open addressing with linear probing in one
 * array that doubles when it is three quarters full; removal closes the gap, so there are no
 * tombstones and no slow decay.
 *
 * 1. A taken key is refused (WR_E_EXISTS), never overwritten.
 * 2. The bytes of a key are borrowed: they live, unchanged, as long as their entry. They usually lie
 *    in the value itself.
 * 3. Bytes and numbers are different kinds: a key of one kind never finds one of the other.
 * 4. A failed put changes nothing. Growing is one pass over the entries; wr_table_reserve before the
 *    traffic comes makes put O(1) without exception.
 * 5. The table is not changed during a walk.
 *
 * Keys and values belong to the caller, the array to the table. One thread at a time.
 */

#include "libweir/base/hash.h"
#include "libweir/base/heap.h"

struct wr_table_entry_;

struct wr_table {
    /* private */
    const struct wr_heap *heap;
    struct wr_hash_key key;
    struct wr_table_entry_ *entry;
    size_t capacity, count; /* capacity: 0 or a power of two */
};

void wr_table_init(struct wr_table *t, const struct wr_heap *heap, struct wr_hash_key key);
void wr_table_deinit(struct wr_table *t);

/* Room for n entries in all. -ENOMEM. */
WR_MUST int wr_table_reserve(struct wr_table *t, size_t n);

/* value is not NULL. WR_E_EXISTS, -ENOMEM. */
WR_MUST int wr_table_put(struct wr_table *t, struct wr_span key, void *value);
WR_MUST int wr_table_put_u64(struct wr_table *t, uint64_t key, void *value);

/* The value, or NULL. */
void *wr_table_get(const struct wr_table *t, struct wr_span key);
void *wr_table_get_u64(const struct wr_table *t, uint64_t key);

/* Removes the entry and returns its value, or NULL. */
void *wr_table_remove(struct wr_table *t, struct wr_span key);
void *wr_table_remove_u64(struct wr_table *t, uint64_t key);

/* A walk in no particular order: *cursor starts at 0; NULL ends it. */
void *wr_table_next(const struct wr_table *t, size_t *cursor);

static inline size_t wr_table_count(const struct wr_table *t)
{
    return t->count;
}

bool wr_table_validate(const struct wr_table *t);

#endif
