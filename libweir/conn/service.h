/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_SERVICE_H
#define WR_CONN_SERVICE_H

/*
 * A whole service in one call: memory, loop, listeners, signals, worker processes, log, graceful stop.
 *
 *     #include "libweir/libweir.h"
 *     static int on_frame(struct wr_conn *c, struct wr_view v)
 *     {
 *         return wr_conn_send_view(c, v);
 *     }
 *     static const struct wr_proto echo = {.on_frame = on_frame};
 *     int main(void)
 *     {
 *         return wr_service_run(&(struct wr_service_options){
 *             .name = "echo", .servers = {{.addr = ":2007", .conn = {.proto = &echo}}}});
 *     }
 *
 * With workers == 0 everything runs in the calling process. Otherwise a master opens the sockets, forks the
 * workers and replaces those that die; connections reach them by the accept mode that is named.
 *
 * 1. TERM, INT, QUIT: stop accepting, finish every connection, cut what is left after grace_ms. A second one
 *    cuts at once. HUP: on_hup, in every process that serves. USR1: the log is reopened. USR2: every worker
 *    is replaced by a new one, none of them before its successor serves.
 * 2. The result is an exit status: 0 after an orderly stop, 1 when it could not start or went wrong;
 *    the reason is on the log (standard error by default).
 * 3. on_start runs once per process that serves, before it serves; on_stop after its last connection.
 *    What on_start began (timers, descriptors) on_stop ends; what it began in wr_service_scope ends by itself.
 * 4. A log_file that cannot be opened is a reason not to start; standard error tells it.
 *
 * Call it from the main thread, before there are others.
 */

#include "libweir/conn/http_server.h"
#include "libweir/conn/server.h"

struct wr_log;
struct wr_service; /* opaque */

#define WR_SERVICE_SERVERS 8

struct wr_service_options {
    const char *name;
    /* Both lists go up to the first without an address; both may be empty (a client, a timer). */
    struct wr_server_options servers[WR_SERVICE_SERVERS];
    struct wr_http_options http[WR_SERVICE_SERVERS];
    unsigned workers; /* processes; 0: serve in this one */
    /* "reuseport" (default; on a unix path and on fd:N "exclusive"), "exclusive", "notify", "fdpass" */
    const char *accept;
    uint64_t grace_ms;                 /* 0: 10 s */
    uint64_t memory_soft, memory_hard; /* per process; 0: no limit */
    const char *log_file;              /* NULL: standard error */
    unsigned log_level; /* enum wr_log_level; 0: notice. Debug: wr_log_set_level in on_start */
    void *arg;
    int (*on_start)(struct wr_service *service); /* < 0: do not serve */
    void (*on_stop)(struct wr_service *service);
    void (*on_hup)(struct wr_service *service);
};

int wr_service_run(const struct wr_service_options *options);

/* For the callbacks. */
struct wr_loop *wr_service_loop(struct wr_service *service);
struct wr_scope *wr_service_scope(struct wr_service *service); /* ends when the service stops */
struct wr_log *wr_service_log(struct wr_service *service);     /* may be NULL */
struct wr_server *wr_service_server(struct wr_service *service, unsigned index);
struct wr_http_server *wr_service_http(struct wr_service *service, unsigned index);
void *wr_service_arg(struct wr_service *service);
unsigned wr_service_worker(const struct wr_service *service); /* index; 0 without workers */
void wr_service_stop(struct wr_service *service);             /* as TERM does */

#endif
