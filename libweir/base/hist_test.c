/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/hist.c"
#include "libweir/base/rand.h"
#include "tests/tap.h"

#include <stdlib.h>

#define N 20000

static void test_buckets(void)
{
    unsigned bad = 0;
    for (unsigned bits = 1; bits <= 12; bits++)
        for (unsigned top = 0; top < 64; top++)
            for (int d = -2; d <= 2; d++) {
                uint64_t v = (1ULL << top) + (uint64_t)(int64_t)d;
                uint32_t i = index_of(bits, v);
                uint64_t lo = low_of(bits, i), hi = high_of(bits, i);
                bad += v < lo || v > hi || (hi - lo) > (lo >> bits);
                bad += hi != UINT64_MAX && index_of(bits, hi + 1) != i + 1;
            }
    is_int(bad, 0, "buckets join without gaps, each narrower than its promise");
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void test_percentiles(void)
{
    static uint64_t v[N];
    struct wr_hist *all = NULL, *half = NULL;
    struct wr_rand r;
    unsigned bad = 0;
    wr_rand_init(&r, 5);
    ok(wr_hist_new(wr_heap_libc(), 7, 1ULL << 42, &all) == 0 &&
           wr_hist_new(wr_heap_libc(), 7, 1ULL << 42, &half) == 0,
       "new");
    is_int(wr_hist_percentile(all, 500000), 0, "empty");
    for (int i = 0; i < N; i++) {
        v[i] = wr_rand_below(&r, 1ULL << wr_rand_below(&r, 40));
        wr_hist_record(i & 1 ? all : half, v[i]);
    }
    is_int(wr_hist_merge(all, half), 0, "merge");
    qsort(v, N, sizeof(v[0]), by_value);
    for (uint32_t ppm = 1000; ppm <= 1000000; ppm += 1000) {
        uint64_t rank = ((uint64_t)N * ppm + 999999) / 1000000;
        uint64_t want = v[rank - 1], got = wr_hist_percentile(all, ppm);
        bad += got < want || got - want > want >> 7;
    }
    is_int(bad, 0, "a thousand percentiles within the bound");
    ok(wr_hist_min(all) == v[0] && wr_hist_max(all) == v[N - 1], "ends are exact");
    uint64_t lo, hi, n, sum = 0;
    for (uint32_t c = 0; wr_hist_next(all, &c, &lo, &hi, &n);)
        sum += n;
    ok(sum == N && wr_hist_validate(all), "the walk sees all");
    wr_hist_reset(half);
    ok(wr_hist_count(half) == 0 && wr_hist_validate(half), "reset");
    wr_hist_free(&all);
    wr_hist_free(&half);
    ok(!all, "freed");
}

static void test_over(void)
{
    struct wr_hist *h = NULL, *other = NULL;
    struct wr_heap_failing f;
    wr_heap_failing_init(&f, wr_heap_libc(), 1, 0, 1);
    is_int(wr_hist_new(&f.heap, 7, 1000, &h), -ENOMEM, "refused");
    ok(wr_hist_new(&f.heap, 7, 1000, &h) == 0 && wr_hist_new(&f.heap, 7, 1001, &other) == 0,
       "new");
    wr_hist_record(h, 1);
    wr_hist_record(h, UINT64_MAX);
    wr_hist_record(h, UINT64_MAX);
    ok(wr_hist_over(h) == 2 && wr_hist_percentile(h, 900000) == UINT64_MAX, "over the limit");
    is_int(wr_hist_percentile(h, 333333), 1, "below it");
    is_int(wr_hist_merge(h, other), WR_E_RANGE, "another shape");
    ok(wr_hist_validate(h), "valid");
    wr_hist_free(&h);
    wr_hist_free(&other);
}

int main(void)
{
    test_buckets();
    test_percentiles();
    test_over();
    return tap_done();
}
