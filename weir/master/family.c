/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the processes have in common: shared memory with board, recorder, log rings, connections and state; and
 * the logger.
 */
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/log_ring.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"
#include "weir/stats/conns.h"
#include "weir/web/logs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_TICK_MS    1000U
#define LOG_BURST      1000U /* the master's lines are few and all meant */
#define LOGGER_STOP_MS 2000U
#define LOG_SINKS      256U

/* ---- saying ---------------------------------------------------------------------------------------------- */

static void to_log(struct wr_log *log, uint64_t wall_ns, int level, struct wr_span text)
{
    char line[TEXT_MAX + 128];
    struct wr_log_record record = {.time_ns = wall_ns,
                                   .pid = (uint32_t)wr_os_getpid(),
                                   .level = (uint8_t)level,
                                   .text = text};
    size_t n = web_logs_line(line, sizeof line, &record);
    if (level >= (int)wr_log_level_of(log))
        (void)wr_log_raw_at(log, 0, (enum wr_log_level)level, wr_span(line, n));
}

void process_say(struct wr_log *log, struct wr_loop *loop, int level, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    to_log(log, loop ? wr_loop_wall_ns(loop) : wr_os_now_ns(CLOCK_REALTIME), level,
           wr_span_str(text));
}

/* Warnings are the loader's kind too, so they look the same; notices are for the log alone. */
static void to_foreground(struct master *m, int level, const char *text)
{
    if (level < WR_LOG_WARN)
        return;
    if (m->terminal >= 0)
        (void)!wr_os_dup_to(m->terminal, 2);
    m->o->source->say(m->o->source->ctx, level == WR_LOG_WARN ? WEB_SAY_WARN : WEB_SAY_EMERG,
                      text, NULL);
}

void master_say_text(void *master, int level, const char *text)
{
    struct master *m = master;
    if (m->log)
        to_log(m->log, wr_loop_wall_ns(m->loop), level, wr_span_str(text));
    if (!m->started) /* still starting: somebody is looking */
        to_foreground(m, level, text);
}

void master_said(void *master, int level, const char *text)
{
    if (level >= WR_LOG_CRIT) /* after such a word nothing was asked again: it is new */
        master_say_text(master, level, text);
}

void master_say(struct master *m, int level, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    master_say_text(m, level, text);
}

