/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * busy-spin: a thread wanted a processor all the time, never slept, spent a part of it in system calls, and its process
 * moved no byte and accepted nobody. A socket whose event stands unhandled at both looks is the likely cause; without
 * one it may compute, so that is a mere hint, and nothing at all while somebody waits for an answer.
 */
#include "weir/doctor/rules/judge.h"

struct network {
    bool moved, known;
    uint64_t unhandled, owed;
};

/* Hung up, unread, or not accepted, and so at both looks. */
static bool stands(const struct judge *j, uint32_t place)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    uint32_t before = j->map->conn[place].before;
    if (before == FACTS_NONE)
        return false;
    const struct facts_socket *was = &j->facts->a.sockets.v[before];
    bool hung_up = s->state == FACTS_CLOSE_WAIT && was->state == FACTS_CLOSE_WAIT;
    return s->proto == FACTS_TCP && (hung_up || (s->rqueue > 0 && was->rqueue > 0));
}

/* A connection that was reset leaves the dumps and stays readable for ever. */
static uint64_t reset_ones(const struct judge *j, uint32_t pid)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->peeks.n; i++) {
        const struct facts_peek *k = &b->peeks.v[i];
        const struct facts_peek *was =
            k->pid == pid && !k->shown ? facts_peek(a, pid, k->fd) : NULL;
        n += was && !was->shown && was->inode == k->inode && k->state == FACTS_CLOSE;
    }
    return n;
}

static struct network look_at(const struct judge *j, uint32_t process)
{
    uint32_t pid = j->facts->b.processes.v[process].pid;
    struct network net = {.known = true, .unhandled = reset_ones(j, pid)};
    uint32_t n, age;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct judge_conn *c = &j->map->conn[place[i]];
        struct judge_flow flow;
        net.unhandled += stands(j, place[i]);
        if (c->role != JUDGE_IN && c->role != JUDGE_OUT)
            continue;
        bool flows = judge_flow(j, place[i], &flow);
        net.known &= flows;
        net.moved |= c->before == FACTS_NONE || (flows && (flow.sent || flow.received));
        net.owed += judge_debt(&j->facts->b, &j->facts->b.sockets.v[place[i]],
                               (enum judge_role)c->role, &age) == JUDGE_WE_OWE;
    }
    return net;
}

struct spin {
    uint64_t wanted, ran, in_kernel; /* percent of the time; the last of ran */
};

static bool spins(const struct judge *j, const struct facts_thread *t, struct spin *out)
{
    const struct facts_look *a = &j->facts->a;
    const struct facts_thread *was = facts_thread(a->threads.v, a->threads.n, t->tid, t->start);
    if (!was || t->ran_ns == FACTS_UNKNOWN || was->ran_ns == FACTS_UNKNOWN ||
        t->waited_ns == FACTS_UNKNOWN || was->waited_ns == FACTS_UNKNOWN ||
        t->voluntary == FACTS_UNKNOWN || t->voluntary != was->voluntary)
        return false;
    uint64_t span = judge_span_ns(j);
    uint64_t ran = t->ran_ns - was->ran_ns, waited = t->waited_ns - was->waited_ns;
    uint64_t system = t->stime - was->stime, all = system + t->utime - was->utime;
    out->ran = judge_percent(ran, span);
    out->wanted = judge_percent(ran + waited, span);
    out->in_kernel = judge_percent(system, all);
    return out->wanted >= judge_limit(j, THRESHOLD_spin_percent) && all > 0 &&
           out->in_kernel >= judge_limit(j, THRESHOLD_spin_system_percent);
}

static void add(const struct judge *j, const struct facts_process *p,
                const struct facts_thread *t, const struct spin *spin,
                const struct network *net)
{
    struct finding *f = finding_add(j->out, RULE_BUSY_SPIN);
    finding_subject(f, (int32_t)p->pid, (int32_t)t->tid, judge_comm(p->comm));
    if (net->unhandled == 0) {
        f->severity = SEVERITY_INFO;
        finding_weaken(f, CERTAINTY_HINT);
    }
    finding_value(f, EVIDENCE_CPU_PERCENT, spin->ran, spin->ran);
    finding_value(f, EVIDENCE_WANTED, spin->wanted, spin->wanted);
    finding_over(f, &j->limits, THRESHOLD_spin_percent);
    finding_value(f, EVIDENCE_IN_KERNEL, spin->in_kernel, spin->in_kernel);
    finding_over(f, &j->limits, THRESHOLD_spin_system_percent);
    finding_value(f, EVIDENCE_WAKEUPS, 0, 0);
    finding_value(f, EVIDENCE_BYTES_MOVED, 0, 0);
    finding_value(f, EVIDENCE_UNHANDLED, net->unhandled, net->unhandled);
}

void rule_busy_spin(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->threads.n; i++) {
        const struct facts_thread *t = &b->threads.v[i];
        const struct facts_process *p = facts_process(b, t->pid);
        struct spin spin;
        if (!p || (p->unread & FACTS_UNREAD_FDS) || !judge_is_target(j, t->pid) ||
            !spins(j, t, &spin))
            continue;
        struct network net = look_at(j, (uint32_t)(p - b->processes.v));
        if (net.known && !net.moved && (net.unhandled > 0 || net.owed == 0))
            add(j, p, t, &spin, &net);
    }
}
