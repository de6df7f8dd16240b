/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lender ADDRESS [1]: a server on libweir whose handler borrows from a pool of four. GET /keep never gives back;
 * any other request waits for its turn. 1: in a worker process.
 * For the doctor, which is to name who keeps them.
 */
#include "libweir/libweir.h"

#include <stdlib.h>

static struct wr_conn_pool *pool;
static struct wr_scope
    *scope; /* of the service: what ends with the request could not be kept */

static int open_one(void *driver, struct wr_scope *work, wr_pool_ready_fn *ready, void *token)
{
    (void)driver, (void)work;
    ready(token, malloc(1), 0);
    return 0;
}

static void close_one(void *driver, void *object)
{
    (void)driver;
    free(object);
}

static void on_kept(void *arg, int err, struct wr_lease lease)
{
    (void)lease;
    (void)wr_http_replyf(arg, err ? 503 : 200, "text/plain", "kept\n");
}

static void on_lent(void *arg, int err, struct wr_lease lease)
{
    wr_lease_release(&lease);
    (void)wr_http_replyf(arg, err ? 503 : 200, "text/plain", "done\n");
}

static void on_request(struct wr_http_req *req, void *arg)
{
    (void)arg;
    bool keep = wr_span_eq(wr_http_path(req), WR_LIT("/keep"));
    int err = keep ? wr_conn_pool_take(pool, scope, on_kept, req)
                   : wr_conn_pool_take(pool, scope, on_lent, req);
    if (err)
        (void)wr_http_error(req, 503);
}

static int on_start(struct wr_service *service)
{
    static const struct wr_conn_pool_ops ops = {
        .kind = "toy", .open = open_one, .close = close_one};
    const struct wr_conn_pool_options o = {.name = "db", .max_open = 4, .wait_ms = 120000};
    scope = wr_service_scope(service);
    return wr_conn_pool_new(wr_service_loop(service), &ops, NULL, &o, &pool);
}

static void on_stop(struct wr_service *service)
{
    (void)service;
    wr_conn_pool_free(&pool);
}

int main(int argc, char **argv)
{
    return wr_service_run(&(struct wr_service_options){
        .name = "lender",
        .workers = argc > 2 && argv[2][0] == '1',
        .on_start = on_start,
        .on_stop = on_stop,
        .http = {
            {.addr = argc > 1 ? argv[1] : "tcp://127.0.0.1:8080", .on_request = on_request}}});
}
