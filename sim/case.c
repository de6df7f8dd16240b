/* SPDX-License-Identifier: BSD-2-Clause */

#include "sim/case.h"

#include "libweir/base/assert.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define WATCH_NS (200 * SIM_MS)

uint64_t case_draw(struct sim_case *c, uint64_t n)
{
    uint64_t z = (c->draw += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return n < 2 ? 0 : z % n;
}

bool case_often(struct sim_case *c, unsigned per_thousand)
{
    return case_draw(c, 1000) < per_thousand;
}

/* Each kind of weather is there in some seeds only: faults that always come together hide each other. */
void case_weather(struct sim_case *c, struct sim_options *o)
{
    struct sim_faults *f = &o->faults;
    o->seed = c->seed;
    o->mutant = c->mutant;
    o->trace = c->trace;
    o->latency_ns = (10 + case_draw(c, 2000)) * SIM_US;
    o->jitter_ns = case_often(c, 500) ? case_draw(c, 20000) * SIM_US : 0;
    f->split = case_often(c, 500) ? (unsigned)case_draw(c, 600) : 0;
    f->short_read = case_often(c, 400) ? (unsigned)case_draw(c, 500) : 0;
    f->short_write = case_often(c, 400) ? (unsigned)case_draw(c, 500) : 0;
    f->one_byte = case_often(c, 300) ? (unsigned)case_draw(c, 500) : 0;
    f->preempt = case_often(c, 700) ? (unsigned)case_draw(c, 200) : 0;
    f->wait_spurious = case_often(c, 300) ? (unsigned)case_draw(c, 300) : 0;
    f->accept_again = case_often(c, 300) ? (unsigned)case_draw(c, 300) : 0;
    f->accept_aborted = case_often(c, 200) ? (unsigned)case_draw(c, 100) : 0;
    f->pause = case_often(c, 200) ? 1 + (unsigned)case_draw(c, 20) : 0;
    if (case_often(c, 300))
        o->tcp_rcvbuf = 512u << case_draw(c, 6);
    if (case_often(c, 300))
        o->tcp_sndbuf = 2048u << case_draw(c, 6);
}

void case_panicked(const char *message)
{
    sim_violation("I7 %s", message);
    sim_give_up(); /* a process goes no further; the world's own mistake aborts */
}

void case_open(struct sim_case *c, const struct sim_options *o)
{
    sim_open(o);
    (void)wr_panic_set_hook(case_panicked);
    c->time_limit_ns = 900 * SIM_S;
}

static int fds_of_family(pid_t pid)
{
    int n = sim_fds(pid);
    for (unsigned i = 0; sim_child(pid, i); i++)
        n += sim_fds(sim_child(pid, i));
    return n;
}

static size_t heap_of_family(pid_t pid)
{
    size_t n = sim_heap_live(pid);
    for (unsigned i = 0; sim_child(pid, i); i++)
        n += sim_heap_live(sim_child(pid, i));
    return n;
}

/* A second is enough to start; what is there then is what must be there in the end. */
void case_start(struct sim_case *c, const char *name, int (*fn)(void *arg), void *arg)
{
    c->pid = sim_start(name, fn, arg);
    (void)sim_run(sim_now() + 3 * SIM_S);
    if (!sim_violated() && !sim_alive(c->pid))
        sim_violation("the service ended while it started, status 0x%x: %s",
                      sim_exit_status(c->pid), sim_captured());
    struct sim_host_view v;
    sim_look(&v);
    for (pid_t p = c->pid, i = 0; p; p = sim_child(c->pid, (unsigned)i++))
        sim_trace("start: process %d holds %d descriptors: %s", p, sim_fds(p), sim_fd_kinds(p));
    c->base_fds = fds_of_family(c->pid);
    c->base_fds_first = sim_fds(c->pid);
    c->base_heap = heap_of_family(c->pid);
    c->base_files = v.open_files;
}

void case_crowd(struct sim_case *c, const struct crowd_options *o)
{
    WR_ASSERT(c->crowd_count < WR_ARRAY_LEN(c->crowds));
    c->crowds[c->crowd_count++] = crowd_new(o);
}

static bool crowds_done(const struct sim_case *c)
{
    for (unsigned i = 0; i < c->crowd_count; i++)
        if (!crowd_done(c->crowds[i]))
            return false;
    return true;
}

/* The invariants that can be looked at any time (I2, I4). */
static void case_watch(struct sim_event *e)
{
    struct sim_case *c = wr_container_of(e, struct sim_case, watch);
    struct sim_host_view v;
    sim_look(&v);
    for (unsigned i = 0; i < c->crowd_count; i++)
        crowd_check(c->crowds[i]);
    uint64_t patience = c->queue_patience_ns ? c->queue_patience_ns
                        : c->queue_may_wait  ? 60 * SIM_S
                                             : 3 * SIM_S;
    if (v.oldest_queued_ns > patience)
        sim_violation("I5 accept queue: %u wait, the eldest for %llu ms", v.queued,
                      (unsigned long long)(v.oldest_queued_ns / SIM_MS));
    if (v.lost_queued > 0 && c->scenario && sim_alive(c->pid))
        sim_violation("I2 %llu completed connections died with a listener's queue",
                      (unsigned long long)v.lost_queued);
    if (!sim_alive(c->pid) && !c->orphans)
        sim_violation("the service ended by itself, status 0x%x: %.300s",
                      sim_exit_status(c->pid), sim_captured());
    sim_after(&c->watch, WATCH_NS);
}

void case_play(struct sim_case *c)
{
    c->watch.fn = case_watch;
    sim_after(&c->watch, WATCH_NS);
    uint64_t limit = sim_now() + c->time_limit_ns;
    while (!sim_violated() && !crowds_done(c)) {
        if (sim_now() >= limit)
            sim_violation("endless: the crowds are not done after %llu s",
                          (unsigned long long)(c->time_limit_ns / SIM_S));
        (void)sim_run(sim_now() + 50 * SIM_MS);
    }
    for (unsigned i = 0; i < c->crowd_count; i++) {
        crowd_check(c->crowds[i]);
        c->requests += crowd_tally(c->crowds[i])->requests;
        c->answers += crowd_tally(c->crowds[i])->answers;
    }
}

/* I3, I5: some seconds after the clients left, the machine is as it was before they came. */
void case_rest(struct sim_case *c, bool replaced)
{
    (void)sim_run(sim_now() + 15 * SIM_S);
    struct sim_host_view v;
    sim_look(&v);
    if (v.queued || v.embryos || v.close_wait || v.established)
        sim_violation("I5 rest: %u queued, %u embryos, %u in CLOSE_WAIT, %u established",
                      v.queued, v.embryos, v.close_wait, v.established);
    /* Those that were replaced inherited what the first process holds by now. */
    int fds = replaced ? sim_fds(c->pid) : fds_of_family(c->pid);
    int base = replaced ? c->base_fds_first : c->base_fds;
    for (pid_t p = c->pid, i = 0; p; p = sim_child(c->pid, (unsigned)i++))
        sim_trace("rest: process %d holds %d descriptors: %s", p, sim_fds(p), sim_fd_kinds(p));
    if (fds != base)
        sim_violation("I3 rest: %d descriptors, %d before the clients came", fds, base);
    size_t heap = heap_of_family(c->pid);
    if (!replaced && heap > c->base_heap + (256u << 10))
        sim_violation("I3 rest: %zu bytes of heap, %zu before the clients came", heap,
                      c->base_heap);
}

void case_stop(struct sim_case *c, int sig, uint64_t within_ns)
{
    sim_cancel(&c->watch);
    sim_signal(c->pid, sig);
    uint64_t limit = sim_now() + within_ns;
    while (!sim_violated() && sim_alive(c->pid) && sim_now() < limit)
        (void)sim_run(sim_now() + 50 * SIM_MS);
    if (sim_violated())
        return;
    int status = sim_exit_status(c->pid);
    struct sim_host_view v;
    sim_look(&v);
    if (sim_alive(c->pid))
        sim_violation("stop: still running %llu s after signal %d",
                      (unsigned long long)(within_ns / SIM_S), sig);
    else if (status != 0 && !c->exit_any)
        sim_violation("stop: status 0x%x: %.300s", status, sim_captured());
    else if (sim_heap_live(c->pid) != 0 || sim_mapped(c->pid) != 0)
        sim_violation("I3 leak: %zu bytes of heap and %llu of pages at the end of process %d",
                      sim_heap_live(c->pid), (unsigned long long)sim_mapped(c->pid), c->pid);
    else if (v.processes > 0)
        sim_violation("I6 %u processes are left behind", v.processes);
}

bool case_run(struct sim_case *c)
{
    c->draw = c->seed ^ 0x7765697273696dull;
    c->scenario->run(c);
    c->simulated_ns = sim_now();
    bool clean = !sim_violated();
    if (!clean)
        printf("seed %llu scenario %s step %llu: invariant %s\n", (unsigned long long)c->seed,
               c->scenario->name, (unsigned long long)sim_steps(), sim_violated());
    sim_cancel(&c->watch);
    while (c->crowd_count > 0)
        crowd_free(c->crowds[--c->crowd_count]);
    sim_close();
    return clean;
}
