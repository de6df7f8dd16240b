/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/worker.h"

#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "weir/web/request_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>

/* ---- connections ------------------------------------------------------------------------------------------------------ */

#define FULL_SAID_MS 10000U

static void on_conn_open(struct wr_http_conn *conn, void *arg)
{
    struct web_door *door = arg;
    if (door->worker->on_conn)
        door->worker->on_conn(door->worker, conn, true);
}

static void on_conn_close(struct wr_http_conn *conn, enum wr_close why, int err, void *arg)
{
    struct web_door *door = arg;
    if (why == WR_CLOSE_MEMORY)
        web_worker_closed_hungry(door->worker, conn);
    else if (wr_http_conn_requests(conn) == 0)
        web_early_closed(door, conn, why, err);
    if (door->worker->on_conn)
        door->worker->on_conn(door->worker, conn, false);
}

static void on_notice(struct wr_http_server *http, const struct wr_listen_notice *n, void *arg)
{
    const struct web_door *door = arg;
    struct wr_log *log = door->worker->log;
    (void)http;
    if (n->kind == WR_LISTEN_SHORTAGE)
        WR_LOG(log, CRIT, "accept4()", "failed",
               "(%d: %s) on %.*s: new connections are shed, accepting pauses; raise "
               "worker_rlimit_nofile",
               -n->err, wr_err_name(n->err), (int)door->listen->text.n, door->listen->text.p);
    else if (n->kind == WR_LISTEN_RECOVERED)
        WR_LOG(log, NOTICE, "accept4()", "works", "again on %.*s: shed=%llu lasted_ms=%llu",
               (int)door->listen->text.n, door->listen->text.p, (unsigned long long)n->shed,
               (unsigned long long)n->lasted_ms);
}

/* Said once in a while: a crowd at its limit comes and goes all the time. */
static bool time_to_say(struct web_worker *w, uint64_t *said_ms)
{
    uint64_t now = wr_loop_now_ms(w->loop);
    if (*said_ms && now < *said_ms + FULL_SAID_MS)
        return false;
    *said_ms = now;
    return true;
}

static void on_full(struct wr_http_crowd *crowd, uint32_t reused)
{
    struct web_worker *w = wr_container_of(crowd, struct web_worker, crowd);
    char max[16];
    (void)snprintf(max, sizeof max, "%u", crowd->max);
    if (reused && time_to_say(w, &w->reuse_said_ms))
        WR_LOG(w->log, WARN, max, "worker_connections",
               "are not enough, reusing connections: %u idle ones closed", reused);
    else if (!reused && time_to_say(w, &w->full_said_ms))
        WR_LOG(w->log, CRIT, max, "worker_connections",
               "are not enough: accepting pauses, new connections wait in the kernel's queue");
}

/* ---- doors ------------------------------------------------------------------------------------------------------------ */

#define OUTPUT_HIGH (1u << 20) /* a producer waits above it */

static int open_door(struct web_door *door, int fd)
{
    struct web_listen *l = door->listen;
    struct web_worker *w = door->worker;
    const struct web_server *s = l->default_server;
    const struct core_server *c = s->conf[WEB_core];
    struct wr_http_options o = {
        .listen = l->options,
        .on_request = request_on_request,
        .on_refuse = request_on_refuse,
        .on_done = request_on_done,
        .arg = door,
        .proxy_protocol = l->proxy_protocol,
        .head_limits = &c->head_limits,
        .conn_limits = &door->limits,
        .max_conns = UINT32_MAX,
        .crowd = &w->crowd,
        .serials = w->serials ? w->serials : &w->own_serials,
        .output_high = OUTPUT_HIGH,
        .output_hard = UINT64_MAX / 2, /* files count, and producers heed the high mark */
        .done_when_sent = true,        /* the log tells what the client got, and when */
        .serve_half_closed = true,
        .on_notice = on_notice,
        .owner_arg = door,
        .peer_wanted = true,
    };
    door->limits = core_of(s->outer)->limits;
    door->limits.max_body = UINT64_MAX;
    if (w->on_conn)
        o.on_conn_open = on_conn_open;
    o.on_conn_close = on_conn_close;
    o.on_shake_failed = web_early_shake_failed;
    if (fd >= 0) {
        o.listen.addr = (struct wr_addr){.kind = WR_ADDR_FD, .fd = fd};
        o.listen.backlog = 0;                     /* as the master has set it */
        o.listen.exclusive = !o.listen.reuseport; /* the other workers have it too */
        o.listen.reuseport = false;
    }
    if (l->tls_options) {
        int err = l->tls_options(l, &o.tls);
        if (err)
            return err;
    }
    return wr_http_server_open(w->loop, &o, &door->http);
}

