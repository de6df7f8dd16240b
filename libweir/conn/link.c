/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/link.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/io/linger.h"
#include "libweir/io/sock.h"

#include <errno.h>
#include <sys/epoll.h>

#define HARD_LIMIT ((uint64_t)8 << 20)
#define STALL_MS   30000U
#define DRAIN_MS   60000U
#define GATHER     ((size_t)16 << 10) /* output of one on_ready that goes out without a queue */

/* ---- reasons ------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *text;
} reasons[] = {
#define X(name, text, meaning) {text, meaning},
#include "libweir/conn/close.def"
#undef X
};

const char *wr_close_name(enum wr_close why)
{
    return why < WR_CLOSES ? reasons[why].name : "?";
}

const char *wr_close_text(enum wr_close why)
{
    return why < WR_CLOSES ? reasons[why].text : "?";
}

enum wr_close wr_close_of(int err)
{
    switch (err) {
    case 0:
        return WR_CLOSE_PEER;
    case -ECONNRESET:
    case -EPIPE:
    case -ETIMEDOUT:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
        return WR_CLOSE_RESET;
    case WR_E_PROTO:
        return WR_CLOSE_PROTO;
    case WR_E_TOO_BIG:
        return WR_CLOSE_TOO_BIG;
    case WR_E_HARD_LIMIT:
        return WR_CLOSE_HARD_LIMIT;
    case WR_E_BUDGET:
    case -ENOMEM:
        return WR_CLOSE_MEMORY;
    case WR_E_CANCELED:
    case WR_E_CLOSED:
        return WR_CLOSE_LOCAL;
    case WR_E_STOPPED:
        return WR_CLOSE_STOP;
    case WR_E_IDLE:
        return WR_CLOSE_IDLE;
    case WR_E_HEARTBEAT:
        return WR_CLOSE_HEARTBEAT;
    case WR_E_WRITE_STALL:
        return WR_CLOSE_WRITE_STALL;
    case WR_E_DEADLINE:
        return WR_CLOSE_TIMEOUT;
    default:
        return WR_CLOSE_ERROR;
    }
}

/* ---- group --------------------------------------------------------------------------------------- */

int wr_link_group_init(struct wr_link_group *g, struct wr_loop *loop)
{
    WR_ASSERT(g->ops && g->ops->on_ready && g->ops->on_time && g->ops->on_closed);
    g->loop = loop;
    if (!g->hard_limit)
        g->hard_limit = HARD_LIMIT;
    if (!g->stall_ms)
        g->stall_ms = STALL_MS;
    if (!g->drain_ms)
        g->drain_ms = DRAIN_MS;
    if (g->scope && wr_scope_why(g->scope))
        return wr_scope_why(g->scope);
    wr_slots_init(&g->links, wr_loop_heap(loop), g->max_links);
    wr_scope_init(&g->lingering, loop, g->scope, 0);
    wr_pool_init(&g->outqs, wr_loop_mem(loop), wr_loop_budget(loop), "outq",
                 sizeof(struct wr_outq));
    return 0;
}

void wr_link_group_deinit(struct wr_link_group *g)
{
    WR_ASSERT(wr_link_group_idle(g));
    wr_block_drop(&g->gather);
    wr_pool_deinit(&g->outqs);
    wr_scope_deinit(&g->lingering);
    wr_slots_deinit(&g->links);
}

bool wr_link_group_idle(const struct wr_link_group *g)
{
    return wr_slots_count(&g->links) == 0 && g->undelivered == 0;
}

struct wr_link *wr_link_find(const struct wr_link_group *g, uint64_t id)
{
    return wr_slots_get(&g->links, id);
}

struct wr_link *wr_link_next(const struct wr_link_group *g, uint32_t *cursor)
{
    return wr_slots_next(&g->links, cursor);
}

/* ---- the timer ----------------------------------------------------------------------------------- */

static uint64_t limit_at(uint64_t from_ms, uint32_t limit_ms)
{
    return limit_ms == WR_FOREVER ? UINT64_MAX : from_ms + limit_ms;
}

