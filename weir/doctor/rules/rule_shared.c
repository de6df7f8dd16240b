/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thundering-herd and accept-imbalance: what it costs to share a listener. A herd: several sets watch it by level
 * and without EPOLLEXCLUSIVE, each process wakes for about every connection and all together several times as often as
 * connections come. Wake-ups for other descriptors are why every one of them has to. Imbalance: one of the workers
 * has several times the connections of the others.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

struct herd {
    uint64_t sets, wakeups, least; /* least: wake-ups of the process with the fewest */
};

/* How often the threads of pid woke that wait on this set; FACTS_UNKNOWN: nobody can tell. */
static uint64_t wakeups_of(const struct judge *j, uint32_t pid, int epoll)
{
    const struct facts_thread *t;
    uint64_t n = 0;
    bool seen = false;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));) {
        const struct facts_thread *before = judge_thread_before(j, t);
        bool waits = judge_call(t)->kind == CALL_LOOP && t->arg[0] == (uint64_t)epoll;
        if (!before || (!waits && judge_threads(&j->facts->b, pid) > 1) ||
            t->voluntary == FACTS_UNKNOWN || before->voluntary == FACTS_UNKNOWN)
            continue;
        n += t->voluntary - before->voluntary;
        seen = true;
    }
    return seen ? n : FACTS_UNKNOWN;
}

static struct herd herd_of(const struct judge *j, const struct facts_socket *s)
{
    struct herd h = {.least = FACTS_UNKNOWN};
    const struct facts_watch *w;
    uint32_t last = 0;
    for (uint32_t i = 0; (w = judge_watch(&j->facts->b, s->inode, i)); i++) {
        if (w->pid == last || !judge_armed(w) ||
            (w->events & (FACTS_WATCH_EXCLUSIVE | FACTS_WATCH_EDGE | FACTS_WATCH_ONESHOT)))
            continue;
        last = w->pid;
        uint64_t n = wakeups_of(j, w->pid, w->epoll);
        if (n == FACTS_UNKNOWN)
            continue;
        h.sets++;
        h.wakeups += n;
        h.least = n < h.least ? n : h.least;
    }
    return h;
}

void rule_herd(const struct judge *j)
{
    const struct facts_socket *s;
    uint64_t accepts = facts_rise(j->facts, FACTS_PASSIVE_OPENS);
    if (accepts == FACTS_UNKNOWN || accepts < judge_limit(j, THRESHOLD_herd_accepts_min))
        return;
    for (uint32_t at = 0; (s = judge_next_listener(j, &at));) {
        struct herd h = herd_of(j, s);
        if (h.sets < judge_limit(j, THRESHOLD_herd_sets_min) || h.least < accepts / 2 ||
            h.wakeups < accepts * judge_limit(j, THRESHOLD_herd_wakeups_per_accept))
            continue;
        struct finding *f = finding_add(j->out, RULE_HERD);
        judge_name(j, f, j->map->conn[s - j->facts->b.sockets.v].process);
        judge_put_listener(j, f, s);
        finding_value(f, EVIDENCE_SETS, h.sets, h.sets);
        finding_over(f, &j->limits, THRESHOLD_herd_sets_min);
        finding_value(f, EVIDENCE_LOOP_WAKEUPS, h.wakeups, h.wakeups);
        finding_over(f, &j->limits, THRESHOLD_herd_wakeups_per_accept);
        finding_value(f, EVIDENCE_ACCEPTS, accepts, accepts);
        finding_over(f, &j->limits, THRESHOLD_herd_accepts_min);
    }
}

/* ---- imbalance ------------------------------------------------------------------------------------------ */
static bool accepts_from(const struct judge *j, const struct facts_socket *s, uint32_t pid)
{
    const struct facts_watch *w;
    const struct facts_thread *t;
    for (uint32_t i = 0; (w = judge_watch(&j->facts->b, s->inode, i)); i++)
        if (w->pid == pid && judge_armed(w))
            return true;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));)
        if (judge_call(t)->kind == CALL_ACCEPT)
            return true;
    return false;
}

static uint64_t connections_of(const struct judge *j, const struct facts_socket *listener,
                               uint32_t pid)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_process *p = facts_process(b, pid);
    uint32_t n = 0;
    uint64_t found = 0;
    const uint32_t *place = p ? judge_map_of(j->map, (uint32_t)(p - b->processes.v), &n) : NULL;
    for (uint32_t i = 0; place && i < n; i++)
        found += j->map->conn[place[i]].role == JUDGE_IN &&
                 b->sockets.v[place[i]].state == FACTS_ESTABLISHED &&
                 b->sockets.v[place[i]].local_port == listener->local_port;
    return found;
}

struct share {
    uint64_t workers, total, most;
    uint32_t pid; /* of the worker that has most */
};

static struct share share_of(const struct judge *j, const struct facts_socket *s)
{
    struct share sh = {0};
    const struct facts_fd *fd;
    uint32_t last = 0;
    for (uint32_t i = 0; (fd = facts_owner(&j->facts->b, s->inode, i)); i++) {
        if (fd->pid == last || !accepts_from(j, s, fd->pid))
            continue;
        last = fd->pid;
        uint64_t n = connections_of(j, s, fd->pid);
        sh.workers++;
        sh.total += n;
        if (n > sh.most)
            sh.most = n, sh.pid = fd->pid;
    }
    return sh;
}

void rule_imbalance(const struct judge *j)
{
    const struct facts_socket *s;
    for (uint32_t at = 0; (s = judge_next_listener(j, &at));) {
        struct share sh = share_of(j, s);
        uint64_t factor = judge_limit(j, THRESHOLD_imbalance_factor);
        if (sh.workers < 2 || sh.total < judge_limit(j, THRESHOLD_imbalance_min) ||
            sh.most * (sh.workers - 1) < factor * (sh.total - sh.most))
            continue;
        const struct facts_process *p = facts_process(&j->facts->b, sh.pid);
        struct finding *f = finding_add(j->out, RULE_IMBALANCE);
        if (p)
            finding_subject(f, (int32_t)sh.pid, 0, judge_comm(p->comm));
        judge_put_listener(j, f, s);
        finding_of(f, EVIDENCE_CONNS, sh.most, sh.most, sh.total);
        finding_over(f, &j->limits, THRESHOLD_imbalance_factor);
        finding_value(f, EVIDENCE_WORKERS, sh.workers, sh.workers);
    }
}
