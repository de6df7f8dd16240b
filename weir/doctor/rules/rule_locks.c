/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork-mutex-deadlock and mutex-cycle: a thread sleeps at a mutex from look to look, and the mutex tells its owner.
 * An owner that is no thread of the process will never unlock it: fork() copied the lock, not the thread. A walk from
 * owner to owner that comes back is a circle. Locks shared between processes may have their owner elsewhere: of
 * those nothing is said.
 */
#include "weir/doctor/rules/judge_thread.h"

#define SHARED 128U /* in kind */

static const struct facts_thread *thread_of(const struct facts_look *l, uint32_t pid,
                                            uint32_t tid)
{
    const struct facts_thread *t;
    for (uint32_t at = 0; (t = judge_next_thread(l, pid, &at));)
        if (t->tid == tid)
            return t;
    return NULL;
}

static const struct facts_futex *lock_of(const struct facts_look *l, uint32_t pid, uint32_t tid)
{
    for (uint32_t i = 0; i < l->futexes.n; i++)
        if (l->futexes.v[i].pid == pid && l->futexes.v[i].tid == tid)
            return &l->futexes.v[i];
    return NULL;
}

/* The thread that slept at this lock from look to look, with the same owner; NULL: it did not. */
static const struct facts_thread *waiter(const struct judge *j, const struct facts_futex *x)
{
    const struct facts_futex *before = lock_of(&j->facts->a, x->pid, x->tid);
    const struct facts_thread *t = thread_of(&j->facts->b, x->pid, x->tid);
    if (!t || !before || before->addr != x->addr || before->owner != x->owner ||
        t->arg[0] != x->addr || (x->kind & SHARED) || !judge_blocked(j, t))
        return NULL;
    return t;
}

static struct finding *add(const struct judge *j, enum rule_name rule,
                           const struct facts_futex *x, const struct facts_thread *t)
{
    const struct facts_process *p = facts_process(&j->facts->b, x->pid);
    struct finding *f = finding_add(j->out, rule);
    finding_subject(f, (int32_t)x->pid, (int32_t)x->tid, judge_comm(p ? p->comm : t->comm));
    finding_text(f, EVIDENCE_SYSCALL, wr_span_str(judge_call(t)->name));
    finding_value(f, EVIDENCE_ASLEEP_MS, judge_between_ms(j), judge_between_ms(j));
    finding_over(f, &j->limits, THRESHOLD_blocked_min_ms);
    finding_value(f, EVIDENCE_LOCK, x->addr, x->addr);
    finding_value(f, EVIDENCE_LOCK_OWNER, x->owner, x->owner);
    finding_value(f, EVIDENCE_WAKEUPS, 0, 0);
    return f;
}

static bool owner_is_gone(const struct judge *j, const struct facts_futex *x)
{
    return judge_threads_known(j, x->pid) && !thread_of(&j->facts->a, x->pid, x->owner) &&
           !thread_of(&j->facts->b, x->pid, x->owner);
}

void rule_fork_mutex(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    struct finding *f = NULL;
    for (uint32_t i = 0; i < b->futexes.n; i++) {
        const struct facts_futex *x = &b->futexes.v[i];
        const struct facts_thread *t = judge_is_target(j, x->pid) ? waiter(j, x) : NULL;
        if (!t || !owner_is_gone(j, x))
            continue;
        if (!f || f->subject.pid != (int32_t)x->pid) /* once for a process */
            f = add(j, RULE_FORK_MUTEX, x, t);
        f->victims++;
    }
}

/* How many threads are in the circle that begins at x, if x is the lowest of them; 0: there is none. */
static unsigned circle(const struct judge *j, const struct facts_futex *x)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_futex *at = x;
    for (unsigned n = 1; n <= b->futexes.n; n++) {
        if (at->owner == x->tid)
            return n;
        at = lock_of(b, x->pid, at->owner);
        if (!at || at->tid < x->tid || !waiter(j, at))
            return 0;
    }
    return 0;
}

void rule_mutex_cycle(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->futexes.n; i++) {
        const struct facts_futex *x = &b->futexes.v[i];
        const struct facts_thread *t = judge_is_target(j, x->pid) ? waiter(j, x) : NULL;
        unsigned n = t ? circle(j, x) : 0;
        if (n == 0)
            continue;
        struct finding *f = add(j, RULE_MUTEX_CYCLE, x, t);
        finding_value(f, EVIDENCE_CYCLE, n, n);
        f->victims = n;
    }
}
