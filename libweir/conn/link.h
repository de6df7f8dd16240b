/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_LINK_H
#define WR_CONN_LINK_H

/*
 * What every kind of connection is made of, whatever it speaks: a descriptor in a loop, a queue of
 * output, one timer, an id, and exactly one reason for its end.
 *
 * The owner embeds a wr_link and gives a table of functions. It reads when told and puts output whenever
 * it likes. Small output put by a link's own on_ready is gathered in memory that the group shares and
 * written when on_ready returns; the rest, and output put at other times, is queued and written once per
 * turn, when the callbacks have run. Deadlines are the owner's: activity is a store into a field of its
 * own, and the link's one timer asks on_time, which looks at those fields, acts, and says when to be asked
 * again.
 *
 *            wr_link_open
 *                 |            wr_link_finish: no more reading
 *              OPEN ------------------------------> FINISHING
 *                 | wr_link_close, error,              | flushed: FIN, linger
 *                 | hard limit, stall                  | stall, drain_ms: as wr_link_close
 *                 v                                    v
 *              CLOSED <--------------------------------+
 *                 | end of this turn: on_closed, once, last
 *
 * 1. on_closed is called exactly once for each opened link, never from inside a call of the owner, and
 *    nothing is called after it. The owner then frees its memory with wr_loop_free_later.
 * 2. The first reason wins, unless finishing fails: then it is what failed. It is counted in the group.
 * 3. Queued output is bounded by hard_limit; more ends the connection (HARD_LIMIT).
 * 4. While output waits, stall_ms without a byte taken ends the connection (WRITE_STALL).
 * 5. A link is registered with epoll, and its deadlines are looked at, when it first has to wait. A
 *    connection that is served and closed in the turn of its accept never is.
 * 6. An id finds its link while it is OPEN or FINISHING, and never another one.
 * 7. A link with nothing queued owns no memory. When there is none for what the socket did not take of
 *    gathered output, the link is closed (MEMORY).
 *
 * Group and links are the owner's memory; the link owns the descriptor. Loop thread only.
 */

#include "libweir/base/block.h"
#include "libweir/base/mem_pool.h"
#include "libweir/base/slots.h"
#include "libweir/io/loop.h"
#include "libweir/io/outq.h"
#include "libweir/io/scope.h"
#include "libweir/io/stream.h"
#include "libweir/io/tls.h"

enum wr_close {
#define X(name, text, meaning) WR_CLOSE_##name,
#include "libweir/conn/close.def"
#undef X
    WR_CLOSES
};

const char *wr_close_name(enum wr_close why);
const char *wr_close_text(enum wr_close why);
/* The reason that an error of reading, writing or memory stands for. */
enum wr_close wr_close_of(int err);

#define WR_FOREVER UINT32_MAX /* as a timeout: none, on purpose */

struct wr_link;

struct wr_link_ops {
    /* There may be bytes: wr_link_read until -EAGAIN, FIN or an error, or have enough for this turn
     * and say wr_link_again. Also called in the turn of the accept. */
    void (*on_ready)(struct wr_link *l);
    /* Output was written as far as the socket took it; wr_link_queued says what is left. May be NULL. */
    void (*on_flushed)(struct wr_link *l);
    /* Which deadline comes next (wr_loop_now_ms terms), UINT64_MAX for none; closes the link instead
     * if one has passed. Not called while FINISHING. */
    uint64_t (*on_time)(struct wr_link *l, uint64_t now_ms);
    void (*on_closed)(struct wr_link *l, enum wr_close why, int err);
};

struct wr_link_stats {
    uint64_t opened, closed[WR_CLOSES];
    uint64_t bytes_in, bytes_out;
};

/* What the links of one server or client share. Fill the first part, then wr_link_group_init. */
struct wr_link_group {
    const struct wr_link_ops *ops;
    uint64_t hard_limit;    /* 0: 8 MiB */
    uint32_t stall_ms;      /* 0: 30 s */
    uint32_t drain_ms;      /* FINISHING at most so long; 0: 60 s */
    uint32_t linger_ms;     /* 0: wr_linger's default */
    uint32_t max_links;     /* 0: no limit */
    struct wr_scope *scope; /* parent, may be NULL */
    /* readable */
    struct wr_loop *loop;
    struct wr_link_stats stats;
    /* private */
    struct wr_slots links;
    struct wr_scope lingering;
    struct wr_pool outqs;
    struct wr_block *gather;   /* output of the link whose on_ready is running */
    struct wr_link *gathering; /* that link */
    uint32_t undelivered;      /* closed, on_closed yet to come */
};

enum wr_link_state {
    WR_LINK_CLOSED,
    WR_LINK_OPEN,
    WR_LINK_FINISHING,
};

/*
 * With thousands of connections each request finds its own in no cache, and every line of it costs more than
 * the instructions between two lines. What a request touches lies together, from the timer's second half to the
 * end; behind it the owner goes on with what it touches itself.
 */
