/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/loop.h"
#include "libweir/base/assert.h"
#include "libweir/io/loop_impl.h"

#include <errno.h>
#include <limits.h>

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

/* After a pause deadlines wait: so long for peers that our full buffers had stopped, and then for this many
 * turns at most while there are bytes to read first. */
#define HELD_MS        250
#define HELD_TURNS_MAX 64

/* ---- who runs, and for how long ------------------------------------------------------------- */
void wr_loop_longest_(struct wr_loop *l, uint64_t took, void (*fn)(void), int fd)
{
    uint64_t now = l->mark_ns;
    WR_LOOP_PUBLISH(l->stats->longest_ns, took);
    WR_LOOP_PUBLISH(l->stats->longest_fn, (uint64_t)(uintptr_t)fn);
    WR_LOOP_PUBLISH(l->stats->longest_fd, fd);
    WR_LOOP_PUBLISH(l->stats->longest_at_ns, now);
}

static void account_second(struct wr_loop *l)
{
    uint64_t span = l->mark_ns - l->second_ns;
    if (span < S)
        return;
    WR_LOOP_PUBLISH(l->stats->busy_permille, l->second_busy_ns * 1000 / span);
    l->second_ns = l->mark_ns;
    l->second_busy_ns = 0;
}

static void account(struct wr_loop *l)
{
    struct wr_loop_stats *s = l->stats;
    uint64_t busy = l->mark_ns - l->clock.now_ns;
    unsigned log2 = busy ? 63u - (unsigned)__builtin_clzll(busy) : 0;
    s->turns++;
    s->busy_ns += busy;
    s->lag_log2[log2 < 31 ? log2 : 31]++;
    WR_LOOP_PUBLISH(s->lag_ns, busy);
    if (busy > s->lag_max_ns)
        WR_LOOP_PUBLISH(s->lag_max_ns, busy);
    WR_LOOP_PUBLISH(s->posts_refused, __atomic_load_n(&l->posts_refused, __ATOMIC_RELAXED));
    l->second_busy_ns += busy;
    account_second(l);
}

/* ---- the turn, in the order of wr_loop_turn ------------------------------------------------- */
static int wait_ms(struct wr_loop *l, int max_wait_ms)
{
    if (!wr_list_empty(&l->again) || !wr_list_empty(&l->tasks) || l->frees ||
        !wr_mpmc_empty(&l->posts))
        return 0;
    uint64_t now_ms = l->mark_ns / MS;
    uint64_t due_ms = l->clock.paused ? l->held_until_ms : wr_wheel_next_due(&l->wheel);
    if (l->mem_due_ms < due_ms)
        due_ms = l->mem_due_ms;
    if (due_ms == UINT64_MAX)
        return max_wait_ms;
    uint64_t left = due_ms > now_ms ? due_ms - now_ms : 0;
    int wait = left < INT_MAX ? (int)left : INT_MAX;
    return max_wait_ms < 0 || wait < max_wait_ms ? wait : max_wait_ms;
}

/* Returns the number of events. */
static int turn_wait(struct wr_loop *l, int max_wait_ms)
{
    int timeout_ms = wait_ms(l, max_wait_ms);
    WR_LOOP_PUBLISH(l->stats->running_since_ns, 0);
    int n = wr_os_epoll_wait(l->ep, l->events, (int)l->max_events, timeout_ms);
    bool was_paused = l->clock.paused;
    wr_clock_read(&l->clock, timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * MS);
    if (l->clock.paused && !was_paused) {
        l->stats->pauses++;
        l->held_until_ms = wr_clock_ms(&l->clock) + HELD_MS;
    }
    l->stats->waited_ns += l->clock.now_ns - l->mark_ns;
    l->mark_ns = l->clock.now_ns;
    return n;
}

static void turn_events(struct wr_loop *l, int n)
{
    l->stats->events += (uint64_t)n;
    for (int i = 0; i < n; i++)
        wr_loop_dispatch_(l, &l->events[i]);
}

static void timer_ended(struct wr_loop *l)
{
    if (l->timer_fn)
        wr_loop_leave_(l, l->timer_fn, -1);
    l->timer_fn = NULL;
}

/* The wheel tells when a timer begins; the one before it has ended then. */
static void timer_begins(struct wr_wheel *w, void (*fn)(void))
{
    struct wr_loop *l = wr_container_of(w, struct wr_loop, wheel);
    timer_ended(l);
    l->timer_fn = fn;
    wr_loop_enter_(l, fn, -1);
}

/* Who stood still cannot blame its peers: after a pause what has arrived is read before deadlines are
 * judged. */
static void turn_timers(struct wr_loop *l, int n)
{
    if (l->clock.paused) {
        if (wr_clock_ms(&l->clock) < l->held_until_ms)
            return;
        bool more = (uint32_t)n == l->max_events || !wr_list_empty(&l->again);
        if (more && l->timers_held++ < HELD_TURNS_MAX)
            return;
        l->timers_held = 0;
        wr_clock_resume(&l->clock);
    }
    uint64_t now_ms = wr_clock_ms(&l->clock);
    if (wr_wheel_next_due(&l->wheel) > now_ms)
        return;
    l->stats->timers += wr_wheel_advance(&l->wheel, now_ms);
    timer_ended(l);
}

