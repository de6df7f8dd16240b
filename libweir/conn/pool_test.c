/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/pool.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/rand.h"
#include "libweir/io/scope.h"
#include "tests/conn_kit.h"
#include "tests/tap.h"

/* ---- a driver that answers when told ------------------------------------------------------------------ */

#define MOST 64

struct thing {
    bool open, lent; /* lent: by the model's account */
    int fds[2];
};

struct pending {
    bool used, opening;
    struct wr_op op;
    wr_pool_ready_fn *ready;
    void *token;
    struct thing *thing;
};

struct fake {
    bool at_once, sockets, stale;
    int refuse; /* the next open, check or reset fails with this at once */
    int opened, closed, checks, resets;
    struct thing things[4096];
    struct pending pending[MOST];
};

static void finish(struct fake *f, struct pending *p, int err)
{
    struct pending was = *p;
    wr_op_end(&p->op);
    p->used = false;
    if (was.opening && !err) {
        was.thing = &f->things[f->opened++];
        was.thing->open = true;
        if (f->sockets && !kit_pair(was.thing->fds))
            exit(99);
    }
    was.ready(was.token, was.thing, err);
}

static struct fake *the_fake;

static void pending_cancelled(struct wr_op *op, int why)
{
    finish(the_fake, wr_container_of(op, struct pending, op), why);
}

static int begin(struct fake *f, struct thing *t, struct wr_scope *scope,
                 wr_pool_ready_fn *ready, void *token)
{
    int rc = f->refuse;
    f->refuse = 0;
    if (rc)
        return rc;
    struct pending *p = f->pending;
    while (p->used)
        p++;
    *p = (struct pending){
        .used = true, .opening = !t, .ready = ready, .token = token, .thing = t};
    if (f->at_once)
        finish(f, p, 0);
    else if (wr_op_begin(scope, &p->op, pending_cancelled))
        exit(99);
    return 0;
}

static int fake_open(void *d, struct wr_scope *scope, wr_pool_ready_fn *ready, void *token)
{
    return begin(d, NULL, scope, ready, token);
}

static int fake_check(void *d, void *object, struct wr_scope *scope, wr_pool_ready_fn *ready,
                      void *token)
{
    ((struct fake *)d)->checks++;
    return begin(d, object, scope, ready, token);
}

static int fake_reset(void *d, void *object, struct wr_scope *scope, wr_pool_ready_fn *ready,
                      void *token)
{
    ((struct fake *)d)->resets++;
    return begin(d, object, scope, ready, token);
}

static bool fake_stale(void *d, void *object)
{
    (void)object;
    return ((struct fake *)d)->stale;
}

static int fake_fd(void *d, void *object)
{
    return ((struct fake *)d)->sockets ? ((struct thing *)object)->fds[0] : -1;
}

static void fake_close(void *d, void *object)
{
    struct fake *f = d;
    struct thing *t = object;
    if (!t->open)
        exit(98); /* closed twice */
    t->open = false;
    f->closed++;
    if (f->sockets) {
        close(t->fds[0]);
        close(t->fds[1]);
    }
}

static const struct wr_conn_pool_ops plain = {
    .kind = "fake", .open = fake_open, .stale = fake_stale, .fd = fake_fd, .close = fake_close};
static const struct wr_conn_pool_ops full = {.kind = "fake",
                                             .open = fake_open,
                                             .check = fake_check,
                                             .reset = fake_reset,
                                             .stale = fake_stale,
                                             .fd = fake_fd,
                                             .close = fake_close};

/* ---- the rig ---------------------------------------------------------------------------------------------- */

struct got {
    int calls, err;
    struct wr_lease lease;
};

static void on_lease(void *arg, int err, struct wr_lease lease)
{
    struct got *g = arg;
    g->calls++;
    g->err = err;
    g->lease = lease;
}

struct rig {
    struct conn_kit k;
    struct fake f;
    struct wr_conn_pool *pool;
    struct wr_scope scope;
    int leaks;
    struct wr_conn_pool_borrower leak;
};

static struct wr_lease
    *other_lease; /* of the borrower: given up when the first is taken back */

static void note_leak(struct wr_conn_pool *p, const struct wr_conn_pool_borrower *b, void *arg)
{
    struct rig *r = arg;
    (void)p;
    r->leaks++;
    r->leak = *b;
    if (other_lease)
        wr_lease_release(other_lease);
}

static struct rig rig; /* one at a time */

