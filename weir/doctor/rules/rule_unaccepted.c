/* SPDX-License-Identifier: BSD-2-Clause */
/* close-wait-unaccepted: CLOSE_WAIT without an owner is no leak: the program never accepted it. */
#include "weir/doctor/rules/judge.h"

void rule_unaccepted(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto != FACTS_TCP || s->state != FACTS_LISTEN || s->rqueue == 0 ||
            !judge_owns(j, s))
            continue;
        struct judge_queue q = judge_queue(j, s);
        if (q.gave_up < judge_limit(j, THRESHOLD_unaccepted_min))
            continue;
        char addr[64];
        judge_addr(s, false, addr);
        struct finding *f = finding_add(j->out, RULE_UNACCEPTED);
        finding_listener(f, wr_span_str(addr));
        f->victims = q.waiting;
        f->oldest_ms = q.oldest_ms;
        finding_value(f, EVIDENCE_UNACCEPTED, q.waiting, q.waiting);
        finding_over(f, &j->limits, THRESHOLD_unaccepted_min);
        finding_value(f, EVIDENCE_GAVE_UP, q.gave_up, q.gave_up);
        finding_value(f, EVIDENCE_OLDEST_MS, q.oldest_ms, q.oldest_ms);
    }
}
