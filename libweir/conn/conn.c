/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/conn.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/mutant.h"
#include "libweir/conn/conn_group.h"
#include "libweir/io/addr.h"

#include <errno.h>

#define SHARED_BLOCK ((size_t)64 << 10) /* what one read takes at most */
#define PREPEND_MAX \
    ((size_t)1 << 10) /* a leftover so small is copied in front of the next read */
#define STEAL_MIN ((size_t)16 << 10) /* a leftover so large takes the shared block with it */
#define SEND_COPY ((size_t)4 << 10)  /* views up to here are copied, larger ones kept */
#define SEND_JOIN ((size_t)512)      /* messages up to here are put in one piece */

struct wr_conn {
    struct wr_link link;
    /* private; every byte counts, see WR_CONN_BYTES */
    union {
        struct {
            uint64_t frame_ms, bytes_ms; /* latest activity, latest sign of life */
        };
        struct wr_free_later later; /* when it is closed */
    };
    uint64_t beat_ms; /* latest on_idle; before the first frame: when it was opened */
    struct wr_codec_scan scan;
    struct wr_block *in; /* what has come and is not consumed: in_len bytes from in_at on */
    uint32_t in_at, in_len;
    struct wr_scope *scope;
    uint32_t missed;
    bool greeted, high, backlog; /* backlog: `in` may hold a whole frame */
    _Alignas(16) char user[];
};
_Static_assert(sizeof(struct wr_conn) <= WR_CONN_BYTES, "an idle connection's memory");

static struct wr_conn_group *group_of(const struct wr_conn *c)
{
    return wr_container_of(c->link.group, struct wr_conn_group, links);
}

struct wr_conn *wr_conn_of(struct wr_link *l)
{
    return wr_container_of(l, struct wr_conn, link);
}

struct wr_link *wr_conn_link(struct wr_conn *c)
{
    return &c->link;
}

static uint64_t now_ms(const struct wr_conn *c)
{
    return wr_loop_now_ms(c->link.group->loop);
}

/* ---- the group ------------------------------------------------------------------------------------ */

static const struct wr_link_ops link_ops;

static void or_default(uint32_t *v, uint32_t def)
{
    if (!*v)
        *v = def;
}

static void fill_defaults(struct wr_conn_options *o, bool client)
{
    static const struct wr_proto nothing;
    if (!o->proto)
        o->proto = &nothing;
    or_default(&o->handshake_ms, 10000);
    or_default(&o->idle_ms, client ? 600000 : 60000);
    or_default(&o->heartbeat_ms, o->proto->on_idle ? 10000 : WR_FOREVER);
    or_default(&o->heartbeat_miss, 3);
    or_default(&o->frames_per_turn, 256);
    if (!o->high)
        o->high = (uint64_t)1 << 20;
    if (!o->low)
        o->low = o->high / 4;
    if (!o->hard)
        o->hard = o->high > (uint64_t)4 << 20 ? 2 * o->high : (uint64_t)8 << 20;
}

int wr_conn_group_init(struct wr_conn_group *g, struct wr_loop *loop,
                       const struct wr_conn_options *options, uint32_t max,
                       struct wr_scope *scope, bool client)
{
    *g = (struct wr_conn_group){.options = *options, .scope = scope, .client = client};
    struct wr_conn_options *o = &g->options;
    fill_defaults(o, client);
    if (o->codec)
        g->codec = *o->codec;
    int rc = wr_codec_check(&g->codec);
    if (rc)
        return rc;
    if (o->low > o->high || o->high > o->hard || o->user_size > WR_POOL_MAX_SIZE / 2 ||
        wr_codec_max(&g->codec) > WR_BLOCK_MAX - WR_CODEC_HEAD_MAX)
        return WR_E_RANGE;
    g->links = (struct wr_link_group){
        .ops = &link_ops,
        .hard_limit = o->hard,
        .stall_ms = o->write_stall_ms,
        .drain_ms = o->drain_ms,
        .linger_ms = o->linger_ms,
        .max_links = max,
        .scope = scope,
    };
    rc = wr_link_group_init(&g->links, loop);
    if (rc)
        return rc;
    wr_pool_init(&g->pool, wr_loop_mem(loop), wr_loop_budget(loop), "conn",
                 sizeof(struct wr_conn) + o->user_size);
    return 0;
}

static void group_gone(struct wr_free_later *f)
{
    struct wr_conn_group *g = wr_container_of(f, struct wr_conn_group, later);
    wr_block_drop(&g->shared);
    wr_link_group_deinit(&g->links);
    wr_pool_deinit(&g->pool);
    g->gone(g);
}