static struct rig *rig_up(const struct wr_conn_pool_ops *ops, struct wr_conn_pool_options o,
                          const struct wr_heap *heap)
{
    struct rig *r = &rig;
    memset(r, 0, sizeof *r);
    the_fake = &r->f;
    if (conn_kit_init(&r->k, heap))
        return NULL;
    o.on_leak = note_leak;
    o.arg = r;
    o.seed = 1;
    if (wr_conn_pool_new(r->k.loop, ops, &r->f, &o, &r->pool)) {
        conn_kit_deinit(&r->k);
        return NULL;
    }
    wr_scope_init(&r->scope, r->k.loop, NULL, 0);
    return r;
}

static void rig_down(struct rig *r, const char *what)
{
    wr_conn_pool_free(&r->pool);
    kit_turns(&r->k, 3);
    wr_scope_deinit(&r->scope);
    if (what)
        is_int(r->f.closed, r->f.opened, "%s: all that was opened is closed", what);
    conn_kit_deinit(&r->k);
}

static bool valid(const struct rig *r)
{
    return wr_conn_pool_validate(r->pool);
}

/* ---- one thing at a time -------------------------------------------------------------------------------- */

static void test_take(void)
{
    struct rig *r =
        rig_up(&plain, (struct wr_conn_pool_options){.max_open = 1}, wr_heap_libc());
    struct got a = {0}, b = {0};
    r->f.at_once = true;
    is_int(wr_conn_pool_take(r->pool, &r->scope, on_lease, &a), 0, "taken");
    is_int(a.calls, 0, "not answered from inside the call");
    kit_turns(&r->k, 2);
    is_int(a.calls, 1, "answered");
    ok(wr_lease_object(&a.lease) != NULL, "with an object");
    is_int(wr_conn_pool_take(r->pool, &r->scope, on_lease, &b), 0, "a second one");
    kit_turns(&r->k, 2);
    is_int(b.calls, 0, "waits");
    struct wr_lease again = a.lease;
    wr_lease_release(&a.lease);
    is_int(a.lease.id, 0, "release empties the lease");
    kit_turns(&r->k, 2);
    is_int(b.calls, 1, "and serves the next");
    is_int(r->f.opened, 1, "with the same object");
    wr_lease_release(&again);
    ok(wr_lease_object(&b.lease) != NULL, "returning twice harms nobody");
    is_int(wr_conn_pool_stats(r->pool).late, 1, "and is counted");
    wr_lease_discard(&b.lease);
    is_int(r->f.closed, 1, "discarded: closed");
    ok(valid(r), "valid");
    rig_down(r, "take");
}

static void test_bounds(void)
{
    struct wr_conn_pool_options o = {.max_open = 1, .max_waiters = 2, .wait_ms = 300};
    struct rig *r = rig_up(&plain, o, wr_heap_libc());
    struct got g[4] = {0};
    r->f.at_once = true;
    wr_lease_fn *fn = on_lease;
    is_int(wr_conn_pool_take(r->pool, &r->scope, fn, &g[0]), 0, "one");
    kit_turns(&r->k, 2);
    is_int(wr_conn_pool_take(r->pool, &r->scope, fn, &g[1]), 0, "two waits");
    is_int(wr_conn_pool_take(r->pool, &r->scope, fn, &g[2]), 0, "three waits");
    is_int(wr_conn_pool_take(r->pool, &r->scope, fn, &g[3]), WR_E_POOL_FULL,
           "the queue is full");
    KIT_UNTIL(&r->k, 10000, g[2].calls);
    is_int(g[1].err, WR_E_POOL_WAIT, "waited too long");
    is_int(g[2].err, WR_E_POOL_WAIT, "both");
    is_int(g[3].calls, 0, "a refused take has no callback");
    is_int(wr_conn_pool_stats(r->pool).wait_timeouts, 2, "counted");
    rig_down(r, "bounds");
}

static void test_open_fails(void)
{
    struct rig *r =
        rig_up(&plain, (struct wr_conn_pool_options){.open_ms = 300}, wr_heap_libc());
    struct got a = {0}, b = {0};
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &a), "taken");
    r->f.refuse = -ECONNREFUSED;
    kit_turns(&r->k, 2);
    is_int(a.err, -ECONNREFUSED, "the driver's error");
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &b), "taken");
    KIT_UNTIL(&r->k, 10000, b.calls);
    is_int(b.err, WR_E_DEADLINE, "an open that hangs ends");
    is_int(wr_conn_pool_stats(r->pool).open, 0, "and holds no place");
    rig_down(r, "open fails");
}

