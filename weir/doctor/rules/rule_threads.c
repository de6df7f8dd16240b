/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread-explosion: threads become more all the time and none ends. A pool that fills for a wave of requests grows once
 * and stops, and a thread per request ends with it: so growth has to show in both halves between the looks, and
 * every thread of the first look has to be there at the second.
 */
#include "weir/doctor/rules/judge.h"

static uint64_t count(const struct facts_thread *v, uint32_t n, uint32_t pid)
{
    uint64_t have = 0;
    for (uint32_t i = 0; i < n; i++)
        have += v[i].pid == pid;
    return have;
}

static bool one_ended(const struct judge *j, uint32_t pid)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    for (uint32_t i = 0; i < a->threads.n; i++) {
        const struct facts_thread *t = &a->threads.v[i];
        if (t->pid == pid && !facts_thread(b->threads.v, b->threads.n, t->tid, t->start))
            return true;
    }
    return false;
}

/* At least a quarter of the growth came before the middle, and a quarter after. */
static bool steadily(const struct facts *f, uint32_t pid, uint64_t before, uint64_t now)
{
    const struct facts_glance *g = &f->glance[f->glances / 2];
    uint64_t middle = f->glances ? count(g->threads.v, g->threads.n, pid) : 0;
    uint64_t quarter = (now - before) / 4;
    return middle >= before + quarter && now >= middle + quarter;
}

void rule_threads(const struct judge *j)
{
    const struct facts *f = j->facts;
    for (uint32_t i = 0; i < f->b.processes.n; i++) {
        const struct facts_process *p = &f->b.processes.v[i];
        if (!judge_is_target(j, p->pid) || p->threads < judge_limit(j, THRESHOLD_threads_min))
            continue;
        uint64_t before = count(f->a.threads.v, f->a.threads.n, p->pid);
        uint64_t now = count(f->b.threads.v, f->b.threads.n, p->pid);
        if (before == 0 || now < before + judge_limit(j, THRESHOLD_threads_grow) ||
            !steadily(f, p->pid, before, now) || one_ended(j, p->pid))
            continue;
        struct finding *out = finding_add(j->out, RULE_THREADS);
        judge_name(j, out, i);
        out->victims = now - before;
        finding_value(out, EVIDENCE_THREADS, before, now);
        finding_over(out, &j->limits, THRESHOLD_threads_grow);
    }
}
