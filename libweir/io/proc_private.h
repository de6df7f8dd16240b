/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_PROC_PRIVATE_H
#define WR_IO_PROC_PRIVATE_H

/*
 * Shared by proc.c (the master's side) and proc_worker.c (the child's): what a child is born with.
 *
 * The master fills it before the fork and does not touch it again until the child is gone; the child
 * finds its copy behind the fork. The list of descriptors to close is made before the fork, because
 * the master goes on opening and closing while the child starts.
 */

#include "libweir/io/loop.h"
#include "libweir/io/proc.h"
#include "libweir/io/recorder.h"
#include "libweir/io/signal.h"

#define WORKER_READY 'R' /* worker to master, on the channel */

struct wr_worker {
    /* set by the master */
    struct wr_procs_options options;
    unsigned index, generation, seat;
    bool has_seat;
    int channel;
    unsigned n_close, close_capacity;
    int *to_close;
    int keep[WR_PROCS_KEEP_MAX + 1]; /* its channel among them */
    unsigned n_keep;                 /* 0: only to_close is closed */
    /* the child's */
    struct wr_log *log;
    struct wr_recorder recorder;
    struct wr_loop *loop;
    struct wr_worker_callbacks callbacks;
    struct wr_io control;
    struct wr_signal signals;
    struct wr_timer heartbeat, log_tick;
};

/* The child's first function. */
int wr_worker_run(void *worker);

#endif
