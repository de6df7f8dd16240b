/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/tls.h"

#include "libweir/base/err.h"
#include "libweir/io/loop.h"
#include "libweir/io/tls_private.h"
#include "libweir/os/os.h"
#include "tests/tap.h"
#include "tests/tls_kit.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <sys/epoll.h>

/*
 * Two streams, and between them a wire that the test carries byte by byte or in gulps: each end has a
 * socket pair of its own.
 */
struct world {
    struct wr_loop *loop;
    SSL_CTX *server_ctx, *client_ctx;
    struct wr_stream server, client;
    int server_end, client_end; /* our ends of the two pairs */
    size_t gulp;
};

static void open_world(struct world *w, int version, size_t gulp,
                       const struct wr_tls_options *so)
{
    int s[2] = {-1, -1}, c[2] = {-1, -1};
    struct wr_tls_options server = so ? *so : (struct wr_tls_options){0};
    struct wr_tls_options client = {.client = true, .host = "localhost"};
    *w = (struct world){.gulp = gulp};
    int err = wr_loop_new(&(struct wr_loop_options){0}, &w->loop);
    w->server_ctx = tls_kit_server();
    w->client_ctx = tls_kit_client(version);
    if (!err)
        err = wr_os_socketpair(AF_UNIX, SOCK_STREAM, s);
    if (!err)
        err = wr_os_socketpair(AF_UNIX, SOCK_STREAM, c);
    w->server_end = s[1];
    w->client_end = c[1];
    struct wr_span none = {0};
    server.owner = w;
    if (!err)
        err = wr_tls_stream_init(&w->server, s[0], w->server_ctx, w->loop, &server, none);
    if (!err)
        err = wr_tls_stream_init(&w->client, c[0], w->client_ctx, w->loop, &client, none);
    is_int(err, 0, "two ends, TLS version %x, %zu bytes at a time", (unsigned)version, gulp);
}

static void close_world(struct world *w)
{
    wr_stream_close(&w->server);
    wr_stream_close(&w->client);
    (void)wr_os_close(w->server_end);
    (void)wr_os_close(w->client_end);
    SSL_CTX_free(w->server_ctx);
    SSL_CTX_free(w->client_ctx);
    wr_loop_free(&w->loop);
}

/* Carries at most one gulp from one pair to the other; the receiving stream hears of it. */
static bool carry(int from, int to, struct wr_stream *hears, struct wr_stream *sent,
                  size_t gulp)
{
    char buf[65536];
    ssize_t n = wr_os_recv(from, buf, gulp < sizeof buf ? gulp : sizeof buf, 0);
    if (n == 0)
        (void)wr_os_shutdown(to, SHUT_WR);
    if (n > 0)
        (void)!wr_os_send(to, buf, (size_t)n, 0);
    if (n >= 0)
        wr_stream_events(hears, n ? EPOLLIN : EPOLLIN | EPOLLRDHUP);
    if (n > 0)
        wr_stream_events(sent, EPOLLOUT);
    return n > 0;
}

static bool carry_both(struct world *w)
{
    bool a = carry(w->client_end, w->server_end, &w->server, &w->client, w->gulp);
    bool b = carry(w->server_end, w->client_end, &w->client, &w->server, w->gulp);
    return a || b;
}

/* Reads what comes within so many rounds, or until want bytes have. */
static ssize_t read_some(struct world *w, struct wr_stream *s, char *p, size_t want)
{
    size_t sum = 0;
    ssize_t n = -EAGAIN;
    for (unsigned i = 0; i < 200000 && sum < want; i++) {
        n = wr_stream_read(s, p + sum, want - sum);
        if (n == 0 || (n < 0 && n != -EAGAIN))
            break;
        sum += n > 0 ? (size_t)n : 0;
        (void)!wr_stream_flush(&w->client);
        (void)!wr_stream_flush(&w->server);
        bool moved = carry_both(w);
        if (n == -EAGAIN && !moved && i > 8)
            break;
    }
    return sum ? (ssize_t)sum : n;
}

static void shake_hands(struct world *w)
{
    char c;
    for (unsigned i = 0; i < 100000; i++) {
        ssize_t a =
            wr_stream_read(&w->client, &c, 1); /* also what comes behind the handshake */
        ssize_t b = wr_stream_read(&w->server, &c, 1);
        (void)!wr_stream_flush(&w->client);
        (void)!wr_stream_flush(&w->server);
        bool moved = carry_both(w);
        if (!moved && !wr_tls_handshaking(&w->client) && !wr_tls_handshaking(&w->server))
            break;
        if ((a < 0 && a != -EAGAIN) || (b < 0 && b != -EAGAIN))
            break;
    }
    ok(!wr_tls_handshaking(&w->client) && !wr_tls_handshaking(&w->server), "hands are shaken");
}

