/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu-throttled: between the looks the quota of the target's cgroup, or of one above it, made threads stand still. Processes
 * of one cgroup are one finding.
 */
#include "weir/doctor/rules/judge.h"

#include <string.h>

/* For long, or in many of its periods: on a machine that is short of processors it does not get far. */
static bool throttled(const struct judge *j, const struct facts_cgroup *was,
                      const struct facts_cgroup *g)
{
    if (g->throttled_us == FACTS_UNKNOWN || was->throttled_us == FACTS_UNKNOWN ||
        g->throttled_us <= was->throttled_us)
        return false;
    if ((g->throttled_us - was->throttled_us) / 1000 >= judge_limit(j, THRESHOLD_throttled_ms))
        return true;
    return g->throttled != FACTS_UNKNOWN && was->throttled != FACTS_UNKNOWN &&
           g->throttled >= was->throttled + 3 &&
           judge_percent(g->throttled - was->throttled, g->periods - was->periods) >=
               judge_limit(j, THRESHOLD_throttled_percent);
}

static bool said_already(const struct judge *j, uint32_t upto)
{
    const struct facts_look *b = &j->facts->b;
    const char *path = facts_text(b, b->cgroups.v[upto].path);
    for (uint32_t i = 0; i < upto; i++) {
        if (judge_is_target(j, b->cgroups.v[i].pid) &&
            strcmp(facts_text(b, b->cgroups.v[i].path), path) == 0)
            return true;
    }
    return false;
}

static void add(const struct judge *j, const struct facts_cgroup *was,
                const struct facts_cgroup *g)
{
    uint64_t stopped_ms = (g->throttled_us - was->throttled_us) / 1000;
    const struct facts_process *p = facts_process(&j->facts->b, g->pid);
    struct finding *f = finding_add(j->out, RULE_CPU_THROTTLED);
    if (p)
        finding_subject(f, (int32_t)p->pid, 0, judge_comm(p->comm));
    finding_value(f, EVIDENCE_THROTTLED_MS, stopped_ms, stopped_ms);
    finding_over(f, &j->limits, THRESHOLD_throttled_ms);
    if (g->throttled != FACTS_UNKNOWN && was->throttled != FACTS_UNKNOWN) {
        uint64_t n = g->throttled - was->throttled;
        uint64_t of = g->periods - was->periods;
        finding_of(f, EVIDENCE_THROTTLES, n, n, of);
    }
    if (g->quota_us != FACTS_UNKNOWN && g->period_us != FACTS_UNKNOWN && g->period_us > 0) {
        uint64_t percent = judge_percent(g->quota_us, g->period_us);
        finding_value(f, EVIDENCE_QUOTA, percent, percent);
    }
    finding_text(f, EVIDENCE_CGROUP, wr_span_str(facts_text(&j->facts->b, g->path)));
}

void rule_cpu_throttled(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->cgroups.n; i++) {
        const struct facts_cgroup *g = &b->cgroups.v[i];
        const struct facts_cgroup *was = facts_cgroup(&j->facts->a, g->pid);
        if (was && judge_is_target(j, g->pid) && throttled(j, was, g) && !said_already(j, i))
            add(j, was, g);
    }
}
