/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * et-listener-not-drained. Many healthy servers watch their listener edge-triggered and drain it: the bit alone means
 * nothing. What proves it is the same unaccepted sockets at both looks while the loop that watches sleeps in
 * epoll_wait on that very set and was not woken in between. While clients still come, each new one wakes the loop and it
 * takes one, an older one: then it sleeps again before a queue that stands. Few wake-ups for those that left tell that
 * from a server at its own limit, whose loop has other work; this is likely, no proof.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

#define WAKEUPS_EACH 2 /* at most, for a connection that was taken */

/* The thread of the watch's process that sleeps on its set at both looks, the one that woke least; NULL: none. */
static const struct facts_thread *sleeper(const struct judge *j, const struct facts_watch *w,
                                          uint64_t *out_woke)
{
    const struct facts_thread *best = NULL;
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->threads.n; i++) {
        const struct facts_thread *t = &b->threads.v[i];
        if (t->pid != w->pid || !judge_waits_on(t, w->epoll) || t->voluntary == FACTS_UNKNOWN)
            continue;
        const struct facts_thread *before = judge_thread_before(j, t);
        if (!before || !judge_waits_on(before, w->epoll) || before->voluntary == FACTS_UNKNOWN)
            continue;
        uint64_t woke = t->voluntary - before->voluntary;
        if (best && woke >= *out_woke)
            continue;
        best = t;
        *out_woke = woke;
    }
    return best;
}

struct evidence_of { /* the disease */
    const struct facts_watch *watch;
    const struct facts_thread *loop;
    uint64_t woke;
    struct judge_queue queue;
    bool young; /* it began after the first look */
};

static void add(const struct judge *j, const struct facts_socket *listener,
                const struct evidence_of *e)
{
    char addr[64];
    const struct facts_watch *w = e->watch;
    const struct judge_queue *q = &e->queue;
    const struct facts_process *p = facts_process(&j->facts->b, w->pid);
    const struct facts_socket *before = judge_before(j, listener);
    struct finding *f = finding_add(j->out, RULE_ET_LISTENER);
    judge_addr(listener, false, addr);
    finding_subject(f, (int32_t)w->pid, (int32_t)e->loop->tid,
                    judge_comm(p ? p->comm : e->loop->comm));
    finding_listener(f, wr_span_str(addr));
    f->victims = q->waiting;
    f->oldest_ms = q->oldest_ms;
    finding_of(f, EVIDENCE_ACCEPT_QUEUE, before ? before->rqueue : listener->rqueue,
               listener->rqueue, listener->wqueue);
    finding_value(f, EVIDENCE_UNACCEPTED, e->young ? 0 : q->waiting, q->waiting);
    finding_over(f, &j->limits, e->young ? THRESHOLD_ignored_min_ms : THRESHOLD_unaccepted_min);
    finding_value(f, EVIDENCE_GAVE_UP, q->gave_up, q->gave_up);
    finding_value(f, EVIDENCE_OLDEST_MS, q->oldest_ms, q->oldest_ms);
    finding_value(f, EVIDENCE_EPOLL_FD, (uint64_t)w->epoll, (uint64_t)w->epoll);
    finding_value(f, EVIDENCE_EPOLL_MASK, w->events, w->events);
    finding_text(f, EVIDENCE_SYSCALL, WR_LIT("epoll_wait"));
    finding_value(f, EVIDENCE_WAKEUPS, e->woke, e->woke);
    if (e->woke > 0 || e->young)
        finding_weaken(f, CERTAINTY_LIKELY);
    if (before && before->drops != FACTS_NONE && listener->drops != FACTS_NONE)
        finding_value(f, EVIDENCE_LISTENER_DROPS, before->drops, listener->drops);
}

static bool stands(const struct judge *j, const struct facts_socket *listener,
                   struct evidence_of *e)
{
    e->loop = sleeper(j, e->watch, &e->woke);
    if (!e->loop)
        return false;
    e->queue = judge_queue(j, listener);
    return e->queue.waiting >= judge_limit(j, THRESHOLD_unaccepted_min) &&
           e->woke <= e->queue.left * WAKEUPS_EACH;
}

/* Since the first look: a loop that sleeps as long as some in the queue wait. */
static bool has_begun(const struct judge *j, const struct facts_socket *listener,
                      struct evidence_of *e)
{
    uint64_t least = judge_limit(j, THRESHOLD_ignored_min_ms);
    const struct facts_thread *t;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, e->watch->pid, &at));)
        if (judge_waits_on(t, e->watch->epoll) && judge_asleep_ms(j, t) >= least) {
            e->loop = t, e->woke = 0, e->young = true;
            e->queue = judge_queue_of_ms(j, listener, least);
            return e->queue.waiting >= judge_limit(j, THRESHOLD_unaccepted_min);
        }
    return false;
}

static void judge_listener(const struct judge *j, const struct facts_socket *listener)
{
    uint32_t n = 0;
    const struct facts_watch *w = facts_watches(&j->facts->b, listener->inode, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (!(w[i].events & FACTS_WATCH_EDGE) || !judge_is_target(j, w[i].pid))
            continue;
        struct evidence_of e = {.watch = &w[i]};
        if (stands(j, listener, &e) || has_begun(j, listener, &e)) {
            add(j, listener, &e);
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
