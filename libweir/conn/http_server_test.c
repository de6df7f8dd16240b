/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/conn/http_server.h"
#include "libweir/os/os.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <errno.h>

/* A loop, a server without a listener, and clients on the other ends of socket pairs. */
struct world {
    struct wr_loop *loop;
    struct wr_http_server *server;
    struct wr_http_options options;
    struct wr_http_req *held; /* by a handler that answers later */
    struct wr_op op;
    int cancelled;
    int drains;
    char got[1 << 17]; /* what the client read */
    size_t got_n;
    int client;
    int stopped;
    struct wr_http_done done;
    unsigned dones;
    char done_path[64];
    int lasts, adopt_fd;
};

static void take_all(struct wr_http_req *req, struct wr_span body, int err, void *arg)
{
    (void)arg;
    if (err)
        (void)wr_http_error(req, err == WR_E_TOO_BIG ? 413 : 503);
    else
        (void)wr_http_reply(req, 200, WR_LIT("text/plain"), body);
}

static void echo_piece(struct wr_http_req *req, struct wr_span piece, bool last, void *arg)
{
    (void)arg;
    if (piece.n && wr_http_write(req, piece) < 0)
        return;
    if (last)
        (void)wr_http_end(req);
}

/* Takes one piece and then nothing more until it is told to go on. */
static void pausing_piece(struct wr_http_req *req, struct wr_span piece, bool last, void *arg)
{
    struct world *w = arg;
    if (last) {
        w->lasts++;
        (void)wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("all of it"));
    } else if (piece.n) {
        w->held = req;
        wr_http_pause_body(req, true);
    }
}

static char big[4 << 20];

static void on_cancel(struct wr_op *op, int why)
{
    struct world *w = wr_container_of(op, struct world, op);
    w->cancelled = why;
    w->held = NULL;
}

static void on_request(struct wr_http_req *req, void *arg)
{
    struct world *w = arg;
    struct wr_span path = wr_http_path(req);
    if (wr_span_eq(path, WR_LIT("/later"))) {
        w->held = req;
        if (wr_op_begin(wr_http_scope(req), &w->op, on_cancel) != 0)
            WR_PANIC("no operation");
    } else if (wr_span_eq(path, WR_LIT("/body"))) {
        (void)wr_http_read_body(req, 1000, take_all, w);
    } else if (wr_span_eq(path, WR_LIT("/stream"))) {
        struct wr_http_field type = {WR_LIT("Content-Type"),
                                     WR_LIT("application/octet-stream")};
        if (wr_http_begin(req, 200, &type, 1, WR_HTTP_CHUNKED) == 0)
            wr_http_stream_body(req, echo_piece, w);
    } else if (wr_span_eq(path, WR_LIT("/pausing"))) {
        wr_http_stream_body(req, pausing_piece, w);
    } else if (wr_span_eq(path, WR_LIT("/big"))) {
        (void)wr_http_reply(req, 200, WR_LIT("text/plain"), wr_span(big, sizeof big));
    } else if (wr_span_eq(path, WR_LIT("/adopt"))) {
        (void)wr_http_server_adopt(w->server, w->adopt_fd);
        (void)wr_http_reply(req, 200, WR_LIT("text/plain"), wr_http_path(req));
    } else if (wr_span_eq(path, WR_LIT("/short"))) {
        if (wr_http_begin(req, 200, NULL, 0, 10) == 0 && wr_http_write(req, WR_LIT("abc")) >= 0)
            (void)wr_http_end(req);
    } else if (wr_span_eq(path, WR_LIT("/split"))) {
        (void)wr_http_reply(req, 200, WR_LIT("text/plain\r\nEvil: yes"), WR_LIT("x"));
    } else {
        (void)wr_http_replyf(req, 200, "text/plain", "%.*s?%.*s", WR_SPANF(path),
                             WR_SPANF(wr_http_query(req)));
    }
}

static void on_done(struct wr_http_req *req, const struct wr_http_done *done, void *arg)
{
    struct world *w = arg;
    struct wr_span path = wr_http_path(req);
    w->done = *done;
    w->dones++;
    (void)snprintf(w->done_path, sizeof w->done_path, "%.*s", WR_SPANF(path));
}

