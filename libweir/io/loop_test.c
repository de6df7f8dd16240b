/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/loop.h"
#include "libweir/os/os.h"
#include "tests/both_kernels.h"
#include "tests/nth.h"

#include <errno.h>
#include <setjmp.h>

#define EDGE_FIRST (EPOLLIN | EPOLLOUT)

static struct wr_loop *make(const struct wr_loop_options *o)
{
    struct wr_loop *l = NULL;
    if (wr_loop_new(o, &l) != 0)
        WR_PANIC("no loop");
    return l;
}

/* ---- events, stale events -------------------------------------------------------------------- */
struct peer {
    struct wr_io io;
    unsigned calls;
    uint32_t events;
    struct peer *victim; /* closed by the first call */
    struct peer *heir;   /* opened on the victim's number */
    struct wr_loop *loop;
};

static void on_event(struct wr_io *io, uint32_t events)
{
    struct peer *p = wr_container_of(io, struct peer, io);
    p->calls++;
    p->events |= events;
    if (!p->victim || !wr_io_is_open(&p->victim->io))
        return;
    int fd = wr_io_fd(&p->victim->io);
    wr_io_close(&p->victim->io);
    if (!p->heir)
        return;
    int again = wr_os_eventfd(0, 0);
    ok(again == fd, "the number is used again");
    is_int(wr_io_open(p->loop, &p->heir->io, again, WR_IO_READ, on_event), 0, "registered");
}

static void open_pair(struct wr_loop *l, struct peer *p, int *out_other)
{
    int s[2];
    if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) ||
        wr_io_open(l, &p->io, s[0], WR_IO_EDGE, on_event))
        WR_PANIC("no pair");
    p->loop = l;
    *out_other = s[1];
}

static void test_edges(void)
{
    struct wr_loop *l = make(NULL);
    struct peer p = {0};
    int other;
    open_pair(l, &p, &other);
    is_int(wr_loop_turn(l, 0), 0, "turn");
    ok(p.calls == 1 && p.events == EPOLLOUT, "writable at first");
    (void)wr_loop_turn(l, 0);
    is_int(p.calls, 1, "an edge is told once");
    (void)!wr_os_send(other, "x", 1, 0);
    (void)wr_loop_turn(l, 0);
    ok(p.calls == 2 && p.events & EPOLLIN, "readable");
    (void)wr_os_close(other);
    (void)wr_loop_turn(l, 0);
    ok(p.calls == 3 && p.events & EPOLLRDHUP, "hang-up");
    int fd = wr_io_fd(&p.io);
    is_int(wr_io_detach(&p.io), fd, "detach gives the descriptor back");
    is_int(wr_io_detach(&p.io), -EBADF, "once");
    is_int(wr_os_close(fd), 0, "open until the caller closes it");
    is_int(wr_io_open(l, &p.io, fd, WR_IO_EDGE, on_event), -EBADF, "a bad one is refused");
    ok(!wr_io_is_open(&p.io), "and stays closed");
    wr_io_close(&p.io);
    wr_loop_free(&l);
    ok(l == NULL, "pointer emptied");
    wr_loop_free(&l);
}

/* Both are ready in one batch; whichever comes first closes the other. */
static void test_stale(bool reuse)
{
    struct wr_loop *l = make(NULL);
    struct peer a = {0}, b = {0}, heir = {0};
    int oa, ob;
    open_pair(l, &a, &oa);
    open_pair(l, &b, &ob);
    a.victim = &b;
    b.victim = &a;
    if (reuse)
        a.heir = b.heir = &heir;
    (void)wr_loop_turn(l, 0);
    is_int(a.calls + b.calls, 1, "the closed one is not called");
    is_int(wr_loop_stats(l)->stale_events, 1, "its event is counted");
    is_int(heir.calls, 0, "and does not reach who got its number");
    (void)wr_loop_turn(l, 0);
    is_int(a.calls + b.calls + heir.calls, 1, "nor later");
    wr_io_close(&a.io);
    wr_io_close(&b.io);
    wr_io_close(&heir.io);
    (void)(wr_os_close(oa) | wr_os_close(ob));
    wr_loop_free(&l);
}

