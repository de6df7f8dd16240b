/* SPDX-License-Identifier: BSD-2-Clause */

/* The system calls on time, memory, processes, signals and threads; and what scenarios may look at. */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"
#include "libweir/base/mutant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#define EPOCH_NS (1790000000ull * SIM_S) /* wall clock when the world begins */

uint64_t wr_os_now_ns(clockid_t clock)
{
    struct sim_world *w = sim_world;
    struct sim_proc *p = w->current ? sim_self() : NULL;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        return EPOCH_NS + w->now;
    if (clock == CLOCK_THREAD_CPUTIME_ID || clock == CLOCK_PROCESS_CPUTIME_ID)
        return p ? p->cpu_ns : 0;
    w->now += 20; /* a clock that is read forever in a loop does advance */
    return w->now;
}

int wr_os_sleep_ns(uint64_t ns)
{
    sim_enter();
    while (sim_park(NULL, sim_now() + ns))
        ; /* nothing wakes it early */
    return 0;
}

int wr_os_random(void *out, size_t n)
{
    sim_enter();
    unsigned char *p = out;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)sim_rand(256);
    return 0;
}

int wr_os_madvise(void *p, size_t n, int advice)
{
    sim_enter();
    (void)p, (void)n, (void)advice;
    return 0;
}

int wr_os_mprotect(void *p, size_t n, int prot)
{
    return wr_os_madvise(p, n, prot);
}

/* ---- processes ------------------------------------------------------------------------------------- */
static unsigned task_count(struct sim_proc *p)
{
    unsigned n = 0;
    for (struct sim_list *it = p->tasks.next; it != &p->tasks; it = it->next)
        n++;
    return n;
}

pid_t wr_os_spawn(int (*fn)(void *arg), void *arg, int *out_pidfd)
{
    sim_enter();
    struct sim_proc *parent = sim_self();
    WR_ASSERT(task_count(parent) == 1);
    if (sim_fault(sim_world->opt.faults.no_buffers))
        return -EAGAIN;
    struct sim_proc *p = sim_proc_new(parent->name, parent);
    free(p->fds);
    p->fd_count = parent->fd_count;
    p->fds = calloc(p->fd_count, sizeof(struct sim_file *));
    WR_ASSERT(p->fds);
    for (unsigned fd = 0; fd < parent->fd_count; fd++) {
        p->fds[fd] = parent->fds[fd];
        if (p->fds[fd]) {
            p->fds[fd]->refs++;
            p->fd_open++;
        }
    }
    p->sigmask = parent->sigmask;
    memcpy(p->limits, parent->limits, sizeof p->limits);
    struct sim_task *t = sim_task_new(p);
    t->is_main = true;
    t->main_fn = fn;
    t->arg = arg;
    if (out_pidfd) {
        int fd = sim_fd_new(sim_pidfd_new(p));
        if (fd < 0) {
            sim_proc_end(p, SIGKILL);
            sim_proc_free(p);
            return fd;
        }
        *out_pidfd = fd;
    }
    sim_trace("spawn() = %d", p->pid);
    return p->pid;
}

void wr_os_exit(int status)
{
    sim_enter();
    sim_proc_end(sim_self(), (status & 0xff) << 8);
    sim_task_leave();
}

int wr_os_hostname(char *out, size_t n)
{
    (void)snprintf(out, n, "simulated");
    return 0;
}

void wr_os_calendar(int64_t s, bool utc, struct tm *out)
{
    time_t t = (time_t)s;
    (void)utc;
    if (!gmtime_r(&t, out))
        *out = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_zone = "UTC"};
}

int wr_os_resolve(const char *host, struct sockaddr_storage *out, unsigned max)
{
    (void)host;
    (void)out;
    (void)max;
    return 0;
}

int wr_os_realpath(const char *path, char out[static 4096])
{
    return snprintf(out, 4096, "%s", path) < 4096 ? 0 : -ENAMETOOLONG;
}

pid_t wr_os_getpid(void)
{
    return sim_self()->pid;
}

pid_t wr_os_getppid(void)
{
    return -ENOSYS;
}

int wr_os_thread_count(void)
{
    return (int)task_count(sim_self());
}

int wr_os_reap(pid_t pid, int *out_status)
{
    sim_enter();
    struct sim_proc *p = sim_proc_find(pid);
    if (!p || p->parent != sim_self()->pid || p->reaped)
        return -ECHILD;
    if (!p->ended)
        return 0;
    *out_status = p->status;
    sim_trace("reap(%d) = 0x%x", pid, p->status);
    p->reaped = true;
    return 1;
}

int wr_os_kill(pid_t pid, int sig)
{
    sim_enter();
    struct sim_proc *p = sim_proc_find(pid);
    if (!p || p->reaped)
        return -ESRCH;
    sim_post_signal(p, sig);
    if (sim_self()->ended)
        sim_task_leave();
    if (sim_self()->stopped)
        sim_yield();
    return 0;
}

int wr_os_pidfd_signal(int pidfd, int sig)
{
    sim_enter();
    struct sim_file *f = sim_fd_get(pidfd);
    struct sim_proc *p = f ? sim_pidfd_proc(f) : NULL;
    if (!f)
        return -EBADF;
    if (!p || p->ended)
        return p && !p->reaped && sig >= 0 && !p->ended ? 0 : -ESRCH;
    sim_post_signal(p, sig);
    return 0;
}

int wr_os_parent_death_signal(int sig)
{
    sim_enter();
    sim_self()->death_signal = sig;
    return 0;
}

int wr_os_set_name(const char *name)
{
    snprintf(sim_self()->name, sizeof sim_self()->name, "%s", name);
    return 0;
}

