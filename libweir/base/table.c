/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/table.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <errno.h>

#define NUMBER SIZE_MAX /* the length that marks a key that is a number */

struct wr_table_entry_ {
    uint64_t hash;
    union {
        const char *p;
        uint64_t number;
    } key;
    size_t n;
    void *value; /* NULL: empty */
};

static struct wr_table_entry_ of_span(const struct wr_table *t, struct wr_span k)
{
    struct wr_table_entry_ e = {.hash = wr_hash_span(t->key, k), .n = k.n};
    e.key.p = k.p;
    return e;
}

static struct wr_table_entry_ of_u64(const struct wr_table *t, uint64_t k)
{
    struct wr_table_entry_ e = {.hash = wr_hash_u64(t->key, k), .n = NUMBER};
    e.key.number = k;
    return e;
}

static bool same(const struct wr_table_entry_ *a, const struct wr_table_entry_ *b)
{
    if (a->hash != b->hash || a->n != b->n)
        return false;
    if (a->n == NUMBER)
        return a->key.number == b->key.number;
    return a->n == 0 || memcmp(a->key.p, b->key.p, a->n) == 0;
}

void wr_table_init(struct wr_table *t, const struct wr_heap *heap, struct wr_hash_key key)
{
    *t = (struct wr_table){.heap = heap, .key = key};
}

void wr_table_deinit(struct wr_table *t)
{
    wr_heap_free(t->heap, t->entry, t->capacity * sizeof(*t->entry));
    wr_table_init(t, t->heap, t->key);
}

/* Where the key is, or the empty place where it would go. There is always an empty one. */
static size_t probe(const struct wr_table *t, const struct wr_table_entry_ *k)
{
    size_t i = k->hash & (t->capacity - 1);
    while (t->entry[i].value && !same(&t->entry[i], k))
        i = (i + 1) & (t->capacity - 1);
    return i;
}

static int resize(struct wr_table *t, size_t capacity)
{
    struct wr_table bigger = *t;
    bigger.entry = wr_heap_array(t->heap, capacity, sizeof(*t->entry));
    if (!bigger.entry)
        return -ENOMEM;
    bigger.capacity = capacity;
    for (size_t i = 0; i < t->capacity; i++)
        if (t->entry[i].value)
            bigger.entry[probe(&bigger, &t->entry[i])] = t->entry[i];
    wr_heap_free(t->heap, t->entry, t->capacity * sizeof(*t->entry));
    *t = bigger;
    return 0;
}

int wr_table_reserve(struct wr_table *t, size_t n)
{
    size_t capacity = t->capacity ? t->capacity : 8;
    while (n > capacity / 4 * 3) {
        if (capacity > SIZE_MAX / 2)
            return -ENOMEM;
        capacity *= 2;
    }
    return capacity == t->capacity ? 0 : resize(t, capacity);
}

static int put(struct wr_table *t, struct wr_table_entry_ e, void *value)
{
    WR_ASSERT(value);
    if (t->capacity && t->entry[probe(t, &e)].value)
        return WR_E_EXISTS;
    int err = wr_table_reserve(t, t->count + 1);
    if (err < 0)
        return err;
    e.value = value;
    t->entry[probe(t, &e)] = e;
    t->count++;
    return 0;
}

static void *get(const struct wr_table *t, struct wr_table_entry_ e)
{
    return t->capacity ? t->entry[probe(t, &e)].value : NULL;
}

/* Closes the gap: an entry behind it moves in unless that would put it before its home place. */
static void *drop(struct wr_table *t, struct wr_table_entry_ e)
{
    if (!t->capacity)
        return NULL;
    size_t mask = t->capacity - 1, gap = probe(t, &e);
    void *value = t->entry[gap].value;
    if (!value)
        return NULL;
    for (size_t i = (gap + 1) & mask; t->entry[i].value; i = (i + 1) & mask) {
        size_t from_home = (i - t->entry[i].hash) & mask;
        if (from_home < ((i - gap) & mask))
            continue;
        t->entry[gap] = t->entry[i];
        gap = i;
    }
    t->entry[gap] = (struct wr_table_entry_){0};
    t->count--;
    return value;
}

int wr_table_put(struct wr_table *t, struct wr_span key, void *value)
{
    return put(t, of_span(t, key), value);
}

int wr_table_put_u64(struct wr_table *t, uint64_t key, void *value)
{
    return put(t, of_u64(t, key), value);
}

void *wr_table_get(const struct wr_table *t, struct wr_span key)
{
    return get(t, of_span(t, key));
}

void *wr_table_get_u64(const struct wr_table *t, uint64_t key)
{
    return get(t, of_u64(t, key));
}

void *wr_table_remove(struct wr_table *t, struct wr_span key)
{
    return drop(t, of_span(t, key));
}

void *wr_table_remove_u64(struct wr_table *t, uint64_t key)
{
    return drop(t, of_u64(t, key));
}

void *wr_table_next(const struct wr_table *t, size_t *cursor)
{
    while (*cursor < t->capacity) {
        void *value = t->entry[(*cursor)++].value;
        if (value)
            return value;
    }
    return NULL;
}

bool wr_table_validate(const struct wr_table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->capacity; i++) {
        if (!t->entry[i].value)
            continue;
        if (probe(t, &t->entry[i]) != i)
            return false;
        n++;
    }
    return n == t->count && (t->capacity & (t->capacity - 1)) == 0 && n <= t->capacity / 4 * 3;
}
