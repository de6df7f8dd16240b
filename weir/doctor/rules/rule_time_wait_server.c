/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * time-wait-harmless: TIME_WAIT at a listener's own port costs a few hundred bytes each and no port at all. It is often
 * taken for the cause of something: so where there are many, the doctor says that they are not.
 */
#include "weir/doctor/rules/judge.h"

/* How many of them came to this listener's port. */
static uint64_t time_waits(const struct facts_look *l, uint16_t port)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        n += s->state == FACTS_TIME_WAIT && s->proto == FACTS_TCP && s->local_port == port;
    }
    return n;
}

static void judge_listener(const struct judge *j, const struct facts_socket *s)
{
    uint64_t n = time_waits(&j->facts->b, s->local_port);
    if (n < judge_limit(j, THRESHOLD_time_wait_server_min))
        return;
    char addr[64];
    judge_addr(s, false, addr);
    struct finding *f = finding_add(j->out, RULE_TIME_WAIT_SERVER);
    finding_listener(f, wr_span_str(addr));
    finding_of(f, EVIDENCE_TIME_WAITS, time_waits(&j->facts->a, s->local_port), n,
               j->facts->b.sysctl[FACTS_SYS_MAX_TW_BUCKETS][0]);
    finding_over(f, &j->limits, THRESHOLD_time_wait_server_min);
    uint64_t lost = facts_rise(j->facts, FACTS_TIME_WAIT_OVERFLOW);
    if (lost != FACTS_UNKNOWN && lost > 0)
        finding_value(f, EVIDENCE_TW_OVERFLOW, lost, lost);
}

void rule_time_wait_server(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    uint64_t all = 0;
    uint64_t seen[1024] = {0}; /* ports: a group of listeners is one */
    for (uint32_t i = 0; i < b->sockets.n; i++)
        all += b->sockets.v[i].state == FACTS_TIME_WAIT;
    if (all < judge_limit(j, THRESHOLD_time_wait_server_min))
        return;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        uint64_t *word = &seen[s->local_port / 64], bit = 1ULL << (s->local_port % 64);
        if (j->map->conn[i].role != JUDGE_LISTENER || !j->map->conn[i].mine || (*word & bit))
            continue;
        *word |= bit;
        judge_listener(j, s);
    }
}