static int world_open(struct world *w, const struct wr_heap *heap)
{
    struct wr_loop_options lo = {.heap = heap};
    int err = wr_loop_new(&lo, &w->loop);
    if (err)
        return err;
    w->options.on_request = on_request;
    w->options.on_done = on_done;
    w->options.arg = w;
    w->client = -1;
    return wr_http_server_open(w->loop, &w->options, &w->server);
}

static void turns(struct world *w)
{
    for (int i = 0; i < 8; i++)
        (void)wr_loop_turn(w->loop, 0);
}

static int dial(struct world *w)
{
    int s[2];
    if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) != 0)
        WR_PANIC("no pair");
    w->client = s[1];
    w->got_n = 0;
    return wr_http_server_adopt(w->server, s[0]);
}

/* What has arrived; *out_eof when the server has closed. */
static struct wr_span arrived(struct world *w, bool *out_eof)
{
    ssize_t n;
    while ((n = wr_os_recv(w->client, w->got + w->got_n, sizeof w->got - 1 - w->got_n, 0)) > 0)
        w->got_n += (size_t)n;
    if (out_eof)
        *out_eof = n != -EAGAIN;
    w->got[w->got_n] = '\0';
    return wr_span(w->got, w->got_n);
}

static void send_text(struct world *w, const char *text, bool bytewise)
{
    size_t n = strlen(text), step = bytewise ? 1 : n;
    for (size_t at = 0; at < n; at += step) {
        (void)!wr_os_send(w->client, text + at, step, 0);
        (void)wr_loop_turn(w->loop, 0);
    }
    turns(w);
}

static void hang_up(struct world *w)
{
    if (w->client >= 0)
        (void)wr_os_close(w->client);
    w->client = -1;
}

static void world_close(struct world *w)
{
    hang_up(w);
    if (w->loop) {
        wr_http_server_close(&w->server);
        turns(w);
        wr_loop_free(&w->loop);
    }
}

static struct wr_http_stats stats(struct world *w)
{
    return wr_http_server_stats(w->server);
}

static bool balanced(struct world *w, unsigned under_way)
{
    struct wr_http_stats s = stats(w);
    return s.begun == s.answered + s.refused + s.aborted + under_way;
}

static bool has(struct wr_span s, const char *text)
{
    return wr_span_find(s, wr_span_str(text)) >= 0;
}

static struct world *new_world(void)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    return &w;
}

/* ---- requests -------------------------------------------------------------------------------------- */

static void test_requests(void)
{
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct world *w = new_world();
        const char *how = bytewise ? "byte by byte" : "whole";
        bool eof;
        ok(world_open(w, NULL) == 0 && dial(w) == 0, "a server and a client");
        send_text(w, "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", bytewise);
        struct wr_span out = arrived(w, &eof);
        ok(!eof && wr_span_has_prefix(out, WR_LIT("HTTP/1.1 200 OK\r\n")), "answered, %s", how);
        ok(wr_span_has_suffix(out, WR_LIT("\r\n\r\n/a?b=c")), "path and query, %s", how);
        w->got_n = 0;
        send_text(w, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
                  bytewise);
        out = arrived(w, &eof);
        ok(has(out, "\r\n\r\n/1?HTTP/1.1 200") &&
               wr_span_has_suffix(out, WR_LIT("\r\n\r\n/2?")),
           "pipelined, in order, %s", how);
        w->got_n = 0;
        send_text(w, "GET http://h/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                  bytewise);
        out = arrived(w, &eof);
        ok(eof && has(out, "Connection: close\r\n") && has(out, "\r\n\r\n/x?"),
           "closed when asked, %s", how);
        is_int(stats(w).answered, 4, "four answered");
        ok(balanced(w, 0) && stats(w).open == 0, "balanced, none open");
        world_close(w);
    }
}

