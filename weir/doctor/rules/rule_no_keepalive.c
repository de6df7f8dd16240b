/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * no-keepalive: clients that said nothing for long, on connections without any timer: if they had vanished, nobody
 * would ever know. Idle is legal, so this is a hint; it is likely where peers have in fact stopped acknowledging.
 * Connections inside the machine cannot lose their peer, and pools that we keep to others are their own affair.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t idle, half_open, oldest_ms;
};

static bool idle(const struct judge *j, const struct facts_socket *s, const struct facts_tcp *t)
{
    uint64_t limit = judge_limit(j, THRESHOLD_idle_no_timer_ms);
    return s->timer == FACTS_TIMER_NONE && s->rqueue == 0 && s->wqueue == 0 &&
           t->last_data_recv_ms != FACTS_NONE && t->last_data_recv_ms >= limit &&
           t->last_data_sent_ms >= limit;
}

static bool vanished(const struct judge *j, uint32_t place, const struct facts_tcp *t)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    uint64_t limit = judge_limit(j, THRESHOLD_half_open_retrans);
    if (s->timer != FACTS_TIMER_RETRANSMIT || s->retrans < limit || t->unacked == 0)
        return false;
    uint32_t before = j->map->conn[place].before;
    return before != FACTS_NONE && j->facts->a.sockets.v[before].timer == s->timer &&
           t->last_ack_recv_ms != FACTS_NONE &&
           t->last_ack_recv_ms >= judge_span_ns(j) / 1000000;
}

static void count(const struct judge *j, uint32_t place, struct tally *io)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_socket *s = &b->sockets.v[place];
    const struct facts_tcp *t = facts_tcp(b, s);
    if (!t || s->state != FACTS_ESTABLISHED || judge_is_local(s))
        return;
    bool gone = vanished(j, place, t);
    if (!gone && (j->map->conn[place].role != JUDGE_IN || !idle(j, s, t)))
        return;
    io->idle += !gone;
    io->half_open += gone;
    if (t->last_data_recv_ms != FACTS_NONE && t->last_data_recv_ms > io->oldest_ms)
        io->oldest_ms = t->last_data_recv_ms;
}

static void add(const struct judge *j, uint32_t process, const struct tally *t)
{
    struct finding *f = finding_add(j->out, RULE_NO_KEEPALIVE);
    judge_name(j, f, process);
    f->victims = t->idle + t->half_open;
    f->oldest_ms = t->oldest_ms;
    if (t->half_open == 0)
        finding_weaken(f, CERTAINTY_HINT);
    finding_value(f, EVIDENCE_IDLE, t->idle, t->idle);
    finding_over(f, &j->limits, THRESHOLD_idle_no_timer_min);
    finding_value(f, EVIDENCE_HALF_OPEN, t->half_open, t->half_open);
    finding_over(f, &j->limits, THRESHOLD_half_open_retrans);
    finding_value(f, EVIDENCE_OLDEST_MS, t->oldest_ms, t->oldest_ms);
}

void rule_no_keepalive(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t p = 0; p < b->processes.n; p++) {
        if (!judge_is_target(j, b->processes.v[p].pid))
            continue;
        struct tally t = {0};
        uint32_t n;
        const uint32_t *place = judge_map_of(j->map, p, &n);
        for (uint32_t i = 0; i < n; i++)
            count(j, place[i], &t);
        if (t.half_open > 0 || t.idle >= judge_limit(j, THRESHOLD_idle_no_timer_min))
            add(j, p, &t);
    }
}
