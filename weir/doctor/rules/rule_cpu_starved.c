/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu-starved: a thread was ready to run and had to wait for a processor for a good part of the time. Where the target
 * itself keeps a whole processor busy, or gets about what it waits for, that is its own load: saturation, said as
 * a note. It is a warning where others take the processors: it waits for much longer than it runs. All processes of
 * the target are one finding, about the thread that waits most.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t waited, ran;             /* all threads, ns */
    uint64_t worst_waited, worst_ran; /* the thread that waited longest */
    uint32_t pid, tid;
};

static void count(const struct judge *j, const struct facts_thread *t, struct tally *io)
{
    const struct facts_look *a = &j->facts->a;
    const struct facts_thread *was = facts_thread(a->threads.v, a->threads.n, t->tid, t->start);
    if (!was || t->waited_ns == FACTS_UNKNOWN || was->waited_ns == FACTS_UNKNOWN ||
        t->waited_ns < was->waited_ns || t->ran_ns < was->ran_ns)
        return;
    uint64_t waited = t->waited_ns - was->waited_ns, ran = t->ran_ns - was->ran_ns;
    io->waited += waited;
    io->ran += ran;
    if (waited > io->worst_waited) {
        io->worst_waited = waited;
        io->worst_ran = ran;
        io->pid = t->pid;
        io->tid = t->tid;
    }
}

static void add(const struct judge *j, const struct tally *t)
{
    const struct facts_process *p = facts_process(&j->facts->b, t->pid);
    uint64_t span = judge_span_ns(j);
    struct finding *f = finding_add(j->out, RULE_CPU_STARVED);
    finding_subject(f, (int32_t)t->pid, (int32_t)t->tid, p ? judge_comm(p->comm) : WR_LIT(""));
    if (t->ran >= span || t->waited < judge_limit(j, THRESHOLD_starved_factor) * t->ran)
        f->severity = SEVERITY_INFO;
    uint64_t waited = judge_percent(t->worst_waited, span);
    uint64_t ran = judge_percent(t->worst_ran, span);
    uint64_t all = judge_percent(t->ran, span);
    finding_value(f, EVIDENCE_RUN_DELAY, waited, waited);
    finding_over(f, &j->limits, THRESHOLD_starved_percent);
    finding_value(f, EVIDENCE_RAN, ran, ran);
    finding_value(f, EVIDENCE_RAN_ALL, all, all);
    uint64_t some = facts_rise(j->facts, FACTS_PSI_CPU_SOME_US);
    if (some != FACTS_UNKNOWN) {
        some = judge_percent(some * 1000, span);
        finding_value(f, EVIDENCE_PRESSURE, some, some);
    }
}

void rule_cpu_starved(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    struct tally t = {0};
    for (uint32_t k = 0; k < b->threads.n; k++) {
        if (judge_is_target(j, b->threads.v[k].pid))
            count(j, &b->threads.v[k], &t);
    }
    if (t.worst_waited > 0 && judge_percent(t.worst_waited, judge_span_ns(j)) >=
                                  judge_limit(j, THRESHOLD_starved_percent))
        add(j, &t);
}
