/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/request_private.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"

#include <errno.h>

/*
 * The end of the chain: pieces become writes on the connection, which copies memory, references blocks and sends
 * files by sendfile. limit_rate holds pieces back in a queue that a timer empties; files that a thread must read
 * (direct.c) stand in it too, and what comes behind them.
 */

#define RATE_TICK_MS 100
#define HELD_MIN     ((size_t)256)

/* ---- pieces --------------------------------------------------------------------------------------------------------- */

uint64_t web_piece_len(const struct web_piece *p)
{
    if (p->kind == WEB_MEM)
        return p->mem.n;
    return p->kind == WEB_BYTES ? p->bytes.n : p->len;
}

struct web_piece *web_piece_mem(struct web_req *r, struct wr_span mem, bool last)
{
    struct web_piece *p = wr_arena_alloc(r->arena, sizeof(*p));
    if (p)
        *p = (struct web_piece){.kind = WEB_MEM, .mem = mem, .last = last};
    return p;
}

struct web_piece *web_piece_file(struct web_req *r, struct web_file *file, uint64_t off,
                                 uint64_t len, bool last)
{
    struct web_piece *p = wr_arena_alloc(r->arena, sizeof(*p));
    if (p)
        *p = (struct web_piece){.kind = WEB_FILE_RANGE,
                                .file = web_file_ref(file),
                                .off = off,
                                .len = len,
                                .last = last};
    return p;
}

void web_piece_drop(struct web_piece *p)
{
    if (p->kind == WEB_BYTES)
        wr_bytes_drop(&p->bytes);
    if (p->kind == WEB_FILE_RANGE)
        web_file_unref(&p->file);
    p->kind = WEB_MEM;
    p->mem = (struct wr_span){0};
}

struct web_file *web_file_ref(struct web_file *f)
{
    f->refs++;
    return f;
}

void web_file_unref(struct web_file **f)
{
    struct web_file *file = *f;
    *f = NULL;
    if (file && --file->refs == 0 && file->gone)
        file->gone(file);
}

/* Twofold, so that pieces that grow by and by do not each take new room. */
static bool make_room(struct top *t, struct held *h, size_t n)
{
    size_t room_n = h->room_n ? h->room_n : HELD_MIN;
    if (n <= h->room_n)
        return true;
    while (room_n < n)
        room_n *= 2;
    h->room = wr_arena_alloc(&t->arena, room_n);
    h->room_n = h->room ? room_n : 0;
    return h->room != NULL;
}

struct held *held_new(struct top *t, struct web_piece *piece)
{
    struct held *h = t->spare;
    bool copied = piece->kind == WEB_MEM && piece->mem.n;
    if (h)
        t->spare = h->next;
    else if (!(h = wr_arena_zalloc(&t->arena, sizeof(*h))))
        return NULL;
    if (copied && !make_room(t, h, piece->mem.n)) {
        held_done(t, h);
        return NULL;
    }
    h->next = NULL;
    h->piece = *piece;
    h->piece.next = NULL;
    if (copied) {
        memcpy(h->room, piece->mem.p, piece->mem.n);
        h->piece.mem.p = h->room;
    } else {
        piece->kind = WEB_MEM; /* what it owned has moved */
        piece->mem = (struct wr_span){0};
    }
    return h;
}

void held_done(struct top *t, struct held *h)
{
    h->next = t->spare;
    t->spare = h;
}

