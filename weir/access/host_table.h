/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ACCESS_HOST_TABLE_H
#define ACCESS_HOST_TABLE_H

/*
 * Host names and host patterns, each with a word of the owner's: "example.com", "*.example.com", ".example.com"
 * (both of these), "www.*".
 *
 * Three hash tables; a name is looked up whole, then by its ends from the longest to the shortest, then by its
 * beginnings likewise. The number of steps is the number of its labels.
 *
 * 1. Names are kept and must be asked for in lower case.
 * 2. A whole name wins over a pattern, "*.x" over "x.*", a longer pattern over a shorter one.
 * 3. A name is entered once (WR_E_EXISTS).
 *
 * All lies in the arena. Filled at load time, then read only.
 */

#include "libweir/base/mem_arena.h"
#include "libweir/base/table.h"

struct host_table {
    /* private */
    struct wr_arena *arena;
    struct wr_heap heap;
    struct wr_table exact, ends, beginnings;
};

void host_table_init(struct host_table *t, struct wr_arena *arena);
/* patterns: '*' and a leading '.' mean something. value is not NULL. WR_E_EXISTS, WR_E_SYNTAX, -ENOMEM. */
WR_MUST int host_table_add(struct host_table *t, struct wr_span name, bool patterns,
                           void *value);
/* The value, or NULL. */
void *host_table_find(const struct host_table *t, struct wr_span name);

#endif
