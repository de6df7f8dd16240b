/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem_budget.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

#include <stdlib.h>

/* ---- marks --------------------------------------------------------------------------------------- */
static int soft_calls;
static bool soft_over;

static void on_soft(struct wr_budget *b, bool over)
{
    (void)b;
    soft_calls++;
    soft_over = over;
}

static void test_marks(void)
{
    struct wr_budget root, leaf;
    wr_budget_init(&root, NULL, "process", 50, 100);
    wr_budget_init(&leaf, &root, "connection", 60, 80);
    root.on_soft = on_soft;
    is_int(wr_budget_charge(&leaf, 50), 0, "up to soft");
    ok(!wr_budget_over_soft(&leaf) && soft_calls == 0, "at soft is not over");
    is_int(wr_budget_charge(&leaf, 1), 0, "one more");
    ok(wr_budget_over_soft(&leaf) && soft_calls == 1 && soft_over,
       "over soft: told once, seen below");
    is_int(wr_budget_charge(&leaf, 30), WR_E_BUDGET, "the leaf's own hard mark");
    is_int(root.used, 51, "nothing was charged anywhere");
    is_int(leaf.refusals, 1, "the refusal is counted where it happened");
    is_int(wr_budget_room(&leaf), 29, "room");
    is_int(wr_budget_charge(&root, 40), 0, "the parent has more");
    is_int(wr_budget_charge(&leaf, 10), WR_E_BUDGET, "now the parent refuses");
    is_int(root.refusals, 1, "and counts");
    wr_budget_release(&root, 40);
    wr_budget_release(&leaf, 51);
    ok(soft_calls == 2 && !soft_over, "under soft again: told once");
    is_int(root.peak, 91, "peak");
    wr_budget_validate(&leaf);
    wr_budget_deinit(&leaf);
    wr_budget_deinit(&root);
}

static void test_reserve(void)
{
    struct wr_budget b;
    wr_budget_init(&b, NULL, "worker", 100, 100);
    wr_budget_set(&b, 100, 100, 20);
    is_int(wr_budget_charge(&b, 81), WR_E_BUDGET, "the reserve is not for everybody");
    is_int(wr_budget_charge(&b, 80), 0, "the rest is");
    is_int(wr_budget_charge_urgent(&b, 20), 0, "an answer already begun may use it");
    is_int(wr_budget_charge_urgent(&b, 1), WR_E_BUDGET, "but not exceed hard");
    wr_budget_release(&b, 100);
    wr_budget_deinit(&b);
}

static void test_move(void)
{
    struct wr_budget root, a, b;
    wr_budget_init(&root, NULL, "worker", 100, 100);
    wr_budget_init(&a, &root, "a", 100, 100);
    wr_budget_init(&b, &root, "b", 30, 30);
    is_int(wr_budget_charge(&a, 100), 0, "full");
    is_int(wr_budget_move(&a, &b, 30), 0, "a move needs no room above both");
    ok(root.used == 100 && a.used == 70 && b.used == 30, "and changes nothing there");
    is_int(wr_budget_move(&a, &b, 1), WR_E_BUDGET, "it needs room below");
    is_int(wr_budget_move(&b, &root, 30), 0, "up");
    is_int(wr_budget_move(&root, NULL, 30), 0, "out");
    wr_budget_release(&a, 70);
    is_int(root.used, 0, "all back");
    wr_budget_deinit(&b);
    wr_budget_deinit(&a);
    wr_budget_deinit(&root);
}

/* ---- waiters ------------------------------------------------------------------------------------- */
struct guest {
    struct wr_budget_waiter w;
    char name;
    int err;
};
static char called[64];
static size_t calls;

static void on_room(struct wr_budget_waiter *w, int err)
{
    struct guest *g = wr_container_of(w, struct guest, w);
    g->err = err;
    called[calls++] = g->name;
    called[calls] = '\0';
}

