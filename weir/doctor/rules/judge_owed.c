/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_owed.h"

#include "weir/doctor/rules/judge_thread.h"

#include <string.h>

bool judge_we_owe(const struct judge *j, uint32_t i, uint32_t *out_age_ms)
{
    return j->map->conn[i].role == JUDGE_IN && judge_still(j, i) &&
           judge_debt(&j->facts->b, &j->facts->b.sockets.v[i], JUDGE_IN, out_age_ms) ==
               JUDGE_WE_OWE;
}

static bool same_end(const struct facts_socket *a, const struct facts_socket *b)
{
    return a->family == b->family && a->remote_port == b->remote_port &&
           memcmp(a->remote, b->remote, sizeof a->remote) == 0;
}

static struct owed_peer *peer_of(struct owed *o, const struct facts_socket *s)
{
    for (unsigned i = 0; i < o->peers; i++)
        if (same_end(o->peer[i].sample, s))
            return &o->peer[i];
    if (o->peers == OWED_PEERS)
        return NULL;
    o->peer[o->peers].sample = s;
    return &o->peer[o->peers++];
}

static bool was_answered(const struct judge *j, uint32_t i)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint32_t before = j->map->conn[i].before;
    const struct facts_tcp *now = facts_tcp(b, &b->sockets.v[i]);
    const struct facts_tcp *was =
        before == FACTS_NONE ? NULL : facts_tcp(a, &a->sockets.v[before]);
    if (!now || now->bytes_sent == FACTS_UNKNOWN)
        return false;
    return now->bytes_sent > (was && was->bytes_sent != FACTS_UNKNOWN ? was->bytes_sent : 0);
}

static void count_in(const struct judge *j, uint32_t i, struct owed *o)
{
    uint32_t age = 0;
    uint64_t limit = judge_limit(j, THRESHOLD_owed_age_ms);
    o->answered += was_answered(j, i);
    if (!judge_we_owe(j, i, &age) || age < limit)
        return;
    o->ours++;
    o->came_new += age < limit + judge_between_ms(j);
    o->oldest_ms = age > o->oldest_ms ? age : o->oldest_ms;
}

static void count_out(const struct judge *j, uint32_t i, struct owed *o)
{
    uint32_t age = 0;
    const struct facts_socket *s = &j->facts->b.sockets.v[i];
    struct owed_peer *p = peer_of(o, s);
    if (!judge_still(j, i)) {
        o->moving++;
        return;
    }
    bool owes = judge_debt(&j->facts->b, s, JUDGE_OUT, &age) == JUDGE_THEY_OWE;
    owes = owes && age >= judge_limit(j, THRESHOLD_owed_age_ms);
    o->theirs += owes;
    o->idle += !owes;
    if (!p)
        return;
    p->owes += owes;
    p->idle += !owes;
    p->oldest_ms = owes && age > p->oldest_ms ? age : p->oldest_ms;
}

/* Connections that came and went between the looks: they are in none, and got what they came for. The counter is the
 * machine's; whose they were does not matter where it only speaks for the target. */
static uint64_t passed_by(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    uint64_t opened = facts_rise(j->facts, FACTS_PASSIVE_OPENS), here = 0;
    for (uint32_t i = 0; i < b->sockets.n; i++)
        here += j->map->conn[i].role == JUDGE_IN && j->map->conn[i].before == FACTS_NONE &&
                (b->sockets.v[i].state == FACTS_ESTABLISHED ||
                 b->sockets.v[i].state == FACTS_CLOSE_WAIT);
    return opened != FACTS_UNKNOWN && opened > here ? opened - here : 0;
}

void judge_owed(const struct judge *j, struct owed *out)
{
    const struct facts_look *b = &j->facts->b;
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct judge_conn *c = &j->map->conn[i];
        if (!c->mine || b->sockets.v[i].state != FACTS_ESTABLISHED)
            continue;
        if (c->role == JUDGE_IN)
            count_in(j, i, out);
        else if (c->role == JUDGE_OUT)
            count_out(j, i, out);
    }
    out->answered += passed_by(j);
}

const struct owed_peer *judge_debtor(const struct owed *o)
{
    const struct owed_peer *best = NULL;
    for (unsigned i = 0; i < o->peers; i++)
        if (o->peer[i].owes > (best ? best->owes : 0))
            best = &o->peer[i];
    return best;
}
