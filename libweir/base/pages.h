/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_PAGES_H
#define WR_BASE_PAGES_H

/*
 * Pages as an argument: where pools and blocks get address space, and how they give memory back.
 *
 * base makes no system call, so whoever has a kernel passes one of these in: io/pages over wr_os_map in
 * a server, wr_pages_heap in unit tests and in the simulator.
 *
 * 1. Space comes in multiples of WR_PAGES_UNIT, aligned to WR_PAGES_UNIT. That alignment is what lets a
 *    pool find the head of a slab from any object in it.
 * 2. purge takes whole pages of WR_PAGE inside a mapping: the memory goes back, the addresses stay, the
 *    contents become zero.
 * 3. map may refuse with NULL; unmap takes exactly what map gave.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/heap.h"

#define WR_PAGE       ((size_t)4096)
#define WR_PAGES_UNIT ((size_t)65536)

struct wr_pages {
    void *(*map)(void *ctx, size_t n);
    void (*unmap)(void *ctx, void *p, size_t n);
    void (*purge)(void *ctx, void *p, size_t n);
    void *ctx;
};

/* Pages cut out of a heap, for tests and the simulator. A purge costs no memory less, but it wipes. */
struct wr_pages_heap {
    struct wr_pages pages;
    const struct wr_heap *heap;
    size_t mapped_bytes; /* now */
    uint64_t maps, purged_bytes;
};
void wr_pages_heap_init(struct wr_pages_heap *p, const struct wr_heap *heap);

#endif
