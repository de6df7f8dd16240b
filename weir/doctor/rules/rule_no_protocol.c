/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * socket-without-protocol: descriptors of TCP sockets that are in no dump of the kernel, the same ones at both looks: they
 * are closed, and only their descriptor is left. Bytes that were moved tell a connection that was reset from one that never
 * came about. Where the sockets could not be asked, only those of the namespace that was looked at can be judged, and
 * that is likely. Other protocols never stand in these dumps.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t bare, was_connected, bound, unasked;
};

static bool in_tcp_name(const struct facts_look *l, const struct facts_peek *k)
{
    struct wr_span name = wr_span_str(facts_text(l, k->name));
    return wr_span_has_prefix(name, WR_LIT("TCP")) || wr_span_has_prefix(name, WR_LIT("MPTCP"));
}

static bool here(const struct judge *j, uint32_t pid)
{
    const struct facts_process *p = facts_process(&j->facts->b, pid);
    return p && p->net != 0 && p->net == j->facts->b.net;
}

static void count_bare(const struct judge *j, const struct facts_peek *k, struct tally *t)
{
    const struct facts_peek *was = facts_peek(&j->facts->a, k->pid, k->fd);
    bool asked = k->state != UINT8_MAX;
    if (k->shown || !was || was->shown || was->inode != k->inode ||
        !in_tcp_name(&j->facts->b, k) || (asked ? k->state != FACTS_CLOSE : !here(j, k->pid)))
        return;
    t->bare++;
    t->unasked += !asked;
    t->was_connected += asked && k->bytes != FACTS_UNKNOWN && k->bytes > 0;
}

/* Sockets with an address of their own and no connection: bind() and then nothing. */
static uint64_t bound_only(const struct judge *j, uint32_t process)
{
    uint32_t n;
    uint64_t have = 0;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = &j->facts->b.sockets.v[place[i]];
        have += s->proto == FACTS_TCP &&
                (s->state == FACTS_CLOSE || s->state == FACTS_BOUND_INACTIVE) &&
                judge_was(j, place[i]) == s->state;
    }
    return have;
}

static void add(const struct judge *j, uint32_t process, const struct tally *t)
{
    struct finding *f = finding_add(j->out, RULE_NO_PROTOCOL);
    judge_name(j, f, process);
    if (2 * t->unasked > t->bare + t->bound)
        finding_weaken(f, CERTAINTY_LIKELY);
    uint64_t all = t->bare + t->bound;
    finding_value(f, EVIDENCE_BARE_SOCKETS, all, all);
    finding_over(f, &j->limits, THRESHOLD_no_protocol_min);
    finding_value(f, EVIDENCE_WAS_CONNECTED, t->was_connected, t->was_connected);
    finding_value(f, EVIDENCE_BOUND_ONLY, t->bound, t->bound);
    const struct facts_process *p = &j->facts->b.processes.v[process];
    if (p->fds != FACTS_UNKNOWN && p->nofile_soft < FACTS_UNKNOWN - 1)
        finding_of(f, EVIDENCE_FDS, p->fds, p->fds, p->nofile_soft);
}

void rule_no_protocol(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    uint32_t k = 0;
    for (uint32_t i = 0; i < b->processes.n; i++) { /* peeks are sorted by pid, too */
        uint32_t pid = b->processes.v[i].pid;
        struct tally t = {0};
        while (k < b->peeks.n && b->peeks.v[k].pid < pid)
            k++;
        for (; k < b->peeks.n && b->peeks.v[k].pid == pid; k++)
            count_bare(j, &b->peeks.v[k], &t);
        if (!judge_is_target(j, pid))
            continue;
        t.bound = bound_only(j, i);
        if (t.bare + t.bound > 0 &&
            t.bare + t.bound >= judge_limit(j, THRESHOLD_no_protocol_min))
            add(j, i, &t);
    }
}