static void test_hang_up(void)
{
    struct rig *r = rig_up(&plain, (struct wr_conn_pool_options){0}, wr_heap_libc());
    struct got a = {0}, b = {0};
    r->f.at_once = r->f.sockets = true;
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &a), "taken");
    kit_turns(&r->k, 2);
    wr_lease_release(&a.lease);
    kit_turns(&r->k, 1);
    is_int(wr_conn_pool_stats(r->pool).idle, 1, "idle");
    shutdown(r->f.things[0].fds[1], SHUT_RDWR);
    kit_turns(&r->k, 1);
    is_int(wr_conn_pool_stats(r->pool).idle, 0, "a hang-up removes it at once");
    is_int(wr_conn_pool_stats(r->pool).hung_up, 1, "counted");
    is_int(r->f.closed, 1, "closed");
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &b), "taken");
    kit_turns(&r->k, 2);
    wr_conn_pool_gone(r->pool, wr_lease_object(&b.lease));
    wr_lease_release(&b.lease);
    is_int(r->f.closed, 2, "reported dead while lent: closed when it comes back");
    rig_down(r, "hang-up");
}

static void test_limits(void)
{
    struct wr_conn_pool_options o = {.idle_ms = 400, .check_after_ms = 1, .max_idle = 2};
    struct rig *r = rig_up(&full, o, wr_heap_libc());
    struct got g[4] = {0};
    r->f.at_once = true;
    for (int i = 0; i < 4; i++)
        ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &g[i]), "taken");
    kit_turns(&r->k, 3);
    is_int(wr_conn_pool_stats(r->pool).lent, 4, "lent");
    for (int i = 0; i < 4; i++)
        wr_lease_release(&g[i].lease);
    is_int(r->f.resets, 4, "reset on release");
    is_int(wr_conn_pool_stats(r->pool).idle, 2, "no more idle ones than allowed");
    uint64_t until = kit_now_ms() + 5;
    KIT_UNTIL(&r->k, 10000, kit_now_ms() > until);
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &g[0]), "taken");
    kit_turns(&r->k, 3);
    is_int(r->f.checks, 1, "checked before it is lent");
    r->f.refuse = -EPIPE;
    wr_lease_release(&g[0].lease);
    is_int(wr_conn_pool_stats(r->pool).reset_failed, 1, "a failed reset closes");
    KIT_UNTIL(&r->k, 10000, wr_conn_pool_stats(r->pool).open == 0);
    is_int(wr_conn_pool_stats(r->pool).open, 0, "the idle limit ends the rest");
    rig_down(r, "limits");

    o = (struct wr_conn_pool_options){.min_idle = 2, .life_ms = 300};
    r = rig_up(&plain, o, wr_heap_libc());
    r->f.at_once = true;
    kit_turns(&r->k, 2);
    is_int(wr_conn_pool_stats(r->pool).idle, 2, "min_idle without being asked");
    KIT_UNTIL(&r->k, 10000, r->f.opened >= 4);
    ok(r->f.opened >= 4, "renewed when their life is over");
    ok(wr_conn_pool_stats(r->pool).life_ended >= 2, "counted");
    rig_down(r, "life");
}

static void test_leak(void)
{
    struct wr_conn_pool_options o = {.leak_ms = 200, .leak_kill_ms = 1200};
    struct rig *r = rig_up(&plain, o, wr_heap_libc());
    struct got a = {0};
    struct wr_conn_pool_borrower b = {0};
    r->f.at_once = true;
    int line = __LINE__ + 1;
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &a), "taken");
    KIT_UNTIL(&r->k, 10000, r->leaks == 1);
    is_int(r->leak.site->line, line, "the report names the line");
    ok(strstr(r->leak.site->file, "pool_test.c") != NULL, "and the file");
    ok(r->leak.held_ms >= 200 && r->leak.err == 0, "and the time; it is still lent");
    is_int(wr_conn_pool_borrowers(r->pool, &b, 1), 1, "listed");
    ok(b.overdue && b.site && b.site->line == line, "as overdue, with its line");
    KIT_UNTIL(&r->k, 10000, r->leaks == 2);
    is_int(r->leak.err, WR_E_LEAKED, "then it is taken back");
    is_int(r->f.closed, 1, "and closed: its borrower may still be using it");
    ok(wr_lease_object(&a.lease) == NULL, "the lease finds nothing");
    wr_lease_release(&a.lease);
    is_int(wr_conn_pool_stats(r->pool).late, 1, "a late return is harmless and counted");
    ok(valid(r), "valid");
    rig_down(r, "leak");
}