void held_drop(struct held *h)
{
    if (!h->sub)
        web_piece_drop(&h->piece);
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void file_sent(void *arg, int fd)
{
    struct web_file *f = arg;
    (void)fd;
    web_file_unref(&f);
}

#define COPY_MIN 512U
#define COPY_MAX (1U << 20)

/* output_buffers: how much of a file is read at a time, and written at a time. */
static void set_buffers(const struct core_location *c, struct wr_outq_file *range)
{
    uint64_t size = c->output_buffers.size < COPY_MAX ? c->output_buffers.size : COPY_MAX;
    uint64_t n = c->output_buffers.n;
    size = size > COPY_MIN ? size : COPY_MIN;
    uint64_t most = COPY_MAX / size;
    range->read_bytes = (uint32_t)size;
    range->copy_bytes = (uint32_t)(size * (n < most ? n : most));
    range->copied = !c->sendfile;
}

static int write_file(struct top *t, struct web_piece *p)
{
    struct wr_http_req *http = t->q.r.http;
    if (p->file->memory.p)
        return wr_http_write(http, wr_span_sub(p->file->memory, p->off, p->len));
    struct wr_outq_file range = {.fd = p->file->fd,
                                 .offset = p->off,
                                 .len = p->len,
                                 .release = file_sent,
                                 .arg = web_file_ref(p->file)};
    set_buffers(core_of(t->active->r.location), &range);
    return wr_http_write_file(http, &range);
}

/* 0, 1: above the high mark, negative: gone. */
static int write_piece(struct top *t, struct web_piece *p)
{
    struct wr_http_req *http = t->q.r.http;
    uint64_t n = web_piece_len(p);
    int rc = 0;
    t->q.r.body_bytes += n;
    if (n == 0)
        rc = 0;
    else if (p->kind == WEB_MEM)
        rc = wr_http_write(http, p->mem);
    else if (p->kind == WEB_BYTES)
        rc = wr_http_write_bytes(http, &p->bytes);
    else
        rc = write_file(t, p);
    return rc;
}

static int pump(struct top *t);

static void on_room(struct wr_http_req *http, void *arg)
{
    struct top *t = arg;
    (void)http;
    web_enter(t);
    t->clogged = false;
    if (t->queue && !t->gone && !t->cut)
        (void)pump(t);
    if (!t->gone && !t->cut)
        request_post(t->active, POST_DRAIN);
    web_leave(t);
}

static void clogged(struct top *t)
{
    t->clogged = true;
    if (!t->drain_wanted)
        wr_http_on_drain(t->q.r.http, on_room, t);
    t->drain_wanted = true;
}

static void complete(struct top *t)
{
    t->complete = true;
    t->q.finish_rc = WEB_DONE;
    request_post(&t->q, POST_FINISH);
}

static int put(struct top *t, struct web_piece *p)
{
    bool last = p->last;
    int rc = t->q.r.header_only ? 0 : write_piece(t, p);
    web_piece_drop(p);
    if (rc < 0) {
        if (!t->gone)
            request_cut(t);
        return rc;
    }
    if (rc > 0)
        clogged(t);
    if (last)
        complete(t);
    return 0;
}

/* ---- limit_rate ------------------------------------------------------------------------------------------------------- */

/* What may go out by now. */
static uint64_t allowance(const struct top *t)
{
    uint64_t ms = wr_loop_now_ms(t->worker->loop) - t->rate_began_ms + 1000, may;
    if (!t->rate)
        return UINT64_MAX;
    if (__builtin_mul_overflow(t->rate, ms, &may))
        return UINT64_MAX;
    may = may / 1000 + t->rate_free;
    return may > t->rate_sent ? may - t->rate_sent : 0;
}

/* The front of a piece, n bytes of it; the rest stays. */
static struct web_piece cut_front(struct web_piece *p, uint64_t n)
{
    struct web_piece front = *p;
    front.last = false;
    if (p->kind == WEB_MEM) {
        front.mem.n = n;
        p->mem = wr_span_sub(p->mem, n, p->mem.n);
    } else if (p->kind == WEB_BYTES) {
        front.bytes = wr_bytes_sub(&p->bytes, 0, n);
        struct wr_bytes rest = wr_bytes_sub(&p->bytes, n, p->bytes.n);
        wr_bytes_drop(&p->bytes);
        p->bytes = rest;
    } else {
        front.file = web_file_ref(p->file);
        front.len = n;
        p->off += n;
        p->len -= n;
    }
    return front;
}

static int take_front(struct top *t)
{
    struct held *h = t->queue;
    t->queue = h->next;
    if (!t->queue)
        t->queue_tail = &t->queue;
    int rc = put(t, &h->piece);
    held_done(t, h);
    return rc;
}

/* What a thread has read of the piece in front. */
void sink_direct_done(struct top *t, struct wr_span bytes)
{
    struct web_piece *p = &t->queue->piece;
    int rc = wr_http_write(t->q.r.http, bytes);
    if (rc < 0) {
        if (!t->gone)
            request_cut(t);
        return;
    }
    t->q.r.body_bytes += bytes.n;
    t->rate_sent += bytes.n;
    p->off += bytes.n;
    p->len -= bytes.n;
    if (rc > 0)
        clogged(t);
    if (p->len == 0)
        (void)take_front(t);
}

/* The reading is over: what is behind may go out. */
void sink_direct_go_on(struct top *t)
{
    if (!t->gone && !t->cut && pump(t) == 0 && !t->queue && !t->gone)
        request_post(t->active, POST_DRAIN);
}

static int pump(struct top *t)
{
    while (t->queue && !t->clogged && !t->reading) {
        struct held *h = t->queue;
        uint64_t n = web_piece_len(&h->piece), may = allowance(t);
        if (may && direct_wanted(t, &h->piece)) {
            int rc = direct_read(t, &h->piece, n < may ? n : may);
            if (rc == -EAGAIN)
                break;
            if (rc) {
                request_cut(t);
                return rc;
            }
            continue;
        }
        if (n > may) {
            if (may) {
                struct web_piece front = cut_front(&h->piece, may);
                t->rate_sent += may;
                int rc = put(t, &front);
                if (rc < 0)
                    return rc;
            }
            break;
        }
        t->rate_sent += n;
        int rc = take_front(t);
        if (rc < 0)
            return rc;
    }
    if (t->queue) {
        wr_http_touch(t->q.r.http);
        wr_loop_timer_arm(t->worker->loop, &t->rate_timer, RATE_TICK_MS);
    }
    return 0;
}

static void on_rate(struct wr_timer *timer)
{
    struct top *t = wr_container_of(timer, struct top, rate_timer);
    web_enter(t);
    sink_direct_go_on(t);
    web_leave(t);
}

static uint64_t rate_value(struct web_req *r, uint64_t own, const struct web_value *v)
{
    struct wr_span text;
    uint64_t n = 0;
    if (own)
        return own;
    if (v->text.n == 1 && v->text.p[0] == '0')
        return 0;
    if (web_value_eval(r, v, &text) || conf_read_size(text, &n))
        return 0;
    return n;
}

void sink_begin(struct top *t)
{
    struct web_req *r = &t->q.r;
    const struct core_location *c = core_of(r->location);
    t->rate = rate_value(r, r->limit_rate, &c->limit_rate);
    t->rate_timer.fn = on_rate;
    if (!t->rate)
        return;
    t->rate_free = rate_value(r, r->limit_rate_after, &c->limit_rate_after);
    t->rate_began_ms = wr_loop_now_ms(t->worker->loop);
}

/* ---- the chain's end ---------------------------------------------------------------------------------------------------- */

static int hold(struct top *t, struct web_piece *p)
{
    struct held *h = held_new(t, p);
    if (!h) {
        web_piece_drop(p);
        request_cut(t);
        return -ENOMEM;
    }
    *t->queue_tail = h;
    t->queue_tail = &h->next;
    return 0;
}

int sink_take(struct top *t, struct web_piece *pieces)
{
    for (struct web_piece *p = pieces, *next; p; p = next) {
        next = p->next;
        if (t->gone || t->cut || t->complete) {
            web_piece_drop(p);
            continue;
        }
        int rc = t->rate || t->queue || direct_wanted(t, p) ? hold(t, p) : put(t, p);
        if (rc < 0) {
            for (p = next; p; p = next) {
                next = p->next;
                web_piece_drop(p);
            }
            return rc;
        }
    }
    if (t->gone || t->cut)
        return WR_E_CLOSED;
    if (t->queue && pump(t) < 0)
        return WR_E_CLOSED;
    return t->clogged || t->queue ? 1 : 0;
}

void sink_drop(struct top *t)
{
    for (struct held *h = t->queue; h; h = h->next)
        held_drop(h);
    t->queue = NULL;
    t->queue_tail = &t->queue;
}
