/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers whose head the application forms, limits that change after the head, and refusals that it answers. */
#include "libweir/base/err.h"
#include "tests/http_world.h"
#include "tests/nth.h"

static struct wr_http_conn_limits limits;
static struct wr_http_req *held;
static unsigned refusals;
static int refused_status;
static char refused_line[256], refused_host[64], refused_why[128];
static bool refuse_later, refuse_in_pieces;
static char large[200000];

static void form_head(struct wr_http_req *req, const char *more, char *out, size_t n)
{
    (void)snprintf(out, n, "HTTP/1.1 200 Fine\r\nServer: test\r\n%s%s\r\n", more,
                   wr_http_keep_alive(req) ? "" : "Connection: close\r\n");
}

static void write_some(struct wr_http_req *req, const char *head, uint64_t length)
{
    char text[512];
    form_head(req, head, text, sizeof text);
    if (wr_http_begin_head(req, 200, wr_span_str(text), length) == 0 &&
        wr_http_write(req, WR_LIT("hello, ")) >= 0 && wr_http_write(req, WR_LIT("world")) >= 0)
        (void)wr_http_end(req);
}

static void with_trailers(struct wr_http_req *req)
{
    char text[512];
    form_head(req, "Transfer-Encoding: chunked\r\n", text, sizeof text);
    if (wr_http_begin_head(req, 200, wr_span_str(text), WR_HTTP_CHUNKED) == 0 &&
        wr_http_write(req, WR_LIT("abc")) >= 0)
        (void)wr_http_end_trailers(req, WR_LIT("X-Sum: 1\r\nX-More: 2\r\n"));
}

static void whole_body(struct wr_http_req *req, struct wr_span body, int err, void *arg)
{
    (void)arg;
    if (err)
        (void)wr_http_error(req, 413);
    else
        (void)wr_http_reply(req, 200, WR_LIT("text/plain"), body);
}

static void cut_at_once(struct wr_http_req *req, struct wr_span piece, bool last, void *arg)
{
    (void)piece;
    (void)last;
    (void)arg;
    wr_http_cut(req);
}

