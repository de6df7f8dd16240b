/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event-loop-blocked: the thread that should wait for events sleeps in the middle of something else, from look to
 * look. A process of one thread is its own loop. Of several threads the one is looked for that no longer waits on
 * a set whose sockets have work: that is a guess, only made when somebody suffers and no thread is at work.
 * Runtimes keep many threads in futex, so a lock accuses only a main thread or a sibling of loops that do wait.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_owed.h"
#include "weir/doctor/rules/judge_thread.h"

#include "libweir/base/compiler.h"

#include <string.h>

struct work { /* what waits for the loop */
    struct judge_work io;
    uint64_t owed;
};

static uint64_t total(const struct work *w)
{
    return w->io.unread + w->io.unaccepted + w->owed;
}

static bool in_set(const struct judge *j, const struct facts_socket *s, uint32_t pid, int epoll)
{
    const struct facts_watch *w;
    for (uint32_t i = 0; (w = judge_watch(&j->facts->b, s->inode, i)); i++)
        if (w->pid == pid && w->epoll == epoll)
            return true;
    return false;
}

static void add_socket(const struct judge *j, uint32_t i, struct work *w)
{
    uint32_t age;
    if (judge_work_add(j, &j->facts->b.sockets.v[i], &w->io) || !judge_we_owe(j, i, &age))
        return;
    w->owed++;
    w->io.oldest_ms = age > w->io.oldest_ms ? age : w->io.oldest_ms;
}

/* What waits on the sockets of one set of the process, or where epoll is negative on all that it has. */
static struct work work_of(const struct judge *j, uint32_t pid, int epoll)
{
    struct work w = {0};
    uint32_t n;
    const struct facts_look *b = &j->facts->b;
    const struct facts_fd *v = facts_fds(b, pid, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = facts_socket_of_fd(b, &v[i]);
        if (s && s->proto == FACTS_TCP && (epoll < 0 || in_set(j, s, pid, epoll)))
            add_socket(j, (uint32_t)(s - b->sockets.v), &w);
    }
    return w;
}

static struct finding *add(const struct judge *j, const struct facts_process *p,
                           const struct facts_thread *t, const struct work *w, bool sole)
{
    struct finding *f = finding_add(j->out, RULE_LOOP_BLOCKED);
    finding_subject(f, (int32_t)p->pid, (int32_t)t->tid, judge_comm(p->comm));
    f->victims = total(w);
    f->oldest_ms = w->io.oldest_ms;
    judge_put_sleep(j, f, t);
    if (t->wchan[0])
        finding_text(f, EVIDENCE_WCHAN, wr_span(t->wchan, strnlen(t->wchan, sizeof t->wchan)));
    finding_value(f, EVIDENCE_WAKEUPS, 0, 0);
    judge_put_work(f, &w->io);
    if (w->owed)
        finding_value(f, EVIDENCE_OWED, w->owed, w->owed);
    if (!sole)
        finding_weaken(f, CERTAINTY_LIKELY);
    return f;
}

/* ---- one thread --------------------------------------------------------------------------------------- */
/* A child that got its parent's descriptors and does its own work reads, waits or sleeps by duty: without anybody
 * who suffers only a call in the middle of I/O is worth a word. */
static bool is_idle_duty(enum call_kind kind)
{
    return kind != CALL_READ && kind != CALL_WRITE && kind != CALL_CONNECT && kind != CALL_FILE;
}

static bool watches_any(const struct judge *j, uint32_t pid)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->watches.n; i++)
        if (b->watches.v[i].pid == pid)
            return true;
    return false;
}

static bool holds_alone(const struct judge *j, const struct facts_socket *listener,
                        uint32_t pid)
{
    const struct facts_fd *fd;
    for (uint32_t i = 0; (fd = facts_owner(&j->facts->b, listener->inode, i)); i++)
        if (fd->pid != pid)
            return false;
    return true;
}

/* A master without connections wakes for its clock and its children only. */
static bool is_masters(enum call_kind kind)
{
    return kind == CALL_SLEEP || kind == CALL_CHILD || kind == CALL_SIGNAL || kind == CALL_POLL;
}

/* Another holder of the listener is awake: it may just be slow to accept. */
static bool others_work(const struct judge *j, const struct facts_socket *listener,
                        uint32_t pid)
{
    const struct facts_fd *fd;
    const struct facts_thread *t;
    for (uint32_t i = 0; (fd = facts_owner(&j->facts->b, listener->inode, i)); i++) {
        if (fd->pid == pid)
            continue;
        if (!judge_threads_known(j, fd->pid))
            return true;
        for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, fd->pid, &at));)
            if (!judge_slept(j, t) &&
                (!is_masters(judge_call(t)->kind) || judge_has_connection(j, fd->pid)))
                return true;
    }
    return false;
}

