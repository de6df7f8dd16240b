/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zombie-children: children that have ended and that their parent has not waited for, so many at both looks. A few cost a
 * number each; many are on the way to the limit of processes.
 */
#include "weir/doctor/rules/judge.h"

void rule_zombies(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        const struct facts_process *p = &b->processes.v[i];
        const struct facts_process *was = facts_process(&j->facts->a, p->pid);
        if (!judge_is_target(j, p->pid) || !was || was->start != p->start ||
            p->zombies == FACTS_NONE || was->zombies == FACTS_NONE)
            continue;
        uint32_t always = p->zombies < was->zombies ? p->zombies : was->zombies;
        if (always == 0 || always < judge_limit(j, THRESHOLD_zombies_min))
            continue;
        struct finding *f = finding_add(j->out, RULE_ZOMBIES);
        judge_name(j, f, i);
        if (always < judge_limit(j, THRESHOLD_zombies_warn))
            f->severity = SEVERITY_INFO;
        finding_value(f, EVIDENCE_ZOMBIES, was->zombies, p->zombies);
        finding_over(f, &j->limits, THRESHOLD_zombies_min);
    }
}
