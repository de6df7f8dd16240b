/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fd-limit: the process has as many descriptors as it may at both looks, and it suffers: a queue of its stands, or a
 * thread runs all the time because accept() fails again and again. A process that lives well at its limit is none.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

static bool at_limit(const struct judge *j, const struct facts_process *p)
{
    if (p->fds == FACTS_UNKNOWN || p->nofile_soft >= FACTS_UNKNOWN - 1)
        return false;
    return p->fds + judge_limit(j, THRESHOLD_fd_spare) >= p->nofile_soft;
}

/* The listener of pid whose queue stands; NULL: none does. */
static const struct facts_socket *standing(const struct judge *j, uint32_t pid,
                                           struct judge_queue *out)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto == FACTS_TCP && s->state == FACTS_LISTEN && s->inode &&
            judge_held_as(b, s->inode, pid) >= 0 && judge_queue_stands(j, s, out))
            return s;
    }
    return NULL;
}

static uint64_t cpu_percent(const struct judge *j, const struct facts_thread *t)
{
    const struct facts_thread *before = judge_thread_before(j, t);
    uint64_t ms = judge_between_ms(j), ticks = j->facts->b.ticks;
    if (!before || ms == 0 || ticks == 0)
        return 0;
    uint64_t ran = t->utime + t->stime - before->utime - before->stime;
    return ran * 100 * 1000 / ticks / ms;
}

static const struct facts_thread *spinner(const struct judge *j, uint32_t pid,
                                          uint64_t *out_percent)
{
    const struct facts_thread *t;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));) {
        *out_percent = cpu_percent(j, t);
        if (*out_percent >= judge_limit(j, THRESHOLD_spin_percent))
            return t;
    }
    *out_percent = 0;
    return NULL;
}

static void judge_process(const struct judge *j, const struct facts_process *before,
                          const struct facts_process *p)
{
    struct judge_queue q = {0};
    uint64_t percent;
    const struct facts_socket *s = standing(j, p->pid, &q);
    const struct facts_thread *t = spinner(j, p->pid, &percent);
    if (!s && !t)
        return;
    struct finding *f = finding_add(j->out, RULE_FD_LIMIT);
    finding_subject(f, (int32_t)p->pid, t ? (int32_t)t->tid : 0, judge_comm(p->comm));
    finding_of(f, EVIDENCE_FDS, before->fds, p->fds, p->nofile_soft);
    finding_over(f, &j->limits, THRESHOLD_fd_spare);
    if (s)
        judge_put_queue(j, f, s, &q);
    if (t) {
        finding_value(f, EVIDENCE_CPU_PERCENT, percent, percent);
        finding_over(f, &j->limits, THRESHOLD_spin_percent);
    }
}

void rule_fd_limit(const struct judge *j)
{
    const struct facts_process *p;
    for (uint32_t at = 0; (p = judge_next_process(j, &at));) {
        const struct facts_process *before = facts_process(&j->facts->a, p->pid);
        if (before && at_limit(j, p) && at_limit(j, before))
            judge_process(j, before, p);
    }
}
