/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/rand.h"
#include "libweir/base/wheel.h"
#include "tests/tap.h"

#define TIMERS 300
#define NEVER  UINT64_MAX

/* The naive model: an array of (due, order), scanned. */
struct probe {
    struct wr_timer timer;
    uint64_t due; /* the model's view; NEVER: disarmed */
    uint64_t order;
};

static struct wr_wheel wheel;
static struct probe probes[TIMERS];
static struct wr_rand rng;
static uint64_t now, orders, last_order;
static unsigned shift, bad, fired;

static uint64_t tick(uint64_t ms)
{
    return (ms >> shift) + ((ms & ((1ULL << shift) - 1)) != 0);
}

static uint64_t some_due(void)
{
    uint64_t reach = 1ULL << wr_rand_below(&rng, 36);
    uint64_t off = wr_rand_below(&rng, reach + 1);
    return wr_rand_one_in(&rng, 10) && off < now ? now - off : now + off;
}

static void model_arm(struct probe *p, uint64_t due)
{
    wr_wheel_arm(&wheel, &p->timer, due);
    p->due = due;
    p->order = ++orders;
}

static void model_cancel(struct probe *p)
{
    wr_wheel_cancel(&p->timer);
    p->due = NEVER;
}

static void model_fire(struct wr_timer *t)
{
    struct probe *p = wr_container_of(t, struct probe, timer);
    fired++;
    if (p->due == NEVER || tick(p->due) > now >> shift || wr_timer_armed(t))
        bad++;
    if (p->order > last_order) /* armed by a callback of this very advance */
        bad++;
    p->due = NEVER;
    if (wr_rand_one_in(&rng, 3))
        model_arm(&probes[wr_rand_below(&rng, TIMERS)], some_due());
    if (wr_rand_one_in(&rng, 3))
        model_cancel(&probes[wr_rand_below(&rng, TIMERS)]);
}

static void model_check(void)
{
    uint64_t first = NEVER, armed = 0;
    for (int i = 0; i < TIMERS; i++) {
        bad += wr_timer_armed(&probes[i].timer) != (probes[i].due != NEVER);
        armed += probes[i].due != NEVER;
        if (probes[i].due < first)
            first = probes[i].due;
    }
    uint64_t next = wr_wheel_next_due(&wheel);
    if (first == NEVER)
        bad += next != NEVER;
    else
        bad += next > (tick(first) << shift) && next > now;
    bad += wr_wheel_armed(&wheel) != armed;
}

static void model_advance(void)
{
    uint64_t step = wr_rand_below(&rng, 1ULL << wr_rand_below(&rng, 37));
    now += step;
    last_order = orders;
    wr_wheel_advance(&wheel, now);
    for (int i = 0; i < TIMERS; i++) /* what is left and due was armed by a callback */
        bad += probes[i].due != NEVER && tick(probes[i].due) <= now >> shift &&
               probes[i].order <= last_order;
}

static void test_model(unsigned tick_shift, int steps)
{
    shift = tick_shift;
    now = 1000;
    bad = fired = 0;
    wr_rand_init(&rng, 42 + tick_shift);
    wr_wheel_init_tick(&wheel, now, tick_shift);
    for (int i = 0; i < TIMERS; i++)
        probes[i] = (struct probe){.timer.fn = model_fire, .due = NEVER};
    for (int i = 0; i < steps && !bad; i++) {
        struct probe *p = &probes[wr_rand_below(&rng, TIMERS)];
        uint64_t what = wr_rand_below(&rng, 16);
        if (what == 0)
            model_advance();
        else if (what < 5)
            model_cancel(p);
        else
            model_arm(p, some_due());
        if (i % 64 == 0) {
            model_check();
            bad += !wr_wheel_validate(&wheel);
        }
    }
    is_int(bad, 0, "model agrees, tick %u ms", 1U << tick_shift);
    ok(fired > 1000, "and %u timers ran", fired);
}

/* Order and exactness: every run is noted. */
static uint64_t ran[4096];
static size_t n_ran;

static void note(struct wr_timer *t)
{
    ran[n_ran++ % WR_ARRAY_LEN(ran)] = t->due_ms;
}

static void test_boundaries(void)
{
    static const uint64_t starts[] = {0,
                                      1,
                                      255,
                                      256,
                                      65535,
                                      65536,
                                      (1ULL << 24) - 1,
                                      (1ULL << 32) - 2,
                                      (1ULL << 32) - 1,
                                      (1ULL << 40) + 255};
    unsigned wrong = 0, cases = 0;
    for (size_t s = 0; s < WR_ARRAY_LEN(starts); s++)
        for (unsigned bit = 0; bit < 42; bit++)
            for (int d = -1; d <= 1; d++, cases++) {
                uint64_t due = starts[s] + (1ULL << bit) + (uint64_t)(int64_t)d;
                struct wr_timer t = {.fn = note};
                wr_wheel_init(&wheel, starts[s]);
                wr_wheel_arm(&wheel, &t, due);
                wrong += !wr_wheel_validate(&wheel);
                if (due > starts[s])
                    wrong += wr_wheel_advance(&wheel, due - 1) != 0;
                wrong += !wr_wheel_validate(&wheel);
                wrong += wr_wheel_advance(&wheel, due) != 1 || !wr_wheel_validate(&wheel);
                wrong += wr_wheel_next_due(&wheel) != NEVER;
            }
    is_int(wrong, 0, "%u due times around every digit run exactly on time", cases);
}