/* A shared descriptor stays registered in the kernel after close: nothing may be reported for it. */
static void test_shared_listener(void)
{
    struct wr_loop *l = make(NULL);
    struct peer p = {0};
    int fd = wr_os_eventfd(1, 0), copy = wr_os_dup(fd);
    is_int(wr_io_open(l, &p.io, fd, WR_IO_LISTEN | WR_IO_EXCLUSIVE, on_event), 0, "exclusive");
    (void)(wr_loop_turn(l, 0) | wr_loop_turn(l, 0));
    is_int(p.calls, 2, "level-triggered: told until it is taken");
    wr_io_close(&p.io);
    (void)wr_loop_turn(l, 0);
    ok(p.calls == 2 && wr_loop_stats(l)->stale_events == 0, "unregistered by close");
    (void)wr_os_close(copy);
    wr_loop_free(&l);
}

/* ---- fairness ------------------------------------------------------------------------------------ */
struct reader {
    struct wr_io io;
    unsigned turns, served_at;
    size_t got;
    struct wr_loop *loop;
};

static void on_read_some(struct wr_io *io, uint32_t events)
{
    struct reader *r = wr_container_of(io, struct reader, io);
    char buf[64];
    if (!(events & EPOLLIN))
        return;
    r->turns++;
    r->served_at = (unsigned)wr_loop_stats(r->loop)->turns;
    for (unsigned i = 0; i < WR_IO_TURN_CALLS; i++) {
        ssize_t n = wr_os_recv(wr_io_fd(io), buf, sizeof buf, 0);
        if (n <= 0)
            return;
        r->got += (size_t)n;
    }
    wr_io_again(io, EPOLLIN);
}

static void test_fairness(void)
{
    struct wr_loop *l = make(NULL);
    struct reader r[2] = {{.loop = l}, {.loop = l}};
    int other[2];
    char lump[16384] = {0};
    for (int i = 0; i < 2; i++) {
        int s[2];
        (void)!wr_os_socketpair(AF_UNIX, SOCK_STREAM, s);
        other[i] = s[1];
        (void)!wr_io_open(l, &r[i].io, s[0], WR_IO_EDGE, on_read_some);
    }
    (void)wr_loop_turn(l, 0);
    is_int(wr_os_send(other[0], lump, sizeof lump, 0), sizeof lump, "one has much");
    is_int(wr_os_send(other[1], lump, 64, 0), 64, "the other little");
    uint64_t before = wr_os_now_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < 40 && r[0].got < sizeof lump; i++)
        (void)wr_loop_turn(l, 1000);
    ok(wr_os_now_ns(CLOCK_MONOTONIC) - before < 900000000, "no turn waited");
    is_int(r[0].got, sizeof lump, "all read without a second edge");
    ok(r[0].turns >= sizeof lump / 64 / WR_IO_TURN_CALLS, "in many turns");
    ok(r[1].got == 64 && r[1].served_at == 1, "the other was served in the first of them");
    ok(wr_loop_stats(l)->continued >= 15, "continuations are counted");
    for (int i = 0; i < 2; i++) {
        wr_io_close(&r[i].io);
        (void)wr_os_close(other[i]);
    }
    wr_loop_free(&l);
}

static void test_again_merges(void)
{
    struct wr_loop *l = make(NULL);
    struct peer p = {0};
    int other;
    open_pair(l, &p, &other);
    (void)wr_loop_turn(l, 0);
    wr_io_again(&p.io, EPOLLOUT);
    (void)!wr_os_send(other, "x", 1, 0);
    p.events = 0;
    (void)wr_loop_turn(l, 0);
    is_int(p.calls, 2, "one call");
    ok((p.events & EDGE_FIRST) == EDGE_FIRST, "for what was owed and what is new");
    wr_io_again(&p.io, EPOLLIN);
    wr_io_close(&p.io);
    (void)wr_loop_turn(l, 0);
    is_int(p.calls, 2, "a closed one is owed nothing");
    (void)wr_os_close(other);
    wr_loop_free(&l);
}

