/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_model.h"

#include "weir/doctor/top/top_text.h"
#include "weir/doctor/top/top_work.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void top_model_init(struct top_model *m, const struct wr_heap *heap)
{
    *m = (struct top_model){.heap = heap};
}

void top_model_free(struct top_model *m)
{
    FACTS_DROP(&m->programs, m->heap);
    FACTS_DROP(&m->workers, m->heap);
    FACTS_DROP(&m->peers, m->heap);
    FACTS_DROP(&m->lists, m->heap);
    FACTS_DROP(&m->families, m->heap);
    FACTS_DROP(&m->counters, m->heap);
    FACTS_DROP(&m->changes, m->heap);
    top_model_init(m, m->heap);
}

/* ---- what the parts share ------------------------------------------------------------------------ */
struct top_member *top_member(const struct top_work *w, uint32_t pid)
{
    uint32_t i = FACTS_FIRST_NOT(w->members.n, at, w->members.v[at].pid < pid);
    return i < w->members.n && w->members.v[i].pid == pid ? &w->members.v[i] : NULL;
}

struct top_member *top_holder(const struct top_work *w, uint32_t place)
{
    uint32_t p = w->map.conn[place].process;
    return p == FACTS_NONE ? NULL : top_member(w, w->facts->b.processes.v[p].pid);
}

void top_older(struct top_oldest *o, uint64_t ms, const char *who)
{
    bool first = o->n++ == 0;
    if (!first && (ms == FACTS_UNKNOWN || (o->ms != FACTS_UNKNOWN && ms <= o->ms)))
        return;
    o->ms = ms;
    (void)snprintf(o->who, sizeof o->who, "%.47s", who);
}

uint64_t top_per_s(const struct top_work *w, uint64_t n)
{
    uint64_t ms = w->model->span_ms;
    return n == FACTS_UNKNOWN || ms == 0 ? FACTS_UNKNOWN : (n * 1000 + ms / 2) / ms;
}

/* ---- who is shown ---------------------------------------------------------------------------------- */
static int by_pid(const void *a, const void *b)
{
    uint32_t x = ((const struct top_member *)a)->pid, y = ((const struct top_member *)b)->pid;
    return x < y ? -1 : x > y;
}

static int add_program(struct top_work *w, const uint32_t *pids, uint32_t n, uint32_t lead)
{
    struct top_program row = {
        .pid = lead, .fds = FACTS_UNKNOWN, .fds_limit = FACTS_UNKNOWN, .cpu = FACTS_UNKNOWN};
    const struct facts_process *p = facts_process(&w->facts->b, lead);
    if (p)
        memcpy(row.name, p->comm, sizeof row.name);
    for (uint32_t i = 0; i < n; i++) {
        struct top_member m = {.pid = pids[i], .program = w->model->programs.n};
        int err = FACTS_ADD(&w->members, w->heap, &m);
        if (err)
            return err;
    }
    return FACTS_ADD(&w->model->programs, w->heap, &row);
}

/* All that is known of it: who runs it, and where it listens. */
static int add_hidden(struct top_work *w, const struct target_group *g)
{
    struct top_program row = {.hidden = g->port,
                              .conns = FACTS_UNKNOWN,
                              .fds = FACTS_UNKNOWN,
                              .fds_limit = FACTS_UNKNOWN,
                              .cpu = FACTS_UNKNOWN};
    (void)snprintf(row.name, sizeof row.name, "uid %" PRIu32, g->uid);
    return FACTS_ADD(&w->model->programs, w->heap, &row);
}

static int everybody(struct top_work *w)
{
    const struct facts_look *b = &w->facts->b;
    int err = add_program(w, NULL, 0, b->processes.n ? b->processes.v[0].pid : 0);
    for (uint32_t i = 0; !err && i < b->processes.n; i++) {
        struct top_member m = {.pid = b->processes.v[i].pid};
        err = FACTS_ADD(&w->members, w->heap, &m);
    }
    return err;
}

static int members(struct top_work *w)
{
    const struct target_groups *g = w->groups;
    int err = 0;
    bool hidden = false;
    for (uint32_t i = 0; g && !err && i < g->rows.n; i++) {
        const struct target_group *row = &g->rows.v[i];
        err = row->n ? add_program(w, &g->pids.v[row->first], row->n, row->lead)
                     : add_hidden(w, row);
        hidden |= row->n == 0;
        w->model->unread_files += row->n == 0;
    }
    if (!err && w->model->programs.n == 0)
        err = everybody(w);
    if (w->members.n)
        qsort(w->members.v, w->members.n, sizeof *w->members.v, by_pid);
    w->model->host = w->model->programs.n > 1 || hidden;
    return err;
}

