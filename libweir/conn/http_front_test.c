/* SPDX-License-Identifier: BSD-2-Clause */
/* What lies between accept and the first byte of HTTP: PROXY headers, TLS, and how many handshakes at once. */
#include "libweir/base/err.h"
#include "tests/http_world.h"
#include "tests/nth.h"
#include "tests/tls_kit.h"

static SSL_CTX *server_ctx, *client_ctx;
static unsigned opened, closed;
static enum wr_close closed_why;
static struct wr_http_conn *by_name;
static bool no_tls;
static char large[100000];

static void on_request(struct wr_http_req *req, void *arg)
{
    struct wr_addr src = {0}, dst = {0};
    char from[WR_ADDR_TEXT_MAX] = "-", to[WR_ADDR_TEXT_MAX] = "-";
    (void)arg;
    if (wr_span_eq(wr_http_path(req), WR_LIT("/large"))) {
        (void)wr_http_reply(req, 200, WR_LIT("text/plain"), wr_span(large, sizeof large));
        return;
    }
    if (wr_http_proxy_addr(req, &src, &dst)) {
        (void)wr_addr_format(&src, from);
        (void)wr_addr_format(&dst, to);
    }
    struct wr_http_conn *c = wr_http_conn(req);
    (void)wr_http_replyf(
        req, 200, "text/plain", "%.*s %s->%s %s %s %zu", WR_SPANF(wr_http_path(req)), from, to,
        wr_http_ssl(req) ? "tls" : "clear",
        wr_http_conn_data(c) == &opened ? "known" : "unknown", wr_http_conn_proxy_tlvs(c).n);
}

static void on_conn_open(struct wr_http_conn *c, void *arg)
{
    (void)arg;
    opened++;
    wr_http_conn_set_data(c, &opened, NULL);
}

static void on_conn_close(struct wr_http_conn *c, enum wr_close why, int err, void *arg)
{
    (void)arg;
    (void)err;
    if (wr_http_conn_data(c) == &opened)
        closed++;
    closed_why = why;
}

static SSL_CTX *choose(struct wr_http_conn *c, void *arg)
{
    (void)c;
    (void)arg;
    return no_tls ? NULL : server_ctx;
}