static void test_release_while_closing(void)
{
    struct wr_conn_pool_options o = {0};
    struct rig *r = rig_up(&plain, o, wr_heap_libc());
    struct got a = {0}, b = {0};
    r->f.at_once = true;
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_lease, &a) &&
           !wr_conn_pool_take(r->pool, &r->scope, on_lease, &b),
       "two are wanted");
    kit_turns(&r->k, 3);
    ok(a.calls && b.calls && !a.err && !b.err, "and lent");
    other_lease = &b.lease;
    wr_conn_pool_free(&r->pool);
    is_int(r->leaks, 1, "one is taken back, the other comes back meanwhile");
    other_lease = NULL;
    rig_down(r, "release while closing");
}

/* A callback that takes again and again has a turn's share, not all of it. */
struct greedy {
    struct rig *r;
    unsigned calls;
};

static void on_greedy_lease(void *arg, int err, struct wr_lease lease)
{
    struct greedy *g = arg;
    wr_lease_release(&lease);
    if (!err && ++g->calls < 10000 &&
        wr_conn_pool_take(g->r->pool, &g->r->scope, on_greedy_lease, g))
        exit(97);
}

static void test_greedy(void)
{
    struct wr_conn_pool_options o = {0};
    struct rig *r = rig_up(&plain, o, wr_heap_libc());
    struct greedy g = {.r = r};
    r->f.at_once = true;
    ok(!wr_conn_pool_take(r->pool, &r->scope, on_greedy_lease, &g), "taken");
    unsigned most = 0;
    for (int i = 0; i < 100; i++) {
        unsigned before = g.calls;
        kit_turns(&r->k, 1);
        most = g.calls - before > most ? g.calls - before : most;
    }
    ok(g.calls >= 50, "and again in every turn (%u)", g.calls);
    ok(most < 100, "but not without an end in one (%u)", most);
    rig_down(r, "greedy");
}

static void test_scope_end(void)
{
    struct rig *r =
        rig_up(&plain, (struct wr_conn_pool_options){.max_open = 1}, wr_heap_libc());
    struct got a = {0}, b = {0};
    struct wr_scope session;
    wr_scope_init(&session, r->k.loop, NULL, 0);
    r->f.at_once = true;
    ok(!wr_conn_pool_take(r->pool, &session, on_lease, &a), "taken");
    kit_turns(&r->k, 2);
    ok(!wr_conn_pool_take(r->pool, &session, on_lease, &b), "waits");
    wr_scope_cancel(&session, WR_E_DEADLINE);
    is_int(b.err, WR_E_DEADLINE, "who waits is told");
    is_int(r->leak.err, WR_E_DEADLINE, "the forgotten lease is reported");
    is_int(wr_conn_pool_stats(r->pool).lent, 0, "and over");
    ok(valid(r), "valid");
    wr_scope_deinit(&session);
    rig_down(r, "scope end");
}

/* ---- at random, against a model ---------------------------------------------------------------------------- */

#define BORROWERS 24

struct borrower {
    struct wr_scope scope;
    bool alive, asked;
    unsigned ticket;
    struct wr_lease lease;
};

static struct borrower people[BORROWERS];
static unsigned served; /* the ticket served last */
static int wrong;

static void on_model_lease(void *arg, int err, struct wr_lease lease)
{
    struct borrower *b = arg;
    wrong += !b->asked; /* answered twice, or unasked */
    b->asked = false;
    if (err)
        return;
    struct thing *t = wr_lease_object(&lease);
    wrong += !t || !t->open || t->lent;
    wrong += b->ticket < served; /* out of order */
    served = b->ticket;
    if (t)
        t->lent = true;
    b->lease = lease;
}

static void unlend(struct rig *r, struct borrower *b)
{
    struct thing *t = wr_lease_object(&b->lease);
    (void)r;
    if (t)
        t->lent = false;
}

static void renew(struct rig *r, struct borrower *b)
{
    if (b->alive) {
        unlend(r, b);
        wr_scope_cancel(&b->scope, WR_E_CANCELED);
        wr_scope_deinit(&b->scope);
        wrong += b->asked; /* not told */
        wrong += wr_lease_object(&b->lease) != NULL;
    }
    wr_scope_init(&b->scope, r->k.loop, NULL, 0);
    b->alive = true;
    b->lease = (struct wr_lease){0};
}

static void answer_one(struct rig *r, struct wr_rand *rand)
{
    size_t at = wr_rand_below(rand, MOST);
    for (size_t i = 0; i < MOST; i++) {
        struct pending *p = &r->f.pending[(at + i) % MOST];
        if (p->used) {
            finish(&r->f, p, wr_rand_one_in(rand, 5) ? -EPIPE : 0);
            return;
        }
    }
}

