/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/relay.h"

#include "libweir/io/scope.h"
#include "libweir/io/tls.h"
#include "tests/net_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"
#include "tests/tls_kit.h"

struct result {
    unsigned calls;
    int err;
    struct wr_relay_stats stats;
};

static void on_done(void *arg, int err, const struct wr_relay_stats *stats)
{
    struct result *r = arg;
    r->calls++;
    r->err = err;
    r->stats = *stats;
}

/* left <-> (a  relay  b) <-> right */
struct bench {
    struct wr_loop *loop;
    struct wr_scope scope;
    int left, right;
    struct wr_relay *relay;
    struct result result;
};

static int begin(struct bench *b, struct wr_loop *loop, const struct wr_relay_options *o)
{
    int one[2], two[2];
    memset(b, 0, sizeof *b);
    b->loop = loop;
    wr_scope_init(&b->scope, loop, NULL, 0);
    if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, one) ||
        wr_os_socketpair(AF_UNIX, SOCK_STREAM, two))
        return -1;
    b->left = one[0];
    b->right = two[1];
    int err = wr_relay_start_fds(&b->scope, one[1], two[0], o, on_done, &b->result, &b->relay);
    if (err) {
        (void)wr_os_close(one[1]);
        (void)wr_os_close(two[0]);
    }
    return err;
}

static void finish(struct bench *b)
{
    wr_scope_deinit(&b->scope);
    (void)wr_os_close(b->left);
    (void)wr_os_close(b->right);
    (void)wr_loop_turn(b->loop, 0);
}

#define BULK (3u << 20)
static char out[BULK], in[BULK];

/* Sends n bytes from one end to the other, the reader taking `sip` bytes at a time. */
static size_t push(struct bench *b, int from, int to, size_t n, size_t sip)
{
    size_t sent = 0, got = 0;
    for (int idle = 0; got < n && idle < 2000; idle++) {
        ssize_t k = sent < n ? wr_os_send(from, out + sent, n - sent, 0) : 0;
        sent += k > 0 ? (size_t)k : 0;
        (void)wr_loop_turn(b->loop, 0);
        ssize_t r = wr_os_recv(to, in + got, n - got < sip ? n - got : sip, 0);
        got += r > 0 ? (size_t)r : 0;
        if (k > 0 || r > 0)
            idle = 0;
    }
    return got;
}

static void test_bulk(struct wr_loop *loop, bool no_splice, size_t sip)
{
    struct bench b;
    struct wr_relay_options o = {.no_splice = no_splice};
    is_int(begin(&b, loop, &o), 0, "relay, %s, reader takes %zu",
           no_splice ? "copies" : "splices", sip);
    is_int(push(&b, b.left, b.right, BULK, sip), BULK, "left to right");
    ok(memcmp(out, in, BULK) == 0, "unchanged");
    memset(in, 0, sizeof in);
    is_int(push(&b, b.right, b.left, BULK, sip), BULK, "right to left");
    ok(memcmp(out, in, BULK) == 0, "unchanged");
    (void)wr_os_shutdown(b.left, SHUT_WR);
    ok(net_until(loop, 1000, wr_os_recv(b.right, in, 1, 0) == 0), "FIN is carried over");
    is_int(b.result.calls, 0, "the other direction goes on");
    is_int(push(&b, b.right, b.left, 1000, 1000), 1000, "and carries bytes");
    (void)wr_os_shutdown(b.right, SHUT_WR);
    ok(net_until(loop, 1000, b.result.calls == 1), "both ended");
    is_int(b.result.err, 0, "without error");
    ok(b.result.stats.a_to_b == BULK && b.result.stats.b_to_a == BULK + 1000,
       "all bytes counted");
    ok(b.result.stats.a_fin && b.result.stats.b_fin, "both FINs seen");
    ok(no_splice ? b.result.stats.splices == 0 : b.result.stats.splices > 0,
       "%u splices, %u copies", (unsigned)b.result.stats.splices,
       (unsigned)b.result.stats.copies);
    finish(&b);
    is_int(b.result.calls, 1, "told once");
}

/* One side stands still: what is in flight stays bounded, and nothing spins. */
static void test_stalled(struct wr_loop *loop)
{
    struct bench b;
    size_t sent = 0;
    is_int(begin(&b, loop, NULL), 0, "relay to one that does not read");
    for (int i = 0; i < 400; i++) {
        ssize_t k = wr_os_send(b.left, out, 60000, 0);
        sent += k > 0 ? (size_t)k : 0;
        (void)wr_loop_turn(loop, 0);
    }
    ok(sent < (4u << 20), "paused after %zu bytes", sent);
    uint64_t before = wr_loop_stats(loop)->events;
    net_turns(loop, 50);
    ok(wr_loop_stats(loop)->events - before < 20, "no events while it stands still");
    size_t got = 0;
    (void)net_until(loop, 2000, (got += (size_t)({
                                     ssize_t r = wr_os_recv(b.right, in, sizeof in, 0);
                                     r > 0 ? r : 0;
                                 })) == sent);
    is_int(got, sent, "all of it arrives when it reads");
    finish(&b);
    is_int(b.result.err, WR_E_CANCELED, "its scope's end ends it");
    is_int(b.result.calls, 1, "told once");
}

