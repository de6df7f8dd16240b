/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/leaky.h"

#include "libweir/base/rand.h"
#include "tests/tap.h"

/* The documented rule in exact arithmetic: microrequests (1/1e6) run out by `rate` per second. */
struct reference {
    double level, last_s;
};

static double reference_ask(const struct reference *r, double rate, double now_s)
{
    double level = r->level + 1.0 - rate * (now_s - r->last_s);
    return level > 0 ? level : 0;
}

static unsigned passed_in(uint32_t rate, uint32_t burst, unsigned every_ms, unsigned n)
{
    struct leaky_rule rule = {rate, burst};
    struct leaky b;
    unsigned passed = 1;
    uint64_t now = 5000000;
    leaky_init(&b, now);
    for (unsigned i = 1; i < n; i++) {
        now += every_ms;
        uint32_t excess = leaky_ask(&b, &rule, now);
        if (excess > rule.burst)
            continue;
        leaky_pour(&b, excess, now);
        passed++;
    }
    return passed;
}

static void test_steady(void)
{
    is_int(passed_in(1000, 0, 1000, 10), 10, "1 r/s: one a second passes");
    is_int(passed_in(1000, 0, 999, 2), 1, "a millisecond early does not");
    is_int(passed_in(1000, 5000, 0, 20), 6, "burst=5: the first and five more at once");
    is_int(passed_in(10000, 0, 50, 21), 11, "10 r/s, asked 20 times a second: every other");
    is_int(passed_in(500, 0, 1000, 11), 6, "30 r/m");
    is_int(passed_in(100000, 20000, 1, 1000), 120, "100 r/s with a burst for a second");
}

/* Random traffic: never differs from the exact rule by more than the rounding of one step. */
static void test_reference(void)
{
    struct wr_rand rand;
    unsigned differ = 0, n = 0;
    wr_rand_init(&rand, 7);
    for (unsigned round = 0; round < 200; round++) {
        struct leaky_rule rule = {1000 * (1 + (uint32_t)wr_rand_below(&rand, 200)),
                                  1000 * ((uint32_t)wr_rand_below(&rand, 50))};
        struct leaky b;
        uint64_t now = 1000000;
        leaky_init(&b, now);
        for (unsigned i = 0; i < 500; i++, n++) {
            struct reference ref = {b.excess / 1000.0, (double)b.last_ms / 1000.0};
            now += wr_rand_below(&rand, 30);
            uint32_t excess = leaky_ask(&b, &rule, now);
            double exact = reference_ask(&ref, rule.rate / 1000.0, (double)now / 1000.0);
            double off = exact - excess / 1000.0;
            differ += off > 0.0011 || off < -0.0011;
            if (excess <= rule.burst)
                leaky_pour(&b, excess, now);
        }
    }
    is_int(differ, 0, "%u requests as the rule in exact arithmetic", n);
}

static void test_clock(void)
{
    struct leaky_rule rule = {1000, 3000};
    struct leaky b;
    leaky_init(&b, 10000);
    leaky_pour(&b, 3000, 10000);
    is_int(leaky_ask(&b, &rule, 9000), 4000, "back in time: nothing runs out");
    leaky_pour(&b, 4000, 9000);
    is_int((int)b.last_ms, 10000, "and the clock of the bucket stays");
    is_int(leaky_ask(&b, &rule, UINT64_MAX / 2), 0, "after for ever it is empty");
    ok(!leaky_idle(&b, &rule, 10000 + 59999), "not idle yet");
    ok(leaky_idle(&b, &rule, 10000 + 60000), "idle after a minute");
}

static void test_wait(void)
{
    is_int((int)leaky_wait_ms(3000, 0, 1000), 3000, "3 over at 1 r/s: 3 s");
    is_int((int)leaky_wait_ms(3000, 3000, 1000), 0, "delay=3: at once");
    is_int((int)leaky_wait_ms(5000, 3000, 10000), 200, "2 over at 10 r/s");
}

int main(void)
{
    test_steady();
    test_reference();
    test_clock();
    test_wait();
    return tap_done();
}
