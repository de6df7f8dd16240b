/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What signals ask of the master, and how one crew takes the place of another.
 *
 *   loaded --prepare sockets--> incoming --all ready--> crew; the old one leaves --gone--> freed
 *     `- refused                   `- dies three times: given up; the old one serves on
 */
#include "libweir/base/err.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"
#include "weir/stats/conns.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>

#define BIND_RETRIES 5U
#define CREWS_MAX    64U

/* ---- a new configuration -------------------------------------------------------------------------------- */

static void reload_say(void *ctx, int severity, const char *text, const char *hint)
{
    struct master *m = ctx;
    (void)hint;
    if (severity == WEB_SAY_EMERG) {
        state_begin(m->state);
        state_text(m->state->problem, sizeof m->state->problem, text);
        state_end(m->state);
    }
    master_say_text(m, severity == WEB_SAY_WARN ? WR_LOG_WARN : WR_LOG_CRIT, text);
}

/* Takes the configuration, in any case. */
static int begin_crew(struct master *m, struct web_config **config, unsigned retries)
{
    struct crew *c = NULL;
    int err = crew_new(m, config, &c);
    if (!err)
        err = crew_prepare(c, retries);
    bool prepared = !err;
    if (!err)
        err = family_register_logs(m, c->config);
    if (!err) {
        m->incoming = c;
        err = crew_start(c);
    }
    if (err) {
        m->incoming = NULL;
        if (prepared)
            listeners_rollback(&m->listeners);
        if (c)
            crew_free(&c);
        web_config_free(config);
    }
    return err;
}

int control_first(struct master *m, struct web_config **config)
{
    int err = begin_crew(m, config, BIND_RETRIES);
    if (err)
        master_say(m, WR_LOG_CRIT, "cannot serve: %s%s", wr_err_text(err), remedy_text(err));
    if (!err && m->incoming && !m->inherited) { /* a successor takes the place when it serves */
        family_state(m);
        watch_follow(m, &m->incoming->settings);
    }
    return err;
}

/* The table of logs is the refused one's already: back to what is served, whose entries are still there. */
static void refused(struct master *m)
{
    m->state->reloads_failed++;
    if (m->crew)
        (void)!family_register_logs(m, m->crew->config);
    if (m->crew)
        master_say(m, WR_LOG_CRIT, "reload failed: generation %llu serves on",
                   (unsigned long long)m->crew->number);
}

/* Seats are bounded: when a new crew would find none, the one that has been leaving longest is cut. */
static void make_seats(struct master *m)
{
    unsigned used = 0, need = m->crew ? 2 * m->crew->settings.workers : 0;
    struct crew *list[CREWS_MAX];
    unsigned n = master_crews(m, list, CREWS_MAX);
    for (unsigned i = 0; i < n; i++)
        used += list[i]->procs ? wr_procs_alive(list[i]->procs) : 0;
    if (used + need <= m->seats - SEAT_WORKERS || wr_list_empty(&m->leaving))
        return;
    struct crew *oldest = wr_container_of(m->leaving.next, struct crew, link);
    master_say(m, WR_LOG_WARN, "generation %llu is cut: too many generations are leaving",
               (unsigned long long)oldest->number);
    crew_leave(oldest, false);
}

void control_reload(struct master *m)
{
    struct web_source source = *m->o->source;
    struct web_config *config = NULL;
    if (m->stopping)
        return;
    if (m->incoming) { /* one after the other */
        m->reload_pending = true;
        return;
    }
    master_say(m, WR_LOG_NOTICE, "reconfiguring");
    source.say = reload_say;
    source.ctx = m;
    make_seats(m);
    int err = web_load(m->heap, &source, m->crew ? m->crew->config : NULL, &config);
    if (!err)
        err = begin_crew(m, &config, 0);
    if (err)
        refused(m);
}

static void reload_if_asked(struct master *m)
{
    if (!m->reload_pending)
        return;
    m->reload_pending = false;
    control_reload(m);
}

static void dismiss(struct master *m, struct crew *c)
{
    wr_list_add_tail(&m->leaving, &c->link);
    crew_leave(c, true);
}

static void say_started(struct master *m)
{
    char byte = 0;
    m->started = true;
    if (m->foreground >= 0) {
        (void)!wr_os_write(m->foreground, &byte, 1);
        wr_os_close(m->foreground);
        m->foreground = -1;
    }
    if (m->terminal >= 0)
        wr_os_close(m->terminal);
    m->terminal = -1;
}

