/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_LIST_H
#define WR_BASE_LIST_H

/*
 * A doubly linked ring whose links lie inside the members: nothing is allocated, and a member leaves
 * its list without knowing which one it is in. The head is a link of its own; wr_container_of leads
 * from a link to its member.
 *
 * 1. A link is in at most one list. Adding one that is linked is a bug.
 * 2. A removed link points at itself, so removing it again does nothing and wr_list_linked says no.
 * 3. A link is initialised before its first use; zeroed memory is not a list.
 *
 * The links belong to whoever owns the members. One thread at a time.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

struct wr_list {
    struct wr_list *next, *prev;
};

/* A walk during which the current member may be removed (but not the one behind it). */
#define WR_LIST_EACH(at, head)                                                   \
    for (struct wr_list *at = (head)->next, *at##_next = at->next; at != (head); \
         at = at##_next, at##_next = at->next)

static inline void wr_list_init(struct wr_list *l)
{
    l->next = l->prev = l;
}

static inline bool wr_list_empty(const struct wr_list *head)
{
    return head->next == head;
}

static inline bool wr_list_linked(const struct wr_list *l)
{
    return l->next != l;
}

static inline void wr_list_insert_(struct wr_list *l, struct wr_list *prev,
                                   struct wr_list *next)
{
    l->prev = prev;
    l->next = next;
    prev->next = l;
    next->prev = l;
}

/* At the front; wr_list_add_tail: at the back. */
static inline void wr_list_add(struct wr_list *head, struct wr_list *l)
{
    wr_list_insert_(l, head, head->next);
}

static inline void wr_list_add_tail(struct wr_list *head, struct wr_list *l)
{
    wr_list_insert_(l, head->prev, head);
}

static inline void wr_list_remove(struct wr_list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    wr_list_init(l);
}

/* The first link, or NULL. */
static inline struct wr_list *wr_list_first(const struct wr_list *head)
{
    return head->next == head ? NULL : head->next;
}

static inline struct wr_list *wr_list_last(const struct wr_list *head)
{
    return head->prev == head ? NULL : head->prev;
}

/* Removes the first link and returns it, or NULL. */
static inline struct wr_list *wr_list_pop(struct wr_list *head)
{
    struct wr_list *l = wr_list_first(head);
    if (l)
        wr_list_remove(l);
    return l;
}

/* Moves all members of from behind those of to, in order; from is empty afterwards. */
static inline void wr_list_splice_tail(struct wr_list *to, struct wr_list *from)
{
    if (wr_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    wr_list_init(from);
}

/* O(n). */
static inline size_t wr_list_count(const struct wr_list *head)
{
    size_t n = 0;
    for (const struct wr_list *l = head->next; l != head; l = l->next)
        n++;
    return n;
}

/* Walks the ring; a link whose neighbours disagree makes it false. */
static inline bool wr_list_validate(const struct wr_list *head)
{
    const struct wr_list *l = head;
    do {
        if (!l->next || !l->prev || l->next->prev != l || l->prev->next != l)
            return false;
        l = l->next;
    } while (l != head);
    return true;
}

#endif