struct listener_say family_say(struct master *m)
{
    return (struct listener_say){master_say_text, m};
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static int open_memory(struct master *m)
{
    const struct wr_board_options board = {.seats = m->seats};
    struct wr_shm_part parts[] = {
        {WR_BOARD_PART,        WR_BOARD_VERSION,    wr_board_size(&board)    },
        {WR_RECORDER_PART,     WR_RECORDER_VERSION, wr_recorder_size(m->seats, EVENTS)},
        {WR_LOG_PART,                    WR_LOG_VERSION,                             wr_log_ring_size(m->seats,                     LOG_RING)},
        {CONNS_PART,           CONNS_VERSION,                              conns_size(m->seats,                          CONNECTIONS)},
        {STATE_PART, STATE_VERSION,sizeof(struct state_words)},
    };
    int rc = wr_shm_new(m->heap, "weir", parts, WR_ARRAY_LEN(parts), &m->shm);
    if (rc == 0)
        rc = wr_recorder_format(m->shm, m->seats, EVENTS);
    if (rc == 0)
        rc = wr_log_ring_format(m->shm, m->seats, LOG_RING);
    if (rc == 0)
        rc = conns_format(m->shm, m->seats, CONNECTIONS);
    if (rc == 0)
        rc = wr_board_new(m->heap, m->shm, &board, &m->board);
    m->state = rc == 0 ? state_at(m->shm) : NULL;
    return rc;
}

int family_open(struct master *m, unsigned workers)
{
    m->seats = SEAT_WORKERS + (workers * 4 > 64 ? workers * 4 : 64);
    if (m->seats > STATE_SEATS)
        m->seats = STATE_SEATS;
    int rc = open_memory(m);
    if (rc)
        return rc;
    m->wake_fd = wr_os_eventfd(0, 0);
    if (m->wake_fd < 0)
        return m->wake_fd;
    m->state->started_ns = wr_os_now_ns(CLOCK_REALTIME);
    return wr_log_sinks_new(LOG_SINKS, &m->sinks);
}

void family_state(struct master *m)
{
    struct state_words *s = m->state;
    const struct crew *c = m->crew;
    state_begin(s);
    s->master_pid = (uint64_t)wr_os_getpid();
    s->generation = c ? c->number : s->generation;
    s->workers = c ? c->settings.workers : 0;
    s->stopping = m->stopping;
    s->seats = m->seats;
    s->first_worker_seat = SEAT_WORKERS;
    state_text(s->version, sizeof s->version, m->o->version);
    state_text(s->conf, sizeof s->conf, m->o->source->path);
    s->n_listeners = 0;
    for (unsigned i = 0; i < m->listeners.n && i < STATE_LISTENERS; i++) {
        const struct listener *l = m->listeners.row[i];
        char text[WR_ADDR_TEXT_MAX];
        struct state_listener *row = &s->listener[s->n_listeners++];
        wr_addr_format(&l->want.socket.addr, text);
        state_text(row->text, sizeof row->text, text);
        row->backlog = l->backlog;
        row->sockets = l->n_fds;
        row->deferred = l->want.socket.defer_accept_s != 0;
    }
    state_end(s);
}

/* ---- the log ----------------------------------------------------------------------------------------------- */

static void on_log_tick(struct wr_timer *t)
{
    struct master *m = wr_container_of(t, struct master, log_tick);
    wr_log_tick(m->log);
    wr_loop_timer_arm(m->loop, t, LOG_TICK_MS);
}

static void on_logger_event(struct wr_procs *procs, enum wr_procs_event event, unsigned index,
                            pid_t pid, int status, void *arg)
{
    struct master *m = arg;
    (void)procs;
    (void)index;
    (void)pid;
    if (event == WR_PROCS_STOPPED)
        wr_loop_stop(m->loop);
    else if (event == WR_PROCS_UNBORN)
        master_say(m, WR_LOG_CRIT,
                   "the logger cannot be started, lines wait in memory (%d: %s)%s", -status,
                   wr_err_text(status), remedy_text(status));
}

static int start_logger(struct master *m)
{
    m->logger_options = (struct wr_logger_options){.shm = m->shm,
                                                   .wake_fd = m->wake_fd,
                                                   .sink = {{.fd = 2}},
                                                   .n_sinks = 1,
                                                   .sinks = m->sinks,
                                                   .packer = &web_logs_packer,
                                                   .line = web_logs_line};
    return wr_procs_start(m->loop,
                          &(struct wr_procs_options){.name = "weir logger",
                                                     .workers = 1,
                                                     .main = wr_logger_main,
                                                     .arg = &m->logger_options,
                                                     .board = m->board,
                                                     .first_seat = SEAT_LOGGER,
                                                     .seats = 2,
                                                     .log = m->log,
                                                     .log_wake_fd = -1,
                                                     .stop_timeout_ms = LOGGER_STOP_MS,
                                                     .keep_fds = &m->wake_fd,
                                                     .n_keep = 1,
                                                     .on_event = on_logger_event,
                                                     .event_arg = m},
                          &m->loggers);
}

int family_log_open(struct master *m)
{
    struct wr_log_options o = {.wake_fd = m->wake_fd,
                               .level = (enum wr_log_level)m->log_level,
                               .burst = LOG_BURST,
                               .seat = wr_board_seat(m->board, SEAT_MASTER)};
    size_t size;
    void *part = wr_shm_part(m->shm, WR_LOG_PART, WR_LOG_VERSION, &size);
    int rc = part ? wr_log_ring_at(part, size, SEAT_MASTER, &o.ring) : -EPROTO;
    if (rc == 0)
        rc = wr_log_new(m->heap, &o, &m->log);
    if (rc)
        return rc;
    m->log_tick.fn = on_log_tick;
    wr_loop_timer_arm(m->loop, &m->log_tick, LOG_TICK_MS);
    return start_logger(m);
}

int family_register_logs(struct master *m, struct web_config *config)
{
    int rc = web_logs_register(config->generation, m->sinks, m->o->error_log);
    m->log_level = (int)web_logs_level(config->generation);
    if (m->log)
        wr_log_set_level(m->log, (enum wr_log_level)m->log_level);
    return rc;
}

void family_reopen(struct master *m)
{
    if (m->loggers)
        wr_procs_command(m->loggers, WR_COMMAND_REOPEN);
}

/* After a failed start it still runs: told to stop, it writes what it has and goes. */
static void stop_logger(struct master *m)
{
    uint64_t end_ms = wr_loop_now_ms(m->loop) + LOGGER_STOP_MS;
    if (m->loggers && wr_procs_alive(m->loggers))
        wr_procs_stop(m->loggers, true);
    while (m->loggers && wr_procs_alive(m->loggers) && wr_loop_now_ms(m->loop) < end_ms)
        (void)wr_loop_turn(m->loop, 20);
    wr_procs_free(&m->loggers);
}

/* Writes what is left in the rings, now that no other logger does. */
static void drain(struct master *m)
{
    struct wr_logger *last = NULL;
    if (m->logger_options.shm && wr_logger_open(m->loop, &m->logger_options, &last) == 0)
        (void)wr_logger_drain(last);
    wr_logger_free(&last);
}

void family_close(struct master *m)
{
    wr_loop_timer_cancel(&m->log_tick);
    stop_logger(m);
    wr_log_free(&m->log);
    drain(m);
    (void)wr_loop_turn(m->loop, 0);
    wr_log_sinks_free(&m->sinks);
    wr_board_free(&m->board);
    wr_shm_free(&m->shm);
    if (m->wake_fd >= 0)
        wr_os_close(m->wake_fd);
    m->wake_fd = -1;
}
