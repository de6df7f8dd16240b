/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/link.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "tests/conn_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

/* ---- a link that does what the test says when it is ready ------------------------------------------- */

struct owner {
    struct wr_link link;
    void (*act)(struct owner *o, const char *p, size_t n);
    struct owner *other; /* opened inside act */
    int other_fd;
    unsigned readies, flushes, times, closes;
    uint64_t left; /* queued at the latest flush */
    enum wr_close why;
    int rc;
};

static struct owner *owner_of(struct wr_link *l)
{
    return wr_container_of(l, struct owner, link);
}

static void on_ready(struct wr_link *l)
{
    struct owner *o = owner_of(l);
    char in[4096];
    o->readies++;
    ssize_t n = wr_link_read(l, in, sizeof in);
    if (n > 0)
        o->act(o, in, (size_t)n);
    else if (n != -EAGAIN)
        wr_link_close(l, wr_close_of((int)n), (int)n);
}

static void on_flushed(struct wr_link *l)
{
    owner_of(l)->flushes++;
    owner_of(l)->left = wr_link_queued(l);
}

static uint64_t on_time(struct wr_link *l, uint64_t now_ms)
{
    owner_of(l)->times++;
    return now_ms + 60000;
}

static void on_closed(struct wr_link *l, enum wr_close why, int err)
{
    (void)err;
    owner_of(l)->closes++;
    owner_of(l)->why = why;
}

static const struct wr_link_ops ops = {on_ready, on_flushed, on_time, on_closed};

/* A link over one end of a pair; what it sends comes to the other end message by message. */
struct rig {
    struct conn_kit k;
    struct wr_link_group g;
    struct owner o;
    int peer;
};

static int rig_up(struct rig *r, const struct wr_heap *heap, uint64_t hard)
{
    int fds[2];
    *r = (struct rig){
        .g = {.ops = &ops, .hard_limit = hard},
          .peer = -1
    };
    int rc = conn_kit_init(&r->k, heap);
    if (rc)
        return rc;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        exit(99);
    r->peer = fds[1];
    rc = wr_link_group_init(&r->g, r->k.loop);
    if (!rc)
        rc = wr_link_open(&r->g, &r->o.link, fds[0]);
    if (rc)
        close(fds[0]);
    return rc;
}

static void rig_down(struct rig *r)
{
    if (r->g.loop) {
        wr_link_close(&r->o.link, WR_CLOSE_LOCAL, 0);
        kit_turns(&r->k, 2);
        wr_link_group_deinit(&r->g);
    }
    if (r->k.loop)
        conn_kit_deinit(&r->k);
    if (r->peer >= 0)
        close(r->peer);
}

static void poke(struct rig *r, void (*act)(struct owner *o, const char *p, size_t n))
{
    r->o.act = act;
    if (send(r->peer, "x", 1, MSG_NOSIGNAL) != 1)
        exit(99);
    kit_turns(&r->k, 2);
}

/* The next message at the peer; its length, 0 at the end, -1 when there is none. */
static ssize_t next_message(const struct rig *r, char *p, size_t n)
{
    return recv(r->peer, p, n, MSG_DONTWAIT);
}

/* ---- what is gathered ----------------------------------------------------------------------------------- */

static int put(struct owner *o, const char *text)
{
    int rc = wr_link_put_copy(&o->link, text, strlen(text));
    o->rc = o->rc ? o->rc : rc;
    return rc;
}

static void put_three(struct owner *o, const char *p, size_t n)
{
    (void)p;
    (void)n;
    if (put(o, "one ") == 0 && put(o, "two ") == 0)
        (void)put(o, "three");
}

static void test_gather(void)
{
    struct rig r;
    char got[64];
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    poke(&r, put_three);
    is_int(next_message(&r, got, sizeof got), 13, "three puts, one send");
    ok(memcmp(got, "one two three", 13) == 0, "in order");
    is_int(r.o.flushes, 1, "flushed once");
    is_int(r.o.left, 0, "nothing left");
    ok(!r.o.link.out && r.g.outqs.stats.got == 0, "no queue was made");
    is_int(r.o.times, 1, "the deadlines were looked at once");
    put_three(&r.o, NULL, 0);
    is_int(wr_link_queued(&r.o.link), 13, "outside of on_ready output is queued");
    ok(next_message(&r, got, sizeof got) < 0, "and not sent");
    kit_turns(&r.k, 1);
    is_int(next_message(&r, got, sizeof got), 13, "but at the end of the turn");
    ok(!r.o.link.out && r.g.outqs.stats.live == 0, "then there is no queue any more");
    rig_down(&r);
}

