/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/hist.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <errno.h>
#include <string.h>

/* Below 1 << bits the value is its own bucket; above, the power of two and the next bits below it. */
static uint32_t index_of(unsigned bits, uint64_t v)
{
    if (v >> bits == 0)
        return (uint32_t)v;
    unsigned shift = 63U - (unsigned)__builtin_clzll(v) - bits;
    return (shift << bits) + (uint32_t)(v >> shift);
}

static uint64_t low_of(unsigned bits, uint32_t i)
{
    if (i >> bits <= 1)
        return i;
    unsigned shift = (i >> bits) - 1;
    return (uint64_t)(i - (shift << bits)) << shift;
}

static uint64_t high_of(unsigned bits, uint32_t i)
{
    unsigned shift = i >> bits <= 1 ? 0 : (i >> bits) - 1;
    return low_of(bits, i) + ((1ULL << shift) - 1);
}

size_t wr_hist_size(unsigned bits, uint64_t limit)
{
    return sizeof(struct wr_hist) + ((size_t)index_of(bits, limit) + 1) * sizeof(uint64_t);
}

void wr_hist_init(struct wr_hist *h, unsigned bits, uint64_t limit)
{
    WR_ASSERT(bits >= 1 && bits <= 12);
    memset(h, 0, wr_hist_size(bits, limit));
    h->bits = bits;
    h->limit = limit;
    h->buckets = index_of(bits, limit) + 1;
    h->min = UINT64_MAX;
}

int wr_hist_new(const struct wr_heap *heap, unsigned bits, uint64_t limit,
                struct wr_hist **out_h)
{
    struct wr_hist *h = wr_heap_alloc(heap, wr_hist_size(bits, limit));
    if (!h)
        return -ENOMEM;
    wr_hist_init(h, bits, limit);
    h->heap = heap;
    *out_h = h;
    return 0;
}

void wr_hist_free(struct wr_hist **h)
{
    if (*h)
        wr_heap_free((*h)->heap, *h, wr_hist_size((*h)->bits, (*h)->limit));
    *h = NULL;
}

void wr_hist_reset(struct wr_hist *h)
{
    const struct wr_heap *heap = h->heap;
    wr_hist_init(h, h->bits, h->limit);
    h->heap = heap;
}

void wr_hist_record(struct wr_hist *h, uint64_t v)
{
    uint64_t kept = v;
    if (v > h->limit) {
        kept = h->limit;
        h->over++;
    }
    h->bucket[index_of(h->bits, kept)]++;
    h->count++;
    h->sum += v;
    if (v < h->min)
        h->min = v;
    if (v > h->max)
        h->max = v;
}

int wr_hist_merge(struct wr_hist *into, const struct wr_hist *from)
{
    if (into->bits != from->bits || into->limit != from->limit)
        return WR_E_RANGE;
    for (uint32_t i = 0; i < into->buckets; i++)
        into->bucket[i] += from->bucket[i];
    into->count += from->count;
    into->over += from->over;
    into->sum += from->sum;
    if (from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    return 0;
}

uint64_t wr_hist_percentile(const struct wr_hist *h, uint32_t parts_per_million)
{
    /* The rank is rounded up, so that one slow request in ten is the 95th percentile. */
    unsigned __int128 part = (unsigned __int128)h->count * parts_per_million;
    uint64_t rank = (uint64_t)((part + 999999) / 1000000), seen = 0;
    if (rank == 0)
        return wr_hist_min(h);
    for (uint32_t i = 0; i < h->buckets; i++) {
        seen += h->bucket[i];
        if (seen < rank)
            continue;
        uint64_t high = high_of(h->bits, i);
        bool beyond = rank > h->count - h->over;
        return beyond || high > h->max ? h->max : high;
    }
    return h->max;
}

bool wr_hist_next(const struct wr_hist *h, uint32_t *cursor, uint64_t *out_low,
                  uint64_t *out_high, uint64_t *out_count)
{
    while (*cursor < h->buckets && h->bucket[*cursor] == 0)
        ++*cursor;
    if (*cursor >= h->buckets)
        return false;
    uint32_t i = (*cursor)++;
    *out_low = low_of(h->bits, i);
    *out_high = i + 1 == h->buckets && h->over ? h->max : high_of(h->bits, i);
    *out_count = h->bucket[i];
    return true;
}

bool wr_hist_validate(const struct wr_hist *h)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < h->buckets; i++)
        n += h->bucket[i];
    return n == h->count && h->over <= h->count &&
           h->buckets == index_of(h->bits, h->limit) + 1 && (h->count == 0 || h->min <= h->max);
}
