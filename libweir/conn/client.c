/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/client.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/rand.h"
#include "libweir/conn/conn_group.h"
#include "libweir/io/ports.h"

#include <errno.h>

#define BACKOFF_MS     100U
#define BACKOFF_MAX_MS 10000U

struct wr_client {
    struct wr_conn_group g;
    struct wr_loop *loop;
    struct wr_client_options options;
    char *text; /* the target's; target.name points into it */
    size_t text_n;
    struct wr_target target;
    struct wr_scope attempts; /* of the connect under way */
    struct wr_op op;          /* in the scope that the client belongs to */
    struct wr_timer timer;    /* until the next attempt */
    struct wr_rand rand;
    struct wr_conn *conn;
    struct wr_addr peer; /* whose port is to be given back */
    uint64_t up_ms;
    uint32_t backoff_ms; /* the next one */
    bool closing;
    uint64_t tried, failures, connected;
};

static struct wr_client *client_of(struct wr_conn_group *g)
{
    return wr_container_of(g, struct wr_client, g);
}

static void client_free(struct wr_client *k)
{
    const struct wr_heap *heap = wr_loop_heap(k->loop);
    wr_heap_free(heap, k->text, k->text_n + 1);
    wr_heap_free(heap, k, sizeof *k);
}

static void client_gone(struct wr_conn_group *g)
{
    struct wr_client *k = client_of(g);
    wr_scope_deinit(&k->attempts);
    client_free(k);
}

/* ---- connecting --------------------------------------------------------------------------------------- */

static void attempt(struct wr_client *k);

/* Half of the back-off is certain, half is chance. Returns it, at least 1. */
static uint32_t retry_later(struct wr_client *k)
{
    uint32_t half = k->backoff_ms / 2;
    uint32_t wait = half + (uint32_t)wr_rand_below(&k->rand, (uint64_t)half + 1);
    k->backoff_ms = k->backoff_ms > k->options.backoff_max_ms / 2 ? k->options.backoff_max_ms
                                                                  : k->backoff_ms * 2;
    wait = wait ? wait : 1;
    wr_loop_timer_arm(k->loop, &k->timer, wait);
    return wait;
}

static void on_timer(struct wr_timer *t)
{
    attempt(wr_container_of(t, struct wr_client, timer));
}

static void failed(struct wr_client *k, int err, enum wr_connect_stage stage)
{
    k->failures++;
    uint32_t retry_ms = k->options.reconnect ? retry_later(k) : 0;
    if (k->options.on_fail)
        k->options.on_fail(k, err, stage, retry_ms);
}

/* Who closes first keeps the port for a while. */
static void give_port(struct wr_client *k, bool time_wait)
{
    if (k->options.connect.ports)
        wr_port_budget_give(k->options.connect.ports, &k->peer, time_wait,
                            wr_loop_now_ms(k->loop));
}

static void on_connected(void *arg, int err, const struct wr_connected *r)
{
    struct wr_client *k = arg;
    struct wr_conn *c;
    if (k->closing || wr_scope_why(&k->attempts)) /* the client ends: not a failure */
        return;
    if (err) {
        failed(k, err, r->stage);
        return;
    }
    k->connected++;
    k->up_ms = wr_loop_now_ms(k->loop);
    k->peer = r->peer;
    err = wr_conn_new(&k->g, r->fd, &c);
    if (!err) {
        k->conn = c;
        return;
    }
    give_port(k, true);
    failed(k, err, WR_CONNECT_CONNECT);
}

static void attempt(struct wr_client *k)
{
    k->tried++;
    int rc = wr_connect(&k->attempts, k->options.resolver, &k->target, &k->options.connect,
                        on_connected, k);
    if (rc)
        failed(k, rc, WR_CONNECT_CONNECT);
}

static void on_closed(struct wr_conn_group *g, struct wr_conn *c)
{
    struct wr_client *k = client_of(g);
    uint8_t why = wr_conn_link(c)->why;
    k->conn = NULL;
    give_port(k, why != WR_CLOSE_PEER && why != WR_CLOSE_RESET);
    if (k->closing || !k->options.reconnect)
        return;
    if (wr_loop_now_ms(k->loop) - k->up_ms >= k->options.backoff_max_ms)
        k->backoff_ms = k->options.backoff_ms;
    (void)retry_later(k);
}

/* ---- life ----------------------------------------------------------------------------------------------- */

static void shut(struct wr_client *k, enum wr_close why, int err)
{
    k->closing = true;
    wr_op_end(&k->op);
    wr_loop_timer_cancel(&k->timer);
    wr_scope_cancel(&k->attempts, err);
    wr_conn_group_close(&k->g, why, err);
}

static void on_scope_end(struct wr_op *op, int why)
{
    shut(wr_container_of(op, struct wr_client, op), WR_CLOSE_LOCAL, why);
}

static void set_options(struct wr_client *k, const struct wr_client_options *options)
{
    k->options = *options;
    if (!k->options.backoff_ms)
        k->options.backoff_ms = BACKOFF_MS;
    if (!k->options.backoff_max_ms)
        k->options.backoff_max_ms = BACKOFF_MAX_MS;
    k->backoff_ms = k->options.backoff_ms;
    k->timer.fn = on_timer;
    wr_rand_init(&k->rand, options->seed ? options->seed : wr_loop_now_ns(k->loop));
}

int wr_client_connect(struct wr_scope *scope, struct wr_loop *loop,
                      const struct wr_client_options *options, struct wr_client **out_client)
{
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_client *k = wr_heap_zalloc(heap, sizeof *k);
    if (!k)
        return -ENOMEM;
    k->loop = loop;
    set_options(k, options);
    k->text_n = options->target ? strlen(options->target) : 0;
    k->text = wr_heap_strndup(heap, options->target ? options->target : "", k->text_n);
    int rc = k->text ? wr_target_parse(wr_span(k->text, k->text_n), 0, &k->target) : -ENOMEM;
    if (rc == 0)
        rc = wr_conn_group_init(&k->g, loop, &options->conn, 0, scope, true);
    if (rc) {
        client_free(k);
        return rc;
    }
    k->g.on_closed = on_closed;
    k->g.gone = client_gone;
    wr_scope_init(&k->attempts, loop, scope, 0);
    rc = wr_op_begin(scope, &k->op, on_scope_end);
    if (rc) {
        shut(k, WR_CLOSE_LOCAL, rc);
        return rc;
    }
    *out_client = k;
    attempt(k);
    return 0;
}

void wr_client_close(struct wr_client **client)
{
    struct wr_client *k = *client;
    *client = NULL;
    if (k)
        shut(k, WR_CLOSE_LOCAL, WR_E_CANCELED);
}

struct wr_conn *wr_client_conn(const struct wr_client *client)
{
    return client->conn;
}

void *wr_client_arg(const struct wr_client *client)
{
    return client->options.conn.arg;
}

struct wr_client_stats wr_client_stats(const struct wr_client *client)
{
    return (struct wr_client_stats){
        .attempts = client->tried,
        .failures = client->failures,
        .connected = client->connected,
        .links = client->g.links.stats,
    };
}
