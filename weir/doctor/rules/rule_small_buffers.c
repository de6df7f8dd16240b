/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * small-buffers: connections that had something to send were stopped by our own send buffer for a good part of that
 * time. Inside the machine a buffer is never large enough and nobody waits for it: those are left out.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t conns, busy, limited, sndbuf;
    uint32_t process;
};

static struct tally tally(const struct judge *j, const struct judge_peer *p)
{
    struct tally t = {.process = FACTS_NONE};
    uint64_t least = judge_limit(j, THRESHOLD_busy_percent);
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        const struct facts_socket *s = &j->facts->b.sockets.v[place];
        struct judge_flow flow;
        if (!j->map->conn[place].mine || j->map->conn[place].silent ||
            s->state != FACTS_ESTABLISHED || !judge_flow(j, place, &flow) ||
            judge_percent(flow.busy_us, flow.elapsed_us) < least)
            continue;
        t.conns++;
        t.busy += flow.busy_us;
        t.limited += flow.sndbuf_us;
        t.process = j->map->conn[place].process;
        if (s->sndbuf != FACTS_NONE)
            t.sndbuf = s->sndbuf;
    }
    return t;
}

void rule_small_buffers(const struct judge *j)
{
    unsigned left = JUDGE_FINDINGS_MAX;
    for (uint32_t i = 0; i < j->map->peers && left; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        if (!p->mine || judge_is_local(&j->facts->b.sockets.v[p->sample]))
            continue;
        struct tally t = tally(j, p);
        uint64_t percent = judge_percent(t.limited, t.busy);
        if (t.conns == 0 || percent < judge_limit(j, THRESHOLD_sndbuf_limited_percent))
            continue;
        struct finding *f = judge_peer_finding(j, RULE_SMALL_BUFFERS, p, t.process);
        f->victims = t.conns;
        finding_value(f, EVIDENCE_SNDBUF_LIMITED, percent, percent);
        finding_over(f, &j->limits, THRESHOLD_sndbuf_limited_percent);
        finding_value(f, EVIDENCE_CONCERNED, t.conns, t.conns);
        finding_value(f, EVIDENCE_SNDBUF, t.sndbuf, t.sndbuf);
        left--;
    }
}
