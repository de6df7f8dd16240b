/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jobs lie in one array, made with the pool. A job's number of owners is always one: the free list, the
 * queue, a thread, the finished queue. The loop alone runs done and drop.
 */
#include "libweir/io/work.h"
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/io/loop.h"
#include "libweir/io/mpmc.h"
#include "libweir/io/scope.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <sys/eventfd.h>

#define THREADS_MAX 64

/* Who moves a job on from QUEUED decides whether its fn runs. */
enum {
    QUEUED,
    RUNNING,
    SKIPPED
};

struct job {
    struct wr_op op;
    int (*fn)(void *arg);
    void (*done)(void *arg, int result);
    void (*drop)(void *arg);
    void *arg;
    struct wr_work_pool *pool;
    struct job *next_free;
    int result;
    int state; /* atomic */
};

struct wr_work_pool {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    struct wr_io io; /* finished jobs */
    int finished_fd;
    int jobs_fd; /* a semaphore: queued jobs, and one for each thread at the end */
    struct job *jobs, *free;
    uint32_t max_jobs, max_threads;
    struct wr_work_stats stats;
    struct wr_os_thread *thread[THREADS_MAX];
    struct wr_mpmc queue, finished;
    bool woken;    /* atomic: finished_fd was written and not yet taken */
    bool stopping; /* atomic */
    bool closed;
    struct wr_free_later memory;
};

/* ---- in the threads ------------------------------------------------------------------------------ */
static void wake_loop(struct wr_work_pool *p)
{
    if (!__atomic_exchange_n(&p->woken, true, __ATOMIC_ACQ_REL))
        (void)wr_os_eventfd_add(p->finished_fd, 1);
}