static char big[40000];

/* A link that wants little of each turn leaves the rest for the next ones. */
static void test_turns(void)
{
    struct rig r;
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    wr_link_set_turn_bytes(&r.o.link, 8000);
    is_int(wr_link_put_copy(&r.o.link, big, sizeof big), 0, "40,000 bytes are put");
    kit_turns(&r.k, 1);
    is_int(wr_link_queued(&r.o.link), sizeof big - 8192, "two pages go out in a turn");
    kit_turns(&r.k, 1);
    is_int(wr_link_queued(&r.o.link), sizeof big - 2 * 8192, "and two in the next");
    wr_link_set_turn_bytes(&r.o.link, UINT32_MAX);
    kit_turns(&r.k, 1);
    is_int(wr_link_queued(&r.o.link), 0, "without such a limit the rest at once");
    rig_down(&r);
}

/* Gathered, by reference, gathered: the queue takes over what was gathered before. */
static void put_mixed(struct owner *o, const char *p, size_t n)
{
    (void)p;
    (void)n;
    struct wr_bytes bytes;
    if (put(o, "before ") == 0 &&
        wr_bytes_copy(wr_loop_blocks(o->link.group->loop), WR_LIT("between "), &bytes) == 0) {
        o->rc = wr_link_put_bytes(&o->link, &bytes);
        wr_bytes_drop(&bytes);
    }
    (void)put(o, "after");
}

static void put_big(struct owner *o, const char *p, size_t n)
{
    (void)p;
    (void)n;
    (void)put(o, "head ");
    o->rc = wr_link_put_copy(&o->link, big, sizeof big);
}

static void test_overflow(void)
{
    struct rig r;
    static char got[sizeof big + 64];
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    poke(&r, put_mixed);
    is_int(next_message(&r, got, sizeof got), 20, "all three in one message");
    ok(memcmp(got, "before between after", 20) == 0, "in order");
    poke(&r, put_big);
    is_int(next_message(&r, got, sizeof got), (long)sizeof big + 5, "more than is gathered");
    ok(memcmp(got, "head ", 5) == 0 && r.o.rc == 0, "begins with its head");
    rig_down(&r);
    ok(rig_up(&r, wr_heap_libc(), 20000) == 0, "a link with a limit");
    poke(&r, put_big);
    is_int(r.o.rc, WR_E_HARD_LIMIT, "what was gathered counts for the limit");
    is_int(r.o.why, WR_CLOSE_HARD_LIMIT, "which closes it");
    is_int(r.o.closes, 1, "once");
    rig_down(&r);
}

/* ---- a socket that is full ------------------------------------------------------------------------------ */

static void test_full(void)
{
    struct rig r;
    static char got[64];
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    for (int i = 0; i < 10000 && !r.o.link.out; i++)
        poke(&r, put_three);
    is_int(r.o.left, 13, "what the full socket did not take is queued");
    ok(wr_link_is_open(&r.o.link), "and the link stands");
    poke(&r, put_three);
    is_int(wr_link_queued(&r.o.link), 26, "behind it the next");
    unsigned messages = 0;
    ssize_t bytes = 0;
    for (int i = 0; i < 20; i++) {
        for (ssize_t n; (n = next_message(&r, got, sizeof got)) > 0; messages++)
            bytes += n;
        kit_turns(&r.k, 1);
    }
    is_int(bytes, r.o.readies * 13L, "all of it comes");
    ok(!r.o.link.out && r.o.left == 0, "the queue is gone");
    rig_down(&r);
}

/* ---- a stream that holds bytes back ------------------------------------------------------------------ */

/* As TLS does: what it has taken goes out with a flush, or on the way when somebody reads in vain. */
static bool stuck;

static ssize_t held_readv(struct wr_stream *s, const struct iovec *v, int n)
{
    char x;
    (void)v;
    (void)n;
    (void)!recv(s->fd, &x, 1, MSG_DONTWAIT);
    s->held = 0;
    s->readable = false;
    return -EAGAIN;
}

static ssize_t held_writev(struct wr_stream *s, const struct iovec *v, int n, bool more)
{
    size_t sum = 0;
    (void)more;
    for (int i = 0; i < n; i++)
        sum += v[i].iov_len;
    s->held += (uint32_t)sum;
    s->writable = false;
    return (ssize_t)sum;
}

