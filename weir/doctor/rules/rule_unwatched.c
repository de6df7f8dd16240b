/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listener-unwatched: a queue stands, and over all processes that hold the listener nobody waits for it: it is armed
 * in no epoll set, no thread is in accept() on it, no ring has an accept pending. The sets of poll and select are not
 * visible, but both tell of a waiting connection again and again: who sleeps in them under a queue that stands does
 * not ask for it. A process of one thread that is busy may come back to accept(): that is not this disease.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

struct holders {
    unsigned processes;
    const struct facts_thread *main; /* of one of them */
};

static bool is_watched(const struct judge *j, uint64_t inode)
{
    const struct facts_watch *w;
    for (uint32_t i = 0; (w = judge_watch(&j->facts->b, inode, i)); i++)
        if (judge_armed(w))
            return true;
    for (uint32_t i = 0; (w = judge_watch(&j->facts->a, inode, i)); i++)
        if (judge_armed(w))
            return true;
    return false;
}

static bool has_ring_accept(const struct judge *j, uint32_t pid)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->rings.n; i++)
        if (b->rings.v[i].pid == pid && b->rings.v[i].accepts > 0)
            return true;
    return false;
}

static bool is_accept_on(const struct facts_look *l, const struct facts_thread *t,
                         uint64_t inode)
{
    if (judge_call(t)->kind != CALL_ACCEPT)
        return false;
    const struct facts_fd *fd = facts_fd(l, t->pid, (int)t->arg[0]);
    return !fd || fd->inode == inode;
}

/* May this thread, which is all its process has, still come to accept? */
static bool may_return(const struct judge *j, const struct facts_thread *t)
{
    enum call_kind kind = judge_call(t)->kind;
    if (!judge_slept(j, t))
        return kind != CALL_LOOP; /* one that comes back to its set has it not in there */
    if (kind ==
        CALL_LOCK) /* with no client in hand: a main thread that outlived the one that accepts */
        return judge_has_connection(j, t->pid);
    return kind != CALL_LOOP && kind != CALL_RING && kind != CALL_POLL && kind != CALL_SLEEP &&
           kind != CALL_CHILD && kind != CALL_SIGNAL;
}

/* Is it certain that pid does not take connections from this listener? */
static bool ignores(const struct judge *j, uint32_t pid, uint64_t inode,
                    struct holders *io_holders)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    const struct facts_process *p = facts_process(b, pid);
    const struct facts_thread *t;
    if (!p || !judge_threads_known(j, pid) || !judge_fds_known(j, pid) || p->state == 'T' ||
        p->state == 't' || has_ring_accept(j, pid))
        return false;
    for (uint32_t at = 0; (t = judge_next_thread(a, pid, &at));)
        if (is_accept_on(a, t, inode))
            return false;
    for (uint32_t at = 0; (t = judge_next_thread(b, pid, &at));) {
        if (is_accept_on(b, t, inode))
            return false;
        if (t->tid == pid || !io_holders->main)
            io_holders->main = t;
    }
    io_holders->processes++;
    return judge_threads(b, pid) > 1 || !may_return(j, io_holders->main);
}

static bool all_ignore(const struct judge *j, uint64_t inode, struct holders *out)
{
    const struct facts_fd *fd;
    uint32_t last = 0;
    for (uint32_t i = 0; (fd = facts_owner(&j->facts->b, inode, i)); i++) {
        if (fd->pid != last && !ignores(j, fd->pid, inode, out))
            return false;
        last = fd->pid;
    }
    return out->processes > 0;
}

static void judge_listener(const struct judge *j, const struct facts_socket *s)
{
    struct judge_queue q;
    struct holders h = {0};
    char text[EVIDENCE_TEXT];
    if (!judge_queue_stands(j, s, &q) || is_watched(j, s->inode) ||
        !all_ignore(j, s->inode, &h))
        return;
    const struct facts_process *p = facts_process(&j->facts->b, h.main->pid);
    struct finding *f = finding_add(j->out, RULE_UNWATCHED);
    finding_subject(f, (int32_t)h.main->pid, 0, judge_comm(p ? p->comm : h.main->comm));
    judge_put_queue(j, f, s, &q);
    finding_value(f, EVIDENCE_OWNERS, h.processes, h.processes);
    judge_process_text(j, h.main->pid, text);
    finding_text(f, EVIDENCE_OWNER, wr_span_str(text));
    finding_text(f, EVIDENCE_SYSCALL, wr_span_str(judge_call(h.main)->name));
}

void rule_unwatched(const struct judge *j)
{
    const struct facts_socket *s;
    for (uint32_t at = 0; (s = judge_next_listener(j, &at));)
        judge_listener(j, s);
}
