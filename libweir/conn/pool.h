/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_POOL_H
#define WR_CONN_POOL_H

/*
 * A pool of connections to something (a database, another service), whatever they are: a driver's table
 * of functions makes, checks, resets and closes them.
 *
 * A take is answered by a lease: a small value, not a pointer to the connection, so that returning it
 * twice, or long after it was taken back, finds nothing and harms nobody. Every lease knows who took it
 * (file and line) and for how long; one held too long is reported, then reclaimed. Whoever cannot be
 * served at once waits in a bounded queue.
 *
 *                  open ok                 take                    release
 *     OPENING -------------> IDLE ------------------------> LENT -----------> RESETTING
 *        |                   ^ | idle for check_after_ms     |                   |
 *        |            ok     | v                             | discard,          | ok
 *        |            +---- CHECKING                         | reclaim           +----> IDLE
 *        v                     v                             v
 *     (closed)  <-- hang-up, limits, failed check or reset, pool closed
 *
 * 1. open = opening + idle + checking + lent + resetting <= max_open; waiting <= max_waiters.
 * 2. The callback of a take comes exactly once, never from inside wr_conn_pool_take.
 * 3. First come, first served. A failed open fails the oldest waiter, not all.
 * 4. Nothing is lent that is known to be dead: idle ones are watched, or asked for by `stale`, and
 *    checked when they were idle for long; nothing older than its life or idle limit is lent.
 * 5. A lease ends exactly once: released, discarded, reclaimed (held over leak_kill_ms, or its scope
 *    ended). A reclaimed object is closed, because its borrower may still be using it.
 * 6. taken = released + discarded + reclaimed + lent, exactly.
 *
 * The pool belongs to its creator and outlives the use of its leases. Loop thread only.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

struct wr_conn_pool; /* opaque */
struct wr_loop;
struct wr_scope;

/* The answer of a driver: exactly once per call that returned 0; also from inside the call. */
typedef void wr_pool_ready_fn(void *token, void *object, int err);

struct wr_conn_pool_ops {
    const char *kind; /* "mysql" */
    /* Each operation belongs to the scope, which carries its deadline: when it is cancelled the
     * driver answers with that error. A return < 0 is the answer, ready is not called then. */
    int (*open)(void *driver, struct wr_scope *scope, wr_pool_ready_fn *ready, void *token);
    int (*check)(void *driver, void *object, struct wr_scope *scope, wr_pool_ready_fn *ready,
                 void *token); /* or NULL */
    int (*reset)(void *driver, void *object, struct wr_scope *scope, wr_pool_ready_fn *ready,
                 void *token);                 /* on release; or NULL */
    bool (*stale)(void *driver, void *object); /* without waiting; or NULL */
    /* The descriptor to watch while idle, -1 for none; it is not registered with the loop elsewhere
     * then. A driver whose objects are registered says wr_conn_pool_gone instead. Or NULL. */
    int (*fd)(void *driver, void *object);
    void (*close)(void *driver, void *object);
};

struct wr_conn_pool_borrower;

struct wr_conn_pool_options {
    const char *name;
    uint32_t max_open;       /* 0: 16 */
    uint32_t min_idle;       /* kept open without being asked for; 0: none */
    uint32_t max_idle;       /* 0: max_open */
    uint32_t max_waiters;    /* 0: 1024 */
    uint32_t wait_ms;        /* 0: 1000 */
    uint32_t open_ms;        /* for open, check and reset; 0: 3000 */
    uint32_t idle_ms;        /* 0: 30 s. Keep it below the server's own limit */
    uint32_t life_ms;        /* 0: 30 min */
    uint32_t life_jitter_ms; /* lives end spread over so much; 0: life_ms / 10 */
    uint32_t check_after_ms; /* idle for so long: checked before it is lent; 0: 1000 */
    uint32_t leak_ms;        /* held for so long: reported; 0: 10 s */
    uint32_t leak_kill_ms;   /* held for so long: reclaimed; 0: 5 min */
    bool fifo;     /* lend the longest idle first; default: the latest, others age out */
    uint64_t seed; /* of the jitter; 0: from the clock */
    /* A lease is held for leak_ms (overdue), or was reclaimed (err). May be NULL. */
    void (*on_leak)(struct wr_conn_pool *pool, const struct wr_conn_pool_borrower *b,
                    void *arg);
    void *arg;
};

struct wr_lease {
    struct wr_conn_pool *pool;
    uint64_t id; /* 0: none */
};

typedef void wr_lease_fn(void *arg, int err, struct wr_lease lease);

WR_MUST int wr_conn_pool_new(struct wr_loop *loop, const struct wr_conn_pool_ops *ops,
                             void *driver, const struct wr_conn_pool_options *options,
                             struct wr_conn_pool **out_pool);
/* Takes NULL and empties the pointer. Waiters get WR_E_CLOSED, leases end, everything is closed. */
void wr_conn_pool_free(struct wr_conn_pool **pool);

/* 0: fn comes later, with a lease, or WR_E_POOL_WAIT, the error of the driver's open, or the scope's.
 * WR_E_POOL_FULL, -ENOMEM: fn does not come. The lease ends with the scope. */
#define wr_conn_pool_take(pool, scope, fn, arg) \
    wr_conn_pool_take_at((pool), (scope), (fn), (arg), WR_HERE)
WR_MUST int wr_conn_pool_take_at(struct wr_conn_pool *pool, struct wr_scope *scope,
                                 wr_lease_fn *fn, void *arg, const struct wr_site *site);

/* The object, or NULL when the lease has ended. */
void *wr_lease_object(const struct wr_lease *lease);
/* Both empty the lease; on an empty or ended one they do nothing (the latter is counted: late). */
void wr_lease_release(struct wr_lease *lease);
void wr_lease_discard(struct wr_lease *lease); /* the object is broken: close it */

/* From the driver: this object is dead. Idle: closed at once; lent: closed when it comes back. */
void wr_conn_pool_gone(struct wr_conn_pool *pool, void *object);

struct wr_conn_pool_borrower {
    const struct wr_site *site;
    uint64_t lease;
    uint64_t held_ms;
    bool overdue;
    int err; /* 0; reclaimed: WR_E_LEAKED, or the error its scope ended with */
};
/* The current borrowers, longest held first; returns how many there are, fills at most n. */
size_t wr_conn_pool_borrowers(const struct wr_conn_pool *pool,
                              struct wr_conn_pool_borrower *out, size_t n);

struct wr_conn_pool_stats {
    uint32_t open, opening, idle, checking, lent, resetting, waiting; /* now */
    uint64_t opened, open_failed, closed;
    uint64_t taken, released, discarded, reclaimed, late;
    uint64_t overdue;                        /* leases reported */
    uint64_t waited, wait_timeouts, refused; /* refused: the queue was full */
    uint64_t hung_up, stale, check_failed, reset_failed, idle_ended, life_ended;
    uint64_t wait_max_ms;
};
struct wr_conn_pool_stats wr_conn_pool_stats(const struct wr_conn_pool *pool);
bool wr_conn_pool_validate(const struct wr_conn_pool *pool);

#endif
