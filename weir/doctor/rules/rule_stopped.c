/* SPDX-License-Identifier: BSD-2-Clause */
/* process-stopped: state T or t at both looks. Somebody may have meant it: the tracer is named. */
#include "weir/doctor/rules/judge.h"

static bool stopped(const struct facts_process *p)
{
    return p->state == 'T' || p->state == 't';
}

static bool holds(const struct judge *j, uint32_t pid, const struct facts_socket *s)
{
    const struct facts_fd *fd;
    for (uint32_t i = 0; (fd = facts_owner(&j->facts->b, s->inode, i)) != NULL; i++)
        if (fd->pid == pid)
            return true;
    return false;
}

/* Who waits because of it: at its listeners, and on its connections. */
static void add_waiting(const struct judge *j, struct finding *f, uint32_t process)
{
    const struct facts_look *b = &j->facts->b;
    uint64_t waiting = 0, open = 0;
    uint32_t n;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    for (uint32_t i = 0; i < n; i++)
        open += b->sockets.v[place[i]].state == FACTS_ESTABLISHED;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto != FACTS_TCP || s->state != FACTS_LISTEN || s->rqueue == 0 ||
            !holds(j, b->processes.v[process].pid, s))
            continue;
        struct judge_queue q = judge_queue(j, s);
        waiting += q.waiting;
        f->oldest_ms = q.oldest_ms > f->oldest_ms ? q.oldest_ms : f->oldest_ms;
    }
    f->victims = open + waiting;
    if (waiting > 0)
        finding_value(f, EVIDENCE_UNACCEPTED, waiting, waiting);
    if (waiting > 0)
        finding_value(f, EVIDENCE_OLDEST_MS, f->oldest_ms, f->oldest_ms);
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
        add_waiting(j, f, i);
    }
}
