/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/relay.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/mem_budget.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/os/os.h"

#include <errno.h>

#define IDLE_MS      60000u
#define SPLICE_BYTES (64u << 10)

/*
 * One direction:
 *
 *   reading --full reads, plain--> splicing --dry--> reading
 *      |  \__ not all taken: `kept` holds the rest until it has left
 *      | FIN read, nothing in flight
 *      v
 *   closing --FIN written--> ended
 */
struct direction {
    struct wr_relay *relay;
    struct wr_stream *from, *to;
    struct wr_io *from_io;
    uint64_t *delivered;
    char *kept; /* from the heap, kept_size of it; bytes at to kept_end are in flight */
    size_t kept_size, kept_at, kept_end;
    int pipe[2]; /* -1: none */
    size_t piped;
    bool bulk; /* the last read came in full */
    bool ended;
};

struct wr_relay {
    struct wr_loop *loop;
    struct wr_op op;
    struct wr_io a_io, b_io;
    struct wr_stream a_own, b_own; /* of wr_relay_start_fds */
    struct wr_stream *a, *b;
    struct direction ab, ba;
    struct wr_deadline idle;
    struct wr_relay_options options;
    struct wr_relay_stats stats;
    struct wr_free_later later;
    wr_relay_fn *fn;
    void *arg;
    bool over;
};

/* ---- what a direction holds ------------------------------------------------------------------------ */

static void drop_kept(struct direction *d)
{
    struct wr_budget *budget = wr_loop_budget(d->relay->loop);
    if (!d->kept)
        return;
    wr_heap_free(wr_loop_heap(d->relay->loop), d->kept, d->kept_size);
    if (budget)
        wr_budget_release(budget, d->kept_size);
    d->kept = NULL;
    d->kept_size = d->kept_at = d->kept_end = 0;
}

static int keep(struct direction *d, const char *p, size_t n)
{
    struct wr_budget *budget = wr_loop_budget(d->relay->loop);
    int err = budget ? wr_budget_charge(budget, n) : 0;
    if (err)
        return err;
    d->kept = wr_heap_alloc(wr_loop_heap(d->relay->loop), n);
    if (!d->kept) {
        if (budget)
            wr_budget_release(budget, n);
        return -ENOMEM;
    }
    memcpy(d->kept, p, n);
    d->kept_size = d->kept_end = n;
    d->kept_at = 0;
    return 0;
}

static void drop_pipe(struct direction *d)
{
    for (int i = 0; i < 2; i++) {
        if (d->pipe[i] >= 0)
            (void)wr_os_close(d->pipe[i]);
        d->pipe[i] = -1;
    }
    d->piped = 0;
}

/* ---- moving ------------------------------------------------------------------------------------------ */

static void delivered(struct direction *d, size_t n)
{
    *d->delivered += n;
    wr_deadline_touch(&d->relay->idle, wr_loop_now_ms(d->relay->loop));
}

/* Each step returns bytes moved, 0 for "nothing to do but wait", or the error. */
static ssize_t write_kept(struct direction *d)
{
    ssize_t n = wr_stream_write(d->to, d->kept + d->kept_at, d->kept_end - d->kept_at);
    if (n == -EAGAIN)
        d->to->writable = false; /* whatever the stream waits for: not now */
    if (n < 0)
        return n == -EAGAIN ? 0 : n;
    delivered(d, (size_t)n);
    d->kept_at += (size_t)n;
    if (d->kept_at == d->kept_end)
        drop_kept(d);
    return n;
}

static ssize_t write_pipe(struct direction *d)
{
    ssize_t n = wr_os_splice(d->pipe[0], d->to->fd, d->piped, 0);
    if (n == -EAGAIN) {
        d->to->writable = false;
        return 0;
    }
    if (n <= 0)
        return n ? n : -EIO;
    d->to->bytes_out += (uint64_t)n;
    d->relay->stats.splices++;
    delivered(d, (size_t)n);
    d->piped -= (size_t)n;
    return n;
}

static ssize_t read_copy(struct direction *d)
{
    char *scratch = wr_loop_scratch(d->relay->loop);
    ssize_t n = wr_stream_read(d->from, scratch, WR_LOOP_SCRATCH);
    if (n == -EAGAIN)
        d->from->readable = false;
    if (n <= 0)
        return n == -EAGAIN ? 0 : n;
    d->bulk = (size_t)n == WR_LOOP_SCRATCH;
    d->relay->stats.copies++;
    ssize_t put = d->to->writable ? wr_stream_write(d->to, scratch, (size_t)n) : 0;
    if (put == -EAGAIN)
        put = 0;
    if (put < 0)
        return put;
    delivered(d, (size_t)put);
    int err = put < n ? keep(d, scratch + put, (size_t)(n - put)) : 0;
    return err ? err : n;
}

