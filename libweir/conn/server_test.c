/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/server.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/rand.h"
#include "libweir/io/sock.h"
#include "tests/conn_kit.h"
#include "tests/tap.h"

#include <netinet/in.h>
#include <pthread.h>

/* ---- a server that writes down what happened -------------------------------------------------------- */

struct seen {
    int opens, frames, closes, idles, highs, drains;
    enum wr_close why;
    int err;
    unsigned missed;
    size_t bytes;
    struct wr_conn *conn;
    uint64_t id;
    int frame_result;                           /* instead of an echo, when not 0 */
    bool no_echo, pause_each, abort_each, late; /* late: something after on_close */
    size_t flood;                               /* answer each frame with so many bytes */
};

static struct seen *seen_of(struct wr_conn *c)
{
    struct seen *s = wr_conn_arg(c);
    s->late |= s->closes > 0 && s->conn == c;
    return s;
}

static int on_open(struct wr_conn *c)
{
    struct seen *s = wr_conn_arg(c);
    s->opens++;
    s->conn = c;
    s->id = wr_conn_id(c);
    return 0;
}

static char blob[1 << 20];

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    struct seen *s = seen_of(c);
    s->frames++;
    s->bytes += wr_view_span(v).n;
    if (s->pause_each)
        wr_conn_pause_reading(c, true);
    if (s->abort_each)
        wr_conn_abort(c);
    if (s->frame_result)
        return s->frame_result;
    if (s->flood) {
        int rc = wr_conn_send(c, wr_span(blob, s->flood));
        return rc == WR_E_HARD_LIMIT ? 0 : rc;
    }
    return s->no_echo ? 0 : wr_conn_send_view(c, v);
}

static void on_idle(struct wr_conn *c, unsigned missed)
{
    struct seen *s = seen_of(c);
    s->idles++;
    s->missed = missed;
    wr_conn_send(c, WR_LIT("ping"));
}

static void on_high(struct wr_conn *c, uint64_t queued)
{
    (void)queued;
    seen_of(c)->highs++;
}

static void on_drain(struct wr_conn *c)
{
    seen_of(c)->drains++;
}

static void on_close(struct wr_conn *c, enum wr_close why, int err)
{
    struct seen *s = wr_conn_arg(c);
    s->closes++;
    s->why = why;
    s->err = err;
}

static const struct wr_proto proto = {.on_open = on_open,
                                      .on_frame = on_frame,
                                      .on_high = on_high,
                                      .on_drain = on_drain,
                                      .on_close = on_close};
static const struct wr_proto beating = {
    .on_open = on_open, .on_frame = on_frame, .on_idle = on_idle, .on_close = on_close};
static const struct wr_codec lines = WR_CODEC_LINES(1000);
static const struct wr_codec len32 = WR_CODEC_LEN32(1 << 20);

/* One server and one connection over a socket pair. */
struct rig {
    struct conn_kit k;
    struct wr_server *server;
    struct seen seen;
    int peer;
};

static void rig_up(struct rig *r, struct wr_conn_options o)
{
    int fds[2];
    *r = (struct rig){0};
    if (conn_kit_init(&r->k, wr_heap_libc()) || !kit_pair(fds))
        exit(99);
    if (!o.proto)
        o.proto = &proto;
    o.arg = &r->seen;
    if (wr_server_open(r->k.loop, &(struct wr_server_options){.conn = o}, &r->server))
        exit(99);
    r->peer = fds[1];
    ok(wr_server_adopt(r->server, fds[0]) == 0, "adopted");
}

static void rig_down(struct rig *r, const char *what)
{
    close(r->peer);
    wr_server_close(&r->server);
    kit_turns(&r->k, 3);
    is_int(r->seen.closes, r->seen.opens, "%s: on_close as often as on_open", what);
    ok(!r->seen.late, "%s: on_close was last", what);
    conn_kit_deinit(&r->k); /* panics on a leak */
}

/* ---- frames ------------------------------------------------------------------------------------------- */

