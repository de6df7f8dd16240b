/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_ZONE_TABLE_H
#define WEB_ZONE_TABLE_H

/*
 * A table in the memory of a zone, shared by all workers: fixed-size nodes under keyed hashes of what
 * clients send, and their order of use.
 *
 * Keys are not stored: 128 bits of SipHash with a secret drawn when the table is laid out stand for them, so
 * a node has the same small size for every key and nobody outside can choose keys that meet. Places are
 * numbers, not pointers.
 *
 * 1. Everything but zone_key needs the lock. A worker killed inside it leaves a table that the next
 *    holder empties (epoch grows); counts begin anew, nothing else is lost.
 * 2. The memory is bounded: no room is an answer (NULL), and who asks then removes the oldest.
 * 3. Place 0 is nobody.
 *
 * The zone belongs to the generations that declare it. Any worker.
 */

#include "libweir/base/span.h"

struct zone_key {
    uint64_t a, b;
};

struct zone_node { /* the user's own bytes follow */
    struct zone_key key;
    uint32_t next;         /* in its bucket, or in the free list */
    uint32_t newer, older; /* 0 at the ends */
    uint32_t used;
};

struct zone_table; /* the head of the memory */

/* The master, when the zone is fresh: 0, or -ENOSPC when not even one node fits. tag: what the meaning of
 * keys depends on. extra: bytes at the head for the user. */
WR_MUST int zone_table_init(void *memory, uint64_t size, uint32_t node_size, uint32_t extra,
                            struct wr_span tag);
/* Was it laid out for that tag? */
bool zone_table_agrees(const void *memory, struct wr_span tag);
void *zone_table_extra(struct zone_table *t);

struct zone_key zone_key(const struct zone_table *t, struct wr_span text);

/* True: the last holder died inside, and the table has been emptied. */
bool zone_lock(struct zone_table *t);
void zone_unlock(struct zone_table *t);
uint32_t zone_epoch(const struct zone_table *t);

/* NULL; a node that is found becomes the newest. */
struct zone_node *zone_find(struct zone_table *t, const struct zone_key *key);
/* The newest, its own bytes zeroed; NULL: no room. */
struct zone_node *zone_add(struct zone_table *t, const struct zone_key *key);
void zone_remove(struct zone_table *t, struct zone_node *node);
struct zone_node *zone_oldest(struct zone_table *t);
uint32_t zone_place(const struct zone_table *t, const struct zone_node *node);
struct zone_node *zone_at(struct zone_table *t, uint32_t place); /* NULL: 0 or not in use */
uint32_t zone_count(const struct zone_table *t);
bool zone_validate(struct zone_table *t);

#endif
