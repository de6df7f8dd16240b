/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/service.h"

#include "libweir/base/err.h"
#include "libweir/conn/http_private.h"
#include "libweir/conn/service_private.h"
#include "libweir/io/accept.h"
#include "libweir/io/board.h"
#include "libweir/io/leases.h"

#include <errno.h>
#include <sys/signalfd.h>

/* Of addresses, which are what a start fails by. */
static const char *remedy(int err)
{
    switch (err) {
    case -EADDRINUSE:
        return "another process listens there: `ss -ltnp` names it";
    case -EADDRNOTAVAIL:
        return "no interface has this address: `ip addr` shows those there are";
    case -EACCES:
        return "another user, another path, or a port above 1023";
    case WR_E_SYNTAX:
    case WR_E_RANGE:
        return "an address is 127.0.0.1:80, [::1]:80, :80, unix:/PATH or fd:N";
    default:
        return wr_err_fix(err);
    }
}

int wr_service_fail_(struct wr_service *s, const char *what, int err)
{
    const char *fix = remedy(err);
    s->result = 1;
    if (fix[0])
        WR_LOG(s->log, CRIT, "service", "failed", "what=%s err=%s text=%s do=%s", what,
               wr_err_name(err), wr_err_text(err), fix);
    else
        WR_LOG(s->log, CRIT, "service", "failed", "what=%s err=%s text=%s", what,
               wr_err_name(err), wr_err_text(err));
    return err;
}

/* ---- ports --------------------------------------------------------------------------------------------- */

static void add_port(struct wr_service *s, const struct wr_server_options *framed,
                     const struct wr_http_options *http)
{
    s->ports[s->n_ports++] =
        (struct service_port){.service = s, .framed = framed, .http = http};
}

static void list_ports(struct wr_service *s)
{
    const struct wr_service_options *o = s->options;
    for (unsigned i = 0; i < WR_SERVICE_SERVERS; i++) {
        if (!o->servers[i].addr && o->servers[i].listen.addr.kind == WR_ADDR_NONE)
            break;
        add_port(s, &o->servers[i], NULL);
    }
    for (unsigned i = 0; i < WR_SERVICE_SERVERS; i++) {
        if (!o->http[i].addr && o->http[i].listen.addr.kind == WR_ADDR_NONE)
            break;
        add_port(s, NULL, &o->http[i]);
    }
}

const char *wr_service_port_addr_(const struct service_port *p, struct wr_listen_options *out)
{
    *out = p->framed ? p->framed->listen : p->http->listen;
    return p->framed ? p->framed->addr : p->http->addr;
}

/* What a listener has to say goes to the log. */
static void log_notice(const struct service_port *p, const struct wr_listen_notice *n)
{
    struct wr_log *log = p->service->log;
    switch (n->kind) {
    case WR_LISTEN_BACKLOG_CLIPPED:
        WR_LOG(log, WARN, "listen", "backlog_clipped",
               "wanted=%u got=%u fix=net.core.somaxconn", n->wanted, n->got);
        break;
    case WR_LISTEN_SHORTAGE:
        WR_LOG(log, ERROR, "listen", "shortage", "err=%s fix=%s", wr_err_name(n->err),
               wr_err_fix(WR_E_FD_LIMIT));
        break;
    case WR_LISTEN_RECOVERED:
        WR_LOG(log, NOTICE, "listen", "recovered", "shed=%llu lasted_ms=%llu",
               (unsigned long long)n->shed, (unsigned long long)n->lasted_ms);
        break;
    }
}

static void on_framed_notice(struct wr_server *server, const struct wr_listen_notice *n,
                             void *arg)
{
    (void)server;
    log_notice(arg, n);
}

static void on_http_notice(struct wr_http_server *server, const struct wr_listen_notice *n,
                           void *arg)
{
    (void)server;
    log_notice(arg, n);
}

static void on_port_full(struct service_port *p, bool full)
{
    if (!p->accept)
        return;
    if (full)
        wr_accept_pause(p->accept);
    else
        wr_accept_resume(p->accept);
}

static void on_framed_full(struct wr_server *server, bool full, void *arg)
{
    (void)server;
    on_port_full(arg, full);
}

static void on_http_full(struct wr_http_server *server, bool full, void *arg)
{
    (void)server;
    on_port_full(arg, full);
}

/* ---- the board: each connection that a worker has, from accept to its end ------------------------------- */

static void connection_ended(struct service_port *p, enum wr_close why)
{
    bool in_order = why == WR_CLOSE_PEER || why == WR_CLOSE_LOCAL || why == WR_CLOSE_IDLE ||
                    why == WR_CLOSE_STOP;
    wr_seat_count(p->seat, WR_COUNTER_CLOSED, 1);
    wr_seat_gauge(p->seat, WR_GAUGE_OPEN, -1);
    wr_seat_leave(p->seat, WR_STAGE_CONNECTION, in_order);
}