static void test_pieces(void)
{
    static const char in[] = "one\ntwo\r\nthree\nfour";
    for (size_t piece = 1; piece <= sizeof in; piece += 3) {
        struct rig r;
        char out[64];
        rig_up(&r, (struct wr_conn_options){.codec = &lines});
        for (size_t at = 0; at < sizeof in - 1; at += piece) {
            size_t n = sizeof in - 1 - at < piece ? sizeof in - 1 - at : piece;
            kit_write(&r.k, r.peer, in + at, n);
        }
        size_t n = kit_read(&r.k, r.peer, out, 14, 1000);
        ok(wr_span_eq(wr_span(out, n), WR_LIT("one\ntwo\nthree\n")), "lines in pieces of %zu",
           piece);
        is_int(r.seen.frames, 3, "the fourth is not whole");
        shutdown(r.peer, SHUT_WR);
        KIT_UNTIL(&r.k, 1000, r.seen.closes);
        is_int(r.seen.why, WR_CLOSE_PEER, "the peer closed");
        is_int(r.seen.err, WR_E_PROTO, "in the middle of a message");
        rig_down(&r, "pieces");
    }
}

static void put_len(char *p, size_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(n >> (24 - 8 * i));
}

/* Frames of all kinds of sizes through every way of keeping a leftover. */
static void test_sizes(void)
{
    static const size_t sizes[] = {0,     1,     200,   3000,   1020,   5000,  40000,
                                   70000, 20000, 65532, 300000, 900000, 16380, 7};
    static char in[2 << 20], out[2 << 20];
    size_t n = 0;
    for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++) {
        put_len(in + n, sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            in[n + 4 + j] = (char)(j * 7 + i);
        n += 4 + sizes[i];
    }
    static const size_t pieces[] = {997, 16384, 65536, 2 << 20};
    for (size_t p = 0; p < WR_ARRAY_LEN(pieces); p++) {
        struct rig r;
        rig_up(&r, (struct wr_conn_options){.codec = &len32, .frames_per_turn = 3});
        size_t got = 0;
        for (size_t at = 0; at < n; at += pieces[p]) {
            size_t m = n - at < pieces[p] ? n - at : pieces[p];
            ok(kit_write(&r.k, r.peer, in + at, m) || at > 0, "written");
            got += kit_read(&r.k, r.peer, out + got, n - got, 3);
        }
        got += kit_read(&r.k, r.peer, out + got, n - got, 3000);
        ok(got == n && memcmp(in, out, n) == 0, "all sizes come back, in pieces of %zu",
           pieces[p]);
        is_int(r.seen.frames, WR_ARRAY_LEN(sizes), "as many frames");
        rig_down(&r, "sizes");
    }
}

/* Random sizes in random pieces, every frame kept until the end: what somebody holds never changes. */
#define KEPT 300
static struct wr_bytes kept[KEPT];
static int n_kept;

static int keep_frame(struct wr_conn *c, struct wr_view v)
{
    (void)c;
    if (n_kept == KEPT || wr_view_keep(v, &kept[n_kept]))
        return WR_E_BUDGET;
    n_kept++;
    return 0;
}

static void test_kept(void)
{
    static const struct wr_proto keeping = {
        .on_open = on_open, .on_frame = keep_frame, .on_close = on_close};
    static char in[KEPT * 20010];
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct wr_rand rand;
        struct rig r;
        size_t n = 0, at = 0, sizes[KEPT];
        bool same = true;
        wr_rand_init(&rand, seed);
        for (int i = 0; i < KEPT; i++) {
            sizes[i] = wr_rand_below(&rand, wr_rand_one_in(&rand, 2) ? 300 : 20000);
            put_len(in + n, sizes[i]);
            memset(in + n + 4, i, sizes[i]);
            n += 4 + sizes[i];
        }
        n_kept = 0;
        rig_up(&r, (struct wr_conn_options){.codec = &len32, .proto = &keeping});
        while (at < n) {
            size_t m = 1 + wr_rand_below(&rand, seed % 2 ? 3000 : 100000);
            m = n - at < m ? n - at : m;
            kit_write(&r.k, r.peer, in + at, m);
            at += m;
        }
        KIT_UNTIL(&r.k, 3000, n_kept == KEPT);
        is_int(n_kept, KEPT, "seed %d: all frames", (int)seed);
        for (int i = 0; i < n_kept; i++) {
            struct wr_span s = wr_bytes_span(&kept[i]);
            same &= s.n == sizes[i];
            for (size_t j = 0; j < s.n; j++)
                same &= s.p[j] == (char)i;
            wr_bytes_drop(&kept[i]);
        }
        ok(same, "as they were sent, though kept to the end");
        rig_down(&r, "kept");
    }
}