static int map_sockets(struct top_work *w)
{
    w->pids = wr_heap_array(w->heap, w->members.n + 1, sizeof *w->pids);
    if (!w->pids)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->members.n; i++)
        w->pids[i] = w->members.v[i].pid;
    struct judge_target t = {.pids = w->pids, .n_pids = w->members.n};
    return judge_map_init(&w->map, w->facts, &t);
}

/* ---- numbers of processes ------------------------------------------------------------------------- */
static bool nearer(uint64_t n, uint64_t limit, uint64_t than, uint64_t than_limit)
{
    if (n == FACTS_UNKNOWN || limit == FACTS_UNKNOWN || limit == 0)
        return false;
    if (than == FACTS_UNKNOWN || than_limit == FACTS_UNKNOWN || than_limit == 0)
        return true;
    return (double)n / (double)limit > (double)than / (double)than_limit;
}

static uint64_t cpu(const struct facts *f, const struct facts_process *b)
{
    const struct facts_process *a = facts_process(&f->a, b->pid);
    uint64_t ns = f->b.at_ns - f->a.at_ns, was = a ? a->utime + a->stime : 0,
             is = b->utime + b->stime;
    if (!a || a->start != b->start || f->b.ticks == 0 || is < was || f->b.at_ns <= f->a.at_ns)
        return FACTS_UNKNOWN;
    return top_permille((is - was) * (1000000000U / f->b.ticks), ns);
}

static void add_process(struct top_work *w, const struct facts_process *p,
                        struct top_program *row)
{
    struct top_model *m = w->model;
    uint64_t used = cpu(w->facts, p);
    row->processes++;
    row->threads += p->threads;
    row->rss += p->rss_pages * w->facts->b.page;
    if (used != FACTS_UNKNOWN)
        row->cpu = row->cpu == FACTS_UNKNOWN ? used : row->cpu + used;
    if (nearer(p->fds, p->nofile_soft, row->fds, row->fds_limit) || row->fds == FACTS_UNKNOWN) {
        row->fds = p->fds;
        row->fds_limit = p->nofile_soft;
    }
    if (nearer(p->fds, p->nofile_soft, m->fds, m->fds_limit) || m->fds == FACTS_UNKNOWN) {
        m->fds = p->fds;
        m->fds_limit = p->nofile_soft;
    }
    m->processes++;
    m->threads += p->threads;
    m->rss += p->rss_pages * w->facts->b.page;
}

/* How long the quota of its cgroup stopped it, of the time between the looks. */
static void throttle(struct top_work *w, uint32_t pid)
{
    const struct facts_cgroup *a = facts_cgroup(&w->facts->a, pid);
    const struct facts_cgroup *b = facts_cgroup(&w->facts->b, pid);
    if (!a || !b || a->throttled_us == FACTS_UNKNOWN || b->throttled_us == FACTS_UNKNOWN ||
        b->throttled_us < a->throttled_us)
        return;
    uint64_t share = top_permille(b->throttled_us - a->throttled_us, w->model->span_ms * 1000);
    if (share != FACTS_UNKNOWN &&
        (w->model->throttled == FACTS_UNKNOWN || share > w->model->throttled))
        w->model->throttled = share;
}

static void processes(struct top_work *w)
{
    for (uint32_t i = 0; i < w->members.n; i++) {
        const struct facts_process *p = facts_process(&w->facts->b, w->members.v[i].pid);
        if (p)
            add_process(w, p, &w->model->programs.v[w->members.v[i].program]);
        throttle(w, w->members.v[i].pid);
    }
    if (w->model->processes == 0)
        w->model->rss = FACTS_UNKNOWN;
    const struct facts_process *lead = facts_process(&w->facts->b, w->model->programs.v[0].pid);
    w->model->up_ms = FACTS_UNKNOWN;
    if (!lead || w->facts->b.ticks == 0)
        return;
    uint64_t started = lead->start * (1000 / w->facts->b.ticks),
             now = w->facts->b.at_ns / 1000000;
    w->model->up_ms = now > started ? now - started : 0;
}

static void worst(struct top_program *p)
{
    const struct top_oldest *const all[] = {&p->unaccepted, &p->unread, &p->owed, &p->blocked};
    for (size_t i = 0; i < WR_ARRAY_LEN(all); i++)
        if (all[i]->n && all[i]->ms != FACTS_UNKNOWN && all[i]->ms > p->worst_ms)
            p->worst_ms = all[i]->ms;
}