static void on_framed_closed(struct wr_server *server, enum wr_close why, void *arg)
{
    (void)server;
    connection_ended(arg, why);
}

static void on_http_closed(struct wr_http_conn *conn, enum wr_close why, int err, void *arg)
{
    struct service_port *p = wr_http_conn_server(conn)->options.owner_arg;
    if (p->http->on_conn_close)
        p->http->on_conn_close(conn, why, err, arg);
    connection_ended(p, why);
}

void wr_service_port_adopt_(int fd, void *port)
{
    struct service_port *p = port;
    wr_seat_enter(p->seat, WR_STAGE_CONNECTION);
    wr_seat_gauge(p->seat, WR_GAUGE_OPEN, 1);
    int rc = p->framed ? wr_server_adopt(p->framed_server, fd)
                       : wr_http_server_adopt(p->http_server, fd);
    if (rc == 0)
        return;
    wr_seat_count(p->seat, WR_COUNTER_SHED, 1);
    wr_seat_gauge(p->seat, WR_GAUGE_OPEN, -1);
    wr_seat_leave(p->seat, WR_STAGE_CONNECTION, false);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static void mute(const char **addr, struct wr_listen_options *listen)
{
    *addr = NULL;
    listen->addr.kind = WR_ADDR_NONE;
}

static int open_framed(struct service_port *p, bool listen)
{
    struct wr_server_options o = *p->framed;
    if (!listen)
        mute(&o.addr, &o.listen);
    if (!o.scope)
        o.scope = &p->service->scope;
    if (!o.conn.arg)
        o.conn.arg = p->service->options->arg;
    o.on_full = on_framed_full;
    o.on_notice = on_framed_notice;
    if (p->seat)
        o.on_conn_closed = on_framed_closed;
    o.arg = p;
    return wr_server_open(p->service->loop, &o, &p->framed_server);
}

static int open_http(struct service_port *p, bool listen)
{
    struct wr_http_options o = *p->http;
    if (!listen)
        mute(&o.addr, &o.listen);
    if (!o.scope)
        o.scope = &p->service->scope;
    if (!o.arg)
        o.arg = p->service->options->arg;
    o.on_full = on_http_full;
    o.on_notice = on_http_notice;
    o.owner_arg = p;
    if (p->seat)
        o.on_conn_close = on_http_closed;
    return wr_http_server_open(p->service->loop, &o, &p->http_server);
}

int wr_service_port_open_(struct service_port *p, bool listen)
{
    struct wr_service *s = p->service;
    struct wr_listen_options unused;
    char text[WR_ADDR_TEXT_MAX];
    int rc = p->framed ? open_framed(p, listen) : open_http(p, listen);
    if (rc) {
        const char *addr = wr_service_port_addr_(p, &unused);
        return wr_service_fail_(s, addr ? addr : "listen", rc);
    }
    if (!listen)
        return 0;
    struct wr_listener *l = p->framed ? wr_server_listener(p->framed_server)
                                      : wr_http_server_listener(p->http_server);
    wr_addr_format(wr_listener_addr(l), text);
    WR_LOG(s->log, NOTICE, "service", "listening", "addr=%s", text);
    return 0;
}

static void close_ports(struct wr_service *s)
{
    for (unsigned i = 0; i < s->n_ports; i++) {
        wr_accept_close(&s->ports[i].accept);
        wr_server_close(&s->ports[i].framed_server);
        wr_http_server_close(&s->ports[i].http_server);
    }
}

/* ---- stopping -------------------------------------------------------------------------------------------- */

static void finish(struct wr_service *s)
{
    if (s->started && s->options->on_stop)
        s->options->on_stop(s);
    s->started = false;
    close_ports(s);
    wr_scope_cancel(&s->scope, WR_E_STOPPED);
    WR_LOG(s->log, NOTICE, "service", "stopped", "name=%s", s->options->name);
    wr_service_end_(s);
}

static void on_port_stopped(struct service_port *p)
{
    if (p->stopped)
        return;
    p->stopped = true;
    if (++p->service->n_stopped == p->service->n_ports)
        finish(p->service);
}

static void on_framed_stopped(struct wr_server *server, void *arg)
{
    (void)server;
    on_port_stopped(arg);
}

static void on_http_stopped(struct wr_http_server *server, void *arg)
{
    (void)server;
    on_port_stopped(arg);
}

static void stop_port(struct service_port *p, uint64_t grace_ms)
{
    wr_accept_close(&p->accept);
    if (p->stopped)
        return;
    if (p->framed_server)
        wr_server_stop(p->framed_server, grace_ms, on_framed_stopped, p);
    else if (p->http_server)
        wr_http_server_stop(p->http_server, grace_ms, on_http_stopped, p);
}

void wr_service_stop_(struct wr_service *s)
{
    uint64_t grace_ms = s->options->grace_ms ? s->options->grace_ms : SERVICE_GRACE_MS;
    if (s->stopping)
        grace_ms = 0;
    else
        WR_LOG(s->log, NOTICE, "service", "stopping", "name=%s grace_ms=%llu", s->options->name,
               (unsigned long long)grace_ms);
    s->stopping = true;
    for (unsigned i = 0; i < s->n_ports; i++)
        stop_port(&s->ports[i], grace_ms);
    if (s->n_ports == 0)
        finish(s);
}

static void on_signal(struct wr_signal *signal, const struct signalfd_siginfo *info)
{
    struct wr_service *s = wr_container_of(signal, struct wr_service, signals);
    if (info->ssi_signo == SIGUSR1) {
        wr_service_logger_reopen_(s);
    } else if (info->ssi_signo == SIGHUP) {
        if (s->options->on_hup)
            s->options->on_hup(s);
    } else {
        wr_service_stop_(s);
    }
}

/* ---- serving --------------------------------------------------------------------------------------------- */

int wr_service_start_(struct wr_service *s)
{
    int rc = s->options->on_start ? s->options->on_start(s) : 0;
    if (rc < 0)
        return wr_service_fail_(s, "on_start", rc);
    s->started = true;
    return 0;
}

int wr_service_set_up_(struct wr_service *s, struct wr_loop_stats *stats)
{
    const struct wr_service_options *o = s->options;
    size_t hard = o->memory_hard ? o->memory_hard : WR_BUDGET_NONE;
    size_t soft = o->memory_soft ? o->memory_soft : hard;
    s->wake_fd = -1;
    wr_budget_init(&s->budget, NULL, o->name ? o->name : "service", soft, hard);
    int rc =
        wr_loop_new(&(struct wr_loop_options){.budget = &s->budget, .stats = stats}, &s->loop);
    if (rc) {
        wr_budget_deinit(&s->budget);
        return rc;
    }
    wr_scope_init(&s->scope, s->loop, NULL, 0);
    list_ports(s);
    return 0;
}

void wr_service_tear_down_(struct wr_service *s)
{
    if (s->started && s->options->on_stop)
        s->options->on_stop(s);
    close_ports(s);
    wr_scope_deinit(&s->scope);
    wr_signal_close(&s->signals);
    /* What was closed frees its memory at the end of a turn. */
    (void)wr_loop_turn(s->loop, 0);
    (void)wr_loop_turn(s->loop, 0);
    wr_service_log_close_(s);
    wr_loop_free(&s->loop);
    wr_budget_deinit(&s->budget);
}

static int run_alone(struct wr_service *s)
{
    sigset_t set = wr_signal_set(SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, 0);
    int rc = wr_service_log_memory_(s, SERVICE_WORKER_SEAT);
    if (rc == 0)
        rc = wr_service_log_open_(s);
    if (rc)
        return rc;
    rc = wr_service_logger_start_(s, NULL);
    wr_loop_set_leases(s->loop, wr_leases_at(s->shm));
    if (rc == 0)
        rc = wr_signal_open(s->loop, &s->signals, &set, on_signal);
    if (rc)
        return s->result ? rc : wr_service_fail_(s, "set-up", rc);
    for (unsigned i = 0; i < s->n_ports && rc == 0; i++)
        rc = wr_service_port_open_(&s->ports[i], true);
    if (rc == 0)
        rc = wr_service_start_(s);
    return rc ? rc : wr_loop_run(s->loop);
}

int wr_service_run(const struct wr_service_options *options)
{
    if (options->workers)
        return wr_service_run_master_(options);
    struct wr_service s = {.options = options};
    if (wr_service_set_up_(&s, NULL))
        return 1;
    if (run_alone(&s))
        s.result = 1;
    wr_service_tear_down_(&s);
    return s.result;
}

/* ---- for the callbacks ------------------------------------------------------------------------------------- */

struct wr_loop *wr_service_loop(struct wr_service *service)
{
    return service->loop;
}

struct wr_scope *wr_service_scope(struct wr_service *service)
{
    return &service->scope;
}

struct wr_log *wr_service_log(struct wr_service *service)
{
    return service->log;
}

struct wr_server *wr_service_server(struct wr_service *service, unsigned index)
{
    return index < service->n_ports ? service->ports[index].framed_server : NULL;
}

struct wr_http_server *wr_service_http(struct wr_service *service, unsigned index)
{
    for (unsigned i = 0; i < service->n_ports; i++)
        if (service->ports[i].http && index-- == 0)
            return service->ports[i].http_server;
    return NULL;
}

void *wr_service_arg(struct wr_service *service)
{
    return service->options->arg;
}

unsigned wr_service_worker(const struct wr_service *service)
{
    return service->index;
}

void wr_service_stop(struct wr_service *service)
{
    wr_service_stop_(service);
}