static void group_look(struct wr_conn_group *g)
{
    if (g->closing && g->live == 0 && !g->told) {
        g->told = true;
        wr_loop_free_later(g->links.loop, &g->later, group_gone);
    }
}

void wr_conn_group_close(struct wr_conn_group *g, enum wr_close why, int err)
{
    uint32_t cursor = 0;
    g->closing = true;
    for (struct wr_link *l; (l = wr_link_next(&g->links, &cursor));)
        wr_link_close(l, why, err);
    group_look(g);
}

/* ---- life ------------------------------------------------------------------------------------------ */

static void drop_input(struct wr_conn *c)
{
    wr_block_drop(&c->in);
    c->in_at = c->in_len = 0;
    c->backlog = false;
}

static void conn_free(struct wr_free_later *f)
{
    struct wr_conn *c = wr_container_of(f, struct wr_conn, later);
    struct wr_conn_group *g = group_of(c);
    wr_pool_put(&g->pool, c);
    g->live--;
    group_look(g);
}

static void drop_scope(struct wr_conn *c)
{
    if (!c->scope)
        return;
    wr_scope_cancel(c->scope, WR_E_CLOSED);
    wr_scope_deinit(c->scope);
    wr_heap_free(wr_loop_heap(c->link.group->loop), c->scope, sizeof *c->scope);
    c->scope = NULL;
}

static void on_closed(struct wr_link *l, enum wr_close why, int err)
{
    struct wr_conn *c = wr_conn_of(l);
    struct wr_conn_group *g = group_of(c);
    drop_scope(c);
    drop_input(c);
    if (g->options.proto->on_close)
        g->options.proto->on_close(c, why, err);
    if (g->on_closed)
        g->on_closed(g, c);
    wr_loop_free_later(g->links.loop, &c->later, conn_free);
}

int wr_conn_new(struct wr_conn_group *g, int fd, struct wr_conn **out_conn)
{
    const struct wr_proto *p = g->options.proto;
    struct wr_conn *c = g->closing ? NULL : wr_pool_zget(&g->pool);
    int rc = c ? 0 : g->closing ? WR_E_CLOSED : -ENOMEM;
    if (c) {
        c->greeted = g->client || g->options.handshake_ms == WR_FOREVER;
        c->frame_ms = c->bytes_ms = c->beat_ms = wr_loop_now_ms(g->links.loop);
        rc = wr_link_open(&g->links, &c->link, fd);
        if (rc)
            wr_pool_put(&g->pool, c);
    }
    if (rc) {
        struct wr_stream s;
        wr_stream_init(&s, fd);
        wr_stream_close(&s);
        return rc;
    }
    g->live++;
    *out_conn = c;
    rc = p->on_open ? p->on_open(c) : 0;
    if (rc < 0)
        wr_link_finish(&c->link, wr_close_of(rc), rc);
    else if (g->reading)
        wr_link_again(&c->link); /* the shared block is in use by whoever called */
    else
        wr_link_ready(&c->link);
    return 0;
}

/* ---- deadlines ------------------------------------------------------------------------------------- */