/* All that pid would serve is nobody else's: no process is awake or waits on a set with its listener. */
static bool is_alone(const struct judge *j, uint32_t pid)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_watch *w;
    bool listens = false;
    for (uint32_t at = 0; at < b->sockets.n; at++) {
        const struct facts_socket *s = &b->sockets.v[at];
        if (s->proto != FACTS_TCP || s->state != FACTS_LISTEN || !s->inode ||
            judge_held_as(b, s->inode, pid) < 0)
            continue;
        listens = true;
        if (others_work(j, s, pid))
            return false;
        for (uint32_t i = 0; (w = judge_watch(b, s->inode, i)); i++)
            if (w->pid != pid && judge_set_served(j, w->pid, w->epoll))
                return false;
    }
    return listens;
}

/* Of workers that share a listener and are all blocked one is enough. */
static bool is_said(const struct judge *j, const struct facts_socket *listener)
{
    char addr[64];
    judge_addr(listener, false, addr);
    for (unsigned i = 0; i < j->out->n; i++)
        if (j->out->row[i].rule == RULE_LOOP_BLOCKED &&
            strcmp(j->out->row[i].subject.listener, addr) == 0)
            return true;
    return false;
}

/* The sockets of a set wake whoever waits for them, also through poll() on the set itself: work that stands proves
 * that this poll() is about something else. Debts prove nothing there: a proxy's poll() waits for its upstream. */
static bool stands_still(const struct judge *j, uint32_t pid, enum call_kind kind,
                         const struct work *w, bool loop)
{
    if (loop)
        return kind == CALL_POLL ? w->io.unread + w->io.unaccepted > 0 : total(w) > 0;
    if (w->io.unaccepted == 0)
        return false;
    /* A master does that, or one whose accepting thread has ended. */
    if (kind == CALL_POLL || kind == CALL_SLEEP || kind == CALL_CHILD || kind == CALL_LOCK)
        return judge_has_connection(j, pid);
    return judge_has_connection(j, pid) || holds_alone(j, w->io.listener, pid);
}

static void judge_sole(const struct judge *j, const struct facts_process *p,
                       const struct facts_thread *t)
{
    if (!judge_blocked(j, t))
        return;
    enum call_kind kind = judge_call(t)->kind;
    struct work w = work_of(j, p->pid, -1);
    bool loop = watches_any(j, p->pid);
    if (w.io.listener && is_said(j, w.io.listener))
        return;
    if (w.io.listener && others_work(j, w.io.listener, p->pid))
        w.io.unaccepted = 0; /* theirs as much */
    if (stands_still(j, p->pid, kind, &w, loop)) {
        add(j, p, t, &w, true);
        return;
    }
    if (total(&w) > 0 || !loop || is_idle_duty(kind) || !is_alone(j, p->pid))
        return;
    add(j, p, t, &w, false)->severity = SEVERITY_WARN; /* nobody has come yet */
}

/* ---- several threads ----------------------------------------------------------------------------------- */
static bool is_loop_family(const struct judge *j, const struct facts_thread *t)
{
    char mine[17], other[17];
    const struct facts_thread *it;
    judge_family(t->comm, mine);
    for (uint32_t at = 0; (it = judge_next_thread(&j->facts->b, t->pid, &at));) {
        judge_family(it->comm, other);
        if (it != t && judge_call(it)->kind == CALL_LOOP && strcmp(mine, other) == 0)
            return true;
    }
    return false;
}

/* The name says it. */
static bool is_loop_name(const char *comm)
{
    static const char *const words[] = {"ispatch", "vent",    "oop",   "nio",
                                        "oller",   "elector", "eactor"};
    char name[17];
    judge_family(comm, name);
    for (size_t i = 0; i < WR_ARRAY_LEN(words); i++)
        if (strstr(name, words[i]))
            return true;
    return false;
}

/* The first thread of a Java machine only waits for the end. */
static bool is_idle_main(const struct facts_thread *t)
{
    return t->tid == t->pid && strncmp(t->comm, "java", 5) == 0;
}

/* The main thread sleeps in another loop, on a set without a TCP socket: a call that waits for a child or a helper
 * often runs such a loop inside the real one. */
