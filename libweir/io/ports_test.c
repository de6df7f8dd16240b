/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/ports.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "tests/tap.h"

#include <errno.h>

static struct wr_addr dest(unsigned n)
{
    uint8_t ip[4] = {10, 0, (uint8_t)(n >> 8), (uint8_t)n};
    return wr_addr_v4(ip, 80);
}

static void test_limit(void)
{
    struct wr_port_budget_options o = {.limit = 3, .time_wait_s = 60};
    struct wr_port_budget *b = NULL;
    struct wr_port_use use;
    struct wr_addr a = dest(1), other = dest(2);
    uint64_t now = 1000000;
    is_int(wr_port_budget_new(wr_heap_libc(), &o, &b), 0, "new");
    for (int i = 0; i < 3; i++)
        is_int(wr_port_budget_take(b, &a, now), 0, "port %d", i);
    is_int(wr_port_budget_take(b, &a, now), WR_E_NOPORTS, "the fourth is refused");
    is_int(wr_port_budget_take(b, &other, now), 0, "another destination has its own");
    wr_port_budget_give(b, &a, false, now);
    is_int(wr_port_budget_take(b, &a, now), 0, "closed by the peer: free at once");
    wr_port_budget_give(b, &a, true, now);
    is_int(wr_port_budget_take(b, &a, now + 59000), WR_E_NOPORTS, "TIME_WAIT holds it");
    wr_port_budget_use(b, &a, now + 59000, &use);
    ok(use.open == 2 && use.waiting == 1 && use.refused == 2, "counted");
    wr_port_budget_validate(b);
    is_int(wr_port_budget_take(b, &a, now + 61000), 0, "free after it");
    wr_port_budget_give(b, &a, true, now + 61000);
    wr_port_budget_use(b, &a, now + 500000, &use);
    is_int(use.waiting, 0, "a long sleep frees all that waited");
    wr_port_budget_validate(b);
    wr_port_budget_free(&b);
}

static void test_many(void)
{
    struct wr_port_budget_options o = {.limit = 2, .max_destinations = 8, .time_wait_s = -1};
    struct wr_port_budget *b = NULL;
    is_int(wr_port_budget_new(wr_heap_libc(), &o, &b), 0, "new");
    for (unsigned i = 0; i < 100; i++) {
        struct wr_addr a = dest(i);
        if (wr_port_budget_take(b, &a, i) != 0)
            ok(false, "destination %u", i);
        wr_port_budget_give(b, &a, true, i);
        wr_port_budget_validate(b);
    }
    ok(true, "a hundred destinations in eight places");
    for (unsigned i = 0; i < 20; i++) {
        struct wr_addr a = dest(i);
        if (wr_port_budget_take(b, &a, 200) != 0)
            ok(false, "busy destination %u", i);
        wr_port_budget_validate(b);
    }
    ok(true, "when all are busy, unknown ones pass untracked");
    wr_port_budget_free(&b);
}

/* The oldest destinations are in use for ever, the many behind them are not. */
static void test_long_lived(void)
{
    struct wr_port_budget_options o = {.limit = 2, .max_destinations = 64, .time_wait_s = -1};
    struct wr_port_budget *b = NULL;
    struct wr_port_use use;
    unsigned tracked = 0;
    is_int(wr_port_budget_new(wr_heap_libc(), &o, &b), 0, "new");
    for (unsigned i = 0; i < 64; i++) {
        struct wr_addr a = dest(i);
        is_int(wr_port_budget_take(b, &a, i), 0, "destination %u", i);
        if (i >= 32)
            wr_port_budget_give(b, &a, false, i);
    }
    for (unsigned i = 100; i < 120; i++) {
        struct wr_addr a = dest(i);
        is_int(wr_port_budget_take(b, &a, i), 0, "destination %u", i);
        wr_port_budget_use(b, &a, i, &use);
        tracked += use.open;
        wr_port_budget_validate(b);
    }
    ok(tracked >= 17, "unused ones make room behind 32 long-lived: %u of 20 tracked", tracked);
    wr_port_budget_free(&b);
}

static void test_kernel(void)
{
    unsigned first = 0, last = 0;
    struct wr_port_budget *b = NULL;
    is_int(wr_port_range_parse(WR_LIT("32768\t60999\n"), &first, &last), 0,
           "as the kernel writes it");
    ok(first == 32768 && last == 60999, "both ends");
    is_int(wr_port_range_parse(WR_LIT(""), &first, &last), WR_E_SYNTAX, "nothing");
    is_int(wr_port_range_parse(WR_LIT("10"), &first, &last), WR_E_SYNTAX, "one end");
    is_int(wr_port_range_parse(WR_LIT("10 9"), &first, &last), WR_E_SYNTAX, "upside down");
    is_int(wr_port_range_parse(WR_LIT("10 99999"), &first, &last), WR_E_SYNTAX, "too large");
    is_int(wr_port_range_parse(WR_LIT("99999999999 1"), &first, &last), WR_E_SYNTAX,
           "overflow");
    is_int(wr_port_budget_new(wr_heap_libc(), NULL, &b), 0, "from the kernel's range");
    ok(wr_port_budget_limit(b) >= 1 && wr_port_budget_limit(b) <= 65535, "a limit of %u",
       wr_port_budget_limit(b));
    wr_port_budget_free(&b);
}

static void test_refused_memory(void)
{
    struct wr_heap_counting counting;
    struct wr_heap_failing failing;
    wr_heap_counting_init(&counting, wr_heap_libc());
    for (uint64_t nth = 1; nth < 10; nth++) {
        struct wr_port_budget_options o = {.limit = 3};
        struct wr_port_budget *b = NULL;
        struct wr_addr a = dest(1);
        wr_heap_failing_init(&failing, &counting.heap, nth, 0, 1);
        if (wr_port_budget_new(&failing.heap, &o, &b) == 0) {
            ok(wr_port_budget_take(b, &a, 1) == 0, "refusal %u: let through", (unsigned)nth);
            wr_port_budget_give(b, &a, true, 1);
            wr_port_budget_validate(b);
        }
        wr_port_budget_free(&b);
        is_int(counting.bytes, 0, "nothing leaked");
    }
}

int main(void)
{
    test_limit();
    test_many();
    test_long_lived();
    test_kernel();
    test_refused_memory();
    return tap_done();
}
