/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_work.h"

#define SLOPE_MIN_NS 10000000000U /* memory over less than this is noise */

void top_past_init(struct top_past *p, const struct wr_heap *heap)
{
    *p = (struct top_past){.heap = heap};
}

void top_past_free(struct top_past *p)
{
    FACTS_DROP(&p->stands, p->heap);
    FACTS_DROP(&p->peaks, p->heap);
    FACTS_DROP(&p->changes, p->heap);
    *p = (struct top_past){.heap = p->heap};
}

/* ---- threads that stand --------------------------------------------------------------------------- */
static const struct top_stand *stand_of(const struct top_past *p, uint32_t tid)
{
    uint32_t i = FACTS_FIRST_NOT(p->stands.n, at, p->stands.v[at].tid < tid);
    return i < p->stands.n && p->stands.v[i].tid == tid ? &p->stands.v[i] : NULL;
}

static bool same_stand(const struct facts_thread *x, const struct facts_thread *y)
{
    return x->start == y->start && x->syscall == y->syscall && x->arg[0] == y->arg[0] &&
           x->voluntary == y->voluntary && x->voluntary != FACTS_UNKNOWN &&
           x->syscall != FACTS_SYSCALL_RUNNING;
}

/* Before the first look that we remember, the pair of looks itself is the evidence. */
static uint64_t since_ns(const struct top_past *p, const struct facts *f,
                         const struct facts_thread *t)
{
    const struct facts_thread *before =
        facts_thread(f->a.threads.v, f->a.threads.n, t->tid, t->start);
    const struct top_stand *s = stand_of(p, t->tid);
    if (!before || !same_stand(before, t))
        return f->b.at_ns;
    if (s && s->start == t->start && s->voluntary == t->voluntary && s->syscall == t->syscall &&
        s->arg == t->arg[0] && s->since_ns < f->a.at_ns)
        return s->since_ns;
    return f->a.at_ns;
}

uint64_t top_past_stands(const struct top_past *p, const struct facts *f,
                         const struct facts_thread *t, struct top_stand *out_next)
{
    uint64_t since = since_ns(p, f, t);
    *out_next = (struct top_stand){.start = t->start,
                                   .voluntary = t->voluntary,
                                   .arg = t->arg[0],
                                   .since_ns = since,
                                   .tid = t->tid,
                                   .syscall = t->syscall};
    return f->b.at_ns > since ? (f->b.at_ns - since) / 1000000 : 0;
}

/* ---- queues, memory ------------------------------------------------------------------------------- */
void top_past_peak(struct top_past *p, struct top_listener *l)
{
    for (uint32_t i = 0; i < p->peaks.n; i++) {
        struct top_peak *k = &p->peaks.v[i];
        if (k->cookie != l->cookie)
            continue;
        k->peak = l->waiting > k->peak ? l->waiting : k->peak;
        l->peak = k->peak;
        return;
    }
    struct top_peak row = {.cookie = l->cookie, .peak = l->waiting};
    l->peak = l->waiting;
    if (FACTS_ADD(&p->peaks, p->heap, &row))
        return; /* without memory a peak is forgotten, nothing worse */
}

void top_past_forget(struct top_past *p, const struct top_model *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->peaks.n; i++) {
        uint32_t k = 0;
        while (k < m->lists.n && m->lists.v[k].cookie != p->peaks.v[i].cookie)
            k++;
        if (k < m->lists.n)
            p->peaks.v[kept++] = p->peaks.v[i];
    }
    p->peaks.n = kept;
}

void top_past_memory(struct top_past *p, struct top_model *m, uint64_t at_ns)
{
    if (m->rss == FACTS_UNKNOWN)
        return;
    if (p->memories == TOP_MEMORY_MAX) { /* every second one is enough from here on */
        for (uint32_t i = 0; i < TOP_MEMORY_MAX / 2; i++)
            p->memory[i] = p->memory[2 * i];
        p->memories /= 2;
    }
    p->memory[p->memories++] = (struct top_memory){.at_ns = at_ns, .rss = m->rss};
    const struct top_memory *first = &p->memory[0];
    if (at_ns <= first->at_ns || at_ns - first->at_ns < SLOPE_MIN_NS)
        return;
    int64_t ms = (int64_t)((at_ns - first->at_ns) / 1000000);
    m->rss_per_min = (int64_t)(m->rss - first->rss) / ms * 60000 +
                     (int64_t)(m->rss - first->rss) % ms * 60000 / ms;
    m->slope_known = true;
}

/* ---- findings that come and go -------------------------------------------------------------------- */
static bool same_finding(const struct top_change *c, const struct finding *f)
{
    return c->rule == f->rule && c->subject.pid == f->subject.pid &&
           strcmp(c->subject.listener, f->subject.listener) == 0 &&
           strcmp(c->subject.peer, f->subject.peer) == 0;
}

static void forget_one(struct top_past *p)
{
    uint32_t i = 0;
    while (i + 1 < p->changes.n && !p->changes.v[i].gone)
        i++;
    memmove(&p->changes.v[i], &p->changes.v[i + 1],
            (p->changes.n - i - 1) * sizeof *p->changes.v);
    p->changes.n--;
}

static int seen(struct top_past *p, const struct finding *f, uint64_t wall_ms)
{
    for (uint32_t i = p->changes.n; i-- > 0;) {
        struct top_change *c = &p->changes.v[i];
        if (c->gone || !same_finding(c, f))
            continue;
        c->seen_ms = wall_ms;
        c->severity = f->severity > c->severity ? f->severity : c->severity;
        c->certainty = f->certainty > c->certainty ? f->certainty : c->certainty;
        return 0;
    }
    if (p->changes.n == TOP_CHANGES_MAX)
        forget_one(p);
    struct top_change row = {.rule = f->rule,
                             .severity = f->severity,
                             .certainty = f->certainty,
                             .subject = f->subject,
                             .came_ms = wall_ms,
                             .seen_ms = wall_ms};
    return FACTS_ADD(&p->changes, p->heap, &row);
}

int top_past_changes(struct top_past *p, struct top_model *m, const struct findings *found)
{
    int err = 0;
    for (unsigned i = 0; !err && found && i < found->leading; i++)
        err = seen(p, &found->row[found->order[i]], m->wall_ms);
    for (uint32_t i = 0; i < p->changes.n; i++)
        p->changes.v[i].gone |= p->changes.v[i].seen_ms != m->wall_ms;
    for (uint32_t i = p->changes.n; !err && i-- > 0;)
        err = FACTS_ADD(&m->changes, m->heap, &p->changes.v[i]);
    return err;
}