/* ---- order of a turn ---------------------------------------------------------------------------- */
static char order[32];

static void note(char c)
{
    size_t n = strlen(order);
    if (n + 1 < sizeof order)
        order[n] = c;
}

struct stages {
    struct wr_loop *loop;
    struct wr_io io;
    struct wr_timer timer;
    struct wr_task task, late;
    struct wr_free_later memory;
};

static void on_free(struct wr_free_later *f)
{
    (void)f;
    note('x');
}

static void on_late(struct wr_task *t)
{
    (void)t;
    note('L');
}

static void on_flush(struct wr_task *t)
{
    struct stages *s = wr_container_of(t, struct stages, task);
    note('f');
    wr_loop_at_turn_end(s->loop, &s->late);
}

static void on_post(void *arg)
{
    (void)arg;
    note('p');
}

static void on_stage_timer(struct wr_timer *t)
{
    (void)t;
    note('t');
}

static void on_stage_io(struct wr_io *io, uint32_t events)
{
    struct stages *s = wr_container_of(io, struct stages, io);
    if (!(events & EPOLLOUT)) {
        note('c');
        return;
    }
    note('e');
    wr_loop_free_later(s->loop, &s->memory, on_free);
    wr_loop_at_turn_end(s->loop, &s->task);
    wr_loop_at_turn_end(s->loop, &s->task);
    wr_loop_timer_arm(s->loop, &s->timer, 0);
    (void)!wr_loop_post(s->loop, on_post, NULL, NULL);
    wr_io_again(io, EPOLLIN);
}

static void test_order(void)
{
    struct wr_loop *l = make(NULL);
    struct stages s = {.loop = l, .timer.fn = on_stage_timer};
    int fd[2];
    wr_task_init(&s.task, on_flush);
    wr_task_init(&s.late, on_late);
    (void)!wr_os_socketpair(AF_UNIX, SOCK_STREAM, fd);
    (void)!wr_io_open(l, &s.io, fd[0], WR_IO_EDGE, on_stage_io);
    memset(order, 0, sizeof order);
    (void)wr_loop_turn(l, 0);
    is_str(order, "eptfx", "event, post, timer, flush, free");
    (void)wr_loop_turn(l, 1000);
    is_str(order, "eptfxcL", "then what was left over and what a hook scheduled");
    wr_io_close(&s.io);
    (void)wr_os_close(fd[1]);
    wr_loop_free(&l);
}

/* ---- timers -------------------------------------------------------------------------------------- */
static unsigned fired;
static void on_timer(struct wr_timer *t)
{
    (void)t;
    fired++;
}

static void test_timers(void)
{
    struct wr_loop *l = make(NULL);
    struct wr_timer t = {.fn = on_timer};
    uint64_t start = wr_loop_now_ns(l); /* what the timer counts from */
    fired = 0;
    wr_loop_timer_arm(l, &t, 20);
    for (int i = 0; i < 50 && !fired; i++)
        (void)wr_loop_turn(l, -1);
    uint64_t took = wr_os_now_ns(CLOCK_MONOTONIC) - start;
    ok(fired == 1 && took >= 19000000, "a timer wakes the loop, not before its time");
    ok(wr_loop_stats(l)->turns <= 6, "without spinning");
    wr_loop_timer_arm(l, &t, 0);
    wr_loop_timer_cancel(&t);
    (void)wr_loop_turn(l, 0);
    is_int(fired, 1, "a cancelled one is silent");
    wr_loop_timer_arm(l, &t, UINT64_MAX);
    (void)wr_loop_turn(l, 0);
    is_int(fired, 1, "never is never");
    wr_loop_timer_cancel(&t);
    ok(wr_loop_wall_ns(l) > (uint64_t)1700000000 * 1000000000, "the wall clock is today's");
    wr_loop_free(&l);
}

