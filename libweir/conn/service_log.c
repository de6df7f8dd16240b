/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "libweir/conn/service_private.h"
#include "libweir/io/board.h"
#include "libweir/io/leases.h"
#include "libweir/io/log_ring.h"
#include "libweir/io/proc.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>

#define LOG_TICK_MS 1000U
#define LOGGER_STOP_MS \
    2000U /* a logger that stands still does not keep the service from ending */

int wr_service_log_memory_(struct wr_service *s, unsigned seats)
{
    const struct wr_board_options board = {.seats = seats};
    struct wr_shm_part parts[] = {
        {WR_BOARD_PART,      WR_BOARD_VERSION,    wr_board_size(&board) },
        {WR_RECORDER_PART,   WR_RECORDER_VERSION, wr_recorder_size(seats, SERVICE_EVENTS)},
        {WR_LOG_PART,                  WR_LOG_VERSION,                           wr_log_ring_size(seats,                  SERVICE_LOG_RING)},
        {WR_LEASES_PART, WR_LEASES_VERSION,                    wr_leases_size(seats * SERVICE_POOLS)           },
    };
    int rc = wr_shm_new(wr_loop_heap(s->loop), s->options->name ? s->options->name : "service",
                        parts, WR_ARRAY_LEN(parts), &s->shm);
    if (rc == 0)
        rc = wr_recorder_format(s->shm, seats, SERVICE_EVENTS);
    if (rc == 0)
        rc = wr_log_ring_format(s->shm, seats, SERVICE_LOG_RING);
    if (rc == 0)
        rc = wr_leases_format(s->shm, seats * SERVICE_POOLS);
    if (rc)
        return rc;
    int fd = wr_os_eventfd(0, 0);
    if (fd < 0)
        return fd;
    s->wake_fd = fd;
    return 0;
}

static void on_tick(struct wr_timer *t)
{
    struct wr_service *s = wr_container_of(t, struct wr_service, log_tick);
    wr_log_tick(s->log);
    wr_loop_timer_arm(s->loop, t, LOG_TICK_MS);
}

void wr_service_log_tick_(struct wr_service *s)
{
    s->log_tick.fn = on_tick;
    wr_loop_timer_arm(s->loop, &s->log_tick, LOG_TICK_MS);
}

int wr_service_log_open_(struct wr_service *s)
{
    struct wr_log_ring ring;
    size_t size;
    void *part = wr_shm_part(s->shm, WR_LOG_PART, WR_LOG_VERSION, &size);
    int rc = part ? wr_log_ring_at(part, size, 0, &ring) : -EPROTO;
    if (rc)
        return rc;
    struct wr_log_options o = {
        .ring = ring, .wake_fd = s->wake_fd, .level = wr_service_log_level_(s->options)};
    rc = wr_log_new(wr_loop_heap(s->loop), &o, &s->log);
    if (rc == 0)
        wr_service_log_tick_(s);
    return rc;
}

unsigned wr_service_log_level_(const struct wr_service_options *o)
{
    return o->log_level ? o->log_level : WR_LOG_NOTICE;
}

/* ---- the reader --------------------------------------------------------------------------------- */

static void on_logger_event(struct wr_procs *procs, enum wr_procs_event event, unsigned index,
                            pid_t pid, int status, void *arg)
{
    struct wr_service *s = arg;
    (void)procs;
    (void)index;
    (void)pid;
    (void)status;
    if (event == WR_PROCS_STOPPED)
        wr_loop_stop(s->loop);
}

static int start_process(struct wr_service *s, struct wr_board *board)
{
    return wr_procs_start(s->loop,
                          &(struct wr_procs_options){.name = "logger",
                                                     .workers = 1,
                                                     .main = wr_logger_main,
                                                     .arg = &s->logger_options,
                                                     .board = board,
                                                     .first_seat = SERVICE_LOGGER_SEAT,
                                                     .seats = SERVICE_LOGGER_SEATS,
                                                     .log = s->log,
                                                     .log_wake_fd = -1,
                                                     .stop_timeout_ms = LOGGER_STOP_MS,
                                                     .keep_fds = &s->wake_fd,
                                                     .n_keep = 1,
                                                     .on_event = on_logger_event,
                                                     .event_arg = s},
                          &s->loggers);
}

/* A file that cannot be opened would swallow every line in silence. A pipe may find its reader later. */
static int try_file(const char *path)
{
    int fd = path ? wr_os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0644) : -ENXIO;
    if (fd < 0)
        return fd == -ENXIO ? 0 : fd;
    (void)wr_os_close(fd);
    return 0;
}

int wr_service_logger_start_(struct wr_service *s, struct wr_board *board)
{
    const char *path = s->options->log_file;
    int bad = try_file(path);
    s->logger_options = (struct wr_logger_options){
        .shm = s->shm,
        .wake_fd = s->wake_fd,
        .sink = {{.path = bad ? NULL : path, .fd = 2}},
        .n_sinks = 1,
    };
    int rc = start_process(s, board);
    if (rc == -EDEADLK) /* a program with threads: only its loop is left to write the log */
        rc = wr_logger_open(s->loop, &s->logger_options, &s->logger);
    return rc == 0 && bad ? wr_service_fail_(s, path, bad) : rc;
}

void wr_service_logger_reopen_(struct wr_service *s)
{
    if (s->loggers)
        wr_procs_command(s->loggers, WR_COMMAND_REOPEN);
    else if (s->logger)
        wr_logger_reopen(s->logger);
}

void wr_service_end_(struct wr_service *s)
{
    if (s->loggers)
        wr_procs_stop(s->loggers, true); /* the loop ends behind it */
    else
        wr_loop_stop(s->loop);
}

/* After a failed start it still runs: told to stop, it writes what it has and goes. */
static void stop_process(struct wr_service *s)
{
    uint64_t end_ms = wr_loop_now_ms(s->loop) + LOGGER_STOP_MS;
    if (s->loggers && wr_procs_alive(s->loggers))
        wr_procs_stop(s->loggers, true);
    while (s->loggers && wr_procs_alive(s->loggers) && wr_loop_now_ms(s->loop) < end_ms)
        (void)wr_loop_turn(s->loop, 20);
    wr_procs_free(&s->loggers);
}

/* Writes what is left in the rings, now that no other logger does. */
static void drain(struct wr_service *s)
{
    if (s->shm && s->logger_options.shm && !s->logger)
        (void)!wr_logger_open(s->loop, &s->logger_options, &s->logger);
    if (s->logger)
        (void)wr_logger_drain(s->logger);
}

void wr_service_log_close_(struct wr_service *s)
{
    wr_loop_timer_cancel(&s->log_tick);
    if (!s->worker) {
        stop_process(s);
        wr_log_free(&s->log);
        drain(s);
    }
    wr_logger_free(&s->logger);
    wr_shm_free(&s->shm);
    if (s->wake_fd >= 0)
        wr_os_close(s->wake_fd);
    s->wake_fd = -1;
}
