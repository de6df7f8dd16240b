/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event-loop-busy: a thread computed from look to look, without a sleep and hardly a system call, while requests stand
 * unread in an epoll set that nobody asked in all that time, and its process moved no byte. So it is not many requests
 * but one: the loop does not come back from it. Where a thread does ask the set, the computing one is a worker.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

struct use {
    uint64_t ran, wanted, in_kernel; /* percent of the time; the last of what it ran */
};

/* Watched by this process, and in no set that one of its threads asked. */
static bool is_forsaken(const struct judge *j, const struct facts_socket *s, uint32_t pid)
{
    const struct facts_watch *w;
    bool watched = false;
    for (uint32_t i = 0; (w = judge_watch(&j->facts->b, s->inode, i)); i++) {
        if (w->pid != pid)
            continue;
        if (judge_set_served(j, pid, w->epoll))
            return false;
        watched = true;
    }
    return watched;
}

/* In the sets of the process that nobody asks. */
static struct judge_work work_of(const struct judge *j, uint32_t pid)
{
    struct judge_work w = {0};
    uint32_t n;
    const struct facts_look *b = &j->facts->b;
    const struct facts_fd *v = facts_fds(b, pid, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = facts_socket_of_fd(b, &v[i]);
        if (s && s->proto == FACTS_TCP && is_forsaken(j, s, pid))
            judge_work_add(j, s, &w);
    }
    return w;
}

static bool moves(const struct judge *j, uint32_t process)
{
    uint32_t n;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct judge_conn *c = &j->map->conn[place[i]];
        struct judge_flow flow;
        if (c->role != JUDGE_IN && c->role != JUDGE_OUT)
            continue;
        if (c->before == FACTS_NONE || !judge_flow(j, place[i], &flow) || flow.sent ||
            flow.received)
            return true;
    }
    return false;
}

static bool computes(const struct judge *j, const struct facts_thread *t, struct use *out)
{
    const struct facts_thread *was = judge_thread_before(j, t);
    if (!was || t->ran_ns == FACTS_UNKNOWN || was->ran_ns == FACTS_UNKNOWN ||
        t->waited_ns == FACTS_UNKNOWN || was->waited_ns == FACTS_UNKNOWN ||
        t->voluntary == FACTS_UNKNOWN || t->voluntary != was->voluntary)
        return false;
    uint64_t span = judge_span_ns(j), ran = t->ran_ns - was->ran_ns;
    uint64_t system = t->stime - was->stime, all = system + t->utime - was->utime;
    out->ran = judge_percent(ran, span);
    out->wanted = judge_percent(ran + t->waited_ns - was->waited_ns, span);
    out->in_kernel = judge_percent(system, all);
    return out->wanted >= judge_limit(j, THRESHOLD_spin_percent) &&
           out->ran >= judge_limit(j, THRESHOLD_computes_percent) && all > 0 &&
           out->in_kernel < judge_limit(j, THRESHOLD_spin_system_percent);
}

/* The main thread before others; NULL: none computes. */
static const struct facts_thread *computing(const struct judge *j, uint32_t pid,
                                            struct use *out)
{
    const struct facts_thread *t, *found = NULL;
    struct use use;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));) {
        if ((found && t->tid != pid) || !computes(j, t, &use))
            continue;
        found = t;
        *out = use;
    }
    return found;
}

static void add(const struct judge *j, const struct facts_process *p,
                const struct facts_thread *t, const struct use *use, const struct judge_work *w)
{
    struct finding *f = finding_add(j->out, RULE_LOOP_BUSY);
    finding_subject(f, (int32_t)p->pid, (int32_t)t->tid, judge_comm(p->comm));
    f->victims = w->unread + w->unaccepted;
    f->oldest_ms = w->oldest_ms;
    finding_value(f, EVIDENCE_CPU_PERCENT, use->ran, use->ran);
    finding_over(f, &j->limits, THRESHOLD_computes_percent);
    finding_value(f, EVIDENCE_WANTED, use->wanted, use->wanted);
    finding_over(f, &j->limits, THRESHOLD_spin_percent);
    finding_value(f, EVIDENCE_IN_KERNEL, use->in_kernel, use->in_kernel);
    finding_value(f, EVIDENCE_WAKEUPS, 0, 0);
    finding_value(f, EVIDENCE_BYTES_MOVED, 0, 0);
    judge_put_work(f, w);
}

void rule_loop_busy(const struct judge *j)
{
    const struct facts_process *p;
    for (uint32_t at = 0; (p = judge_next_process(j, &at));) {
        struct use use;
        if (!judge_fds_known(j, p->pid) || !judge_threads_known(j, p->pid))
            continue;
        const struct facts_thread *t = computing(j, p->pid, &use);
        if (!t || moves(j, (uint32_t)(p - j->facts->b.processes.v)))
            continue;
        struct judge_work w = work_of(j, p->pid);
        if (w.unread + w.unaccepted >= judge_limit(j, THRESHOLD_unread_min))
            add(j, p, t, &use, &w);
    }
}
