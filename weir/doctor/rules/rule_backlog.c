/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backlog-clipped: a queue that comes close to a small backlog, or to one that somaxconn cut. A queue that stands is
 * no matter of its length: whoever should accept does not. Without drops it is information: nobody was hurt yet.
 */
#include "weir/doctor/rules/judge_listener.h"

static uint64_t drops(const struct facts_socket *before, const struct facts_socket *s)
{
    bool known = before->drops != FACTS_NONE && s->drops != FACTS_NONE;
    return known && s->drops > before->drops ? s->drops - before->drops : 0;
}

static void judge_listener(const struct judge *j, const struct facts_socket *s)
{
    const struct facts_socket *before = judge_before(j, s);
    uint64_t somaxconn = j->facts->b.sysctl[FACTS_SYS_SOMAXCONN][0];
    uint32_t peak = before->rqueue > s->rqueue ? before->rqueue : s->rqueue;
    uint64_t percent = judge_percent(peak, s->wqueue);
    struct judge_queue q;
    bool cut = somaxconn != FACTS_UNKNOWN && s->wqueue == somaxconn;
    if ((!cut && s->wqueue > judge_limit(j, THRESHOLD_backlog_small)) ||
        percent < judge_limit(j, THRESHOLD_backlog_peak_percent) ||
        judge_queue_stands(j, s, &q))
        return;
    struct finding *f = finding_add(j->out, RULE_BACKLOG_CLIPPED);
    judge_name(j, f, j->map->conn[s - j->facts->b.sockets.v].process);
    judge_put_listener(j, f, s);
    finding_over(f, &j->limits, THRESHOLD_backlog_peak_percent);
    finding_value(f, EVIDENCE_BACKLOG, s->wqueue, s->wqueue);
    if (somaxconn != FACTS_UNKNOWN)
        finding_value(f, EVIDENCE_SOMAXCONN, somaxconn, somaxconn);
    if (judge_edge_sleeps(j, s)) /* it may be long enough for whoever came to take them */
        finding_weaken(f, CERTAINTY_HINT);
    f->victims = drops(before, s);
    if (f->victims == 0)
        f->severity = SEVERITY_INFO;
    else
        finding_value(f, EVIDENCE_LISTENER_DROPS, before->drops, s->drops);
}

void rule_backlog(const struct judge *j)
{
    const struct facts_socket *s;
    for (uint32_t at = 0; (s = judge_next_listener(j, &at));)
        if (s->wqueue > 0)
            judge_listener(j, s);
}
