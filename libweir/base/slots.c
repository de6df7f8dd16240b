/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/slots.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <errno.h>

#define NONE UINT32_MAX

struct wr_slot_ {
    void *object;        /* NULL: free or retired */
    uint32_t generation; /* of the object in it, or of the next one; 0: retired */
    uint32_t next_free;
};

void wr_slots_init(struct wr_slots *s, const struct wr_heap *heap, uint32_t max)
{
    *s = (struct wr_slots){
        .heap = heap, .first_free = NONE, .last_free = NONE, .max = max ? max : NONE};
}

void wr_slots_deinit(struct wr_slots *s)
{
    wr_heap_free(s->heap, s->slot, (size_t)s->capacity * sizeof(*s->slot));
    wr_slots_init(s, s->heap, s->max);
}

static int grow(struct wr_slots *s)
{
    if (s->capacity > NONE / 2)
        return -ENOMEM;
    uint32_t n = s->capacity ? s->capacity * 2 : 16;
    void *p =
        wr_heap_realloc(s->heap, s->slot, s->capacity * sizeof(*s->slot), n * sizeof(*s->slot));
    if (!p)
        return -ENOMEM;
    s->slot = p;
    s->capacity = n;
    return 0;
}

int wr_slots_add(struct wr_slots *s, void *object, uint64_t *out_id)
{
    WR_ASSERT(object);
    if (s->count >= s->max)
        return WR_E_QUEUE_FULL;
    uint32_t i = s->first_free;
    if (i != NONE) {
        s->first_free = s->slot[i].next_free;
        if (s->first_free == NONE)
            s->last_free = NONE;
    } else {
        if (s->fresh == s->capacity && grow(s) < 0)
            return -ENOMEM;
        i = s->fresh++;
        s->slot[i].generation = 1;
    }
    s->slot[i].object = object;
    s->slot[i].next_free = NONE;
    s->count++;
    *out_id = (uint64_t)s->slot[i].generation << 32 | i;
    return 0;
}

static struct wr_slot_ *find(const struct wr_slots *s, uint64_t id)
{
    uint32_t i = (uint32_t)id;
    if (i >= s->fresh || s->slot[i].generation != id >> 32 || !s->slot[i].object)
        return NULL;
    return &s->slot[i];
}

void *wr_slots_get(const struct wr_slots *s, uint64_t id)
{
    struct wr_slot_ *slot = find(s, id);
    return slot ? slot->object : NULL;
}

void *wr_slots_remove(struct wr_slots *s, uint64_t id)
{
    struct wr_slot_ *slot = find(s, id);
    if (!slot)
        return NULL;
    void *object = slot->object;
    slot->object = NULL;
    s->count--;
    if (++slot->generation == 0)
        return object; /* retired: one more use would repeat an id */
    if (s->last_free == NONE)
        s->first_free = (uint32_t)id;
    else
        s->slot[s->last_free].next_free = (uint32_t)id;
    s->last_free = (uint32_t)id;
    return object;
}

void *wr_slots_next(const struct wr_slots *s, uint32_t *cursor)
{
    while (*cursor < s->fresh) {
        void *object = s->slot[(*cursor)++].object;
        if (object)
            return object;
    }
    return NULL;
}

bool wr_slots_validate(const struct wr_slots *s)
{
    uint32_t taken = 0, waiting = 0, retired = 0, last = NONE;
    for (uint32_t i = 0; i < s->fresh; i++) {
        taken += s->slot[i].object != NULL;
        retired += s->slot[i].generation == 0;
    }
    for (uint32_t i = s->first_free; i != NONE; last = i, i = s->slot[i].next_free)
        if (i >= s->fresh || s->slot[i].object || ++waiting > s->fresh)
            return false;
    return s->fresh <= s->capacity && last == s->last_free && taken == s->count &&
           taken + waiting + retired == s->fresh;
}
