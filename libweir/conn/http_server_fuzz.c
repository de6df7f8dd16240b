/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP server whole, over a socket pair. Three bytes choose options, how the request bytes are cut,
 * and how the client ends; the rest is what the client sends. The letter behind the path's slash picks
 * what the handler does. The same bytes are sent in one piece and in small ones.
 *
 * After each: begun = answered + refused + aborted, no connection left, every byte of memory and every
 * descriptor back; what the client got is one whole response per request, in order, with the status and
 * the length that on_done was told; and the cuts made no difference.
 */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/mem_budget.h"
#include "libweir/conn/http_server.h"
#include "libweir/http/body.h"
#include "libweir/http/parse.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>

#define REQUESTS_MAX 512
#define BODY_MAX     512 /* of a body that is read whole */
#define OUT_MAX      (8u << 20)

/* The options byte. */
enum {
    HALF_CLOSED = 1,  /* serve_half_closed */
    EAGER = 2,        /* what is held is answered between the pieces, not behind them */
    SMALL = 4,        /* few requests, short heads */
    IMPATIENT = 8,    /* the client ends without waiting for its answers */
    REFUSE = 16,      /* on_refuse: the application answers what the server refuses ... */
    REFUSE_LATE = 32, /* ... later */
    PROXY = 64,       /* a PROXY header comes first */
    WHEN_SENT = 128,  /* done_when_sent */
};

/* The ending byte, modulo. */
enum {
    END_CLOSE,
    END_FIN,
    END_STOP,
    END_SERVER,
    ENDINGS,
};

struct record {
    enum wr_method method;
    int status;
    enum wr_http_end end;
    uint64_t body_out;
};

struct run {
    struct wr_loop *loop;
    struct wr_http_server *server;
    struct wr_http_req *held; /* waits for resume() */
    void (*resume)(struct run *r, struct wr_http_req *req);
    struct wr_op op;
    int client, first_fd, stopped;
    bool late;       /* refusals are answered later */
    unsigned steps;  /* left for what goes on in steps */
    uint64_t taken;  /* bytes that a draining body has written */
    bool eof, ended; /* the server has ended; the client has */
    unsigned n;
    struct record records[REQUESTS_MAX];
    size_t out_n;
};

static char out[OUT_MAX]; /* what the client got */
static char filler[4096];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what handlers do ------------------------------------------------------------------------------- */

static void on_cancel(struct wr_op *op, int why)
{
    struct run *r = wr_container_of(op, struct run, op);
    WR_ASSERT(why < 0 && r->held);
    r->held = NULL;
}

static void hold(struct run *r, struct wr_http_req *req,
                 void (*resume)(struct run *r, struct wr_http_req *req))
{
    WR_ASSERT(!r->held);
    r->held = req;
    r->resume = resume;
    WR_ASSERT(wr_op_begin(wr_http_scope(req), &r->op, on_cancel) == 0);
}

static void go_on(struct run *r)
{
    struct wr_http_req *req = r->held;
    r->held = NULL;
    WR_ASSERT(wr_op_end(&r->op));
    r->resume(r, req);
}

static void reply_late(struct run *r, struct wr_http_req *req)
{
    (void)r;
    WR_ASSERT(wr_http_head(req)->method_text.n > 0);
    (void)wr_http_reply(req, 200, WR_LIT("text/plain"), wr_http_path(req));
}

static void whole(struct wr_http_req *req, struct wr_span body, int err, void *arg)
{
    (void)arg;
    if (err)
        (void)wr_http_error(req, err == WR_E_TOO_BIG ? 413 : 503);
    else
        (void)wr_http_reply(req, 200, (struct wr_span){0}, body);
}

static void whole_late(struct run *r, struct wr_http_req *req)
{
    (void)wr_http_read_body(req, BODY_MAX, whole, r);
}