static void model_step(struct rig *r, struct wr_rand *rand, unsigned *ticket)
{
    struct borrower *b = &people[wr_rand_below(rand, BORROWERS)];
    switch (wr_rand_below(rand, 12)) {
    case 0:
    case 1:
    case 2:
        if (!b->asked && !b->lease.id) {
            b->ticket = ++*ticket;
            b->asked = true;
            if (wr_conn_pool_take(r->pool, &b->scope, on_model_lease, b))
                b->asked = false;
        }
        break;
    case 3:
    case 4:
        unlend(r, b);
        wr_lease_release(&b->lease);
        break;
    case 5:
        unlend(r, b);
        wr_lease_discard(&b->lease);
        break;
    case 6:
        if (wr_rand_one_in(rand, 4))
            renew(r, b);
        break;
    case 7:
        if (r->f.opened)
            wr_conn_pool_gone(r->pool,
                              &r->f.things[wr_rand_below(rand, (uint64_t)r->f.opened)]);
        break;
    case 8:
        r->f.refuse = wr_rand_one_in(rand, 3) ? -ECONNREFUSED : 0;
        break;
    case 9:
        r->f.at_once = wr_rand_one_in(rand, 3);
        break;
    default:
        answer_one(r, rand);
        break;
    }
    if (wr_rand_one_in(rand, 2))
        kit_turns(&r->k, 1);
}

static void test_model(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct wr_rand rand;
        struct wr_conn_pool_options o = {.max_open = 5, .max_waiters = 8, .max_idle = 3};
        o.min_idle = seed % 3 == 0;
        o.fifo = seed % 2;
        struct rig *r = rig_up(seed % 4 ? &full : &plain, o, wr_heap_libc());
        unsigned ticket = 0;
        bool all_valid = true;
        wr_rand_init(&rand, seed);
        memset(people, 0, sizeof people);
        served = 0;
        wrong = 0;
        for (int i = 0; i < BORROWERS; i++)
            renew(r, &people[i]);
        for (int i = 0; i < 3000 && r->f.opened < 4000; i++) {
            model_step(r, &rand, &ticket);
            all_valid &= valid(r);
        }
        struct wr_conn_pool_stats s = wr_conn_pool_stats(r->pool);
        ok(all_valid, "seed %d: valid after each step", (int)seed);
        is_int(wrong, 0, "seed %d: as the model says (%d taken)", (int)seed, (int)s.taken);
        wr_conn_pool_free(&r->pool);
        for (int i = 0; i < BORROWERS; i++) {
            wrong += people[i].asked;
            wr_scope_deinit(&people[i].scope);
        }
        is_int(wrong, 0, "everybody was told");
        rig_down(r, "model");
    }
}

static void test_refused_memory(void)
{
    uint64_t n = 1;
    for (;; n++) {
        struct wr_heap_failing failing;
        struct got a = {0}, b = {0};
        bool good = false;
        wr_heap_failing_init(&failing, wr_heap_libc(), n, 0, 0);
        struct rig *r = rig_up(&full, (struct wr_conn_pool_options){0}, &failing.heap);
        if (r) {
            r->f.at_once = true;
            int rc = wr_conn_pool_take(r->pool, &r->scope, on_lease, &a);
            kit_turns(&r->k, 3);
            if (a.calls != (rc == 0))
                printf("not ok - allocation %d: take %d, %d calls\n", (int)n, rc, a.calls);
            good = a.calls == 1 && !a.err;
            wr_lease_release(&a.lease);
            good &= !wr_conn_pool_take(r->pool, &r->scope, on_lease, &b);
            kit_turns(&r->k, 3);
            good &= b.calls == 1 && !b.err;
            rig_down(r, NULL);
            if (r->f.opened != r->f.closed)
                printf("not ok - allocation %d: %d opened, %d closed\n", (int)n, r->f.opened,
                       r->f.closed);
        }
        if (!failing.fault.refused) {
            ok(good, "went through when nothing was refused");
            break;
        }
    }
    ok(n > 5, "each of %d allocations was refused once", (int)n - 1);
}

int main(void)
{
    test_take();
    test_bounds();
    test_open_fails();
    test_hang_up();
    test_limits();
    test_leak();
    test_release_while_closing();
    test_greedy();
    test_scope_end();
    test_model();
    test_refused_memory();
    return tap_done();
}