/* What runs earlier in the turn takes nothing from the time of a timer that is armed behind it. */
struct behind {
    struct wr_loop *loop;
    struct wr_timer timer;
    uint64_t armed_ns;
};

static void dawdle(void *arg)
{
    (void)arg;
    (void)wr_os_sleep_ns(80000000);
}

static void arm_behind(void *arg)
{
    struct behind *b = arg;
    b->armed_ns = wr_os_now_ns(CLOCK_MONOTONIC);
    wr_loop_timer_arm(b->loop, &b->timer, 50);
}

static void test_timer_in_a_long_turn(void)
{
    struct behind b = {.loop = make(NULL), .timer.fn = on_timer};
    fired = 0;
    is_int(wr_loop_post(b.loop, dawdle, NULL, NULL), 0, "80 ms for the first");
    is_int(wr_loop_post(b.loop, arm_behind, NULL, &b), 0, "50 ms to go for the second");
    for (int i = 0; i < 50 && !fired; i++)
        (void)wr_loop_turn(b.loop, -1);
    uint64_t took = wr_os_now_ns(CLOCK_MONOTONIC) - b.armed_ns;
    ok(fired == 1 && took >= 49000000, "are 50 ms (%u)", (unsigned)(took / 1000000));
    wr_loop_free(&b.loop);
}

/* The loop stands still past a deadline while bytes lie in more sockets than one batch holds. */
struct late {
    struct wr_io io;
    struct wr_timer deadline;
    bool read, timed_out;
};

static void on_late_read(struct wr_io *io, uint32_t events)
{
    struct late *p = wr_container_of(io, struct late, io);
    if (!(events & EPOLLIN))
        return;
    p->read = true;
    wr_loop_timer_cancel(&p->deadline);
}

static void on_late_deadline(struct wr_timer *t)
{
    wr_container_of(t, struct late, deadline)->timed_out = true;
}

static void test_pause(void)
{
    enum {
        N = 8
    };
    struct wr_loop *l = make(&(struct wr_loop_options){.max_events = 2});
    struct late p[N] = {0};
    int other[N];
    unsigned late = 0, read = 0;
    for (int i = 0; i < N; i++) {
        int s[2];
        (void)!wr_os_socketpair(AF_UNIX, SOCK_STREAM, s);
        other[i] = s[1];
        (void)!wr_io_open(l, &p[i].io, s[0], WR_IO_EDGE, on_late_read);
        p[i].deadline.fn = on_late_deadline;
    }
    for (int i = 0; i < N; i++)
        (void)wr_loop_turn(l, 0);
    for (int i = 0; i < N; i++) {
        wr_loop_timer_arm(l, &p[i].deadline, 500);
        (void)!wr_os_send(other[i], "x", 1, 0);
    }
    struct late silent = {.deadline.fn = on_late_deadline};
    wr_loop_timer_arm(l, &silent.deadline, 500);
    (void)wr_os_sleep_ns(1100000000);
    for (int i = 0; i < N; i++)
        (void)wr_loop_turn(l, 0);
    ok(!silent.timed_out, "and whom our full buffers had stopped gets time to go on");
    for (int i = 0; i < N; i++) {
        late += p[i].timed_out;
        read += p[i].read;
        wr_io_close(&p[i].io);
        (void)wr_os_close(other[i]);
    }
    ok(late == 0 && read == N, "after a pause bytes are read before deadlines are judged");
    is_int(wr_loop_stats(l)->pauses, 1, "the pause is counted");
    for (int i = 0; i < 20 && !silent.timed_out; i++)
        (void)wr_loop_turn(l, 400);
    ok(silent.timed_out, "then deadlines are judged");
    wr_loop_free(&l);
}

/* ---- posts ---------------------------------------------------------------------------------------- */
enum {
    THREADS = 4,
    POSTS = 20000
};

struct storm {
    struct wr_loop *loop;
    unsigned next[THREADS]; /* loop thread only: the next number expected of each thread */
    unsigned ran, disorder;
};

