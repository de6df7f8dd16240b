/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ACCESS_MURMUR_H
#define ACCESS_MURMUR_H

/*
 * MurmurHash2 (32 bits, seed 0, little-endian), as split_clients is documented to use it: the same client must fall into
 * the same part here and there. Not for tables that strangers fill.
 */

#include "libweir/base/span.h"

#include <stdint.h>

static inline uint32_t murmur2(struct wr_span s)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t h = (uint32_t)s.n;
    size_t n = s.n;
    for (; n >= 4; p += 4, n -= 4) {
        uint32_t k =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (n == 3)
        h ^= (uint32_t)p[2] << 16;
    if (n >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (n >= 1) {
        h ^= p[0];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

#endif