static char blob[300000], got[300000];

static void write_all(struct world *w, struct wr_stream *from, struct wr_stream *to, size_t n)
{
    size_t put = 0, seen = 0;
    for (unsigned i = 0; i < 400000 && seen < n; i++) {
        if (put < n && from->writable) {
            ssize_t r = wr_stream_write(from, blob + put, n - put);
            put += r > 0 ? (size_t)r : 0;
        }
        (void)!wr_stream_flush(from);
        (void)carry_both(w);
        ssize_t r = wr_stream_read(to, got + seen, n - seen);
        seen += r > 0 ? (size_t)r : 0;
        if (r == 0)
            break;
    }
    ok(seen == n && memcmp(blob, got, n) == 0, "%zu bytes arrive as they were", n);
    is_int(from->bytes_out, to->bytes_in, "both ends count the same");
}

static void test_talk(int version, size_t gulp, size_t n)
{
    struct world w;
    char buf[64];
    open_world(&w, version, gulp, NULL);
    ok(wr_stream_is_tls(&w.server) && wr_tls_handshaking(&w.server), "a handshake comes first");
    ok(wr_tls_owner(wr_tls_ssl(&w.server)) == &w, "the owner is found from the SSL object");
    shake_hands(&w);
    is_int(wr_stream_write(&w.client, "GET", 3), 3, "the client says something");
    is_int(read_some(&w, &w.server, buf, 3), 3, "the server hears it");
    is_int(wr_stream_read(&w.server, buf, sizeof buf), -EAGAIN, "and no more");
    struct iovec v[3] = {
        {(void *)(uintptr_t) "ab",   2},
        {NULL,                       0},
        {(void *)(uintptr_t) "cdef", 4}
    };
    is_int(wr_stream_writev(&w.server, v, 3, false), 6, "pieces");
    is_int(read_some(&w, &w.client, buf, 6), 6, "arrive");
    ok(memcmp(buf, "abcdef", 6) == 0, "in order");
    write_all(&w, &w.client, &w.server, n);
    w.server.bytes_out = w.client.bytes_in = 0;
    write_all(&w, &w.server, &w.client, n);
    int err;
    while ((err = wr_stream_shutdown(&w.client)) == -EAGAIN)
        (void)carry_both(&w);
    is_int(err, 0, "the client ends");
    is_int(read_some(&w, &w.server, buf, 1), 0, "the server reads the end");
    ok(!wr_tls_was_cut(&w.server), "which was said");
    is_int(wr_stream_write(&w.server, "bye", 3), 3, "the other direction is open");
    close_world(&w);
}

static void test_cut(void)
{
    struct world w;
    char buf[8];
    open_world(&w, 0, 1000, NULL);
    shake_hands(&w);
    (void)wr_os_shutdown(w.server_end, SHUT_WR);
    wr_stream_events(&w.server, EPOLLIN | EPOLLRDHUP);
    is_int(wr_stream_read(&w.server, buf, 8), 0, "FIN alone is an end");
    ok(wr_tls_was_cut(&w.server), "that nobody announced");
    is_int(wr_stream_read(&w.server, buf, 8), 0, "and stays one");
    is_int(wr_stream_write(&w.server, "still", 5), 5, "the other direction is open");
    is_int(read_some(&w, &w.client, buf, 5), 5, "and heard");
    close_world(&w);
}

