/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dns-blocked: a thread waits for a name server's answer: asleep in a read from a socket that is connected to
 * port 53, or in poll() on one descriptor (as getaddrinfo() does) while its process has such a socket. poll() times
 * out after some seconds and asks again, so a few wake-ups between the looks are no progress.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

enum {
    DNS_PORT = 53,
    RETRIES = 3
};

static bool is_question(const struct judge *j, const struct facts_socket *s)
{
    return s && s->remote_port == DNS_PORT && judge_before(j, s) && s->rqueue == 0;
}

/* A socket of the process that asks a name server, the same at both looks. */
static const struct facts_socket *question_of(const struct judge *j, uint32_t pid)
{
    uint32_t n;
    const struct facts_look *b = &j->facts->b;
    const struct facts_fd *v = facts_fds(b, pid, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct facts_socket *s = facts_socket_of_fd(b, &v[i]);
        if (is_question(j, s) && !judge_watch(b, s->inode, 0)) /* else: an asynchronous one */
            return s;
    }
    return NULL;
}

/* What the thread asks through; NULL: it does not wait for a name server. */
static const struct facts_socket *asks(const struct judge *j, const struct facts_thread *t)
{
    const struct facts_thread *before = judge_thread_before(j, t);
    const struct call *c = judge_call(t);
    if (!before || before->syscall != t->syscall || t->state != 'S' ||
        t->voluntary == FACTS_UNKNOWN || before->voluntary == FACTS_UNKNOWN ||
        t->voluntary - before->voluntary > RETRIES ||
        judge_between_ms(j) < judge_limit(j, THRESHOLD_blocked_min_ms))
        return NULL;
    if (c->kind == CALL_POLL)
        return t->arg[1] == 1 ? question_of(j, t->pid) : NULL;
    if (c->kind != CALL_READ || !c->fd || before->arg[0] != t->arg[0])
        return NULL;
    const struct facts_fd *fd = facts_fd(&j->facts->b, t->pid, (int)t->arg[0]);
    const struct facts_socket *s =
        fd && fd->inode ? facts_socket_of_inode(&j->facts->b, fd->inode) : NULL;
    return is_question(j, s) ? s : NULL;
}

static struct finding *add(const struct judge *j, const struct facts_process *p,
                           const struct facts_thread *t, const struct facts_socket *s)
{
    char addr[64], text[EVIDENCE_TEXT];
    struct finding *f = finding_add(j->out, RULE_DNS);
    finding_subject(f, (int32_t)p->pid, (int32_t)t->tid, judge_comm(p->comm));
    judge_addr(s, true, addr);
    finding_peer(f, wr_span_str(addr));
    finding_text(f, EVIDENCE_SYSCALL, wr_span_str(judge_call(t)->name));
    int held = judge_held_as(&j->facts->b, s->inode, p->pid);
    judge_fd_text(j, p->pid, held, text);
    finding_text(f, EVIDENCE_BLOCKED_ON, wr_span_str(text));
    finding_value(f, EVIDENCE_ASLEEP_MS, judge_between_ms(j), judge_between_ms(j));
    finding_over(f, &j->limits, THRESHOLD_blocked_min_ms);
    const struct facts_thread *before = judge_thread_before(j, t);
    uint64_t woke = before ? t->voluntary - before->voluntary : 0;
    finding_value(f, EVIDENCE_WAKEUPS, woke, woke);
    return f;
}

void rule_dns(const struct judge *j)
{
    const struct facts_process *p;
    for (uint32_t at = 0; (p = judge_next_process(j, &at));) {
        const struct facts_thread *t;
        struct finding *f = NULL;
        for (uint32_t i = 0; (t = judge_next_thread(&j->facts->b, p->pid, &i));) {
            const struct facts_socket *s = asks(j, t);
            if (!s)
                continue;
            f = f ? f : add(j, p, t, s); /* once for a process */
            f->victims++;
        }
    }
}
