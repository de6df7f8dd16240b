/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/service.h"

#include "libweir/base/err.h"
#include "libweir/conn/service_private.h"

#include <sys/signalfd.h>

#define GRACE_MS 10000U

int service_fail(struct wr_service *s, const char *what, int err)
{
    s->result = 1;
    WR_LOG(s->log, CRIT, "service", "failed", "what=%s err=%s text=%s", what, wr_err_name(err),
           wr_err_text(err));
    return err;
}

unsigned service_count(const struct wr_service_options *o)
{
    unsigned n = 0;
    while (n < WR_SERVICE_SERVERS &&
           (o->servers[n].addr || o->servers[n].listen.addr.kind != WR_ADDR_NONE))
        n++;
    return n;
}

/* ---- stopping -------------------------------------------------------------------------------------------- */

static void finish(struct wr_service *s)
{
    if (s->started && s->options->on_stop)
        s->options->on_stop(s);
    s->started = false;
    wr_scope_cancel(&s->scope, WR_E_STOPPED);
    for (unsigned i = 0; i < s->n_servers; i++)
        wr_server_close(&s->servers[i]);
    WR_LOG(s->log, NOTICE, "service", "stopped", "name=%s", s->options->name);
    wr_loop_stop(s->loop);
}

static void on_stopped(struct wr_server *server, void *arg)
{
    struct wr_service *s = arg;
    (void)server;
    if (++s->stopped == s->n_servers)
        finish(s);
}

void service_stop(struct wr_service *s)
{
    uint64_t grace = s->stopping ? 0 : s->options->grace_ms ? s->options->grace_ms : GRACE_MS;
    bool first = !s->stopping;
    s->stopping = true;
    if (first)
        WR_LOG(s->log, NOTICE, "service", "stopping", "name=%s grace_ms=%llu", s->options->name,
               (unsigned long long)grace);
    for (unsigned i = 0; i < s->n_servers; i++)
        wr_server_stop(s->servers[i], grace, on_stopped, s);
    if (first && s->n_servers == 0)
        finish(s);
}

static void on_signal(struct wr_signal *signal, const struct signalfd_siginfo *info)
{
    struct wr_service *s = wr_container_of(signal, struct wr_service, signals);
    if (info->ssi_signo == SIGUSR1) {
        if (s->logger)
            wr_logger_reopen(s->logger);
    } else if (info->ssi_signo == SIGHUP) {
        if (s->options->on_hup)
            s->options->on_hup(s);
    } else {
        service_stop(s);
    }
}

/* ---- serving --------------------------------------------------------------------------------------------- */

static void on_notice(struct wr_server *server, const struct wr_listen_notice *n, void *arg)
{
    struct wr_service *s = arg;
    (void)server;
    switch (n->kind) {
    case WR_LISTEN_BACKLOG_CLIPPED:
        WR_LOG(s->log, WARN, "listen", "backlog_clipped",
               "wanted=%u got=%u fix=net.core.somaxconn", n->wanted, n->got);
        break;
    case WR_LISTEN_SHORTAGE:
        WR_LOG(s->log, ERROR, "listen", "shortage", "err=%s fix=\"%s\"", wr_err_name(n->err),
               wr_err_fix(WR_E_FD_LIMIT));
        break;
    case WR_LISTEN_RECOVERED:
        WR_LOG(s->log, NOTICE, "listen", "recovered", "shed=%llu lasted_ms=%llu",
               (unsigned long long)n->shed, (unsigned long long)n->lasted_ms);
        break;
    }
}

static int open_server(struct wr_service *s, unsigned i)
{
    struct wr_server_options o = s->options->servers[i];
    char addr[WR_ADDR_TEXT_MAX];
    if (!o.scope)
        o.scope = &s->scope;
    o.on_notice = on_notice;
    o.arg = s;
    int rc = wr_server_open(s->loop, &o, &s->servers[i]);
    if (rc)
        return service_fail(s, o.addr ? o.addr : "listen", rc);
    wr_addr_format(wr_listener_addr(wr_server_listener(s->servers[i])), addr);
    WR_LOG(s->log, NOTICE, "service", "listening", "addr=%s", addr);
    s->n_servers++;
    return 0;
}

int service_open(struct wr_service *s)
{
    unsigned n = service_count(s->options);
    for (unsigned i = 0; i < n; i++) {
        int rc = open_server(s, i);
        if (rc)
            return rc;
    }
    int rc = s->options->on_start ? s->options->on_start(s) : 0;
    if (rc < 0)
        return service_fail(s, "on_start", rc);
    s->started = true;
    return 0;
}

void service_close(struct wr_service *s)
{
    if (s->started && s->options->on_stop)
        s->options->on_stop(s);
    for (unsigned i = 0; i < s->n_servers; i++)
        wr_server_close(&s->servers[i]);
    wr_scope_deinit(&s->scope);
    wr_signal_close(&s->signals);
    /* What was closed frees its memory at the end of a turn. */
    (void)wr_loop_turn(s->loop, 0);
    (void)wr_loop_turn(s->loop, 0);
}

static int run_alone(struct wr_service *s)
{
    sigset_t set = wr_signal_set(SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, 0);
    int rc = service_log_memory(s, 1);
    if (rc == 0)
        rc = service_log_open(s);
    if (rc)
        return rc;
    struct wr_logger_options lo = service_logger_options(s);
    rc = wr_logger_open(s->loop, &lo, &s->logger);
    if (rc == 0)
        rc = wr_signal_open(s->loop, &s->signals, &set, on_signal);
    if (rc)
        return service_fail(s, "set-up", rc);
    rc = service_open(s);
    return rc ? rc : wr_loop_run(s->loop);
}

int wr_service_run(const struct wr_service_options *options)
{
    struct wr_service s = {.options = options, .log_tick.fn = NULL};
    size_t hard = options->memory_hard ? options->memory_hard : WR_BUDGET_NONE;
    size_t soft = options->memory_soft ? options->memory_soft : hard;
    wr_budget_init(&s.budget, NULL, options->name ? options->name : "service", soft, hard);
    int rc = wr_loop_new(&(struct wr_loop_options){.budget = &s.budget}, &s.loop);
    if (rc) {
        wr_budget_deinit(&s.budget);
        return 1;
    }
    wr_scope_init(&s.scope, s.loop, NULL, 0);
    rc = run_alone(&s);
    if (rc)
        s.result = 1;
    service_close(&s);
    service_log_close(&s);
    wr_loop_free(&s.loop);
    wr_budget_deinit(&s.budget);
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
    return index < service->n_servers ? service->servers[index] : NULL;
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
    service_stop(service);
}
