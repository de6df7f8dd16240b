/* SPDX-License-Identifier: BSD-2-Clause */
/* fd-limit: the process has as many descriptors as it may, at both looks. */
#include "weir/doctor/judge.h"

static bool at_limit(const struct judge *j, const struct facts_process *p)
{
    if (p->fds == FACTS_UNKNOWN || p->nofile_soft >= FACTS_UNKNOWN - 1)
        return false;
    return p->fds + judge_limit(j, THRESHOLD_fd_spare) >= p->nofile_soft;
}

void rule_fd_limit(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        const struct facts_process *p = &b->processes.v[i];
        const struct facts_process *before = facts_process(&j->facts->a, p->pid);
        if (!judge_is_target(j, p->pid) || !before || before->start != p->start ||
            !at_limit(j, p) || !at_limit(j, before))
            continue;
        struct finding *f = finding_add(j->out, RULE_FD_LIMIT);
        finding_subject(f, (int32_t)p->pid, 0, judge_comm(p->comm));
        finding_of(f, EVIDENCE_FDS, before->fds, p->fds, p->nofile_soft);
        finding_over(f, &j->limits, THRESHOLD_fd_spare);
    }
}
