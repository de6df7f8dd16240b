/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOOP_H
#define WR_IO_LOOP_H

/*
 * The event loop: one per thread, epoll underneath.
 *
 * A turn waits for readiness, reads the clock, calls the owners of ready descriptors, then runs what
 * other threads posted, what an earlier turn left over, expired timers and flush hooks, and frees what
 * was closed. The order stands in one function, wr_loop_turn. A descriptor is registered once and
 * never modified: connections edge-triggered for everything, listeners level-triggered.
 *
 * 1. A callback runs only for an open wr_io: after wr_io_close or wr_io_detach it is never called
 *    again, not even for events that the kernel had already handed out, and not for a new wr_io
 *    that got the same descriptor number. Such events are counted as stale.
 * 2. Once wr_io_close returns, the loop holds no pointer to the wr_io. Memory that callers further up
 *    the stack may still hold goes through wr_loop_free_later.
 * 3. An edge is delivered once: the owner reads and writes until -EAGAIN or a short count, or, having
 *    used up its budget (WR_IO_TURN_BYTES, WR_IO_TURN_CALLS), calls wr_io_again and is called
 *    in the next turn, which then does not wait.
 * 4. A listener is never edge-triggered, so a connection that is left in the queue is announced again.
 * 5. Of what was posted exactly one of fn and drop runs, in the loop's thread.
 * 6. A loop is used only in the process that made it; running it after a fork aborts with a sentence.
 * 7. SIGPIPE is blocked in the thread that makes a loop, so that writing to a closed peer is an error
 *    code. No signal handler is ever installed.
 *
 * The creator owns the loop, owners embed their wr_io, wr_task and wr_timer; a callback finds its owner by
 * wr_container_of (base/compiler.h):
 *
 *     struct beat { struct wr_timer timer; struct wr_loop *loop; };
 *     static void on_beat(struct wr_timer *t)
 *     {
 *         struct beat *b = wr_container_of(t, struct beat, timer);
 *         wr_loop_timer_arm(b->loop, t, 1000);
 *     }
 *
 * Everything is for the loop's thread only, except wr_loop_post, wr_loop_call and wr_loop_stop: any thread.
 */

#include "libweir/base/list.h"
#include "libweir/base/wheel.h"

struct wr_loop;
struct wr_heap;
struct wr_budget;
struct wr_block_pool;
struct wr_mem;

/* What one wr_io may do in one callback before it lets the others have their turn. */
#define WR_IO_TURN_BYTES (256u << 10)
#define WR_IO_TURN_CALLS 16u

#define WR_LOOP_SCRATCH (64u << 10)

/*
 * What the loop knows about itself. One writer; every word may be read at any time, also by another
 * process when the record lies in shared memory (wr_loop_options.stats). Times are monotonic.
 *
 * The first three say what a loop that answers no more is doing. running_since_ns is 0 while it waits.
 * Functions are addresses: nm or addr2line turns them into names.
 */
struct wr_loop_stats {
    uint64_t running_since_ns;
    uint64_t running_fn;
    int64_t running_fd; /* -1: not a descriptor's callback */
    uint64_t started_ns;
    uint64_t turns;
    uint64_t events;
    uint64_t stale_events; /* for a wr_io closed before its event was handled */
    uint64_t continued;    /* wr_io_again: budget used up */
    uint64_t posts;
    uint64_t posts_refused; /* queue full or loop stopped */
    uint64_t timers;
    uint64_t pauses; /* the whole process stood still for a second or more */
    uint64_t busy_ns;
    uint64_t waited_ns;
    uint64_t busy_permille; /* of the latest whole second */
    uint64_t lag_ns;        /* how long the latest turn kept others waiting */
    uint64_t lag_max_ns;
    uint64_t lag_log2[32]; /* turns that took 2^i ns or more, but less than 2^(i+1) */
    uint64_t longest_ns;   /* the longest single callback so far: */
    uint64_t longest_fn;
    int64_t longest_fd;
    uint64_t longest_at_ns;
};

struct wr_leases; /* io/leases.h */

/* All zero is a loop with defaults. */
struct wr_loop_options {
    const struct wr_heap *heap;  /* default: the process's */
    struct wr_budget *budget;    /* handed out by wr_loop_budget; parent of the blocks' */
    struct wr_loop_stats *stats; /* default: inside the loop */
    uint32_t max_ios;            /* default: no limit but memory */
    uint32_t max_posts;          /* default 4096; rounded up to a power of two */
    uint32_t max_events;         /* taken from the kernel per turn; default 512 */
};

WR_MUST int wr_loop_new(const struct wr_loop_options *options, struct wr_loop **out_loop);

/* Takes NULL. Drops what is still posted, frees what is to be freed. Every wr_io and timer is closed and
 * every block dropped by now. A forked child closes its copies of the descriptors this way and leaves
 * the parent's loop alone. */
void wr_loop_free(struct wr_loop **loop);

/* Turns until wr_loop_stop. 0, or the error of epoll. */
WR_MUST int wr_loop_run(struct wr_loop *loop);

/* One iteration; waits at most max_wait_ms (-1: until something happens). 0 or the error of epoll. */
int wr_loop_turn(struct wr_loop *loop, int max_wait_ms);