static bool is_nested(const struct judge *j, const struct facts_thread *t)
{
    const struct facts_look *b = &j->facts->b;
    if (t->tid != t->pid || judge_call(t)->kind != CALL_LOOP || !judge_slept(j, t))
        return false;
    for (uint32_t i = 0; i < b->watches.n; i++) {
        const struct facts_watch *w = &b->watches.v[i];
        if (w->pid != t->pid || t->arg[0] != (uint64_t)w->epoll)
            continue;
        const struct facts_fd *fd = facts_fd(b, w->pid, w->fd);
        if (!fd || (fd->kind == FACTS_FD_SOCKET && facts_socket_of_inode(b, fd->inode)))
            return false;
    }
    return judge_between_ms(j) >= judge_limit(j, THRESHOLD_blocked_min_ms);
}

/* How likely this blocked thread is the loop; 0: it is not. */
static int loop_score(const struct judge *j, const struct facts_thread *t)
{
    if (is_nested(j, t))
        return 4;
    enum call_kind kind = judge_call(t)->kind;
    bool main = t->tid == t->pid, sibling = is_loop_family(j, t) || is_loop_name(t->comm);
    if (!judge_blocked(j, t) || judge_is_runtime(t->comm) || is_idle_main(t))
        return 0;
    if (kind == CALL_LOCK || kind == CALL_SLEEP || kind == CALL_CHILD)
        return sibling ? 3 : main ? 2 : 0;
    return sibling ? 6 : main ? 5 : 4;
}

static const struct facts_thread *likely_loop(const struct judge *j, uint32_t pid)
{
    const struct facts_thread *t, *best = NULL;
    int high = 0;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));) {
        int score = loop_score(j, t);
        if (score > high)
            high = score, best = t;
    }
    return best;
}

static bool waits_elsewhere(enum call_kind kind)
{
    return kind == CALL_LOCK || kind == CALL_SLEEP || kind == CALL_POLL ||
           kind == CALL_ACCEPT || kind == CALL_SIGNAL || kind == CALL_LOOP || kind == CALL_RING;
}

/* A thread that is at work may be the loop: under full load it is never seen to wait. */
static bool any_works(const struct judge *j, uint32_t pid)
{
    const struct facts_thread *t, *before;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));) {
        before = judge_thread_before(j, t);
        bool rests = before && waits_elsewhere(judge_call(before)->kind) &&
                     waits_elsewhere(judge_call(t)->kind);
        if (!rests && !judge_slept(j, t) && !judge_is_runtime(t->comm))
            return true;
    }
    return false;
}

static bool any_waits(const struct judge *j, uint32_t pid)
{
    const struct facts_thread *t;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));) {
        enum call_kind kind = judge_call(t)->kind;
        if (kind == CALL_LOOP || kind == CALL_RING || kind == CALL_POLL || kind == CALL_ACCEPT)
            return true;
    }
    return false;
}

/* Without sets: a main thread that accepts and serves, and helpers beside it. */
static void judge_serving(const struct judge *j, const struct facts_process *p,
                          const struct facts_thread *t)
{
    enum call_kind kind = judge_call(t)->kind;
    bool io = kind == CALL_READ || kind == CALL_WRITE || kind == CALL_CONNECT;
    if (!io || t->tid != t->pid || any_waits(j, p->pid) || !judge_has_connection(j, p->pid))
        return;
    struct work work = work_of(j, p->pid, -1);
    if (work.io.unaccepted > 0)
        add(j, p, t, &work, false);
}

/* A set of the process on which nobody waits although its sockets have work; -1: there is none. */
static int forsaken(const struct judge *j, uint32_t pid, struct work *out)
{
    uint32_t n;
    const struct facts_fd *v = facts_fds(&j->facts->b, pid, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].kind != FACTS_FD_EPOLL || judge_set_served(j, pid, v[i].fd))
            continue;
        *out = work_of(j, pid, v[i].fd);
        if (out->io.listener && others_work(j, out->io.listener, pid))
            out->io.unaccepted = 0;
        if (total(out) > 0)
            return v[i].fd;
    }
    return -1;
}

static void judge_many(const struct judge *j, const struct facts_process *p)
{
    struct work work;
    bool sets = watches_any(j, p->pid);
    if (any_works(j, p->pid) || (sets && forsaken(j, p->pid, &work) < 0))
        return;
    const struct facts_thread *t = likely_loop(j, p->pid);
    if (t && sets)
        add(j, p, t, &work, false);
    else if (t)
        judge_serving(j, p, t);
}

void rule_loop_blocked(const struct judge *j)
{
    const struct facts_process *p;
    for (uint32_t at = 0; (p = judge_next_process(j, &at));) {
        if (!judge_threads_known(j, p->pid) || p->state == 'T' || p->state == 't')
            continue;
        uint32_t first = 0;
        const struct facts_thread *t = judge_next_thread(&j->facts->b, p->pid, &first);
        if (judge_threads(&j->facts->b, p->pid) == 1)
            judge_sole(j, p, t);
        else
            judge_many(j, p);
    }
}