static void turn_flush(struct wr_loop *l)
{
    struct wr_list now, *link;
    wr_list_init(&now);
    wr_list_splice_tail(&now, &l->tasks);
    while ((link = wr_list_pop(&now))) {
        struct wr_task *t = wr_container_of(link, struct wr_task, link);
        void (*fn)(struct wr_task *) = t->fn;
        wr_loop_enter_(l, WR_FN(fn), -1);
        fn(t);
        wr_loop_leave_(l, WR_FN(fn), -1);
    }
}

static void run_frees(struct wr_loop *l)
{
    struct wr_free_later *f;
    while ((f = l->frees)) {
        l->frees = f->next;
        if (!l->frees)
            l->frees_end = &l->frees;
        f->fn(f); /* may add more */
    }
}

static void turn_free(struct wr_loop *l)
{
    if (l->frees) {
        void (*fn)(void) = WR_FN(l->frees->fn);
        wr_loop_enter_(l, fn, -1);
        run_frees(l);
        wr_loop_leave_(l, fn, -1);
    }
    l->mem_due_ms = wr_mem_tick(&l->mem, wr_clock_ms(&l->clock));
}

/*
 * One iteration. What a callback starts in one step is seen by the steps below it in the same turn, and
 * by the steps above it in the next one, which then does not wait.
 */
int wr_loop_turn(struct wr_loop *l, int max_wait_ms)
{
    WR_DEBUG_ASSERT(wr_os_getpid() == l->pid);
    int n = turn_wait(l, max_wait_ms); /* ... and read the clock, once */
    if (n < 0)
        return n;
    wr_list_splice_tail(&l->resume, &l->again);
    turn_events(l, n);
    wr_loop_run_posts_(l); /* from other threads */
    wr_loop_resume_(l);    /* owed since the last turn */
    turn_timers(l, n);     /* after the events: bytes that are here are not late */
    turn_flush(l);         /* output of all of the above, once */
    turn_free(l);          /* nobody is on the stack any more */
    account(l);
    return 0;
}

/* A child shares the parent's epoll: what it registers or removes there happens to the parent. */
static void check_process(const struct wr_loop *l)
{
    pid_t pid = wr_os_getpid();
    if (pid != l->pid)
        WR_PANIC("wr_loop_run: this loop was made by process %d and is used in its child %d; "
                 "make loops after the fork",
                 (int)l->pid, (int)pid);
}

int wr_loop_run(struct wr_loop *l)
{
    check_process(l);
    __atomic_store_n(&l->thread, wr_os_thread_self(), __ATOMIC_RELAXED);
    while (!wr_loop_stopped(l)) {
        int err = wr_loop_turn(l, -1);
        if (err)
            return err;
    }
    return 0;
}

/* ---- birth and death ------------------------------------------------------------------------- */
static void set_defaults(struct wr_loop *l, const struct wr_loop_options *o)
{
    l->ep = l->wake_fd = -1;
    l->budget = o->budget;
    l->max_events = o->max_events ? o->max_events : 512;
    l->stats = o->stats ? o->stats : &l->own_stats;
    l->frees_end = &l->frees;
    l->pid = wr_os_getpid();
    l->thread = wr_os_thread_self();
    wr_list_init(&l->again);
    wr_list_init(&l->resume);
    wr_list_init(&l->tasks);
    wr_clock_init(&l->clock);
    l->mark_ns = l->second_ns = l->clock.now_ns;
    wr_wheel_init(&l->wheel, wr_clock_ms(&l->clock));
    l->wheel.watch = timer_begins;
    wr_slots_init(&l->ios, l->heap, o->max_ios);
    *l->stats = (struct wr_loop_stats){
        .running_fd = -1, .longest_fd = -1, .started_ns = l->clock.now_ns};
}

static int acquire_memory(struct wr_loop *l, const struct wr_loop_options *o)
{
    l->events = wr_heap_array(l->heap, l->max_events, sizeof *l->events);
    l->scratch = wr_heap_alloc(l->heap, WR_LOOP_SCRATCH);
    if (!l->events || !l->scratch)
        return -ENOMEM;
    int err = wr_mpmc_init(&l->posts, l->heap, o->max_posts ? o->max_posts : 4096);
    if (err)
        return err;
    wr_os_pages_init(&l->pages, l->heap);
    err = wr_mem_init(&l->mem, l->heap, &l->pages.pages, NULL);
    if (err)
        return err;
    return wr_block_pool_init(&l->blocks, &l->mem, l->budget, 0); /* no reserve: cannot fail */
}

/* Writing to a peer that is gone is an error code, not the end of the process. */
static int block_sigpipe(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    return wr_os_sigmask(SIG_BLOCK, &set, NULL);
}

