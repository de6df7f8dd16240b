/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The world: randomness, the plan of events, the scheduler.
 *
 * One turn of the scheduler: run what is due; if a task is ready, let the seed choose one and run it
 * until it parks; else jump to the next event. Tasks pay for system calls with time, so that others'
 * events happen between their calls, and may lose the processor at each of them.
 */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_world *sim_world;

#define CAPTURE_MAX (64u << 10)

/* ---- chance: xoshiro256** seeded by splitmix64 ------------------------------------------------------ */
static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t random_next(uint64_t s[4])
{
    uint64_t r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return r;
}

uint64_t sim_rand(uint64_t n)
{
    return n < 2 ? 0
                 : (uint64_t)(((unsigned __int128)random_next(sim_world->random) * n) >> 64);
}

bool sim_chance(unsigned per_thousand)
{
    return per_thousand && sim_rand(1000) < per_thousand;
}

bool sim_fault(unsigned per_thousand)
{
    return per_thousand && sim_chance(per_thousand);
}

uint64_t sim_now(void)
{
    return sim_world->now;
}

uint64_t sim_steps(void)
{
    return sim_world ? sim_world->steps : 0;
}

const char *sim_running(void)
{
    static char text[48];
    const struct sim_task *t = sim_world ? sim_world->current : NULL;
    if (!t)
        return "the simulated kernel";
    (void)snprintf(text, sizeof text, "process %d (%s)", t->proc->pid, t->proc->name);
    return text;
}

void sim_set_faults(const struct sim_faults *faults)
{
    sim_world->opt.faults = *faults;
}

/* ---- the plan --------------------------------------------------------------------------------------- */
static bool plan_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void plan_set(uint32_t i, struct sim_event *e)
{
    sim_world->plan[i] = e;
    e->place = i + 1;
}

static void plan_up(uint32_t i)
{
    struct sim_event *e = sim_world->plan[i];
    while (i > 0 && plan_before(e, sim_world->plan[(i - 1) / 2])) {
        plan_set(i, sim_world->plan[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    plan_set(i, e);
}

static void plan_down(uint32_t i)
{
    struct sim_event *e = sim_world->plan[i];
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= sim_world->planned)
            break;
        if (child + 1 < sim_world->planned &&
            plan_before(sim_world->plan[child + 1], sim_world->plan[child]))
            child++;
        if (!plan_before(sim_world->plan[child], e))
            break;
        plan_set(i, sim_world->plan[child]);
        i = child;
    }
    plan_set(i, e);
}

void sim_cancel(struct sim_event *e)
{
    if (!e->place)
        return;
    uint32_t i = e->place - 1;
    e->place = 0;
    struct sim_event *last = sim_world->plan[--sim_world->planned];
    if (last == e)
        return;
    plan_set(i, last);
    plan_up(i);
    plan_down(last->place - 1);
}

void sim_at(struct sim_event *e, uint64_t at_ns)
{
    struct sim_world *w = sim_world;
    sim_cancel(e);
    if (w->planned == w->plan_room) {
        w->plan_room = w->plan_room ? w->plan_room * 2 : 256;
        w->plan = realloc(w->plan, w->plan_room * sizeof w->plan[0]);
        WR_ASSERT(w->plan);
    }
    e->at = at_ns < w->now ? w->now : at_ns;
    e->order = (sim_rand(1u << 16) << 40) | w->next_order++;
    w->plan[w->planned++] = e;
    plan_up(w->planned - 1);
}

void sim_after(struct sim_event *e, uint64_t delay_ns)
{
    sim_at(e, delay_ns > UINT64_MAX - sim_world->now ? UINT64_MAX : sim_world->now + delay_ns);
}

void sim_run_due(void)
{
    struct sim_world *w = sim_world;
    while (w->planned > 0 && w->plan[0]->at <= w->now && !w->violated) {
        struct sim_event *e = w->plan[0];
        sim_cancel(e);
        w->steps++;
        e->fn(e);
    }
}

/* ---- violations, trace, output ---------------------------------------------------------------------- */
void sim_violation(const char *fmt, ...)
{
    if (sim_world->violated)
        return;
    sim_world->violated = true;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sim_world->violation, sizeof sim_world->violation, fmt, ap);
    va_end(ap);
}

