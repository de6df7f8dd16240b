/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/client.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/conn/server.h"
#include "libweir/io/ports.h"
#include "tests/conn_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

static const struct wr_codec lines = WR_CODEC_LINES(100);

static int opens, closes, frames, fails, last_err;
static uint32_t last_retry;
static char last[32];

static int on_open(struct wr_conn *c)
{
    opens++;
    return wr_conn_send(c, WR_LIT("hello"));
}

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    (void)c;
    struct wr_span s = wr_view_span(v);
    frames++;
    memcpy(last, s.p, s.n < sizeof last - 1 ? s.n : sizeof last - 1);
    return 0;
}

static void on_close(struct wr_conn *c, enum wr_close why, int err)
{
    (void)c;
    (void)why;
    (void)err;
    closes++;
}

static void on_fail(struct wr_client *client, int err, enum wr_connect_stage stage,
                    uint32_t retry_ms)
{
    (void)client;
    (void)stage;
    fails++;
    last_err = err;
    last_retry = retry_ms;
}

static int echo(struct wr_conn *c, struct wr_view v)
{
    return wr_conn_send_view(c, v);
}

static const struct wr_proto client_proto = {
    .on_open = on_open, .on_frame = on_frame, .on_close = on_close};
static const struct wr_proto echo_proto = {.on_frame = echo};

static struct wr_server *serve(struct conn_kit *k, const char *addr)
{
    struct wr_server *s = NULL;
    struct wr_server_options o = {
        .addr = addr, .conn = {.proto = &echo_proto, .codec = &lines}
    };
    int rc = wr_server_open(k->loop, &o, &s);
    if (rc)
        printf("# %s: %s\n", addr, wr_err_text(rc));
    return s;
}

static void test_reconnect(void)
{
    struct conn_kit k;
    struct wr_scope scope;
    struct wr_client *client = NULL;
    char addr[WR_ADDR_TEXT_MAX];
    if (conn_kit_init(&k, wr_heap_libc()))
        exit(99);
    struct wr_server *server = serve(&k, "127.0.0.1:0");
    if (!server)
        exit(99);
    wr_addr_format(wr_listener_addr(wr_server_listener(server)), addr);
    wr_scope_init(&scope, k.loop, NULL, 0);
    struct wr_client_options o = {
        .conn = {.proto = &client_proto, .codec = &lines},
        .target = addr,
        .reconnect = true,
        .backoff_ms = 10,
        .backoff_max_ms = 40,
        .seed = 1,
        .on_fail = on_fail
    };
    is_int(wr_client_connect(&scope, k.loop, &o, &client), 0, "connecting");
    KIT_UNTIL(&k, 1000, frames);
    is_str(last, "hello", "an answer");
    ok(wr_client_conn(client) != NULL, "up");
    wr_server_close(&server);
    KIT_UNTIL(&k, 2000, fails >= 3);
    is_int(closes, 1, "lost");
    is_int(last_err, -ECONNREFUSED, "refused meanwhile");
    ok(last_retry >= 10 && last_retry <= 40, "backing off, with a bound: %u", last_retry);
    ok(wr_client_conn(client) == NULL, "down");
    server = serve(&k, addr);
    KIT_UNTIL(&k, 2000, frames == 2);
    is_int(frames, 2, "back again");
    wr_client_close(&client);
    wr_server_close(&server);
    kit_turns(&k, 3);
    is_int(closes, opens, "closed as often as opened");
    wr_scope_deinit(&scope);
    conn_kit_deinit(&k);
}

