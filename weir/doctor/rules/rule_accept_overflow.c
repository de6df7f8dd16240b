/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept-queue-overflow: this listener dropped handshakes between the looks. Its own drops attribute it; a queue that
 * is over its backlog with the host's overflows rising says the same where a kernel tells no drops.
 */
#include "weir/doctor/rules/judge.h"

static uint64_t rise(const struct facts_socket *before, const struct facts_socket *s)
{
    if (before->drops == FACTS_NONE || s->drops == FACTS_NONE || s->drops < before->drops)
        return 0;
    return s->drops - before->drops;
}

static void judge_listener(const struct judge *j, const struct facts_socket *s)
{
    const struct facts_socket *before = judge_before(j, s);
    uint64_t overflows = facts_rise(j->facts, FACTS_LISTEN_OVERFLOWS);
    overflows = overflows == FACTS_UNKNOWN ? 0 : overflows;
    /* Drops without an overflow are a SYN flood's. */
    if (!before || overflows == 0 ||
        (rise(before, s) < judge_limit(j, THRESHOLD_drops_min) && s->rqueue <= s->wqueue))
        return;
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
