/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/heap.h"

#include "tests/nth.h"
#include "tests/tap.h"

static void test_counting(void)
{
    struct wr_heap_counting c;
    wr_heap_counting_init(&c, wr_heap_libc());
    void *a = wr_heap_alloc(&c.heap, 10), *z = wr_heap_zalloc(&c.heap, 0);
    ok(a && z && (uintptr_t)a % 16 == 0, "aligned to 16; nothing is something");
    is_int(c.objects, 2, "two objects");
    is_int(c.bytes, 11, "ten bytes and the one that nothing takes");
    a = wr_heap_realloc(&c.heap, a, 10, 100);
    is_int(c.bytes, 101, "grown");
    wr_heap_free(&c.heap, a, 100);
    wr_heap_free(&c.heap, z, 0);
    wr_heap_free(&c.heap, NULL, 5);
    is_int(c.objects + c.bytes, 0, "all back");
    is_int(c.peak_bytes, 101, "peak remembered");
    char *s = wr_heap_strndup(&c.heap, "hello", 3);
    is_str(s, "hel", "strndup cuts");
    wr_heap_free(&c.heap, s, 4);
    ok(!wr_heap_array(&c.heap, SIZE_MAX / 2, 3), "an array that overflows is refused");
}

static void test_failing(void)
{
    struct wr_heap_failing f;
    wr_heap_failing_init(&f, wr_heap_libc(), 2, 0, 0);
    char *a = wr_heap_strndup(&f.heap, "x", 1);
    ok(a, "the first is given");
    ok(!wr_heap_realloc(&f.heap, a, 2, 50) && a[0] == 'x',
       "the second refused, the old one stands");
    a = wr_heap_realloc(&f.heap, a, 2, 1);
    is_int(f.fault.seen, 2, "shrinking is no request");
    a = wr_heap_realloc(&f.heap, a, 1, 50);
    ok(a, "the third is given");
    wr_heap_free(&f.heap, a, 50);

    int refused = 0;
    wr_heap_failing_init(&f, wr_heap_libc(), 0, 10, 7);
    for (int i = 0; i < 10000; i++) {
        void *p = wr_heap_alloc(&f.heap, 8);
        refused += !p;
        wr_heap_free(&f.heap, p, 8);
    }
    ok(refused > 800 && refused < 1200, "about one in ten: %d of 10000", refused);
    is_int(f.fault.refused, refused, "and counted");
}

/* Two steps, the second of which may be refused and must undo the first. */
static int two_steps(const struct wr_heap *heap, void *arg)
{
    const int *leaks = arg;
    void *a = wr_heap_alloc(heap, 10);
    if (!a)
        return -1;
    void *b = wr_heap_alloc(heap, 20);
    if (!b && *leaks) {
        wr_heap_free(wr_heap_libc(), a, 10); /* behind the counter's back */
        return -1;
    }
    wr_heap_free(heap, b, 20);
    wr_heap_free(heap, a, 10);
    return b ? 0 : -1;
}

static void test_nth(void)
{
    int leaks = 0;
    uint64_t refused;
    is_int(nth_every("two steps", two_steps, &leaks), 2, "it counts the allocations");
    nth_random("two steps", two_steps, &leaks, 3, 50);
    leaks = 1;
    ok(!nth_run("a leak (expected)", two_steps, &leaks, 2, 0, 1, &refused), "a leak is seen");
}

int main(void)
{
    test_counting();
    test_failing();
    test_nth();
    return tap_done();
}