static uint64_t after(uint64_t from_ms, uint32_t limit_ms)
{
    return limit_ms == WR_FOREVER ? UINT64_MAX : from_ms + limit_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The heartbeat's next interval ends; counts it if it is over. */
static uint64_t beat_time(struct wr_conn *c, uint64_t now)
{
    const struct wr_conn_options *o = &group_of(c)->options;
    uint64_t since = c->bytes_ms > c->beat_ms ? c->bytes_ms : c->beat_ms;
    uint64_t due = after(since, o->heartbeat_ms);
    if (due > now)
        return due;
    c->beat_ms = now;
    if (++c->missed > o->heartbeat_miss)
        wr_link_close(&c->link, WR_CLOSE_HEARTBEAT, WR_E_HEARTBEAT);
    else if (o->proto->on_idle)
        o->proto->on_idle(c, c->missed);
    return after(now, o->heartbeat_ms);
}

static uint64_t on_time(struct wr_link *l, uint64_t now)
{
    struct wr_conn *c = wr_conn_of(l);
    const struct wr_conn_options *o = &group_of(c)->options;
    if (l->paused) /* the silence is ours */
        c->frame_ms = c->bytes_ms = now;
    if (!c->greeted) {
        uint64_t due = after(c->beat_ms, o->handshake_ms);
        if (due <= now)
            wr_link_close(l, WR_CLOSE_HANDSHAKE, WR_E_DEADLINE);
        return due;
    }
    uint64_t idle = after(c->frame_ms, o->idle_ms);
    if (idle <= now) {
        wr_link_finish(l, WR_CLOSE_IDLE, WR_E_IDLE);
        return UINT64_MAX;
    }
    return earlier(idle, beat_time(c, now));
}

/* ---- input ------------------------------------------------------------------------------------------ */

/* Bytes to be looked at: len from at on. */
struct region {
    struct wr_block *block;
    size_t at, len;
    bool shared; /* the group's block, not the connection's own */
};

static int give_frame(struct wr_conn *c, struct wr_block *b, const char *p, size_t n)
{
    struct wr_conn_group *g = group_of(c);
    const struct wr_proto *proto = g->options.proto;
    int rc = 0;
    g->frames_in++;
    if (!c->greeted) {
        c->greeted = true;
        wr_link_wake_by(&c->link, after(now_ms(c), g->options.heartbeat_ms));
        wr_link_wake_by(&c->link, after(now_ms(c), g->options.idle_ms));
    }
    if (proto->on_frame) {
        struct wr_view v = wr_view_lend(b, p, n);
        rc = proto->on_frame(c, v);
        wr_view_end(&v);
    }
    if (rc != WR_FRAME_QUIET)
        c->frame_ms = now_ms(c);
    if (rc < 0)
        wr_link_finish(&c->link, wr_close_of(rc), rc);
    return rc;
}

/* Hands over whole frames while it may; what is left stays in *r. Returns how many bytes the next
 * frame needs to be whole, 0 when that is not known yet. */
static size_t take_frames(struct wr_conn *c, struct region *r, uint32_t *budget)
{
    struct wr_conn_group *g = group_of(c);
    struct wr_frame f;
    while (r->len && *budget && wr_link_is_open(&c->link) && !c->link.paused) {
        const char *p = r->block->data + r->at;
        switch (wr_codec_next(&g->codec, &c->scan, wr_span(p, r->len), &f)) {
        case WR_CODEC_MORE:
            c->backlog = false;
            return f.total;
        case WR_CODEC_BAD:
            wr_link_finish(&c->link, wr_close_of(f.err), f.err);
            return 0;
        case WR_CODEC_FRAME:
            r->at += f.total;
            r->len -= f.total;
            --*budget;
            (void)give_frame(c, r->block, p + f.at, f.n);
            break;
        }
    }
    c->backlog = r->len > 0;
    return 0;
}

/* Keeps what take_frames left. */
static int keep_rest(struct wr_conn *c, const struct region *r)
{
    struct wr_conn_group *g = group_of(c);
    if (r->len == 0 || !wr_link_is_open(&c->link)) {
        drop_input(c);
        return 0;
    }
    if (r->shared && r->len >= STEAL_MIN) {
        wr_block_drop(&c->in);
        c->in = r->block;
        c->in_at = (uint32_t)r->at;
        g->shared = NULL;
    } else if (r->shared) {
        if (!c->in || !wr_block_writable(c->in) || c->in->size < r->len) {
            struct wr_block *b;
            int rc = wr_block_take(wr_loop_blocks(g->links.loop), NULL, r->len, &b);
            if (rc)
                return rc;
            wr_block_drop(&c->in);
            c->in = b;
        }
        memcpy(wr_block_open(c->in), r->block->data + r->at, r->len);
        c->in_at = 0;
    } else {
        c->in_at = (uint32_t)r->at;
    }
    c->in_len = (uint32_t)r->len;
    return 0;
}

/* The group's block, ours alone to write. */
static int shared_block(struct wr_conn_group *g, struct wr_block **out)
{
    bool reckless = g->shared && WR_MUTANT("write-into-kept-block");
    if (g->shared && !wr_block_writable(g->shared) && !reckless)
        wr_block_drop(&g->shared);
    if (!g->shared) {
        int rc = wr_block_take(wr_loop_blocks(g->links.loop), NULL, SHARED_BLOCK, &g->shared);
        if (rc)
            return rc;
    }
    if (!reckless)
        (void)wr_block_open(g->shared); /* what was lent from it is dead from here on */
    *out = g->shared;
    return 0;
}

/* Room behind the leftover in the connection's own block. It grows with what has come, not with what
 * was announced: a header alone makes nobody a debtor of megabytes. */
static int own_room(struct wr_conn *c, size_t need)
{
    size_t want = need < 4 * (size_t)c->in_len ? need : 4 * (size_t)c->in_len;
    if (want < c->in_len + (size_t)1)
        want = c->in_len + (size_t)1;
    bool writable = wr_block_writable(c->in);
    if (writable)
        (void)wr_block_open(c->in);
    if (writable && c->in_at + want <= c->in->size)
        return 0;
    if (writable && want <= c->in->size) {
        memmove(c->in->data, c->in->data + c->in_at, c->in_len);
        c->in_at = 0;
        return 0;
    }
    struct wr_block *b;
    int rc = wr_block_take(wr_loop_blocks(c->link.group->loop), NULL, want, &b);
    if (rc)
        return rc;
    memcpy(b->data, c->in->data + c->in_at, c->in_len);
    wr_block_drop(&c->in);
    c->in = b;
    c->in_at = 0;
    return 0;
}

/* One read, behind the leftover if there is one. Bytes, 0, -EAGAIN or an error. */
static ssize_t fill(struct wr_conn *c, size_t need, struct region *r)
{
    ssize_t n;
    if (c->in_len <= PREPEND_MAX && need <= SHARED_BLOCK / 2) {
        int rc = shared_block(group_of(c), &r->block);
        if (rc)
            return rc;
        if (c->in_len)
            memcpy(r->block->data, c->in->data + c->in_at, c->in_len);
        *r = (struct region){r->block, 0, c->in_len, true};
    } else {
        int rc = own_room(c, need);
        if (rc)
            return rc;
        *r = (struct region){c->in, c->in_at, c->in_len, false};
    }
    size_t end = r->at + r->len;
    n = wr_link_read(&c->link, r->block->data + end, r->block->size - end);
    if (n > 0) {
        r->len += (size_t)n;
        c->bytes_ms = now_ms(c);
        c->missed = 0;
    }
    return n;
}

/* What to do when fill brought no bytes. */
static void no_bytes(struct wr_conn *c, int err)
{
    if (err == -EAGAIN)
        return;
    if (err == 0)
        wr_link_finish(&c->link, WR_CLOSE_PEER, c->in_len ? WR_E_PROTO : 0);
    else
        wr_link_close(&c->link, wr_close_of(err), err);
    drop_input(c);
}

static void take_turn(struct wr_conn *c)
{
    struct wr_conn_group *g = group_of(c);
    uint32_t frames = g->options.frames_per_turn;
    size_t bytes = 0, need = 0;
    struct region r = {0};
    for (unsigned calls = 0;; calls++) {
        if (!c->backlog) {
            if (calls == WR_IO_TURN_CALLS || bytes >= WR_IO_TURN_BYTES)
                break;
            ssize_t n = fill(c, need, &r);
            if (n <= 0) {
                no_bytes(c, (int)n);
                return;
            }
            bytes += (size_t)n;
        } else {
            r = (struct region){c->in, c->in_at, c->in_len, false};
        }
        need = take_frames(c, &r, &frames);
        int rc = keep_rest(c, &r);
        if (rc)
            wr_link_close(&c->link, wr_close_of(rc), rc);
        if (!wr_link_is_open(&c->link) || c->link.paused)
            return;
        if (!frames)
            break;
    }
    wr_link_again(&c->link);
}

static void on_ready(struct wr_link *l)
{
    struct wr_conn *c = wr_conn_of(l);
    struct wr_conn_group *g = group_of(c);
    g->reading = true;
    take_turn(c);
    g->reading = false;
}

/* ---- output ----------------------------------------------------------------------------------------- */

static void on_flushed(struct wr_link *l)
{
    struct wr_conn *c = wr_conn_of(l);
    const struct wr_conn_options *o = &group_of(c)->options;
    uint64_t queued = wr_link_queued(l);
    if (!c->high && queued > o->high) {
        c->high = true;
        if (o->proto->on_high)
            o->proto->on_high(c, queued);
    } else if (c->high && queued <= o->low) {
        c->high = false;
        if (o->proto->on_drain)
            o->proto->on_drain(c);
    }
}

static int put_joined(struct wr_conn *c, const struct wr_wrap *w, struct wr_span body)
{
    char joined[SEND_JOIN];
    memcpy(joined, w->head, w->head_n);
    if (body.n)
        memcpy(joined + w->head_n, body.p, body.n);
    memcpy(joined + w->head_n + body.n, w->tail, w->tail_n);
    return wr_link_put_copy(&c->link, joined, w->head_n + body.n + w->tail_n);
}

/* The body by reference when take is given, else copied. */
static int put_parts(struct wr_conn *c, const struct wr_wrap *w, struct wr_span body,
                     struct wr_bytes *take)
{
    int rc = w->head_n ? wr_link_put_copy(&c->link, w->head, w->head_n) : 0;
    if (rc == 0 && take) {
        struct wr_bytes part = wr_bytes_sub(take, w->skip, body.n);
        rc = wr_link_put_bytes(&c->link, &part);
        wr_bytes_drop(&part);
    } else if (rc == 0) {
        rc = wr_link_put_copy(&c->link, body.p, body.n);
    }
    return rc == 0 && w->tail_n ? wr_link_put_copy(&c->link, w->tail, w->tail_n) : rc;
}

static int send_message(struct wr_conn *c, struct wr_span message, struct wr_bytes *take)
{
    struct wr_conn_group *g = group_of(c);
    struct wr_wrap w;
    if (!wr_link_is_open(&c->link))
        return WR_E_CLOSED;
    int rc = wr_codec_wrap(&g->codec, message, &w);
    if (rc)
        return rc;
    struct wr_span body = wr_span_sub(message, w.skip, SIZE_MAX);
    size_t total = w.head_n + body.n + w.tail_n;
    if (total == 0)
        return 0;
    if (wr_link_queued(&c->link) + total > g->options.hard)
        rc = WR_E_HARD_LIMIT; /* known before a part of the message is queued */
    else if (total <= SEND_JOIN)
        rc = put_joined(c, &w, body);
    else
        rc = put_parts(c, &w, body, take);
    if (rc) {
        /* A part of the message may be queued: the stream has no next message. */
        wr_link_close(&c->link, wr_close_of(rc), rc);
        return rc;
    }
    g->frames_out++;
    return wr_link_queued(&c->link) > g->options.high ? 1 : 0;
}

int wr_conn_send(struct wr_conn *c, struct wr_span message)
{
    return send_message(c, message, NULL);
}

int wr_conn_send_view(struct wr_conn *c, struct wr_view message)
{
    struct wr_span s = wr_view_span(message);
    struct wr_bytes kept;
    if (s.n <= SEND_COPY || wr_view_keep(message, &kept))
        return send_message(c, s, NULL);
    return wr_conn_send_bytes(c, &kept);
}

int wr_conn_send_bytes(struct wr_conn *c, struct wr_bytes *take_message)
{
    struct wr_span s = wr_bytes_span(take_message);
    int rc = send_message(c, s, s.n > SEND_COPY ? take_message : NULL);
    wr_bytes_drop(take_message);
    return rc;
}

/* ---- the rest ---------------------------------------------------------------------------------------- */

static const struct wr_link_ops link_ops = {
    .on_ready = on_ready,
    .on_flushed = on_flushed,
    .on_time = on_time,
    .on_closed = on_closed,
};

void *wr_conn_user(struct wr_conn *c)
{
    return c->user;
}

void *wr_conn_arg(const struct wr_conn *c)
{
    return group_of(c)->options.arg;
}

uint64_t wr_conn_id(const struct wr_conn *c)
{
    return c->link.id;
}

struct wr_loop *wr_conn_loop(const struct wr_conn *c)
{
    return c->link.group->loop;
}

int wr_conn_peer(const struct wr_conn *c, struct wr_addr *out_addr)
{
    if (c->link.state == WR_LINK_CLOSED)
        return WR_E_CLOSED;
    return wr_addr_of_peer(wr_link_fd(&c->link), out_addr);
}

uint64_t wr_conn_queued(const struct wr_conn *c)
{
    return c->link.state == WR_LINK_CLOSED ? 0 : wr_link_queued(&c->link);
}

struct wr_scope *wr_conn_scope(struct wr_conn *c)
{
    struct wr_conn_group *g = group_of(c);
    if (!c->scope && c->link.state != WR_LINK_CLOSED) {
        c->scope = wr_heap_alloc(wr_loop_heap(g->links.loop), sizeof *c->scope);
        if (c->scope)
            wr_scope_init(c->scope, g->links.loop, g->scope, 0);
    }
    return c->scope;
}

void wr_conn_pause_reading(struct wr_conn *c, bool pause)
{
    if (!pause && c->link.paused)
        c->frame_ms = c->bytes_ms = now_ms(c);
    wr_link_pause(&c->link, pause);
}

void wr_conn_finish(struct wr_conn *c, enum wr_close why, int err)
{
    wr_link_finish(&c->link, why, err);
}

void wr_conn_shutdown(struct wr_conn *c)
{
    wr_link_finish(&c->link, WR_CLOSE_LOCAL, 0);
}

void wr_conn_abort(struct wr_conn *c)
{
    wr_link_close(&c->link, WR_CLOSE_LOCAL, WR_E_CANCELED);
}