static void test_fifo(void)
{
    struct wr_budget b;
    struct guest g[4] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    calls = 0;
    wr_budget_init(&b, NULL, "worker", 100, 100);
    is_int(wr_budget_wait(&b, &g[0].w, 100, on_room), 1, "room: charged at once");
    is_int(wr_budget_wait(&b, &g[0].w, 101, on_room), WR_E_TOO_BIG,
           "what can never fit does not wait");
    is_int(wr_budget_wait(&b, &g[0].w, 60, on_room), 0, "parked");
    is_int(wr_budget_wait(&b, &g[1].w, 10, on_room), 0, "parked behind");
    is_int(wr_budget_wait(&b, &g[2].w, 30, on_room), 0, "parked last");
    wr_budget_release(&b, 30);
    is_int(calls, 0, "30 is not enough for the first: the small one does not overtake");
    is_int(wr_budget_charge(&b, 10), WR_E_BUDGET, "nor does a newcomer");
    ok(wr_budget_pressed(&b), "somebody waits");
    wr_budget_validate(&b);
    wr_budget_release(&b, 30);
    is_str(called, "a", "60 are: the first is served");
    is_int(b.used, 100, "and its charge is made");
    wr_budget_release(&b, 35);
    is_str(called, "ab", "then the next, who fits; the last does not");
    wr_budget_release(&b, 5);
    is_str(called, "abc", "now it does");
    ok(!wr_budget_waiting(&g[2].w) && !wr_budget_pressed(&b), "nobody waits");
    is_int(wr_budget_wait(&b, &g[0].w, 90, on_room), 0, "a large wish");
    is_int(wr_budget_wait(&b, &g[3].w, 1, on_room), 0, "a small one behind");
    wr_budget_release(&b, 10);
    wr_budget_cancel(&g[0].w);
    wr_budget_cancel(&g[0].w);
    is_str(called, "abcd", "when the large one gives up, the small one is served");
    wr_budget_release(&b, b.used);
    wr_budget_deinit(&b);
}

static void test_limits_change(void)
{
    struct wr_budget b;
    struct guest g[2] = {{.name = 'x'}, {.name = 'y'}};
    calls = 0;
    wr_budget_init(&b, NULL, "worker", 100, 100);
    is_int(wr_budget_charge(&b, 100), 0, "full");
    is_int(wr_budget_wait(&b, &g[0].w, 80, on_room), 0, "parked");
    is_int(wr_budget_wait(&b, &g[1].w, 20, on_room), 0, "parked");
    wr_budget_set(&b, 120, 120, 0);
    is_int(calls, 0, "not yet for the first");
    wr_budget_set(&b, 50, 50, 0);
    is_str(called, "x", "a limit below its wish: told so, not left hanging");
    is_int(g[0].err, WR_E_TOO_BIG, "with the reason");
    wr_budget_set(&b, 120, 120, 0);
    is_str(called, "xy", "a raised limit serves the queue");
    is_int(g[1].err, 0, "charged");
    wr_budget_release(&b, 120);
    wr_budget_deinit(&b);
}

static void test_two_levels(void)
{
    struct wr_budget root, a, b;
    struct guest g[2] = {{.name = 'a'}, {.name = 'b'}};
    calls = 0;
    wr_budget_init(&root, NULL, "worker", 100, 100);
    wr_budget_init(&a, &root, "a", 50, 50);
    wr_budget_init(&b, &root, "b", 100, 100);
    is_int(wr_budget_charge(&a, 50) + wr_budget_charge(&b, 50), 0, "full");
    is_int(wr_budget_wait(&a, &g[0].w, 50, on_room), 0, "refused by its own node");
    is_int(wr_budget_wait(&b, &g[1].w, 40, on_room), 0, "refused above");
    wr_budget_release(&b, 20);
    is_int(calls, 0, "neither fits");
    wr_budget_validate(&root);
    wr_budget_release(&a, 50);
    /* The release reaches a first, whose waiter is the older of the two: it takes 50 of the 70. */
    is_str(called, "a", "the older one is served");
    wr_budget_release(&b, 30);
    is_str(called, "ab", "then the other");
    wr_budget_validate(&a);
    wr_budget_release(&a, 50);
    wr_budget_release(&b, 40);
    wr_budget_deinit(&b);
    wr_budget_deinit(&a);
    wr_budget_deinit(&root);
}