/* Small frames, so that leftovers lie behind consumed bytes in a block of the connection's own. */
static void test_leftovers(void)
{
    static char in[600000], out[600000];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct wr_rand rand;
        struct rig r;
        size_t n = 0, at = 0, got = 0;
        wr_rand_init(&rand, seed);
        while (n < sizeof in - 5000) {
            size_t size = 1100 + wr_rand_below(&rand, 2900);
            put_len(in + n, size);
            for (size_t j = 0; j < size; j++)
                in[n + 4 + j] = (char)(n + j * 13);
            n += 4 + size;
        }
        rig_up(&r, (struct wr_conn_options){.codec = &len32});
        while (at < n) {
            size_t m = 1 + wr_rand_below(&rand, 6000);
            m = n - at < m ? n - at : m;
            kit_write(&r.k, r.peer, in + at, m);
            at += m;
            got += kit_read(&r.k, r.peer, out + got, n - got, 1);
        }
        got += kit_read(&r.k, r.peer, out + got, n - got, 3000);
        ok(got == n && memcmp(in, out, n) == 0, "seed %d: leftovers", (int)seed);
        rig_down(&r, "leftovers");
    }
}

static void test_refused(void)
{
    struct rig r;
    char out[64];
    rig_up(&r, (struct wr_conn_options){.codec = &len32});
    kit_write(&r.k, r.peer, "\0\0\0\1a\0\20\0\1", 9);
    size_t n = kit_read(&r.k, r.peer, out, sizeof out, 1000);
    is_int(n, 5, "what came before is answered, then FIN");
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_TOO_BIG, "a frame over its maximum");
    rig_down(&r, "too big");

    rig_up(&r, (struct wr_conn_options){.codec = &lines});
    r.seen.frame_result = WR_E_PROTO;
    kit_write(&r.k, r.peer, "a\nb\n", 4);
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.frames, 1, "nothing after a refused frame");
    is_int(r.seen.why, WR_CLOSE_PROTO, "closed by on_frame's error");
    rig_down(&r, "refused");
}

static void test_fairness_and_pause(void)
{
    struct rig r;
    char in[400], out[8];
    for (size_t i = 0; i < sizeof in; i += 2)
        memcpy(in + i, "x\n", 2);
    rig_up(&r, (struct wr_conn_options){.codec = &lines, .frames_per_turn = 10});
    kit_turns(&r.k, 2);
    r.seen.no_echo = true;
    if (write(r.peer, in, sizeof in) != sizeof in)
        exit(99);
    wr_loop_turn(r.k.loop, 100);
    is_int(r.seen.frames, 10, "a turn's share");
    wr_loop_turn(r.k.loop, 0);
    is_int(r.seen.frames, 20, "the next one without an edge");
    r.seen.pause_each = true;
    wr_loop_turn(r.k.loop, 0);
    kit_turns(&r.k, 3);
    is_int(r.seen.frames, 21, "paused in the middle of what was read");
    r.seen.pause_each = false;
    wr_conn_pause_reading(r.seen.conn, false);
    KIT_UNTIL(&r.k, 1000, r.seen.frames == 200);
    is_int(r.seen.frames, 200, "resumed to the last one");
    is_int(read(r.peer, out, 1), -1, "nothing was sent");
    rig_down(&r, "fairness");
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static void test_timeouts(void)
{
    struct rig r;
    rig_up(&r, (struct wr_conn_options){.codec = &lines, .handshake_ms = 20});
    kit_write(&r.k, r.peer, "half", 4);
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_HANDSHAKE, "no whole frame in time");
    rig_down(&r, "handshake");

    rig_up(&r, (struct wr_conn_options){.codec = &lines, .idle_ms = 60});
    kit_write(&r.k, r.peer, "a\n", 2);
    uint64_t from = 0; /* before the last activity, however long we are kept from going on */
    for (int i = 0; i < 10 && !r.seen.closes; i++) {
        from = kit_now_ms();
        kit_write(&r.k, r.peer, "b\n", 2);
        uint64_t until = kit_now_ms() + 10;
        KIT_UNTIL(&r.k, 1000, kit_now_ms() >= until);
    }
    is_int(r.seen.closes, 0, "activity keeps it");
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_IDLE, "then it is idle");
    ok(kit_now_ms() - from >= 40, "not before it says");
    rig_down(&r, "idle");
}

