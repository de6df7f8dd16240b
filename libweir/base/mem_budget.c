/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem_budget.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

/* Somebody without a place in any queue: everybody who waits came earlier. */
#define NEWCOMER UINT64_MAX
/* Passes every queue and may use the reserve. */
#define URGENT   0

/* ---- the queue: a ring, ordered by ticket -------------------------------------------------------- */
static struct wr_budget_waiter *queue_head(const struct wr_budget *b)
{
    return b->queue.next == &b->queue ? NULL : b->queue.next;
}

static void park(struct wr_budget_waiter *w, struct wr_budget *at)
{
    struct wr_budget_waiter *after = at->queue.prev;
    while (after != &at->queue && after->ticket > w->ticket)
        after = after->prev;
    w->at = at;
    w->prev = after;
    w->next = after->next;
    after->next->prev = w;
    after->next = w;
    at->root->parked++;
}

static void unpark(struct wr_budget_waiter *w)
{
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->prev = w->next = NULL;
    w->at->root->parked--;
    w->at = NULL;
}

/* ---- climbing ------------------------------------------------------------------------------------ */
static size_t limit(const struct wr_budget *b, bool urgent)
{
    if (urgent || b->hard == WR_BUDGET_NONE)
        return b->hard;
    return b->hard - (b->reserve < b->hard ? b->reserve : b->hard);
}

static bool refuses(const struct wr_budget *b, size_t n, uint64_t ticket)
{
    size_t max = limit(b, ticket == URGENT);
    if (n > max || b->used > max - n)
        return true;
    const struct wr_budget_waiter *head = queue_head(b);
    return head && head->ticket < ticket;
}

/* The first node from b up to, not including, top that says no. */
static struct wr_budget *refuser(struct wr_budget *b, const struct wr_budget *top, size_t n,
                                 uint64_t ticket)
{
    for (; b != top; b = b->parent)
        if (refuses(b, n, ticket))
            return b;
    return NULL;
}

static void add(struct wr_budget *b, const struct wr_budget *top, size_t n)
{
    for (; b != top; b = b->parent) {
        bool was_over = b->used > b->soft;
        b->used += n;
        if (b->used > b->peak)
            b->peak = b->used;
        if (!was_over && b->used > b->soft && b->on_soft)
            b->on_soft(b, true);
    }
}

static void subtract(struct wr_budget *b, const struct wr_budget *top, size_t n)
{
    for (; b != top; b = b->parent) {
        WR_ASSERT(b->used >= n);
        bool was_over = b->used > b->soft;
        b->used -= n;
        if (was_over && b->used <= b->soft && b->on_soft)
            b->on_soft(b, false);
    }
}

static struct wr_budget *common_ancestor(struct wr_budget *a, struct wr_budget *b)
{
    for (; a; a = a->parent)
        for (struct wr_budget *c = b; c; c = c->parent)
            if (a == c)
                return a;
    return NULL;
}

static bool fits_ever(const struct wr_budget *b, size_t n)
{
    for (; b; b = b->parent)
        if (n > limit(b, false))
            return false;
    return true;
}

/* ---- serving ------------------------------------------------------------------------------------- */
/* One step for the head of b's queue: false when it must stay. It is called with its charge made, or it
 * moves to the queue of another node that refuses it, at the place its ticket gives it there. */
static bool serve_head(struct wr_budget *b, struct wr_budget_waiter *w)
{
    if (!fits_ever(w->budget, w->n)) {
        unpark(w);
        w->fn(w, WR_E_TOO_BIG);
        return true;
    }
    struct wr_budget *no = refuser(w->budget, NULL, w->n, w->ticket);
    if (no == b)
        return false;
    unpark(w);
    if (no) {
        park(w, no);
    } else {
        add(w->budget, NULL, w->n);
        w->fn(w, 0);
    }
    return true;
}

/* A waiter that is called may release again: the outermost call does the work of the inner ones, so
 * that the stack does not grow with the queue. */
static void serve(struct wr_budget *b)
{
    if (b->serving) {
        b->again = true;
        return;
    }
    b->serving = true;
    do {
        b->again = false;
        struct wr_budget_waiter *w = queue_head(b);
        while (w && serve_head(b, w))
            w = queue_head(b);
    } while (b->again);
    b->serving = false;
}

static void serve_up(struct wr_budget *b, const struct wr_budget *top)
{
    while (b != top) {
        struct wr_budget *parent = b->parent;
        if (queue_head(b))
            serve(b);
        b = parent;
    }
}

