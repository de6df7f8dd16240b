/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/mpmc.h"

#include <errno.h>

static uint64_t load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

int wr_mpmc_init(struct wr_mpmc *q, const struct wr_heap *heap, uint32_t capacity)
{
    uint64_t n = 2;
    while (n < capacity)
        n *= 2;
    struct wr_mpmc_cell *cell = wr_heap_array(heap, n, sizeof *cell);
    if (!cell)
        return -ENOMEM;
    for (uint64_t i = 0; i < n; i++)
        cell[i].ticket = i;
    *q = (struct wr_mpmc){.heap = heap, .cell = cell, .mask = n - 1};
    return 0;
}

void wr_mpmc_deinit(struct wr_mpmc *q)
{
    if (q->cell)
        wr_heap_free(q->heap, q->cell, (q->mask + 1) * sizeof *q->cell);
    q->cell = NULL;
}

/* Takes the cell at *end when its ticket is `lead` ahead of the end. NULL: the ring's answer is no. */
static struct wr_mpmc_cell *claim(struct wr_mpmc *q, uint64_t *end, uint64_t lead,
                                  uint64_t *out_at)
{
    uint64_t at = __atomic_load_n(end, __ATOMIC_RELAXED);
    for (;;) {
        struct wr_mpmc_cell *c = &q->cell[at & q->mask];
        int64_t diff = (int64_t)(load(&c->ticket) - (at + lead));
        if (diff < 0)
            return NULL;
        if (diff > 0) { /* somebody else was faster */
            at = __atomic_load_n(end, __ATOMIC_RELAXED);
            continue;
        }
        if (__atomic_compare_exchange_n(end, &at, at + 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            *out_at = at;
            return c;
        }
    }
}

bool wr_mpmc_push(struct wr_mpmc *q, struct wr_mpmc_item item)
{
    uint64_t at;
    struct wr_mpmc_cell *c = claim(q, &q->push_at, 0, &at);
    if (!c)
        return false;
    c->item = item;
    __atomic_store_n(&c->ticket, at + 1, __ATOMIC_RELEASE);
    return true;
}

bool wr_mpmc_pop(struct wr_mpmc *q, struct wr_mpmc_item *out)
{
    uint64_t at;
    struct wr_mpmc_cell *c = claim(q, &q->pop_at, 1, &at);
    if (!c)
        return false;
    *out = c->item;
    __atomic_store_n(&c->ticket, at + q->mask + 1, __ATOMIC_RELEASE);
    return true;
}

bool wr_mpmc_empty(const struct wr_mpmc *q)
{
    uint64_t at = __atomic_load_n(&q->pop_at, __ATOMIC_RELAXED);
    return (int64_t)(load(&q->cell[at & q->mask].ticket) - (at + 1)) < 0;
}