static void test_heartbeat(void)
{
    struct rig r;
    rig_up(&r,
           (struct wr_conn_options){
               .codec = &lines, .proto = &beating, .heartbeat_ms = 20, .heartbeat_miss = 2});
    kit_write(&r.k, r.peer, "a\n", 2);
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_HEARTBEAT, "dead peer");
    is_int(r.seen.idles, 2, "after as many pings");
    is_int(r.seen.missed, 2, "counted");
    rig_down(&r, "heartbeat");

    rig_up(&r, (struct wr_conn_options){.codec = &lines,
                                        .proto = &beating,
                                        .heartbeat_ms = 20,
                                        .heartbeat_miss = 2,
                                        .idle_ms = 150});
    kit_write(&r.k, r.peer, "a\n", 2);
    wr_loop_turn(r.k.loop, 5);
    r.seen.frame_result = WR_FRAME_QUIET;
    uint64_t end = kit_now_ms() + 2000;
    char buf[64];
    while (!r.seen.closes && kit_now_ms() < end) {
        if (read(r.peer, buf, sizeof buf) > 0)
            kit_write(&r.k, r.peer, "pong\n", 5);
        wr_loop_turn(r.k.loop, 5);
    }
    ok(r.seen.idles >= 3, "pinged and answered, %d times", r.seen.idles);
    is_int(r.seen.missed, 1, "never missed twice");
    is_int(r.seen.why, WR_CLOSE_IDLE, "a pong is no activity: kicked as idle");
    rig_down(&r, "idle kick");
}

/* ---- output -------------------------------------------------------------------------------------------- */

static void test_marks(void)
{
    struct rig r;
    static char out[1 << 20];
    struct wr_conn_options o = {
        .codec = &len32, .high = 100000, .low = 50000, .hard = 1500000, .write_stall_ms = 60};
    rig_up(&r, o);
    r.seen.flood = 1000000;
    kit_write(&r.k, r.peer, "\0\0\0\0", 4);
    kit_turns(&r.k, 3);
    is_int(r.seen.highs, 1, "over the high-water mark");
    is_int(r.seen.drains, 0, "not below the low one yet");
    size_t n = kit_read(&r.k, r.peer, out, 1000004, 3000);
    is_int(n, 1000004, "everything comes");
    kit_turns(&r.k, 2);
    is_int(r.seen.drains, 1, "drained, told once");
    is_int(r.seen.closes, 0, "and stands");
    kit_write(&r.k, r.peer, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_HARD_LIMIT, "over the hard limit");
    rig_down(&r, "marks");

    rig_up(&r, o);
    r.seen.flood = 1000000;
    kit_write(&r.k, r.peer, "\0\0\0\0", 4);
    KIT_UNTIL(&r.k, 2000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_WRITE_STALL, "a peer that never reads");
    rig_down(&r, "stall");
}

static void test_shutdown(void)
{
    struct rig r;
    static char out[1 << 20];
    rig_up(&r, (struct wr_conn_options){.codec = &len32});
    r.seen.flood = 1000000;
    kit_write(&r.k, r.peer, "\0\0\0\0", 4);
    KIT_UNTIL(&r.k, 1000, r.seen.frames);
    wr_conn_shutdown(r.seen.conn);
    is_int(wr_conn_send(r.seen.conn, WR_LIT("x")), WR_E_CLOSED, "nothing more is taken");
    size_t n = kit_read(&r.k, r.peer, out, sizeof out, 3000);
    is_int(n, 1000004, "everything comes before the FIN");
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_LOCAL, "closed by the program");
    rig_down(&r, "shutdown");

    rig_up(&r, (struct wr_conn_options){.codec = &len32});
    r.seen.flood = 1000000;
    kit_write(&r.k, r.peer, "\0\0\0\0", 4);
    shutdown(r.peer, SHUT_WR);
    n = kit_read(&r.k, r.peer, out, sizeof out, 3000);
    is_int(n, 1000004, "a peer that has closed its side gets its answer");
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_PEER, "closed by the peer");
    rig_down(&r, "half close");

    rig_up(&r, (struct wr_conn_options){.codec = &len32, .drain_ms = 50});
    r.seen.flood = 1000000;
    kit_write(&r.k, r.peer, "\0\0\0\0", 4);
    KIT_UNTIL(&r.k, 1000, r.seen.frames);
    wr_conn_shutdown(r.seen.conn);
    KIT_UNTIL(&r.k, 2000, r.seen.closes);
    is_int(r.seen.why, WR_CLOSE_DRAIN, "a peer that does not take the end");
    rig_down(&r, "drain");
}