static void on_request(struct wr_http_req *req, void *arg)
{
    struct wr_span path = wr_http_path(req);
    char text[512];
    int err = wr_http_set_limits(req, &limits);
    if (wr_span_eq(path, WR_LIT("/bytes"))) {
        form_head(req, "Content-Length: 5\r\n", text, sizeof text);
        (void)wr_http_reply_bytes(req, 200, wr_span_str(text), WR_LIT("12345"));
    } else if (wr_span_eq(path, WR_LIT("/large"))) {
        form_head(req, "Content-Length: 200000\r\n", text, sizeof text);
        (void)wr_http_reply_bytes(req, 200, wr_span_str(text), wr_span(large, sizeof large));
    } else if (wr_span_eq(path, WR_LIT("/length"))) {
        write_some(req, "Content-Length: 12\r\n", 12);
    } else if (wr_span_eq(path, WR_LIT("/chunks"))) {
        write_some(req, wr_http_head(req)->minor ? "Transfer-Encoding: chunked\r\n" : "",
                   WR_HTTP_CHUNKED);
    } else if (wr_span_eq(path, WR_LIT("/until"))) {
        wr_http_set_close(req);
        write_some(req, "", WR_HTTP_UNTIL_CLOSE);
    } else if (wr_span_eq(path, WR_LIT("/trailers"))) {
        with_trailers(req);
    } else if (wr_span_eq(path, WR_LIT("/hints"))) {
        if (wr_http_interim(req, WR_LIT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")) == 0)
            write_some(req, "Content-Length: 12\r\n", 12);
    } else if (wr_span_eq(path, WR_LIT("/held"))) {
        held = req;
    } else if (wr_span_eq(path, WR_LIT("/begun"))) {
        form_head(req, "Content-Length: 12\r\n", text, sizeof text);
        if (wr_http_begin_head(req, 200, wr_span_str(text), 12) == 0)
            held = req;
    } else if (wr_span_eq(path, WR_LIT("/unchanged"))) {
        (void)wr_http_reply(req, 304, (struct wr_span){0}, (struct wr_span){0});
    } else if (wr_span_eq(path, WR_LIT("/chunked"))) {
        form_head(req, "Transfer-Encoding: chunked\r\n", text, sizeof text);
        if (wr_http_begin_head(req, 200, wr_span_str(text), WR_HTTP_CHUNKED) == 0)
            held = req;
    } else if (wr_span_eq(path, WR_LIT("/cut"))) {
        wr_http_stream_body(req, cut_at_once, NULL);
    } else if (wr_span_eq(path, WR_LIT("/abort"))) {
        wr_http_conn_abort(wr_http_conn(req), true);
    } else if (err == WR_E_TOO_BIG) {
        (void)wr_http_replyf(req, 413, "text/plain", "mine: too long\n");
    } else if (wr_http_method(req) == WR_METHOD_POST) {
        (void)wr_http_read_body(req, 1u << 20, whole_body, arg);
    } else {
        (void)wr_http_replyf(req, 200, "text/plain", "%.*s|%llu|%u",
                             WR_SPANF(wr_http_request_line(req)),
                             (unsigned long long)wr_http_request_bytes(req),
                             wr_http_conn_requests(wr_http_conn(req)));
    }
}

static void answer_refusal(struct wr_http_req *req)
{
    char text[256];
    if (refuse_in_pieces) {
        form_head(req, "Transfer-Encoding: chunked\r\n", text, sizeof text);
        if (wr_http_begin_head(req, refused_status, wr_span_str(text), WR_HTTP_CHUNKED) == 0 &&
            wr_http_write(req, WR_LIT("sorry")) >= 0)
            (void)wr_http_end(req);
        return;
    }
    (void)wr_http_replyf(req, refused_status == 497 ? 400 : refused_status, "text/html",
                         "mine: %s", refused_why);
}

static void on_refuse(struct wr_http_req *req, int status, const char *reason, void *arg)
{
    (void)arg;
    refusals++;
    refused_status = status;
    (void)snprintf(refused_line, sizeof refused_line, "%.*s",
                   WR_SPANF(wr_http_request_line(req)));
    (void)snprintf(refused_host, sizeof refused_host, "%.*s",
                   WR_SPANF(wr_http_header(req, WR_H_HOST)));
    (void)snprintf(refused_why, sizeof refused_why, "%s", reason);
    if (refuse_later)
        held = req;
    else
        answer_refusal(req);
}

static struct http_world *begin(void)
{
    struct http_world *w = world_new();
    limits = wr_http_conn_limits_default;
    held = NULL;
    refusals = 0;
    w->options.on_request = on_request;
    w->options.on_refuse = on_refuse;
    return w;
}

static void open_and_dial(struct http_world *w)
{
    ok(world_open(w, NULL) == 0 && world_dial(w) == 0, "a server and a client");
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void test_heads(void)
{
    struct http_world *w = begin();
    open_and_dial(w);
    struct wr_span out = world_ask(w, GET("/bytes"));
    ok(wr_span_eq(
           out, WR_LIT("HTTP/1.1 200 Fine\r\nServer: test\r\nContent-Length: 5\r\n\r\n12345")),
       "head and body as they were given");
    is_int(w->done.bytes_out, out.n, "counted");
    is_int(w->done.bytes_in, strlen(GET("/bytes")), "as is the request");
    out = world_ask(w, GET("/length"));
    ok(wr_span_has_suffix(out, WR_LIT("\r\n\r\nhello, world")), "in pieces");
    out = world_ask(w, GET("/chunks"));
    ok(wr_span_has_suffix(out, WR_LIT("\r\n\r\n7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n")),
       "in chunks");
    out = world_ask(w, GET("/trailers"));
    ok(wr_span_has_suffix(out, WR_LIT("3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n")),
       "trailers");
    out = world_ask(w, GET("/hints"));
    ok(wr_span_has_prefix(out, WR_LIT("HTTP/1.1 103 ")) && world_has(out, "HTTP/1.1 200 "),
       "103, then 200");
    out = world_ask(w, "HEAD /bytes HTTP/1.1\r\nHost: h\r\n\r\n");
    ok(wr_span_has_suffix(out, WR_LIT("Content-Length: 5\r\n\r\n")), "HEAD: no body");
    out = world_ask(w, "HEAD /chunks HTTP/1.1\r\nHost: h\r\n\r\n");
    ok(wr_span_has_suffix(out, WR_LIT("chunked\r\n\r\n")), "and no chunks");
    out = world_ask(w, GET("/x") GET("/y"));
    ok(world_has(out, "GET /x HTTP/1.1|28|8") && world_has(out, "GET /y HTTP/1.1|28|9"),
       "request line, bytes and number");
    out = world_ask(w, "\r\n" GET("/z"));
    ok(world_has(out, "GET /z HTTP/1.1|30|10"), "also behind an empty line");
    ok(!w->eof, "all on one connection");
    out = world_ask(w, GET("/until"));
    ok(wr_span_has_suffix(out, WR_LIT("Connection: close\r\n\r\nhello, world")) && w->eof,
       "until the connection ends");
    (void)world_dial(w);
    out = world_ask(w, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ok(wr_span_has_suffix(out, WR_LIT("\r\n\r\nhello, world")) && w->eof,
       "and so for HTTP/1.0");
    (void)world_dial(w);
    out = world_ask(w, "GET /hints HTTP/1.0\r\n\r\n");
    ok(wr_span_has_prefix(out, WR_LIT("HTTP/1.1 200 ")), "HTTP/1.0 gets no hints");
    (void)world_dial(w);
    out = world_ask(w, GET("/abort"));
    ok(out.n == 0 && w->eof, "a connection that is ended without an answer");
    is_int(w->done.end, WR_HTTP_ABORTED, "counts as aborted");
    ok(world_balanced(w, 0), "balanced");
    world_close(w);
}

/* Nothing waits for the client, unless the end of a request is to be known. */
static void test_done_when_sent(void)
{
    for (int sent = 0; sent < 2; sent++) {
        struct http_world *w = begin();
        w->options.done_when_sent = sent;
        w->narrow = true;
        open_and_dial(w);
        world_say(w, GET("/large") GET("/bytes"), false);
        is_int(w->dones, sent ? 0 : 2, "%s",
               sent ? "waits until it is sent" : "done when it is given");
        size_t before = 0;
        do {
            before = w->got_n;
            (void)world_got(w);
            world_turns(w, 4);
        } while (w->got_n > before);
        ok(wr_span_has_suffix(world_got(w), WR_LIT("12345")) && w->dones == 2,
           "all arrives, in order");
        ok(!w->eof && world_balanced(w, 0), "balanced");
        world_close(w);
    }
}

static void test_client_leaves_unsent(void)
{
    struct http_world *w = begin();
    w->options.done_when_sent = w->narrow = true;
    open_and_dial(w);
    world_say(w, GET("/large"), false);
    is_int(w->dones, 0, "on its way");
    world_hang_up(w);
    world_turns(w, 8);
    ok(w->dones == 1 && w->done.end == WR_HTTP_ABORTED, "the client leaves: aborted");
    is_int(w->done.status, 200, "with the status that it had");
    ok(world_balanced(w, 0), "balanced");
    world_close(w);
}

static void test_refusals(void)
{
    static const struct {
        const char *bytes;
        int status;
        const char *line, *host;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n",                                                  400, "GET / HTTP/1.1",  "" },
        {"GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n",                                  400, "GET /a\x01",      "" },
        {"GET /b HTTP/1.1\r\nHost: h\r\nNo colon\r\n\r\n",                          400, "GET /b HTTP/1.1", "h"},
        {"GET /c HTTP/1.7\r\n\r\n",                                                 505, "GET /c HTTP/1.7", "" },
        {"POST /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501,
         "POST /d HTTP/1.1",                                                                                "h"},
        {"POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n",         413,
         "POST /e HTTP/1.1",                                                                                "h"},
        {"POST /f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400,
         "POST /f HTTP/1.1",                                                                                "h"},
    };
    for (unsigned mode = 0; mode < 8; mode++)
        for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
            struct http_world *w = begin();
            refuse_later = mode & 2;
            refuse_in_pieces = mode & 4;
            open_and_dial(w);
            world_say(w, GET("/1"), false);
            world_say(w, cases[i].bytes, mode & 1);
            if (refuse_later && held) {
                ok(world_balanced(w, 1), "the refusal is under way");
                world_pass_time(w, 2);
                answer_refusal(held);
                world_turns(w, 8);
            }
            struct wr_span out = world_got(w);
            char want[32];
            (void)snprintf(want, sizeof want, "HTTP/1.1 %d ",
                           refuse_in_pieces ? 200 : cases[i].status);
            ok(refusals == 1 && world_has(out, refuse_in_pieces ? "sorry" : "mine: ") &&
                   world_has(out, want) && w->eof,
               "%d: answered by the application, then closed", cases[i].status);
            is_int(refused_status, cases[i].status, "status");
            is_str(refused_host, cases[i].host, "the host as far as it is known");
            is_str(refused_line, cases[i].line, "the request line");
            ok(w->done.end == WR_HTTP_REFUSED && w->done.refusal && world_balanced(w, 0),
               "counted as refused, balanced");
            world_close(w);
        }
    refuse_later = refuse_in_pieces = false;
}

static void test_refusal_too_long(void)
{
    struct http_world *w = begin();
    struct wr_http_head_limits head = wr_http_head_limits_default;
    static char line[20000];
    head.parse.max_line = 1024;
    head.parse.max_field = 1024;
    head.parse.max_fields = 200;
    w->options.head_limits = &head;
    open_and_dial(w);
    memset(line, 'a', sizeof line);
    memcpy(line, "GET /", 5);
    world_send(w, line, sizeof line, false);
    ok(world_has(world_got(w), "HTTP/1.1 414 ") && w->eof, "a long line: 414");
    (void)world_dial(w);
    memcpy(line, "GET / HTTP/1.1\r\nHost: h\r\nX: ", 28);
    world_send(w, line, sizeof line, false);
    ok(world_has(world_got(w), "HTTP/1.1 431 ") && w->eof, "a long field: 431");
    ok(refusals == 2 && strcmp(refused_host, "h") == 0, "with its host");
    (void)world_dial(w);
    size_t n = (size_t)snprintf(line, sizeof line, "GET /many HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 199; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "X-%d: %d\r\n", i, i);
    n += (size_t)snprintf(line + n, sizeof line - n, "\r\n");
    world_send(w, line, n, false);
    ok(world_has(world_got(w), "GET /many"), "two hundred fields are not too many here");
    w->got_n = 0;
    world_send(w, line, n, true);
    ok(world_has(world_got(w), "GET /many"), "however they come");
    (void)snprintf(line + n - 2, sizeof line - n, "Y: 1\r\n\r\n");
    world_send(w, line, strlen(line), false);
    ok(world_has(world_got(w), "HTTP/1.1 431 ") && w->eof, "one more is");
    world_close(w);
}

/* The application begins to answer a refusal and never ends, or says nothing: the deadline of handlers counts. */
static void test_refusal_forgotten(void)
{
    struct http_world *w = begin();
    w->options.handler_timeout_ms = 30;
    refuse_later = true;
    open_and_dial(w);
    world_say(w, "GET / HTTP/1.1\r\n\r\n", false);
    ok(held && refusals == 1, "asked");
    world_pass_time(w, 100);
    ok(world_has(world_got(w), "HTTP/1.1 503 ") && w->eof, "a plain 503 in the end");
    ok(world_balanced(w, 0), "balanced");
    refuse_later = false;
    world_close(w);
}

static void test_too_slow(void)
{
    static const struct {
        const char *bytes, *host;
    } cases[] = {
        {"GET /slow HTTP/1.1\r\nHost: h\r\nX",                             "h"},
        {"GET /slow HTT",                                                  "" },
        {"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", "h"},
    };
    for (int reset = 0; reset < 2; reset++)
        for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
            struct http_world *w = begin();
            struct wr_http_head_limits head = wr_http_head_limits_default;
            struct wr_http_conn_limits conn = wr_http_conn_limits_default;
            head.head_timeout_ms = conn.body_timeout_ms = 30;
            conn.reset_on_timeout = reset;
            limits = conn;
            w->options.head_limits = &head;
            w->options.conn_limits = &conn;
            open_and_dial(w);
            world_say(w, cases[i].bytes, false);
            world_pass_time(w, 90);
            struct wr_span out = world_got(w);
            if (reset) {
                ok(out.n == 0 && w->eof && refusals == 0, "too slow: reset");
            } else {
                ok(world_has(out, "HTTP/1.1 408 ") && w->eof, "too slow: 408");
                is_str(refused_host, cases[i].host, "the host as far as it came");
                ok(strncmp(refused_line, i == 1 ? "GET /slow HTT" : cases[i].bytes, 9) == 0,
                   "and the line");
            }
            is_int(w->done.status, 408, "counted as that");
            ok(world_balanced(w, 0), "balanced");
            world_close(w);
        }
}

/* A body that comes a byte at a time, faster than the timeout between bytes. */
static void test_slow_but_steady(void)
{
    struct http_world *w = begin();
    limits.body_timeout_ms = 400 * tap_scale();
    limits.min_body_bytes_per_s = 0;
    open_and_dial(w);
    world_say(w, "POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", false);
    for (int i = 0; i < 5; i++) {
        world_pass_time(w, 100);
        world_say(w, "x", false);
    }
    ok(wr_span_has_suffix(world_got(w), WR_LIT("\r\n\r\nxxxxx")), "slow but steady wins");
    world_close(w);
}

static void test_limits(void)
{
    struct http_world *w = begin();
    limits.max_requests = 2;
    open_and_dial(w);
    ok(!world_has(world_ask(w, GET("/length")), "close"), "the first of two");
    ok(world_has(world_ask(w, GET("/length")), "Connection: close\r\n") && w->eof,
       "the second closes");
    limits = wr_http_conn_limits_default;
    limits.idle_timeout_ms = 0;
    (void)world_dial(w);
    ok(world_has(world_ask(w, GET("/length")), "Connection: close\r\n") && w->eof,
       "no keep-alive");
    limits.idle_timeout_ms = 1000;
    limits.max_life_ms = 20 * tap_scale();
    (void)world_dial(w);
    ok(!world_has(world_ask(w, GET("/length")), "close"), "young");
    world_pass_time(w, 30);
    ok(world_has(world_ask(w, GET("/length")), "Connection: close\r\n") && w->eof, "old");
    limits = wr_http_conn_limits_default;
    limits.idle_timeout_ms = 30 * tap_scale();
    (void)world_dial(w);
    (void)world_ask(w, GET("/length"));
    world_pass_time(w, 60);
    ok((world_got(w), w->eof), "idle for longer than the location allows");
    limits = wr_http_conn_limits_default;
    limits.max_body = 3;
    (void)world_dial(w);
    ok(world_has(world_ask(w, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd"),
                 "mine: too long\n"),
       "a body longer than the location allows, by its length");
    (void)world_dial(w);
    struct wr_span out = world_ask(w, "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                                      "chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n");
    ok(world_has(out, "HTTP/1.1 413 ") && refusals == 1 && w->eof, "and by its chunks");
    (void)world_dial(w);
    ok(world_has(world_ask(w, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
                 "\r\n\r\nabc"),
       "not a shorter one");
    ok(world_balanced(w, 0), "balanced");
    world_close(w);
}

static void test_touch(void)
{
    struct http_world *w = begin();
    limits.handler_timeout_ms = 400 * tap_scale();
    open_and_dial(w);
    held = NULL;
    world_say(w, GET("/held"), false);
    for (int i = 0; i < 500 && !held; i++)
        world_pass_time(w, 1);
    for (int i = 0; i < 4; i++) {
        world_pass_time(w, 200);
        if (held && w->dones == 0)
            wr_http_touch(held);
    }
    is_int(w->dones, 0, "a handler that is at work is waited for");
    ok(wr_http_conn_due_ms(wr_http_conn(held)) > wr_loop_now_ms(w->loop),
       "its deadline is known");
    is_str(wr_http_conn_phase(wr_http_conn(held)), "handle", "and what it does");
    world_pass_time(w, 800);
    ok(world_has(world_got(w), " 503 "), "until it is not");
    limits.handler_timeout_ms = WR_FOREVER;
    (void)world_dial(w);
    world_say(w, GET("/held"), false);
    world_pass_time(w, 120);
    ok(w->dones == 1 && wr_http_conn_due_ms(wr_http_conn(held)) == UINT64_MAX,
       "or without an end");
    (void)wr_http_error(held, 200);
    world_turns(w, 4);
    is_int(w->dones, 2, "answered at last");
    world_close(w);
}

/* ---- what is left over from others --------------------------------------------------------------------- */

static uint32_t slot_found = 99;

static void take_slot(struct wr_http_conn *conn, void *arg)
{
    (void)arg;
    slot_found = wr_http_conn_slot(conn);
    wr_http_conn_set_slot(conn, 7);
}

static void test_slot(void)
{
    struct http_world *w = begin();
    w->options.on_conn_open = take_slot;
    open_and_dial(w);
    (void)world_ask(w, GET("/bytes"));
    world_hang_up(w);
    world_turns(w, 8);
    slot_found = 99;
    (void)world_dial(w);
    is_int(slot_found, 0, "a new connection's slot is 0, whoever had its memory before");
    world_close(w);
}

static void test_refused_after_body(void)
{
    struct http_world *w = begin();
    open_and_dial(w);
    (void)world_ask(w, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
    is_int(w->done.body_in, 10, "a request with a body");
    (void)world_ask(w, "GET / HTTP/1.1\r\nNo colon\r\n\r\n");
    is_int(w->done.end, WR_HTTP_REFUSED, "then a head that is refused");
    is_int(w->done.bytes_in, strlen("GET / HTTP/1.1\r\nNo "),
           "has its own bytes and no others");
    world_close(w);
}

/* An answer that never began has sent nothing, whatever of those before it was lost. */
static void test_lost_before(void)
{
    struct http_world *w = begin();
    w->narrow = true;
    open_and_dial(w);
    world_say(w, GET("/large") GET("/held"), false);
    ok(w->dones == 1 && held, "an answer that waits for the client, and a request behind it");
    world_hang_up(w);
    world_turns(w, 8);
    ok(w->dones == 2 && w->done.end == WR_HTTP_ABORTED, "the client leaves");
    is_int(w->done.bytes_out, 0, "nothing was sent of the second answer");
    world_close(w);
}

/* A body that nobody wants stays in the kernel while the answer is on its way. */
static void test_unwanted_body(void)
{
    struct http_world *w = begin();
    w->options.done_when_sent = w->narrow = true;
    w->options.max_body = limits.max_body = 1u << 30;
    open_and_dial(w);
    world_say(w, "POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n", false);
    size_t taken = 0;
    for (int i = 0; i < 2000; i++) {
        ssize_t n = wr_os_send(w->client, large, sizeof large, 0);
        taken += n > 0 ? (size_t)n : 0;
        world_turns(w, 1);
    }
    ok(taken < 1u << 20, "%zu bytes of it are taken", taken);
    world_close(w);
}

/* What waits is a part of this answer, never a whole one before it. */
static void test_postponed(void)
{
    struct http_world *w = begin();
    limits.postpone = 1460;
    open_and_dial(w);
    struct wr_span out = world_ask(w, GET("/bytes") GET("/begun"));
    ok(wr_span_has_prefix(out, WR_LIT("HTTP/1.1 200 ")) && world_has(out, "12345"),
       "a whole answer does not wait for the next one");
    out = world_ask(w, GET("/bytes"));
    ok(wr_http_write(held, WR_LIT("hello, ")) >= 0 &&
           wr_http_write(held, WR_LIT("world")) >= 0 && wr_http_end(held) == 0,
       "the next one ends");
    world_turns(w, 4);
    ok(world_has(world_got(w), "hello, world"), "and comes");
    world_close(w);
}

static unsigned drains;

static void write_until_full(struct wr_http_req *req, void *arg)
{
    (void)arg;
    int rc;
    while ((rc = wr_http_write(req, wr_span(large, 1000))) == 0)
        continue;
    drains++;
}

/* Who is told to wait must not wait for what is waiting for him. */
static void test_postponed_more_than_room(void)
{
    struct http_world *w = begin();
    limits.postpone = 1u << 20;
    w->options.output_high = 10000;
    open_and_dial(w);
    world_say(w, GET("/chunked"), false);
    drains = 0;
    wr_http_on_drain(held, write_until_full, NULL);
    write_until_full(held, NULL);
    world_turns(w, 8);
    ok(drains > 1 && world_got(w).n > 10000, "more than there is room for is not postponed");
    world_close(w);
}

/* What comes until the end, and whether that is a FIN. */
static bool ends_with_fin(struct http_world *w)
{
    ssize_t n = -EAGAIN;
    for (int i = 0; i < 100 && (n > 0 || n == -EAGAIN); i++) {
        world_turns(w, 1);
        n = world_read(w);
        w->got_n += n > 0 ? (size_t)n : 0;
    }
    w->got[w->got_n] = '\0';
    return n == 0;
}

/* A close with unread bytes would be a RST, which takes the answer with it. */
static void test_pipelined_behind_last(void)
{
    static char many[100000];
    struct http_world *w = begin();
    open_and_dial(w);
    world_say(w, "GET /held HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false);
    world_say(w, GET("/bytes"), false);
    (void)wr_http_error(held, 200);
    ok(ends_with_fin(w) && world_has(wr_span(w->got, w->got_n), "200 OK"),
       "the last answer of a client that pipelines behind it, then FIN, not RST");
    (void)world_dial(w);
    memset(many, 'x', sizeof many);
    memcpy(many, "GET /bytes HTTP/1.1\r\nConnection: close\r\nHost: h\r\n\r\n", 52);
    ok(wr_os_send(w->client, many, sizeof many, 0) == (ssize_t)sizeof many,
       "more than one read");
    ok(ends_with_fin(w) && world_has(wr_span(w->got, w->got_n), "12345"), "the same");
    world_close(w);
}

static void test_not_modified(void)
{
    struct http_world *w = begin();
    open_and_dial(w);
    struct wr_span out = world_ask(w, GET("/unchanged"));
    ok(wr_span_has_prefix(out, WR_LIT("HTTP/1.1 304 ")) && !world_has(out, "Content-Length"),
       "304 says nothing of a length");
    world_close(w);
}

static void test_cut_in_body(void)
{
    struct http_world *w = begin();
    open_and_dial(w);
    (void)world_ask(w, "POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n01234");
    ok(w->eof && w->done.end == WR_HTTP_ABORTED, "cut while its body comes");
    world_close(w);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct http_world *w = begin();
    (void)arg;
    w->options.done_when_sent = w->narrow = true;
    int err = world_open(w, heap);
    if (!err)
        err = world_dial(w);
    if (!err) {
        world_say(w, GET("/large"), true);
        for (int i = 0; i < 200; i++) {
            (void)world_got(w);
            world_turns(w, 1);
        }
        refuse_later = true;
        world_say(w, GET("/trailers") "GET /b HTTP/1.1\r\nHost: h\r\nNo colon\r\n\r\n", false);
        if (!world_balanced(w, 0) && !world_balanced(w, 1))
            err = 1;
    }
    refuse_later = false;
    world_close(w);
    return err;
}

int main(void)
{
    test_heads();
    test_done_when_sent();
    test_client_leaves_unsent();
    test_refusals();
    test_refusal_too_long();
    test_refusal_forgotten();
    test_too_slow();
    test_slow_but_steady();
    test_limits();
    test_touch();
    test_slot();
    test_refused_after_body();
    test_lost_before();
    test_unwanted_body();
    test_postponed();
    test_postponed_more_than_room();
    test_pipelined_behind_last();
    test_not_modified();
    test_cut_in_body();
    nth_every("http answers", scenario, NULL);
    return tap_done();
}