static void test_bodies(void)
{
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct world *w = new_world();
        ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
        send_text(w, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
                  bytewise);
        ok(wr_span_has_suffix(arrived(w, NULL), WR_LIT("\r\n\r\nhello")), "read whole");
        w->got_n = 0;
        send_text(w,
                  "POST /stream HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
                  bytewise);
        struct wr_span out = arrived(w, NULL);
        ok(has(out, "Transfer-Encoding: chunked\r\n") &&
               wr_span_has_suffix(out, WR_LIT("0\r\n\r\n")),
           "streamed through");
        w->got_n = 0;
        send_text(w,
                  "POST /skip HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /n "
                  "HTTP/1.1\r\n"
                  "Host: h\r\n\r\n",
                  bytewise);
        ok(wr_span_has_suffix(arrived(w, NULL), WR_LIT("/n?")), "an unwanted body is skipped");
        w->got_n = 0;
        send_text(w,
                  "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
                  "2\r\n\r\n",
                  bytewise);
        ok(has(arrived(w, NULL), "HTTP/1.1 100 Continue\r\n\r\n"),
           "100 when the body is wanted");
        send_text(w, "ok", bytewise);
        ok(wr_span_has_suffix(arrived(w, NULL), WR_LIT("\r\n\r\nok")),
           "and the answer behind it");
        w->got_n = 0;
        send_text(w, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n",
                  bytewise);
        bool eof;
        ok(has(arrived(w, &eof), " 413 ") && eof, "too long for the reader: 413 and the end");
        ok(balanced(w, 0), "balanced");
        world_close(w);
    }
}

static void test_odd_answers(void)
{
    struct world *w = new_world();
    bool eof;
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w, "GET /short HTTP/1.1\r\nHost: h\r\n\r\n", false);
    ok((arrived(w, &eof), eof), "an answer shorter than promised ends the connection");
    is_int(w->done.end, WR_HTTP_ABORTED, "and counts as aborted");
    hang_up(w);
    (void)dial(w);
    send_text(w, "GET /split HTTP/1.1\r\nHost: h\r\n\r\n", false);
    struct wr_span out = arrived(w, &eof);
    ok(has(out, " 500 ") && !has(out, "Evil"),
       "a header with a line end in it is never written");
    hang_up(w);
    (void)dial(w);
    send_text(w, "HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n", false);
    ok(wr_span_has_suffix(arrived(w, &eof), WR_LIT("\r\n\r\n")), "HEAD has no body");
    hang_up(w);
    (void)dial(w);
    send_text(w, "GET /0 HTTP/1.0\r\n\r\n", false);
    ok(has(arrived(w, &eof), "\r\n\r\n/0?") && eof, "HTTP/1.0 closes");
    hang_up(w);
    turns(w);
    ok(balanced(w, 0), "balanced");
    world_close(w);
}

/* What was answered reaches the client, whatever becomes of the request behind it. */
static void test_answers_before_the_end(void)
{
    static const char *const bad[] = {
        "GET /short HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /stream HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab",
        "GET /later HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        struct world *w = new_world();
        bool eof;
        ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
        (void)!wr_os_send(w->client, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", 28, 0);
        (void)!wr_os_send(w->client, bad[i], strlen(bad[i]), 0);
        (void)wr_os_shutdown(w->client, SHUT_WR);
        turns(w);
        ok(has(arrived(w, &eof), "/1?") && eof, "the answer before it came, %zu", i);
        ok(stats(w).answered == 1 && stats(w).aborted == 1 && balanced(w, 0),
           "one answered, one aborted");
        world_close(w);
    }
}

static void test_refusals(void)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++)
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            struct world *w = new_world();
            bool eof;
            ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
            send_text(w, bad[i], bytewise);
            ok(has(arrived(w, &eof), "HTTP/1.1 400 ") && eof, "refused and closed: %zu", i);
            ok(stats(w).refused == 1 && balanced(w, 0) && w->done.refusal,
               "counted with a reason");
            world_close(w);
        }
}

/* ---- later, never, too late ---------------------------------------------------------------------------- */

static void test_later(void)
{
    struct world *w = new_world();
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w,
              "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /behind HTTP/1.1\r\nHost: h\r\n\r\n",
              false);
    ok(w->held && arrived(w, NULL).n == 0,
       "held: nothing is answered, also not what lies behind");
    ok(wr_span_eq(wr_http_header(w->held, WR_H_HOST), WR_LIT("h")),
       "its head outlives the scratch");
    struct wr_http_req *req = w->held;
    (void)wr_op_end(&w->op);
    is_int(wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("at last")), 0,
           "answered later");
    turns(w);
    struct wr_span out = arrived(w, NULL);
    ok(has(out, "at last") && wr_span_has_suffix(out, WR_LIT("/behind?")),
       "then the one behind it");
    w->got_n = 0;
    send_text(w, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n", false);
    ok(w->held != NULL && balanced(w, 1), "one under way");
    hang_up(w);
    turns(w);
    ok(w->cancelled == WR_E_CLOSED && !w->held, "the client went: the scope tells, once");
    ok(balanced(w, 0) && stats(w).aborted == 1, "aborted, balanced");
    world_close(w);
}