void wr_link_wake_by(struct wr_link *l, uint64_t due_ms)
{
    if (l->state == WR_LINK_CLOSED || due_ms == UINT64_MAX || !l->registered)
        return;
    if (!wr_timer_armed(&l->timer) || due_ms < l->timer.due_ms)
        wr_wheel_arm(wr_loop_wheel(l->group->loop), &l->timer, due_ms);
}

static void look_at_time(struct wr_link *l)
{
    struct wr_link_group *g = l->group;
    uint64_t now = wr_loop_now_ms(g->loop);
    if (l->waiting) {
        uint64_t stall = limit_at(l->sent_ms, l->stall_ms);
        if (stall <= now) {
            wr_link_close(l, WR_CLOSE_WRITE_STALL, WR_E_WRITE_STALL);
            return;
        }
        wr_link_wake_by(l, stall);
    }
    if (l->state == WR_LINK_OPEN) {
        wr_link_wake_by(l, g->ops->on_time(l, now));
        return;
    }
    uint64_t drain = limit_at(l->finish_ms, g->drain_ms);
    if (drain <= now)
        wr_link_close(l, WR_CLOSE_DRAIN, WR_E_DEADLINE);
    else
        wr_link_wake_by(l, drain);
}

static void on_timer(struct wr_timer *t)
{
    look_at_time(wr_container_of(t, struct wr_link, timer));
}

/* ---- life ----------------------------------------------------------------------------------------- */

static void on_turn_end(struct wr_task *t);

int wr_link_open(struct wr_link_group *g, struct wr_link *l, int fd)
{
    *l = (struct wr_link){.group = g, .stall_ms = g->stall_ms, .linger_ms = g->linger_ms};
    int rc = wr_slots_add(&g->links, l, &l->id);
    if (rc)
        return rc;
    wr_stream_init(&l->stream, fd);
    wr_task_init(&l->task, on_turn_end);
    l->timer.fn = on_timer;
    l->state = WR_LINK_OPEN;
    g->stats.opened++;
    wr_loop_at_turn_end(g->loop, &l->task);
    return 0;
}

int wr_link_start_tls(struct wr_link *l, struct ssl_ctx_st *ctx,
                      const struct wr_tls_options *options, struct wr_span seen)
{
    bool hang_up = l->stream.hang_up;
    WR_ASSERT(l->state == WR_LINK_OPEN && !wr_link_queued(l));
    int err = wr_tls_stream_init(&l->stream, l->stream.fd, ctx, l->group->loop, options, seen);
    l->stream.hang_up = hang_up;
    return err;
}

void wr_link_set_stall(struct wr_link *l, uint32_t stall_ms)
{
    l->stall_ms = stall_ms;
    if (l->waiting)
        wr_link_wake_by(l, limit_at(l->sent_ms, stall_ms));
}

void wr_link_set_turn_bytes(struct wr_link *l, uint32_t bytes)
{
    bool less = bytes > 0 && bytes < WR_IO_TURN_BYTES;
    l->turn_pages = less ? (uint8_t)((bytes + 4095) / 4096) : 0;
}

void wr_link_set_linger(struct wr_link *l, uint32_t linger_ms, uint32_t idle_ms)
{
    l->linger_ms = linger_ms;
    l->linger_idle_ms = idle_ms;
}

/* The link leaves the world; only on_closed is left to come. The descriptor is gone already. */
static void end(struct wr_link *l, enum wr_close why, int err)
{
    struct wr_link_group *g = l->group;
    l->state = WR_LINK_CLOSED;
    l->why = (uint8_t)why;
    l->err = err;
    l->gathered = 0;
    wr_loop_timer_cancel(&l->timer);
    wr_slots_remove(&g->links, l->id);
    g->stats.closed[why]++;
    g->stats.bytes_in += l->stream.bytes_in;
    g->stats.bytes_out += l->stream.bytes_out;
    g->undelivered++;
    wr_loop_at_turn_end(g->loop, &l->task);
}

