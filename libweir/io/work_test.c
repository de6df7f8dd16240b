/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/io/work.h"
#include "libweir/os/os.h"
#include "tests/both_kernels.h"
#include "tests/nth.h"

/* A job and what happened to it. gate: blocks fn until somebody adds to it. */
struct job {
    int gate;
    bool ran; /* written by the thread, read after drop */
    unsigned done, drop;
    int result;
    struct wr_work_pool **free_in_done;
};

static int fn(void *arg)
{
    struct job *j = arg;
    uint64_t n;
    if (j->gate >= 0)
        (void)!wr_os_eventfd_take(j->gate, &n);
    j->ran = true;
    return 42;
}

static void done(void *arg, int result)
{
    struct job *j = arg;
    j->done++;
    j->result = result;
    if (j->free_in_done)
        wr_work_pool_free(j->free_in_done);
}

static void drop(void *arg)
{
    ((struct job *)arg)->drop++;
}

static struct wr_loop *l;
static struct wr_scope scope;

static struct wr_work_pool *start(uint32_t threads, uint32_t max_jobs)
{
    struct wr_work_pool *p;
    if (wr_loop_new(NULL, &l) ||
        wr_work_pool_new(l, &(struct wr_work_options){threads, max_jobs}, &p))
        WR_PANIC("no pool");
    wr_scope_init(&scope, l, NULL, 0);
    return p;
}

static void finish(struct wr_work_pool **p)
{
    wr_work_pool_free(p);
    wr_scope_deinit(&scope);
    wr_loop_free(&l);
}

static void turn_until(const unsigned *count, unsigned n)
{
    for (int i = 0; i < 5000 && *count < n; i++)
        (void)wr_loop_turn(l, 1000);
}

static int submit(struct wr_work_pool *p, struct job *j)
{
    return wr_work_submit(p, &scope, fn, done, drop, j);
}

static void test_many(void)
{
    enum {
        N = 2000
    };
    static struct job job[N];
    struct wr_work_pool *p = start(3, 16);
    unsigned once = 0, full = 0;
    for (unsigned i = 0; i < N; i++) {
        job[i] = (struct job){.gate = -1};
        while (submit(p, &job[i]) == WR_E_QUEUE_FULL) {
            full++;
            (void)wr_loop_turn(l, 1000);
        }
    }
    turn_until(&job[N - 1].drop, 1);
    for (int i = 0; i < 100 && wr_work_stats(p).outstanding; i++)
        (void)wr_loop_turn(l, 1000);
    for (unsigned i = 0; i < N; i++)
        once += job[i].ran && job[i].done == 1 && job[i].drop == 1 && job[i].result == 42;
    is_int(once, N, "each ran, done once, dropped once");
    struct wr_work_stats s = wr_work_stats(p);
    ok(s.submitted == N && s.finished == N && s.outstanding == 0, "and the numbers agree");
    ok(s.refused == full && s.threads <= 3, "the queue is bounded, so are the threads");
    finish(&p);
}

static void test_cancel(void)
{
    struct wr_work_pool *p = start(1, 2);
    int gate = wr_os_eventfd(0, WR_OS_BLOCKING);
    struct job a = {.gate = gate}, b = {.gate = -1}, c = {.gate = -1};
    is_int(wr_work_stats(p).threads, 0, "no thread before there is work");
    is_int(submit(p, &a) | submit(p, &b), 0, "one runs, one waits");
    is_int(submit(p, &c), WR_E_QUEUE_FULL, "a third is refused");
    ok(c.done == 0 && c.drop == 0, "and untouched");
    (void)wr_loop_turn(l, 20); /* until a runs */
    wr_scope_cancel(&scope, WR_E_DEADLINE);
    ok(a.done == 1 && b.done == 1 && a.result == WR_E_DEADLINE, "cancelled at once");
    is_int(a.drop, 0, "but the thread still has it");
    is_int(submit(p, &c), WR_E_DEADLINE, "nothing begins in a dead scope");
    (void)wr_os_eventfd_add(gate, 1);
    turn_until(&b.drop, 1);
    ok(a.done == 1 && a.drop == 1 && a.result == WR_E_DEADLINE, "the late result is dropped");
    ok(b.done == 1 && b.drop == 1 && !b.ran, "what waited never ran");
    is_int(wr_work_stats(p).cancelled, 2, "counted");
    finish(&p);
    (void)wr_os_close(gate);
}

static void test_free_while_busy(void)
{
    struct wr_work_pool *p = start(2, 8);
    struct job job[8];
    unsigned good = 0;
    for (int i = 0; i < 8; i++) {
        job[i] = (struct job){.gate = -1};
        (void)!submit(p, &job[i]);
    }
    finish(&p);
    for (int i = 0; i < 8; i++)
        good += job[i].done == 1 && job[i].drop == 1 && job[i].result == WR_E_STOPPED;
    is_int(good, 8, "a pool that is freed ends all its jobs");
    ok(p == NULL, "pointer emptied");
}

static void test_free_in_done(void)
{
    struct wr_work_pool *p = start(2, 8);
    struct job a = {.gate = -1}, b = {.gate = -1};
    a.free_in_done = &p;
    is_int(submit(p, &a), 0, "one");
    turn_until(&a.done, 1);
    ok(a.done == 1 && a.drop == 1 && a.result == 42 && !p, "whose done frees the pool");
    (void)b;
    finish(&p);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct wr_loop *loop;
    struct wr_work_pool *p;
    struct wr_scope s;
    struct job j = {.gate = -1};
    (void)arg;
    int err = wr_loop_new(&(struct wr_loop_options){.heap = heap, .max_posts = 8}, &loop);
    if (err)
        return err;
    err = wr_work_pool_new(loop, NULL, &p);
    if (!err) {
        wr_scope_init(&s, loop, NULL, 0);
        err = wr_work_submit(p, &s, fn, done, drop, &j);
        wr_work_pool_free(&p);
        wr_scope_deinit(&s);
    }
    wr_loop_free(&loop);
    return err;
}

static int all_tests(void *arg)
{
    (void)arg;
    test_many();
    test_cancel();
    test_free_while_busy();
    test_free_in_done();
    (void)nth_every("work", scenario, NULL);
    return 0;
}

BOTH_KERNELS(all_tests)