static void echo(struct wr_http_req *req, struct wr_span piece, bool last, void *arg)
{
    (void)arg;
    if (piece.n && wr_http_write(req, piece) < 0)
        return;
    if (last)
        (void)wr_http_end(req);
}

static void count(struct wr_http_req *req, struct wr_span piece, bool last, void *arg)
{
    struct run *r = arg;
    r->taken += piece.n;
    if (last)
        (void)wr_http_replyf(req, 200, "text/plain", "%llu", (unsigned long long)r->taken);
}

static void unpause(struct run *r, struct wr_http_req *req)
{
    (void)r;
    wr_http_pause_body(req, false);
}

static void pausing(struct wr_http_req *req, struct wr_span piece, bool last, void *arg)
{
    struct run *r = arg;
    count(req, piece, last, arg);
    if (last)
        return;
    wr_http_pause_body(req, true);
    hold(r, req, unpause);
}

static void write_steps(struct run *r, struct wr_http_req *req)
{
    if (r->steps-- == 0) {
        (void)wr_http_end(req);
        return;
    }
    if (wr_http_write(req, wr_span(filler, 100 + r->steps)) >= 0)
        hold(r, req, write_steps);
}

static void pour(struct wr_http_req *req, void *arg)
{
    struct run *r = arg;
    while (r->taken < 100000) {
        int rc = wr_http_write(req, wr_span(filler, sizeof filler));
        r->taken += sizeof filler;
        if (rc == 1)
            wr_http_on_drain(req, pour, r);
        if (rc)
            return;
    }
    (void)wr_http_end(req);
}

static bool begin(struct wr_http_req *req, int status, uint64_t length)
{
    struct wr_http_field type = {WR_LIT("Content-Type"), WR_LIT("text/plain")};
    return wr_http_begin(req, status, &type, 1, length) == 0;
}

static void in_pieces(struct run *r, struct wr_http_req *req, char what)
{
    bool known = what == 'c' || what == 'x';
    int status = what == 'n' ? 204 : what == '3' ? 304 : 200;
    if (!begin(req, status, known ? 10 : WR_HTTP_CHUNKED))
        return;
    switch (what) {
    case 's':
        wr_http_stream_body(req, echo, r);
        return;
    case 'w':
        hold(r, req, write_steps);
        return;
    case 'd':
        pour(req, r);
        return;
    default:
        break;
    }
    if (wr_http_write(req, wr_span("0123456789", what == 'x' ? 3 : 10)) >= 0)
        (void)wr_http_end(req);
}

/* Heads of the application's own; what it says of the framing is what it does. */
static void own_head(struct wr_http_req *req, char what)
{
    static const struct wr_http_conn_limits tight = {.max_requests = 2,
                                                     .idle_timeout_ms = 1000,
                                                     .max_life_ms = WR_FOREVER,
                                                     .handler_timeout_ms = 1000,
                                                     .body_timeout_ms = 1000,
                                                     .send_timeout_ms = 1000,
                                                     .max_body = 20};
    if (what == 'z' && wr_http_set_limits(req, &tight) != 0) {
        (void)wr_http_error(req, 413);
        return;
    }
    bool chunks = what == 'H' && wr_http_head(req)->minor;
    bool until = what == 'u' || (what == 'H' && !chunks);
    char head[256];
    if (until)
        wr_http_set_close(req);
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s%s\r\n",
                     chunks  ? "Transfer-Encoding: chunked\r\n"
                     : until ? ""
                             : "Content-Length: 10\r\n",
                     wr_http_keep_alive(req)
                         ? wr_http_head(req)->minor ? "" : "Connection: keep-alive\r\n"
                         : "Connection: close\r\n");
    struct wr_span bytes = wr_span(head, (size_t)n);
    if (what == 'i' && wr_http_interim(req, WR_LIT("HTTP/1.1 103 Hints\r\nA: b\r\n\r\n")) != 0)
        return;
    if (what == 'r') {
        (void)wr_http_reply_bytes(req, 200, bytes, WR_LIT("0123456789"));
        return;
    }
    uint64_t length = chunks ? WR_HTTP_CHUNKED : until ? WR_HTTP_UNTIL_CLOSE : 10;
    if (wr_http_begin_head(req, 200, bytes, length) != 0 ||
        wr_http_write(req, WR_LIT("0123456789")) < 0)
        return;
    if (chunks)
        (void)wr_http_end_trailers(req, WR_LIT("X-Sum: 1\r\n"));
    else
        (void)wr_http_end(req);
}

