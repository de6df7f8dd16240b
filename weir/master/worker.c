/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker from inside: what it is made of, what it gives up, and then the loop.
 */
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/drought.h"
#include "weir/master/master_private.h"

#include <errno.h>
#include <sys/resource.h>

enum {
    EXIT_SETTLE = 2,
    EXIT_START = 3,
    EXIT_LOOP = 4
};

#define SOFT_PART(n) ((n) / 5 * 4)

struct worker {
    struct crew *crew;
    struct wr_worker *process;
    struct wr_loop *loop;
    struct wr_log *log;
    struct wr_budget budget;
    struct server server;
    struct drought drought;
    const struct wr_heap *heap;
};

static void say_text(void *ctx, int level, const char *text)
{
    struct worker *w = ctx;
    if (level > WR_LOG_WARN || wr_worker_index(w->process) == 0) /* the first warns for all */
        process_say(w->log, w->loop, level, "%s", text);
}

/* ---- what it is ------------------------------------------------------------------------------------------- */

static int limit(struct worker *w, int what, const char *name, uint64_t value)
{
    struct rlimit r = {value, value};
    int err = wr_os_rlimit_set(what, &r);
    if (err)
        process_say(w->log, NULL, WR_LOG_CRIT, "setrlimit(%s, %llu) failed (%d: %s)", name,
                    (unsigned long long)value, -err, wr_err_text(err));
    return 0; /* nginx too goes on */
}