static void pass_time(struct world *w, uint64_t ms)
{
    uint64_t end = wr_os_now_ns(CLOCK_MONOTONIC) + ms * 1000000;
    while (wr_os_now_ns(CLOCK_MONOTONIC) < end)
        (void)wr_loop_turn(w->loop, 5);
}

static void test_deadlines(void)
{
    static const struct {
        const char *name, *bytes, *answer;
        int end;
    } cases[] = {
        {"first byte",       "",                                                              "",      -1              },
        {"head",             "GET / HT",                                                      " 408 ", WR_HTTP_ABORTED },
        {"body",             "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab", " 408 ",
         WR_HTTP_ABORTED                                                                                               },
        {"an unwanted body", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab",
         " 200 ",                                                                                      WR_HTTP_ANSWERED},
        {"handler",          "GET /later HTTP/1.1\r\nHost: h\r\n\r\n",                        " 503 ", WR_HTTP_ABORTED },
        {"between requests", "GET / HTTP/1.1\r\nHost: h\r\n\r\n",                             " 200 ", WR_HTTP_ANSWERED},
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct world *w = new_world();
        w->options = (struct wr_http_options){.first_timeout_ms = 30,
                                              .head_timeout_ms = 30,
                                              .idle_timeout_ms = 30,
                                              .handler_timeout_ms = 30,
                                              .rate_window_ms = 30,
                                              .linger_ms = 20};
        bool eof;
        ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
        send_text(w, cases[i].bytes, false);
        pass_time(w, 100);
        struct wr_span out = arrived(w, &eof);
        ok(eof && has(out, cases[i].answer), "%s: over and closed", cases[i].name);
        if (cases[i].end >= 0)
            is_int(w->done.end, cases[i].end, "%s: ended as it should", cases[i].name);
        ok(balanced(w, 0) && stats(w).open == 0, "%s: balanced", cases[i].name);
        world_close(w);
    }
}

static void on_stopped(struct wr_http_server *s, void *arg)
{
    struct world *w = arg;
    (void)s;
    w->stopped++;
}

static void test_stop(void)
{
    struct world *w = new_world();
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n", false);
    wr_http_server_stop(w->server, 1000, on_stopped, w);
    turns(w);
    ok(w->held && !w->stopped, "stopping waits for the request under way");
    struct wr_http_req *req = w->held;
    (void)wr_op_end(&w->op);
    (void)wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("bye"));
    turns(w);
    bool eof;
    ok(has(arrived(w, &eof), "Connection: close\r\n") && eof,
       "answered with Connection: close");
    is_int(w->stopped, 1, "stopped, once");
    world_close(w);

    w = new_world();
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n", false);
    wr_http_server_stop(w->server, 20, on_stopped, w);
    pass_time(w, 60);
    ok(w->stopped == 1 && w->cancelled == WR_E_STOPPED,
       "grace over: cut, the scope says stopped");
    world_close(w);
}

/* What a stopping server owes to those it let in. */
static void test_stop_in_good_faith(void)
{
    struct world *w = new_world();
    bool eof;
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    turns(w);
    wr_http_server_stop(w->server, 5000, on_stopped, w);
    turns(w);
    ok(!(arrived(w, &eof), eof) && !w->stopped, "new: may still say a first word");
    send_text(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", false);
    ok(has(arrived(w, &eof), "Connection: close\r\n") && eof,
       "which is answered, the last one");
    is_int(w->stopped, 1, "stopped");
    world_close(w);

    w = new_world();
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", false);
    (void)arrived(w, &eof);
    wr_http_server_stop(w->server, 5000, on_stopped, w);
    turns(w);
    ok((arrived(w, &eof), eof) && w->stopped == 1, "idle: closed");
    world_close(w);
}

/* A process may end when it is told so: not before a client had time to read its refusal. */
static void test_stop_lingers(void)
{
    struct world *w = new_world();
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w, "GET / HTTP/1.1\r\n\r\n and more", false);
    is_int(stats(w).open, 0, "refused, its end lingers");
    wr_http_server_stop(w->server, 5000, on_stopped, w);
    pass_time(w, 30);
    is_int(w->stopped, 0, "not stopped while it does");
    hang_up(w);
    pass_time(w, 50);
    is_int(w->stopped, 1, "stopped, once");
    world_close(w);
}

