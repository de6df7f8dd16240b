/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/clock.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

static void test_clock(void)
{
    struct wr_clock c;
    wr_clock_init(&c);
    uint64_t at = c.now_ns, wall = wr_clock_wall_ns(&c);
    (void)wr_os_sleep_ns(2000000);
    ok(c.now_ns == at && wr_clock_wall_ns(&c) == wall, "stands still between readings");
    wr_clock_read(&c, 0);
    ok(c.now_ns >= at + 2000000 && wr_clock_wall_ns(&c) > wall, "moves with one");
    ok(!c.paused, "two milliseconds are no pause");
    uint64_t wall_ms = wr_clock_wall_ns(&c) / 1000000;
    ok(wall_ms - wr_os_now_ns(CLOCK_REALTIME) / 1000000 < 1000 ||
           wr_os_now_ns(CLOCK_REALTIME) / 1000000 - wall_ms < 1000,
       "it is the wall's");
}

/* now_ns is set back by hand: the same as time having passed. */
static void test_pause(void)
{
    struct wr_clock c;
    wr_clock_init(&c);
    c.now_ns -= UINT64_C(5000000000);
    wr_clock_read(&c, UINT64_C(5000000000));
    ok(!c.paused, "sleeping as long as was meant is no pause");
    c.now_ns -= UINT64_C(5000000000);
    wr_clock_read(&c, 0);
    ok(c.paused, "five seconds from nowhere are");
    wr_clock_read(&c, 0);
    ok(c.paused, "until somebody has dealt with it");
    wr_clock_resume(&c);
    ok(!c.paused, "resumed");
    c.now_ns += UINT64_C(5000000000);
    uint64_t ahead = c.now_ns;
    wr_clock_read(&c, 0);
    ok(c.now_ns == ahead, "time never goes back");
}

int main(void)
{
    test_clock();
    test_pause();
    return tap_done();
}
