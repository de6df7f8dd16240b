/* SPDX-License-Identifier: BSD-2-Clause */
/* process-stopped: state T or t at both looks. Somebody may have meant it: the tracer is named. */
#include "weir/doctor/judge.h"

static bool stopped(const struct facts_process *p)
{
    return p->state == 'T' || p->state == 't';
}

/* Who waits because of it. */
static void add_connections(const struct judge *j, struct finding *f, uint32_t process)
{
    uint32_t n;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    uint64_t open = 0;
    for (uint32_t i = 0; i < n; i++)
        open += j->facts->b.sockets.v[place[i]].state == FACTS_ESTABLISHED;
    f->victims = open;
    if (open > 0)
        finding_value(f, EVIDENCE_CONNS, open, open);
}

void rule_stopped(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        const struct facts_process *p = &b->processes.v[i];
        const struct facts_process *before = facts_process(&j->facts->a, p->pid);
        if (!judge_is_target(j, p->pid) || !stopped(p) || !before ||
            before->start != p->start || !stopped(before))
            continue;
        struct finding *f = finding_add(j->out, RULE_STOPPED);
        finding_subject(f, (int32_t)p->pid, 0, judge_comm(p->comm));
        finding_text(f, EVIDENCE_STATE, wr_span(&p->state, 1));
        if (p->tracer > 0)
            finding_value(f, EVIDENCE_TRACER, p->tracer, p->tracer);
        add_connections(j, f, i);
    }
}
