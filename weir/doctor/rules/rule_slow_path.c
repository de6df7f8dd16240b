/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slow-path-send-queue: bytes stand in our send queue at both looks and at the rate at which they are acknowledged they
 * would stand there for seconds, while neither the reader's window nor our own buffer is the limit for most of the time.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t conns, waiting, drain_ms, cwnd;
    uint32_t process;
};

static bool slow(const struct judge *j, uint32_t place, uint64_t *out_drain_ms)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    uint32_t before = j->map->conn[place].before;
    struct judge_flow flow;
    if (before == FACTS_NONE || s->state != FACTS_ESTABLISHED || s->wqueue == 0 ||
        j->facts->a.sockets.v[before].wqueue == 0 || s->timer == FACTS_TIMER_PERSIST ||
        !judge_flow(j, place, &flow) || flow.acked == 0)
        return false;
    *out_drain_ms = s->wqueue * (flow.elapsed_us / 1000) / flow.acked;
    return *out_drain_ms >= judge_limit(j, THRESHOLD_slow_path_drain_ms) &&
           judge_percent(flow.busy_us, flow.elapsed_us) >= 90 &&
           flow.rwnd_us * 2 < flow.busy_us && flow.sndbuf_us * 2 < flow.busy_us;
}

static struct tally tally(const struct judge *j, const struct judge_peer *p)
{
    struct tally t = {.process = FACTS_NONE};
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        uint64_t drain_ms;
        if (!j->map->conn[place].mine || j->map->conn[place].silent ||
            !slow(j, place, &drain_ms))
            continue;
        const struct facts_socket *s = &j->facts->b.sockets.v[place];
        t.conns++;
        t.waiting += s->wqueue;
        t.process = j->map->conn[place].process;
        if (drain_ms > t.drain_ms) {
            t.drain_ms = drain_ms;
            t.cwnd = facts_tcp(&j->facts->b, s)->snd_cwnd;
        }
    }
    return t;
}

void rule_slow_path(const struct judge *j)
{
    unsigned left = JUDGE_FINDINGS_MAX;
    for (uint32_t i = 0; i < j->map->peers && left; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        struct tally t = p->mine ? tally(j, p) : (struct tally){0};
        if (t.conns == 0)
            continue;
        struct finding *f = judge_peer_finding(j, RULE_SLOW_PATH, p, t.process);
        f->victims = t.conns;
        finding_value(f, EVIDENCE_NOTSENT, t.waiting, t.waiting);
        finding_value(f, EVIDENCE_DRAIN_MS, t.drain_ms, t.drain_ms);
        finding_over(f, &j->limits, THRESHOLD_slow_path_drain_ms);
        finding_value(f, EVIDENCE_CONCERNED, t.conns, t.conns);
        finding_value(f, EVIDENCE_CWND, t.cwnd, t.cwnd);
        left--;
    }
}