static void test_next_due_leads_there(void)
{
    unsigned wrong = 0, most = 0;
    for (unsigned bit = 0; bit < 36; bit++) {
        struct wr_timer t = {.fn = note};
        uint64_t due = (1ULL << bit) * 3 + 77, at;
        unsigned hops = 0;
        wr_wheel_init(&wheel, 5);
        wr_wheel_arm(&wheel, &t, due);
        while ((at = wr_wheel_next_due(&wheel)) != NEVER && hops++ < 50)
            wr_wheel_advance(&wheel, at);
        wrong += wr_wheel_now(&wheel) != due;
        if (due >> 32 == 0 && hops > most)
            most = hops;
    }
    is_int(wrong, 0, "following next_due ends at the due time");
    ok(most <= WR_WHEEL_LEVELS, "in at most %u steps", most);
}

static void test_order_over_jump(void)
{
    static struct wr_timer t[2000];
    wr_rand_init(&rng, 7);
    wr_wheel_init(&wheel, 0);
    for (size_t i = 0; i < WR_ARRAY_LEN(t); i++) {
        t[i] = (struct wr_timer){.fn = note};
        wr_wheel_arm(&wheel, &t[i], 1 + wr_rand_below(&rng, 1ULL << (i % 40)));
    }
    n_ran = 0;
    is_int(wr_wheel_advance(&wheel, 1ULL << 41), 2000, "a jump over years runs all");
    unsigned wrong = 0;
    for (size_t i = 1; i < n_ran; i++)
        wrong += ran[i] < ran[i - 1];
    is_int(wrong, 0, "in due order");
    ok(wr_wheel_validate(&wheel), "valid");
}

static struct wr_timer other;

static void arm_self_past(struct wr_timer *t)
{
    n_ran++;
    wr_wheel_arm(&wheel, t, 0);
    wr_wheel_cancel(&other);
}

static void test_callbacks(void)
{
    struct wr_timer self = {.fn = arm_self_past};
    other = (struct wr_timer){.fn = note};
    wr_wheel_init(&wheel, 100);
    wr_wheel_arm(&wheel, &self, 110);
    wr_wheel_arm(&wheel, &other, 120);
    n_ran = 0;
    is_int(wr_wheel_advance(&wheel, 30100), 1, "a cancelled timer of the same batch is silent");
    is_int(wr_wheel_next_due(&wheel), 30100, "armed in the past: due now");
    is_int(wr_wheel_advance(&wheel, 30100), 1, "and runs once per advance");
    is_int(wr_wheel_advance(&wheel, 5), 1, "time going back is no time");
    ok(wr_wheel_validate(&wheel), "valid");
    wr_wheel_cancel(&self);
    wr_wheel_cancel(&self);
    is_int(wr_wheel_armed(&wheel), 0, "cancelling twice");
}

static void deadline_note(struct wr_deadline *d)
{
    (void)d;
    n_ran++;
}

static void test_deadline(void)
{
    struct wr_deadline d = {.fn = deadline_note};
    wr_wheel_init(&wheel, 0);
    wr_deadline_start(&d, &wheel, 0, 60000);
    n_ran = 0;
    for (uint64_t ms = 1000; ms <= 600000; ms += 1000) {
        wr_wheel_advance(&wheel, ms);
        wr_deadline_touch(&d, ms);
    }
    is_int(n_ran, 0, "touched every second: never");
    wr_wheel_advance(&wheel, 659999);
    is_int(n_ran, 0, "not before the limit");
    wr_wheel_advance(&wheel, 660000);
    is_int(n_ran, 1, "at the limit exactly");
    ok(!wr_deadline_running(&d), "and stops");
    wr_deadline_start(&d, &wheel, 660000, 60000);
    wr_deadline_set_limit(&d, 10);
    wr_wheel_advance(&wheel, 660010);
    is_int(n_ran, 2, "a shorter limit acts at once");
    wr_deadline_start(&d, &wheel, 660010, NEVER);
    wr_deadline_stop(&d);
    ok(wr_wheel_validate(&wheel) && wr_wheel_armed(&wheel) == 0, "stopped");
}

struct seen {
    struct wr_deadline d;
    uint64_t fired_ms;
};

static void deadline_seen(struct wr_deadline *d)
{
    wr_container_of(d, struct seen, d)->fired_ms = wr_wheel_now(&wheel);
}

/* Time goes in steps of 1 ms: each deadline fires exactly its limit after its latest activity. */
static void test_deadlines_exact(void)
{
    static struct seen s[100];
    unsigned wrong = 0;
    wr_rand_init(&rng, 11);
    wr_wheel_init(&wheel, 0);
    for (size_t i = 0; i < WR_ARRAY_LEN(s); i++) {
        s[i] = (struct seen){.d.fn = deadline_seen};
        wr_deadline_start(&s[i].d, &wheel, 0, 1 + wr_rand_below(&rng, 1ULL << (i % 18)));
    }
    for (uint64_t ms = 1; ms <= 700000; ms++) {
        wr_wheel_advance(&wheel, ms);
        struct seen *any = &s[wr_rand_below(&rng, WR_ARRAY_LEN(s))];
        if (wr_deadline_running(&any->d) && ms < 400000)
            wr_deadline_touch(&any->d, ms);
        if (ms % 1024 == 0)
            wrong += !wr_wheel_validate(&wheel);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(s); i++)
        wrong += s[i].fired_ms != s[i].d.last_ms + s[i].d.limit_ms;
    is_int(wrong, 0, "a hundred deadlines at random activity are exact");
}

int main(void)
{
    test_boundaries();
    test_next_due_leads_there();
    test_order_over_jump();
    test_callbacks();
    test_deadline();
    test_deadlines_exact();
    test_model(0, 1000000);
    test_model(3, 200000);
    return tap_done();
}
