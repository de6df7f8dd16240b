/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ACCESS_NET_TABLE_H
#define ACCESS_NET_TABLE_H

/*
 * From an address to a value: networks and ranges, flattened into sorted pieces.
 *
 * Entries are collected first. net_table_build sweeps over their ends once and leaves an array of pieces that do not
 * overlap; finding is a binary search in it. Where entries overlap, the one of higher rank counts: of networks the
 * longer prefix, of ranges the later one.
 *
 * 1. IPv4 and IPv6 are searched apart; an IPv4-mapped address is IPv4.
 * 2. Adding the very same range again puts its value in the place of the old one.
 *
 * All lies in the arena. Filled at load time, then read only.
 */

#include "libweir/base/mem_arena.h"
#include "libweir/base/table.h"
#include "libweir/io/addr.h"

typedef unsigned __int128 net_key;

struct net_piece {
    net_key low, high;
    const struct wr_span *value;
};

struct net_family {
    struct net_entry *entries;
    uint32_t nentries, cap;
    struct net_piece *pieces;
    uint32_t npieces;
};

struct net_table {
    /* private */
    struct wr_arena *arena;
    struct wr_heap heap;
    struct wr_table ranges;
    struct net_family v4, v6;
    uint32_t order; /* of the next entry */
};

/* "10.0.0.0/8", "::1"; or with ranges: "10.0.0.0-10.0.0.255". */
struct net_range {
    bool v6;
    uint8_t rank; /* of overlapping ones the higher counts; then the later one */
    net_key low, high;
};
WR_MUST int net_range_parse(struct wr_span text, bool ranges,
                            struct net_range *out); /* WR_E_SYNTAX; 1: surplus bits */

void net_table_init(struct net_table *t, struct wr_arena *arena);
/* The value lives with the arena. *out_old: what it took the place of, or NULL. */
WR_MUST int net_table_add(struct net_table *t, const struct net_range *range,
                          const struct wr_span *value, const struct wr_span **out_old);
/* False: there was none. */
bool net_table_remove(struct net_table *t, const struct net_range *range);
WR_MUST int net_table_build(struct net_table *t);
/* The value, or NULL. */
const struct wr_span *net_table_find(const struct net_table *t, const struct wr_addr *addr);

#endif