static ssize_t read_splice(struct direction *d)
{
    ssize_t n = wr_os_splice(d->from->fd, d->pipe[1], SPLICE_BYTES, 0);
    if (n > 0) {
        d->from->bytes_in += (uint64_t)n;
        d->piped = (size_t)n;
        return n;
    }
    drop_pipe(d);
    d->bulk = false;
    if (n == -EAGAIN)
        d->from->readable = false;
    else if (n == 0)
        d->from->eof = true;
    return n == -EAGAIN ? 0 : n;
}

static bool may_splice(struct direction *d)
{
    if (!d->bulk || d->relay->options.no_splice || !d->from->ops->plain || !d->to->ops->plain)
        return false;
    if (d->pipe[0] < 0 && wr_os_pipe(d->pipe, 0) != 0) {
        d->pipe[0] = d->pipe[1] = -1; /* out of descriptors: copying needs none */
        return false;
    }
    return true;
}

static int carry_fin(struct direction *d)
{
    int err = wr_stream_shutdown(d->to);
    if (err == -EAGAIN)
        return 0;
    if (err && err != -ENOTCONN)
        return err;
    d->ended = true;
    wr_deadline_touch(&d->relay->idle, wr_loop_now_ms(d->relay->loop));
    wr_deadline_set_limit(&d->relay->idle, d->relay->options.half_close_ms);
    return 0;
}

/* Moves until one side must be waited for or the turn's share is used up. */
static int pump(struct direction *d)
{
    size_t moved = 0;
    while (!d->ended) {
        bool in_flight = d->kept || d->piped;
        ssize_t n;
        if (in_flight || d->from->eof) {
            if (!d->to->writable)
                return 0;
            if (!in_flight)
                return carry_fin(d);
            n = d->kept ? write_kept(d) : write_pipe(d);
        } else {
            if (!d->from->readable)
                break;
            if (moved >= WR_IO_TURN_BYTES) {
                wr_io_again(d->from_io, EPOLLIN);
                break;
            }
            n = may_splice(d) ? read_splice(d) : read_copy(d);
            moved += n > 0 ? (size_t)n : 0;
        }
        if (n < 0)
            return (int)n;
    }
    if (!d->kept && !d->piped)
        drop_pipe(d);
    return 0;
}

/* ---- beginning and ending ------------------------------------------------------------------------------ */

static void free_relay(struct wr_free_later *f)
{
    struct wr_relay *r = wr_container_of(f, struct wr_relay, later);
    wr_heap_free(wr_loop_heap(r->loop), r, sizeof *r);
}

static void end(struct wr_relay *r, int err)
{
    if (r->over)
        return;
    r->over = true;
    wr_deadline_stop(&r->idle);
    drop_kept(&r->ab);
    drop_kept(&r->ba);
    drop_pipe(&r->ab);
    drop_pipe(&r->ba);
    r->stats.a_fin = r->a->eof;
    r->stats.b_fin = r->b->eof;
    wr_stream_deinit(r->a);
    wr_stream_deinit(r->b);
    wr_io_close(&r->a_io);
    wr_io_close(&r->b_io);
    (void)wr_op_end(&r->op);
    wr_loop_free_later(r->loop, &r->later, free_relay);
    r->fn(r->arg, err, &r->stats);
}

static void on_cancel(struct wr_op *op, int why)
{
    end(wr_container_of(op, struct wr_relay, op), why);
}

static void on_idle(struct wr_deadline *d)
{
    end(wr_container_of(d, struct wr_relay, idle), WR_E_IDLE);
}

/* What a stream holds back when nothing more follows: there is no write that takes it along. */
static int flush_held(struct wr_relay *r, struct wr_stream *s)
{
    uint32_t held = s->held;
    if (!held || !s->writable)
        return 0;
    int err = wr_stream_flush(s);
    if (s->held < held)
        wr_deadline_touch(&r->idle, wr_loop_now_ms(r->loop));
    return err == -EAGAIN ? 0 : err;
}

static void step(struct wr_relay *r)
{
    int err = pump(&r->ab);
    if (!err)
        err = pump(&r->ba);
    if (!err)
        err = flush_held(r, r->a);
    if (!err)
        err = flush_held(r, r->b);
    if (err || (r->ab.ended && r->ba.ended))
        end(r, err);
}