/* The peer is gone altogether: writing is an error in the end, and never a standstill. */
static void test_gone(void)
{
    struct world w;
    char buf[8];
    ssize_t r = 0;
    open_world(&w, 0, 1000, NULL);
    shake_hands(&w);
    (void)wr_os_shutdown(w.server_end, SHUT_RDWR);
    wr_stream_events(&w.server, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
    for (int i = 0; i < 10 && r >= 0; i++)
        r = wr_stream_write(&w.server, blob, 100);
    is_int(r, -EPIPE, "writing to nobody");
    r = wr_stream_read(&w.server, buf, 8);
    ok(r == 0 || r == -EPIPE, "reading from nobody");
    is_int(wr_stream_write(&w.server, blob, 100), -EPIPE, "and writing again");
    close_world(&w);
}

static void test_cut_in_handshake(void)
{
    struct world w;
    char buf[8];
    open_world(&w, 0, 50, NULL);
    (void)!wr_stream_read(&w.client, buf, 8);
    (void)carry_both(&w);
    (void)wr_os_shutdown(w.server_end, SHUT_WR);
    wr_stream_events(&w.server, EPOLLIN | EPOLLRDHUP);
    is_int(wr_stream_read(&w.server, buf, 8), 0, "the peer leaves in the middle of its hello");
    close_world(&w);
}

static void test_garbage(void)
{
    struct world w;
    char buf[8];
    open_world(&w, 0, 1000, NULL);
    (void)!wr_os_send(w.server_end, "\x16\x03\x01\x00\x05hello garbage", 18, 0);
    wr_stream_events(&w.server, EPOLLIN);
    ssize_t r = wr_stream_read(&w.server, buf, 8);
    is_int(r, WR_E_PROTO, "what is no hello is refused");
    ok(wr_tls_error(&w.server) != NULL, "with a word about it: %s", wr_tls_error(&w.server));
    is_int(wr_stream_write(&w.server, "x", 1), WR_E_PROTO, "for ever");
    ok(wr_os_recv(w.server_end, buf, 8, 0) > 0, "and the peer gets an alert");
    close_world(&w);
}

static void test_plain(void)
{
    struct world w;
    char buf[64];
    struct wr_tls_options o = {.detect_plain = true};
    open_world(&w, 0, 1000, &o);
    (void)!wr_os_send(w.server_end, "GET / HTTP/1.1\r\n", 16, 0);
    wr_stream_events(&w.server, EPOLLIN);
    is_int(wr_stream_read(&w.server, buf, 4), 4, "plain text is handed out");
    ok(wr_tls_is_plain(&w.server) && !wr_tls_ssl(&w.server), "the stream knows what it is");
    is_int(wr_stream_read(&w.server, buf + 4, 60), 12, "the rest of it");
    ok(memcmp(buf, "GET / HTTP/1.1\r\n", 16) == 0, "as it came");
    is_int(wr_stream_read(&w.server, buf, 8), -EAGAIN, "and no more");
    is_int(wr_stream_write(&w.server, "no", 2), 2, "it is answered in the clear");
    is_int(wr_os_recv(w.server_end, buf, 8, 0), 2, "and that arrives");
    close_world(&w);
}

static void test_renegotiation(void)
{
    struct world w;
    char buf[8];
    open_world(&w, TLS1_2_VERSION, 1000, NULL);
    shake_hands(&w);
    SSL_renegotiate(wr_tls_ssl(&w.client));
    (void)SSL_do_handshake(wr_tls_ssl(&w.client));
    (void)!wr_stream_flush(&w.client);
    for (int i = 0; i < 10; i++) {
        (void)carry_both(&w);
        (void)!wr_stream_read(&w.server, buf, 8);
        (void)!wr_stream_flush(&w.server);
    }
    ssize_t r = wr_stream_read(&w.client, buf, 8);
    ok(r == WR_E_PROTO || r == -EAGAIN, "a renegotiation is not entered into");
    ok(SSL_num_renegotiations(wr_tls_ssl(&w.server)) == 0, "by the server");
    close_world(&w);
}

/* RFC 5246, section 6.3: the key with which the client signs its records under a cipher that encrypts nothing. */
static void client_mac_key(SSL *ssl, unsigned char key[20])
{
    unsigned char seed[13 + 64], master[48];
    memcpy(seed, "key expansion", 13);
    (void)SSL_get_server_random(ssl, seed + 13, 32);
    (void)SSL_get_client_random(ssl, seed + 45, 32);
    (void)SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_TLS1_PRF, NULL);
    size_t n = 20;
    ok(EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_CTX_set_tls1_prf_md(c, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set1_tls1_prf_secret(c, master, sizeof master) == 1 &&
           EVP_PKEY_CTX_add1_tls1_prf_seed(c, seed, sizeof seed) == 1 &&
           EVP_PKEY_derive(c, key, &n) == 1,
       "the client's key");
    EVP_PKEY_CTX_free(c);
}

/* A client that asks for a renegotiation again and again, and reads nothing. */
static void test_renegotiations(void)
{
    static const unsigned char hello[] = {SSL3_RT_HANDSHAKE, 3, 3, 0, 24, 1, 0, 0, 0};
    static unsigned char wire[1500 * 29];
    struct world w;
    unsigned char key[20] = {0};
    char buf[8];
    open_world(&w, TLS1_2_VERSION, 100000, NULL);
    SSL *ends[] = {wr_tls_ssl(&w.server), wr_tls_ssl(&w.client)};
    for (int i = 0; i < 2; i++) {
        SSL_set_security_level(ends[i], 0);
        (void)SSL_set_cipher_list(ends[i], "ECDHE-ECDSA-NULL-SHA");
    }
    shake_hands(&w);
    client_mac_key(ends[1], key);
    for (unsigned i = 0; i < 1500; i++) {
        unsigned seq = i + 1; /* 0 was the handshake's last */
        unsigned char *at = wire + (size_t)i * 29, sum[20];
        unsigned char told[] = {0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                (unsigned char)(seq >> 8),
                                (unsigned char)seq,
                                SSL3_RT_HANDSHAKE,
                                3,
                                3,
                                0,
                                4,
                                1,
                                0,
                                0,
                                0};
        memcpy(at, hello, sizeof hello);
        (void)HMAC(EVP_sha1(), key, 20, told, sizeof told, sum, NULL);
        memcpy(at + 9, sum, sizeof sum);
    }
    is_int(wr_os_send(w.server_end, wire, sizeof wire, 0), (int)sizeof wire, "1500 hellos");
    wr_stream_events(&w.server, EPOLLIN);
    uint64_t before = wr_tls_wire_out(&w.server);
    is_int(wr_stream_read(&w.server, buf, 8), WR_E_PROTO, "end the stream");
    before = wr_tls_wire_out(&w.server) - before;
    ok(before + w.server.held < 4096, "before %u bytes of refusals are made",
       (unsigned)before + w.server.held);
    close_world(&w);
}

static void test_key_updates(void)
{
    struct world w;
    char buf[8];
    ssize_t r = -EAGAIN;
    int n;
    open_world(&w, 0, 100000, NULL);
    shake_hands(&w);
    for (n = 0; n < 100 && r == -EAGAIN; n++) {
        SSL_key_update(wr_tls_ssl(&w.client), SSL_KEY_UPDATE_REQUESTED);
        (void)SSL_do_handshake(wr_tls_ssl(&w.client));
        (void)!wr_stream_flush(&w.client);
        (void)carry_both(&w);
        r = wr_stream_read(&w.server, buf, 8);
    }
    is_int(r, WR_E_PROTO, "a flood of key updates ends the stream");
    is_int(n, WR_TLS_KEY_UPDATES_MAX + 1, "at its limit");
    close_world(&w);
}

/* All of them come at once: OpenSSL would go through them, and through what comes meanwhile, in one call. */
static void test_key_updates_at_once(void)
{
    struct world w;
    char buf[8];
    open_world(&w, 0, 100000, NULL);
    shake_hands(&w);
    for (int n = 0; n < 1500; n++) {
        SSL_key_update(wr_tls_ssl(&w.client), SSL_KEY_UPDATE_NOT_REQUESTED);
        (void)SSL_do_handshake(wr_tls_ssl(&w.client));
    }
    (void)!wr_stream_flush(&w.client);
    (void)carry_both(&w);
    const struct tls *t = tls_of(&w.server);
    uint64_t began = wr_os_now_ns(CLOCK_MONOTONIC);
    is_int(wr_stream_read(&w.server, buf, 8), WR_E_PROTO, "1500 key updates in one gulp");
    uint64_t us = (wr_os_now_ns(CLOCK_MONOTONIC) - began) / 1000;
    ok(t->in_n - t->in_at > t->in_n / 10 * 9, "%u of %u bytes are not looked at (%u us)",
       t->in_n - t->in_at, t->in_n, (unsigned)us);
    is_str(wr_tls_error(&w.server), "too many key updates", "and the reason is told");
    close_world(&w);
}

/* The bytes of the handshake's start were read by somebody else. */
static void test_seen(void)
{
    struct world w;
    char hello[4096], buf[8];
    open_world(&w, 0, 100000, NULL);
    (void)!wr_stream_read(&w.client, buf, 8);
    ssize_t n = wr_os_recv(w.client_end, hello, sizeof hello, 0);
    int fd = w.server.fd;
    wr_stream_deinit(&w.server);
    is_int(wr_tls_stream_init(&w.server, fd, w.server_ctx, w.loop, NULL,
                              wr_span(hello, n > 0 ? (size_t)n : 0)),
           0, "a stream that begins with bytes already read");
    shake_hands(&w);
    close_world(&w);
}

int main(void)
{
    for (size_t i = 0; i < sizeof blob; i++)
        blob[i] = (char)(i * 7 + i / 251);
    test_talk(0, 65536, sizeof blob);
    test_talk(TLS1_2_VERSION, 65536, sizeof blob);
    test_talk(0, 1, 20000);
    test_talk(TLS1_2_VERSION, 1, 20000);
    test_talk(0, 777, sizeof blob);
    test_cut();
    test_gone();
    test_cut_in_handshake();
    test_garbage();
    test_plain();
    test_renegotiation();
    test_renegotiations();
    test_key_updates();
    test_key_updates_at_once();
    test_seen();
    return tap_done();
}