const char *sim_violated(void)
{
    return sim_world->violated ? sim_world->violation : NULL;
}

void sim_give_up(void)
{
    while (sim_world->current && sim_world->violated)
        sim_yield();
}

void sim_trace(const char *fmt, ...)
{
    struct sim_world *w = sim_world;
    if (!w->opt.trace)
        return;
    struct sim_proc *p = w->current ? w->current->proc : NULL;
    printf("%6llu.%06llu %8llu ", (unsigned long long)(w->now / SIM_MS),
           (unsigned long long)(w->now % SIM_MS), (unsigned long long)w->steps);
    if (p)
        printf("%5d %-8.8s ", p->pid, p->name);
    else
        printf("      kernel   ");
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

const char *sim_captured(void)
{
    return sim_world->captured ? sim_world->captured : "";
}

/* ---- scheduling --------------------------------------------------------------------------------------- */
static void ready_remove(struct sim_task *t)
{
    struct sim_world *w = sim_world;
    if (!t->ready_place)
        return;
    uint32_t i = t->ready_place - 1;
    t->ready_place = 0;
    struct sim_task *last = w->ready[--w->ready_count];
    if (last == t)
        return;
    w->ready[i] = last;
    last->ready_place = i + 1;
}

static void ready_add(struct sim_task *t)
{
    struct sim_world *w = sim_world;
    t->state = SIM_READY;
    if (t->ready_place || t->proc->stopped || t->proc->paused)
        return;
    if (w->ready_count == w->ready_room) {
        w->ready_room = w->ready_room ? w->ready_room * 2 : 64;
        w->ready = realloc(w->ready, w->ready_room * sizeof w->ready[0]);
        WR_ASSERT(w->ready);
    }
    w->ready[w->ready_count++] = t;
    t->ready_place = w->ready_count;
}

void sim_resume(struct sim_task *t)
{
    if (t->state == SIM_WAITING)
        ready_add(t);
}

/* Stopped and paused processes keep their tasks' states; these are ready again when they go on. */
static void proc_hold(struct sim_proc *p)
{
    SIM_EACH_SAFE(&p->tasks, it, next)
    {
        ready_remove(wr_container_of(it, struct sim_task, node));
    }
}

static void proc_release(struct sim_proc *p)
{
    if (p->stopped || p->paused)
        return;
    SIM_EACH_SAFE(&p->tasks, it, next)
    {
        struct sim_task *t = wr_container_of(it, struct sim_task, node);
        if (t->state == SIM_READY)
            ready_add(t);
    }
}

static void pause_over(struct sim_event *e)
{
    struct sim_proc *p = wr_container_of(e, struct sim_proc, pause);
    p->paused = false;
    proc_release(p);
}

struct sim_proc *sim_self(void)
{
    return sim_world->current->proc;
}

void sim_yield(void)
{
    ready_add(sim_world->current);
    sim_switch_back(false);
}

void sim_enter(void)
{
    struct sim_world *w = sim_world;
    struct sim_task *t = w->current;
    WR_ASSERT(t);
    uint64_t cost = 300 + (w->steps * 0x9e3779b97f4a7c15ull >> 55); /* 300..811 ns */
    w->now += cost;
    t->proc->cpu_ns += cost;
    w->steps++;
    if (w->steps > w->opt.max_steps)
        sim_violation("endless: %llu steps", (unsigned long long)w->steps);
    if (w->planned > 0 && w->plan[0]->at <= w->now) {
        sim_run_due();
        if (t->proc->ended)
            sim_task_leave();
    }
    if (w->violated || t->proc->stopped)
        sim_yield();
    if (w->opt.faults.pause && sim_rand(20000) < w->opt.faults.pause) {
        t->proc->paused = true;
        sim_after(&t->proc->pause, 1 + sim_rand(50 * SIM_MS));
        proc_hold(t->proc);
        sim_yield();
    } else if (sim_fault(w->opt.faults.preempt)) {
        sim_yield();
    }
}

static bool task_wake(struct sim_waiter *wt, uint32_t key)
{
    (void)key;
    struct sim_task *t = wr_container_of(wt, struct sim_task, waiter);
    sim_resume(t);
    return true;
}

static void task_timeout(struct sim_event *e)
{
    struct sim_task *t = wr_container_of(e, struct sim_task, timeout);
    t->timed_out = true;
    sim_resume(t);
}

void sim_hold(struct sim_file *f)
{
    f->refs++;
    sim_world->current->held = f;
}

void sim_let_go(void)
{
    struct sim_file *f = sim_world->current->held;
    sim_world->current->held = NULL;
    sim_file_drop(f);
}

bool sim_park(struct sim_file *f, uint64_t until_ns)
{
    struct sim_task *t = sim_world->current;
    t->timed_out = false;
    t->state = SIM_WAITING;
    if (f)
        sim_list_add(&f->waiters, &t->waiter.node);
    if (until_ns != UINT64_MAX)
        sim_at(&t->timeout, until_ns);
    sim_switch_back(false);
    sim_list_del(&t->waiter.node);
    sim_cancel(&t->timeout);
    return !t->timed_out;
}

/* A process that ended itself lies on the stack it ended on until here. */
static void run_task(struct sim_task *t)
{
    struct sim_proc *p = t->proc;
    ready_remove(t);
    sim_switch_to(t);
    if (p->ended) {
        sim_memory_drop(p);
        return;
    }
    if (t->state == SIM_ENDED && !t->is_main) {
        sim_list_del(&t->node);
        if (t->joiner)
            sim_resume(t->joiner);
    }
}

enum sim_end sim_run(uint64_t until_ns)
{
    struct sim_world *w = sim_world;
    for (;;) {
        if (w->violated)
            return SIM_VIOLATED;
        sim_run_due();
        if (w->ready_count > 0) {
            if (w->now >= until_ns)
                return SIM_TIME;
            run_task(w->ready[sim_rand(w->ready_count)]);
            continue;
        }
        if (w->violated)
            continue;
        if (w->planned == 0)
            return SIM_IDLE;
        if (w->plan[0]->at > until_ns) {
            w->now = until_ns > w->now ? until_ns : w->now;
            return SIM_TIME;
        }
        if (w->plan[0]->at > w->now)
            w->now = w->plan[0]->at;
    }
}

/* ---- tasks and processes: birth and death -------------------------------------------------------------- */
struct sim_task *sim_task_new(struct sim_proc *p)
{
    struct sim_task *t = calloc(1, sizeof *t);
    WR_ASSERT(t);
    t->proc = p;
    sim_list_init(&t->waiter.node);
    t->waiter.fn = task_wake;
    t->timeout.fn = task_timeout;
    uint64_t used = 0;
    SIM_EACH_SAFE(&p->tasks, it, next)
    {
        used |= 1ull << wr_container_of(it, struct sim_task, node)->stack_slot;
    }
    t->stack_slot = p->stack_depth;
    while (used & (1ull << t->stack_slot))
        t->stack_slot++;
    WR_ASSERT(t->stack_slot < SIM_STACKS);
    sim_list_add(&p->tasks, &t->node);
    t->state = SIM_WAITING;
    ready_add(t);
    return t;
}

void sim_task_leave(void)
{
    sim_world->current->state = SIM_ENDED;
    sim_switch_back(true);
    WR_PANIC("a task that left ran again");
}

struct sim_proc *sim_proc_find(pid_t pid)
{
    SIM_EACH_SAFE(&sim_world->procs, it, next)
    {
        struct sim_proc *p = wr_container_of(it, struct sim_proc, node);
        if (p->pid == pid)
            return p;
    }
    return NULL;
}

struct sim_proc *sim_proc_new(const char *name, struct sim_proc *parent)
{
    struct sim_proc *p = calloc(1, sizeof *p);
    WR_ASSERT(p);
    p->pid = ++sim_world->last_pid;
    p->parent = parent ? parent->pid : 1;
    snprintf(p->name, sizeof p->name, "%s", name);
    sim_list_init(&p->tasks);
    sim_list_init(&p->signalfds);
    sim_list_init(&p->pidfds);
    p->pause.fn = pause_over;
    p->fd_count = 64;
    p->fds = calloc(p->fd_count, sizeof(struct sim_file *));
    for (unsigned i = 0; i < RLIM_NLIMITS; i++)
        p->limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    p->limits[RLIMIT_NOFILE] = (struct rlimit){sim_world->opt.nofile, 20000};
    sim_memory_new(p, parent);
    sim_list_add(&sim_world->procs, &p->node);
    return p;
}

pid_t sim_start(const char *name, int (*fn)(void *arg), void *arg)
{
    struct sim_proc *p = sim_proc_new(name, NULL);
    for (int i = 0; i < 3; i++) {
        int err = 0;
        struct sim_file *f = sim_file_open(i ? "/dev/stderr" : "/dev/null", 2, 0, &err);
        p->fds[p->fd_open++] = f;
    }
    struct sim_task *t = sim_task_new(p);
    t->is_main = true;
    t->main_fn = fn;
    t->arg = arg;
    return p->pid;
}

static void tasks_free(struct sim_proc *p)
{
    SIM_EACH_SAFE(&p->tasks, it, next)
    {
        struct sim_task *t = wr_container_of(it, struct sim_task, node);
        ready_remove(t);
        sim_cancel(&t->timeout);
        sim_list_del(&t->waiter.node);
        if (t->held)
            sim_file_drop(t->held);
        t->held = NULL;
        if (t == sim_world->current)
            continue; /* it is on its way out, on this very stack */
        sim_list_del(&t->node);
        free(t);
    }
}

/* Ends p, whoever asks for it. When the current task belongs to p, it must leave at once. */
void sim_proc_end(struct sim_proc *p, int status)
{
    if (p->ended)
        return;
    p->ended = true;
    p->status = status;
    sim_trace("process %d (%s) ends, status 0x%x", p->pid, p->name, status);
    sim_cancel(&p->pause);
    tasks_free(p);
    for (unsigned fd = 0; fd < p->fd_count; fd++)
        if (p->fds[fd])
            sim_fd_close(p, (int)fd);
    if (!sim_world->current || sim_world->current->proc != p)
        sim_memory_drop(p);
    if (p->exit_watch)
        sim_wake(p->exit_watch, EPOLLIN);
    SIM_EACH_SAFE(&p->pidfds, it, next)
    {
        sim_wake(sim_pidfd_file(it), EPOLLIN);
    }
    SIM_EACH_SAFE(&sim_world->procs, it2, next2)
    {
        struct sim_proc *child = wr_container_of(it2, struct sim_proc, node);
        if (child->parent != p->pid)
            continue;
        child->parent = 1;
        if (!child->ended && child->death_signal)
            sim_post_signal(child, child->death_signal);
        if (child->ended)
            child->reaped = true;
    }
    struct sim_proc *parent = sim_proc_find(p->parent);
    if (parent && !parent->ended)
        sim_post_signal(parent, SIGCHLD);
    else
        p->reaped = true;
}

/*
 * A stop ends a wait, as in Linux: the task leaves the wait queue (so no exclusive wake is spent on it),
 * and when it goes on epoll_wait returns early while a blocking read begins again.
 */
static void proc_interrupt(struct sim_proc *p)
{
    SIM_EACH_SAFE(&p->tasks, it, next)
    {
        struct sim_task *t = wr_container_of(it, struct sim_task, node);
        if (t->state != SIM_WAITING || sim_list_empty(&t->waiter.node))
            continue;
        sim_list_del(&t->waiter.node);
        sim_cancel(&t->timeout);
        t->timed_out = true;
        t->state = SIM_READY;
    }
}

void sim_proc_stop(struct sim_proc *p, bool stop)
{
    if (p->stopped == stop)
        return;
    p->stopped = stop;
    if (stop) {
        proc_interrupt(p);
        proc_hold(p);
    } else {
        proc_release(p);
    }
}

void sim_proc_free(struct sim_proc *p)
{
    SIM_EACH_SAFE(&p->tasks, it, next)
    {
        struct sim_task *t = wr_container_of(it, struct sim_task, node);
        sim_list_del(&t->node);
        free(t);
    }
    sim_memory_drop(p);
    sim_list_del(&p->node);
    free(p->fds);
    free(p);
}

/* ---- the world's own birth and death ------------------------------------------------------------------ */
static void options_default(struct sim_options *o)
{
    if (!o->somaxconn)
        o->somaxconn = 4096;
    if (!o->port_min)
        o->port_min = 32768;
    if (!o->port_max)
        o->port_max = 60999;
    if (!o->nofile)
        o->nofile = 1024;
    if (!o->tcp_sndbuf)
        o->tcp_sndbuf = 256u << 10;
    if (!o->tcp_rcvbuf)
        o->tcp_rcvbuf = 128u << 10;
    if (!o->latency_ns)
        o->latency_ns = 100 * SIM_US;
    if (!o->max_steps)
        o->max_steps = 50000000;
}

void sim_open(const struct sim_options *options)
{
    WR_ASSERT(!sim_world);
    struct sim_world *w = calloc(1, sizeof *w);
    WR_ASSERT(w);
    sim_world = w;
    w->opt = *options;
    options_default(&w->opt);
    uint64_t x = w->opt.seed;
    for (int i = 0; i < 4; i++)
        w->random[i] = splitmix(&x);
    w->last_pid = 1000;
    w->now = SIM_S;
    sim_list_init(&w->procs);
    sim_list_init(&w->tcps);
    sim_list_init(&w->listeners);
    sim_list_init(&w->bound_udp);
    sim_list_init(&w->bound_unix);
    sim_list_init(&w->flying);
    w->captured = calloc(1, CAPTURE_MAX + 1);
    WR_ASSERT(w->captured);
    sim_memory_open();
    sim_files_open_all();
}

void sim_capture(const char *bytes, size_t n)
{
    struct sim_world *w = sim_world;
    if (n > CAPTURE_MAX / 2)
        n = CAPTURE_MAX / 2;
    if (w->captured_n + n > CAPTURE_MAX) {
        size_t keep = CAPTURE_MAX / 4;
        memmove(w->captured, w->captured + w->captured_n - keep, keep);
        w->captured_n = keep;
    }
    memcpy(w->captured + w->captured_n, bytes, n);
    w->captured_n += n;
    w->captured[w->captured_n] = 0;
    if (w->opt.trace)
        sim_trace("output: %.*s", (int)n, bytes);
}

void sim_close(void)
{
    struct sim_world *w = sim_world;
    w->opt.trace = false;
    for (struct sim_list *it = w->procs.next; it != &w->procs; it = it->next)
        sim_proc_end(wr_container_of(it, struct sim_proc, node), 9);
    while (!sim_list_empty(&w->procs))
        sim_proc_free(wr_container_of(w->procs.next, struct sim_proc, node));
    sim_tcp_close_all();
    sim_udp_close_all();
    sim_files_close_all();
    free(w->plan);
    free(w->ready);
    free(w->captured);
    free(w);
    sim_world = NULL;
}
