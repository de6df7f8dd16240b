/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker-pool-exhausted: connections were accepted, their requests lie unread and no epoll set watches them any more:
 * they were handed to a pool of threads, and all of the pool sleep elsewhere. The pool is the largest family of
 * threads (by name) that is not a runtime's own.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

#include <string.h>

struct family {
    char name[17];
    unsigned n, asleep;
    const struct facts_thread *sample;
};

static bool is_watched(const struct facts_look *l, uint64_t inode, uint32_t pid)
{
    const struct facts_watch *w;
    for (uint32_t i = 0; (w = judge_watch(l, inode, i)); i++)
        if (w->pid == pid)
            return true;
    return false;
}

static uint64_t handed_over(const struct judge *j, const struct facts_process *p,
                            uint64_t *out_bytes)
{
    const struct facts_look *b = &j->facts->b;
    uint32_t n;
    uint64_t unread = 0;
    const uint32_t *place = judge_map_of(j->map, (uint32_t)(p - b->processes.v), &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = &b->sockets.v[place[i]];
        if (j->map->conn[place[i]].role != JUDGE_IN || !judge_unread(j, s) ||
            is_watched(b, s->inode, p->pid))
            continue;
        unread++;
        *out_bytes += s->rqueue;
    }
    return unread;
}

static bool is_worker(const struct facts_thread *t)
{
    return t->tid != t->pid && !judge_is_runtime(t->comm);
}

static struct family family_of(const struct judge *j, const struct facts_thread *first)
{
    struct family f = {.sample = first};
    const struct facts_thread *t;
    judge_family(first->comm, f.name);
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, first->pid, &at));) {
        char name[17];
        judge_family(t->comm, name);
        if (!is_worker(t) || strcmp(name, f.name) != 0)
            continue;
        f.n++;
        f.asleep += judge_blocked(j, t);
    }
    return f;
}

/* The largest family of which all sleep; n is 0 where there is none. */
static struct family pool_of(const struct judge *j, uint32_t pid)
{
    struct family best = {.n = 0}, f = {.n = 0};
    const struct facts_thread *t;
    char name[17];
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));) {
        if (!is_worker(t) || !judge_blocked(j, t))
            continue;
        judge_family(t->comm, name);
        if (f.n > 0 && strcmp(name, f.name) == 0)
            continue; /* its family was counted: they stand side by side */
        f = family_of(j, t);
        if (f.asleep == f.n && f.n > best.n)
            best = f;
    }
    return best;
}

static void judge_process(const struct judge *j, const struct facts_process *p)
{
    uint64_t bytes = 0, unread = handed_over(j, p, &bytes);
    if (unread < judge_limit(j, THRESHOLD_unread_min) || !judge_threads_known(j, p->pid) ||
        !judge_fds_known(j, p->pid))
        return;
    struct family pool = pool_of(j, p->pid);
    if (pool.n < 2)
        return;
    struct finding *f = finding_add(j->out, RULE_WORKER_POOL);
    finding_subject(f, (int32_t)p->pid, (int32_t)pool.sample->tid, judge_comm(p->comm));
    f->victims = unread;
    finding_value(f, EVIDENCE_UNREAD, unread, unread);
    finding_over(f, &j->limits, THRESHOLD_unread_min);
    finding_value(f, EVIDENCE_UNREAD_BYTES, bytes, bytes);
    finding_text(f, EVIDENCE_FAMILY, wr_span_str(pool.name));
    finding_of(f, EVIDENCE_FAMILY_ASLEEP, pool.asleep, pool.asleep, pool.n);
    judge_put_sleep(j, f, pool.sample);
}

void rule_worker_pool(const struct judge *j)
{
    const struct facts_process *p;
    for (uint32_t at = 0; (p = judge_next_process(j, &at));)
        judge_process(j, p);
}