struct poster {
    struct storm *storm;
    unsigned index;
    unsigned refused;
    struct ticket {
        struct storm *storm;
        unsigned index, number;
    } ticket[POSTS];
};

static void on_ticket(void *arg)
{
    struct ticket *t = arg;
    t->storm->ran++;
    if (t->storm->next[t->index]++ != t->number)
        t->storm->disorder++;
    if (t->storm->ran == THREADS * POSTS)
        wr_loop_stop(t->storm->loop);
}

static void post_all(void *arg)
{
    struct poster *p = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        p->ticket[i] = (struct ticket){p->storm, p->index, i};
        while (wr_loop_post(p->storm->loop, on_ticket, NULL, &p->ticket[i]) != 0) {
            p->refused++;
            (void)wr_os_sleep_ns(100000);
        }
    }
}

static struct poster posters[THREADS];

static void test_storm(void)
{
    struct wr_loop *l = make(&(struct wr_loop_options){.max_posts = 1000});
    struct storm s = {.loop = l};
    struct wr_os_thread *t[THREADS];
    unsigned refused = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i].storm = &s;
        posters[i].index = i;
        (void)!wr_os_thread_start(post_all, &posters[i], &t[i]);
    }
    is_int(wr_loop_run(l), 0, "runs until the last post stops it");
    for (unsigned i = 0; i < THREADS; i++) {
        (void)wr_os_thread_join(t[i]);
        refused += posters[i].refused;
    }
    is_int(s.ran, THREADS * POSTS, "every post ran");
    is_int(s.disorder, 0, "each thread's in its order");
    is_int(wr_loop_stats(l)->posts, THREADS * POSTS, "counted");
    ok(wr_loop_stats(l)->posts_refused <= refused, "refusals as well");
    printf("# %u posts refused, %llu turns\n", refused,
           (unsigned long long)wr_loop_stats(l)->turns);
    wr_loop_free(&l);
}

/* Each post finds the loop asleep. */
enum {
    WAKES = 20
};

static unsigned wakes;
static void on_wake(void *arg)
{
    (void)arg;
    wakes++;
}

static void post_slowly(void *arg)
{
    for (int i = 0; i < WAKES; i++) {
        (void)!wr_loop_post(arg, on_wake, NULL, NULL);
        (void)wr_os_sleep_ns(2000000);
    }
}

static void test_wakes(void)
{
    struct wr_loop *l = make(NULL);
    struct wr_os_thread *t;
    (void)!wr_os_thread_start(post_slowly, l, &t);
    for (int i = 0; i < 2 * WAKES && wakes < WAKES; i++)
        (void)wr_loop_turn(l, 2000);
    ok(wakes == WAKES && wr_loop_stats(l)->turns > WAKES / 2,
       "posts wake a sleeping loop, again and again");
    (void)wr_os_thread_join(t);
    wr_loop_free(&l);
}

static unsigned ran, dropped;
static void count_run(void *arg)
{
    (void)arg;
    ran++;
}
static void count_drop(void *arg)
{
    (void)arg;
    dropped++;
}

static void test_post_bounds(void)
{
    struct wr_loop *l = make(&(struct wr_loop_options){.max_posts = 4});
    ran = dropped = 0;
    for (int i = 0; i < 4; i++)
        is_int(wr_loop_post(l, count_run, count_drop, NULL), 0, "room for one more");
    is_int(wr_loop_post(l, count_run, count_drop, NULL), WR_E_QUEUE_FULL, "full");
    (void)wr_loop_turn(l, 1000);
    ok(ran == 4 && dropped == 0, "run");
    is_int(wr_loop_stats(l)->posts_refused, 1, "the refusal is counted");
    is_int(wr_loop_call(l, count_run, count_drop, NULL), 0, "a call in the loop's thread");
    is_int(ran, 5, "runs at once");
    is_int(wr_loop_post(l, count_run, count_drop, NULL), 0, "one more");
    wr_loop_stop(l);
    is_int(wr_loop_post(l, count_run, count_drop, NULL), WR_E_STOPPED, "none after stop");
    is_int(wr_loop_run(l), 0, "run returns at once");
    wr_loop_free(&l);
    ok(ran == 5 && dropped == 1, "what did not run is dropped");
}

