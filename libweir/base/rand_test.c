/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/rand.h"
#include "tests/tap.h"

int main(void)
{
    struct wr_rand a, b, c;
    wr_rand_init(&a, 1);
    wr_rand_init(&b, 1);
    ok(wr_rand_mix(0) == 0xe220a8397b1dcdaf, "splitmix64 of 0, published");
    ok(wr_rand_u64(&a) == wr_rand_u64(&b), "one seed, one sequence");
    wr_rand_split(&a, &c);
    ok(wr_rand_u64(&a) != wr_rand_u64(&c), "a split goes its own way");
    struct wr_rand known = {
        {1, 2, 3, 4}
    };
    ok(wr_rand_u64(&known) == 11520 && wr_rand_u64(&known) == 0, "xoshiro256**, published");

    unsigned seen[10] = {0}, bad = 0;
    for (int i = 0; i < 100000; i++)
        seen[wr_rand_below(&a, 10)]++;
    for (int i = 0; i < 10; i++)
        bad += seen[i] < 9500 || seen[i] > 10500;
    is_int(bad, 0, "even");
    is_int(wr_rand_below(&a, 0), 0, "below 0");
    is_int(wr_rand_between(&a, 5, 5), 5, "one choice");
    ok(!wr_rand_one_in(&a, 0) && wr_rand_one_in(&a, 1), "never and always");

    int v[100], sum = 0;
    for (int i = 0; i < 100; i++)
        v[i] = i;
    wr_rand_shuffle(&a, v, 100, sizeof(v[0]));
    for (int i = 0; i < 100; i++)
        sum += v[i];
    ok(sum == 4950 && (v[0] != 0 || v[1] != 1 || v[2] != 2), "shuffled, nothing lost");
    unsigned char f[11] = {0};
    wr_rand_fill(&a, f, 10);
    ok(f[10] == 0 && memcmp(f, "\0\0\0\0\0\0\0\0\0", 10) != 0, "fill");
    return tap_done();
}