static void run(struct wr_work_pool *p, struct job *j)
{
    int queued = QUEUED;
    if (__atomic_compare_exchange_n(&j->state, &queued, RUNNING, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        j->result = j->fn(j->arg);
    bool put = wr_mpmc_push(&p->finished, (struct wr_mpmc_item){.arg = j});
    WR_ASSERT(put); /* it has room for every job there is */
    wake_loop(p);
}

static void thread_main(void *arg)
{
    struct wr_work_pool *p = arg;
    struct wr_mpmc_item it;
    uint64_t one;
    while (wr_os_eventfd_take(p->jobs_fd, &one) == 0) {
        if (wr_mpmc_pop(&p->queue, &it))
            run(p, it.arg);
        else if (__atomic_load_n(&p->stopping, __ATOMIC_ACQUIRE))
            return;
    }
}

/* ---- in the loop ---------------------------------------------------------------------------------- */
static void release(struct job *j)
{
    struct wr_work_pool *p = j->pool;
    void (*drop)(void *) = j->drop;
    void *arg = j->arg;
    j->next_free = p->free;
    p->free = j;
    p->stats.outstanding--;
    if (drop)
        drop(arg);
}

static void finish(struct job *j)
{
    if (wr_op_end(&j->op)) {
        j->pool->stats.finished++;
        j->done(j->arg, j->result);
    }
    release(j);
}

/* Done or drop may free the pool; its memory stays until the end of the turn. */
static void collect(struct wr_work_pool *p)
{
    struct wr_mpmc_item it;
    while (!p->closed && wr_mpmc_pop(&p->finished, &it))
        finish(it.arg);
}

static void on_finished(struct wr_io *io, uint32_t events)
{
    struct wr_work_pool *p = wr_container_of(io, struct wr_work_pool, io);
    uint64_t n;
    (void)events;
    (void)!wr_os_eventfd_take(p->finished_fd, &n);
    (void)__atomic_exchange_n(&p->woken, false, __ATOMIC_ACQ_REL);
    collect(p);
}

static void on_cancel(struct wr_op *op, int why)
{
    struct job *j = wr_container_of(op, struct job, op);
    int queued = QUEUED;
    (void)__atomic_compare_exchange_n(&j->state, &queued, SKIPPED, false, __ATOMIC_ACQ_REL,
                                      __ATOMIC_ACQUIRE);
    j->pool->stats.cancelled++;
    j->done(j->arg, why);
}

/* One thread more while there are more jobs than threads. Without any, the job cannot be taken. */
static int want_thread(struct wr_work_pool *p)
{
    uint32_t n = p->stats.threads;
    if (n == p->max_threads || p->stats.outstanding < n)
        return 0;
    int err = wr_os_thread_start(thread_main, p, &p->thread[n]);
    if (err)
        return n > 0 ? 0 : err;
    p->stats.threads++;
    return 0;
}

int wr_work_submit(struct wr_work_pool *p, struct wr_scope *scope, int (*fn)(void *arg),
                   void (*done)(void *arg, int result), void (*drop)(void *arg), void *arg)
{
    struct job *j = p->free;
    if (p->closed)
        return WR_E_STOPPED;
    if (wr_scope_why(scope))
        return wr_scope_why(scope);
    if (!j) {
        p->stats.refused++;
        return WR_E_QUEUE_FULL;
    }
    int err = want_thread(p);
    if (!err)
        err = wr_op_begin(scope, &j->op, on_cancel);
    if (err)
        return err;
    p->free = j->next_free;
    j->fn = fn;
    j->done = done;
    j->drop = drop;
    j->arg = arg;
    j->state = QUEUED;
    bool put = wr_mpmc_push(&p->queue, (struct wr_mpmc_item){.arg = j});
    WR_ASSERT(put);
    p->stats.submitted++;
    p->stats.outstanding++;
    (void)wr_os_eventfd_add(p->jobs_fd, 1);
    return 0;
}

struct wr_work_stats wr_work_stats(const struct wr_work_pool *p)
{
    return p->stats;
}

/* ---- birth and death ------------------------------------------------------------------------- */
static int open_fds(struct wr_work_pool *p)
{
    p->jobs_fd = wr_os_eventfd(0, EFD_SEMAPHORE | WR_OS_BLOCKING);
    if (p->jobs_fd < 0)
        return p->jobs_fd;
    p->finished_fd = wr_os_eventfd(0, 0);
    if (p->finished_fd < 0)
        return p->finished_fd;
    int err = wr_io_open(p->loop, &p->io, p->finished_fd, WR_IO_READ, on_finished);
    if (err)
        (void)wr_os_close(p->finished_fd);
    return err;
}

static int acquire(struct wr_work_pool *p)
{
    p->jobs = wr_heap_array(p->heap, p->max_jobs, sizeof *p->jobs);
    if (!p->jobs)
        return -ENOMEM;
    for (uint32_t i = p->max_jobs; i-- > 0;) {
        p->jobs[i].pool = p;
        p->jobs[i].next_free = p->free;
        p->free = &p->jobs[i];
    }
    int err = wr_mpmc_init(&p->queue, p->heap, p->max_jobs);
    if (!err)
        err = wr_mpmc_init(&p->finished, p->heap, p->max_jobs);
    return err ? err : open_fds(p);
}

static void release_memory(struct wr_free_later *f)
{
    struct wr_work_pool *p = wr_container_of(f, struct wr_work_pool, memory);
    wr_mpmc_deinit(&p->queue);
    wr_mpmc_deinit(&p->finished);
    wr_heap_free(p->heap, p->jobs, p->max_jobs * sizeof *p->jobs);
    wr_heap_free(p->heap, p, sizeof *p);
}

int wr_work_pool_new(struct wr_loop *loop, const struct wr_work_options *o,
                     struct wr_work_pool **out_pool)
{
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_work_pool *p = wr_heap_zalloc(heap, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->loop = loop;
    p->heap = heap;
    p->max_jobs = o && o->max_jobs ? o->max_jobs : 128;
    p->max_threads = o && o->threads ? o->threads : 2;
    if (p->max_threads > THREADS_MAX)
        p->max_threads = THREADS_MAX;
    p->jobs_fd = p->finished_fd = -1;
    int err = acquire(p);
    if (err) {
        if (p->jobs_fd >= 0)
            (void)wr_os_close(p->jobs_fd);
        release_memory(&p->memory);
        return err;
    }
    *out_pool = p;
    return 0;
}

static void join(struct wr_work_pool *p)
{
    __atomic_store_n(&p->stopping, true, __ATOMIC_RELEASE);
    if (p->stats.threads)
        (void)wr_os_eventfd_add(p->jobs_fd, p->stats.threads);
    for (uint32_t i = 0; i < p->stats.threads; i++)
        (void)wr_os_thread_join(p->thread[i]);
}

void wr_work_pool_free(struct wr_work_pool **pool)
{
    struct wr_work_pool *p = *pool;
    struct wr_mpmc_item it;
    if (!p || p->closed)
        return;
    *pool = NULL;
    p->closed = true;
    for (uint32_t i = 0; i < p->max_jobs; i++)
        if (wr_op_end(&p->jobs[i].op))
            on_cancel(&p->jobs[i].op, WR_E_STOPPED);
    join(p);
    while (wr_mpmc_pop(&p->finished, &it))
        release(it.arg);
    wr_io_close(&p->io);
    (void)wr_os_close(p->jobs_fd);
    wr_loop_free_later(p->loop, &p->memory, release_memory);
}