/* ---- what it knows about itself ----------------------------------------------------------------- */
static struct wr_loop_stats *watched;
static int watched_fd;

static void on_slow(struct wr_io *io, uint32_t events)
{
    (void)events;
    ok(watched->running_fn == (uint64_t)(uintptr_t)on_slow, "who runs can be seen");
    is_int(watched->running_fd, wr_io_fd(io), "and for which descriptor");
    ok(watched->running_since_ns != 0, "since when");
    (void)wr_os_sleep_ns(5000000);
}

static void on_slow_timer(struct wr_timer *t)
{
    (void)t;
    (void)wr_os_sleep_ns(10000000);
}

static void on_slow_deadline(struct wr_deadline *d)
{
    (void)d;
    (void)wr_os_sleep_ns(20000000);
}

static void test_slow_timers(void)
{
    struct wr_loop *l = make(NULL);
    const struct wr_loop_stats *s = wr_loop_stats(l);
    struct wr_timer quick = {.fn = on_timer}, slow = {.fn = on_slow_timer};
    struct wr_deadline d = {.fn = on_slow_deadline};
    wr_loop_timer_arm(l, &slow, 0);
    wr_loop_timer_arm(l, &quick, 0);
    (void)wr_loop_turn(l, 0);
    ok(s->longest_fn == (uint64_t)(uintptr_t)on_slow_timer && s->longest_ns >= 10000000,
       "a slow timer is named");
    wr_deadline_start(&d, wr_loop_wheel(l), wr_loop_now_ms(l), 1);
    for (int i = 0; i < 20 && s->timers < 3; i++)
        (void)wr_loop_turn(l, 10);
    ok(s->longest_fn == (uint64_t)(uintptr_t)on_slow_deadline && s->longest_ns >= 20000000,
       "so is a slow deadline");
    is_int(s->timers, 3, "timers are counted");
    wr_loop_free(&l);
}

static void test_stats(void)
{
    struct wr_loop_stats stats;
    struct wr_loop *l = make(&(struct wr_loop_options){.stats = &stats});
    struct peer quick = {0};
    struct wr_io slow = {0};
    int other, s[2];
    watched = &stats;
    open_pair(l, &quick, &other);
    (void)!wr_os_socketpair(AF_UNIX, SOCK_STREAM, s);
    (void)!wr_io_open(l, &slow, s[0], WR_IO_EDGE, on_slow);
    watched_fd = s[0];
    (void)wr_loop_turn(l, 0);
    ok(wr_loop_stats(l) == &stats, "in the memory it was given");
    ok(stats.longest_fn == (uint64_t)(uintptr_t)on_slow && stats.longest_fd == watched_fd,
       "the longest callback is named");
    ok(stats.longest_ns >= 5000000 && stats.lag_max_ns >= stats.longest_ns, "and timed");
    (void)wr_loop_turn(l, 2);
    ok(stats.turns == 2 && stats.events == 2, "turns and events");
    ok(stats.busy_ns >= 5000000 && stats.waited_ns >= 1500000, "busy and waiting");
    uint64_t sum = 0;
    for (int i = 0; i < 32; i++)
        sum += stats.lag_log2[i];
    is_int(sum, 2, "every turn is in the histogram");
    wr_io_close(&slow);
    wr_io_close(&quick.io);
    (void)(wr_os_close(other) | wr_os_close(s[1]));
    wr_loop_free(&l);
}

/* ---- faults ---------------------------------------------------------------------------------------- */
static jmp_buf panicked;
static char panic_text[256];
static void on_panic(const char *message)
{
    (void)snprintf(panic_text, sizeof panic_text, "%s", message);
    longjmp(panicked, 1);
}