static int add_door(struct web_worker *w, struct web_listen *l, int fd)
{
    struct web_door *door = &w->doors[w->ndoors];
    *door = (struct web_door){.worker = w, .listen = l};
    int err = open_door(door, fd);
    if (!err)
        w->ndoors++;
    return err;
}

/* One for each socket of the address: with reuseport there may be several. */
static int add_doors(struct web_worker *w, struct web_listen *l,
                     const struct web_worker_fd *fds, uint32_t n)
{
    int err = 0;
    bool given = false;
    for (uint32_t i = 0; i < n && !err; i++) {
        if (fds[i].listen != l)
            continue;
        given = true;
        err = add_door(w, l, fds[i].fd);
    }
    return given ? err : add_door(w, l, -1);
}

static int open_doors(struct web_worker *w, const struct web_worker_fd *fds, uint32_t nfds)
{
    struct web_generation *g = w->generation;
    int err = 0;
    w->door_room = g->nlistens + nfds + 1;
    const struct core_main *main = g->core[WEB_core];
    wr_http_crowd_init(&w->crowd, (uint32_t)main->worker_connections);
    w->crowd.on_full = on_full;
    w->full_said_ms = w->reuse_said_ms = 0;
    w->doors = wr_heap_array(wr_loop_heap(w->loop), w->door_room, sizeof(*w->doors));
    if (!w->doors)
        return -ENOMEM;
    for (uint32_t i = 0; i < g->nlistens && !err; i++) {
        struct web_listen *l = g->listens[i];
        l->worker = w;
        if (l->bind)
            err = add_doors(w, l, fds, nfds);
    }
    w->open = w->ndoors;
    return err;
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static int start_modules(struct web_worker *w)
{
    for (uint32_t m = 0; m < WEB_MODULES; m++) {
        int err = web_modules[m]->start ? web_modules[m]->start(w, w->generation) : 0;
        if (err)
            return err;
    }
    return 0;
}

static bool has_door(const struct web_worker *w, int fd)
{
    for (uint32_t i = 0; i < w->ndoors; i++)
        if (wr_listener_fd(wr_http_server_listener(w->doors[i].http)) == fd)
            return true;
    return false;
}

static void abandon(struct web_worker *w, const struct web_worker_fd *fds, uint32_t nfds)
{
    for (uint32_t i = 0; i < nfds; i++)
        if (fds[i].fd >= 0 && !has_door(w, fds[i].fd))
            (void)wr_os_close(fds[i].fd);
    web_worker_close(w);
}

int web_worker_start(struct web_worker *w, struct web_generation *g,
                     const struct web_worker_fd *fds, uint32_t nfds)
{
    w->generation = g;
    w->doors = NULL;
    w->ndoors = w->open = 0;
    w->date_s = -1;
    w->shortage = (struct web_shortage){0};
    w->turned_away = w->unlogged = w->shake_pauses = w->shakes_said_ms = 0;
    w->direct_said = false;
    w->stopped = NULL;
    wr_pool_init(&w->requests, wr_loop_mem(w->loop), wr_loop_budget(w->loop), "web-requests",
                 sizeof(struct top));
    wr_arena_source_init(&w->arenas, wr_loop_mem(w->loop), wr_loop_budget(w->loop),
                         wr_loop_blocks(w->loop));
    w->started = true;
    int err = start_modules(w);
    if (!err)
        err = open_doors(w, fds, nfds);
    if (err)
        abandon(w, fds, nfds);
    return err;
}

static void door_stopped(struct wr_http_server *s, void *arg)
{
    struct web_door *door = arg;
    (void)s;
    wr_http_server_close(&door->http);
    if (--door->worker->open == 0 && door->worker->stopped)
        door->worker->stopped(door->worker);
}

void web_worker_stop(struct web_worker *w, uint64_t grace_ms,
                     void (*stopped)(struct web_worker *w))
{
    w->stopped = stopped;
    if (w->open == 0 && stopped) {
        stopped(w);
        return;
    }
    for (uint32_t i = 0, n = w->ndoors; i < n; i++)
        if (w->doors[i].http)
            wr_http_server_stop(w->doors[i].http, grace_ms, door_stopped, &w->doors[i]);
}

void web_worker_close(struct web_worker *w)
{
    for (uint32_t i = 0; i < w->ndoors; i++)
        wr_http_server_close(&w->doors[i].http);
    w->open = 0;
}

void web_worker_free(struct web_worker *w)
{
    if (!w->started)
        return;
    w->started = false;
    for (uint32_t m = WEB_MODULES; m-- > 0;)
        if (web_modules[m]->stop)
            web_modules[m]->stop(w, w->generation);
    wr_arena_source_deinit(&w->arenas);
    wr_pool_deinit(&w->requests);
    wr_heap_free(wr_loop_heap(w->loop), w->doors, w->door_room * sizeof(*w->doors));
    w->doors = NULL;
}

struct wr_http_stats web_worker_stats(const struct web_worker *w)
{
    struct wr_http_stats all = {0};
    for (uint32_t i = 0; i < w->ndoors; i++) {
        if (!w->doors[i].http)
            continue;
        struct wr_http_stats s = wr_http_server_stats(w->doors[i].http);
        all.links.opened += s.links.opened;
        all.links.bytes_in += s.links.bytes_in;
        all.links.bytes_out += s.links.bytes_out;
        for (size_t c = 0; c < WR_CLOSES; c++)
            all.links.closed[c] += s.links.closed[c];
        all.begun += s.begun;
        all.answered += s.answered;
        all.refused += s.refused;
        all.aborted += s.aborted;
        all.no_memory += s.no_memory;
        all.handshakes += s.handshakes;
        all.handshakes_failed += s.handshakes_failed;
        all.handshakes_shed += s.handshakes_shed;
        all.handshake_pauses += s.handshake_pauses;
        all.proxy_bad += s.proxy_bad;
        all.open += s.open;
        all.handshaking += s.handshaking;
        all.reading += s.reading;
        all.writing += s.writing;
        all.waiting += s.waiting;
        for (size_t c = 0; c < WR_ARRAY_LEN(all.by_class); c++)
            all.by_class[c] += s.by_class[c];
    }
    return all;
}

#define DATE_FIELD "Date: "

struct web_totals web_worker_totals(struct web_worker *w)
{
    struct web_totals t;
    if (w->on_totals) {
        w->on_totals(w, &t);
        return t;
    }
    struct wr_http_stats s = web_worker_stats(w);
    return (struct web_totals){.accepted = s.links.opened,
                               .requests = s.begun,
                               .active = s.open,
                               .reading = s.reading,
                               .writing = s.writing,
                               .waiting = s.waiting};
}

struct wr_span web_worker_date(struct web_worker *w)
{
    const size_t at = sizeof(DATE_FIELD) - 1;
    int64_t now = (int64_t)(wr_loop_wall_ns(w->loop) / 1000000000u);
    if (now != w->date_s) {
        memcpy(w->date_line, DATE_FIELD, at);
        wr_date_format(now, w->date_line + at);
        memcpy(w->date_line + at + WR_DATE_LEN, "\r\n", 2);
        w->date_s = now;
    }
    return wr_span(w->date_line, at + WR_DATE_LEN + 2);
}

/* ---- alone ------------------------------------------------------------------------------------------------------------ */

struct alone {
    struct web_worker worker;
    struct wr_loop *loop;
    struct wr_signal signals;
    bool stopping;
};

static void alone_stopped(struct web_worker *w)
{
    wr_loop_stop(wr_container_of(w, struct alone, worker)->loop);
}

static void alone_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct alone *a = wr_container_of(s, struct alone, signals);
    const struct core_main *main = a->worker.generation->core[WEB_core];
    if (info->ssi_signo != SIGQUIT || a->stopping) {
        wr_loop_stop(a->loop);
        return;
    }
    a->stopping = true;
    web_worker_stop(&a->worker, main->worker_shutdown_timeout_ms, alone_stopped);
}

static int run(struct alone *a, struct web_generation *g)
{
    sigset_t set = wr_signal_set(SIGTERM, SIGINT, SIGQUIT, 0);
    int err = wr_signal_open(a->loop, &a->signals, &set, alone_signal);
    if (err)
        return err;
    err = web_worker_start(&a->worker, g, NULL, 0);
    if (!err)
        err = wr_loop_run(a->loop);
    web_worker_close(&a->worker);
    (void)wr_loop_turn(a->loop, 0); /* what was closed goes */
    web_worker_free(&a->worker);
    wr_signal_close(&a->signals);
    return err;
}

int web_worker_run_alone(struct web_generation *g, struct wr_log *log)
{
    struct alone a = {.worker = {.log = log}};
    int err = wr_loop_new(&(struct wr_loop_options){.heap = wr_os_heap()}, &a.loop);
    if (err)
        return err;
    a.worker.loop = a.loop;
    err = run(&a, g);
    wr_loop_free(&a.loop);
    return err;
}
