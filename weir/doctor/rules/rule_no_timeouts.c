/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * no-timeouts: clients whose first request, whole or partial, has stood for longer than any sensible deadline without
 * one byte of answer. A connection on which we ever said something may be a stream, a session or a pool: those are
 * left alone.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t owed, oldest_ms;
};

static bool waits(const struct judge *j, uint32_t place, uint32_t *out_age_ms)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_socket *s = &b->sockets.v[place];
    const struct facts_tcp *t = facts_tcp(b, s);
    if (!t || j->map->conn[place].role != JUDGE_IN || s->state != FACTS_ESTABLISHED ||
        t->bytes_received == 0 || t->bytes_sent > 0)
        return false;
    *out_age_ms = t->last_data_recv_ms;
    return t->last_data_recv_ms != FACTS_NONE &&
           t->last_data_recv_ms >= judge_limit(j, THRESHOLD_no_timeout_ms) &&
           judge_still(j, place);
}

void rule_no_timeouts(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t p = 0; p < b->processes.n; p++) {
        struct tally t = {0};
        uint32_t n, age = 0;
        const uint32_t *place = judge_map_of(j->map, p, &n);
        if (!judge_is_target(j, b->processes.v[p].pid))
            continue;
        for (uint32_t i = 0; i < n; i++) {
            if (!waits(j, place[i], &age))
                continue;
            t.owed++;
            t.oldest_ms = age > t.oldest_ms ? age : t.oldest_ms;
        }
        if (t.owed < judge_limit(j, THRESHOLD_no_timeout_min))
            continue;
        struct finding *f = finding_add(j->out, RULE_NO_TIMEOUTS);
        judge_name(j, f, p);
        f->victims = t.owed;
        f->oldest_ms = t.oldest_ms;
        finding_value(f, EVIDENCE_OWED, t.owed, t.owed);
        finding_over(f, &j->limits, THRESHOLD_no_timeout_min);
        finding_value(f, EVIDENCE_OLDEST_MS, t.oldest_ms, t.oldest_ms);
        finding_over(f, &j->limits, THRESHOLD_no_timeout_ms);
    }
}
