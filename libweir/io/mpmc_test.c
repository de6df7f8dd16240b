/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/mpmc.h"
#include "libweir/os/os.h"
#include "tests/nth.h"
#include "tests/tap.h"

enum {
    PUSHERS = 2,
    POPPERS = 2,
    EACH = 50000
};

static struct wr_mpmc q;
static unsigned char seen[PUSHERS * EACH]; /* one popper each: no race unless popped twice */
static uint64_t popped;

static void *item(size_t i)
{
    return &seen[i];
}

static void push_all(void *arg)
{
    size_t from = *(size_t *)arg;
    for (size_t i = from; i < from + EACH; i++)
        while (!wr_mpmc_push(&q, (struct wr_mpmc_item){.arg = item(i)}))
            (void)wr_os_sleep_ns(1000);
}

static void pop_all(void *arg)
{
    struct wr_mpmc_item it;
    (void)arg;
    while (__atomic_load_n(&popped, __ATOMIC_RELAXED) < PUSHERS * EACH) {
        if (!wr_mpmc_pop(&q, &it)) {
            (void)wr_os_sleep_ns(1000);
            continue;
        }
        (*(unsigned char *)it.arg)++;
        (void)__atomic_fetch_add(&popped, 1, __ATOMIC_RELAXED);
    }
}

static void test_threads(void)
{
    struct wr_os_thread *t[PUSHERS + POPPERS];
    size_t from[PUSHERS], once = 0;
    is_int(wr_mpmc_init(&q, wr_heap_libc(), 64), 0, "a small ring");
    for (size_t i = 0; i < PUSHERS + POPPERS; i++) {
        if (i < PUSHERS)
            from[i] = i * EACH;
        (void)!wr_os_thread_start(i < PUSHERS ? push_all : pop_all,
                                  i < PUSHERS ? &from[i] : NULL, &t[i]);
    }
    for (int i = 0; i < PUSHERS + POPPERS; i++)
        (void)wr_os_thread_join(t[i]);
    for (size_t i = 0; i < sizeof seen; i++)
        once += seen[i] == 1;
    is_int(once, sizeof seen, "between two pushers and two poppers each item passes once");
    ok(wr_mpmc_empty(&q), "and none is left");
    wr_mpmc_deinit(&q);
}

static void test_bounds(void)
{
    struct wr_mpmc small;
    struct wr_mpmc_item it = {0};
    bool in_order = true, full = true;
    is_int(wr_mpmc_init(&small, wr_heap_libc(), 3), 0, "of three, rounded up to four");
    ok(!wr_mpmc_pop(&small, &it), "empty at first");
    for (size_t round = 0; round < 100; round++) {
        for (size_t i = 0; i < 4; i++)
            full &= wr_mpmc_push(&small, (struct wr_mpmc_item){.arg = item(i)});
        full &= !wr_mpmc_push(&small, it);
        for (size_t i = 0; i < 4; i++)
            in_order &= wr_mpmc_pop(&small, &it) && it.arg == item(i);
        full &= !wr_mpmc_pop(&small, &it);
    }
    ok(full, "takes four and no fifth, every time");
    ok(in_order, "first in, first out");
    wr_mpmc_deinit(&small);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct wr_mpmc m;
    (void)arg;
    int err = wr_mpmc_init(&m, heap, 8);
    if (!err)
        wr_mpmc_deinit(&m);
    return err;
}

int main(void)
{
    test_bounds();
    test_threads();
    (void)nth_every("mpmc", scenario, NULL);
    return tap_done();
}