struct wr_link {
    uint64_t id;
    /* private */
    struct wr_task task;
    uint64_t finish_ms; /* FINISHING: since when */
    uint64_t sent_ms;   /* when output last moved, or began to wait */
    uint32_t stall_ms;  /* as the group's, until wr_link_set_stall */
    uint32_t linger_ms, linger_idle_ms;
    int err;
    struct wr_timer timer;
    struct wr_io io;
    struct wr_link_group *group; /* readable */
    struct wr_stream stream;
    struct wr_outq *out; /* NULL: nothing is queued */
    uint32_t gathered;   /* bytes in the group's memory; 0 when there is a queue */
    uint8_t state, why;
    uint8_t turn_pages; /* of 4 KiB that go out in a turn; 0: WR_IO_TURN_BYTES */
    bool paused : 1, again : 1, again_out : 1, waiting : 1, registered : 1, hold : 1;
};

WR_MUST int wr_link_group_init(struct wr_link_group *g, struct wr_loop *loop);
/* Every link is gone (wr_link_group_idle). Descriptors that linger are closed. */
void wr_link_group_deinit(struct wr_link_group *g);
static inline uint32_t wr_link_group_count(const struct wr_link_group *g)
{
    return wr_slots_count(&g->links);
}
bool wr_link_group_idle(const struct wr_link_group *g); /* none open, none undelivered */
struct wr_link *wr_link_find(const struct wr_link_group *g, uint64_t id);
/* A walk: *cursor starts at 0, NULL ends it; links may be opened and closed meanwhile. */
struct wr_link *wr_link_next(const struct wr_link_group *g, uint32_t *cursor);

/* Takes a connected, non-blocking descriptor. on_ready is not called from here: say wr_link_ready when
 * you are set up, or wait. On failure fd is still the caller's. */
WR_MUST int wr_link_open(struct wr_link_group *g, struct wr_link *l, int fd);

/* From here on the bytes are TLS (io/tls.h). Nothing has been written yet; `seen` are bytes read already. */
WR_MUST int wr_link_start_tls(struct wr_link *l, struct ssl_ctx_st *ctx,
                              const struct wr_tls_options *options, struct wr_span seen);

/* For this link alone, at any time: stall_ms; how long it lingers at most, and without a byte (0: no bound
 * but the first). */
void wr_link_set_stall(struct wr_link *l, uint32_t stall_ms);
/* The most that goes out before other links have their turn; 0, or more than WR_IO_TURN_BYTES: that. */
void wr_link_set_turn_bytes(struct wr_link *l, uint32_t bytes);
void wr_link_set_linger(struct wr_link *l, uint32_t linger_ms, uint32_t idle_ms);

/* Calls on_ready now, as an event would. Not from inside a call of this link's owner. */
void wr_link_ready(struct wr_link *l);

/* As wr_stream_read: bytes, 0 for FIN, -EAGAIN, an error. Count for the fairness budget yourself. */
WR_MUST ssize_t wr_link_read(struct wr_link *l, void *p, size_t n);
/* on_ready comes in the next turn, without an edge. */
void wr_link_again(struct wr_link *l);
/* Paused: on_ready is not called; a reset is still noticed. Resumed: it is called if there is cause. */
void wr_link_pause(struct wr_link *l, bool pause);

/* Output, written when on_ready returns or at the end of the turn. 0; WR_E_HARD_LIMIT (the link has been closed); WR_E_CLOSED;
 * WR_E_BUDGET, -ENOMEM (nothing was put, the link stands). */
WR_MUST int wr_link_put_copy(struct wr_link *l, const void *p, size_t n);
WR_MUST int wr_link_put_bytes(struct wr_link *l, struct wr_bytes *take_bytes);
WR_MUST int wr_link_put_chain(struct wr_link *l, struct wr_chain *take_chain);
WR_MUST int wr_link_put_file(struct wr_link *l, const struct wr_outq_file *file);
static inline uint64_t wr_link_queued(const struct wr_link *l)
{
    return (l->out ? wr_outq_queued(l->out) : 0) + l->gathered + l->stream.held;
}
static inline bool wr_link_is_open(const struct wr_link *l)
{
    return l->state == WR_LINK_OPEN;
}
static inline int wr_link_fd(const struct wr_link *l)
{
    return l->stream.fd;
}

/* on_time is called at due_ms or earlier. Only needed when a deadline comes nearer than the one that
 * on_time gave last. */
void wr_link_wake_by(struct wr_link *l, uint64_t due_ms);

/* While it holds, output waits, however much there is: a FIN or an end of holding sends it. */
void wr_link_hold(struct wr_link *l, bool hold);

/* Writes what is queued, then FIN; what the peer still sends is read and thrown away for a while, so
 * that its kernel does not discard our last bytes; then on_closed with this reason. */
void wr_link_finish(struct wr_link *l, enum wr_close why, int err);
/* Now. Queued output is lost; when there was any the peer gets a RST. */
void wr_link_close(struct wr_link *l, enum wr_close why, int err);

#endif
