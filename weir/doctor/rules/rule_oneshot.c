/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oneshot-not-rearmed: a one-shot watch fired (only its control bits are left), at both looks, and bytes wait on its
 * socket at both. A worker that still handles the event would arm it later: so no thread of the process may run or
 * be in the middle of something.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

static bool is_spent(const struct facts_watch *w)
{
    return (w->events & FACTS_WATCH_ONESHOT) && !judge_armed(w);
}

static bool was_spent(const struct judge *j, uint64_t inode, const struct facts_watch *now)
{
    const struct facts_watch *w;
    for (uint32_t i = 0; (w = judge_watch(&j->facts->a, inode, i)); i++)
        if (w->pid == now->pid && w->epoll == now->epoll && w->fd == now->fd)
            return is_spent(w);
    return false;
}

static bool is_idle(const struct judge *j, const struct facts_thread *t)
{
    switch (judge_call(t)->kind) {
    case CALL_LOOP:
    case CALL_RING:
    case CALL_ACCEPT:
    case CALL_POLL:
    case CALL_LOCK:
    case CALL_SLEEP:
    case CALL_SIGNAL:
        return true;
    case CALL_RUNNING: { /* woken this moment, or at work since the first look? */
        const struct facts_thread *before = judge_thread_before(j, t);
        return before && before->voluntary != t->voluntary;
    }
    case CALL_UNKNOWN:
    case CALL_READ:
    case CALL_WRITE:
    case CALL_CONNECT:
    case CALL_FILE:
    case CALL_CHILD:
    case CALL_OTHER:
        break;
    }
    return false;
}

static bool nobody_works(const struct judge *j, uint32_t pid)
{
    const struct facts_thread *t;
    if (!judge_threads_known(j, pid))
        return false;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));)
        if (!is_idle(j, t))
            return false;
    return true;
}

struct tally {
    uint64_t unread, bytes;
    const struct facts_watch *sample;
    const struct facts_socket *listener;
};

static void count(const struct judge *j, const struct facts_watch *w, struct tally *io)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_fd *fd = facts_fd(b, w->pid, w->fd);
    uint64_t inode = w->inode == FACTS_UNKNOWN && fd ? fd->inode : w->inode;
    const struct facts_socket *s = facts_socket_of_inode(b, inode);
    struct judge_queue q;
    if (!s || !was_spent(j, inode, w))
        return;
    bool queue = s->state == FACTS_LISTEN && judge_queue_stands(j, s, &q);
    if (!queue && !judge_unread(j, s))
        return;
    io->sample = w;
    io->listener = queue ? s : io->listener;
    io->unread += queue ? q.waiting : 1;
    io->bytes += queue ? 0 : s->rqueue;
}

static void judge_process(const struct judge *j, const struct facts_process *p)
{
    struct tally n = {0};
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->watches.n; i++)
        if (b->watches.v[i].pid == p->pid && is_spent(&b->watches.v[i]))
            count(j, &b->watches.v[i], &n);
    if (n.unread == 0 || !nobody_works(j, p->pid))
        return;
    struct finding *f = finding_add(j->out, RULE_ONESHOT);
    finding_subject(f, (int32_t)p->pid, 0, judge_comm(p->comm));
    f->victims = n.unread;
    finding_value(f, EVIDENCE_UNREAD, n.unread, n.unread);
    finding_value(f, EVIDENCE_UNREAD_BYTES, n.bytes, n.bytes);
    finding_value(f, EVIDENCE_EPOLL_FD, (uint64_t)n.sample->epoll, (uint64_t)n.sample->epoll);
    finding_value(f, EVIDENCE_EPOLL_MASK, n.sample->events, n.sample->events);
    if (n.listener)
        judge_put_listener(j, f, n.listener);
}

void rule_oneshot(const struct judge *j)
{
    const struct facts_process *p;
    for (uint32_t at = 0; (p = judge_next_process(j, &at));)
        judge_process(j, p);
}