/* OpenSSL's own callback finds the connection, as an application's choice of a certificate does. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    by_name = wr_http_conn_of_ssl(ssl);
    return SSL_TLSEXT_ERR_OK;
}

static struct http_world *begin(void)
{
    struct http_world *w = world_new();
    opened = closed = 0;
    by_name = NULL;
    no_tls = false;
    w->options.on_request = on_request;
    w->options.on_conn_open = on_conn_open;
    w->options.on_conn_close = on_conn_close;
    return w;
}

static struct wr_http_stats stats(struct http_world *w)
{
    return wr_http_server_stats(w->server);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void test_tls(void)
{
    struct http_world *w = begin();
    w->options.tls.choose = choose;
    ok(world_open(w, NULL) == 0 && world_dial_tls(w, client_ctx, "name.example") == 0, "open");
    struct wr_span out = world_ask(w, GET("/a"));
    ok(wr_span_has_suffix(out, WR_LIT("/a -->- tls known 0")), "a request over TLS");
    ok(by_name && wr_http_conn_of_ssl(wr_http_conn_ssl(by_name)) == by_name,
       "the connection behind an SSL object");
    is_int(stats(w).handshakes, 1, "one handshake");
    is_int(stats(w).handshaking, 0, "which is over");
    out = world_ask(w, GET("/b") GET("/c"));
    ok(world_has(out, "/b ") && world_has(out, "/c "), "pipelined");
    w->got_n = 0;
    world_say(w, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n", true);
    ok(world_has(world_got(w), "/slow "), "a byte a record");
    w->got_n = 0;
    world_say(w, GET("/large"), false);
    for (int i = 0; i < 50; i++) {
        (void)world_got(w);
        world_turns(w, 1);
    }
    ok(w->got_n > sizeof large &&
           memcmp(w->got + w->got_n - sizeof large, large, sizeof large) == 0,
       "a large answer");
    out = world_ask(w, "GET /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    ok(world_has(out, "Connection: close") && w->eof && !wr_tls_was_cut(&w->tls),
       "closed with a word");
    ok(opened == 1 && closed == 1, "one connection came and went");
    no_tls = true;
    (void)world_dial(w);
    ok(world_has(world_ask(w, GET("/e")), "/e -->- clear"), "plain, as the application chose");
    ok(world_balanced(w, 0), "balanced");
    world_close(w);
}

static void test_handshake_fails(void)
{
    struct http_world *w = begin();
    w->options.tls.ctx = server_ctx;
    w->options.tls.handshake_timeout_ms = 30;
    ok(world_open(w, NULL) == 0 && world_dial(w) == 0, "open");
    world_send(w, "\x16\x03\x01\x00\x05hello and garbage", 22, false);
    ok((world_got(w), w->eof) && closed_why == WR_CLOSE_PROTO, "garbage");
    is_int(stats(w).handshakes_failed, 1, "counted");
    (void)world_dial(w);
    world_pass_time(w, 60);
    ok((world_got(w), w->eof) && closed_why == WR_CLOSE_HANDSHAKE, "silence");
    (void)world_dial(w);
    world_send(w, "\x16\x03\x01\x02", 4, false);
    world_hang_up(w);
    world_turns(w, 4);
    is_int(stats(w).handshakes_failed, 3, "a client that leaves");
    ok(stats(w).handshaking == 0 && stats(w).open == 0 && stats(w).begun == 0, "none is left");
    world_close(w);
}

static void test_plain_on_tls(void)
{
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct http_world *w = begin();
        w->options.tls.ctx = server_ctx;
        ok(world_open(w, NULL) == 0 && world_dial(w) == 0, "open");
        world_say(w, GET("/a"), bytewise);
        ok(wr_span_has_prefix(world_got(w), WR_LIT("HTTP/1.1 400 ")) && w->eof,
           "plain HTTP where TLS was due");
        is_int(stats(w).refused, 1, "refused");
        (void)world_dial(w);
        world_say(w, "NONSENSE\r\n\r\n", bytewise);
        ok(world_has(world_got(w), " 400 ") && w->eof, "and nonsense");
        world_close(w);
    }
    struct http_world *w = begin();
    w->options.tls = (struct wr_http_tls){.ctx = server_ctx, .plain_refused = true};
    ok(world_open(w, NULL) == 0 && world_dial(w) == 0, "open");
    ok(!world_has(world_ask(w, GET("/a")), "HTTP") && w->eof, "or is a broken connection");
    world_close(w);
}

static void test_many_handshakes(void)
{
    struct http_world *w = begin();
    int silent[6];
    w->options.tls.ctx = server_ctx;
    w->options.tls.max_handshakes = 3;
    ok(world_open(w, NULL) == 0 && world_dial_tls(w, client_ctx, NULL) == 0, "open");
    ok(world_has(world_ask(w, GET("/a")), "/a "), "an established client");
    for (size_t i = 0; i < WR_ARRAY_LEN(silent); i++) {
        int s[2];
        if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) != 0)
            WR_PANIC("no pair");
        (void)wr_http_server_adopt(w->server, s[0]);
        silent[i] = s[1];
    }
    is_int(stats(w).handshaking, 6, "six are silent");
    is_int(stats(w).handshake_pauses, 1, "that is too many");
    ok(world_has(world_ask(w, GET("/b")), "/b "), "the established client does not notice");
    world_pass_time(w, 1300);
    is_int(stats(w).handshakes_shed, 6, "after a second they go");
    is_int(stats(w).handshaking, 0, "all of them");
    ok(world_has(world_ask(w, GET("/c")), "/c "), "and still it does not notice");
    for (size_t i = 0; i < WR_ARRAY_LEN(silent); i++)
        (void)wr_os_close(silent[i]);
    world_close(w);
}

#define V2 "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\x0a\1\2\3\x0a\0\0\1\xc0\0\x01\xbb\x01\0\2h2"

static void test_proxy(void)
{
    static const struct {
        const char *header;
        size_t n;
        const char *want;
    } cases[] = {
        {"PROXY TCP4 10.1.2.3 10.0.0.1 49152 443\r\n", 40,
         "/a 10.1.2.3:49152->10.0.0.1:443 clear known 0"                                                  },
        {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",         32, "/a [2001:db8::1]:1->[::1]:2 clear known 0"    },
        {"PROXY UNKNOWN\r\n",                          15, "/a -->- clear known 0"                        },
        {V2,                                           33, "/a 10.1.2.3:49152->10.0.0.1:443 clear known 5"},
    };
    for (int bytewise = 0; bytewise < 2; bytewise++)
        for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
            struct http_world *w = begin();
            char bytes[256];
            w->options.proxy_protocol = true;
            ok(world_open(w, NULL) == 0 && world_dial(w) == 0, "open");
            memcpy(bytes, cases[i].header, cases[i].n);
            memcpy(bytes + cases[i].n, GET("/a"), strlen(GET("/a")));
            world_send(w, bytes, cases[i].n + strlen(GET("/a")), bytewise);
            ok(wr_span_has_suffix(world_got(w), wr_span_str(cases[i].want)), "%s",
               cases[i].want);
            ok(world_has(world_ask(w, GET("/b")), "/b "), "the next request has no header");
            ok(world_balanced(w, 0), "balanced");
            world_close(w);
        }
    struct http_world *w = begin();
    w->options.proxy_protocol = true;
    w->options.first_timeout_ms = 30;
    ok(world_open(w, NULL) == 0 && world_dial(w) == 0, "open");
    ok(world_ask(w, GET("/a")).n == 0 && w->eof, "without a header: ended");
    is_int(stats(w).proxy_bad, 1, "counted");
    (void)world_dial(w);
    world_say(w, "PROXY TC", false);
    world_pass_time(w, 60);
    ok((world_got(w), w->eof), "half a header: ended in time");
    (void)world_dial(w);
    world_say(w, "PROXY TC", false);
    world_hang_up(w);
    world_turns(w, 4);
    ok(stats(w).open == 0 && opened == 3 && closed == 3, "or when the client leaves");
    world_close(w);
}

static void test_proxy_then_tls(void)
{
    for (int later = 0; later < 2; later++) {
        struct http_world *w = begin();
        w->options.proxy_protocol = true;
        w->options.tls.ctx = server_ctx;
        ok(world_open(w, NULL) == 0 && world_dial_tls(w, client_ctx, NULL) == 0, "open");
        (void)!wr_os_send(w->client, "PROXY TCP4 10.1.2.3 10.0.0.1 49152 443\r\n", 40, 0);
        if (later)
            world_turns(w, 3);
        struct wr_span out = world_ask(w, GET("/a"));
        ok(wr_span_has_suffix(out, WR_LIT("10.1.2.3:49152->10.0.0.1:443 tls known 0")),
           "a header, then TLS, %s", later ? "apart" : "in one piece");
        world_close(w);
    }
}

static unsigned stopped;

static void on_stopped(struct wr_http_server *s, void *arg)
{
    (void)s;
    (void)arg;
    stopped++;
}

static int connect_to(int listening)
{
    struct wr_addr addr;
    struct sockaddr_storage sa;
    socklen_t n;
    int fd = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    if (wr_addr_of_socket(listening, &addr) != 0 || wr_addr_to_sockaddr(&addr, &sa, &n) != 0)
        WR_PANIC("no address");
    (void)!wr_os_connect(fd, (struct sockaddr *)&sa, n);
    return fd;
}

/* Who is silent does not hold up a server that stops; who is established is answered. */
static void test_stop(void)
{
    struct http_world *w = begin();
    int s[2] = {-1, -1};
    w->options.tls.ctx = server_ctx;
    ok(world_open(w, NULL) == 0 && world_dial_tls(w, client_ctx, NULL) == 0, "open");
    ok(world_has(world_ask(w, GET("/a")), "/a "), "an established client");
    if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) != 0)
        WR_PANIC("no pair");
    (void)wr_http_server_adopt(w->server, s[0]);
    stopped = 0;
    wr_http_server_stop(w->server, 60000, on_stopped, w);
    world_pass_time(w, 20);
    ok((world_got(w), w->eof) && !wr_tls_was_cut(&w->tls), "the idle one is told good-bye");
    is_int(stopped, 0, "the silent one is waited for");
    world_pass_time(w, 1200);
    is_int(stopped, 1, "for a second");
    (void)wr_os_close(s[1]);
    world_close(w);
}

