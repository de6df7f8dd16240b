/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The watch: a small process that answers about the others, from shared memory alone.
 *
 *   /  page    /status  JSON    /metrics  Prometheus    /healthz  the watch lives    /readyz  the server serves
 *
 * It has no rights: its user is the workers', and its sandbox leaves it /proc for reading and a netlink socket.
 * Who can reach the socket (mode 0600, or loopback) may read; pages of strangers in a browser may not: an Origin is
 * refused, and so is a Host that is no name of this machine.
 */
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/conn/http_server.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"
#include "weir/stats/report.h"

#include <errno.h>
#include <string.h>

#define LISTED_CONNS 2000U
#define GRACE_MS     200U

struct watch {
    struct master *m;
    struct wr_worker *process;
    struct wr_loop *loop;
    struct wr_http_server *http;
    const struct wr_heap *heap;
    struct report report;
};

/* ---- who may ask -------------------------------------------------------------------------------------------- */

static bool is_local_name(struct wr_span host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (unsigned i = 0; i < WR_ARRAY_LEN(names); i++) {
        struct wr_span name = wr_span_str(names[i]);
        if (wr_span_ieq(host, name) || (host.n > name.n && host.p[name.n] == ':' &&
                                        wr_span_ieq(wr_span(host.p, name.n), name)))
            return true;
    }
    return false;
}

static bool may_ask(const struct watch *w, struct wr_http_req *req)
{
    bool tcp = strncmp(w->m->watch.addr, "unix:", 5) != 0;
    if (wr_http_header(req, WR_H_ORIGIN).p)
        return false;
    return !tcp || is_local_name(wr_http_header(req, WR_H_HOST));
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

static void answer_text(struct wr_http_req *req, struct stats_text *t, struct wr_span type)
{
    if (t->failed)
        wr_http_error(req, 503);
    else
        wr_http_reply(req, 200, type, wr_span(t->p, t->n));
    stats_text_free(t);
}

static void look(struct watch *w)
{
    report_look(&w->report, w->m->shm, w->m->board, wr_os_now_ns(CLOCK_MONOTONIC),
                wr_os_now_ns(CLOCK_REALTIME));
}

static void metrics(struct watch *w, struct wr_http_req *req)
{
    struct stats_text t = {.heap = w->heap};
    look(w);
    report_metrics(&w->report, &t);
    answer_text(req, &t, WR_LIT("text/plain; version=0.0.4; charset=utf-8"));
}

static void status(struct watch *w, struct wr_http_req *req)
{
    struct stats_text t = {.heap = w->heap};
    look(w);
    report_status(&w->report, &t, LISTED_CONNS);
    answer_text(req, &t, WR_LIT("application/json"));
}

static void ready(struct watch *w, struct wr_http_req *req)
{
    struct stats_text t = {.heap = w->heap};
    look(w);
    bool good = report_ready(&w->report, &t);
    wr_http_reply(req, good && !t.failed ? 200 : 503, WR_LIT("text/plain"), wr_span(t.p, t.n));
    stats_text_free(&t);
}

static void health(struct watch *w, struct wr_http_req *req)
{
    (void)w;
    wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("ok\n"));
}

static void page(struct watch *w, struct wr_http_req *req)
{
    (void)w;
    wr_http_reply(req, 200, WR_LIT("text/html; charset=utf-8"), wr_span_str(report_page));
}

static void on_request(struct wr_http_req *req, void *arg)
{
    static const struct {
        const char *path;
        void (*fn)(struct watch *w, struct wr_http_req *req);
    } pages[] = {
        {"/",        page   },
        {"/status",  status },
        {"/metrics", metrics},
        {"/healthz", health },
        {"/readyz",  ready  },
    };
    struct watch *w = arg;
    if (!may_ask(w, req)) {
        wr_http_error(req, 403);
        return;
    }
    if (wr_http_method(req) != WR_METHOD_GET && wr_http_method(req) != WR_METHOD_HEAD) {
        wr_http_error(req, 405);
        return;
    }
    for (unsigned i = 0; i < WR_ARRAY_LEN(pages); i++)
        if (wr_span_eq(wr_http_path(req), wr_span_str(pages[i].path))) {
            pages[i].fn(w, req);
            return;
        }
    wr_http_error(req, 404);
}

/* ---- the process ----------------------------------------------------------------------------------------------- */

static void on_stopped(struct wr_http_server *http, void *arg)
{
    struct watch *w = arg;
    (void)http;
    wr_loop_stop(w->loop);
}

static void on_stop(struct wr_worker *process, enum wr_stop_reason why, void *arg)
{
    struct watch *w = arg;
    (void)process;
    if (why == WR_STOP_GRACEFUL && w->http)
        wr_http_server_stop(w->http, GRACE_MS, on_stopped, w);
    else
        wr_loop_stop(w->loop);
}

static void say_text(void *ctx, int level, const char *text)
{
    const struct watch *w = ctx;
    process_say(wr_worker_log(w->process), w->loop, level, "%s", text);
}

static int give_up_rights(struct watch *w)
{
    const struct watch_plan *plan = &w->m->watch;
    static const struct sandbox_path paths[] = {
        {"/proc",          false},
        {"/etc/localtime", false},
    };
    int err = plan->has_user ? wr_os_become(plan->user, plan->uid, plan->gid) : 0;
    return err ? err
               : sandbox_enter(&(struct sandbox_plan){.mode = plan->sandbox,
                                                      .paths = paths,
                                                      .n_paths = WR_ARRAY_LEN(paths),
                                                      .netlink = true,
                                                      .say = say_text,
                                                      .ctx = w});
}

