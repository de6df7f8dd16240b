/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk-stall: a thread is in state D at both looks and did not wake in between. A parent that waits in vfork() and a
 * process that is frozen are in that state too, and wait for no disk.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

#include <string.h>

static bool is_no_disk(const struct facts_thread *t)
{
    return judge_call(t)->kind == CALL_CHILD || strstr(t->wchan, "vfork") ||
           strstr(t->wchan, "refrigerator") || strstr(t->wchan, "freezer") ||
           strstr(t->wchan, "coredump") || strstr(t->wchan, "ptrace");
}

/* In a page fault there is no call to compare: then where the kernel waits must be the same. */
static bool stalls(const struct judge *j, const struct facts_thread *t)
{
    const struct facts_thread *before = judge_thread_before(j, t);
    if (t->state != 'D' || !before || before->state != 'D' || is_no_disk(t) ||
        t->voluntary == FACTS_UNKNOWN || t->voluntary != before->voluntary ||
        judge_between_ms(j) < judge_limit(j, THRESHOLD_blocked_min_ms))
        return false;
    return judge_slept(j, t) || (t->syscall < 0 && t->wchan[0] &&
                                 strncmp(t->wchan, before->wchan, sizeof t->wchan) == 0);
}

static struct finding *add(const struct judge *j, const struct facts_thread *t)
{
    char text[EVIDENCE_TEXT];
    const struct facts_process *p = facts_process(&j->facts->b, t->pid);
    struct finding *f = finding_add(j->out, RULE_DISK_STALL);
    finding_subject(f, (int32_t)t->pid, (int32_t)t->tid, judge_comm(p ? p->comm : t->comm));
    finding_text(f, EVIDENCE_STATE, wr_span(&t->state, 1));
    if (t->syscall >= 0)
        finding_text(f, EVIDENCE_SYSCALL, wr_span_str(judge_call(t)->name));
    judge_wait_text(j, t, text);
    finding_text(f, EVIDENCE_BLOCKED_ON,
                 *text ? wr_span_str(text) : WR_LIT("a page of its memory or a file"));
    if (t->wchan[0])
        finding_text(f, EVIDENCE_WCHAN, wr_span(t->wchan, strnlen(t->wchan, sizeof t->wchan)));
    finding_value(f, EVIDENCE_ASLEEP_MS, judge_between_ms(j), judge_between_ms(j));
    finding_over(f, &j->limits, THRESHOLD_blocked_min_ms);
    finding_value(f, EVIDENCE_WAKEUPS, 0, 0);
    return f;
}

void rule_disk_stall(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_process *p;
    for (uint32_t at = 0; (p = judge_next_process(j, &at));) {
        const struct facts_thread *t;
        struct finding *f = NULL;
        for (uint32_t i = 0; (t = judge_next_thread(b, p->pid, &i));) {
            if (!stalls(j, t))
                continue;
            f = f ? f : add(j, t); /* once for a process */
            f->victims++;
        }
    }
}
