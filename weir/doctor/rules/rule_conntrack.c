/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conntrack-full: the table of tracked connections is nearly full at both looks; proof when the kernel drops for it.
 * Before that it is a warning. Inside a container the table is often invisible: then nothing is said.
 */
#include "weir/doctor/rules/judge.h"

static bool nearly_full(const struct judge *j, const struct facts_look *l)
{
    uint64_t have = l->sysctl[FACTS_SYS_CONNTRACK_COUNT][0];
    uint64_t room = l->sysctl[FACTS_SYS_CONNTRACK_MAX][0];
    return have != FACTS_UNKNOWN && room != FACTS_UNKNOWN && room > 0 &&
           judge_percent(have, room) >= judge_limit(j, THRESHOLD_conntrack_percent);
}

void rule_conntrack(const struct judge *j)
{
    static const enum facts_counter losses[] = {
        FACTS_CONNTRACK_DROP, FACTS_CONNTRACK_EARLY_DROP, FACTS_CONNTRACK_INSERT_FAILED};
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    if (!nearly_full(j, a) || !nearly_full(j, b))
        return;
    uint64_t drops = 0;
    for (unsigned i = 0; i < WR_ARRAY_LEN(losses); i++) {
        uint64_t n = facts_rise(j->facts, losses[i]);
        drops += n == FACTS_UNKNOWN ? 0 : n;
    }
    struct finding *f = finding_add(j->out, RULE_CONNTRACK);
    if (drops == 0) {
        f->severity = SEVERITY_WARN;
        finding_weaken(f, CERTAINTY_LIKELY);
    }
    finding_of(f, EVIDENCE_CONNTRACK, a->sysctl[FACTS_SYS_CONNTRACK_COUNT][0],
               b->sysctl[FACTS_SYS_CONNTRACK_COUNT][0], b->sysctl[FACTS_SYS_CONNTRACK_MAX][0]);
    finding_over(f, &j->limits, THRESHOLD_conntrack_percent);
    finding_value(f, EVIDENCE_DROPS, drops, drops);
}