static void on_a(struct wr_io *io, uint32_t events)
{
    struct wr_relay *r = wr_container_of(io, struct wr_relay, a_io);
    wr_stream_events(r->a, events);
    step(r);
}

static void on_b(struct wr_io *io, uint32_t events)
{
    struct wr_relay *r = wr_container_of(io, struct wr_relay, b_io);
    wr_stream_events(r->b, events);
    step(r);
}

static void init_direction(struct direction *d, struct wr_relay *r, struct wr_stream *from,
                           struct wr_io *from_io, struct wr_stream *to, uint64_t *delivered_)
{
    *d = (struct direction){
        .relay = r,
        .from = from,
        .to = to,
        .from_io = from_io,
        .delivered = delivered_,
        .pipe = {-1, -1}
    };
}

static int begin(struct wr_relay *r, struct wr_scope *scope)
{
    int err = 0;
    if (r->options.first_to_b.n)
        err = keep(&r->ab, r->options.first_to_b.p, r->options.first_to_b.n);
    if (!err && r->options.first_to_a.n)
        err = keep(&r->ba, r->options.first_to_a.p, r->options.first_to_a.n);
    if (!err)
        err = wr_op_begin(scope, &r->op, on_cancel);
    if (!err)
        err = wr_io_open(r->loop, &r->a_io, r->a->fd, WR_IO_EDGE, on_a);
    if (!err)
        err = wr_io_open(r->loop, &r->b_io, r->b->fd, WR_IO_EDGE, on_b);
    if (!err)
        return 0;
    if (wr_io_is_open(&r->a_io))
        (void)!wr_io_detach(&r->a_io);
    (void)wr_op_end(&r->op);
    drop_kept(&r->ab);
    drop_kept(&r->ba);
    return err;
}

static int start(struct wr_relay *r, struct wr_scope *scope, struct wr_stream *a,
                 struct wr_stream *b, const struct wr_relay_options *options)
{
    r->a = a;
    r->b = b;
    if (options)
        r->options = *options;
    if (!r->options.idle_timeout_ms)
        r->options.idle_timeout_ms = IDLE_MS;
    if (!r->options.half_close_ms)
        r->options.half_close_ms = r->options.idle_timeout_ms;
    init_direction(&r->ab, r, a, &r->a_io, b, &r->stats.a_to_b);
    init_direction(&r->ba, r, b, &r->b_io, a, &r->stats.b_to_a);
    int err = begin(r, scope);
    if (err)
        return err;
    r->options.first_to_a = r->options.first_to_b = (struct wr_span){0};
    r->idle.fn = on_idle;
    wr_deadline_start(&r->idle, wr_loop_wheel(r->loop), wr_loop_now_ms(r->loop),
                      r->options.idle_timeout_ms);
    wr_io_again(&r->a_io, 0); /* the streams may hold bytes that no edge will announce */
    return 0;
}

static struct wr_relay *new_relay(struct wr_scope *scope, wr_relay_fn *fn, void *arg)
{
    struct wr_loop *loop = wr_scope_loop(scope);
    struct wr_relay *r = wr_heap_zalloc(wr_loop_heap(loop), sizeof *r);
    if (!r)
        return NULL;
    r->loop = loop;
    r->fn = fn;
    r->arg = arg;
    return r;
}

/* Starts it or frees it. */
static int launch(struct wr_relay *r, struct wr_scope *scope, struct wr_stream *a,
                  struct wr_stream *b, const struct wr_relay_options *options,
                  struct wr_relay **out)
{
    int err = start(r, scope, a, b, options);
    if (err)
        wr_heap_free(wr_loop_heap(r->loop), r, sizeof *r);
    else if (out)
        *out = r;
    return err;
}

int wr_relay_start(struct wr_scope *scope, struct wr_stream *a, struct wr_stream *b,
                   const struct wr_relay_options *options, wr_relay_fn *fn, void *arg,
                   struct wr_relay **out)
{
    struct wr_relay *r = new_relay(scope, fn, arg);
    return r ? launch(r, scope, a, b, options, out) : -ENOMEM;
}

int wr_relay_start_fds(struct wr_scope *scope, int a_fd, int b_fd,
                       const struct wr_relay_options *options, wr_relay_fn *fn, void *arg,
                       struct wr_relay **out)
{
    struct wr_relay *r = new_relay(scope, fn, arg);
    if (!r)
        return -ENOMEM;
    wr_stream_init(&r->a_own, a_fd);
    wr_stream_init(&r->b_own, b_fd);
    return launch(r, scope, &r->a_own, &r->b_own, options, out);
}

const struct wr_relay_stats *wr_relay_stats(const struct wr_relay *r)
{
    return &r->stats;
}