/* ---- public -------------------------------------------------------------------------------------- */
void wr_budget_init(struct wr_budget *b, struct wr_budget *parent, const char *name,
                    size_t soft, size_t hard)
{
    WR_ASSERT(soft <= hard);
    *b = (struct wr_budget){.parent = parent, .name = name, .soft = soft, .hard = hard};
    b->queue.next = b->queue.prev = &b->queue;
    b->root = parent ? parent->root : b;
    if (parent)
        parent->children++;
}

void wr_budget_deinit(struct wr_budget *b)
{
    if (b->used > 0)
        WR_PANIC("budget %s: %zu bytes never released", b->name, b->used);
    WR_ASSERT(!queue_head(b) && b->children == 0 && !b->serving);
    if (b->parent)
        b->parent->children--;
    b->parent = NULL;
}

void wr_budget_set(struct wr_budget *b, size_t soft, size_t hard, size_t reserve)
{
    WR_ASSERT(soft <= hard);
    bool was_over = b->used > b->soft;
    b->soft = soft;
    b->hard = hard;
    b->reserve = reserve;
    if (was_over != (b->used > soft) && b->on_soft)
        b->on_soft(b, !was_over);
    serve(b);
}

static int charge(struct wr_budget *b, size_t n, uint64_t ticket)
{
    struct wr_budget *no = refuser(b, NULL, n, ticket);
    if (no) {
        no->refusals++;
        return WR_E_BUDGET;
    }
    add(b, NULL, n);
    return 0;
}

int wr_budget_charge(struct wr_budget *b, size_t n)
{
    return charge(b, n, NEWCOMER);
}

int wr_budget_charge_urgent(struct wr_budget *b, size_t n)
{
    return charge(b, n, URGENT);
}

void wr_budget_release(struct wr_budget *b, size_t n)
{
    subtract(b, NULL, n);
    serve_up(b, NULL);
}

int wr_budget_move(struct wr_budget *from, struct wr_budget *to, size_t n)
{
    struct wr_budget *top = common_ancestor(from, to);
    struct wr_budget *no = refuser(to, top, n, NEWCOMER);
    if (no) {
        no->refusals++;
        return WR_E_BUDGET;
    }
    add(to, top, n);
    subtract(from, top, n);
    serve_up(from, top);
    return 0;
}

int wr_budget_wait(struct wr_budget *b, struct wr_budget_waiter *w, size_t n,
                   void (*fn)(struct wr_budget_waiter *w, int err))
{
    if (!fits_ever(b, n))
        return WR_E_TOO_BIG;
    struct wr_budget *no = refuser(b, NULL, n, NEWCOMER);
    *w = (struct wr_budget_waiter){.budget = b, .n = n, .fn = fn};
    if (!no) {
        add(b, NULL, n);
        return 1;
    }
    w->ticket = ++b->root->tickets;
    no->waits++;
    park(w, no);
    return 0;
}

void wr_budget_cancel(struct wr_budget_waiter *w)
{
    struct wr_budget *at = w->at;
    if (!at)
        return;
    unpark(w);
    serve(at); /* whoever stood behind a large wish may fit now */
}

bool wr_budget_waiting(const struct wr_budget_waiter *w)
{
    return w->at != NULL;
}

bool wr_budget_over_soft(const struct wr_budget *b)
{
    for (; b; b = b->parent)
        if (b->used > b->soft)
            return true;
    return false;
}

size_t wr_budget_room(const struct wr_budget *b)
{
    size_t room = SIZE_MAX;
    for (; b; b = b->parent) {
        size_t max = limit(b, false);
        size_t here = queue_head(b) || b->used > max ? 0 : max - b->used;
        room = here < room ? here : room;
    }
    return room;
}

void wr_budget_validate(const struct wr_budget *b)
{
    uint64_t last = 0;
    WR_ASSERT(b->used <= b->peak && b->soft <= b->hard);
    WR_ASSERT(!b->parent || b->parent->used >= b->used);
    for (struct wr_budget_waiter *w = b->queue.next; w != &b->queue; w = w->next) {
        WR_ASSERT(w->at == b && w->prev->next == w && w->ticket > last);
        last = w->ticket;
    }
    struct wr_budget_waiter *head = queue_head(b);
    WR_ASSERT(!head || b->serving || refuser(head->budget, NULL, head->n, head->ticket));
}
