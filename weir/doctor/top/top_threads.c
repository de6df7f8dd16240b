/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_thread.h"
#include "weir/doctor/top/top_text.h"
#include "weir/doctor/top/top_work.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What a counter of a thread rose by; FACTS_UNKNOWN when it is not known at both looks. */
static uint64_t rise(uint64_t a, uint64_t b)
{
    if (a == FACTS_UNKNOWN || b == FACTS_UNKNOWN)
        return FACTS_UNKNOWN;
    return b > a ? b - a : 0;
}

static uint64_t between_ns(const struct facts *f)
{
    return f->b.at_ns > f->a.at_ns ? f->b.at_ns - f->a.at_ns : 0;
}

/* Processor time: exact where the scheduler tells, else by ticks. */
static uint64_t cpu_permille(const struct facts *f, const struct facts_thread *a,
                             const struct facts_thread *b)
{
    uint64_t ns = rise(a->ran_ns, b->ran_ns);
    if (ns == FACTS_UNKNOWN && f->b.ticks)
        ns = rise(a->utime + a->stime, b->utime + b->stime) * (1000000000U / f->b.ticks);
    return top_permille(ns, between_ns(f));
}

/* As long as the kernel says the other end has been silent, if that is longer than we have watched. */
static uint64_t silent_ms(const struct facts_look *l, const struct facts_thread *t)
{
    const struct facts_fd *fd =
        t->arg[0] < 1U << 30 ? facts_fd(l, t->pid, (int)t->arg[0]) : NULL;
    const struct facts_socket *s = fd ? facts_socket_of_fd(l, fd) : NULL;
    const struct facts_tcp *tcp = s ? facts_tcp(l, s) : NULL;
    if (!tcp || tcp->last_data_sent_ms == FACTS_NONE || tcp->last_data_recv_ms == FACTS_NONE)
        return 0;
    return tcp->last_data_sent_ms < tcp->last_data_recv_ms ? tcp->last_data_sent_ms
                                                           : tcp->last_data_recv_ms;
}

static void rates(struct top_work *w, const struct facts_thread *t, struct top_worker *row)
{
    const struct facts_look *a = &w->facts->a;
    const struct facts_thread *before =
        facts_thread(a->threads.v, a->threads.n, t->tid, t->start);
    row->cpu = row->waited = row->wakes = FACTS_UNKNOWN;
    if (!before)
        return;
    row->cpu = cpu_permille(w->facts, before, t);
    row->waited = top_permille(rise(before->waited_ns, t->waited_ns), between_ns(w->facts));
    row->wakes = top_per_s(w, rise(before->voluntary, t->voluntary));
}

static void blocked(struct top_work *w, const struct top_member *m, struct top_worker *row)
{
    char who[48];
    (void)snprintf(who, sizeof who, "%" PRIu32 " %.40s", row->tid, row->doing);
    top_older(&w->model->blocked, row->stands_ms, who);
    top_older(&w->model->programs.v[m->program].blocked, row->stands_ms, who);
}

/* A finding names it: what looks like rest (a sleep, a lock) is what somebody waits for. */
static bool is_accused(const struct top_work *w, const struct facts_thread *t)
{
    for (unsigned i = 0; w->findings && i < w->findings->leading; i++) {
        const struct finding *f = &w->findings->row[w->findings->order[i]];
        if (f->severity != SEVERITY_INFO && f->subject.tid == (int32_t)t->tid)
            return true;
    }
    return false;
}

static int worker(struct top_work *w, const struct facts_thread *t, const struct top_member *m,
                  struct top_stand *out_stand)
{
    struct top_worker row = {
        .pid = t->pid, .tid = t->tid, .conns = FACTS_UNKNOWN, .queue = FACTS_UNKNOWN};
    memcpy(row.comm, t->comm, sizeof row.comm);
    row.wait = top_doing(&w->facts->b, &w->map, w->lang, t, row.doing, sizeof row.doing);
    if ((row.wait == TOP_WAIT_IDLE || row.wait == TOP_WAIT_PARKED) && is_accused(w, t))
        row.wait = TOP_WAIT_BLOCKED;
    row.stands_ms = top_past_stands(w->past, w->facts, t, out_stand);
    rates(w, t, &row);
    if (row.wait == TOP_WAIT_BLOCKED && row.stands_ms) {
        uint64_t silent = silent_ms(&w->facts->b, t);
        row.stands_ms = silent > row.stands_ms ? silent : row.stands_ms;
        blocked(w, m, &row);
    }
    if (t->tid == t->pid) {
        row.conns = m->conns;
        row.queue = m->queue;
    }
    if (row.waited != FACTS_UNKNOWN &&
        (w->model->starved == FACTS_UNKNOWN || row.waited > w->model->starved))
        w->model->starved = row.waited;
    return FACTS_ADD(&w->model->workers, w->heap, &row);
}

