/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_SLOTS_H
#define WR_BASE_SLOTS_H

/*
 * Numbers for objects, that can be kept longer than the object: an id names a slot and the slot's
 * generation. Removing the object ends the generation, so that an old id finds nothing instead of
 * whoever got the slot next. Add, get and remove are O(1).
 *
 * 1. No id is given twice during the life of the table: a slot whose generations are used up is
 *    retired. Id 0 is never given.
 * 2. Freed slots wait in line; the one that was free the longest is used first.
 * 3. wr_slots_get of a stale or made-up id is NULL, never a wrong object.
 *
 * The objects belong to the caller. One thread at a time.
 */

#include "libweir/base/heap.h"

#include <stdbool.h>

struct wr_slot_;

struct wr_slots {
    /* private */
    const struct wr_heap *heap;
    struct wr_slot_ *slot;
    uint32_t capacity, fresh; /* slots from fresh on were never used */
    uint32_t first_free, last_free;
    uint32_t count, max;
};

/* max: most objects at a time, 0 for no limit but memory. */
void wr_slots_init(struct wr_slots *s, const struct wr_heap *heap, uint32_t max);
void wr_slots_deinit(struct wr_slots *s);

/* object is not NULL. WR_E_QUEUE_FULL at max, -ENOMEM. */
WR_MUST int wr_slots_add(struct wr_slots *s, void *object, uint64_t *out_id);
void *wr_slots_get(const struct wr_slots *s, uint64_t id);

/* Returns the object, or NULL when the id is stale. */
void *wr_slots_remove(struct wr_slots *s, uint64_t id);

/* A walk: *cursor starts at 0; NULL ends it. Adding and removing meanwhile is allowed. */
void *wr_slots_next(const struct wr_slots *s, uint32_t *cursor);

static inline uint32_t wr_slots_count(const struct wr_slots *s)
{
    return s->count;
}

bool wr_slots_validate(const struct wr_slots *s);

#endif
