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
struct wr_shm;
struct wr_worker;

#define SERVICE_LOG_RING ((size_t)64 << 10)

struct wr_service {
    const struct wr_service_options *options;
    struct wr_budget budget;
    struct wr_loop *loop;
    struct wr_scope scope;
    struct wr_log *log;
    struct wr_timer log_tick;
    struct wr_signal signals;
    struct wr_server *servers[WR_SERVICE_SERVERS];
    struct wr_accept *accepts[WR_SERVICE_SERVERS];
    unsigned n_servers, stopped;
    bool stopping, started;
    int result;
    struct wr_worker *worker; /* NULL in the only process */
    unsigned index;
    /* of the process that owns the log: the only one, or the master */
    struct wr_shm *shm;
    struct wr_logger *logger;
    int wake_fd;
};

/* Logs, remembers the failure as the service's result, passes the error on. */
int service_fail(struct wr_service *s, const char *what, int err);

/* Opens servers, calls on_start. */
int service_open(struct wr_service *s);
/* Graceful; again: at once. */
void service_stop(struct wr_service *s);
void service_close(struct wr_service *s);
unsigned service_count(const struct wr_service_options *o);

/* Memory for the log of this family of processes (rings of them) and the eventfd that wakes its reader. */
WR_MUST int service_log_memory(struct wr_service *s, unsigned rings);
/* The writer's side on ring 0. */
WR_MUST int service_log_open(struct wr_service *s);
struct wr_logger_options service_logger_options(const struct wr_service *s);
void service_log_close(struct wr_service *s);

#endif