/* ---- the machine ----------------------------------------------------------------------------------- */
/* Amounts, not events: that they move means nothing. */
static bool is_level(enum facts_counter c)
{
    switch ((int)c) {
    case FACTS_CURR_ESTAB:
    case FACTS_SOCKETS_USED:
    case FACTS_TCP_INUSE:
    case FACTS_TCP_ORPHAN:
    case FACTS_TCP_TW:
    case FACTS_TCP_ALLOC:
    case FACTS_TCP_MEM_PAGES:
    case FACTS_UDP_INUSE:
    case FACTS_UDP_MEM_PAGES:
        return true;
    default:
        return false;
    }
}

static int counters(struct top_work *w)
{
    for (int c = 0; c < FACTS_COUNTERS; c++) {
        uint64_t rise = facts_rise(w->facts, (enum facts_counter)c);
        if (rise == FACTS_UNKNOWN || rise == 0 || is_level((enum facts_counter)c))
            continue;
        struct top_counter row = {.group = facts_counter_group((enum facts_counter)c),
                                  .name = facts_counter_name((enum facts_counter)c),
                                  .rise = rise,
                                  .per_s = top_per_s(w, rise),
                                  .value = w->facts->b.counter[c]};
        int err = FACTS_ADD(&w->model->counters, w->heap, &row);
        if (err)
            return err;
    }
    w->model->in_per_s = top_per_s(w, facts_rise(w->facts, FACTS_PASSIVE_OPENS));
    w->model->out_per_s = top_per_s(w, facts_rise(w->facts, FACTS_ACTIVE_OPENS));
    w->model->overflows = facts_rise(w->facts, FACTS_LISTEN_OVERFLOWS);
    return 0;
}

static void start(struct top_work *w)
{
    const struct facts *f = w->facts;
    struct top_model *m = w->model;
    m->wall_ms = f->b.wall_ms;
    m->span_ms = f->b.at_ns > f->a.at_ns ? (f->b.at_ns - f->a.at_ns) / 1000000 : 0;
    m->fds = m->fds_limit = m->throttled = m->starved = FACTS_UNKNOWN;
    for (uint32_t i = 0; i < f->b.gaps.n; i++)
        m->unread_files += f->b.gaps.v[i].error == -EACCES || f->b.gaps.v[i].error == -EPERM;
    for (uint32_t i = 0; i < f->b.processes.n; i++)
        m->unread_files += f->b.processes.v[i].unread != 0;
}

static int parts(struct top_work *w)
{
    int err = members(w);
    if (!err)
        processes(w);
    if (!err)
        err = map_sockets(w);
    if (!err)
        err = top_sockets(w);
    if (!err)
        err = top_peers(w);
    if (!err)
        err = top_threads(w);
    if (!err)
        err = counters(w);
    return err;
}

int top_model_make(struct top_model *m, const struct top_input *in, struct top_past *past)
{
    top_model_free(m);
    struct top_work *w = wr_heap_zalloc(m->heap, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->facts = in->facts;
    w->groups = in->groups;
    w->model = m;
    w->past = past;
    w->heap = m->heap;
    w->lang = in->lang;
    w->findings = in->findings;
    start(w);
    int err = parts(w);
    if (!err) {
        for (uint32_t i = 0; i < m->programs.n; i++)
            worst(&m->programs.v[i]);
        m->pid = m->programs.v[0].pid;
        memcpy(m->name, m->programs.v[0].name, sizeof m->name);
        memcpy(m->listen, m->programs.v[0].listen, sizeof m->listen);
        top_past_forget(past, m);
        top_past_memory(past, m, in->facts->b.at_ns);
        err = top_past_changes(past, m, in->findings);
    }
    judge_map_deinit(&w->map);
    if (w->pids)
        wr_heap_free(w->heap, w->pids, (w->members.n + 1) * sizeof *w->pids);
    FACTS_DROP(&w->members, w->heap);
    wr_heap_free(m->heap, w, sizeof *w);
    return err;
}

void top_model_pulse(struct top_model *m, const struct facts_look *l, struct top_past *past)
{
    bool first = true;
    for (uint32_t i = 0; i < m->lists.n; i++) {
        struct top_listener *row = &m->lists.v[i];
        const struct facts_socket *s = facts_socket(l, row->cookie);
        if (!s)
            continue; /* closed since: the next whole look leaves it out */
        row->waiting = s->rqueue;
        row->backlog = s->wqueue;
        top_past_peak(past, row);
        if (first ||
            row->waiting * (m->queue.backlog + 1) > m->queue.waiting * (row->backlog + 1))
            m->queue = *row;
        first = false;
    }
}
