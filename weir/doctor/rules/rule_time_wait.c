/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * time-wait-pile-up: we close first towards one destination, so often that TIME_WAIT holds a good part of the ports
 * that there are. That is a fact and not yet a fault: ephemeral-ports-exhausted is the fault.
 */
#include "weir/doctor/rules/judge.h"

static uint64_t time_waits(const struct judge *j, const struct judge_peer *p)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        n += j->facts->b.sockets.v[j->map->by_peer[p->first + i]].state == FACTS_TIME_WAIT;
    return n;
}

static uint64_t time_waits_before(const struct judge *j, const struct judge_peer *p)
{
    const struct facts_look *a = &j->facts->a;
    const struct facts_socket *sample = &j->facts->b.sockets.v[p->sample];
    uint64_t n = 0;
    for (uint32_t i = 0; i < a->sockets.n; i++)
        n += a->sockets.v[i].state == FACTS_TIME_WAIT &&
             judge_same_remote(&a->sockets.v[i], sample);
    return n;
}

void rule_time_wait(const struct judge *j)
{
    uint64_t range = j->map->port_max - j->map->port_min + 1;
    uint64_t least = range * judge_limit(j, THRESHOLD_time_wait_percent) / 100;
    for (uint32_t i = 0; i < j->map->peers && j->map->peer[i].n >= least; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        uint64_t n = p->role == JUDGE_OUT && p->mine ? time_waits(j, p) : 0;
        if (n < least || n == 0)
            continue;
        struct finding *f = judge_peer_finding(j, RULE_TIME_WAIT, p, FACTS_NONE);
        finding_of(f, EVIDENCE_TIME_WAITS, time_waits_before(j, p), n, range);
        finding_over(f, &j->limits, THRESHOLD_time_wait_percent);
        finding_value(f, EVIDENCE_CONNS, p->n_before, p->n);
    }
}