static int use_in_child(void *arg)
{
    struct wr_loop *l = arg;
    (void)wr_panic_set_hook(on_panic);
    if (setjmp(panicked) == 0)
        return wr_loop_run(l) ? 2 : 3;
    if (!strstr(panic_text, "make loops after the fork"))
        return 4;
    wr_loop_free(&l); /* the child's copies only */
    return 0;
}

static void test_fork(void)
{
    struct wr_loop *l = make(NULL);
    struct peer p = {0};
    int status = -1, got = 0;
    (void)!wr_io_open(l, &p.io, wr_os_eventfd(1, 0), WR_IO_READ, on_event);
    pid_t pid = wr_os_spawn(use_in_child, l, NULL);
    for (int i = 0; i < 2000 && got == 0; i++) {
        got = wr_os_reap(pid, &status);
        (void)wr_os_sleep_ns(1000000);
    }
    is_int(status, 0, "a loop used after a fork stops with a sentence");
    (void)wr_loop_turn(l, 0);
    is_int(p.calls, 1, "the child's farewell took nothing from the parent");
    wr_io_close(&p.io);
    wr_loop_free(&l);
}

/* ---- announced ---------------------------------------------------------------------------------- */
struct asked {
    struct wr_io io;
    struct wr_io *other;
    bool announced, other_announced;
    unsigned calls;
};

static void on_asked(struct wr_io *io, uint32_t events)
{
    struct asked *a = wr_container_of(io, struct asked, io);
    (void)events;
    a->calls++;
    a->announced = wr_io_announced(io);
    a->other_announced = wr_io_announced(a->other);
}

/* What the kernel says counts, not what was left over from an earlier turn, and for whom it said it. */
static void test_announced(void)
{
    struct wr_loop *l = make(NULL);
    struct asked a = {0}, b = {0};
    a.other = &b.io;
    b.other = &a.io;
    if (wr_io_open(l, &a.io, wr_os_eventfd(1, 0), WR_IO_EDGE, on_asked) ||
        wr_io_open(l, &b.io, wr_os_eventfd(0, 0), WR_IO_EDGE, on_asked))
        WR_PANIC("no io");
    (void)wr_loop_turn(l, 0);
    ok(a.calls == 1 && a.announced && !a.other_announced, "bytes that the kernel tells of");
    ok(b.calls == 1 && !b.announced, "room to write alone is none of it");
    wr_io_again(&a.io, EPOLLIN);
    (void)wr_loop_turn(l, 0);
    ok(a.calls == 2 && !a.announced, "nor is what was left over");
    ok(!wr_io_announced(&a.io), "outside of a call nothing is");
    wr_io_close(&a.io);
    wr_io_close(&b.io);
    ok(!wr_io_announced(&a.io), "closed");
    wr_loop_free(&l);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct wr_loop *l;
    (void)arg;
    int err = wr_loop_new(&(struct wr_loop_options){.heap = heap, .max_posts = 8}, &l);
    if (err)
        return err;
    struct wr_io io[40] = {0};
    for (int i = 0; i < 40 && !err; i++) {
        int fd = wr_os_eventfd(0, 0);
        err = wr_io_open(l, &io[i], fd, WR_IO_READ, on_event);
        if (err)
            (void)wr_os_close(fd);
    }
    if (!err)
        err = wr_loop_turn(l, 0);
    for (int i = 0; i < 40; i++)
        wr_io_close(&io[i]);
    wr_loop_free(&l);
    return err;
}

static int all_tests(void *arg)
{
    (void)arg;
    test_fork(); /* before the first thread */
    test_edges();
    test_stale(false);
    test_stale(true);
    test_shared_listener();
    test_fairness();
    test_again_merges();
    test_order();
    test_timers();
    test_timer_in_a_long_turn();
    test_pause();
    test_post_bounds();
    test_storm();
    test_wakes();
    test_stats();
    test_slow_timers();
    test_announced();
    (void)nth_every("loop", scenario, NULL);
    return 0;
}

BOTH_KERNELS(all_tests)