int wr_os_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    sim_enter();
    struct sim_proc *p = sim_self();
    uint64_t was = p->sigmask;
    if (set) {
        uint64_t bits = sim_set_bits(set);
        p->sigmask = how == SIG_BLOCK ? was | bits : how == SIG_UNBLOCK ? was & ~bits : bits;
    }
    if (old) {
        sigemptyset(old);
        for (int s = 1; s < 65; s++)
            if (was & (1ull << (s - 1)))
                sigaddset(old, s);
    }
    for (int s = 1; s < 65 && !p->ended; s++) {
        uint64_t b = 1ull << (s - 1);
        if ((p->pending & b) && !(p->sigmask & b)) {
            p->pending &= ~b;
            sim_post_signal(p, s);
        }
    }
    if (p->ended)
        sim_task_leave();
    return 0;
}

int wr_os_signalfd(const sigset_t *set)
{
    sim_enter();
    int r = sim_fd_new(sim_signalfd_new(set));
    sim_trace("signalfd() = %d", r);
    return r;
}

int wr_os_signalfd_read(int fd, struct signalfd_siginfo *out)
{
    sim_enter();
    struct sim_file *f = sim_fd_get(fd);
    if (!f)
        return -EBADF;
    return f->kind == SIM_SIGNALFD ? sim_signalfd_take(f, out) : -EINVAL;
}

int wr_os_rlimit_get(int what, struct rlimit *out)
{
    *out = sim_self()->limits[what];
    return 0;
}

int wr_os_rlimit_set(int what, const struct rlimit *in)
{
    sim_self()->limits[what] = *in;
    return 0;
}

int wr_os_set_affinity(unsigned cpu)
{
    (void)cpu;
    return 0;
}

int wr_os_cpu_count(void)
{
    return 4;
}

/* ---- threads --------------------------------------------------------------------------------------- */
/* The handle is the task; joining frees it. */
int wr_os_thread_start(void (*fn)(void *arg), void *arg, struct wr_os_thread **out)
{
    sim_enter();
    struct sim_proc *p = sim_self();
    if (task_count(p) > 16 || sim_fault(sim_world->opt.faults.no_buffers))
        return -EAGAIN;
    struct sim_task *t = sim_task_new(p);
    t->thread_fn = fn;
    t->arg = arg;
    *out = (struct wr_os_thread *)(void *)t;
    return 0;
}

int wr_os_thread_join(struct wr_os_thread *thread)
{
    sim_enter();
    struct sim_task *t = (struct sim_task *)(void *)thread;
    t->joiner = sim_world->current;
    while (t->state != SIM_ENDED)
        (void)sim_park(NULL, UINT64_MAX);
    free(t);
    return 0;
}

uintptr_t wr_os_thread_self(void)
{
    return (uintptr_t)sim_world->current;
}

/* ---- what scenarios see ------------------------------------------------------------------------------ */
bool wr_mutant_on(const char *name)
{
    const char *on = sim_world ? sim_world->opt.mutant : NULL;
    return on && strcmp(on, name) == 0;
}

bool sim_alive(pid_t pid)
{
    struct sim_proc *p = sim_proc_find(pid);
    return p && !p->ended;
}

bool sim_asleep(pid_t pid)
{
    struct sim_proc *p = sim_proc_find(pid);
    if (!p || p->ended)
        return false;
    SIM_EACH_SAFE(&p->tasks, it, next)
    {
        if (wr_container_of(it, struct sim_task, node)->state != SIM_WAITING)
            return false;
    }
    return true;
}

uint32_t sim_poll_now(int fd)
{
    struct sim_file *f = sim_fd_get(fd);
    return f ? f->ops->poll(f) : 0;
}

int sim_fds(pid_t pid)
{
    struct sim_proc *p = sim_proc_find(pid);
    return p ? (int)p->fd_open : -1;
}

const char *sim_fd_kinds(pid_t pid)
{
    static const char letters[] = "EesdrwFTUu"; /* as enum sim_kind */
    static char text[128];
    struct sim_proc *p = sim_proc_find(pid);
    size_t n = 0;
    for (unsigned fd = 0; p && fd < p->fd_count && n + 1 < sizeof text; fd++)
        if (p->fds[fd])
            text[n++] = letters[p->fds[fd]->kind];
    text[n] = 0;
    return text;
}

size_t sim_heap_live(pid_t pid)
{
    struct sim_proc *p = sim_proc_find(pid);
    return p ? p->heap_live : 0;
}

size_t sim_heap_peak(pid_t pid)
{
    struct sim_proc *p = sim_proc_find(pid);
    return p ? p->heap_peak : 0;
}

uint64_t sim_mapped(pid_t pid)
{
    struct sim_proc *p = sim_proc_find(pid);
    return p ? p->mapped : 0;
}

int sim_exit_status(pid_t pid)
{
    struct sim_proc *p = sim_proc_find(pid);
    return p && p->ended ? p->status : -1;
}

pid_t sim_child(pid_t parent, unsigned nth)
{
    SIM_EACH_SAFE(&sim_world->procs, it, next)
    {
        struct sim_proc *p = wr_container_of(it, struct sim_proc, node);
        if (p->parent == parent && !p->ended && nth-- == 0)
            return p->pid;
    }
    return 0;
}

uint64_t sim_heap_calls(void)
{
    return sim_world->heap_calls;
}

void sim_heap_refuse_nth(pid_t pid, uint64_t nth)
{
    struct sim_proc *p = sim_proc_find(pid);
    if (p)
        p->refuse_nth = nth;
}