static void test_ends(struct wr_loop *loop)
{
    struct bench b;
    struct wr_relay_options o = {
        .idle_timeout_ms = 30, .first_to_b = WR_LIT("hello "), .first_to_a = WR_LIT("back")};
    is_int(begin(&b, loop, &o), 0, "relay with bytes read before");
    (void)!wr_os_send(b.left, "world", 5, 0);
    net_turns(loop, 10);
    is_int(wr_os_recv(b.right, in, 100, 0), 11, "go first");
    ok(memcmp(in, "hello world", 11) == 0, "in order");
    is_int(wr_os_recv(b.left, in, 100, 0), 4, "in both directions");
    ok(net_until(loop, 1000, b.result.calls), "idle");
    is_int(b.result.err, WR_E_IDLE, "ends it");
    is_int(wr_os_recv(b.left, in, 100, 0), 0, "closed");
    finish(&b);

    o = (struct wr_relay_options){.idle_timeout_ms = 5000, .half_close_ms = 20};
    is_int(begin(&b, loop, &o), 0, "relay");
    (void)wr_os_shutdown(b.left, SHUT_WR);
    ok(net_until(loop, 1000, b.result.calls), "half closed and silent");
    is_int(b.result.err, WR_E_IDLE, "ends sooner");
    finish(&b);

    is_int(begin(&b, loop, NULL), 0, "relay");
    (void)!wr_os_send(b.left, "x", 1, 0);
    (void)wr_os_close(b.right);
    ok(net_until(loop, 1000, b.result.calls), "one side is gone");
    ok(b.result.err < 0, "an error: %s", wr_err_name(b.result.err));
    b.right = -1;
    finish(&b);
}

/* A stream that holds bytes back (TLS) writes the last of them only when it is told that there is room. */
static void test_held(struct wr_loop *loop)
{
    struct bench b = {.loop = loop};
    struct wr_stream plain, secure, peer;
    struct wr_tls_options client = {.client = true};
    SSL_CTX *server_ctx = tls_kit_server(), *client_ctx = tls_kit_client(0);
    int one[2], two[2];
    size_t sent = 0, got = 0;
    struct wr_span none = {0};
    wr_scope_init(&b.scope, loop, NULL, 0);
    int err = wr_os_socketpair(AF_UNIX, SOCK_STREAM, one);
    if (!err)
        err = wr_os_socketpair(AF_UNIX, SOCK_STREAM, two);
    b.left = one[0];
    b.right = two[1];
    wr_stream_init(&plain, one[1]);
    if (!err)
        err = wr_tls_stream_init(&secure, two[0], server_ctx, loop, NULL, none);
    if (!err)
        err = wr_tls_stream_init(&peer, b.right, client_ctx, loop, &client, none);
    if (!err)
        err = wr_relay_start(&b.scope, &plain, &secure, NULL, on_done, &b.result, &b.relay);
    is_int(err, 0, "relay from a plain side to TLS");
    ok(net_until(loop, 2000,
                 (wr_stream_events(&peer, EPOLLIN | EPOLLOUT),
                  wr_stream_read(&peer, in, 1) == -EAGAIN) &&
                     !wr_tls_handshaking(&peer)),
       "hands are shaken");
    while (!secure.held && sent < sizeof out) {
        ssize_t k = wr_os_send(b.left, out + sent, 30000, 0);
        sent += k > 0 ? (size_t)k : 0;
        (void)wr_loop_turn(loop, 0);
    }
    ok(secure.held > 0, "of %zu bytes the stream holds %u back", sent, secure.held);
    uint64_t end_ns = wr_os_now_ns(CLOCK_MONOTONIC) + 2000000000u;
    while (got < sent && wr_os_now_ns(CLOCK_MONOTONIC) < end_ns) {
        wr_stream_events(&peer, EPOLLIN);
        ssize_t r = wr_stream_read(&peer, in, sizeof in);
        got += r > 0 ? (size_t)r : 0;
        (void)wr_loop_turn(loop, 5);
    }
    is_int(got, sent, "all of it arrives when the peer reads");
    wr_stream_deinit(&peer);
    finish(&b);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct wr_loop_options lo = {.heap = heap};
    struct wr_relay_options o = {.first_to_b = WR_LIT("first"), .no_splice = *(bool *)arg};
    struct wr_loop *loop = NULL;
    struct bench b;
    int err = wr_loop_new(&lo, &loop);
    if (err)
        return err;
    err = begin(&b, loop, &o);
    for (int i = 0; i < 40 && !err; i++) {
        (void)!wr_os_send(b.left, out, 50000, 0);
        (void)wr_loop_turn(loop, 0);
    }
    finish(&b);
    wr_loop_free(&loop);
    return err ? err : b.result.err == WR_E_CANCELED ? 0 : b.result.err;
}

int main(void)
{
    struct wr_loop *loop = NULL;
    if (wr_loop_new(NULL, &loop))
        return 1;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 31 >> 3);
    test_bulk(loop, false, sizeof in);
    test_bulk(loop, true, sizeof in);
    test_bulk(loop, false, 5000);
    test_bulk(loop, true, 5000);
    test_stalled(loop);
    test_ends(loop);
    test_held(loop);
    wr_loop_free(&loop);
    bool no_splice = false;
    nth_every("relay with splice", scenario, &no_splice);
    no_splice = true;
    nth_every("relay with copies", scenario, &no_splice);
    return tap_done();
}