void control_crew_ready(struct crew *c)
{
    struct master *m = c->m;
    struct listener_say say = family_say(m);
    struct crew *old = m->crew;
    listeners_commit(&m->listeners, &say);
    m->incoming = NULL;
    m->crew = c;
    m->resting = false;
    state_begin(m->state);
    m->state->loaded_ns = wr_loop_wall_ns(m->loop);
    m->state->problem[0] = 0;
    m->state->reloads += m->started;
    state_end(m->state);
    family_state(m);
    if (pidfile_write(m) < 0 && !m->started) {
        m->result = 1;
        control_stop(m, false);
        return;
    }
    watch_follow(m, &c->settings);
    if (!m->started)
        say_started(m);
    if (old)
        dismiss(m, old);
    reload_if_asked(m);
}

void control_crew_failed(struct crew *c)
{
    struct master *m = c->m;
    m->incoming = NULL;
    listeners_rollback(&m->listeners);
    wr_list_add_tail(&m->leaving, &c->link);
    crew_leave(c, false);
    if (!m->crew && !m->resting) {
        master_say(m, WR_LOG_CRIT, "cannot serve: %s",
                   c->unborn ? "no process can be started for a worker"
                             : "workers end before they serve; the error log says why");
        m->result = 1;
        control_stop(m, false);
        return;
    }
    refused(m);
    reload_if_asked(m);
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static void end_if_alone(struct master *m)
{
    if (!m->stopping || m->over || m->crew || m->incoming || !wr_list_empty(&m->leaving))
        return;
    m->over = true;
    master_say(m, WR_LOG_NOTICE, "exit");
    watch_stop(m);
    if (m->loggers)
        wr_procs_stop(m->loggers, true); /* the loop ends behind it */
    else
        wr_loop_stop(m->loop);
}

static void vacate_own_seat(struct master *m, const struct crew *c)
{
    if (!c->server || !c->server->web.seat)
        return;
    conns_clear(m->shm, c->server->seat_index);
    (void)wr_board_vacate(m->board, c->server->seat_index, 0, wr_loop_wall_ns(m->loop));
}

void control_crew_gone(struct crew *c)
{
    struct master *m = c->m;
    if (c->gone)
        return;
    c->gone = true;
    vacate_own_seat(m, c);
    if (m->crew == c)
        m->crew = NULL;
    if (m->incoming == c)
        m->incoming = NULL;
    crew_free(&c);
    end_if_alone(m);
}

void control_stop(struct master *m, bool graceful)
{
    struct crew *list[CREWS_MAX];
    if (m->stopping && (graceful || m->fast))
        return;
    m->stopping = true;
    m->fast |= !graceful;
    family_state(m);
    unsigned n = master_crews(m, list, CREWS_MAX);
    for (unsigned i = 0; i < n; i++)
        crew_leave(list[i], graceful);
    end_if_alone(m);
}

/* ---- signals ------------------------------------------------------------------------------------------------ */

static void rest(struct master *m)
{
    if (!m->daemonized && !m->inherited)
        return; /* a terminal that changed its size */
    if (!m->crew || m->stopping)
        return;
    struct crew *c = m->crew;
    m->crew = NULL;
    m->resting = true;
    dismiss(m, c);
}

static void on_signal(struct wr_signal *signal, const struct signalfd_siginfo *info)
{
    struct master *m = wr_container_of(signal, struct master, signals);
    static const struct {
        uint32_t number;
        const char *name, *action;
    } said[] = {
        {SIGHUP,   "SIGHUP",   ", reconfiguring"       },
        {SIGQUIT,  "SIGQUIT",  ", shutting down"       },
        {SIGTERM,  "SIGTERM",  ", exiting"             },
        {SIGINT,   "SIGINT",   ", exiting"             },
        {SIGUSR1,  "SIGUSR1",  ", reopening logs"      },
        {SIGUSR2,  "SIGUSR2",  ", changing binary"     },
        {SIGWINCH, "SIGWINCH", ", stopping the workers"},
    };
    for (unsigned i = 0; i < WR_ARRAY_LEN(said); i++)
        if (said[i].number == info->ssi_signo)
            master_say(m, WR_LOG_NOTICE, "signal %u (%s) received from %u%s", info->ssi_signo,
                       said[i].name, info->ssi_pid, said[i].action);
    switch (info->ssi_signo) {
    case SIGHUP:
        control_reload(m);
        break;
    case SIGUSR1:
        family_reopen(m);
        break;
    case SIGUSR2:
        upgrade_start(m);
        break;
    case SIGWINCH:
        rest(m);
        break;
    default:
        control_stop(m, info->ssi_signo == SIGQUIT);
    }
}

int control_open(struct master *m)
{
    sigset_t set =
        wr_signal_set(SIGHUP, SIGQUIT, SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGWINCH, 0);
    return wr_signal_open(m->loop, &m->signals, &set, on_signal);
}
