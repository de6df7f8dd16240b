/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_HIST_H
#define WR_BASE_HIST_H

/*
 * A histogram of latencies, or of any numbers: every power of two is cut into 1 << bits equal
 * buckets. Recording is one increment; the memory is fixed at the start.
 *
 * 1. A percentile is never below the true value and above it by less than one part in 1 << bits;
 *    values under 2 << bits are exact. wr_hist_min, wr_hist_max and the mean are exact.
 * 2. Values above the limit are counted in the last bucket and in over; percentiles that fall
 *    there give the exact maximum.
 * 3. Only histograms of one shape merge; merging loses nothing.
 * 4. It holds no pointer that recording or reading needs: with wr_hist_size and wr_hist_init it can
 *    lie in memory that processes share. One writer; a reader beside it may see a record half counted.
 */

#include "libweir/base/heap.h"

struct wr_hist {
    /* private */
    uint64_t count, over, min, max, limit;
    unsigned __int128 sum;
    const struct wr_heap *heap; /* of wr_hist_new, else NULL */
    uint32_t bits, buckets;
    uint64_t bucket[];
};

/* bits: 1 to 12. 7 is an error under 0.8 %; up to one hour in ns that takes 36 KiB. */
size_t wr_hist_size(unsigned bits, uint64_t limit);
void wr_hist_init(struct wr_hist *h, unsigned bits, uint64_t limit); /* in that many bytes */

WR_MUST int wr_hist_new(const struct wr_heap *heap, unsigned bits, uint64_t limit,
                        struct wr_hist **out_h);
void wr_hist_free(struct wr_hist **h);

void wr_hist_record(struct wr_hist *h, uint64_t v);
void wr_hist_reset(struct wr_hist *h);

/* WR_E_RANGE when the shapes differ; nothing is merged then. */
WR_MUST int wr_hist_merge(struct wr_hist *into, const struct wr_hist *from);

/* The value that so many parts per million of the records do not exceed: 500000 is the
 * median, 999000 the 99.9th percentile, 1000000 the maximum. 0 when empty. */
uint64_t wr_hist_percentile(const struct wr_hist *h, uint32_t parts_per_million);

static inline uint64_t wr_hist_count(const struct wr_hist *h)
{
    return h->count;
}

/* How many exceeded the limit. */
static inline uint64_t wr_hist_over(const struct wr_hist *h)
{
    return h->over;
}

/* 0 when empty. */
static inline uint64_t wr_hist_min(const struct wr_hist *h)
{
    return h->count ? h->min : 0;
}

static inline uint64_t wr_hist_max(const struct wr_hist *h)
{
    return h->max;
}

static inline uint64_t wr_hist_mean(const struct wr_hist *h)
{
    return h->count ? (uint64_t)(h->sum / h->count) : 0;
}

/* Walks the buckets in use: *cursor starts at 0; false ends it. Values from *out_low to *out_high,
 * both included. For charts and metric pages. */
bool wr_hist_next(const struct wr_hist *h, uint32_t *cursor, uint64_t *out_low,
                  uint64_t *out_high, uint64_t *out_count);

bool wr_hist_validate(const struct wr_hist *h);

#endif
