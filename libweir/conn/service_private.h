/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_SERVICE_PRIVATE_H
#define WR_CONN_SERVICE_PRIVATE_H

/*
 * What the parts of a service share: service.c serves, in the only process or in a worker;
 * service_master.c runs the workers; service_log.c is the log of both.
 *
 * Not installed.
 */

#include "libweir/base/mem_budget.h"
#include "libweir/conn/service.h"
#include "libweir/io/log.h"
#include "libweir/io/logger.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"

struct wr_accept;
struct wr_board;
struct wr_procs;
struct wr_shm;
struct wr_worker;

#define SERVICE_LOG_RING ((size_t)64 << 10)
#define SERVICE_EVENTS   1024U /* of a flight recorder */
#define SERVICE_GRACE_MS 10000U
#define SERVICE_POOLS    2U /* of each process, on the average, that tell who borrowed */

/* Seats of board, log and recorder: 0 the process that owns the log, then the logger and its successor. */
#define SERVICE_LOGGER_SEAT  1U
#define SERVICE_LOGGER_SEATS 2U
#define SERVICE_WORKER_SEAT  3U

/* One row of options.servers or options.http, in the process that serves it. */
struct service_port {
    struct wr_service *service;
    const struct wr_server_options *framed; /* one of the two */
    const struct wr_http_options *http;
    struct wr_server *framed_server;
    struct wr_http_server *http_server;
    struct wr_addr
        bound; /* in a master: where its first socket listens; port 0 has become one */
    struct wr_accept *accept; /* in a worker, as is: */
    struct wr_seat *seat;
    bool stopped;
};

#define SERVICE_PORTS (2 * WR_SERVICE_SERVERS)

struct wr_service {
    const struct wr_service_options *options;
    struct wr_budget budget;
    struct wr_loop *loop;
    struct wr_scope scope;
    struct wr_log *log;
    struct wr_timer log_tick;
    struct wr_signal signals;
    struct service_port ports[SERVICE_PORTS];
    unsigned n_ports, n_stopped;
    bool stopping, started;
    int result;
    struct wr_worker *worker; /* NULL in the only process */
    unsigned index;
    /* of the process that owns the log: the only one, or the master */
    struct wr_shm *shm;
    struct wr_procs *loggers; /* a pool of one, or NULL: */
    struct wr_logger *logger; /* in this loop, where a process could not be had */
    struct wr_logger_options logger_options;
    int wake_fd;
};

/* Logs, remembers the failure as the service's result, passes the error on. */
int wr_service_fail_(struct wr_service *s, const char *what, int err);

/* ---- service.c: one serving process ---------------------------------------------------------------- */
/* Budget, loop, scope. stats may be NULL. */
WR_MUST int wr_service_set_up_(struct wr_service *s, struct wr_loop_stats *stats);
/* The server of a port; with its listener, or for descriptors that wr_service_port_adopt_ gets. */
WR_MUST int wr_service_port_open_(struct service_port *p, bool listen);
void wr_service_port_adopt_(int fd, void *port);
/* Address and listener options of its row. */
const char *wr_service_port_addr_(const struct service_port *p, struct wr_listen_options *out);
/* Calls on_start. */
WR_MUST int wr_service_start_(struct wr_service *s);
/* Graceful; called again: at once. Ends with the loop. */
void wr_service_stop_(struct wr_service *s);
/* Closes and frees everything, also after a failed start. */
void wr_service_tear_down_(struct wr_service *s);

/* ---- service_log.c ----------------------------------------------------------------------------------- */
/* Shared memory of so many seats: board, flight recorder, log; and the eventfd that wakes the logger. */
WR_MUST int wr_service_log_memory_(struct wr_service *s, unsigned seats);
/* The writer's side on ring 0. */
WR_MUST int wr_service_log_open_(struct wr_service *s);
void wr_service_log_tick_(struct wr_service *s);
unsigned wr_service_log_level_(const struct wr_service_options *o);
/* The logger: a process of its own, so that a stuck disk stops nobody; board may be NULL. */
WR_MUST int wr_service_logger_start_(struct wr_service *s, struct wr_board *board);
void wr_service_logger_reopen_(struct wr_service *s);
/* Ends logger and loop. */
void wr_service_end_(struct wr_service *s);
/* Behind the last log line: writes what is left. */
void wr_service_log_close_(struct wr_service *s);

/* ---- service_master.c -------------------------------------------------------------------------------- */
int wr_service_run_master_(const struct wr_service_options *options);

#endif