/* How much there is of the line of a refused head depends on how it was cut: the answer's length does not. */
static void refusal(struct run *r, struct wr_http_req *req)
{
    (void)r;
    (void)wr_http_replyf(req, 400, "text/plain", "no: %-100.*s",
                         WR_SPANF(wr_span_sub(wr_http_request_line(req), 0, 100)));
}

static void on_refuse(struct wr_http_req *req, int status, const char *reason, void *arg)
{
    struct run *r = arg;
    WR_ASSERT(status >= 400 && reason && wr_http_request_line(req).n <= 65536);
    if (r->held) { /* it waited for something: not any more */
        WR_ASSERT(wr_op_end(&r->op));
        r->held = NULL;
    }
    if (r->late)
        hold(r, req, refusal);
    else
        refusal(r, req);
}

static void on_request(struct wr_http_req *req, void *arg)
{
    struct run *r = arg;
    struct wr_span path = wr_http_path(req);
    char what = path.n > 1 ? path.p[1] : '/';
    r->taken = 0;
    r->steps = 3;
    switch (what) {
    case 'l':
        hold(r, req, reply_late);
        return;
    case 'b':
        (void)wr_http_read_body(req, BODY_MAX, whole, r);
        return;
    case 'B':
        hold(r, req, whole_late);
        return;
    case 'k':
        wr_http_stream_body(req, count, r);
        return;
    case 'p':
        wr_http_stream_body(req, pausing, r);
        return;
    case 't': /* a header that may not be written */
        (void)wr_http_reply(req, 200, WR_LIT("text/plain\r\nX: y"), path);
        return;
    case 'a':
        (void)wr_http_error(req, 404);
        return;
    case 'h':
    case 'H':
    case 'r':
    case 'i':
    case 'u':
    case 'z':
        own_head(req, what);
        return;
    case 's':
    case 'n':
    case '3':
    case 'c':
    case 'x':
    case 'w':
    case 'd':
        in_pieces(r, req, what);
        return;
    default:
        (void)wr_http_reply(req, 200, WR_LIT("text/plain"), path);
    }
}

static void on_done(struct wr_http_req *req, const struct wr_http_done *done, void *arg)
{
    struct run *r = arg;
    WR_ASSERT((done->end == WR_HTTP_REFUSED) == (done->refusal != NULL));
    WR_ASSERT(wr_http_path(req).n <= 8192);
    if (r->n < REQUESTS_MAX)
        r->records[r->n] = (struct record){.method = wr_http_method(req),
                                           .status = done->status,
                                           .end = done->end,
                                           .body_out = done->body_out};
    r->n++;
}

/* ---- the client --------------------------------------------------------------------------------------- */

static bool receive(struct run *r)
{
    size_t had = r->out_n;
    ssize_t n = -EAGAIN;
    while (!r->ended && (n = wr_os_recv(r->client, out + r->out_n, OUT_MAX - r->out_n, 0)) > 0)
        r->out_n += (size_t)n;
    r->eof |= !r->ended && n != -EAGAIN;
    WR_ASSERT(r->out_n < OUT_MAX);
    return r->out_n != had;
}

static void turn(struct run *r)
{
    WR_ASSERT(wr_loop_turn(r->loop, 0) == 0);
}

