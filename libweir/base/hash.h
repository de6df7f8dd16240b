/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_HASH_H
#define WR_BASE_HASH_H

/*
 * SipHash-1-3: a keyed hash for tables that hold what strangers send. Who does not know the key
 * cannot choose keys that collide. The key is drawn once at start and handed down; 0 is a fine key
 * in tests.
 */

#include "libweir/base/span.h"

struct wr_hash_key {
    uint64_t k0, k1;
};

uint64_t wr_hash_span(struct wr_hash_key key, struct wr_span s);

/* The same as hashing the 8 bytes of v, least significant first. */
uint64_t wr_hash_u64(struct wr_hash_key key, uint64_t v);

#endif
