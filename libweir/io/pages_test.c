/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/pages.h"

#include "tests/nth.h"
#include "tests/tap.h"

static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

static void test_random(void)
{
    enum {
        N = 100
    };
    struct wr_os_pages p;
    unsigned char *at[N] = {0};
    size_t n[N];
    bool aligned = true, zero = true, intact = true;
    wr_os_pages_init(&p, wr_heap_libc());
    for (int step = 0; step < 3000; step++) {
        unsigned i = rnd(N);
        if (at[i]) {
            intact &= at[i][0] == (unsigned char)i && at[i][n[i] - 1] == (unsigned char)i;
            p.pages.unmap(p.pages.ctx, at[i], n[i]);
            at[i] = NULL;
            continue;
        }
        n[i] = WR_PAGES_UNIT * (1 + (rnd(10) ? rnd(4) : rnd(128)));
        at[i] = p.pages.map(p.pages.ctx, n[i]);
        if (!at[i])
            continue;
        aligned &= (uintptr_t)at[i] % WR_PAGES_UNIT == 0;
        zero &= at[i][0] == 0 && at[i][n[i] / 2] == 0 && at[i][n[i] - 1] == 0;
        at[i][0] = at[i][n[i] / 2] = at[i][n[i] - 1] = (unsigned char)i;
    }
    ok(aligned, "units are aligned to units");
    ok(zero, "and zero, the first time and again");
    ok(intact, "and nobody else's");
    for (unsigned i = 0; i < N; i++)
        if (at[i])
            p.pages.unmap(p.pages.ctx, at[i], n[i]);
    is_int(p.mapped_bytes, 0, "regions without users are unmapped");
    wr_os_pages_deinit(&p);
}

static void test_purge(void)
{
    struct wr_os_pages p;
    wr_os_pages_init(&p, wr_heap_libc());
    unsigned char *a = p.pages.map(p.pages.ctx, WR_PAGES_UNIT);
    ok(a, "mapped");
    if (a) {
        memset(a, 7, WR_PAGES_UNIT);
        p.pages.purge(p.pages.ctx, a + 4096, 8192);
        ok(a[4095] == 7 && a[4096] == 0 && a[12287] == 0 && a[12288] == 7,
           "exactly those pages are gone");
        p.pages.unmap(p.pages.ctx, a, WR_PAGES_UNIT);
    }
    wr_os_pages_deinit(&p);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    static const size_t units[] = {1, 32, 33, 40, 20, 64, 1};
    void *at[WR_ARRAY_LEN(units)] = {0};
    struct wr_os_pages p;
    int r = 0;
    (void)arg;
    wr_os_pages_init(&p, heap);
    for (size_t i = 0; i < WR_ARRAY_LEN(units); i++)
        if (!(at[i] = p.pages.map(p.pages.ctx, units[i] * WR_PAGES_UNIT)))
            r = -1;
    for (size_t i = 0; i < WR_ARRAY_LEN(units); i++)
        if (at[i])
            p.pages.unmap(p.pages.ctx, at[i], units[i] * WR_PAGES_UNIT);
    wr_os_pages_deinit(&p);
    return r;
}

int main(void)
{
    test_random();
    test_purge();
    (void)nth_every("pages", scenario, NULL);
    return tap_done();
}