void wr_link_close(struct wr_link *l, enum wr_close why, int err)
{
    if (l->state == WR_LINK_CLOSED)
        return;
    /* A close would let the kernel go on sending what it has to a peer that does not take it. */
    if (wr_link_queued(l))
        (void)wr_sock_reset_on_close(l->stream.fd);
    else
        wr_stream_bye(&l->stream);
    if (l->registered) {
        wr_io_close(&l->io);
        wr_stream_deinit(&l->stream);
    } else {
        wr_stream_close(&l->stream);
    }
    end(l, why, err);
}

void wr_link_finish(struct wr_link *l, enum wr_close why, int err)
{
    if (l->state != WR_LINK_OPEN)
        return;
    l->state = WR_LINK_FINISHING;
    l->why = (uint8_t)why;
    l->err = err;
    l->finish_ms = wr_loop_now_ms(l->group->loop);
    wr_link_wake_by(l, limit_at(l->finish_ms, l->group->drain_ms));
    wr_loop_at_turn_end(l->group->loop, &l->task);
}

/* FINISHING and everything is in the kernel. */
static void finished(struct wr_link *l)
{
    struct wr_link_group *g = l->group;
    bool linger = !l->stream.eof;
    wr_stream_bye(&l->stream);
    int fd = l->registered ? wr_io_detach(&l->io) : l->stream.fd;
    if (linger) {
        wr_stream_deinit(&l->stream);
        (void)wr_linger_for(&g->lingering, fd, 0, l->linger_ms, l->linger_idle_ms);
    } else {
        l->stream.fd = fd;
        wr_stream_close(&l->stream);
    }
    end(l, l->why, l->err);
}

/* ---- reading -------------------------------------------------------------------------------------- */

ssize_t wr_link_read(struct wr_link *l, void *p, size_t n)
{
    if (l->state != WR_LINK_OPEN || !l->stream.readable) /* dry: the next edge says when not */
        return -EAGAIN;
    return wr_stream_read(&l->stream, p, n);
}

void wr_link_again(struct wr_link *l)
{
    if (l->state != WR_LINK_OPEN)
        return;
    if (l->registered)
        wr_io_again(&l->io, EPOLLIN);
    else
        l->again = true;
}

void wr_link_pause(struct wr_link *l, bool pause)
{
    if (l->paused == pause)
        return;
    l->paused = pause;
    if (!pause)
        wr_link_again(l);
}

static void on_event(struct wr_io *io, uint32_t events)
{
    struct wr_link *l = wr_container_of(io, struct wr_link, io);
    wr_stream_events(&l->stream, events);
    if (events & EPOLLERR) {
        int err = wr_sock_take_error(l->stream.fd);
        if (err) {
            wr_link_close(l, wr_close_of(err), err);
            return;
        }
    }
    if (l->stream.writable &&
        (l->waiting || wr_link_queued(l) || l->state == WR_LINK_FINISHING))
        wr_loop_at_turn_end(l->group->loop, &l->task);
    if (l->state == WR_LINK_OPEN && l->stream.readable && !l->paused)
        wr_link_ready(l);
}

/* ---- writing -------------------------------------------------------------------------------------- */

static void drop_queue(struct wr_link *l)
{
    if (!l->out)
        return;
    wr_outq_deinit(l->out);
    wr_pool_put(&l->group->outqs, l->out);
    l->out = NULL;
}

/* There is a queue, and in front of it what was gathered before. */
static int need_queue(struct wr_link *l)
{
    struct wr_link_group *g = l->group;
    if (l->out)
        return 0;
    l->out = wr_pool_get(&g->outqs);
    if (!l->out)
        return WR_E_BUDGET;
    wr_outq_init(l->out, wr_loop_blocks(g->loop), NULL, wr_loop_heap(g->loop), g->hard_limit);
    int rc = l->gathered ? wr_outq_put_copy(l->out, g->gather->data, l->gathered) : 0;
    if (rc)
        drop_queue(l);
    else
        l->gathered = 0;
    return rc;
}

