/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connect-pile-up: SYNs to one destination that were sent again: nothing came back, not even a refusal. The first
 * repetition comes after a second, so these are no connects in flight.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t before, now;
    uint32_t process;
};

static struct tally tally(const struct judge *j, const struct judge_peer *p)
{
    struct tally t = {.process = FACTS_NONE};
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        const struct facts_socket *s = &j->facts->b.sockets.v[place];
        if (!j->map->conn[place].mine || s->state != FACTS_SYN_SENT || s->retrans == 0)
            continue;
        t.now++;
        t.before += judge_was(j, place) == FACTS_SYN_SENT;
        t.process = j->map->conn[place].process;
    }
    return t;
}

static void counter(const struct judge *j, struct finding *f, enum evidence_name e,
                    enum facts_counter c)
{
    uint64_t n = facts_rise(j->facts, c);
    if (n != FACTS_UNKNOWN)
        finding_value(f, e, n, n);
}

void rule_connect_pile_up(const struct judge *j)
{
    unsigned left = JUDGE_FINDINGS_MAX;
    for (uint32_t i = 0; i < j->map->peers && left; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        if (p->role != JUDGE_OUT || !p->mine)
            continue;
        struct tally t = tally(j, p);
        if (t.now < judge_limit(j, THRESHOLD_syn_sent_min))
            continue;
        struct finding *f = judge_peer_finding(j, RULE_CONNECT_PILE_UP, p, t.process);
        f->victims = t.now;
        finding_value(f, EVIDENCE_SYN_SENT, t.before, t.now);
        finding_over(f, &j->limits, THRESHOLD_syn_sent_min);
        counter(j, f, EVIDENCE_SYN_RETRANS, FACTS_SYN_RETRANS);
        counter(j, f, EVIDENCE_REFUSED, FACTS_ATTEMPT_FAILS);
        left--;
    }
}
