/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * et-listener-not-drained. Many healthy servers watch their listener edge-triggered and drain it: the bit alone means
 * nothing. What proves it is the same unaccepted sockets at both looks while the loop that watches sleeps in
 * epoll_wait on that very set and was not woken in between. While clients still come, each new one wakes the loop and it
 * takes one, an older one: then it sleeps again before a queue that stands. Few wake-ups for those that left tell that
 * from a server at its own limit, whose loop has other work; this is likely, no proof.
 */
#include "weir/doctor/rules/judge.h"

#include <sys/syscall.h>

static bool waits_on(const struct facts_thread *t, int epoll)
{
    bool waits = t->syscall == SYS_epoll_pwait;
#ifdef SYS_epoll_wait
    waits |= t->syscall == SYS_epoll_wait;
#endif
#ifdef SYS_epoll_pwait2
    waits |= t->syscall == SYS_epoll_pwait2;
#endif
    return waits && t->arg[0] == (uint64_t)epoll;
}

#define WAKEUPS_EACH 2 /* at most, for a connection that was taken */

/* The thread of the watch's process that sleeps on its set at both looks, the one that woke least; NULL: none. */
static const struct facts_thread *sleeper(const struct judge *j, const struct facts_watch *w,
                                          uint64_t *out_woke)
{
    const struct facts_thread *best = NULL;
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    for (uint32_t i = 0; i < b->threads.n; i++) {
        const struct facts_thread *t = &b->threads.v[i];
        if (t->pid != w->pid || !waits_on(t, w->epoll) || t->voluntary == FACTS_UNKNOWN)
            continue;
        const struct facts_thread *before =
            facts_thread(a->threads.v, a->threads.n, t->tid, t->start);
        if (!before || !waits_on(before, w->epoll) || before->voluntary == FACTS_UNKNOWN)
            continue;
        uint64_t woke = t->voluntary - before->voluntary;
        if (best && woke >= *out_woke)
            continue;
        best = t;
        *out_woke = woke;
    }
    return best;
}

static void add(const struct judge *j, const struct facts_socket *listener,
                const struct facts_watch *w, const struct facts_thread *t, uint64_t woke,
                const struct judge_queue *q)
{
    char addr[64];
    const struct facts_process *p = facts_process(&j->facts->b, w->pid);
    const struct facts_socket *before = judge_before(j, listener);
    struct finding *f = finding_add(j->out, RULE_ET_LISTENER);
    judge_addr(listener, false, addr);
    finding_subject(f, (int32_t)w->pid, (int32_t)t->tid, judge_comm(p ? p->comm : t->comm));
    finding_listener(f, wr_span_str(addr));
    f->victims = q->waiting;
    f->oldest_ms = q->oldest_ms;
    finding_of(f, EVIDENCE_ACCEPT_QUEUE, before ? before->rqueue : listener->rqueue,
               listener->rqueue, listener->wqueue);
    finding_value(f, EVIDENCE_UNACCEPTED, q->waiting, q->waiting);
    finding_over(f, &j->limits, THRESHOLD_unaccepted_min);
    finding_value(f, EVIDENCE_GAVE_UP, q->gave_up, q->gave_up);
    finding_value(f, EVIDENCE_OLDEST_MS, q->oldest_ms, q->oldest_ms);
    finding_value(f, EVIDENCE_EPOLL_FD, (uint64_t)w->epoll, (uint64_t)w->epoll);
    finding_value(f, EVIDENCE_EPOLL_MASK, w->events, w->events);
    finding_text(f, EVIDENCE_SYSCALL, WR_LIT("epoll_wait"));
    finding_value(f, EVIDENCE_WAKEUPS, woke, woke);
    if (woke > 0)
        finding_weaken(f, CERTAINTY_LIKELY);
    if (before && before->drops != FACTS_NONE && listener->drops != FACTS_NONE)
        finding_value(f, EVIDENCE_LISTENER_DROPS, before->drops, listener->drops);
}

static void judge_listener(const struct judge *j, const struct facts_socket *listener)
{
    uint32_t n = 0;
    const struct facts_watch *w = facts_watches(&j->facts->b, listener->inode, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (!(w[i].events & FACTS_WATCH_EDGE) || !judge_is_target(j, w[i].pid))
            continue;
        uint64_t woke = 0;
        const struct facts_thread *t = sleeper(j, &w[i], &woke);
        struct judge_queue q = t ? judge_queue(j, listener) : (struct judge_queue){0};
        if (t && q.waiting >= judge_limit(j, THRESHOLD_unaccepted_min) &&
            woke <= q.left * WAKEUPS_EACH) {
            add(j, listener, &w[i], t, woke, &q);
            return; /* once for a listener, however many sets */
        }
    }
}

void rule_et_listener(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto == FACTS_TCP && s->state == FACTS_LISTEN && s->rqueue > 0 && s->inode != 0)
            judge_listener(j, s);
    }
}
