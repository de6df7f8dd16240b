/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * close-wait-leak: sockets in CLOSE_WAIT that a process of the target owns, the same ones at both looks. A few are
 * normal (half-close, work in flight): they count when they are many, or when they grow. What is unread tells where
 * the program forgot them; the FIN itself counts as one byte.
 */
#include "weir/doctor/judge.h"

struct tally {
    uint64_t before, now, kept, eof_read, eof_unread, request_unread, oldest_ms;
};

static bool leaks(const struct judge *j, const struct facts_look *l,
                  const struct facts_socket *s, uint32_t pid)
{
    if (s->proto != FACTS_TCP || s->state != FACTS_CLOSE_WAIT || s->inode == 0)
        return false;
    const struct facts_fd *fd = facts_owner(l, s->inode, 0);
    return fd && fd->pid == pid && judge_is_target(j, pid);
}

static void count(const struct judge *j, const struct facts_socket *s, struct tally *t)
{
    const struct facts_socket *before = judge_before(j, s);
    t->now++;
    if (!before || before->state != FACTS_CLOSE_WAIT)
        return;
    t->kept++;
    t->eof_read += s->rqueue == 0;
    t->eof_unread += s->rqueue == 1;
    t->request_unread += s->rqueue > 1;
    const struct facts_tcp *tcp = facts_tcp(&j->facts->b, s);
    if (tcp && tcp->last_data_recv_ms != FACTS_NONE && tcp->last_data_recv_ms > t->oldest_ms)
        t->oldest_ms = tcp->last_data_recv_ms;
}

static struct tally tally(const struct judge *j, uint32_t pid)
{
    struct tally t = {0};
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    for (uint32_t i = 0; i < a->sockets.n; i++)
        t.before += leaks(j, a, &a->sockets.v[i], pid);
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        if (leaks(j, b, &b->sockets.v[i], pid))
            count(j, &b->sockets.v[i], &t);
    }
    return t;
}

static void add(const struct judge *j, const struct facts_process *p, const struct tally *t,
                bool grows)
{
    struct finding *f = finding_add(j->out, RULE_CLOSE_WAIT);
    finding_subject(f, (int32_t)p->pid, 0, judge_comm(p->comm));
    f->victims = t->kept;
    f->oldest_ms = t->oldest_ms;
    finding_value(f, EVIDENCE_CLOSE_WAIT, t->before, t->now);
    finding_over(f, &j->limits, grows ? THRESHOLD_close_wait_grow : THRESHOLD_close_wait_min);
    finding_value(f, EVIDENCE_EOF_READ, t->eof_read, t->eof_read);
    finding_value(f, EVIDENCE_EOF_UNREAD, t->eof_unread, t->eof_unread);
    finding_value(f, EVIDENCE_REQUEST_UNREAD, t->request_unread, t->request_unread);
    finding_value(f, EVIDENCE_OLDEST_MS, t->oldest_ms, t->oldest_ms);
}

void rule_close_wait(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        const struct facts_process *p = &b->processes.v[i];
        if (!judge_is_target(j, p->pid))
            continue;
        struct tally t = tally(j, p->pid);
        bool grows = t.now > t.before && t.kept >= judge_limit(j, THRESHOLD_close_wait_grow);
        bool old = t.oldest_ms >= judge_limit(j, THRESHOLD_close_wait_age_ms);
        if (old && (grows || t.kept >= judge_limit(j, THRESHOLD_close_wait_min)))
            add(j, p, &t, grows);
    }
}