static void test_abort(void)
{
    struct rig r;
    rig_up(&r, (struct wr_conn_options){.codec = &lines});
    r.seen.abort_each = true;
    kit_write(&r.k, r.peer, "a\nb\nc\n", 6);
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(r.seen.frames, 1, "nothing after an abort");
    is_int(r.seen.why, WR_CLOSE_LOCAL, "by the program");
    is_int(r.seen.err, WR_E_CANCELED, "now");
    rig_down(&r, "abort");

    rig_up(&r, (struct wr_conn_options){.codec = &lines});
    kit_turns(&r.k, 2);
    wr_conn_abort(r.seen.conn);
    is_int(r.seen.closes, 0, "on_close never comes from inside a call");
    kit_turns(&r.k, 1);
    is_int(r.seen.closes, 1, "but in this turn");
    rig_down(&r, "abort outside");
}

/* ---- scopes and ids ------------------------------------------------------------------------------------- */

static int op_why;

static void op_cancelled(struct wr_op *op, int why)
{
    (void)op;
    op_why = why;
}

static void test_scope(void)
{
    struct rig r;
    struct wr_op op = {0};
    rig_up(&r, (struct wr_conn_options){.codec = &lines});
    ok(wr_op_begin(wr_conn_scope(r.seen.conn), &op, op_cancelled) == 0, "an operation");
    shutdown(r.peer, SHUT_WR);
    KIT_UNTIL(&r.k, 1000, r.seen.closes);
    is_int(op_why, WR_E_CLOSED, "ends with its connection");
    rig_down(&r, "scope");
}

struct sender {
    struct wr_server *server;
    uint64_t id;
    struct wr_bytes message;
    int rc;
};

static void *send_from_thread(void *arg)
{
    struct sender *s = arg;
    s->rc = wr_server_send_to(s->server, s->id, &s->message);
    return NULL;
}

static void test_send_to(void)
{
    struct rig r;
    char out[16];
    pthread_t t;
    rig_up(&r, (struct wr_conn_options){.codec = &lines});
    struct sender s = {r.server, r.seen.id, WR_BYTES_LIT("news"), 1};
    pthread_create(&t, NULL, send_from_thread, &s);
    pthread_join(t, NULL);
    is_int(s.rc, 0, "posted from a thread");
    is_int(kit_read(&r.k, r.peer, out, 5, 1000), 5, "arrives");
    ok(memcmp(out, "news\n", 5) == 0, "framed");
    wr_conn_abort(r.seen.conn);
    struct wr_bytes late = WR_BYTES_LIT("late");
    is_int(wr_server_send_to(r.server, r.seen.id, &late), 0, "to a closed one");
    kit_turns(&r.k, 2);
    is_int(wr_server_stats(r.server).send_to_gone, 1, "is counted as gone");
    ok(wr_server_find(r.server, r.seen.id) == NULL, "its id finds nothing");
    rig_down(&r, "send to");
}

/* ---- listening and stopping ------------------------------------------------------------------------------- */

static int dial(struct wr_server *s)
{
    const struct wr_addr *a = wr_listener_addr(wr_server_listener(s));
    struct sockaddr_storage sa;
    socklen_t n;
    if (wr_addr_to_sockaddr(a, &sa, &n))
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)connect(fd, (struct sockaddr *)&sa, n);
    return fd;
}

static void note_stopped(struct wr_server *s, void *arg)
{
    (void)s;
    ++*(int *)arg;
}