/* A waiter that gives back at once: a thousand of them must not make a thousand stack frames, and all
 * must be called. */
static struct wr_budget chain_budget;
static int chain_depth, chain_deepest, chain_served;

static void on_chain(struct wr_budget_waiter *w, int err)
{
    (void)w;
    (void)err;
    chain_served++;
    if (++chain_depth > chain_deepest)
        chain_deepest = chain_depth;
    wr_budget_release(&chain_budget, 1);
    chain_depth--;
}

static void test_reentry(void)
{
    enum {
        N = 1000
    };
    static struct wr_budget_waiter w[N];
    int parked = 0;
    wr_budget_init(&chain_budget, NULL, "worker", 1, 1);
    is_int(wr_budget_charge(&chain_budget, 1), 0, "full");
    for (int i = 0; i < N; i++)
        parked += wr_budget_wait(&chain_budget, &w[i], 1, on_chain) == 0;
    is_int(parked, N, "all wait");
    wr_budget_release(&chain_budget, 1);
    is_int(chain_served, N, "one release wakes the whole row, one after the other");
    is_int(chain_deepest, 1, "without deepening the stack");
    wr_budget_deinit(&chain_budget);
}

/* ---- random: no lost wake-up, no starvation ------------------------------------------------------ */
enum {
    ACTORS = 60,
    STEPS = 40000
};
struct actor {
    struct wr_budget_waiter w;
    struct wr_budget *at;
    size_t held, wish;
    int since;
};
static struct actor actors[ACTORS];
static int now, longest_wait;
static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

static void on_actor(struct wr_budget_waiter *w, int err)
{
    struct actor *a = wr_container_of(w, struct actor, w);
    (void)err;
    a->held = a->wish;
    if (now - a->since > longest_wait)
        longest_wait = now - a->since;
}

static void actor_step(struct actor *a)
{
    if (wr_budget_waiting(&a->w)) {
        if (rnd(50) == 0)
            wr_budget_cancel(&a->w);
    } else if (a->held) {
        size_t n = a->held;
        a->held = 0;
        wr_budget_release(a->at, n);
    } else {
        a->wish = rnd(10) ? 1 + rnd(30) : 1 + rnd(300);
        a->since = now;
        if (wr_budget_wait(a->at, &a->w, a->wish, on_actor) == 1)
            a->held = a->wish;
    }
}

static void test_random(void)
{
    struct wr_budget root, mid[3], leaf[9];
    wr_budget_init(&root, NULL, "worker", 600, 1000);
    for (int i = 0; i < 3; i++)
        wr_budget_init(&mid[i], &root, "listener", 500, 500);
    for (int i = 0; i < 9; i++)
        wr_budget_init(&leaf[i], &mid[i / 3], "connection", 300, 300);
    for (int i = 0; i < ACTORS; i++)
        actors[i].at = &leaf[i % 9];
    for (now = 0; now < STEPS; now++) {
        actor_step(&actors[rnd(ACTORS)]);
        wr_budget_validate(&root);
        for (int i = 0; i < 3; i++)
            wr_budget_validate(&mid[i]);
        for (int i = 0; i < 9; i++)
            wr_budget_validate(&leaf[i]);
    }
    ok(root.peak <= 1000, "the hard mark held over %d steps", STEPS);
    ok(longest_wait < 6000, "nobody starved: the longest wait was %d steps", longest_wait);
    for (int i = 0; i < ACTORS; i++)
        wr_budget_cancel(&actors[i].w);
    for (int i = 0; i < ACTORS; i++)
        wr_budget_release(actors[i].at, actors[i].held);
    is_int(root.used, 0, "all back");
    for (int i = 0; i < 9; i++)
        wr_budget_deinit(&leaf[i]);
    for (int i = 0; i < 3; i++)
        wr_budget_deinit(&mid[i]);
    wr_budget_deinit(&root);
}

int main(void)
{
    test_marks();
    test_reserve();
    test_move();
    test_fifo();
    test_limits_change();
    test_two_levels();
    test_reentry();
    test_random();
    return tap_done();
}
