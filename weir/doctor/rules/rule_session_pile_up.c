/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session-pile-up: sessions that wait become more from look to look, the oldest of them is old, and the memory grows
 * with them: they arrive faster than they end. A cache that warms grows without them, a wave of clients is young.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t in, out; /* we owe; they owe or have not answered the connect */
    uint32_t oldest_ms;
};

static void count(const struct facts_look *l, const struct facts_socket *s,
                  enum judge_role role, struct tally *io)
{
    uint32_t age = 0;
    enum judge_debt debt = judge_debt(l, s, role, &age);
    io->in += debt == JUDGE_WE_OWE;
    io->out += debt == JUDGE_THEY_OWE || s->state == FACTS_SYN_SENT;
    if (debt != JUDGE_QUIET && age > io->oldest_ms)
        io->oldest_ms = age;
}

/* A proxy has each session twice. */
static uint64_t sessions(const struct tally *t)
{
    return t->in > t->out ? t->in : t->out;
}

/* Sessions of the first look that are gone at the second. */
static void count_ended(const struct judge *j, uint32_t pid, struct tally *io)
{
    const struct facts_look *a = &j->facts->a;
    for (uint32_t i = 0; i < a->sockets.n; i++) {
        const struct facts_socket *s = &a->sockets.v[i];
        if (j->map->after[i] != FACTS_NONE || s->inode == 0)
            continue;
        const struct facts_fd *fd = facts_owner(a, s->inode, 0);
        if (fd && fd->pid == pid)
            count(a, s, judge_map_listens(j->map, s->local_port) ? JUDGE_IN : JUDGE_OUT, io);
    }
}

/* How long the memory that its cgroup allows lasts at this rate. */
static void add_room(const struct judge *j, struct finding *out, uint32_t pid, uint64_t grown)
{
    const struct facts_cgroup *g = facts_cgroup(&j->facts->b, pid);
    if (!g || g->memory == FACTS_UNKNOWN || g->memory_max == FACTS_UNKNOWN || grown == 0)
        return;
    finding_of(out, EVIDENCE_MEMORY, g->memory, g->memory, g->memory_max);
    uint64_t left = g->memory_max > g->memory ? g->memory_max - g->memory : 0;
    uint64_t ms = left / grown * (judge_span_ns(j) / 1000000);
    finding_value(out, EVIDENCE_OOM_MS, ms, ms);
}

static void judge_process(const struct judge *j, uint32_t process)
{
    const struct facts *f = j->facts;
    const struct facts_process *p = &f->b.processes.v[process];
    const struct facts_process *was = facts_process(&f->a, p->pid);
    struct tally now = {0}, before = {0};
    uint32_t n;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    for (uint32_t i = 0; i < n; i++)
        count(&f->b, &f->b.sockets.v[place[i]], (enum judge_role)j->map->conn[place[i]].role,
              &now);
    if (sessions(&now) < judge_limit(j, THRESHOLD_sessions_grow))
        return;
    for (uint32_t i = 0; i < n; i++) {
        const struct judge_conn *c = &j->map->conn[place[i]];
        if (c->before != FACTS_NONE)
            count(&f->a, &f->a.sockets.v[c->before], (enum judge_role)c->role, &before);
    }
    if (!was || was->start != p->start || p->rss_pages <= was->rss_pages ||
        now.oldest_ms < judge_limit(j, THRESHOLD_session_age_ms) ||
        sessions(&now) < sessions(&before) + judge_limit(j, THRESHOLD_sessions_grow))
        return;
    count_ended(j, p->pid, &before);
    if (sessions(&now) < sessions(&before) + judge_limit(j, THRESHOLD_sessions_grow))
        return;
    struct finding *out = finding_add(j->out, RULE_SESSION_PILE_UP);
    judge_name(j, out, process);
    out->victims = sessions(&now);
    out->oldest_ms = now.oldest_ms;
    finding_value(out, EVIDENCE_SESSIONS, sessions(&before), sessions(&now));
    finding_over(out, &j->limits, THRESHOLD_sessions_grow);
    finding_value(out, EVIDENCE_OLDEST_MS, now.oldest_ms, now.oldest_ms);
    finding_over(out, &j->limits, THRESHOLD_session_age_ms);
    finding_value(out, EVIDENCE_RSS, was->rss_pages * f->a.page, p->rss_pages * f->b.page);
    add_room(j, out, p->pid, (p->rss_pages - was->rss_pages) * f->b.page);
}

void rule_session_pile_up(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        if (judge_is_target(j, b->processes.v[i].pid))
            judge_process(j, i);
    }
}
