/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp-memory-pressure: the kernel's memory for TCP is over its middle mark at both looks, or it says itself that it came
 * under pressure or aborted connections for want of memory. Who holds most of it is named.
 *
 * A control group may have a limit of its own (version 1): it was at it, and the kernel throws away what its sockets have
 * received; that keeps it somewhat below, and a reader that comes late but takes all lets it fall to nothing for a
 * moment. Its number is read behind the sockets, so what these held counts too: whatever they hold, it has paid for.
 */
#include "weir/doctor/rules/judge.h"

#include <stdio.h>

static uint64_t rise(const struct judge *j, enum facts_counter c)
{
    uint64_t n = facts_rise(j->facts, c);
    return n == FACTS_UNKNOWN ? 0 : n;
}

static uint64_t held(const struct judge *j, uint32_t process)
{
    uint32_t n;
    uint64_t bytes = 0;
    const uint32_t *place = judge_map_of(j->map, process, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = &j->facts->b.sockets.v[place[i]];
        bytes += s->rmem == FACTS_NONE ? 0 : s->rmem;
        bytes += s->wmem == FACTS_NONE ? 0 : s->wmem;
    }
    return bytes;
}

static void name_holder(const struct judge *j, struct finding *f)
{
    const struct facts_look *b = &j->facts->b;
    uint64_t most = 0;
    uint32_t who = FACTS_NONE;
    for (uint32_t i = 0; i < b->processes.n; i++) {
        uint64_t bytes = held(j, i);
        if (bytes <= most)
            continue;
        most = bytes;
        who = i;
    }
    if (who == FACTS_NONE)
        return;
    const struct facts_process *p = &b->processes.v[who];
    char text[EVIDENCE_TEXT];
    (void)snprintf(text, sizeof text, "%.16s (pid %u): %llu KiB", p->comm, p->pid,
                   (unsigned long long)most / 1024);
    finding_text(f, EVIDENCE_HOLDER, wr_span_str(text));
}

static void add(const struct judge *j, uint64_t was, uint64_t now, uint64_t mark,
                uint64_t pruned, bool of_group)
{
    uint64_t aborts = rise(j, FACTS_ABORT_ON_MEMORY);
    struct finding *f = finding_add(j->out, RULE_TCP_MEMORY);
    if (now != FACTS_UNKNOWN && mark != FACTS_UNKNOWN)
        finding_of(f, EVIDENCE_TCP_PAGES, was, now, mark);
    if (of_group)
        finding_over(f, &j->limits, THRESHOLD_tcp_group_percent);
    if (of_group)
        finding_weaken(f, CERTAINTY_LIKELY);
    finding_value(f, EVIDENCE_PRUNED, pruned, pruned);
    finding_value(f, EVIDENCE_ABORTED, aborts, aborts);
    name_holder(j, f);
}

/* The most that was seen at the second look. */
static uint64_t used(const struct judge *j, const struct facts_cgroup *g)
{
    const struct facts_process *p = facts_process(&j->facts->b, g->pid);
    uint64_t bytes = p ? held(j, (uint32_t)(p - j->facts->b.processes.v)) : 0;
    return bytes > g->tcp ? bytes : g->tcp;
}

static bool is_full(const struct judge *j, const struct facts_cgroup *g, uint64_t bytes)
{
    return g->tcp != FACTS_UNKNOWN && g->tcp_max != FACTS_UNKNOWN && g->tcp_max > 0 &&
           g->tcp_peak != FACTS_UNKNOWN && g->tcp_peak >= g->tcp_max &&
           judge_percent(bytes, g->tcp_max) >= judge_limit(j, THRESHOLD_tcp_group_percent);
}

/* The group of a process of the target that is full at one of the looks; NULL: none. */
static const struct facts_cgroup *full_group(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->cgroups.n; i++) {
        const struct facts_cgroup *g = &b->cgroups.v[i];
        const struct facts_cgroup *was = facts_cgroup(&j->facts->a, g->pid);
        if (judge_is_target(j, g->pid) && was &&
            (is_full(j, g, used(j, g)) || is_full(j, was, was->tcp)))
            return g;
    }
    return NULL;
}

void rule_tcp_memory(const struct judge *j)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint64_t was = a->counter[FACTS_TCP_MEM_PAGES], now = b->counter[FACTS_TCP_MEM_PAGES];
    uint64_t mark = b->sysctl[FACTS_SYS_TCP_MEM][1];
    uint64_t pressures = rise(j, FACTS_MEMORY_PRESSURES);
    uint64_t pruned = rise(j, FACTS_PRUNE_CALLED) + pressures;
    uint64_t lost = pruned + rise(j, FACTS_RCVQ_DROP);
    bool over = was != FACTS_UNKNOWN && now != FACTS_UNKNOWN && mark != FACTS_UNKNOWN &&
                mark > 0 && was >= mark && now >= mark;
    const struct facts_cgroup *g = full_group(j);
    if (over || pressures > 0 || rise(j, FACTS_ABORT_ON_MEMORY) > 0)
        add(j, was, now, mark, pruned, false);
    else if (g && lost >= judge_limit(j, THRESHOLD_rx_drops_min) && b->page > 0)
        add(j, facts_cgroup(a, g->pid)->tcp / b->page, used(j, g) / b->page,
            g->tcp_max / b->page, lost, true);
}
