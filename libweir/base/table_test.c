/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "libweir/base/rand.h"
#include "libweir/base/table.h"
#include "tests/tap.h"

#include <errno.h>

#define KEYS 2000

static const struct wr_hash_key key = {1, 2};
static char names[KEYS][4];
static bool in[KEYS];

static struct wr_span name(size_t i)
{
    memcpy(names[i], &(uint32_t){(uint32_t)i * 2654435761U}, 4);
    return wr_span(names[i], 4);
}

static void test_kinds(void)
{
    struct wr_table t;
    int a, b;
    wr_table_init(&t, wr_heap_libc(), key);
    ok(!wr_table_get(&t, WR_LIT("x")) && !wr_table_remove_u64(&t, 1), "empty finds nothing");
    is_int(wr_table_put(&t, WR_LIT("x"), &a), 0, "put bytes");
    is_int(wr_table_put(&t, WR_LIT("x"), &b), WR_E_EXISTS, "taken");
    ok(wr_table_get(&t, WR_LIT("x")) == &a, "and not overwritten");
    is_int(wr_table_put_u64(&t, 'x', &b), 0, "put a number");
    is_int(wr_table_put_u64(&t, 'x', &a), WR_E_EXISTS, "taken");
    is_int(wr_table_put(&t, WR_LIT(""), &b), 0, "the empty key is a key");
    is_int(wr_table_put(&t, WR_LIT("x\0\0\0\0\0\0\0"), &b), 0,
           "bytes of a number are no number");
    ok(wr_table_remove_u64(&t, 'x') == &b && wr_table_count(&t) == 3, "remove");
    ok(wr_table_validate(&t), "valid");
    wr_table_deinit(&t);
}

static void test_random(void)
{
    struct wr_table t;
    struct wr_rand r;
    unsigned bad = 0;
    size_t n = 0, cursor = 0, seen = 0;
    wr_rand_init(&r, 9);
    wr_table_init(&t, wr_heap_libc(), key);
    for (int i = 0; i < 60000; i++) {
        size_t k = wr_rand_below(&r, KEYS);
        bad += (wr_table_get(&t, name(k)) != NULL) != in[k];
        if (in[k])
            bad += wr_table_remove(&t, name(k)) != &in[k];
        else
            bad += wr_table_put(&t, name(k), &in[k]) != 0;
        in[k] = !in[k];
        n += in[k] ? 1 : -(size_t)1;
        bad += i % 64 == 0 && !wr_table_validate(&t);
    }
    while (wr_table_next(&t, &cursor))
        seen++;
    ok(seen == n && n == wr_table_count(&t), "the walk sees all");
    is_int(bad, 0, "random puts and removes");
    wr_table_deinit(&t);
}

static void test_refusals(void)
{
    unsigned bad = 0;
    for (uint64_t nth = 1; nth <= 5; nth++) {
        struct wr_heap_counting c;
        struct wr_heap_failing f;
        struct wr_table t;
        int err = 0;
        uint64_t i;
        wr_heap_counting_init(&c, wr_heap_libc());
        wr_heap_failing_init(&f, &c.heap, nth, 0, 1);
        wr_table_init(&t, &f.heap, key);
        for (i = 0; i < 500 && err == 0; i++)
            err = wr_table_put_u64(&t, i, &c);
        bad += err != -ENOMEM || !wr_table_validate(&t) || wr_table_get_u64(&t, i - 1);
        bad += wr_table_put_u64(&t, i - 1, &c) != 0;
        wr_table_deinit(&t);
        bad += c.objects != 0;
    }
    is_int(bad, 0, "every refused allocation is survived");
}

int main(void)
{
    test_kinds();
    test_random();
    test_refusals();
    return tap_done();
}