/* What every queued put begins and ends with. */
static int put_begin(struct wr_link *l)
{
    return l->state == WR_LINK_OPEN ? need_queue(l) : WR_E_CLOSED;
}

static int put_end(struct wr_link *l, int rc)
{
    if (rc == WR_E_HARD_LIMIT) {
        wr_link_close(l, WR_CLOSE_HARD_LIMIT, rc);
        return rc;
    }
    wr_loop_at_turn_end(l->group->loop, &l->task);
    return rc;
}

static bool gathers(const struct wr_link *l, size_t n)
{
    const struct wr_link_group *g = l->group;
    return g->gathering == l && !l->out && l->state == WR_LINK_OPEN &&
           n <= g->gather->size - l->gathered && l->gathered + n <= g->hard_limit;
}

int wr_link_put_copy(struct wr_link *l, const void *p, size_t n)
{
    if (gathers(l, n)) {
        memcpy(l->group->gather->data + l->gathered, p, n);
        l->gathered += (uint32_t)n;
        return 0;
    }
    int rc = put_begin(l);
    return rc ? rc : put_end(l, wr_outq_put_copy(l->out, p, n));
}

int wr_link_put_bytes(struct wr_link *l, struct wr_bytes *take_bytes)
{
    int rc = put_begin(l);
    return rc ? rc : put_end(l, wr_outq_put_bytes(l->out, take_bytes));
}

int wr_link_put_chain(struct wr_link *l, struct wr_chain *take_chain)
{
    int rc = put_begin(l);
    return rc ? rc : put_end(l, wr_outq_put_chain(l->out, take_chain));
}

int wr_link_put_file(struct wr_link *l, const struct wr_outq_file *file)
{
    int rc = put_begin(l);
    return rc ? rc : put_end(l, wr_outq_put_file(l->out, file));
}

static bool holds(const struct wr_link *l)
{
    return l->hold && l->state == WR_LINK_OPEN;
}

void wr_link_hold(struct wr_link *l, bool hold)
{
    if (l->hold == hold)
        return;
    l->hold = hold;
    if (!hold && l->state == WR_LINK_OPEN && wr_link_queued(l))
        wr_loop_at_turn_end(l->group->loop, &l->task);
}

/* In one send, from where it was gathered; what the socket does not take is queued. */
static void write_gathered(struct wr_link *l)
{
    char *p = l->group->gather->data;
    ssize_t put = l->stream.writable ? wr_stream_write(&l->stream, p, l->gathered) : -EAGAIN;
    if (put == (ssize_t)l->gathered) {
        l->gathered = 0;
        if (l->stream.held)
            wr_loop_at_turn_end(l->group->loop, &l->task);
        if (l->state == WR_LINK_OPEN && l->group->ops->on_flushed)
            l->group->ops->on_flushed(l);
        return;
    }
    if (put > 0) {
        l->gathered -= (uint32_t)put;
        memmove(p, p + put, l->gathered);
    }
    int rc = put >= 0 || put == -EAGAIN ? need_queue(l) : (int)put;
    if (rc)
        wr_link_close(l, wr_close_of(rc), rc);
    else
        wr_loop_at_turn_end(l->group->loop, &l->task);
}

/* The memory to gather in is wanted by others. */
static void keep_gathered(struct wr_link *l)
{
    int rc = need_queue(l);
    if (rc)
        wr_link_close(l, wr_close_of(rc), rc);
    else
        wr_loop_at_turn_end(l->group->loop, &l->task); /* which registers it */
}

/* Memory to gather in; without it output is queued. */
static bool gather_block(struct wr_link_group *g)
{
    return g->gather || wr_block_take(wr_loop_blocks(g->loop), NULL, GATHER, &g->gather) == 0;
}