static void test_listen(void)
{
    struct conn_kit k;
    struct wr_server *server;
    struct seen seen = {0};
    int fds[10], stopped = 0;
    char c;
    if (conn_kit_init(&k, wr_heap_libc()))
        exit(99);
    struct wr_server_options o = {
        .addr = "127.0.0.1:0", .conn = {.proto = &proto, .arg = &seen},
             .max_conns = 4
    };
    is_int(wr_server_open(k.loop, &o, &server), 0, "listens");
    for (int i = 0; i < 10; i++)
        fds[i] = dial(server);
    KIT_UNTIL(&k, 300, seen.opens > 4);
    is_int(seen.opens, 4, "at most max_conns");
    for (int i = 0; i < 10; i++) {
        ok(kit_write(&k, fds[i], "x", 1), "written");
        is_int(kit_read(&k, fds[i], &c, 1, 2000), 1, "connection %d is served", i);
        close(fds[i]);
    }
    KIT_UNTIL(&k, 1000, seen.closes == 10);
    is_int(seen.closes, 10, "every one was served and closed");
    is_int(wr_server_stats(server).links.closed[WR_CLOSE_PEER], 10, "with a reason");

    fds[0] = dial(server);
    KIT_UNTIL(&k, 1000, seen.opens == 11);
    wr_server_stop(server, 2000, note_stopped, &stopped);
    is_int(stopped, 0, "stopping takes its time");
    is_int(kit_read(&k, fds[0], &c, 1, 1000), 0, "the client sees the end");
    close(fds[0]);
    KIT_UNTIL(&k, 1000, stopped);
    is_int(stopped, 1, "stopped once");
    is_int(seen.why, WR_CLOSE_STOP, "connections know why");
    wr_server_close(&server);
    kit_turns(&k, 3);
    conn_kit_deinit(&k);
}

/* An answer to a peer that is still sending: it must not be lost to a RST. */
static void test_linger(void)
{
    struct conn_kit k;
    struct wr_server *server;
    struct seen seen = {.frame_result = 0};
    char out[16] = "";
    if (conn_kit_init(&k, wr_heap_libc()))
        exit(99);
    struct wr_server_options o = {
        .addr = "127.0.0.1:0", .conn = {.proto = &proto, .codec = &lines, .arg = &seen}
    };
    is_int(wr_server_open(k.loop, &o, &server), 0, "listens");
    int fd = dial(server);
    KIT_UNTIL(&k, 1000, seen.opens);
    kit_write(&k, fd, "sorry\n", 6);
    KIT_UNTIL(&k, 1000, seen.frames);
    if (write(fd, blob, 100000) < 0) /* nobody will read it */
        exit(99);
    wr_conn_shutdown(seen.conn);
    KIT_UNTIL(&k, 1000, seen.closes);
    kit_turns(&k, 2);
    is_int(write(fd, blob, 1000), 1000, "the peer goes on sending");
    kit_turns(&k, 2);
    is_int(kit_read(&k, fd, out, sizeof out, 1000), 6, "and finds the answer");
    is_int(read(fd, out, 1), 0, "and then the end");
    close(fd);
    wr_server_close(&server);
    kit_turns(&k, 3);
    conn_kit_deinit(&k);
}

static void test_stop_cuts(void)
{
    struct rig r;
    int stopped = 0;
    rig_up(&r, (struct wr_conn_options){.codec = &len32});
    r.seen.flood = 1000000;
    kit_write(&r.k, r.peer, "\0\0\0\0", 4);
    uint64_t from = kit_now_ms();
    wr_server_stop(r.server, 50, note_stopped, &stopped);
    KIT_UNTIL(&r.k, 2000, stopped);
    ok(kit_now_ms() - from < 1000, "cut after the grace");
    is_int(r.seen.closes, 1, "closed");
    rig_down(&r, "stop");
}

/* One that is handed over while the server stops is served once, and does not keep it from stopping. */
static void test_stop_adopts(void)
{
    struct rig r;
    int stopped = 0, fds[2];
    char out[8];
    rig_up(&r, (struct wr_conn_options){.codec = &lines});
    wr_server_stop(r.server, 50, note_stopped, &stopped);
    if (!kit_pair(fds) || write(fds[1], "late\n", 5) != 5)
        exit(99);
    r.seen.closes = 0;
    ok(wr_server_adopt(r.server, fds[0]) == 0, "adopted while stopping");
    is_int(kit_read(&r.k, fds[1], out, 5, 1000), 5, "what it had sent is answered");
    KIT_UNTIL(&r.k, 2000, stopped);
    is_int(stopped, 1, "stopped, once");
    is_int(wr_server_stats(r.server).links.closed[WR_CLOSE_STOP], 2, "both with the reason");
    close(fds[1]);
    rig_down(&r, "stop");
}

