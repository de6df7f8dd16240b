/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slow-upstream and stuck-inside: requests were read and not answered. Where an upstream owes about as many answers it
 * is the upstream; where it owes none, and its connections are idle or threads sleep at locks, they wait inside:
 * for a pool, a lock, a worker. A server that makes its clients wait on purpose (long polls) looks the same. So it is
 * only information while most others get their answers, while threads without an upstream each sleep at a lock of their
 * own, and inside a process without threads at locks also while no new requests join those that wait.
 */
#include "weir/doctor/rules/judge_owed.h"
#include "weir/doctor/rules/judge_thread.h"

static bool is_upstreams(const struct judge *j, const struct owed *o)
{
    return o->theirs > 0 &&
           o->theirs * 100 >= o->ours * judge_limit(j, THRESHOLD_upstream_share_percent);
}

static struct finding *add(const struct judge *j, enum rule_name rule, const struct owed *o)
{
    struct finding *f = finding_add(j->out, rule);
    for (uint32_t i = 0; i < j->facts->b.sockets.n; i++)
        if (j->map->conn[i].mine && j->map->conn[i].role == JUDGE_IN) {
            judge_name(j, f, j->map->conn[i].process);
            break;
        }
    f->victims = o->ours;
    f->oldest_ms = o->oldest_ms;
    finding_value(f, EVIDENCE_OWED, o->ours, o->ours);
    finding_over(f, &j->limits, THRESHOLD_owed_min);
    finding_value(f, EVIDENCE_OLDEST_MS, o->oldest_ms, o->oldest_ms);
    finding_over(f, &j->limits, THRESHOLD_owed_age_ms);
    finding_value(f, EVIDENCE_UPSTREAM_OWES, o->theirs, o->theirs);
    return f;
}

/* Most connections get on: those that wait may be meant to. */
static bool gets_on(const struct judge *j, const struct owed *o)
{
    return judge_percent(o->ours, o->ours + o->answered) <
           judge_limit(j, THRESHOLD_owed_share_percent);
}

void rule_slow_upstream(const struct judge *j)
{
    char addr[64];
    struct owed o;
    judge_owed(j, &o);
    const struct owed_peer *p = judge_debtor(&o);
    if (!p || o.ours < judge_limit(j, THRESHOLD_owed_min) || !is_upstreams(j, &o))
        return;
    struct finding *f = add(j, RULE_SLOW_UPSTREAM, &o);
    finding_over(f, &j->limits, THRESHOLD_upstream_share_percent);
    judge_addr(p->sample, true, addr);
    finding_peer(f, wr_span_str(addr));
    if (o.idle)
        finding_value(f, EVIDENCE_UPSTREAM_IDLE, o.idle, o.idle);
    finding_value(f, EVIDENCE_ANSWERED, o.answered, o.answered);
    finding_over(f, &j->limits, THRESHOLD_owed_share_percent);
    if (gets_on(j, &o))
        f->severity = SEVERITY_INFO;
}

/* It slept at a lock from look to look and is not a runtime's own. */
static bool is_at_lock(const struct judge *j, const struct facts_thread *t)
{
    return judge_is_target(j, t->pid) && judge_call(t)->kind == CALL_LOCK &&
           !judge_is_runtime(t->comm) && judge_blocked(j, t);
}

static uint64_t at_locks(const struct judge *j)
{
    uint64_t n = 0;
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->threads.n; i++)
        n += is_at_lock(j, &b->threads.v[i]);
    return n;
}

/* Two threads at one lock wait for something that they share; each at a lock of its own may wait by design, for an
 * event of its client. */
static bool is_shared(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->threads.n; i++) {
        const struct facts_thread *t = &b->threads.v[i];
        for (uint32_t k = i + 1; k < b->threads.n && is_at_lock(j, t); k++) {
            const struct facts_thread *other = &b->threads.v[k];
            if (other->pid == t->pid && other->arg[0] == t->arg[0] && is_at_lock(j, other))
                return true;
        }
    }
    return false;
}

void rule_stuck_inside(const struct judge *j)
{
    struct owed o;
    judge_owed(j, &o);
    if (o.ours < judge_limit(j, THRESHOLD_owed_min) || is_upstreams(j, &o))
        return;
    uint64_t locked = at_locks(j);
    bool quiet_upstream = o.idle > 0 && o.moving == 0;
    bool empty_pool = judge_pool_is_empty(j);
    if (locked == 0 && !quiet_upstream && !empty_pool)
        return; /* it may compute, stream, or wait by design */
    struct finding *f = add(j, RULE_STUCK_INSIDE, &o);
    judge_put_pool(j, f);
    finding_value(f, EVIDENCE_UPSTREAM_IDLE, o.idle, o.idle);
    finding_value(f, EVIDENCE_FUTEX, locked, locked);
    finding_value(f, EVIDENCE_ANSWERED, o.answered, o.answered);
    finding_over(f, &j->limits, THRESHOLD_owed_share_percent);
    bool stuck = (locked >= o.ours && (o.idle > 0 || is_shared(j))) ||
                 (quiet_upstream && o.answered == 0 && o.came_new > 0 && o.came_new < o.ours);
    if ((!stuck && !empty_pool) || gets_on(j, &o))
        f->severity = SEVERITY_INFO;
}