/* ---- families ------------------------------------------------------------------------------------- */
struct kin { /* a worker's row by what its family is */
    char name[17];
    uint32_t pid, row;
};

static int by_family(const void *a, const void *b)
{
    const struct kin *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return x->pid != y->pid ? (x->pid < y->pid ? -1 : 1) : c;
}

/* The calls of a family without their objects, the most frequent first: "16 futex, 2 epoll_wait". */
static void family_calls(const struct top_model *m, enum doctor_lang lang, const struct kin *k,
                         uint32_t n, char out[72])
{
    struct {
        char call[20];
        uint32_t n;
    } calls[8] = {0};
    uint32_t used = 0, others = 0;
    for (uint32_t i = 0; i < n; i++) {
        const char *doing = m->workers.v[k[i].row].doing;
        size_t len = strcspn(doing, " ");
        len = len < 19 ? len : 19;
        uint32_t c = 0;
        while (c < used && (strncmp(calls[c].call, doing, len) != 0 || calls[c].call[len]))
            c++;
        if (c == WR_ARRAY_LEN(calls)) {
            others++;
            continue;
        }
        memcpy(calls[c].call, doing, len);
        calls[c].n++;
        used += c == used;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < used && at < 50; i++) {
        uint32_t best = 0;
        for (uint32_t c = 1; c < used; c++)
            best = calls[c].n > calls[best].n ? c : best;
        at += (size_t)snprintf(out + at, 72 - at, "%s%" PRIu32 " %s", i ? ", " : "",
                               calls[best].n, calls[best].call);
        calls[best].n = 0;
    }
    if (others && at < 50)
        (void)snprintf(out + at, 72 - at, WORD(lang, DOES_OTHERS), others);
}

static int one_family(struct top_work *w, const struct kin *k, uint32_t n)
{
    struct top_family f = {.pid = k->pid, .threads = n, .cpu = FACTS_UNKNOWN};
    memcpy(f.name, k->name, sizeof f.name);
    for (uint32_t i = 0; i < n; i++) {
        const struct top_worker *t = &w->model->workers.v[k[i].row];
        if (t->cpu != FACTS_UNKNOWN)
            f.cpu = f.cpu == FACTS_UNKNOWN ? t->cpu : f.cpu + t->cpu;
        if (t->wait != TOP_WAIT_BLOCKED || !t->stands_ms)
            continue;
        f.blocked++;
        f.stands_ms = t->stands_ms > f.stands_ms ? t->stands_ms : f.stands_ms;
    }
    family_calls(w->model, w->lang, k, n, f.what);
    return FACTS_ADD(&w->model->families, w->heap, &f);
}

static int families(struct top_work *w)
{
    uint32_t n = w->model->workers.n;
    struct kin *kin = n ? wr_heap_array(w->heap, n, sizeof *kin) : NULL;
    if (n && !kin)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        judge_family(w->model->workers.v[i].comm, kin[i].name);
        kin[i].pid = w->model->workers.v[i].pid;
        kin[i].row = i;
    }
    if (n)
        qsort(kin, n, sizeof *kin, by_family);
    int err = 0;
    for (uint32_t i = 0, k; !err && i < n; i += k) {
        for (k = 1; i + k < n && by_family(&kin[i], &kin[i + k]) == 0;)
            k++;
        err = one_family(w, &kin[i], k);
    }
    if (kin)
        wr_heap_free(w->heap, kin, n * sizeof *kin);
    return err;
}

/* ---- all -------------------------------------------------------------------------------------------- */
static int remember(struct top_work *w, const struct top_stand *v, uint32_t n)
{
    w->past->stands.n = 0;
    for (uint32_t i = 0; i < n; i++) {
        int err = FACTS_ADD(&w->past->stands, w->past->heap, &v[i]);
        if (err)
            return err;
    }
    return 0;
}

int top_threads(struct top_work *w)
{
    const struct facts_look *b = &w->facts->b;
    struct top_stand *next =
        b->threads.n ? wr_heap_array(w->heap, b->threads.n, sizeof *next) : NULL;
    if (b->threads.n && !next)
        return -ENOMEM;
    uint32_t n = 0;
    int err = 0;
    w->model->starved = FACTS_UNKNOWN;
    for (uint32_t i = 0; !err && i < b->threads.n; i++) {
        const struct top_member *m = top_member(w, b->threads.v[i].pid);
        if (m)
            err = worker(w, &b->threads.v[i], m, &next[n++]);
    }
    if (!err)
        err = remember(w, next, n);
    if (next)
        wr_heap_free(w->heap, next, b->threads.n * sizeof *next);
    return err ? err : families(w);
}
