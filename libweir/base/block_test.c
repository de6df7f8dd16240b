/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/block.h"

#include "libweir/base/err.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <stdlib.h>

static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

static void test_steps(void)
{
    static const size_t step[] = {4096, 16384, 65536, 262144, 1048576, 4194304, 8388608};
    struct mem_kit k;
    struct wr_block *b;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    for (int i = 0; i < WR_BLOCK_STEPS; i++) {
        is_int(wr_block_step_size(i), step[i], "step %d", i);
        for (int d = -1; d <= 1; d++) {
            size_t n = step[i] + (size_t)d;
            int r = wr_block_take(&k.blocks, NULL, n, &b);
            if (n > WR_BLOCK_MAX) {
                is_int(r, WR_E_TOO_BIG, "%zu is too much, and said so", n);
                is_int(wr_block_step_of(n), -1, "no step");
                continue;
            }
            size_t want = d <= 0 ? step[i] : step[i + 1];
            ok(r == 0 && b->size == want, "%zu takes %zu", n, want);
            ok((uintptr_t)b->data % WR_PAGE == 0, "page-aligned");
            b->data[0] = b->data[want - 1] = 1;
            wr_block_drop(&b);
            ok(!b, "the pointer is emptied");
            wr_block_pool_validate(&k.blocks);
        }
    }
    is_int(wr_block_take(&k.blocks, NULL, 0, &b), 0, "nothing takes the smallest");
    wr_block_drop(&b);
    mem_kit_deinit(&k);
}

/* Random life with ticks; whoever holds a block sees only its own bytes. */
static void test_random(const char *modes)
{
    enum {
        N = 60
    };
    struct wr_block *held[N] = {0};
    struct wr_budget conn;
    struct mem_kit k;
    bool intact = true;
    if (mem_kit_init(&k, wr_heap_libc(), modes) < 0)
        abort();
    wr_budget_init(&conn, &k.worker, "connection", WR_BUDGET_NONE, WR_BUDGET_NONE);
    for (uint64_t step = 0; step < 20000; step++) {
        unsigned i = rnd(N);
        if (held[i]) {
            intact &=
                held[i]->data[0] == (char)i && held[i]->data[held[i]->size - 1] == (char)i;
            wr_block_drop(&held[i]);
        } else {
            size_t n = rnd(20) ? rnd(20000) : rnd(600000);
            if (wr_block_take(&k.blocks, rnd(2) ? &conn : NULL, n, &held[i]) < 0)
                abort();
            held[i]->data[0] = held[i]->data[held[i]->size - 1] = (char)i;
            if (rnd(4) == 0) {
                struct wr_block *again = wr_block_ref(held[i]);
                intact &= !wr_block_writable(again) && again->budget == &k.blocks.budget;
                wr_block_drop(&again);
                intact &= wr_block_writable(held[i]);
            }
        }
        if (step % 50 == 0)
            (void)wr_mem_tick(&k.mem, step);
        if (step % 100 == 0)
            mem_kit_validate(&k);
    }
    ok(intact, "%s: bytes intact; two holders close a block, one opens it", modes);
    for (int i = 0; i < N; i++)
        wr_block_drop(&held[i]);
    is_int(conn.used, 0, "the connection's charge is back");
    (void)wr_mem_trim(&k.mem);
    is_int(k.worker.used, 0, "and after a trim the worker's");
    is_int(k.pages.mapped_bytes, 0, "and every mapping");
    wr_budget_deinit(&conn);
    mem_kit_deinit(&k);
}

static void test_sleep(void)
{
    enum {
        N = 400
    };
    static struct wr_block *b[N];
    struct mem_kit k;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    for (int i = 0; i < N; i++)
        if (wr_block_take(&k.blocks, NULL, 16384, &b[i]) < 0)
            abort();
    (void)wr_mem_tick(&k.mem, 0);
    for (int i = 0; i < N; i++)
        if (i % 10)
            wr_block_drop(&b[i]);
    size_t live = N / 10 * 16384, before = k.blocks.budget.used;
    uint64_t now = WR_MEM_PERIOD_MS, next;
    while ((next = wr_mem_tick(&k.mem, now)) != UINT64_MAX && now < 100000)
        now = next;
    ok(now < 5000, "a sleeping process comes to rest after %llu ms", (unsigned long long)now);
    ok(before > 6000000 && k.blocks.budget.used < live + 200000,
       "and holds %zu bytes of %zu: the %zu that live, and headers", k.blocks.budget.used,
       before, live);
    for (int i = 0; i < N; i++)
        wr_block_drop(&b[i]);
    mem_kit_deinit(&k);
}

static void test_reserve(void)
{
    struct wr_pages_heap pages;
    struct wr_mem mem;
    struct wr_budget worker;
    struct wr_block_pool bp;
    struct wr_block *b[8] = {0}, *none;
    struct wr_mem_options opt = {.seed = 1};
    wr_pages_heap_init(&pages, wr_heap_libc());
    is_int(wr_mem_init(&mem, wr_heap_libc(), &pages.pages, &opt), 0, "mem");
    wr_budget_init(&worker, NULL, "worker", WR_BUDGET_NONE, WR_BUDGET_NONE);
    is_int(wr_block_pool_init(&bp, &mem, &worker, 2), 0, "with two blocks in reserve");
    wr_budget_set(&worker, worker.used, worker.used, 0);
    is_int(wr_block_take(&bp, NULL, 100, &none), WR_E_BUDGET, "at the limit");
    is_int(wr_block_take_urgent(&bp, 100, WR_HERE, &b[0]), 0,
           "an answer already begun gets one");
    is_int(wr_block_take_urgent(&bp, 100, WR_HERE, &b[1]), 0, "and another");
    is_int(wr_block_take_urgent(&bp, 100, WR_HERE, &none), WR_E_BUDGET, "that was the reserve");
    wr_block_pool_validate(&bp);
    wr_block_drop(&b[0]);
    is_int(bp.reserve_have, 1, "a block that comes back fills it up first");
    wr_block_drop(&b[1]);
    wr_block_pool_validate(&bp);
    wr_block_pool_deinit(&bp);
    wr_budget_deinit(&worker);
    wr_mem_deinit(&mem);
}

