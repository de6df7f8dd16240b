/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_PAGES_H
#define WR_IO_PAGES_H

/*
 * Pages from the kernel for pools and blocks.
 *
 * Regions of 4 MiB are mapped whole and handed out in units of 64 KiB, one bit each in one word; a unit
 * given back returns its memory to the kernel at once and its address range to the region. A region
 * without users is unmapped. Requests of more than half a region are mapped singly.
 *
 * 1. Few mappings: one per 4 MiB however the load came and went.
 * 2. What is given back is not resident afterwards, also while the process sleeps.
 *
 * The caller's memory, one per loop, one thread; it outlives all that was mapped through it.
 */

#include "libweir/base/heap.h"
#include "libweir/base/pages.h"

struct wr_os_region;

struct wr_os_pages {
    struct wr_pages pages; /* pass &pages to wr_mem_init */
    /* private */
    const struct wr_heap *heap;
    struct wr_os_region *regions, *large;
    size_t mapped_bytes;
};

void wr_os_pages_init(struct wr_os_pages *p, const struct wr_heap *heap);
void wr_os_pages_deinit(struct wr_os_pages *p); /* everything was unmapped */

#endif
