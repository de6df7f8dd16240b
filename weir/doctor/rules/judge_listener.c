/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_listener.h"

#include "weir/doctor/rules/judge_thread.h"

const struct facts_socket *judge_next_listener(const struct judge *j, uint32_t *io_at)
{
    const struct facts_look *b = &j->facts->b;
    while (*io_at < b->sockets.n) {
        const struct facts_socket *s = &b->sockets.v[(*io_at)++];
        if (s->proto == FACTS_TCP && s->state == FACTS_LISTEN && s->inode &&
            judge_before(j, s) && judge_owns(j, s))
            return s;
    }
    return NULL;
}

const struct facts_process *judge_next_process(const struct judge *j, uint32_t *io_at)
{
    const struct facts_look *b = &j->facts->b;
    while (*io_at < b->processes.n) {
        const struct facts_process *p = &b->processes.v[(*io_at)++];
        const struct facts_process *before = facts_process(&j->facts->a, p->pid);
        if (before && before->start == p->start && judge_is_target(j, p->pid))
            return p;
    }
    return NULL;
}

/* Of a kernel that does not tell inodes: all such watches are searched. */
static const struct facts_watch *nameless(const struct facts_look *l, uint64_t inode,
                                          uint32_t i)
{
    uint32_t n;
    const struct facts_watch *w = facts_watches(l, FACTS_UNKNOWN, &n);
    for (uint32_t k = 0; k < n; k++) {
        const struct facts_fd *fd = facts_fd(l, w[k].pid, w[k].fd);
        if (fd && fd->inode == inode && i-- == 0)
            return &w[k];
    }
    return NULL;
}

const struct facts_watch *judge_watch(const struct facts_look *l, uint64_t inode, uint32_t i)
{
    uint32_t n;
    const struct facts_watch *w = facts_watches(l, inode, &n);
    return i < n ? &w[i] : nameless(l, inode, i - n);
}

bool judge_armed(const struct facts_watch *w)
{
    return (w->events & ~(FACTS_WATCH_EDGE | FACTS_WATCH_ONESHOT | FACTS_WATCH_EXCLUSIVE |
                          1U << 29)) != 0; /* bit 29: EPOLLWAKEUP */
}

int judge_held_as(const struct facts_look *l, uint64_t inode, uint32_t pid)
{
    const struct facts_fd *fd;
    for (uint32_t i = 0; (fd = facts_owner(l, inode, i)); i++)
        if (fd->pid == pid)
            return fd->fd;
    return -1;
}

bool judge_queue_stands(const struct judge *j, const struct facts_socket *listener,
                        struct judge_queue *out)
{
    const struct facts_socket *before = judge_before(j, listener);
    if (!before || before->rqueue == 0 || listener->rqueue == 0)
        return false;
    *out = judge_queue(j, listener);
    return out->waiting > 0 && out->waiting >= judge_limit(j, THRESHOLD_unaccepted_min);
}

static bool sleeps_on(const struct judge *j, const struct facts_watch *w)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_thread *t;
    for (uint32_t at = 0; (t = judge_next_thread(b, w->pid, &at));)
        if (judge_waits_on(t, w->epoll))
            return true;
    return false;
}

bool judge_edge_sleeps(const struct judge *j, const struct facts_socket *listener)
{
    const struct facts_watch *w;
    for (uint32_t i = 0; listener->rqueue > 0 && listener->inode != 0 &&
                         (w = judge_watch(&j->facts->b, listener->inode, i));
         i++)
        if ((w->events & FACTS_WATCH_EDGE) && judge_is_target(j, w->pid) && sleeps_on(j, w))
            return true;
    return false;
}

bool judge_unread(const struct judge *j, const struct facts_socket *s)
{
    uint32_t fin = s->state == FACTS_CLOSE_WAIT; /* counts as one byte */
    if (s->proto != FACTS_TCP || s->inode == 0 || s->rqueue <= fin ||
        (s->state != FACTS_ESTABLISHED && s->state != FACTS_CLOSE_WAIT))
        return false;
    const struct facts_socket *before = judge_before(j, s);
    return before && before->inode != 0 &&
           before->rqueue > (before->state == FACTS_CLOSE_WAIT) && s->rqueue >= before->rqueue;
}

void judge_put_listener(const struct judge *j, struct finding *f, const struct facts_socket *s)
{
    char addr[64];
    const struct facts_socket *before = judge_before(j, s);
    judge_addr(s, false, addr);
    finding_listener(f, wr_span_str(addr));
    finding_of(f, EVIDENCE_ACCEPT_QUEUE, before ? before->rqueue : s->rqueue, s->rqueue,
               s->wqueue);
}

void judge_put_queue(const struct judge *j, struct finding *f, const struct facts_socket *s,
                     const struct judge_queue *q)
{
    judge_put_listener(j, f, s);
    f->victims = q->waiting;
    f->oldest_ms = q->oldest_ms;
    finding_value(f, EVIDENCE_UNACCEPTED, q->waiting, q->waiting);
    finding_over(f, &j->limits, THRESHOLD_unaccepted_min);
    finding_value(f, EVIDENCE_GAVE_UP, q->gave_up, q->gave_up);
    finding_value(f, EVIDENCE_OLDEST_MS, q->oldest_ms, q->oldest_ms);
}

bool judge_work_add(const struct judge *j, const struct facts_socket *s, struct judge_work *io)
{
    struct judge_queue q;
    if (s->state != FACTS_LISTEN) {
        bool unread = judge_unread(j, s);
        io->unread += unread;
        return unread;
    }
    if (!judge_queue_stands(j, s, &q))
        return false;
    io->unaccepted += q.waiting;
    io->oldest_ms = q.oldest_ms > io->oldest_ms ? q.oldest_ms : io->oldest_ms;
    io->listener = s;
    return true;
}

void judge_put_work(struct finding *f, const struct judge_work *w)
{
    char addr[64];
    if (w->unread)
        finding_value(f, EVIDENCE_UNREAD, w->unread, w->unread);
    if (w->unaccepted)
        finding_value(f, EVIDENCE_UNACCEPTED, w->unaccepted, w->unaccepted);
    if (w->listener) {
        judge_addr(w->listener, false, addr);
        finding_listener(f, wr_span_str(addr));
    }
}

bool judge_has_connection(const struct judge *j, uint32_t pid)
{
    uint32_t n;
    const struct facts_look *b = &j->facts->b;
    const struct facts_fd *v = facts_fds(b, pid, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = facts_socket_of_fd(b, &v[i]);
        if (s && j->map->conn[s - b->sockets.v].role == JUDGE_IN)
            return true;
    }
    return false;
}