void wr_link_ready(struct wr_link *l)
{
    struct wr_link_group *g = l->group;
    /* A link opened inside another one's on_ready: its output is queued. */
    bool gather = !g->gathering && gather_block(g);
    if (gather)
        g->gathering = l;
    g->ops->on_ready(l);
    if (!gather) {
        if (l->stream.held)
            wr_loop_at_turn_end(g->loop, &l->task);
        return;
    }
    g->gathering = NULL;
    if (l->gathered && holds(l))
        keep_gathered(l);
    else if (l->gathered)
        write_gathered(l);
    else if (l->stream.held) /* of a handshake */
        wr_loop_at_turn_end(g->loop, &l->task);
}

static size_t turn_bytes(const struct wr_link *l)
{
    return l->turn_pages ? 4096U * l->turn_pages : WR_IO_TURN_BYTES;
}

/* What the stream holds goes first, then the queue. A state of wr_outq_flush, or the error. */
static int flush_some(struct wr_link *l, uint64_t *out_sent)
{
    uint32_t held = l->stream.held;
    int rc = wr_stream_flush(&l->stream);
    if (!rc && l->out)
        rc = wr_outq_flush(l->out, &l->stream, turn_bytes(l), out_sent);
    if (held > l->stream.held)
        *out_sent += held - l->stream.held;
    if (rc == -EAGAIN || (rc == WR_OUTQ_DONE && l->stream.held))
        return WR_OUTQ_FULL;
    return rc;
}

/* False: the link has been closed. */
static bool tell_flushed(struct wr_link *l)
{
    if (l->state == WR_LINK_OPEN && l->group->ops->on_flushed)
        l->group->ops->on_flushed(l);
    return l->state != WR_LINK_CLOSED;
}

/* Writes what the socket takes now. False: the link has been closed. */
static bool flush(struct wr_link *l)
{
    uint64_t sent = 0, now = wr_loop_now_ms(l->group->loop);
    if (!wr_link_queued(l)) {
        bool waited = l->waiting; /* and the last of it went out on the way, of a read */
        l->waiting = false;
        drop_queue(l);
        return !waited || tell_flushed(l);
    }
    if (holds(l))
        return true;
    int rc = WR_OUTQ_FULL;
    if (l->stream.writable)
        rc = flush_some(l, &sent);
    if (rc < 0) {
        wr_link_close(l, wr_close_of(rc), rc);
        return false;
    }
    if (sent || !l->waiting)
        l->sent_ms = now;
    l->waiting = rc != WR_OUTQ_DONE;
    if (rc == WR_OUTQ_DONE)
        drop_queue(l);
    if (rc == WR_OUTQ_FULL)
        wr_link_wake_by(l, limit_at(l->sent_ms, l->stall_ms));
    if (rc == WR_OUTQ_AGAIN)
        l->again_out = true;
    return tell_flushed(l);
}

static bool enroll(struct wr_link *l)
{
    if (!l->registered) {
        int rc = wr_io_open(l->group->loop, &l->io, l->stream.fd, WR_IO_EDGE, on_event);
        if (rc) {
            wr_link_close(l, wr_close_of(rc), rc);
            return false;
        }
        l->registered = true;
        look_at_time(l);
    }
    return l->state != WR_LINK_CLOSED;
}

static void on_turn_end(struct wr_task *t)
{
    struct wr_link *l = wr_container_of(t, struct wr_link, task);
    if (l->state != WR_LINK_CLOSED && flush(l)) {
        if (l->state == WR_LINK_FINISHING && !wr_link_queued(l))
            finished(l);
        else if (enroll(l) && (l->again || l->again_out))
            wr_io_again(&l->io, (l->again ? EPOLLIN : 0U) | (l->again_out ? EPOLLOUT : 0U));
        l->again = l->again_out = false;
    }
    if (l->state != WR_LINK_CLOSED)
        return;
    wr_task_cancel(&l->task); /* closed while the task ran: delivered here, not again */
    drop_queue(l);
    l->group->undelivered--;
    l->group->ops->on_closed(l, l->why, l->err);
}
