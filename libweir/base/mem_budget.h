/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_MEM_BUDGET_H
#define WR_BASE_MEM_BUDGET_H

/*
 * How much may be held, by whom: a tree of counters, process > worker > listener or upstream > connection.
 *
 * A charge climbs from its node to the root and must fit at every step, or nothing is charged and the
 * answer is WR_E_BUDGET. Who can wait parks in the FIFO of the node that refused; a release serves the
 * queue by making the charge for the waiter and then calling it. Above soft, a node asks for restraint
 * (stop reading, stop accepting, trim); at hard it refuses.
 *
 * Invariants
 * 1. No charge brings used above hard, none but an urgent one above hard - reserve.
 * 2. Nobody overtakes: while a node has waiters, only urgent charges and the waiters themselves pass it.
 * 3. No lost wake-up: wait tries first; release, cancel and a raised limit all serve the queue; what a
 *    waiter waits for is already charged when it is called.
 * 4. A waiter is called exactly once, or cancelled: with 0 and its charge made, or with WR_E_TOO_BIG
 *    because a limit was lowered below its wish. It may charge, release, wait and cancel, and free its own
 *    node, but not the node whose queue it stood in.
 *
 * The node is the caller's memory (embed it in the connection) and outlives its charges and children.
 * One thread. No allocation.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

struct wr_budget;

struct wr_budget_waiter {
    /* private */
    struct wr_budget_waiter *next, *prev; /* prev NULL: not parked */
    struct wr_budget *at;                 /* the node it is parked in */
    struct wr_budget *budget;             /* the node it wants to charge */
    size_t n;
    uint64_t ticket;
    void (*fn)(struct wr_budget_waiter *w, int err);
};

struct wr_budget {
    struct wr_budget *parent;
    const char *name;
    size_t soft, hard, reserve;
    size_t used, peak;
    uint64_t refusals, waits;
    void (*on_soft)(struct wr_budget *b,
                    bool over); /* called when used crosses soft; may be NULL */
    /* private */
    struct wr_budget_waiter queue; /* ring head */
    struct wr_budget *root;
    uint64_t tickets, parked; /* of the root: handed out; waiting now */
    uint32_t children;
    bool serving, again;
};

#define WR_BUDGET_NONE SIZE_MAX /* as a mark: no limit */

/* soft <= hard. parent may be NULL. name is kept, not copied. */
void wr_budget_init(struct wr_budget *b, struct wr_budget *parent, const char *name,
                    size_t soft, size_t hard);
void wr_budget_deinit(struct wr_budget *b); /* nothing used, nobody waits, no children */
/* New marks; a raised one serves the queue. reserve is the part of hard that only urgent charges use. */
void wr_budget_set(struct wr_budget *b, size_t soft, size_t hard, size_t reserve);

WR_MUST int wr_budget_charge(struct wr_budget *b, size_t n); /* 0 or WR_E_BUDGET */
/* For what must finish: a response already begun, an error answer. May use the reserve, overtakes. */
WR_MUST int wr_budget_charge_urgent(struct wr_budget *b, size_t n);
void wr_budget_release(struct wr_budget *b, size_t n);

/* Moves a charge between two nodes of one tree; the common ancestors do not notice. WR_E_BUDGET when a
 * node on the way down refuses. NULL on either side is a plain charge or release. */
WR_MUST int wr_budget_move(struct wr_budget *from, struct wr_budget *to, size_t n);

/* 1: charged at once, fn is not called. 0: parked. WR_E_TOO_BIG: it can never fit. */
WR_MUST int wr_budget_wait(struct wr_budget *b, struct wr_budget_waiter *w, size_t n,
                           void (*fn)(struct wr_budget_waiter *w, int err));
void wr_budget_cancel(struct wr_budget_waiter *w); /* not parked: nothing happens */
bool wr_budget_waiting(const struct wr_budget_waiter *w);

/* Somebody in this tree waits: who keeps free memory for speed gives it back instead. */
static inline bool wr_budget_pressed(const struct wr_budget *b)
{
    return b->root->parked > 0;
}

bool wr_budget_over_soft(const struct wr_budget *b); /* this node or one above it */
size_t wr_budget_room(const struct wr_budget *b);    /* what a plain charge could get now */
void wr_budget_validate(const struct wr_budget *b);

#endif