static int held_flush(struct wr_stream *s)
{
    if (stuck)
        s->writable = false;
    else
        s->held = 0;
    return s->held ? -EAGAIN : 0;
}

static void test_held(void)
{
    static const struct wr_stream_ops held = {
        .name = "held", .readv = held_readv, .writev = held_writev, .flush = held_flush};
    struct rig r;
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    kit_turns(&r.k, 2);
    r.o.link.stream.ops = &held;
    stuck = true;
    put_three(&r.o, NULL, 0);
    kit_turns(&r.k, 1);
    is_int(r.o.left, 13, "its stream holds what was put");
    unsigned flushes = r.o.flushes;
    poke(&r, put_three);
    is_int(wr_link_queued(&r.o.link), 0, "and lets it go while it reads");
    ok(r.o.flushes == flushes + 1 && r.o.left == 0, "the owner is told");
    ok(!r.o.link.waiting, "and nothing counts as stalled");
    rig_down(&r);
}

/* ---- ends -------------------------------------------------------------------------------------------------- */

static void put_and_close(struct owner *o, const char *p, size_t n)
{
    put_three(o, p, n);
    wr_link_close(&o->link, WR_CLOSE_LOCAL, 0);
    is_int(o->closes, 0, "on_closed does not come from inside");
}

static void put_and_finish(struct owner *o, const char *p, size_t n)
{
    put_three(o, p, n);
    wr_link_finish(&o->link, WR_CLOSE_PROTO, WR_E_PROTO);
}

static void test_ends(void)
{
    struct rig r;
    char got[64];
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    poke(&r, put_and_close);
    is_int(r.o.closes, 1, "closed with output: the end");
    ok(next_message(&r, got, sizeof got) <= 0, "the output is lost");
    rig_down(&r);
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    poke(&r, put_and_finish);
    is_int(next_message(&r, got, sizeof got), 13, "finished with output: it is sent");
    is_int(next_message(&r, got, sizeof got), 0, "and FIN behind it");
    is_int(r.o.why, WR_CLOSE_PROTO, "the reason stands");
    rig_down(&r);
    ok(rig_up(&r, wr_heap_libc(), 0) == 0, "a link");
    r.o.act = put_and_close;
    ok(send(r.peer, "x", 1, 0) == 1, "a request before the first turn");
    wr_link_ready(&r.o.link);
    kit_turns(&r.k, 1);
    is_int(r.o.times, 0, "closed in the turn of its birth: no deadline");
    is_int(r.o.closes, 1, "and its end");
    rig_down(&r);
}

/* ---- one inside another ------------------------------------------------------------------------------------ */

static void open_other(struct owner *o, const char *p, size_t n)
{
    struct owner *other = o->other;
    (void)put(o, "outer ");
    other->act = put_three;
    other->rc = wr_link_open(o->link.group, &other->link, o->other_fd);
    if (other->rc == 0)
        wr_link_ready(&other->link);
    else
        close(o->other_fd);
    (void)put(o, "still outer");
    (void)p;
    (void)n;
}

static void test_nested(void)
{
    struct rig r;
    struct owner other = {0};
    char got[64];
    int fds[2];
    ok(rig_up(&r, wr_heap_libc(), 0) == 0 && kit_pair(fds), "a link and a pair");
    r.o.other = &other;
    r.o.other_fd = fds[0];
    ok(send(fds[1], "y", 1, 0) == 1, "the inner one has something to read");
    poke(&r, open_other);
    is_int(next_message(&r, got, sizeof got), 17, "the outer one's output");
    ok(memcmp(got, "outer still outer", 17) == 0, "is its own");
    is_int(recv(fds[1], got, sizeof got, 0), 13, "the inner one's output");
    ok(memcmp(got, "one two three", 13) == 0, "is its own");
    wr_link_close(&other.link, WR_CLOSE_LOCAL, 0);
    rig_down(&r);
    is_int(other.closes, 1, "closed");
    close(fds[1]);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct rig r;
    (void)arg;
    int rc = rig_up(&r, heap, 0);
    if (rc == 0) {
        poke(&r, put_mixed);
        rc = r.o.rc;
    }
    rig_down(&r);
    return rc;
}

int main(void)
{
    test_gather();
    test_turns();
    test_overflow();
    test_full();
    test_held();
    test_ends();
    test_nested();
    nth_every("a link", scenario, NULL);
    return tap_done();
}