/* Any thread. Final: wr_loop_run returns after its turn, posts are refused from now on. */
void wr_loop_stop(struct wr_loop *loop);
bool wr_loop_stopped(const struct wr_loop *loop);

uint64_t wr_loop_now_ms(const struct wr_loop *loop); /* as of this turn */
uint64_t wr_loop_now_ns(const struct wr_loop *loop);
uint64_t wr_loop_wall_ns(struct wr_loop *loop); /* since 1970; read once per turn at most */

struct wr_wheel *wr_loop_wheel(struct wr_loop *loop);
const struct wr_heap *wr_loop_heap(const struct wr_loop *loop);
/* Where the pools of this loop tell who borrowed what; NULL, as in the beginning: nowhere. */
void wr_loop_set_leases(struct wr_loop *loop, struct wr_leases *leases);
struct wr_leases *wr_loop_leases(const struct wr_loop *loop);
struct wr_budget *wr_loop_budget(const struct wr_loop *loop);
struct wr_mem *wr_loop_mem(struct wr_loop *loop); /* pools and arenas of this thread; ticked */
struct wr_block_pool *wr_loop_blocks(struct wr_loop *loop);
const struct wr_loop_stats *wr_loop_stats(const struct wr_loop *loop);

/* WR_LOOP_SCRATCH bytes for whoever runs, until it returns. */
char *wr_loop_scratch(struct wr_loop *loop);

/* ---- descriptors ---------------------------------------------------------------------------- */
enum {
    WR_IO_EDGE = 1,   /* connections: in, out, hang-up, edge-triggered */
    WR_IO_LISTEN = 2, /* listening sockets: level-triggered */
    WR_IO_READ = 3,   /* eventfd, signalfd, pidfd, pipes: level-triggered, reading only */
    WR_IO_EXCLUSIVE =
        16, /* with LISTEN: the kernel wakes one of the loops that share the socket */
};

/* Zeroed memory is a closed one. events are EPOLL* bits. */
struct wr_io {
    void (*fn)(struct wr_io *io, uint32_t events);
    /* private */
    struct wr_loop *loop; /* NULL while closed */
    int fd;
    uint16_t left; /* events owed from an earlier turn */
    uint16_t kind;
    uint64_t id;
    struct wr_list again; /* linked while it has something left over */
};

/* From now on the wr_io owns fd. On failure nothing has changed and fd is still the caller's. */
WR_MUST int wr_io_open(struct wr_loop *loop, struct wr_io *io, int fd, unsigned kind,
                       void (*fn)(struct wr_io *io, uint32_t events));

/* Closes the descriptor at once. Closing a closed one does nothing. */
void wr_io_close(struct wr_io *io);

/* Unregisters and returns the descriptor, which is the caller's again; -EBADF when closed. */
WR_MUST int wr_io_detach(struct wr_io *io);

/* Calls fn with these events in the next turn, together with what the kernel may report. */
void wr_io_again(struct wr_io *io, uint32_t events);

/* In fn: the kernel said so, and that there are bytes. They were sent before this turn's wait returned; what an
 * io that was called for another reason finds to read may be younger. */
bool wr_io_announced(const struct wr_io *io);

static inline bool wr_io_is_open(const struct wr_io *io)
{
    return io->loop != NULL;
}

/* The descriptor of an open wr_io, or -1. */
static inline int wr_io_fd(const struct wr_io *io)
{
    return io->loop ? io->fd : -1;
}

/* ---- work within the loop -------------------------------------------------------------------- */
/* Runs once at the end of this turn, after timers: output is flushed here, once per turn. */
struct wr_task {
    void (*fn)(struct wr_task *task);
    /* private */
    struct wr_list link;
};

void wr_task_init(struct wr_task *task, void (*fn)(struct wr_task *task));

/* Scheduling a scheduled task changes nothing. One scheduled by a flush hook runs in the next turn,
 * which then does not wait. */
void wr_loop_at_turn_end(struct wr_loop *loop, struct wr_task *task);
void wr_task_cancel(struct wr_task *task);
bool wr_task_scheduled(const struct wr_task *task);

/* Memory that callbacks on the stack may still touch: fn runs last in this turn and frees it. */
struct wr_free_later {
    void (*fn)(struct wr_free_later *f);
    /* private */
    struct wr_free_later *next;
};

void wr_loop_free_later(struct wr_loop *loop, struct wr_free_later *f,
                        void (*fn)(struct wr_free_later *f));

/* timer->fn must be set. Counted from when the callback that arms it began, so that a long turn does not shorten it. */
void wr_loop_timer_arm(struct wr_loop *loop, struct wr_timer *timer, uint64_t after_ms);
void wr_loop_timer_cancel(struct wr_timer *timer);

/* ---- from other threads ------------------------------------------------------------------------- */
/* 0: exactly one of fn and drop (may be NULL) will run in the loop's thread. WR_E_QUEUE_FULL,
 * WR_E_STOPPED: neither runs, arg is still the caller's. Never blocks, never allocates. */
WR_MUST int wr_loop_post(struct wr_loop *loop, void (*fn)(void *arg), void (*drop)(void *arg),
                         void *arg);

/* The same, but at once when called in the loop's thread. */
WR_MUST int wr_loop_call(struct wr_loop *loop, void (*fn)(void *arg), void (*drop)(void *arg),
                         void *arg);

#endif
