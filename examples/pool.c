/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool [ADDRESS] [workers=N] [accept=MODE] [backlog=N] [delay_ms=N] [timeout_ms=N] [fds=N] [log=FILE]
 *
 * An HTTP server of several processes: each answer says which worker gave it. Kill a worker and watch its
 * successor; SIGUSR2 replaces all of them, SIGUSR1 reopens the log, SIGTERM ends in order.
 */
#include "examples/option.h"
#include "libweir/libweir.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* An answer that takes a while, as one that asks a database does. */
struct late {
    struct wr_timer timer;
    struct wr_op op;
    struct wr_http_req *req;
};

static unsigned delay_ms;

static void answer(struct wr_http_req *req)
{
    (void)wr_http_replyf(req, 200, "text/plain", "worker %d\n", (int)getpid());
}

static void on_late(struct wr_timer *t)
{
    struct late *late = wr_container_of(t, struct late, timer);
    struct wr_http_req *req = late->req; /* `late` lies in its arena and goes with it */
    (void)wr_op_end(&late->op);
    answer(req);
}

static void on_cancel(struct wr_op *op, int why)
{
    (void)why;
    wr_loop_timer_cancel(&wr_container_of(op, struct late, op)->timer);
}

static void on_request(struct wr_http_req *req, void *arg)
{
    (void)arg;
    if (!delay_ms) {
        answer(req);
        return;
    }
    struct late *late = wr_arena_zalloc(wr_http_arena(req), sizeof *late);
    if (!late || wr_op_begin(wr_http_scope(req), &late->op, on_cancel) != 0) {
        (void)wr_http_error(req, 503);
        return;
    }
    late->req = req;
    late->timer.fn = on_late;
    wr_loop_timer_arm(wr_http_loop(req), &late->timer, delay_ms);
}

static void limit_fds(unsigned fds)
{
    struct rlimit limit = {fds, fds};
    if (fds && setrlimit(RLIMIT_NOFILE, &limit) != 0)
        perror("pool: setrlimit");
}

int main(int argc, char **argv)
{
    unsigned timeout_ms = option_number(argc, argv, "timeout_ms", 0);
    delay_ms = option_number(argc, argv, "delay_ms", 0);
    limit_fds(option_number(argc, argv, "fds", 0));
    return wr_service_run(&(struct wr_service_options){
        .name = "pool",
        .workers = option_number(argc, argv, "workers", 0),
        .accept = option(argc, argv, "accept", NULL),
        .log_file = option(argc, argv, "log", NULL),
        .http = {{.addr = option_address(argc, argv, "tcp://127.0.0.1:8080"),
                  .listen = {.backlog = option_number(argc, argv, "backlog", 0)},
                  .first_timeout_ms = timeout_ms,
                  .head_timeout_ms = timeout_ms,
                  .idle_timeout_ms = timeout_ms,
                  .rate_window_ms = timeout_ms,
                  .on_request = on_request}}});
}