/* What a connection costs that has said something and is now silent: everything counted. */
static void test_idle_memory(void)
{
    enum {
        CONNS = 400
    };
    static int peers[CONNS];
    struct conn_kit k;
    struct wr_server *server;
    struct wr_heap_counting counting;
    struct seen seen = {.no_echo = false};
    char out[8];
    wr_heap_counting_init(&counting, wr_heap_libc());
    if (conn_kit_init(&k, &counting.heap))
        exit(99);
    struct wr_server_options o = {
        .conn = {.proto = &proto, .codec = &lines, .arg = &seen, .heartbeat_ms = 60000}
    };
    is_int(wr_server_open(k.loop, &o, &server), 0, "a server");
    size_t pages = 0, bytes = 0;
    for (int i = 0; i < CONNS; i++) {
        int fds[2];
        if (i == CONNS / 2) { /* half of them warm the pools, the other half is measured */
            pages = k.budget.used;
            bytes = counting.bytes;
        }
        if (!kit_pair(fds) || wr_server_adopt(server, fds[0]))
            exit(99);
        peers[i] = fds[1];
        kit_write(&k, fds[1], "hi\nha", 5);
        kit_read(&k, fds[1], out, 3, 1000);
        kit_write(&k, fds[1], "\n", 1);
        kit_read(&k, fds[1], out, 3, 1000);
    }
    kit_turns(&k, 3);
    size_t heap = counting.bytes > bytes ? counting.bytes - bytes : 0;
    size_t each = (k.budget.used - pages) / (CONNS / 2);
    printf("# idle: %zu bytes of pages, %zu of the heap, each\n", each, heap / (CONNS / 2));
    ok(WR_ASAN || each + 32 <= 512, "with two table entries, at most 512: %zu", each + 32);
    ok(wr_loop_blocks(k.loop)->live <= 2, "and owns no block: there are the shared ones");
    for (int i = 0; i < CONNS; i++)
        close(peers[i]);
    KIT_UNTIL(&k, 1000, seen.closes == CONNS);
    wr_server_close(&server);
    kit_turns(&k, 3);
    conn_kit_deinit(&k);
    is_int(counting.bytes, 0, "everything is given back");
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

/* One little life; true when it went through to its end. */
static bool one_life(const struct wr_heap *heap)
{
    struct conn_kit k;
    struct wr_server *server = NULL;
    struct seen seen = {0};
    char out[32];
    int fds[2];
    bool good = false;
    if (conn_kit_init(&k, heap))
        return false;
    struct wr_server_options o = {
        .addr = "127.0.0.1:0", .conn = {.codec = &lines, .proto = &proto, .arg = &seen}
    };
    if (wr_server_open(k.loop, &o, &server) == 0 && kit_pair(fds)) {
        if (wr_server_adopt(server, fds[0]) == 0) {
            struct wr_bytes b = WR_BYTES_LIT("to you");
            good = kit_write(&k, fds[1], "ha", 2) && kit_write(&k, fds[1], "lf\n", 3) &&
                   kit_read(&k, fds[1], out, 5, 100) == 5;
            if (seen.conn && !seen.closes)
                good &= wr_conn_scope(seen.conn) != NULL;
            good &= wr_server_send_to(server, seen.id, &b) == 0 &&
                    kit_read(&k, fds[1], out, 7, 100) == 7;
        }
        close(fds[1]);
    }
    kit_turns(&k, 2);
    wr_server_close(&server);
    kit_turns(&k, 3);
    if (seen.closes != seen.opens)
        printf("# %d opens, %d closes\n", seen.opens, seen.closes);
    good &= seen.closes == seen.opens;
    conn_kit_deinit(&k);
    return good;
}

static void test_refused_memory(void)
{
    uint64_t n = 1;
    for (;; n++) {
        struct wr_heap_failing failing;
        wr_heap_failing_init(&failing, wr_heap_libc(), n, 0, 0);
        bool good = one_life(&failing.heap);
        if (!failing.fault.refused) {
            ok(good, "went through when nothing was refused");
            break;
        }
    }
    ok(n > 5, "each of %d allocations was refused once", (int)n - 1);
}

int main(void)
{
    test_pieces();
    test_sizes();
    test_kept();
    test_leftovers();
    test_refused();
    test_fairness_and_pause();
    test_timeouts();
    test_heartbeat();
    test_marks();
    test_shutdown();
    test_abort();
    test_scope();
    test_send_to();
    test_listen();
    test_linger();
    test_stop_cuts();
    test_stop_adopts();
    test_idle_memory();
    test_refused_memory();
    return tap_done();
}
