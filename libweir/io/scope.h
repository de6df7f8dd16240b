/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_SCOPE_H
#define WR_IO_SCOPE_H

/*
 * Scopes: whose operations these are. A connection, a request, a session owns a scope; everything that
 * takes time (a connect, a name to resolve, a wait for memory, work in another thread) is an operation of one.
 *
 * An operation begins in a scope and ends by itself, or the scope is cancelled (by its owner, its
 * parent, its deadline) and the operation's cancel function is called with the reason. Nothing
 * can then run on behalf of the dead: a wr_op that has ended is in no list any more.
 *
 *            begin                     end: completed by itself
 *   unused ---------> pending -------> ended
 *                        |  scope cancelled: cancel(op, why), once
 *                        `-----------> ended
 *
 * 1. Each begun operation ends exactly once: by wr_op_end, or by its cancel function.
 * 2. Cancelling cancels the children first, then the scope's own operations, oldest first, then
 *    calls `done`. It all happens before wr_scope_cancel returns; the second cancel does nothing.
 * 3. Nothing begins in a cancelled scope: wr_op_begin returns the reason.
 * 4. After wr_scope_deinit no cancel function of the scope or of anything below it is called again.
 * 5. Callbacks may end any operation, cancel and deinit any scope, and free what they deinited.
 *
 * Scopes and operations lie in their owners' memory. A parent may go before its children: they are
 * cancelled and live on without a parent. Loop thread only.
 */

#include "libweir/base/list.h"
#include "libweir/base/wheel.h"

struct wr_loop;
struct wr_scope;

/* Zeroed memory is one that has not begun. */
struct wr_op {
    /* Complete with this error now. The operation has already left the scope: no wr_op_end. */
    void (*cancel)(struct wr_op *op, int why);
    /* private */
    struct wr_scope *scope; /* NULL unless pending */
    struct wr_list link;
};

struct wr_scope {
    /* Optional; set after init. Everything below has completed; the scope may be freed here. */
    void (*done)(struct wr_scope *s, int why);
    /* private */
    struct wr_loop *loop;
    struct wr_scope *parent;
    struct wr_list link; /* in parent->children */
    struct wr_list children;
    struct wr_list ops;
    struct wr_timer deadline;
    bool *gone; /* told by deinit while a cancel is under way */
    int why;    /* 0 while alive */
};

/* deadline_ms from now, 0 for none; what is left of a parent's deadline bounds it in any case. loop may be NULL when
 * there is no deadline. In a cancelled parent the scope is born cancelled. */
void wr_scope_init(struct wr_scope *s, struct wr_loop *loop, struct wr_scope *parent,
                   uint64_t deadline_ms);

/* Cancels with WR_E_CANCELED whatever is pending, without calling `done`. */
void wr_scope_deinit(struct wr_scope *s);

/* why: a negative code. */
void wr_scope_cancel(struct wr_scope *s, int why);

/* A new deadline from now on; 0 takes it away. */
void wr_scope_set_deadline(struct wr_scope *s, uint64_t deadline_ms);

/* Until the nearest deadline of the scope and its parents; UINT64_MAX without one, 0 when passed. */
uint64_t wr_scope_left_ms(const struct wr_scope *s);

/* 0 while alive, else the reason it was cancelled with. */
static inline int wr_scope_why(const struct wr_scope *s)
{
    return s->why;
}

/* The loop it was given; NULL if none. */
static inline struct wr_loop *wr_scope_loop(const struct wr_scope *s)
{
    return s->loop;
}

/* Operations pending in the scope itself and below it. O(n), for tests and status pages. */
size_t wr_scope_pending(const struct wr_scope *s);
bool wr_scope_validate(const struct wr_scope *s);

/* 0, or the reason of the cancelled scope: then the operation has not begun and cancel is not called. */
WR_MUST int wr_op_begin(struct wr_scope *s, struct wr_op *op,
                        void (*cancel)(struct wr_op *op, int why));

/* Ended by itself. Returns false when it was not pending (it had been cancelled): then be silent. */
bool wr_op_end(struct wr_op *op);

static inline bool wr_op_pending(const struct wr_op *op)
{
    return op->scope != NULL;
}

#endif
