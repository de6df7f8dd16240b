/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workers of one configuration, as the master sees them.
 */
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"
#include "weir/stats/conns.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define CUT_EXTRA_MS   2000U /* a worker cuts by itself; the master waits so much longer */
#define FAILURES_MAX   3U    /* of a crew that has never served */
#define READY_MS       30000U
#define SEATS_PER_CREW 2U

/* ---- sockets ------------------------------------------------------------------------------------------------ */

static void want_of(const struct web_listen *l, struct listener_want *out)
{
    *out =
        (struct listener_want){.socket = l->options, .fastopen = l->fastopen, .keepalive = -1};
    if (l->keepalive_set) {
        out->keepalive = l->keepalive_on;
        out->keepidle_s = l->keep_idle_s;
        out->keepintvl_s = l->keep_interval_s;
        out->keepcnt = l->keep_count;
    }
}

static int list_wants(struct crew *c)
{
    const struct web_generation *g = c->config->generation;
    c->wants = wr_arena_zalloc(g->arena, (g->nlistens + 1) * sizeof *c->wants);
    if (!c->wants)
        return -ENOMEM;
    for (uint32_t i = 0; i < g->nlistens; i++)
        if (g->listens[i]->bind)
            want_of(g->listens[i], &c->wants[c->n_wants++]);
    return 0;
}

int crew_prepare(struct crew *c, unsigned retries)
{
    struct listener_say say = family_say(c->m);
    return listeners_prepare(&c->m->listeners, c->wants, c->n_wants, c->settings.workers,
                             retries, &say);
}

unsigned crew_sockets(const struct crew *c, unsigned index, struct web_worker_fd *out,
                      unsigned max)
{
    const struct web_generation *g = c->config->generation;
    int fds[256];
    unsigned n = 0;
    for (uint32_t i = 0; i < g->nlistens; i++) {
        const struct web_listen *l = g->listens[i];
        struct listener *row = listeners_find(&c->m->listeners, &l->options.addr);
        if (!l->bind || !row)
            continue;
        unsigned got = listener_fds(row, l->options.reuseport, index, c->settings.workers, fds,
                                    WR_ARRAY_LEN(fds));
        for (unsigned j = 0; j < got && n < max; j++)
            out[n++] = (struct web_worker_fd){l, fds[j]};
    }
    return n;
}

unsigned crew_socket_count(const struct crew *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->m->listeners.n; i++)
        n += c->m->listeners.row[i]->n_fds;
    return n;
}

static int check_kept(const struct crew *c)
{
    unsigned n = crew_socket_count(c);
    if (n < WR_PROCS_KEEP_MAX)
        return 0;
    master_say(c->m, WR_LOG_CRIT, "%u listening sockets: at most %u", n, WR_PROCS_KEEP_MAX - 1);
    return WR_E_TOO_BIG;
}

/* Asked anew for each worker: since the one before sockets may have come and gone, and a number that was a
 * socket's may by now be the worker's own channel. A copy of another's would keep a closed address alive. */
static unsigned list_kept(unsigned index, int out_fds[static WR_PROCS_KEEP_MAX], void *crew)
{
    const struct crew *c = crew;
    struct web_worker_fd own[WR_PROCS_KEEP_MAX - 1];
    unsigned n = crew_sockets(c, index, own, WR_ARRAY_LEN(own));
    for (unsigned i = 0; i < n; i++)
        out_fds[i] = own[i].fd;
    out_fds[n] = c->m->wake_fd;
    return n + 1;
}

/* ---- events ------------------------------------------------------------------------------------------------- */

/* The seat that a process sits, or has just sat, on. */
static int seat_of(const struct master *m, pid_t pid)
{
    for (unsigned i = SEAT_WORKERS; i < m->seats; i++)
        if (wr_word_get(&wr_board_seat(m->board, i)->pid) == (uint64_t)pid)
            return (int)i;
    return -1;
}

static void say_end(struct master *m, pid_t pid, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) /* a signal to the whole group */
        master_say(m, WR_LOG_NOTICE, "worker process %d ended by SIGTERM", (int)pid);
    else if (WIFSIGNALED(status))
        master_say(m, WR_LOG_CRIT, "worker process %d exited on signal %d%s", (int)pid,
                   WTERMSIG(status),
                   WTERMSIG(status) == SIGSYS
                       ? " (a system call that the sandbox refuses: the kernel's log names it)"
                       : "");
    else
        master_say(m, WEXITSTATUS(status) ? WR_LOG_ERROR : WR_LOG_NOTICE,
                   "worker process %d exited with code %d", (int)pid, WEXITSTATUS(status));
}

/* A crew that has never served and whose processes come to nothing is given up. */
static void count_failure(struct crew *c)
{
    if (c == c->m->incoming && ++c->failures == FAILURES_MAX)
        control_crew_failed(c);
}

static void ended(struct crew *c, pid_t pid, int status)
{
    struct master *m = c->m;
    int seat = seat_of(m, pid);
    say_end(m, pid, status);
    if (status != 0) {
        m->state->deaths++;
        if (seat >= 0 && c->settings.postmortem)
            dump_write(m, c->settings.postmortem, (unsigned)seat, pid, status);
    }
    if (seat >= 0) {
        conns_clear(m->shm, (unsigned)seat);
        memset(&m->state->stuck[seat], 0, sizeof m->state->stuck[seat]);
    }
    c->unborn = 0;
    count_failure(c);
}

static void unborn(struct crew *c, unsigned index, int err)
{
    c->unborn = err;
    master_say(c->m, WR_LOG_CRIT, "worker %u cannot be started (%d: %s)%s", index, -err,
               wr_err_text(err), remedy_text(err));
    count_failure(c);
}