/* As many descriptors as connections, when the system lets us. */
static void make_room(const struct settings *s)
{
    struct rlimit r;
    uint64_t need = s->connections + SETTINGS_SPARE_FDS;
    if (s->nofile || wr_os_rlimit_get(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= need)
        return;
    r.rlim_cur = r.rlim_max < need ? r.rlim_max : need;
    (void)!wr_os_rlimit_set(RLIMIT_NOFILE, &r);
}

static int become(struct worker *w, const struct settings *s)
{
    int err = wr_os_become(s->user, s->uid, s->gid);
    if (err)
        process_say(w->log, NULL, WR_LOG_CRIT, "setuid(%s) failed (%d: %s)", s->user, -err,
                    wr_err_text(err));
    return err;
}

static int settle(struct worker *w, unsigned index)
{
    const struct settings *s = &w->crew->settings;
    int err = s->priority ? wr_os_set_priority(s->priority) : 0;
    if (err)
        process_say(w->log, NULL, WR_LOG_CRIT, "setpriority(%d) failed (%d: %s)", s->priority,
                    -err, wr_err_text(err));
    make_room(s);
    if (s->nofile)
        (void)limit(w, RLIMIT_NOFILE, "RLIMIT_NOFILE", s->nofile);
    if (s->core != UINT64_MAX)
        (void)limit(w, RLIMIT_CORE, "RLIMIT_CORE", s->core);
    err = s->has_user ? become(w, s) : 0;
    if (err)
        return err;
    if (s->n_masks) {
        err = wr_os_set_affinity_mask(s->masks[index % s->n_masks].cpu, 16);
        if (err)
            process_say(w->log, NULL, WR_LOG_CRIT, "sched_setaffinity() failed (%d: %s)", -err,
                        wr_err_text(err));
    }
    if (s->directory && (err = wr_os_chdir(s->directory)) < 0) {
        process_say(w->log, NULL, WR_LOG_CRIT, "chdir(\"%s\") failed (%d: %s)", s->directory,
                    -err, wr_err_text(err));
        return err;
    }
    wr_os_set_environ(s->env);
    return 0;
}

static int enter_sandbox(struct worker *w)
{
    const struct settings *s = &w->crew->settings;
    return sandbox_enter(&(struct sandbox_plan){.mode = s->sandbox,
                                                .paths = s->paths,
                                                .n_paths = s->n_paths,
                                                .ports = s->ports,
                                                .n_ports = s->n_ports,
                                                .any_port = s->any_port,
                                                .say = say_text,
                                                .ctx = w});
}

/* ---- what it does ------------------------------------------------------------------------------------------ */

static void on_stopped(struct server *s)
{
    struct worker *w = s->arg;
    process_say(w->log, w->loop, WR_LOG_NOTICE, "exiting");
    wr_loop_stop(w->loop);
}

static void on_stop(struct wr_worker *process, enum wr_stop_reason why, void *arg)
{
    struct worker *w = arg;
    (void)process;
    if (why == WR_STOP_MASTER_GONE)
        process_say(w->log, w->loop, WR_LOG_CRIT, "the master is gone");
    if (why != WR_STOP_NOW && !w->server.leaving)
        process_say(w->log, w->loop, WR_LOG_NOTICE, "gracefully shutting down");
    server_stop(&w->server, why != WR_STOP_NOW);
}

static unsigned seat_index(const struct master *m, const struct wr_seat *seat)
{
    for (unsigned i = 0; i < m->seats; i++)
        if (wr_board_seat(m->board, i) == seat)
            return i;
    return m->seats; /* conns_begin refuses it */
}

static void fill_server(struct server *s, struct master *m, struct wr_loop *loop,
                        struct wr_log *log, struct wr_seat *seat, const struct crew *c)
{
    s->web.loop = loop;
    s->web.log = log;
    s->web.serials = &m->state->connections;
    s->web.seat = seat;
    s->shm = m->shm;
    s->seat_index = seat_index(m, seat);
    s->grace_ms = c->settings.shutdown_ms;
}

static int open_loop(struct worker *w)
{
    const struct settings *s = &w->crew->settings;
    size_t hard = s->memory == UINT64_MAX ? WR_BUDGET_NONE : (size_t)s->memory;
    wr_budget_init(&w->budget, NULL, "worker", hard == WR_BUDGET_NONE ? hard : SOFT_PART(hard),
                   hard);
    return wr_loop_new(&(struct wr_loop_options){.heap = w->heap,
                                                 .budget = &w->budget,
                                                 .stats = wr_worker_loop_stats(w->process)},
                       &w->loop);
}

static int serve(struct worker *w, unsigned index)
{
    struct master *m = w->crew->m;
    struct web_worker_fd fds[WR_PROCS_KEEP_MAX];
    unsigned n = crew_sockets(w->crew, index, fds, WR_ARRAY_LEN(fds));
    struct wr_worker_callbacks callbacks = {on_stop, NULL, w};
    fill_server(&w->server, m, w->loop, w->log, wr_worker_seat(w->process), w->crew);
    w->server.web.recorder = wr_worker_recorder(w->process);
    w->server.web.number = index;
    w->server.budget = &w->budget;
    w->server.stopped = on_stopped;
    w->server.arg = w;
    int err = wr_worker_attach(w->process, w->loop, &callbacks);
    if (!err)
        err = server_open(&w->server, w->crew->config->generation, fds, n);
    if (err) {
        process_say(w->log, w->loop, WR_LOG_CRIT, "worker cannot start: %s", wr_err_text(err));
        return EXIT_START;
    }
    wr_worker_ready(w->process);
    drought_begin(&w->drought);
    return wr_loop_run(w->loop) ? EXIT_LOOP : 0;
}

int worker_main(struct wr_worker *process, void *arg)
{
    struct worker w = {.crew = arg, .process = process, .log = wr_worker_log(process)};
    unsigned index = wr_worker_index(process);
    w.heap =
        drought_heap(&w.drought, w.crew->m->generations); /* asks the environment, which goes */
    wr_log_sinks_free(&w.crew->m->sinks);
    wr_worker_step(process, (void (*)(void))settle);
    if (settle(&w, index) < 0)
        return EXIT_SETTLE;
    wr_worker_step(process, (void (*)(void))enter_sandbox);
    if (enter_sandbox(&w) < 0 || open_loop(&w) < 0)
        return EXIT_SETTLE;
    wr_worker_step(process, (void (*)(void))serve);
    int status = serve(&w, index);
    wr_worker_detach(process);
    server_close(&w.server);
    (void)wr_loop_turn(w.loop, 0);
    server_free(&w.server);
    process_say(w.log, w.loop, WR_LOG_NOTICE, "exit");
    if (w.drought.nth) {
        (void)wr_loop_turn(w.loop, 0);
        wr_loop_free(&w.loop);
        drought_end(&w.drought, w.log);
    }
    return status;
}

/* ---- in the only process ---------------------------------------------------------------------------------- */

static void on_stopped_here(struct server *s)
{
    control_crew_gone(s->arg);
}

/* The table's stay with the table. */
static int copy_sockets(struct web_worker_fd *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int fd = wr_os_dup(fds[i].fd);
        if (fd < 0) {
            while (i-- > 0)
                (void)wr_os_close(fds[i].fd);
            return fd;
        }
        fds[i].fd = fd;
    }
    return 0;
}

int worker_serve_here(struct master *m, struct crew *c, struct server **out)
{
    struct web_worker_fd fds[WR_PROCS_KEEP_MAX];
    struct server *s = wr_heap_zalloc(m->heap, sizeof *s);
    if (!s)
        return -ENOMEM;
    unsigned n = crew_sockets(c, 0, fds, WR_ARRAY_LEN(fds));
    int seat = wr_board_occupy(m->board, SEAT_WORKERS, m->seats - SEAT_WORKERS, 0,
                               wr_loop_wall_ns(m->loop));
    struct wr_seat *words = seat < 0 ? NULL : wr_board_seat(m->board, (unsigned)seat);
    if (words) {
        wr_word_set(&words->pid, (uint64_t)wr_os_getpid());
        wr_word_set(&words->state, WR_SEAT_READY);
    }
    fill_server(s, m, m->loop, m->log, words, c);
    s->stopped = on_stopped_here;
    s->arg = c;
    int err = copy_sockets(fds, n);
    if (!err)
        err = server_open(s, c->config->generation, fds, n);
    *out = s; /* also what could not open: it goes with the crew, at the end of the turn */
    if (!err)
        control_crew_ready(c);
    else if (words)
        (void)wr_board_vacate(m->board, (unsigned)seat, 0, wr_loop_wall_ns(m->loop));
    return err;
}