/* Two servers share a socket that is the master's; one leaves, the other goes on. */
static void test_shared_socket(void)
{
    struct http_world *w = begin();
    struct wr_http_server *second = NULL;
    struct wr_listen_options listen = {0};
    unsigned backlog;
    int fd = -1;
    ok(wr_addr_parse(WR_LIT("127.0.0.1:0"), &listen.addr) == 0 &&
           wr_listen_socket(&listen, &fd, &backlog) == 0,
       "a listening socket");
    w->options.listen = (struct wr_listen_options){
        .addr = {.kind = WR_ADDR_FD, .fd = fd},
          .exclusive = true, .borrowed = true
    };
    int err = world_open(w, NULL);
    w->options.listen.addr.fd = wr_os_dup(fd); /* as another process would have it */
    w->options.listen.borrowed = false;
    ok(!err && wr_http_server_open(w->loop, &w->options, &second) == 0, "two servers on it");
    w->client = connect_to(fd);
    world_pass_time(w, 5);
    ok(world_has(world_ask(w, GET("/a")), "/a "), "one of them answers");
    world_hang_up(w);
    world_pass_time(w, 5);
    wr_http_server_stop(second, 100, on_stopped, w);
    world_pass_time(w, 5);
    is_int(stopped, 1, "one stops");
    w->client = connect_to(fd);
    w->eof = false;
    world_pass_time(w, 5);
    ok(world_has(world_ask(w, GET("/b")), "/b "), "the other answers");
    world_hang_up(w);
    wr_http_server_close(&second);
    wr_http_server_close(&w->server);
    world_turns(w, 4);
    ok(wr_os_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &(int){0}, &(socklen_t){sizeof(int)}) ==
           0,
       "and the socket outlives both");
    (void)wr_os_close(fd);
    world_close(w);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct http_world *w = begin();
    (void)arg;
    w->options.proxy_protocol = true;
    w->options.tls.ctx = server_ctx;
    int err = world_open(w, heap);
    if (!err)
        err = world_dial_tls(w, client_ctx, NULL);
    if (!err) {
        (void)!wr_os_send(w->client, "PROXY TCP4 10.1.2.3 10.0.0.1 49152 443\r\n", 40, 0);
        (void)world_ask(w, GET("/a"));
        (void)world_ask(w, GET("/large"));
        if (!world_balanced(w, 0) && !world_balanced(w, 1))
            err = 1;
    }
    world_close(w);
    return err;
}

int main(void)
{
    server_ctx = tls_kit_server();
    client_ctx = tls_kit_client(0);
    SSL_CTX_set_tlsext_servername_callback(server_ctx, on_name);
    memset(large, 'L', sizeof large);
    test_tls();
    test_handshake_fails();
    test_plain_on_tls();
    test_many_handshakes();
    test_proxy();
    test_proxy_then_tls();
    test_shared_socket();
    test_stop();
    nth_every("PROXY and TLS", scenario, NULL);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return tap_done();
}