/* Each connection takes a port of the budget and gives it back, whoever closes. */
static void test_ports(void)
{
    struct conn_kit k;
    struct wr_scope scope;
    struct wr_port_budget *ports = NULL;
    struct wr_client *client = NULL;
    char addr[WR_ADDR_TEXT_MAX];
    if (conn_kit_init(&k, wr_heap_libc()) ||
        wr_port_budget_new(wr_heap_libc(),
                           &(struct wr_port_budget_options){.limit = 2, .time_wait_s = -1},
                           &ports))
        exit(99);
    struct wr_server *server = serve(&k, "127.0.0.1:0");
    if (!server)
        exit(99);
    wr_addr_format(wr_listener_addr(wr_server_listener(server)), addr);
    wr_scope_init(&scope, k.loop, NULL, 0);
    frames = fails = 0;
    struct wr_client_options o = {
        .conn = {.proto = &client_proto, .codec = &lines},
        .target = addr,
        .connect = {.ports = ports                     },
        .reconnect = true,
        .backoff_ms = 1,
        .backoff_max_ms = 2,
        .on_fail = on_fail
    };
    is_int(wr_client_connect(&scope, k.loop, &o, &client), 0, "connecting");
    for (int i = 1; i <= 5; i++) {
        KIT_UNTIL(&k, 1000, frames >= i || fails);
        uint32_t cursor = 0;
        struct wr_conn *c = i % 2 ? wr_client_conn(client) : wr_server_next(server, &cursor);
        if (c)
            wr_conn_abort(c);
    }
    ok(frames == 5 && fails == 0, "five connections one after the other, two ports");
    struct wr_port_use use;
    wr_client_close(&client);
    kit_turns(&k, 3);
    wr_port_budget_use(ports, wr_listener_addr(wr_server_listener(server)), kit_now_ms(), &use);
    ok(use.open == 0 && use.refused == 0, "all given back");
    wr_server_close(&server);
    kit_turns(&k, 3);
    wr_scope_deinit(&scope);
    conn_kit_deinit(&k);
    wr_port_budget_free(&ports);
}

static void test_scope_ends(void)
{
    struct conn_kit k;
    struct wr_scope scope;
    struct wr_client *client = NULL;
    if (conn_kit_init(&k, wr_heap_libc()))
        exit(99);
    wr_scope_init(&scope, k.loop, NULL, 0);
    fails = 0;
    struct wr_client_options o = {.conn = {.proto = &client_proto},
                                  .target = "127.0.0.1:1",
                                  .reconnect = true,
                                  .on_fail = on_fail};
    is_int(wr_client_connect(&scope, k.loop, &o, &client), 0, "connecting");
    wr_scope_cancel(&scope, WR_E_CANCELED);
    kit_turns(&k, 3);
    is_int(fails, 0, "silence after the scope's end");
    is_int(wr_client_connect(&scope, k.loop, &o, &client), WR_E_CANCELED,
           "nothing begins in it");
    o.target = "no port";
    ok(wr_client_connect(&scope, k.loop, &o, &client) < 0, "a malformed target");
    kit_turns(&k, 3);
    wr_scope_deinit(&scope);
    conn_kit_deinit(&k);
}

/* A server, a client, an echo; whatever is refused, both end in order. */
static int one_life(const struct wr_heap *heap, void *arg)
{
    struct conn_kit k;
    struct wr_scope scope;
    struct wr_server *server = NULL;
    struct wr_client *client = NULL;
    char addr[WR_ADDR_TEXT_MAX];
    (void)arg;
    int rc = conn_kit_init(&k, heap);
    if (rc)
        return rc;
    wr_scope_init(&scope, k.loop, NULL, 0);
    frames = opens = closes = fails = 0;
    struct wr_server_options so = {
        .addr = "127.0.0.1:0", .conn = {.proto = &echo_proto, .codec = &lines}
    };
    rc = wr_server_open(k.loop, &so, &server);
    if (!rc) {
        wr_addr_format(wr_listener_addr(wr_server_listener(server)), addr);
        struct wr_client_options o = {
            .conn = {.proto = &client_proto, .codec = &lines},
            .target = addr,
            .on_fail = on_fail
        };
        rc = wr_client_connect(&scope, k.loop, &o, &client);
    }
    if (!rc)
        KIT_UNTIL(&k, 1000, frames || closes || fails);
    if (!rc && !frames)
        rc = -ENOMEM;
    wr_client_close(&client);
    wr_server_close(&server);
    kit_turns(&k, 3);
    if (opens != closes)
        rc = 1;
    wr_scope_deinit(&scope);
    kit_turns(&k, 2);
    conn_kit_deinit(&k);
    return rc;
}

int main(void)
{
    test_reconnect();
    test_ports();
    test_scope_ends();
    nth_every("client and server", one_life, NULL);
    return tap_done();
}
