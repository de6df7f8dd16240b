/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The logger as a process of its own, under a pool of one.
 */
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/logger.h"
#include "libweir/io/proc.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"

/* Orphaned: the workers may still be finishing; leave when nobody has said anything for so long. */
#define ORPHAN_QUIET_MS 5000

struct process {
    struct wr_loop *loop;
    struct wr_logger *logger;
    struct wr_signal signals;
    struct wr_timer orphan;
    uint64_t lines;
};

static void on_orphan(struct wr_timer *t)
{
    struct process *p = wr_container_of(t, struct process, orphan);
    uint64_t lines = wr_logger_stats(p->logger).lines;
    if (lines == p->lines)
        wr_loop_stop(p->loop);
    p->lines = lines;
    wr_loop_timer_arm(p->loop, t, ORPHAN_QUIET_MS);
}

static void on_stop(struct wr_worker *w, enum wr_stop_reason why, void *arg)
{
    struct process *p = arg;
    (void)w;
    if (why == WR_STOP_MASTER_GONE)
        on_orphan(&p->orphan);
    else
        wr_loop_stop(p->loop);
}

static void on_command(struct wr_worker *w, unsigned command, void *arg)
{
    struct process *p = arg;
    (void)w;
    if (command == WR_COMMAND_REOPEN)
        wr_logger_reopen(p->logger);
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    (void)info;
    wr_logger_reopen(wr_container_of(s, struct process, signals)->logger);
}

static int set_up(struct process *p, struct wr_worker *w, const struct wr_logger_options *o)
{
    struct wr_worker_callbacks callbacks = {on_stop, on_command, p};
    sigset_t reopen = wr_signal_set(SIGUSR1, 0);
    int r = wr_logger_open(p->loop, o, &p->logger);
    if (!r)
        r = wr_signal_open(p->loop, &p->signals, &reopen, on_signal);
    if (!r)
        r = wr_worker_attach(w, p->loop, &callbacks);
    return r;
}

int wr_logger_main(struct wr_worker *w, void *arg)
{
    struct process p = {.orphan.fn = on_orphan, .lines = UINT64_MAX};
    struct wr_seat *seat = wr_worker_seat(w);
    struct wr_loop_options options = {.stats = seat ? &seat->loop : NULL};
    sigset_t too_large = wr_signal_set(SIGXFSZ, 0);
    (void)wr_os_sigmask(SIG_BLOCK, &too_large, NULL); /* a full file is an error code */
    int r = wr_loop_new(&options, &p.loop);
    if (r < 0)
        return 70;
    r = set_up(&p, w, arg);
    if (!r) {
        wr_worker_ready(w);
        r = wr_loop_run(p.loop);
    }
    wr_loop_timer_cancel(&p.orphan);
    wr_signal_close(&p.signals);
    wr_worker_detach(w);
    wr_logger_free(&p.logger);
    wr_loop_free(&p.loop);
    return r < 0 ? 71 : 0;
}