static int serve(struct watch *w)
{
    struct wr_worker_callbacks callbacks = {on_stop, NULL, w};
    struct wr_http_options o = {.listen = {.addr = {.kind = WR_ADDR_FD, .fd = w->m->watch.fd}},
                                .on_request = on_request,
                                .arg = w,
                                .max_conns = 64,
                                .output_hard = (uint64_t)64 << 20};
    int err = wr_loop_new(&(struct wr_loop_options){.stats = wr_worker_loop_stats(w->process)},
                          &w->loop);
    if (!err)
        err = wr_worker_attach(w->process, w->loop, &callbacks);
    if (!err)
        err = wr_http_server_open(w->loop, &o, &w->http);
    if (err)
        return err;
    wr_worker_ready(w->process);
    return wr_loop_run(w->loop);
}

static int watch_main(struct wr_worker *process, void *arg)
{
    struct watch_plan *plan = arg;
    struct watch w = {.m = plan->m, .process = process, .heap = wr_os_heap()};
    wr_log_sinks_free(&plan->m->sinks);
    if (give_up_rights(&w) < 0)
        return 2;
    int err = serve(&w);
    if (err)
        process_say(wr_worker_log(process), w.loop, WR_LOG_ERROR, "watch: %s",
                    wr_err_text(err));
    return err ? 3 : 0;
}

/* ---- the master's side ------------------------------------------------------------------------------------------ */

static void close_socket(struct master *m)
{
    struct wr_addr at;
    if (m->watch.fd < 0)
        return;
    if (wr_addr_parse(wr_span_str(m->watch.addr), &at) == 0 && at.kind == WR_ADDR_UNIX &&
        !m->next_pid) /* a successor may have its own there */
        (void)wr_os_unlink(m->watch.addr + 5);
    wr_os_close(m->watch.fd);
    m->watch.fd = -1;
    m->watch.addr[0] = 0;
}

static int open_socket(struct master *m, const struct settings *s)
{
    struct wr_listen_options o = {.backlog = 64};
    unsigned backlog;
    if (s->admin.n >= sizeof m->watch.addr)
        return -ENAMETOOLONG;
    int err = wr_addr_parse(s->admin, &o.addr);
    if (err)
        return err;
    if (o.addr.kind == WR_ADDR_UNIX && m->inherited)
        (void)wr_os_unlink(s->admin.p + 5); /* the predecessor's, who still listens */
    mode_t before = wr_os_umask(0177);      /* a mode that came later would come too late */
    err = wr_listen_socket(&o, &m->watch.fd, &backlog);
    (void)wr_os_umask(before);
    if (!err)
        state_text(m->watch.addr, sizeof m->watch.addr, s->admin.p);
    return err;
}

static void on_event(struct wr_procs *procs, enum wr_procs_event event, unsigned index,
                     pid_t pid, int status, void *arg)
{
    (void)procs;
    (void)index;
    (void)pid;
    if (event == WR_PROCS_UNBORN)
        master_say(arg, WR_LOG_WARN, "the watch cannot be started (%d: %s)%s", -status,
                   wr_err_text(status), remedy_text(status));
}

static int start(struct master *m, const struct settings *s)
{
    m->watch.m = m;
    int err = open_socket(m, s);
    if (err)
        return err;
    int keep[] = {m->watch.fd, m->wake_fd};
    return wr_procs_start(m->loop,
                          &(struct wr_procs_options){.name = "weir watch",
                                                     .workers = 1,
                                                     .main = watch_main,
                                                     .arg = &m->watch,
                                                     .shm = m->shm,
                                                     .board = m->board,
                                                     .first_seat = SEAT_WATCH,
                                                     .seats = 2,
                                                     .log = m->log,
                                                     .log_wake_fd = m->wake_fd,
                                                     .log_level = (unsigned)m->log_level,
                                                     .stop_timeout_ms = 2000,
                                                     .on_event = on_event,
                                                     .event_arg = m,
                                                     .keep_fds = keep,
                                                     .n_keep = WR_ARRAY_LEN(keep)},
                          &m->watches);
}

void watch_stop(struct master *m)
{
    wr_procs_free(&m->watches); /* it holds nothing that could be lost */
    close_socket(m);
}

static void note_rights(struct watch_plan *plan, const struct settings *s)
{
    plan->has_user = s->has_user;
    plan->uid = s->uid;
    plan->gid = s->gid;
    plan->sandbox = s->sandbox;
    if (s->has_user)
        state_text(plan->user, sizeof plan->user, s->user);
}

void watch_follow(struct master *m, const struct settings *s)
{
    bool same = s->admin.n ? strcmp(m->watch.addr, s->admin.p) == 0 : m->watch.fd < 0;
    note_rights(&m->watch, s);
    if (same)
        return;
    watch_stop(m);
    if (!s->admin.n)
        return;
    int err = start(m, s);
    if (err)
        master_say(m, WR_LOG_WARN, "no admin listener at \"%.*s\" (%d: %s)", (int)s->admin.n,
                   s->admin.p, -err, wr_err_text(err));
    else
        master_say(m, WR_LOG_NOTICE, "status and metrics at %s", m->watch.addr);
}
