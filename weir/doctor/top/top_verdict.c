/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge.h"
#include "weir/doctor/top/top.h"

#include <errno.h>
#include <stdlib.h>

/* What concerns the machine is found for every program, and told once. */
static bool told(const struct findings *all, const struct finding *f)
{
    if (rule_get(f->rule)->scope != SCOPE_HOST)
        return false;
    for (unsigned i = 0; i < all->n; i++)
        if (all->row[i].rule == f->rule)
            return true;
    return false;
}

static void take(struct findings *all, const struct findings *some)
{
    for (unsigned i = 0; i < some->leading; i++) {
        const struct finding *f = &some->row[some->order[i]];
        if (told(all, f))
            continue;
        if (all->n == FINDINGS_MAX) {
            all->lost++;
            continue;
        }
        all->row[all->n++] = *f;
    }
    all->lost += some->lost;
}

static bool before(const struct finding *x, const struct finding *y)
{
    if (x->severity != y->severity)
        return x->severity > y->severity;
    if (x->certainty != y->certainty)
        return x->certainty > y->certainty;
    return x->victims > y->victims;
}

/* Causes were settled program by program: here is only order. */
static void put_in_order(struct findings *all)
{
    for (unsigned i = 0; i < all->n; i++) {
        unsigned at = i;
        while (at > 0 && before(&all->row[i], &all->row[all->order[at - 1]])) {
            all->order[at] = all->order[at - 1];
            at--;
        }
        all->order[at] = (uint8_t)i;
    }
    all->leading = all->n;
}

static int judge_group(const struct facts *f, const struct target_groups *g, uint32_t i,
                       struct findings *out)
{
    const struct target_group *row = &g->rows.v[i];
    struct judge_target t = {.pids = &g->pids.v[row->first], .n_pids = row->n};
    if (row->n == 0)
        t = (struct judge_target){.ports = &row->port, .n_ports = 1};
    return judge_all(f, &t, out);
}

int top_judge(const struct facts *f, const struct target_groups *g, struct findings *out)
{
    static const struct judge_target everything;
    findings_init(out);
    if (g->rows.n == 0)
        return judge_all(f, &everything, out);
    if (g->rows.n == 1)
        return judge_group(f, g, 0, out);
    struct findings *one = wr_heap_alloc(f->b.heap, sizeof *one);
    if (!one)
        return -ENOMEM;
    int err = 0;
    for (uint32_t i = 0; !err && i < g->rows.n; i++) {
        err = judge_group(f, g, i, one);
        if (!err)
            take(out, one);
    }
    put_in_order(out);
    wr_heap_free(f->b.heap, one, sizeof *one);
    return err;
}
