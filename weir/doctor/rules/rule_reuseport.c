/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reuseport-dead-member: several listeners share an address, the queue of one stands from look to look and does not
 * shrink, while another's is empty. A burst fills all for a moment; the same sockets at both looks are no burst.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

#include <string.h>

static bool same_group(const struct facts_socket *a, const struct facts_socket *b)
{
    return b->proto == FACTS_TCP && b->state == FACTS_LISTEN && b->inode &&
           a->family == b->family && a->local_port == b->local_port &&
           a->interface == b->interface && memcmp(a->local, b->local, sizeof a->local) == 0;
}

struct group {
    unsigned members, stuck, empty;
    uint64_t waiting;
    const struct facts_socket *first, *worst; /* of the stuck ones */
};

static bool is_stuck(const struct judge *j, const struct facts_socket *s)
{
    const struct facts_socket *before = judge_before(j, s);
    return before && before->rqueue > 0 && s->rqueue >= before->rqueue;
}

static struct group group_of(const struct judge *j, const struct facts_socket *s)
{
    struct group g = {0};
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *it = &b->sockets.v[i];
        if (!same_group(s, it))
            continue;
        g.first = g.first ? g.first : it;
        g.members++;
        g.empty += it->rqueue == 0;
        if (!is_stuck(j, it))
            continue;
        g.stuck++;
        g.waiting += it->rqueue;
        g.worst = g.worst && g.worst->rqueue >= it->rqueue ? g.worst : it;
    }
    return g;
}

static void add(const struct judge *j, const struct group *g, const struct judge_queue *q)
{
    char text[EVIDENCE_TEXT];
    const struct facts_fd *owner = facts_owner(&j->facts->b, g->worst->inode, 0);
    const struct facts_process *p = owner ? facts_process(&j->facts->b, owner->pid) : NULL;
    struct finding *f = finding_add(j->out, RULE_REUSEPORT_DEAD);
    if (p)
        finding_subject(f, (int32_t)p->pid, 0, judge_comm(p->comm));
    finding_value(f, EVIDENCE_MEMBERS, g->members, g->members);
    finding_value(f, EVIDENCE_STUCK_MEMBERS, g->stuck, g->stuck);
    judge_put_queue(j, f, g->worst, q);
    f->victims = g->waiting;
    if (!p)
        return;
    judge_process_text(j, p->pid, text);
    finding_text(f, EVIDENCE_OWNER, wr_span_str(text));
    uint32_t at = 0;
    const struct facts_thread *t = judge_next_thread(&j->facts->b, p->pid, &at);
    if (t && judge_slept(j, t))
        finding_text(f, EVIDENCE_SYSCALL, wr_span_str(judge_call(t)->name));
}

void rule_reuseport(const struct judge *j)
{
    const struct facts_socket *s;
    struct judge_queue q;
    for (uint32_t at = 0; (s = judge_next_listener(j, &at));) {
        struct group g = group_of(j, s);
        if (s == g.first && g.members > 1 && g.stuck > 0 && g.empty > 0 &&
            judge_queue_stands(j, g.worst, &q) && q.waiting >= g.worst->rqueue)
            add(j, &g, &q);
    }
}
