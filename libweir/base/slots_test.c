/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/rand.h"
#include "libweir/base/slots.c"
#include "tests/tap.h"

static char things[1000];

static void test_life(void)
{
    struct wr_slots s;
    uint64_t id, again;
    wr_slots_init(&s, wr_heap_libc(), 2);
    ok(!wr_slots_get(&s, 0) && !wr_slots_remove(&s, 1ULL << 32), "empty finds nothing");
    is_int(wr_slots_add(&s, &things[0], &id), 0, "add");
    ok(id != 0 && wr_slots_get(&s, id) == &things[0], "get");
    is_int(wr_slots_add(&s, &things[1], &again), 0, "add to the limit");
    is_int(wr_slots_add(&s, &things[2], &again), WR_E_QUEUE_FULL, "and not over it");
    ok(wr_slots_remove(&s, id) == &things[0] && !wr_slots_remove(&s, id), "removed once");
    is_int(wr_slots_add(&s, &things[2], &again), 0, "the slot is used again");
    ok((uint32_t)again == (uint32_t)id && !wr_slots_get(&s, id), "the old id stays stale");
    wr_slots_deinit(&s);
}

static void test_retire(void)
{
    struct wr_slots s;
    uint64_t id, next;
    wr_slots_init(&s, wr_heap_libc(), 0);
    ok(wr_slots_add(&s, &things[0], &id) == 0 && wr_slots_remove(&s, id), "one use");
    s.slot[0].generation = UINT32_MAX;
    ok(wr_slots_add(&s, &things[0], &id) == 0 && wr_slots_remove(&s, id), "the last one");
    ok(wr_slots_add(&s, &things[0], &next) == 0 && (uint32_t)next != 0, "then never again");
    ok(wr_slots_validate(&s) && !wr_slots_get(&s, 0), "valid");
    wr_slots_deinit(&s);
}

static void test_random(void)
{
    static uint64_t ids[WR_ARRAY_LEN(things)];
    struct wr_rand r;
    struct wr_slots s;
    unsigned bad = 0;
    wr_rand_init(&r, 3);
    wr_slots_init(&s, wr_heap_libc(), 0);
    for (int i = 0; i < 20000; i++) {
        size_t k = wr_rand_below(&r, WR_ARRAY_LEN(things));
        if (wr_slots_get(&s, ids[k]))
            bad += wr_slots_remove(&s, ids[k]) != &things[k] || wr_slots_get(&s, ids[k]);
        else
            bad += wr_slots_add(&s, &things[k], &ids[k]) != 0;
        bad += i % 16 == 0 && !wr_slots_validate(&s);
    }
    uint32_t cursor = 0, n = 0;
    while (wr_slots_next(&s, &cursor))
        n++;
    is_int(n, wr_slots_count(&s), "the walk sees all");
    is_int(bad, 0, "random adds and removes");
    wr_slots_deinit(&s);
}

static void test_refusals(void)
{
    unsigned bad = 0;
    for (uint64_t nth = 1; nth <= 5; nth++) {
        struct wr_heap_counting c;
        struct wr_heap_failing f;
        struct wr_slots s;
        uint64_t id = 0;
        int err = 0;
        wr_heap_counting_init(&c, wr_heap_libc());
        wr_heap_failing_init(&f, &c.heap, nth, 0, 1);
        wr_slots_init(&s, &f.heap, 0);
        for (int i = 0; i < 500 && err == 0; i++)
            err = wr_slots_add(&s, &things[i], &id);
        bad += err != -ENOMEM || !wr_slots_validate(&s);
        bad += wr_slots_add(&s, &things[0], &id) != 0;
        wr_slots_deinit(&s);
        bad += c.objects != 0;
    }
    is_int(bad, 0, "every refused allocation is survived");
}

int main(void)
{
    test_life();
    test_retire();
    test_random();
    test_refusals();
    return tap_done();
}