static void test_shared(void)
{
    struct mem_kit k;
    struct wr_block *b, *other;
    if (mem_kit_init(&k, wr_heap_libc(), NULL) < 0 ||
        wr_block_take(&k.blocks, NULL, 10, &b) < 0)
        abort();
    wr_block_share(b);
    other = wr_block_ref(b);
    wr_block_drop(&b);
    is_int(k.blocks.live, 1, "still held by the other thread");
    wr_block_drop(&other);
    is_int(k.blocks.live, 1, "on its way back");
    (void)wr_block_pool_tick(&k.blocks, false, &(size_t){0});
    is_int(k.blocks.live, 0, "and home at the next tick");
    mem_kit_deinit(&k);
}

/* wr_mem_leaks counts what somebody took, once, and not what the pools keep for themselves. */
static void test_tags(const char *modes)
{
    struct mem_kit k;
    struct wr_block *b, *small;
    if (mem_kit_init(&k, wr_heap_libc(), modes) < 0)
        abort();
    is_int(wr_block_take(&k.blocks, NULL, 1, &b), 0, "%s: a block", modes);
    is_int(wr_mem_leaks(&k.mem, NULL, NULL), 1, "is one object");
    is_int(wr_block_take_small(&k.blocks, 1, WR_HERE, &small), 0, "a small one");
    is_int(wr_mem_leaks(&k.mem, NULL, NULL), 2, "is another");
    wr_block_drop(&b);
    wr_block_drop(&small);
    is_int(wr_mem_leaks(&k.mem, NULL, NULL), 0, "none is left");
    mem_kit_deinit(&k);
}

static struct mem_kit *soft_kit;
static int soft_calls;

static void on_soft(struct wr_budget *b, bool over)
{
    struct wr_block *one;
    (void)b;
    if (!over)
        return;
    soft_calls++;
    if (wr_block_take(&soft_kit->blocks, NULL, 1, &one) < 0)
        abort();
    one->data[0] = one->data[one->size - 1] = 'x';
    wr_block_drop(&one);
    (void)wr_mem_trim(&soft_kit->mem);
}

/* The charge of a block calls somebody who trims the pool that it is taken from. */
static void test_soft_mark(size_t size)
{
    enum {
        N = 40
    };
    struct wr_block *b[N];
    struct mem_kit k;
    bool intact = true;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    soft_kit = &k;
    soft_calls = 0;
    k.worker.on_soft = on_soft;
    for (int i = 0; i < N; i++) {
        size_t head =
            i % 2 ? 0 : WR_PAGE; /* that of the headers crosses it, or that of the data */
        wr_budget_set(&k.worker, k.worker.used + head, WR_BUDGET_NONE, 0);
        if (wr_block_take(&k.blocks, NULL, size, &b[i]) < 0)
            abort();
        memset(b[i]->data, i, b[i]->size);
        wr_block_pool_validate(&k.blocks);
    }
    for (int i = 0; i < N; i++) {
        intact &= b[i]->data[0] == i && b[i]->data[b[i]->size - 1] == i;
        wr_block_drop(&b[i]);
    }
    ok(intact && soft_calls > 0, "blocks of %zu, %d soft marks: nobody's bytes in another's",
       size, soft_calls);
    k.worker.on_soft = NULL;
    mem_kit_deinit(&k);
}

static int refused(const struct wr_heap *heap, void *modes)
{
    static const size_t sizes[] = {1, 5000, 70000, 300000, 2u << 20};
    struct wr_block *held[WR_ARRAY_LEN(sizes)] = {0}, *small = NULL, *urgent = NULL;
    struct mem_kit k;
    int rc = mem_kit_init(&k, heap, modes);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < WR_ARRAY_LEN(sizes) && rc == 0; i++)
        rc = wr_block_take(&k.blocks, &k.worker, sizes[i], &held[i]);
    if (rc == 0)
        rc = wr_block_take_small(&k.blocks, 100, WR_HERE, &small);
    if (rc == 0)
        rc = wr_block_take_urgent(&k.blocks, 1000, WR_HERE, &urgent);
    wr_block_pool_validate(&k.blocks);
    for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++)
        wr_block_drop(&held[i]);
    wr_block_drop(&small);
    wr_block_drop(&urgent);
    mem_kit_validate(&k);
    mem_kit_deinit(&k);
    return rc;
}

int main(void)
{
    test_steps();
    test_random("slabs");
    test_random("slabs,poison,tags");
    test_random("passthrough,poison");
    test_sleep();
    test_reserve();
    test_shared();
    test_tags("slabs,tags");
    test_tags("passthrough,tags");
    test_soft_mark(4096);
    test_soft_mark(16384);
    test_soft_mark(65536);
    char slabs[] = "slabs,tags", passed[] = "passthrough";
    nth_every("blocks, slabs", refused, slabs);
    nth_every("blocks, passed through", refused, passed);
    return tap_done();
}
