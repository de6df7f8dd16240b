/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service with worker processes: the master holds the sockets, starts the logger and the workers, and
 * watches them; each worker runs the same serving as a service of one process.
 *
 *     master (loop, sockets, shared memory)
 *      |- logger            writes the log
 *      `- worker x N        connections come through wr_accept
 *
 * Seats on the board, and rings of log and recorder: 0 the master, 1 and 2 the logger and its successor,
 * from 3 on the workers, two seats each, so that a dead one's last words stay readable for a while.
 */
#include "libweir/base/err.h"
#include "libweir/conn/service_private.h"
#include "libweir/io/accept.h"
#include "libweir/io/board.h"
#include "libweir/io/leases.h"
#include "libweir/io/proc.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <sys/signalfd.h>

#define CUT_EXTRA_MS \
    2000U /* a worker cuts by itself after the grace; the master waits so much longer */
#define RING_SEATS(n) (SERVICE_WORKER_SEAT + 2 * (n))

struct master {
    struct wr_service s;
    struct wr_board *board;
    struct wr_procs *workers;
    enum wr_accept_mode mode;
    struct wr_accept_share *shares[SERVICE_PORTS];
    unsigned n_shares;
};

/* ---- the worker ------------------------------------------------------------------------------------------ */

static void on_worker_stop(struct wr_worker *w, enum wr_stop_reason why, void *arg)
{
    struct wr_service *s = arg;
    (void)w;
    /* Of one end it may hear twice: from the master, and by a signal to the whole group. */
    if (why == WR_STOP_NOW || !s->stopping)
        wr_service_stop_(s);
    if (why == WR_STOP_NOW)
        wr_service_stop_(s);
}

static void on_worker_command(struct wr_worker *w, unsigned command, void *arg)
{
    struct wr_service *s = arg;
    (void)w;
    if (command == WR_COMMAND_USER && s->options->on_hup)
        s->options->on_hup(s);
}

static int open_ports(struct wr_service *s, struct master *m)
{
    for (unsigned i = 0; i < s->n_ports; i++) {
        struct service_port *p = &s->ports[i];
        p->seat = wr_worker_seat(s->worker);
        int rc = wr_service_port_open_(p, false);
        if (rc == 0)
            rc = wr_accept_open(s->loop, m->shares[i], s->index, wr_service_port_adopt_, p,
                                p->seat, s->log, &p->accept);
        if (rc)
            return wr_service_fail_(s, "accept", rc);
    }
    return 0;
}

static int worker_main(struct wr_worker *w, void *arg)
{
    struct master *m = arg;
    struct wr_service s = {.options = m->s.options, .worker = w, .index = wr_worker_index(w)};
    struct wr_worker_callbacks callbacks = {on_worker_stop, on_worker_command, &s};
    s.log = wr_worker_log(w);
    int rc = wr_service_set_up_(&s, wr_worker_loop_stats(w));
    if (rc)
        return 70;
    wr_service_log_tick_(&s);
    wr_loop_set_leases(s.loop, wr_leases_at(m->s.shm));
    rc = wr_worker_attach(w, s.loop, &callbacks);
    if (rc)
        wr_service_fail_(&s, "attach", rc);
    else
        rc = open_ports(&s, m);
    if (rc == 0)
        rc = wr_service_start_(&s);
    if (rc == 0) {
        wr_worker_ready(w);
        rc = wr_loop_run(s.loop);
    }
    wr_worker_detach(w);
    wr_service_tear_down_(&s);
    return rc ? 71 : s.result;
}

/* ---- the master ------------------------------------------------------------------------------------------- */

/* What of the shares, and of the logger's channel, a worker must not hold. */
static unsigned list_to_close(unsigned index, int out_fds[static WR_PROCS_CLOSE_MAX], void *arg)
{
    struct master *m = arg;
    unsigned n = wr_procs_list(m->s.loggers, out_fds, WR_PROCS_CLOSE_MAX);
    for (unsigned i = 0; i < m->n_shares; i++) {
        int more[WR_PROCS_CLOSE_MAX];
        unsigned got = wr_accept_share_list(m->shares[i], index, more);
        if (got > WR_PROCS_CLOSE_MAX - n)
            got = WR_PROCS_CLOSE_MAX - n;
        memcpy(out_fds + n, more, got * sizeof *more);
        n += got;
    }
    return n;
}

static int listen_on(bool reuse_port, void *arg)
{
    struct service_port *p = arg;
    struct wr_listen_options o;
    const char *addr = wr_service_port_addr_(p, &o);
    unsigned backlog;
    int fd, rc = 0;
    if (p->bound.kind != WR_ADDR_NONE)
        o.addr = p->bound;
    else if (addr)
        rc = wr_addr_parse(wr_span_str(addr), &o.addr);
    o.reuseport |= reuse_port;
    if (rc == 0)
        rc = wr_listen_socket(&o, &fd, &backlog);
    if (rc == 0 && reuse_port && (rc = wr_addr_of_socket(fd, &p->bound)) < 0)
        (void)wr_os_close(fd);
    return rc ? rc : fd;
}

/* A path, or what somebody else has opened, is one socket only: in place of one each, the workers share it. */
static enum wr_accept_mode mode_of(const struct master *m, struct service_port *p)
{
    struct wr_listen_options o;
    const char *addr = wr_service_port_addr_(p, &o);
    bool parsed = !addr || wr_addr_parse(wr_span_str(addr), &o.addr) == 0;
    bool one = parsed && (o.addr.kind == WR_ADDR_UNIX || o.addr.kind == WR_ADDR_FD);
    return one && m->mode == WR_ACCEPT_REUSEPORT ? WR_ACCEPT_EXCLUSIVE : m->mode;
}

static int open_share(struct master *m, struct service_port *p)
{
    struct wr_service *s = &m->s;
    struct wr_accept_share_options o = {.mode = mode_of(m, p),
                                        .workers = s->options->workers,
                                        .listen = listen_on,
                                        .arg = p,
                                        .log = s->log,
                                        .seat = wr_board_seat(m->board, 0)};
    struct wr_listen_options unused;
    struct wr_addr at;
    char text[WR_ADDR_TEXT_MAX] = "?";
    int rc = wr_accept_share_new(s->loop, &o, &m->shares[m->n_shares]);
    if (rc) {
        const char *addr = wr_service_port_addr_(p, &unused);
        return wr_service_fail_(s, addr ? addr : "listen", rc);
    }
    if (wr_addr_of_socket(wr_accept_share_fd(m->shares[m->n_shares++], 0), &at) == 0)
        wr_addr_format(&at, text);
    WR_LOG(s->log, NOTICE, "service", "listening", "addr=%s accept=%s workers=%u", text,
           wr_accept_mode_name(o.mode), o.workers);
    return 0;
}

static int open_shares(struct master *m)
{
    int rc = 0;
    for (unsigned i = 0; i < m->s.n_ports && rc == 0; i++)
        rc = open_share(m, &m->s.ports[i]);
    return rc;
}

static void on_worker_event(struct wr_procs *procs, enum wr_procs_event event, unsigned index,
                            pid_t pid, int status, void *arg)
{
    struct master *m = arg;
    char text[64];
    (void)procs;
    for (unsigned i = 0; i < m->n_shares; i++)
        wr_accept_share_event(m->shares[i], event, index, pid);
    if (event == WR_PROCS_ENDED)
        wr_leases_forget(wr_leases_at(m->s.shm), pid);
    if (event == WR_PROCS_ENDED && !m->s.stopping)
        WR_LOG(m->s.log, WARN, "service", "worker_ended", "index=%u pid=%d how=%s", index,
               (int)pid, wr_exit_text(status, text, sizeof text));
    if (event == WR_PROCS_STOPPED) {
        WR_LOG(m->s.log, NOTICE, "service", "stopped", "name=%s", m->s.options->name);
        wr_service_end_(&m->s);
    }
}

static void on_signal(struct wr_signal *signal, const struct signalfd_siginfo *info)
{
    struct wr_service *s = wr_container_of(signal, struct wr_service, signals);
    struct master *m = wr_container_of(s, struct master, s);
    switch (info->ssi_signo) {
    case SIGUSR1:
        wr_service_logger_reopen_(s);
        break;
    case SIGHUP:
        wr_procs_command(m->workers, WR_COMMAND_USER);
        break;
    case SIGUSR2: {
        int rc = wr_procs_replace(m->workers);
        if (rc)
            WR_LOG(s->log, WARN, "service", "replace_refused", "err=%s", wr_err_name(rc));
        break;
    }
    default:
        WR_LOG(s->log, NOTICE, "service", "stopping", "name=%s", s->options->name);
        wr_procs_stop(m->workers, !s->stopping);
        s->stopping = true;
    }
}

static int start_workers(struct master *m)
{
    const struct wr_service_options *o = m->s.options;
    uint64_t grace = o->grace_ms ? o->grace_ms : SERVICE_GRACE_MS;
    if (grace > UINT32_MAX - CUT_EXTRA_MS)
        grace = UINT32_MAX - CUT_EXTRA_MS;
    return wr_procs_start(
        m->s.loop,
        &(struct wr_procs_options){.name = o->name,
                                   .workers = o->workers,
                                   .main = worker_main,
                                   .arg = m,
                                   .shm = m->s.shm,
                                   .board = m->board,
                                   .first_seat = SERVICE_WORKER_SEAT,
                                   .seats = 2 * o->workers,
                                   .log = m->s.log,
                                   .log_wake_fd = m->s.wake_fd,
                                   .log_level = wr_service_log_level_(o),
                                   .stop_timeout_ms = (unsigned)grace + CUT_EXTRA_MS,
                                   .on_event = on_worker_event,
                                   .event_arg = m,
                                   .list_to_close = list_to_close},
        &m->workers);
}

static int set_up(struct master *m)
{
    struct wr_service *s = &m->s;
    const char *accept = s->options->accept ? s->options->accept : "reuseport";
    unsigned seats = RING_SEATS(s->options->workers);
    int rc = wr_service_log_memory_(s, seats);
    if (rc == 0)
        rc = wr_board_new(wr_loop_heap(s->loop), s->shm,
                          &(struct wr_board_options){.seats = seats}, &m->board);
    if (rc == 0)
        rc = wr_service_log_open_(s);
    if (rc)
        return rc;
    rc = wr_service_logger_start_(s, m->board);
    if (rc)
        return s->result ? rc : wr_service_fail_(s, "logger", rc);
    rc = wr_accept_mode_parse(accept, &m->mode);
    return rc ? wr_service_fail_(s, accept, rc) : open_shares(m);
}

int wr_service_run_master_(const struct wr_service_options *options)
{
    sigset_t set = wr_signal_set(SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, 0);
    struct master m = {.s.options = options};
    struct wr_service *s = &m.s;
    int rc = wr_service_set_up_(s, NULL);
    if (rc)
        return 1;
    rc = set_up(&m);
    if (rc == 0)
        rc = wr_signal_open(s->loop, &s->signals, &set, on_signal);
    if (rc == 0)
        rc = start_workers(&m);
    if (rc)
        wr_service_fail_(s, "start", rc);
    else
        rc = wr_loop_run(s->loop);
    wr_procs_free(&m.workers);
    for (unsigned i = 0; i < m.n_shares; i++)
        wr_accept_share_free(&m.shares[i]);
    wr_service_tear_down_(s);
    wr_board_free(&m.board);
    return rc || s->result ? 1 : 0;
}
