/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stale-pooled-conn: connections that we opened, that the other side has closed, and whose end nobody has read: they
 * lie in a pool and fail on their next use. They were so at the first look, or their end came, as the last
 * acknowledgement tells, a while ago; nothing else moved on them.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t before, stale, all, oldest_ms;
    uint32_t process;
};

static bool stale(const struct judge *j, uint32_t place)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    const struct facts_tcp *t = facts_tcp(&j->facts->b, s);
    if (!t || s->state != FACTS_CLOSE_WAIT || s->rqueue == 0 || s->wqueue > 0)
        return false;
    if (judge_was(j, place) == FACTS_CLOSE_WAIT)
        return judge_still(j, place);
    return t->last_ack_recv_ms != FACTS_NONE &&
           t->last_ack_recv_ms >= judge_limit(j, THRESHOLD_stale_age_ms);
}

static struct tally tally(const struct judge *j, const struct judge_peer *p)
{
    const struct facts_look *b = &j->facts->b;
    struct tally t = {.process = FACTS_NONE};
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        const struct judge_conn *c = &j->map->conn[place];
        if (!c->mine || b->sockets.v[place].inode == 0)
            continue;
        t.all++;
        if (!stale(j, place))
            continue;
        const struct facts_tcp *tcp = facts_tcp(b, &b->sockets.v[place]);
        t.before += judge_was(j, place) == FACTS_CLOSE_WAIT;
        t.stale++;
        t.process = c->process;
        if (tcp->last_data_recv_ms != FACTS_NONE && tcp->last_data_recv_ms > t.oldest_ms)
            t.oldest_ms = tcp->last_data_recv_ms;
    }
    return t;
}

void rule_stale_pool(const struct judge *j)
{
    unsigned left = JUDGE_FINDINGS_MAX;
    for (uint32_t i = 0; i < j->map->peers && left; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        if (p->role != JUDGE_OUT || !p->mine)
            continue;
        struct tally t = tally(j, p);
        if (t.stale < judge_limit(j, THRESHOLD_stale_min))
            continue;
        struct finding *f = judge_peer_finding(j, RULE_STALE_POOL, p, t.process);
        f->victims = t.stale;
        f->oldest_ms = t.oldest_ms;
        finding_of(f, EVIDENCE_STALE, t.before, t.stale, t.all);
        finding_over(f, &j->limits, THRESHOLD_stale_min);
        finding_value(f, EVIDENCE_OLDEST_MS, t.oldest_ms, t.oldest_ms);
        judge_put_pool(j, f);
        left--;
    }
}
