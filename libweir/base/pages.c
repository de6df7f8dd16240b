/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/pages.h"

#include "libweir/base/assert.h"

#include <string.h>

/* A heap aligns to 16, a unit to 65536: one unit more is asked for, and what the heap gave is written
 * into the rest behind the mapping's end. */
static size_t padded(size_t n)
{
    return n + WR_PAGES_UNIT + sizeof(void *);
}

static void *heap_map(void *ctx, size_t n)
{
    struct wr_pages_heap *p = ctx;
    WR_ASSERT(n > 0 && n % WR_PAGES_UNIT == 0);
    char *raw = wr_heap_alloc(p->heap, padded(n));
    if (!raw)
        return NULL;
    char *at = raw + (WR_PAGES_UNIT - (uintptr_t)raw % WR_PAGES_UNIT) % WR_PAGES_UNIT;
    memset(at, 0, n);
    memcpy(at + n, &raw, sizeof raw);
    p->mapped_bytes += n;
    p->maps++;
    return at;
}

static void heap_unmap(void *ctx, void *at, size_t n)
{
    struct wr_pages_heap *p = ctx;
    char *raw;
    memcpy(&raw, (char *)at + n, sizeof raw);
    WR_ASSERT((uintptr_t)at % WR_PAGES_UNIT == 0 && p->mapped_bytes >= n);
    p->mapped_bytes -= n;
    wr_heap_free(p->heap, raw, padded(n));
}

static void heap_purge(void *ctx, void *at, size_t n)
{
    struct wr_pages_heap *p = ctx;
    WR_ASSERT((uintptr_t)at % WR_PAGE == 0 && n % WR_PAGE == 0);
    memset(at, 0, n); /* as the kernel would, so that a page purged too early is seen */
    p->purged_bytes += n;
}

void wr_pages_heap_init(struct wr_pages_heap *p, const struct wr_heap *heap)
{
    *p = (struct wr_pages_heap){
        .pages = {heap_map, heap_unmap, heap_purge, p},
          .heap = heap
    };
}
