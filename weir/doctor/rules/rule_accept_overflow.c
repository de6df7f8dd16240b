/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept-queue-overflow: this listener dropped handshakes between the looks. Its own drops attribute it; a queue that
 * is over its backlog with the host's overflows rising says the same where a kernel tells no drops.
 *
 * Of a listener whose owner is hidden from us no other rule can name the cause. There the queue itself is proof: full
 * at both looks, with the same clients, and not one of them was taken in between.
 *
 * That it overflows is no hint at a backlog where a loop that watches it edge-triggered sleeps before it: the queue may
 * be full because nobody comes. Until that is decided this is a hint.
 */
#include "weir/doctor/rules/judge_listener.h"

static uint64_t rise(const struct facts_socket *before, const struct facts_socket *s)
{
    if (before->drops == FACTS_NONE || s->drops == FACTS_NONE || s->drops < before->drops)
        return 0;
    return s->drops - before->drops;
}

static bool is_full(const struct judge *j, const struct facts_socket *s)
{
    return s->wqueue > 0 &&
           judge_percent(s->rqueue, s->wqueue) >= judge_limit(j, THRESHOLD_pegged_percent);
}

static void judge_hidden(const struct judge *j, const struct facts_socket *s,
                         const struct facts_socket *before)
{
    struct judge_queue q;
    if (facts_owner(&j->facts->b, s->inode, 0) || !is_full(j, s) || !is_full(j, before) ||
        !judge_queue_stands(j, s, &q) || q.left > 0)
        return;
    struct finding *f = finding_add(j->out, RULE_ACCEPT_OVERFLOW);
    judge_put_queue(j, f, s, &q);
    finding_over(f, &j->limits, THRESHOLD_pegged_percent);
    finding_text(f, EVIDENCE_OWNER,
                 WR_LIT("a process that cannot be seen: why it does not accept is not known"));
}

static void judge_listener(const struct judge *j, const struct facts_socket *s)
{
    const struct facts_socket *before = judge_before(j, s);
    uint64_t overflows = facts_rise(j->facts, FACTS_LISTEN_OVERFLOWS);
    overflows = overflows == FACTS_UNKNOWN ? 0 : overflows;
    if (!before)
        return;
    /* Drops without an overflow are a SYN flood's. */
    if (overflows == 0 ||
        (rise(before, s) < judge_limit(j, THRESHOLD_drops_min) && s->rqueue <= s->wqueue)) {
        judge_hidden(j, s, before);
        return;
    }
    char addr[64];
    judge_addr(s, false, addr);
    struct finding *f = finding_add(j->out, RULE_ACCEPT_OVERFLOW);
    finding_listener(f, wr_span_str(addr));
    f->victims = rise(before, s);
    finding_of(f, EVIDENCE_ACCEPT_QUEUE, before->rqueue, s->rqueue, s->wqueue);
    if (s->drops != FACTS_NONE)
        finding_value(f, EVIDENCE_LISTENER_DROPS, before->drops, s->drops);
    finding_over(f, &j->limits, THRESHOLD_drops_min);
    finding_value(f, EVIDENCE_LISTEN_OVERFLOWS, j->facts->a.counter[FACTS_LISTEN_OVERFLOWS],
                  j->facts->b.counter[FACTS_LISTEN_OVERFLOWS]);
    if (judge_edge_sleeps(j, s))
        finding_weaken(f, CERTAINTY_HINT);
}

void rule_accept_overflow(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto == FACTS_TCP && s->state == FACTS_LISTEN && judge_owns(j, s))
            judge_listener(j, s);
    }
}
