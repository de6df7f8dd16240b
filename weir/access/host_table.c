/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/host_table.h"

#include "libweir/base/err.h"
#include "weir/web/vars.h"

#include <errno.h>

void host_table_init(struct host_table *t, struct wr_arena *arena)
{
    *t = (struct host_table){.arena = arena};
    web_arena_heap(arena, &t->heap);
    wr_table_init(&t->exact, &t->heap, (struct wr_hash_key){0});
    wr_table_init(&t->ends, &t->heap, (struct wr_hash_key){0});
    wr_table_init(&t->beginnings, &t->heap, (struct wr_hash_key){0});
}

/* The table's heap is its neighbour: a table that was copied by value would point at the old one. */
static int put(struct host_table *t, struct wr_table *table, struct wr_span name, void *value)
{
    char *p = wr_arena_strndup(t->arena, name.p, name.n);
    for (size_t i = 0; p && i < name.n; i++)
        p[i] = wr_ascii_lower(p[i]);
    return p ? wr_table_put(table, wr_span(p, name.n), value) : -ENOMEM;
}

int host_table_add(struct host_table *t, struct wr_span name, bool patterns, void *value)
{
    if (!patterns)
        return put(t, &t->exact, name, value);
    if (wr_span_find(name, WR_LIT("..")) >= 0)
        return WR_E_SYNTAX;
    ptrdiff_t star = wr_span_find_char(name, '*');
    bool dot = name.n > 1 && name.p[0] == '.';
    if (star < 0 && !dot)
        return put(t, &t->exact, name, value);
    if (star < 0) {
        int err = put(t, &t->exact, wr_span_sub(name, 1, name.n), value);
        return err ? err : put(t, &t->ends, name, value);
    }
    if (wr_span_find_char(wr_span_sub(name, (size_t)star + 1, name.n), '*') >= 0 || name.n < 3)
        return WR_E_SYNTAX;
    if (star == 0 && name.p[1] == '.')
        return put(t, &t->ends, wr_span_sub(name, 1, name.n), value);
    if ((size_t)star == name.n - 1 && name.p[star - 1] == '.' && !dot)
        return put(t, &t->beginnings, wr_span_sub(name, 0, name.n - 1), value);
    return WR_E_SYNTAX;
}

void *host_table_find(const struct host_table *t, struct wr_span name)
{
    void *value = wr_table_get(&t->exact, name);
    if (value)
        return value;
    for (size_t i = 0; wr_table_count(&t->ends) && i < name.n; i++)
        if (name.p[i] == '.' && (value = wr_table_get(&t->ends, wr_span_sub(name, i, name.n))))
            return value;
    for (size_t i = name.n; wr_table_count(&t->beginnings) && i > 1; i--)
        if (name.p[i - 1] == '.' && i < name.n &&
            (value = wr_table_get(&t->beginnings, wr_span_sub(name, 0, i))))
            return value;
    return NULL;
}