/* ---- bodies that nobody reads, half reads, or reads late ------------------------------------------- */

static void test_unread_bodies(void)
{
    struct world *w = new_world();
    bool eof;
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", false);
    struct wr_http_req *req = w->held;
    (void)wr_op_end(&w->op);
    (void)wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("done"));
    turns(w);
    is_int(w->dones, 1, "answered later, the body that is here already is skipped at once");
    ok(!(arrived(w, &eof), eof) && balanced(w, 0), "balanced, the connection stays");
    send_text(w, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1234", false);
    is_int(w->dones, 1, "answered, half of its body yet to come");
    for (int i = 0; i < 3; i++) { /* others use the scratch meanwhile */
        (void)memset(wr_loop_scratch(w->loop), 'S', 4096);
        send_text(w, "5", false);
    }
    (void)wr_os_shutdown(w->client, SHUT_WR);
    turns(w);
    ok((arrived(w, &eof), eof), "the client ends in the middle of it: closed at once");
    ok(w->done.end == WR_HTTP_ANSWERED && balanced(w, 0) && stats(w).open == 0,
       "it was answered");
    is_str(w->done_path, "/x", "and its head is still what it was");
    world_close(w);
}

static void test_paused_bodies(void)
{
    static const char *const posts[] = {
        "POST /pausing HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /pausing HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(posts); i++) {
        struct world *w = new_world();
        ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
        send_text(w, posts[i], false);
        for (int n = 0; n < 4 && w->held && !w->lasts; n++) {
            wr_http_pause_body(w->held, false);
            turns(w);
        }
        is_int(w->lasts, 1, "paused at each piece, %zu: the last one comes, once", i);
        ok(has(arrived(w, NULL), "all of it") && balanced(w, 0), "answered, balanced");
        world_close(w);
    }
}

static void test_continue_behind_answer(void)
{
    struct world *w = new_world();
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w,
              "POST /stream HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
              "Content-Length: 2\r\n\r\n",
              false);
    ok(!has(arrived(w, NULL), "100 Continue"), "no 100 into an answer that has begun");
    send_text(w, "ab", false);
    ok(wr_span_has_suffix(arrived(w, NULL), WR_LIT("2\r\nab\r\n0\r\n\r\n")),
       "its body is whole");
    world_close(w);
}

static void test_adopt_within(void)
{
    struct world *w = new_world();
    int s[2];
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) != 0)
        WR_PANIC("no pair");
    (void)!wr_os_send(s[1], "GET /other HTTP/1.1\r\nHost: other\r\n\r\n", 36, 0);
    w->adopt_fd = s[0];
    send_text(w, "GET /adopt HTTP/1.1\r\nHost: h\r\n\r\n", false);
    ok(wr_span_has_suffix(arrived(w, NULL), WR_LIT("\r\n\r\n/adopt")),
       "a connection taken within a handler leaves the handler's request alone");
    is_int(stats(w).answered, 2, "both are answered");
    (void)wr_os_close(s[1]);
    world_close(w);
}

/* ---- limits ---------------------------------------------------------------------------------------------- */

static void test_slow_reader(void)
{
    struct world *w = new_world();
    w->options.output_high = 16 << 10;
    w->options.rate_window_ms = 30;
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    static char
        gets[4000 * 28]; /* in one piece: a small one costs the pair's buffer much more */
    for (size_t i = 0; i < sizeof gets; i += 28)
        memcpy(gets + i, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 28);
    is_int(wr_os_send(w->client, gets, sizeof gets, 0), sizeof gets, "4000 requests");
    turns(w);
    ok(stats(w).answered < 4000, "its answers wait");
    for (int i = 0; i < 40 && stats(w).open; i++)
        pass_time(w, 50);
    ok(stats(w).open == 0, "a client that does not read is cut");
    ok(balanced(w, 0), "balanced");
    world_close(w);
}

