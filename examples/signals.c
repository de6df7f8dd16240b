/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signals
 *
 * All signals come to one place, the loop, while other threads work: they are blocked in every thread and
 * read from a descriptor. No handler runs anywhere, no system call of a thread is interrupted.
 *
 *     signals &     kill -USR1 %1;  kill -HUP %1;  kill -TERM %1
 *
 * Prints each signal, who sent it and which thread took it; at the end how many jobs the threads did and
 * how many of their sleeps were cut short: none.
 */
#include "libweir/libweir.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2
#define JOB_MS  20

struct program {
    struct wr_loop *loop;
    struct wr_scope scope;
    struct wr_signal signals;
    struct wr_work_pool *pool;
    atomic_uint interrupted; /* counted by the threads */
    unsigned jobs, taken;
    bool stopping;
};

/* In a thread of the pool. */
static int work(void *arg)
{
    struct program *p = arg;
    struct timespec t = {0, JOB_MS * 1000000L};
    if (nanosleep(&t, NULL) != 0)
        atomic_fetch_add(&p->interrupted, 1);
    return 0;
}

/* In the loop's thread again: the next job follows. */
static void on_done(void *arg, int result)
{
    struct program *p = arg;
    p->jobs += result == 0;
    if (!p->stopping && wr_work_submit(p->pool, &p->scope, work, on_done, NULL, p) != 0)
        wr_loop_stop(p->loop);
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct program *p = wr_container_of(s, struct program, signals);
    p->taken++;
    printf("SIG%s from %u, taken by %s\n", sigabbrev_np((int)info->ssi_signo), info->ssi_pid,
           gettid() == getpid() ? "the main thread" : "ANOTHER THREAD");
    (void)fflush(stdout);
    if (info->ssi_signo == SIGTERM || info->ssi_signo == SIGINT) {
        p->stopping = true;
        wr_loop_stop(p->loop);
    }
}

static int start(struct program *p)
{
    sigset_t set = wr_signal_set(SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, 0);
    int rc = wr_signal_open(p->loop, &p->signals, &set, on_signal); /* before the threads */
    if (rc == 0)
        rc = wr_work_pool_new(p->loop, &(struct wr_work_options){.threads = THREADS}, &p->pool);
    for (unsigned i = 0; rc == 0 && i < THREADS; i++)
        rc = wr_work_submit(p->pool, &p->scope, work, on_done, NULL, p);
    return rc;
}

int main(void)
{
    struct program p = {.jobs = 0};
    int rc = wr_loop_new(NULL, &p.loop);
    if (rc)
        return 1;
    wr_scope_init(&p.scope, p.loop, NULL, 0);
    rc = start(&p);
    if (rc == 0)
        printf("%d at work in %d threads\n", (int)getpid(), THREADS);
    (void)fflush(stdout);
    if (rc == 0)
        rc = wr_loop_run(p.loop);
    p.stopping = true;
    wr_work_pool_free(&p.pool);
    wr_signal_close(&p.signals);
    wr_scope_deinit(&p.scope);
    wr_loop_free(&p.loop);
    printf("%u signals taken, %u jobs done, %u sleeps interrupted\n", p.taken, p.jobs,
           atomic_load(&p.interrupted));
    return rc ? 1 : 0;
}
