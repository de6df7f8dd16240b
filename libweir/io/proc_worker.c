/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/proc_private.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"

#include <errno.h>

#define LOG_TICK_MS 1000

unsigned wr_worker_index(const struct wr_worker *w)
{
    return w->index;
}

unsigned wr_worker_generation(const struct wr_worker *w)
{
    return w->generation;
}

struct wr_seat *wr_worker_seat(struct wr_worker *w)
{
    return w->has_seat ? wr_board_seat(w->options.board, w->seat) : NULL;
}

struct wr_loop_stats *wr_worker_loop_stats(struct wr_worker *w)
{
    struct wr_seat *seat = wr_worker_seat(w);
    return seat ? &seat->loop : NULL;
}

struct wr_recorder *wr_worker_recorder(struct wr_worker *w)
{
    return &w->recorder;
}

struct wr_log *wr_worker_log(struct wr_worker *w)
{
    return w->log;
}

/* ---- birth ------------------------------------------------------------------------------------------- */

static void close_inherited(const struct wr_worker *w)
{
    if (w->n_keep && wr_os_close_except(w->keep, w->n_keep) == 0)
        return;
    for (unsigned i = 0; i < w->n_close; i++)
        (void)wr_os_close(w->to_close[i]);
}

/* The terminal and the service manager signal the whole group; only the master decides what it means. A
 * worker that attaches reads TERM and QUIT from its signalfd. */
static void block_signals(void)
{
    sigset_t set = wr_signal_set(SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE,
                                 SIGWINCH, SIGCHLD, SIGXFSZ, 0);
    (void)wr_os_sigmask(SIG_SETMASK, &set, NULL);
}

static void open_log(struct wr_worker *w)
{
    size_t size;
    struct wr_log_options o = {
        .wake_fd = w->options.log_wake_fd,
        .seat = wr_worker_seat(w),
        .level = (enum wr_log_level)w->options.log_level,
    };
    void *part = wr_shm_part(w->options.shm, WR_LOG_PART, WR_LOG_VERSION, &size);
    if (part && wr_log_ring_at(part, size, w->seat, &o.ring) == 0 &&
        wr_log_new(wr_os_heap(), &o, &w->log) < 0)
        w->log = NULL; /* mute, but at work */
}

static void open_shared(struct wr_worker *w)
{
    uint32_t pid = (uint32_t)wr_os_getpid();
    if (w->has_seat)
        wr_word_set(&wr_worker_seat(w)->pid, pid);
    if (!w->options.shm || !w->has_seat)
        return;
    open_log(w);
    if (wr_recorder_open(&w->recorder, w->options.shm, w->seat, pid) == 0)
        wr_record(&w->recorder, wr_os_now_ns(CLOCK_REALTIME), pid, WR_EVENT_START, 0, w->index,
                  w->generation);
}

void wr_worker_step(struct wr_worker *w, void (*fn)(void))
{
    struct wr_seat *seat = wr_worker_seat(w);
    if (!seat)
        return;
    wr_word_set(&seat->loop.running_fn, (uint64_t)(uintptr_t)fn);
    __atomic_store_n(&seat->loop.running_fd, -1, __ATOMIC_RELAXED);
    wr_word_set(&seat->loop.running_since_ns, wr_os_now_ns(CLOCK_MONOTONIC));
}

int wr_worker_run(void *arg)
{
    struct wr_worker *w = arg;
    close_inherited(w);
    block_signals();
    if (w->options.die_with_master)
        (void)wr_os_parent_death_signal(SIGKILL);
    if (w->options.name)
        (void)wr_os_set_name(w->options.name);
    open_shared(w);
    wr_worker_step(w, (void (*)(void))w->options.main);
    int status = w->options.main(w, w->options.arg);
    wr_log_free(&w->log);
    return status;
}

/* ---- in the worker's loop -------------------------------------------------------------------------- */

static void told_to_stop(struct wr_worker *w, enum wr_stop_reason why)
{
    wr_record(&w->recorder, wr_loop_wall_ns(w->loop), 0, WR_EVENT_STOP, 0, why, 0);
    w->callbacks.on_stop(w, why, w->callbacks.arg);
}

static void told(struct wr_worker *w, unsigned command)
{
    if (command == WR_COMMAND_STOP)
        told_to_stop(w, WR_STOP_GRACEFUL);
    else if (command == WR_COMMAND_STOP_NOW)
        told_to_stop(w, WR_STOP_NOW);
    else if (w->callbacks.on_command)
        w->callbacks.on_command(w, command, w->callbacks.arg);
}

static void on_control(struct wr_io *io, uint32_t events)
{
    struct wr_worker *w = wr_container_of(io, struct wr_worker, control);
    (void)events;
    while (wr_io_is_open(io)) { /* a callback may detach the worker */
        unsigned char command;
        ssize_t n = wr_os_recv(wr_io_fd(io), &command, 1, MSG_DONTWAIT);
        if (n == -EAGAIN)
            return;
        if (n == 1) {
            told(w, command);
            continue;
        }
        wr_io_close(io);
        w->channel = -1;
        told_to_stop(w, WR_STOP_MASTER_GONE);
        return;
    }
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    (void)info;
    told_to_stop(wr_container_of(s, struct wr_worker, signals), WR_STOP_GRACEFUL);
}

static void on_heartbeat(struct wr_timer *t)
{
    struct wr_worker *w = wr_container_of(t, struct wr_worker, heartbeat);
    wr_seat_heartbeat(wr_worker_seat(w), wr_loop_now_ns(w->loop));
    wr_loop_timer_arm(w->loop, t, w->options.watchdog_ms / 4 + 1);
}

static void on_log_tick(struct wr_timer *t)
{
    struct wr_worker *w = wr_container_of(t, struct wr_worker, log_tick);
    wr_log_tick(w->log);
    wr_loop_timer_arm(w->loop, t, LOG_TICK_MS);
}

int wr_worker_attach(struct wr_worker *w, struct wr_loop *loop,
                     const struct wr_worker_callbacks *callbacks)
{
    sigset_t stop = wr_signal_set(SIGTERM, SIGQUIT, 0);
    w->loop = loop;
    w->callbacks = *callbacks;
    w->heartbeat.fn = on_heartbeat;
    w->log_tick.fn = on_log_tick;
    int r = wr_signal_open(loop, &w->signals, &stop, on_signal);
    if (r < 0)
        return r;
    r = wr_io_open(loop, &w->control, w->channel, WR_IO_READ, on_control);
    if (r < 0) {
        wr_signal_close(&w->signals);
        return r;
    }
    if (w->options.watchdog_ms)
        on_heartbeat(&w->heartbeat);
    if (w->log)
        on_log_tick(&w->log_tick);
    return 0;
}

void wr_worker_ready(struct wr_worker *w)
{
    char word = WORKER_READY;
    if (w->channel >= 0 && wr_os_send(w->channel, &word, 1, MSG_DONTWAIT) < 0)
        WR_LOG(w->log, ERROR, "proc", "not_heard");
}

void wr_worker_detach(struct wr_worker *w)
{
    if (!w->loop)
        return;
    wr_loop_timer_cancel(&w->heartbeat);
    wr_loop_timer_cancel(&w->log_tick);
    wr_signal_close(&w->signals);
    wr_io_close(&w->control);
    w->channel = -1;
    w->loop = NULL;
}