/* Reads until the end, as slowly as it has to; how much came. */
static size_t drink(struct world *w, unsigned ms)
{
    uint64_t end = wr_os_now_ns(CLOCK_MONOTONIC) + (uint64_t)ms * 1000000;
    size_t sum = 0;
    ssize_t n = -EAGAIN;
    while ((n > 0 || n == -EAGAIN) && wr_os_now_ns(CLOCK_MONOTONIC) < end) {
        n = wr_os_recv(w->client, w->got, sizeof w->got, 0);
        sum += n > 0 ? (size_t)n : 0;
        (void)wr_loop_turn(w->loop, 0);
    }
    return sum;
}

/* The deadlines of the request do not run against the client that takes its answer. */
static void test_slow_download(void)
{
    static const char *const gets[] = {
        "GET /big HTTP/1.0\r\n\r\n",
        "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\nx",
        "GET /later HTTP/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(gets); i++) {
        struct world *w = new_world();
        w->options.first_timeout_ms = w->options.head_timeout_ms = 30;
        w->options.idle_timeout_ms = w->options.handler_timeout_ms = 30;
        ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
        send_text(w, gets[i], false);
        if (w->held) {
            struct wr_http_req *req = w->held;
            (void)wr_op_end(&w->op);
            (void)wr_http_reply(req, 200, WR_LIT("text/plain"), wr_span(big, sizeof big));
        }
        pass_time(w, 100);
        is_int(stats(w).open, 1, "download %zu outlives the other deadlines", i);
        ok(drink(w, 2000) > sizeof big, "and is whole");
        turns(w);
        ok(stats(w).answered == 1 && balanced(w, 0), "answered, balanced");
        world_close(w);
    }
}

/* Each head comes in time, but its end always together with the beginning of the next. */
static void test_overlapping_heads(void)
{
    struct world *w = new_world();
    w->options.head_timeout_ms = 400;
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    send_text(w, "GET / HT", false);
    for (int i = 0; i < 6; i++) {
        pass_time(w, 100);
        send_text(w, "TP/1.1\r\nHost: h\r\n\r\nGET / HT", false);
    }
    is_int(stats(w).answered, 6, "each head has its own deadline");
    w->done_path[0] = '?';
    pass_time(w, 500);
    ok(stats(w).aborted == 1 && w->done.status == 408, "the last one passes it");
    is_str(w->done_path, "", "of half a head nothing is shown");
    world_close(w);
}

/* Who pipelines more than it reads is not read any further, and loses nothing. */
static void test_pipelined_flood(void)
{
    struct world *w = new_world();
    static const char get[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    w->options.output_high = 16 << 10;
    w->options.output_hard = 64 << 10;
    size_t asked = 0, at = 0;
    ok(world_open(w, NULL) == 0 && dial(w) == 0, "open");
    for (int i = 0; i < 20000; i++) {
        ssize_t n = wr_os_send(w->client, get + at, sizeof get - 1 - at, 0);
        if (n > 0)
            at += (size_t)n;
        else
            (void)wr_loop_turn(w->loop, 0);
        if (at == sizeof get - 1)
            asked++, at = 0;
    }
    ok(stats(w).open == 1 && stats(w).answered < asked, "it waits for the reader");
    if (at)
        (void)drink(w, 50), (void)!wr_os_send(w->client, get + at, sizeof get - 1 - at, 0),
            asked++;
    (void)drink(w, 300);
    is_int(stats(w).answered, asked, "all are answered");
    ok(balanced(w, 0), "balanced");
    world_close(w);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct world *w = new_world();
    (void)arg;
    int err = world_open(w, heap);
    if (!err)
        err = dial(w);
    if (!err) {
        send_text(w, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n", true);
        char body[300];
        memset(body, 'b', sizeof body);
        (void)!wr_os_send(w->client, body, sizeof body, 0);
        turns(w);
        send_text(w, "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
                  false);
        if (!balanced(w, w->held != NULL))
            err = 1;
    }
    world_close(w);
    return err;
}

int main(void)
{
    test_requests();
    test_bodies();
    test_odd_answers();
    test_answers_before_the_end();
    test_refusals();
    test_later();
    test_deadlines();
    test_stop();
    test_stop_lingers();
    test_stop_in_good_faith();
    test_slow_reader();
    test_unread_bodies();
    test_paused_bodies();
    test_continue_behind_answer();
    test_adopt_within();
    test_slow_download();
    test_overlapping_heads();
    test_pipelined_flood();
    nth_every("http server", scenario, NULL);
    return tap_done();
}