static void on_event(struct wr_procs *procs, enum wr_procs_event event, unsigned index,
                     pid_t pid, int status, void *arg)
{
    struct crew *c = arg;
    struct master *m = c->m;
    (void)procs;
    switch (event) {
    case WR_PROCS_UNBORN:
        unborn(c, index, status);
        break;
    case WR_PROCS_WAITING:
        master_say(m, WR_LOG_WARN,
                   "worker %u ends again and again: the next one starts in %d ms", index,
                   status);
        break;
    case WR_PROCS_STARTED:
        master_say(m, WR_LOG_NOTICE, "start worker process %d", (int)pid);
        break;
    case WR_PROCS_READY:
        c->ready++;
        if (c == m->incoming && c->ready >= c->settings.workers)
            control_crew_ready(c);
        break;
    case WR_PROCS_ENDED:
        ended(c, pid, status);
        break;
    case WR_PROCS_STUCK:
        m->state->stuck_killed++;
        master_say(m, WR_LOG_CRIT, "worker process %d stood still for too long: it is replaced",
                   (int)pid);
        break;
    case WR_PROCS_STOPPED:
        control_crew_gone(c);
        break;
    case WR_PROCS_RESTING:
        master_say(m, WR_LOG_CRIT, "worker %u died too often and rests", index);
        break;
    case WR_PROCS_STOPPING:
    case WR_PROCS_REPLACED:
        break;
    }
}

/* Directories that workers write to are made here: a worker may not make them, and its sandbox allows only what is
 * there. */
static void make_directories(struct crew *c)
{
    const struct settings *s = &c->settings;
    for (unsigned i = 0; i < s->n_paths; i++) {
        const char *path = s->paths[i].path;
        if (!s->paths[i].write)
            continue;
        int err = wr_os_mkdir(path, 0700);
        if (err == 0 && s->has_user)
            err = wr_os_chown(path, s->uid, s->gid);
        if (err && err != -EEXIST)
            master_say(c->m, WR_LOG_WARN,
                       "mkdir() \"%s\" failed (%d: %s); what belongs there, as long bodies of "
                       "requests, will be refused: make it, or name another",
                       path, -err, wr_err_text(err));
    }
}

/* ---- life --------------------------------------------------------------------------------------------------- */

int crew_new(struct master *m, struct web_config **config, struct crew **out)
{
    struct crew *c = wr_heap_zalloc(m->heap, sizeof *c);
    if (!c)
        return -ENOMEM;
    wr_list_init(&c->link);
    c->m = m;
    c->config = *config;
    c->number = ++m->generations;
    int err =
        settings_read(c->config, &c->settings, m->started ? master_say_text : master_said, m);
    if (!err)
        err = list_wants(c);
    if (!err)
        make_directories(c);
    if (err) {
        wr_heap_free(m->heap, c, sizeof *c);
        return err;
    }
    *config = NULL;
    *out = c;
    return 0;
}

static void free_crew(struct wr_free_later *f)
{
    struct crew *c = wr_container_of(f, struct crew, later);
    const struct wr_heap *heap = c->m->heap;
    wr_procs_free(&c->procs);
    if (c->server) {
        server_free(c->server);
        wr_heap_free(heap, c->server, sizeof *c->server);
    }
    web_config_free(&c->config);
    wr_heap_free(heap, c, sizeof *c);
}

/* At the end of the turn: the pool that is freed may be the one whose event is being handled. */
void crew_free(struct crew **crew)
{
    struct crew *c = *crew;
    *crew = NULL;
    if (!c)
        return;
    wr_list_remove(&c->link);
    wr_list_init(&c->link);
    wr_loop_free_later(c->m->loop, &c->later, free_crew);
}

unsigned master_crews(const struct master *m, struct crew **out, unsigned max)
{
    unsigned n = 0;
    if (m->crew && n < max)
        out[n++] = m->crew;
    if (m->incoming && n < max)
        out[n++] = m->incoming;
    for (struct wr_list *l = m->leaving.next; l != &m->leaving && n < max; l = l->next)
        out[n++] = wr_container_of(l, struct crew, link);
    return n;
}

int crew_start(struct crew *c)
{
    struct master *m = c->m;
    const struct settings *s = &c->settings;
    if (!s->master_process)
        return worker_serve_here(m, c, &c->server);
    int err = check_kept(c);
    if (err)
        return err;
    return wr_procs_start(
        m->loop,
        &(struct wr_procs_options){
            .name = "weir worker",
            .workers = s->workers,
            .main = worker_main,
            .arg = c,
            .shm = m->shm,
            .board = m->board,
            .first_seat = SEAT_WORKERS,
            .seats = m->seats - SEAT_WORKERS,
            .log = m->log,
            .log_wake_fd = m->wake_fd,
            .log_level = (unsigned)m->log_level,
            .stop_timeout_ms = (unsigned)(s->shutdown_ms + CUT_EXTRA_MS),
            .ready_timeout_ms = READY_MS,
            .watchdog_ms = s->watchdog_ms == UINT64_MAX ? 0 : (unsigned)s->watchdog_ms,
            .on_event = on_event,
            .event_arg = c,
            .list_to_keep = list_kept},
        &c->procs);
}

void crew_leave(struct crew *c, bool graceful)
{
    if (c->procs)
        wr_procs_stop(c->procs, graceful);
    else if (c->server)
        server_stop(c->server, graceful);
    else
        control_crew_gone(c);
}
