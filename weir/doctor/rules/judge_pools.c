/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of the target's pools that have lent all that they may the one in which most wait; NULL: there is none. */
static const struct facts_weir_pool *worst_pool(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_weir_pool *worst = NULL;
    for (uint32_t i = 0; i < b->weir_pools.n; i++) {
        const struct facts_weir_pool *p = &b->weir_pools.v[i];
        bool empty = p->lent >= p->max_open && p->waiting > 0;
        if (empty && judge_is_target(j, p->pid) && (!worst || p->waiting > worst->waiting))
            worst = p;
    }
    return worst;
}

static const struct facts_weir_lease *longest(const struct facts_look *l,
                                              const struct facts_weir_pool *p)
{
    const struct facts_weir_lease *best = NULL;
    for (uint32_t i = 0; i < l->weir_leases.n; i++) {
        const struct facts_weir_lease *e = &l->weir_leases.v[i];
        if (e->pid == p->pid && (!best || e->held_ms > best->held_ms) &&
            strcmp(facts_text(l, e->pool), facts_text(l, p->name)) == 0)
            best = e;
    }
    return best;
}

static void put_text(struct finding *f, enum evidence_name name, const char *text)
{
    finding_text(f, name, wr_span_str(text));
}

bool judge_pool_is_empty(const struct judge *j)
{
    return worst_pool(j) != NULL;
}

void judge_put_pool(const struct judge *j, struct finding *f)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_weir_pool *p = worst_pool(j);
    const struct facts_weir_lease *e = p ? longest(b, p) : NULL;
    char text[EVIDENCE_TEXT];
    if (!p)
        return;
    (void)snprintf(text, sizeof text,
                   "%.24s: %" PRIu64 " of %" PRIu64 " lent, %" PRIu64 " wait",
                   facts_text(b, p->name), p->lent, p->max_open, p->waiting);
    put_text(f, EVIDENCE_POOL, text);
    if (!e)
        return;
    (void)snprintf(text, sizeof text, "%.64s, %" PRIu64 ".%" PRIu64 " s",
                   facts_text(b, e->where), e->held_ms / 1000, e->held_ms / 100 % 10);
    put_text(f, EVIDENCE_BORROWER, text);
}
