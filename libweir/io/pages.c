/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/pages.h"

#include "libweir/base/assert.h"
#include "libweir/os/os.h"

#include <sys/mman.h>

#define UNITS       64
#define REGION      (UNITS * WR_PAGES_UNIT)
#define MAPPED      (REGION + WR_PAGES_UNIT) /* one unit more, so that an aligned region fits */
#define REGION_MOST (REGION / 2)

struct wr_os_region {
    struct wr_os_region *next;
    char *raw, *base;
    uint64_t free; /* a bit for each unit */
};

static uint64_t units_mask(size_t units)
{
    return units == UNITS ? UINT64_MAX : (UINT64_C(1) << units) - 1;
}

/* First run of free units, or -1. */
static int find_run(uint64_t free, size_t units)
{
    uint64_t starts = free;
    for (size_t have = 1; have < units && starts; have++)
        starts &= free >> have;
    return starts ? __builtin_ctzll(starts) : -1;
}

static char *align_unit(char *raw)
{
    return raw + (WR_PAGES_UNIT - (uintptr_t)raw % WR_PAGES_UNIT) % WR_PAGES_UNIT;
}

static struct wr_os_region *region_new(struct wr_os_pages *p)
{
    struct wr_os_region *r = wr_heap_alloc(p->heap, sizeof *r);
    if (!r)
        return NULL;
    char *raw = wr_os_map(MAPPED);
    if (!raw) {
        wr_heap_free(p->heap, r, sizeof *r);
        return NULL;
    }
    *r = (struct wr_os_region){p->regions, raw, align_unit(raw), UINT64_MAX};
    p->regions = r;
    p->mapped_bytes += MAPPED;
    return r;
}

static void region_free(struct wr_os_pages *p, struct wr_os_region **at)
{
    struct wr_os_region *r = *at;
    *at = r->next;
    p->mapped_bytes -= MAPPED;
    (void)wr_os_unmap(r->raw, MAPPED);
    wr_heap_free(p->heap, r, sizeof *r);
}

/* A large mapping keeps its raw address in a record of its own, as a region with nothing to give. */
static void *map_large(struct wr_os_pages *p, size_t n)
{
    struct wr_os_region *r = wr_heap_alloc(p->heap, sizeof *r);
    char *raw = r ? wr_os_map(n + WR_PAGES_UNIT) : NULL;
    if (!raw) {
        wr_heap_free(p->heap, r, sizeof *r);
        return NULL;
    }
    *r = (struct wr_os_region){p->large, raw, align_unit(raw), 0};
    p->large = r;
    p->mapped_bytes += n + WR_PAGES_UNIT;
    return r->base;
}

static void unmap_large(struct wr_os_pages *p, void *at, size_t n)
{
    struct wr_os_region **link = &p->large;
    while (*link && (*link)->base != (char *)at)
        link = &(*link)->next;
    WR_ASSERT(*link);
    struct wr_os_region *r = *link;
    *link = r->next;
    p->mapped_bytes -= n + WR_PAGES_UNIT;
    (void)wr_os_unmap(r->raw, n + WR_PAGES_UNIT);
    wr_heap_free(p->heap, r, sizeof *r);
}

static void *pages_map(void *ctx, size_t n)
{
    struct wr_os_pages *p = ctx;
    size_t units = n / WR_PAGES_UNIT;
    WR_ASSERT(n > 0 && n % WR_PAGES_UNIT == 0);
    if (n > REGION_MOST)
        return map_large(p, n);
    struct wr_os_region *r = p->regions;
    int at = -1;
    for (; r && (at = find_run(r->free, units)) < 0; r = r->next)
        ;
    if (!r) {
        r = region_new(p);
        at = 0;
    }
    if (!r)
        return NULL;
    r->free &= ~(units_mask(units) << at);
    return r->base + (size_t)at * WR_PAGES_UNIT;
}

static void pages_purge(void *ctx, void *at, size_t n)
{
    (void)ctx;
    (void)wr_os_madvise(at, n, MADV_DONTNEED);
}

static void pages_unmap(void *ctx, void *at, size_t n)
{
    struct wr_os_pages *p = ctx;
    if (n > REGION_MOST) {
        unmap_large(p, at, n);
        return;
    }
    struct wr_os_region **link = &p->regions;
    while (*link && !((char *)at >= (*link)->base && (char *)at < (*link)->base + REGION))
        link = &(*link)->next;
    WR_ASSERT(*link);
    size_t first = (size_t)((char *)at - (*link)->base) / WR_PAGES_UNIT;
    (*link)->free |= units_mask(n / WR_PAGES_UNIT) << first;
    if ((*link)->free == UINT64_MAX)
        region_free(p, link);
    else
        pages_purge(p, at, n);
}

void wr_os_pages_init(struct wr_os_pages *p, const struct wr_heap *heap)
{
    *p = (struct wr_os_pages){
        .pages = {pages_map, pages_unmap, pages_purge, p},
          .heap = heap
    };
}

void wr_os_pages_deinit(struct wr_os_pages *p)
{
    WR_ASSERT(!p->regions && !p->large && p->mapped_bytes == 0);
}
