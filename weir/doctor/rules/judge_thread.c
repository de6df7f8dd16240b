/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_thread.h"

#include "libweir/base/compiler.h"

#include <string.h>
#include <sys/syscall.h>

/* clang-format off */
static const struct {
    int number;
    struct call call;
} calls[] = {
#define X(number, name, kind, fd) {number, {name, CALL_##kind, fd}},
#include "weir/doctor/rules/judge_call.def"
};
/* clang-format on */

const struct call *judge_call(const struct facts_thread *t)
{
    static const struct call unknown = {"a call that could not be read", CALL_UNKNOWN, false};
    static const struct call running = {"no call (it runs)", CALL_RUNNING, false};
    static const struct call other = {"another call", CALL_OTHER, false};
    if (t->syscall == FACTS_SYSCALL_RUNNING)
        return &running;
    if (t->syscall < 0)
        return &unknown;
    for (size_t i = 0; i < WR_ARRAY_LEN(calls); i++)
        if (calls[i].number == t->syscall)
            return &calls[i].call;
    return &other;
}

uint64_t judge_between_ms(const struct judge *j)
{
    uint64_t a = j->facts->a.at_ns, b = j->facts->b.at_ns;
    return b > a ? (b - a) / 1000000 : 0;
}

const struct facts_thread *judge_thread_before(const struct judge *j,
                                               const struct facts_thread *t)
{
    const struct facts_look *a = &j->facts->a;
    const struct facts_thread *before =
        facts_thread(a->threads.v, a->threads.n, t->tid, t->start);
    return before && before->pid == t->pid ? before : NULL;
}

bool judge_slept(const struct judge *j, const struct facts_thread *t)
{
    const struct facts_thread *before = judge_thread_before(j, t);
    if (!before || (t->state != 'S' && t->state != 'D') || t->syscall < 0)
        return false;
    if (t->voluntary == FACTS_UNKNOWN || before->voluntary != t->voluntary)
        return false;
    return before->syscall == t->syscall && memcmp(before->arg, t->arg, sizeof t->arg) == 0;
}

bool judge_blocked(const struct judge *j, const struct facts_thread *t)
{
    switch (judge_call(t)->kind) {
    case CALL_READ:
    case CALL_WRITE:
    case CALL_CONNECT:
    case CALL_FILE:
    case CALL_LOCK:
    case CALL_SLEEP:
    case CALL_CHILD:
    case CALL_POLL:
    case CALL_OTHER:
        break;
    case CALL_UNKNOWN:
    case CALL_RUNNING:
    case CALL_LOOP:
    case CALL_RING:
    case CALL_ACCEPT:
    case CALL_SIGNAL:
        return false;
    }
    return judge_between_ms(j) >= judge_limit(j, THRESHOLD_blocked_min_ms) && judge_slept(j, t);
}

const struct facts_thread *judge_next_thread(const struct facts_look *l, uint32_t pid,
                                             uint32_t *io_at)
{
    while (*io_at < l->threads.n) {
        const struct facts_thread *t = &l->threads.v[(*io_at)++];
        if (t->pid == pid)
            return t;
    }
    return NULL;
}

unsigned judge_threads(const struct facts_look *l, uint32_t pid)
{
    unsigned n = 0;
    for (uint32_t at = 0; judge_next_thread(l, pid, &at);)
        n++;
    return n;
}

static bool readable(const struct judge *j, uint32_t pid, uint32_t bits)
{
    const struct facts_process *a = facts_process(&j->facts->a, pid);
    const struct facts_process *b = facts_process(&j->facts->b, pid);
    return a && b && a->start == b->start && ((a->unread | b->unread) & bits) == 0;
}

bool judge_threads_known(const struct judge *j, uint32_t pid)
{
    return readable(j, pid, FACTS_UNREAD_THREADS | FACTS_UNREAD_SYSCALL) &&
           judge_threads(&j->facts->a, pid) > 0 && judge_threads(&j->facts->b, pid) > 0;
}

bool judge_fds_known(const struct judge *j, uint32_t pid)
{
    return readable(j, pid, FACTS_UNREAD_FDS | FACTS_UNREAD_FDINFO);
}

bool judge_waits_on(const struct facts_thread *t, int epoll)
{
    return judge_call(t)->kind == CALL_LOOP && t->arg[0] == (uint64_t)epoll;
}

static bool is_same_sleep(const struct facts_thread *then, const struct facts_thread *t)
{
    return then && then->voluntary == t->voluntary && then->syscall == t->syscall &&
           memcmp(then->arg, t->arg, sizeof t->arg) == 0;
}

uint64_t judge_asleep_ms(const struct judge *j, const struct facts_thread *t)
{
    const struct facts *f = j->facts;
    uint64_t since = f->b.at_ns;
    if (t->state == 'R' || t->voluntary == FACTS_UNKNOWN)
        return 0;
    if (is_same_sleep(judge_thread_before(j, t), t))
        return judge_between_ms(j);
    for (uint32_t i = f->glances; i-- > 0;) {
        const struct facts_glance *g = &f->glance[i];
        if (!is_same_sleep(facts_thread(g->threads.v, g->threads.n, t->tid, t->start), t))
            break;
        since = g->at_ns;
    }
    return (f->b.at_ns - since) / 1000000;
}

static bool waits_in(const struct facts_thread *v, uint32_t n, uint32_t pid, int epoll)
{
    for (uint32_t i = 0; i < n; i++)
        if (v[i].pid == pid && judge_waits_on(&v[i], epoll))
            return true;
    return false;
}

bool judge_set_served(const struct judge *j, uint32_t pid, int epoll)
{
    const struct facts *f = j->facts;
    bool served = waits_in(f->a.threads.v, f->a.threads.n, pid, epoll) ||
                  waits_in(f->b.threads.v, f->b.threads.n, pid, epoll);
    for (uint32_t i = 0; i < f->glances && !served; i++)
        served = waits_in(f->glance[i].threads.v, f->glance[i].threads.n, pid, epoll);
    return served;
}

void judge_family(const char *comm, char out[17])
{
    size_t n = 0;
    for (size_t i = 0; i < 16 && comm[i]; i++) {
        bool digit = comm[i] >= '0' && comm[i] <= '9';
        if (!digit)
            out[n++] = comm[i];
        else if (n == 0 || out[n - 1] != '*')
            out[n++] = '*';
    }
    out[n] = '\0';
}

bool judge_is_runtime(const char *comm)
{
    /* Prefixes, as the kernel cuts names to 15 bytes. */
    static const char *const own[] = {
        "GC Thread",
        "G1 ",
        "VM ",
        "C1 Compiler",
        "C2 Compiler",
        "Signal Dispatch",
        "Finalizer",
        "Reference Handl",
        "Common-Cleaner",
        "Notification Th",
        "Service Thread",
        "Monitor Deflati",
        "Sweeper thread",
        "Attach Listener",
        "DestroyJavaVM",
        "Concurrent Mark",
        "ZWorker",
        "Shenandoah",
        "libuv-worker",
        "V8 ",
        "node-V8",
        "DelayedTaskSche",
        "jemalloc_bg",
        "iou-wrk",
        "iou-sqp",
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(own); i++)
        if (strncmp(comm, own[i], strlen(own[i])) == 0)
            return true;
    return false;
}
