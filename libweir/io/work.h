/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_WORK_H
#define WR_IO_WORK_H

/*
 * Calls that block (files, name services, libraries that know no loop), on a few threads beside the
 * loop. Threads start when there is work for them; the number of jobs is bounded from the start and
 * submitting allocates nothing.
 *
 *   free -> queued -> running -> finished -> free        done(arg, result), then drop(arg)
 *              \         \
 *               `---------`--> the scope was cancelled: done(arg, why) at once,
 *                              drop(arg) when no thread holds arg any more
 *
 * 1. Of an accepted job done runs exactly once, then drop exactly once, both in the loop's thread.
 * 2. The result of a job whose scope was cancelled is dropped. A call that is running cannot be
 *    interrupted: its arg lives until drop.
 * 3. Jobs that are queued, running or not yet collected are at most max_jobs; one more is
 *    refused with WR_E_QUEUE_FULL and counted.
 * 4. All signals are blocked in the threads. A process with threads must not fork.
 *
 * The pool belongs to one loop and is used in its thread; fn runs in another and touches arg only.
 */

#include "libweir/base/compiler.h"

struct wr_loop;
struct wr_scope;
struct wr_work_pool;

struct wr_work_options {
    uint32_t threads;  /* default 2, at most 64 */
    uint32_t max_jobs; /* default 128 */
};

struct wr_work_stats {
    uint64_t submitted, finished, cancelled, refused;
    uint32_t outstanding, threads;
};

WR_MUST int wr_work_pool_new(struct wr_loop *loop, const struct wr_work_options *options,
                             struct wr_work_pool **out_pool);

/* Takes NULL. Jobs outstanding end with WR_E_STOPPED; waits for the calls that are running. */
void wr_work_pool_free(struct wr_work_pool **pool);

/* fn's result goes to done. drop may be NULL. On failure none of them runs. */
WR_MUST int wr_work_submit(struct wr_work_pool *pool, struct wr_scope *scope,
                           int (*fn)(void *arg), void (*done)(void *arg, int result),
                           void (*drop)(void *arg), void *arg);

struct wr_work_stats wr_work_stats(const struct wr_work_pool *pool);

#endif