/* Until nothing moves any more. */
static void rest(struct run *r)
{
    for (int quiet = 0; quiet < 2; quiet++) {
        turn(r);
        if (r->held) {
            go_on(r);
            quiet = -1;
        }
        if (receive(r))
            quiet = -1;
    }
}

static void send_bytes(struct run *r, const uint8_t *p, size_t n, unsigned cut,
                       unsigned options)
{
    unsigned state = cut;
    size_t least = 1 + n / 64; /* every piece costs a turn */
    while (n && !r->eof) {
        state = state * 1103515245u + 12345u;
        size_t piece = cut ? least + (state >> 16) % cut : n;
        ssize_t sent = wr_os_send(r->client, p, piece < n ? piece : n, 0);
        if (sent < 0 && sent != -EAGAIN)
            return;
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        if (sent < 0 || options & EAGER)
            rest(r);
        else
            turn(r);
    }
}

static void hang_up(struct run *r)
{
    if (!r->ended)
        (void)wr_os_close(r->client);
    r->ended = true;
}

static void on_stopped(struct wr_http_server *s, void *arg)
{
    struct run *r = arg;
    WR_ASSERT(wr_http_server_stats(s).open == 0);
    r->stopped++;
}

static void end(struct run *r, unsigned ending)
{
    switch (ending) {
    case END_FIN:
        (void)wr_os_shutdown(r->client, SHUT_WR);
        rest(r);
        WR_ASSERT(wr_http_server_stats(r->server).open == 0 && r->eof);
        break;
    case END_STOP:
        wr_http_server_stop(r->server, 1000, on_stopped, r);
        rest(r);
        hang_up(r);
        rest(r);
        WR_ASSERT(r->stopped <= 1); /* later, while some linger */
        break;
    case END_SERVER:
        wr_http_server_close(&r->server);
        rest(r);
        break;
    default:
        break;
    }
    hang_up(r);
    rest(r);
}

/* ---- what must hold ----------------------------------------------------------------------------------- */

static bool whole_body(const struct wr_head *head, struct wr_span *in, bool eof, uint64_t *n)
{
    struct wr_body b;
    struct wr_span piece;
    enum wr_body_event ev;
    *n = 0;
    wr_body_init_head(&b, head, NULL);
    while ((ev = wr_body_next(&b, in, &piece)) == WR_BODY_DATA)
        *n += piece.n;
    if (ev == WR_BODY_MORE && eof)
        ev = wr_body_eof(&b);
    WR_ASSERT(ev != WR_BODY_BAD || b.refusal.reason == WR_BAD_TRUNCATED);
    return ev == WR_BODY_DONE;
}

/* One response; false when it is not whole. */
static bool next_response(struct wr_span *in, bool eof, enum wr_method method, int *status,
                          uint64_t *n)
{
    struct wr_field fields[16];
    struct wr_head head;
    struct wr_parse p;
    wr_head_init(&head, fields, 16);
    wr_parse_init_response(&p, &head, method, NULL);
    enum wr_parsed parsed = wr_parse_head(&p, *in);
    WR_ASSERT(parsed != WR_PARSED_BAD);
    if (parsed == WR_PARSED_MORE)
        return false;
    *in = wr_span_sub(*in, head.size, SIZE_MAX);
    *status = head.status;
    return whole_body(&head, in, eof, n);
}

/* One more may be under way: answered, while the rest of its body is skipped. */
static void check_responses(const struct run *r)
{
    struct wr_span in = wr_span(out, r->out_n);
    for (unsigned i = 0; i < r->n && i < REQUESTS_MAX; i++) {
        const struct record *want = &r->records[i];
        int status = 0;
        uint64_t n = 0;
        bool whole_one;
        do
            whole_one = next_response(&in, r->eof, want->method, &status, &n);
        while (whole_one && status < 200);
        if (want->end == WR_HTTP_ABORTED) {
            WR_ASSERT(i + 1 == r->n);
            return;
        }
        WR_ASSERT(whole_one && status == want->status && n == want->body_out);
    }
    WR_ASSERT(r->n > REQUESTS_MAX || in.n == 0 || wr_http_server_stats(r->server).begun > r->n);
}