static int acquire_kernel(struct wr_loop *l)
{
    int err = block_sigpipe();
    if (err)
        return err;
    l->ep = wr_os_epoll_create();
    if (l->ep < 0)
        return l->ep;
    return wr_loop_open_wake_(l);
}

int wr_loop_new(const struct wr_loop_options *options, struct wr_loop **out_loop)
{
    static const struct wr_loop_options defaults;
    const struct wr_loop_options *o = options ? options : &defaults;
    const struct wr_heap *heap = o->heap ? o->heap : wr_os_heap();
    struct wr_loop *l = wr_heap_zalloc(heap, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->heap = heap;
    set_defaults(l, o);
    int err = acquire_memory(l, o);
    if (!err)
        err = acquire_kernel(l);
    if (err) {
        wr_loop_free(&l);
        return err;
    }
    *out_loop = l;
    return 0;
}

static void release_memory(struct wr_loop *l)
{
    if (l->blocks.mem) {
        wr_block_pool_deinit(&l->blocks);
        wr_mem_deinit(&l->mem);
        wr_os_pages_deinit(&l->pages);
    }
    wr_mpmc_deinit(&l->posts);
    wr_slots_deinit(&l->ios);
    wr_heap_free(l->heap, l->scratch, WR_LOOP_SCRATCH);
    wr_heap_free(l->heap, l->events, l->max_events * sizeof *l->events);
    wr_heap_free(l->heap, l, sizeof *l);
}

static void close_kernel(struct wr_loop *l)
{
    if (l->wake_fd >= 0)
        (void)wr_os_close(l->wake_fd);
    if (l->ep >= 0)
        (void)wr_os_close(l->ep);
}

void wr_loop_free(struct wr_loop **loop)
{
    struct wr_loop *l = *loop;
    if (!l)
        return;
    *loop = NULL;
    if (wr_os_getpid() != l->pid) {
        wr_loop_forget_ios_(l);
        close_kernel(l);
        return;
    }
    if (l->posts.cell)
        wr_loop_drop_posts_(l);
    run_frees(l);
    WR_ASSERT(wr_slots_count(&l->ios) == 0);
    close_kernel(l);
    release_memory(l);
}

/* ---- within the loop --------------------------------------------------------------------------- */
uint64_t wr_loop_now_ms(const struct wr_loop *l)
{
    return wr_clock_ms(&l->clock);
}

uint64_t wr_loop_now_ns(const struct wr_loop *l)
{
    return l->clock.now_ns;
}

uint64_t wr_loop_wall_ns(struct wr_loop *l)
{
    return wr_clock_wall_ns(&l->clock);
}

struct wr_wheel *wr_loop_wheel(struct wr_loop *l)
{
    return &l->wheel;
}

void wr_loop_set_leases(struct wr_loop *l, struct wr_leases *leases)
{
    l->leases = leases;
}

struct wr_leases *wr_loop_leases(const struct wr_loop *l)
{
    return l->leases;
}

const struct wr_heap *wr_loop_heap(const struct wr_loop *l)
{
    return l->heap;
}

struct wr_budget *wr_loop_budget(const struct wr_loop *l)
{
    return l->budget;
}

struct wr_mem *wr_loop_mem(struct wr_loop *l)
{
    return &l->mem;
}

struct wr_block_pool *wr_loop_blocks(struct wr_loop *l)
{
    return &l->blocks;
}

const struct wr_loop_stats *wr_loop_stats(const struct wr_loop *l)
{
    return l->stats;
}

char *wr_loop_scratch(struct wr_loop *l)
{
    return l->scratch;
}

void wr_task_init(struct wr_task *t, void (*fn)(struct wr_task *task))
{
    t->fn = fn;
    wr_list_init(&t->link);
}

void wr_loop_at_turn_end(struct wr_loop *l, struct wr_task *t)
{
    if (!wr_list_linked(&t->link))
        wr_list_add_tail(&l->tasks, &t->link);
}

void wr_task_cancel(struct wr_task *t)
{
    wr_list_remove(&t->link);
}

bool wr_task_scheduled(const struct wr_task *t)
{
    return wr_list_linked(&t->link);
}

void wr_loop_free_later(struct wr_loop *l, struct wr_free_later *f,
                        void (*fn)(struct wr_free_later *f))
{
    *f = (struct wr_free_later){.fn = fn};
    *l->frees_end = f;
    l->frees_end = &f->next;
}

void wr_loop_timer_arm(struct wr_loop *l, struct wr_timer *timer, uint64_t after_ms)
{
    uint64_t now_ms = l->mark_ns / MS;
    wr_wheel_arm(&l->wheel, timer,
                 after_ms < UINT64_MAX - now_ms ? now_ms + after_ms : UINT64_MAX);
}

void wr_loop_timer_cancel(struct wr_timer *timer)
{
    wr_wheel_cancel(timer);
}
