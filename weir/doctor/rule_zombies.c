/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zombie-children: children that have ended and that their parent has not waited for, the same ones at both looks. A few
 * cost a number each; many are on the way to the limit of processes.
 */
#include "weir/doctor/judge.h"

static uint64_t dead_children(const struct judge *j, const struct facts_look *l, uint32_t pid)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < l->processes.n; i++) {
        const struct facts_process *p = &l->processes.v[i];
        const struct facts_process *was = facts_process(&j->facts->a, p->pid);
        n += p->parent == pid && p->state == 'Z' && was && was->state == 'Z' &&
             was->start == p->start;
    }
    return n;
}

void rule_zombies(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    uint64_t all = 0; /* most machines have none: then nobody's children are counted */
    for (uint32_t i = 0; i < b->processes.n; i++)
        all += b->processes.v[i].state == 'Z';
    if (all < judge_limit(j, THRESHOLD_zombies_min))
        return;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        uint32_t pid = b->processes.v[i].pid;
        uint64_t n = judge_is_target(j, pid) ? dead_children(j, b, pid) : 0;
        if (n == 0 || n < judge_limit(j, THRESHOLD_zombies_min))
            continue;
        struct finding *f = finding_add(j->out, RULE_ZOMBIES);
        judge_name(j, f, i);
        if (n < judge_limit(j, THRESHOLD_zombies_warn))
            f->severity = SEVERITY_INFO;
        finding_value(f, EVIDENCE_ZOMBIES, n, n);
        finding_over(f, &j->limits, THRESHOLD_zombies_min);
    }
}