static void check_balance(const struct wr_http_stats *s, const struct run *r)
{
    WR_ASSERT(s->begun == s->answered + s->refused + s->aborted && s->begun == r->n);
    WR_ASSERT(s->open == 0 && s->links.opened == 1 && !r->held);
    uint64_t closed = 0;
    for (unsigned i = 0; i < WR_CLOSES; i++)
        closed += s->links.closed[i];
    WR_ASSERT(closed == 1);
}

static void one_run(struct run *r, struct wr_loop *loop, const uint8_t *data, size_t n,
                    unsigned cut, const uint8_t choice[2])
{
    int s[2];
    *r = (struct run){.client = -1, .loop = loop};
    struct wr_http_options o = {.on_request = on_request,
                                .on_done = on_done,
                                .arg = r,
                                .output_high = 16 << 10,
                                .on_refuse = choice[0] & REFUSE ? on_refuse : NULL,
                                .proxy_protocol = choice[0] & PROXY,
                                .done_when_sent = choice[0] & WHEN_SENT,
                                .serve_half_closed = choice[0] & HALF_CLOSED};
    r->late = choice[0] & REFUSE_LATE;
    if (choice[0] & SMALL) {
        o.max_requests = 3;
        o.limits = wr_http_limits_default;
        o.limits.max_head = 256;
        o.limits.max_fields = 6;
        o.max_body = 300;
    }
    WR_ASSERT(wr_http_server_open(r->loop, &o, &r->server) == 0);
    WR_ASSERT(wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) == 0);
    r->first_fd = s[0];
    r->client = s[1];
    WR_ASSERT(wr_http_server_adopt(r->server, s[0]) == 0);
    send_bytes(r, data, n, cut, choice[0]);
    if (!(choice[0] & IMPATIENT)) {
        rest(r);
        check_responses(r);
    }
    end(r, choice[1] % ENDINGS);
    if (r->server) {
        struct wr_http_stats stats = wr_http_server_stats(r->server);
        check_balance(&stats, r);
    }
    wr_http_server_close(&r->server);
    turn(r);
}

/* max_body is judged by the piece while nothing has been answered, so where it is small, and where the
 * client does not wait, cuts may matter. */
static void check_same(const struct run *a, const struct run *b)
{
    WR_ASSERT(a->n == b->n);
    for (unsigned i = 0; i < a->n && i < REQUESTS_MAX; i++) {
        const struct record *x = &a->records[i], *y = &b->records[i];
        WR_ASSERT(x->status == y->status && x->end == y->end && x->method == y->method);
        WR_ASSERT(x->body_out == y->body_out || x->end == WR_HTTP_ABORTED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run one, two;
    if (size < 3)
        return 0;
    const uint8_t choice[2] = {data[0], data[2]};
    struct wr_heap_counting heap;
    struct wr_budget budget;
    struct wr_loop *loop;
    wr_heap_counting_init(&heap, wr_heap_libc());
    wr_budget_init(&budget, NULL, "fuzz", WR_BUDGET_NONE, WR_BUDGET_NONE);
    struct wr_loop_options lo = {
        .heap = &heap.heap, .budget = &budget, .max_posts = 8, .max_events = 8};
    WR_ASSERT(wr_loop_new(&lo, &loop) == 0);
    one_run(&one, loop, data + 3, size - 3, 0, choice);
    one_run(&two, loop, data + 3, size - 3, 1 + data[1], choice);
    wr_loop_free(&loop);
    wr_budget_deinit(&budget);
    WR_ASSERT(heap.objects == 0 && heap.bytes == 0);
    WR_ASSERT(one.first_fd == two.first_fd);
    if (!(data[0] & (SMALL | IMPATIENT)))
        check_same(&one, &two);
    return 0;
}
