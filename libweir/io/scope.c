/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/scope.h"
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/mutant.h"
#include "libweir/io/loop.h"

static void on_deadline(struct wr_timer *t)
{
    wr_scope_cancel(wr_container_of(t, struct wr_scope, deadline), WR_E_DEADLINE);
}

void wr_scope_init(struct wr_scope *s, struct wr_loop *loop, struct wr_scope *parent,
                   uint64_t deadline_ms)
{
    *s = (struct wr_scope){.loop = loop, .parent = parent, .why = parent ? parent->why : 0};
    s->deadline.fn = on_deadline;
    wr_list_init(&s->link);
    wr_list_init(&s->children);
    wr_list_init(&s->ops);
    if (s->why)
        s->parent =
            NULL; /* dead already; the parent's walk over its children is not disturbed */
    else if (parent)
        wr_list_add_tail(&parent->children, &s->link);
    wr_scope_set_deadline(s, deadline_ms);
}

void wr_scope_set_deadline(struct wr_scope *s, uint64_t deadline_ms)
{
    if (!deadline_ms || s->why) {
        wr_wheel_cancel(&s->deadline);
        return;
    }
    WR_ASSERT(s->loop);
    wr_loop_timer_arm(s->loop, &s->deadline, deadline_ms);
}

static void leave_parent(struct wr_scope *s)
{
    wr_list_remove(&s->link);
    s->parent = NULL;
}

static void end(struct wr_op *op)
{
    wr_list_remove(&op->link);
    op->scope = NULL;
}

/* True the first time. */
static bool mark(struct wr_scope *s, int why)
{
    if (s->why)
        return false;
    s->why = why;
    wr_wheel_cancel(&s->deadline);
    return true;
}

/*
 * Completes everything in and below a marked scope. Each callback may change the lists in any way, so
 * they are taken from the heads one by one; a child stays linked until it is empty, so that whoever
 * deinits the scope meanwhile finds it. False: the scope was deinited meanwhile, hands off.
 */
static bool drain(struct wr_scope *s)
{
    bool gone = false, *outer = s->gone;
    struct wr_list *link;
    s->gone = &gone;
    while (!gone && (link = wr_list_first(&s->children))) {
        struct wr_scope *child = wr_container_of(link, struct wr_scope, link);
        bool first = mark(child, s->why);
        if (!drain(child))
            continue;
        leave_parent(child);
        if (first && child->done)
            child->done(child, child->why);
    }
    while (!gone && (link = wr_list_first(&s->ops))) {
        struct wr_op *op = wr_container_of(link, struct wr_op, link);
        end(op);
        if (WR_MUTANT("callback-after-timeout"))
            op->scope = s; /* so that it can end once more */
        op->cancel(op, s->why);
    }
    if (!gone)
        s->gone = outer;
    else if (outer)
        *outer = true; /* further up the stack the same scope is being drained */
    return !gone;
}

void wr_scope_cancel(struct wr_scope *s, int why)
{
    WR_ASSERT(why < 0);
    if (mark(s, why) && drain(s) && s->done)
        s->done(s, why);
}

void wr_scope_deinit(struct wr_scope *s)
{
    s->done = NULL;
    (void)mark(s, WR_E_CANCELED);
    if (!drain(s))
        return; /* a callback deinited it, too */
    leave_parent(s);
    if (s->gone)
        *s->gone = true;
    s->gone = NULL;
}

uint64_t wr_scope_left_ms(const struct wr_scope *s)
{
    uint64_t left = UINT64_MAX;
    for (; s; s = s->parent) {
        if (!wr_timer_armed(&s->deadline))
            continue;
        uint64_t now = wr_loop_now_ms(s->loop), due = s->deadline.due_ms;
        uint64_t mine = due > now ? due - now : 0;
        left = mine < left ? mine : left;
    }
    return left;
}

size_t wr_scope_pending(const struct wr_scope *s)
{
    size_t n = wr_list_count(&s->ops);
    for (const struct wr_list *l = s->children.next; l != &s->children; l = l->next)
        n += wr_scope_pending(
            wr_container_of((struct wr_list *)(uintptr_t)l, struct wr_scope, link));
    return n;
}

bool wr_scope_validate(const struct wr_scope *s)
{
    if (!wr_list_validate(&s->ops) || !wr_list_validate(&s->children))
        return false;
    WR_LIST_EACH(link, &s->ops)
    if (wr_container_of(link, struct wr_op, link)->scope != s)
        return false;
    WR_LIST_EACH(link, &s->children)
    {
        const struct wr_scope *child = wr_container_of(link, struct wr_scope, link);
        if (child->parent != s || !wr_scope_validate(child))
            return false;
    }
    return true;
}

int wr_op_begin(struct wr_scope *s, struct wr_op *op, void (*cancel)(struct wr_op *op, int why))
{
    WR_ASSERT(!op->scope);
    if (s->why)
        return s->why;
    *op = (struct wr_op){.cancel = cancel, .scope = s};
    wr_list_add_tail(&s->ops, &op->link);
    return 0;
}

bool wr_op_end(struct wr_op *op)
{
    if (!op->scope)
        return false;
    end(op);
    return true;
}
