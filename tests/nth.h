/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_NTH_H
#define WR_TESTS_NTH_H

/*
 * "The n-th allocation is refused, for every n": runs a scenario once for each n = 1, 2, 3, ... until
 * it needs fewer allocations than n, and checks after each run that nothing is left.
 *
 *     static int scenario(const struct wr_heap *heap, void *arg)
 *     {
 *         struct thing *t;
 *         int r = thing_new(heap, &t);      // WR_MUST handle the refusal
 *         if (r < 0)
 *             return r;
 *         r = thing_work(t);
 *         thing_free(&t);
 *         return r;
 *     }
 *     nth_every("thing", scenario, NULL);   // in a TAP test: one line
 *
 * A scenario returns 0, or the error that a refusal led to; in the run without a refusal it must return
 * 0. A run that survives a refusal may return 0 too. It gives back all it took, whatever happened.
 * For page sources build a wr_pages_heap over the heap given: maps are refused as well.
 */

#include "libweir/base/heap.h"
#include "tests/tap.h"

#define NTH_LIMIT 100000

typedef int nth_scenario(const struct wr_heap *heap, void *arg);

/* One run; says whether it was clean. refused_out: how many requests were refused in it. */
static inline bool nth_run(const char *name, nth_scenario *scenario, void *arg, uint64_t nth,
                           uint64_t one_in, uint64_t seed, uint64_t *refused_out)
{
    struct wr_heap_counting count;
    struct wr_heap_failing failing;
    wr_heap_counting_init(&count, wr_heap_libc());
    wr_heap_failing_init(&failing, &count.heap, nth, one_in, seed);
    int r = scenario(&failing.heap, arg);
    *refused_out = failing.fault.refused;
    if (count.objects == 0 && count.bytes == 0 && r <= 0 &&
        (r == 0 || failing.fault.refused > 0))
        return true;
    printf("# %s: nth %llu, one in %llu, seed %llu: returned %d, %zu objects, %zu bytes left\n",
           name, (unsigned long long)nth, (unsigned long long)one_in, (unsigned long long)seed,
           r, count.objects, count.bytes);
    return false;
}

/* Every n until the scenario runs through. Returns how many allocations it makes. */
static inline uint64_t nth_every(const char *name, nth_scenario *scenario, void *arg)
{
    uint64_t n = 0, refused = 1;
    bool clean = true;
    while (clean && refused > 0 && n < NTH_LIMIT)
        clean = nth_run(name, scenario, arg, ++n, 0, 1, &refused);
    ok(clean && refused == 0, "%s: every one of %llu allocations refused once, nothing left",
       name, (unsigned long long)(n - 1));
    return n - 1;
}

/* One request in one_in refused at random, for this many seeds. */
static inline void nth_random(const char *name, nth_scenario *scenario, void *arg,
                              uint64_t one_in, uint64_t seeds)
{
    uint64_t total = 0, refused = 0, seed = 0;
    bool clean = true;
    while (clean && seed < seeds) {
        clean = nth_run(name, scenario, arg, 0, one_in, ++seed * 0x9e3779b97f4a7c15u, &refused);
        total += refused;
    }
    ok(clean, "%s: one in %llu refused, %llu seeds, %llu refusals, nothing left", name,
       (unsigned long long)one_in, (unsigned long long)seeds, (unsigned long long)total);
}

#endif
