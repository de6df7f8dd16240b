/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipc-full and log-write-blocked: a thread sleeps in a write from look to look, into a unix socket, a pipe or a
 * terminal. The kernel makes a writer sleep there only when the reader's side is full, so the sleep is the proof; the
 * memory in use is printed where it was told. What goes to a terminal, a log daemon, or out of descriptor 1 or 2 is
 * a log; the rest are processes that talk to each other.
 */
#include "weir/doctor/rules/judge_thread.h"

#include <string.h>
#include <sys/socket.h>

static bool is_log_name(const char *name)
{
    return strstr(name, "/dev/log") || strstr(name, "journal") || strstr(name, "syslog");
}

/* A standard stream, or what another program reads; a child that calls itself otherwise is one. */
static bool is_log_pipe(const struct judge *j, const struct facts_fd *fd, uint32_t reader)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_process *me = facts_process(b, fd->pid), *it = facts_process(b, reader);
    if (fd->fd == 1 || fd->fd == 2)
        return true;
    return me && it &&
           (strcmp(facts_text(b, me->exe), facts_text(b, it->exe)) != 0 ||
            memcmp(me->comm, it->comm, sizeof me->comm) != 0);
}

static bool is_pipe_wait(const struct facts_thread *t)
{
    return strstr(t->wchan, "pipe_w") != NULL;
}

static void put_pipe(const struct judge *j, struct finding *f, const struct facts_fd *fd)
{
    const struct facts_pipe *a = facts_pipe(&j->facts->a, fd->inode);
    const struct facts_pipe *b = facts_pipe(&j->facts->b, fd->inode);
    if (a && b && fd->kind == FACTS_FD_PIPE)
        finding_of(f, EVIDENCE_PIPE_HELD, a->held, b->held, b->room);
}

static void put_unix(const struct judge *j, struct finding *f, const struct facts_fd *fd)
{
    const struct facts_unix *a = facts_unix(&j->facts->a, fd->inode);
    const struct facts_unix *b = facts_unix(&j->facts->b, fd->inode);
    if (!a || !b || a->wmem == FACTS_NONE || b->wmem == FACTS_NONE || b->sndbuf == FACTS_NONE)
        return;
    finding_of(f, EVIDENCE_SEND_MEMORY, a->wmem, b->wmem, b->sndbuf);
    if (b->wmem >= b->sndbuf / 100 * judge_limit(j, THRESHOLD_send_full_percent))
        finding_over(f, &j->limits, THRESHOLD_send_full_percent);
}

static void add(const struct judge *j, enum rule_name rule, const struct facts_thread *t,
                const struct facts_fd *fd, uint32_t reader)
{
    char text[EVIDENCE_TEXT];
    const struct facts_process *p = facts_process(&j->facts->b, t->pid);
    struct finding *f = finding_add(j->out, rule);
    finding_subject(f, (int32_t)t->pid, (int32_t)t->tid, judge_comm(p ? p->comm : t->comm));
    judge_put_sleep(j, f, t);
    if (reader) {
        judge_process_text(j, reader, text);
        finding_text(f, EVIDENCE_READER, wr_span_str(text));
    } else {
        finding_text(f, EVIDENCE_READER, WR_LIT("not known"));
    }
    put_pipe(j, f, fd);
    put_unix(j, f, fd);
    finding_value(f, EVIDENCE_WAKEUPS, 0, 0);
}

static void judge_unix(const struct judge *j, const struct facts_thread *t,
                       const struct facts_fd *fd)
{
    const struct facts_unix *u = facts_unix(&j->facts->b, fd->inode);
    const struct facts_unix *peer = u ? facts_unix(&j->facts->b, u->peer) : NULL;
    if (!u)
        return; /* TCP: not a channel of this host */
    bool log = is_log_name(facts_text(&j->facts->b, u->name)) ||
               (peer && is_log_name(facts_text(&j->facts->b, peer->name)));
    add(j, log ? RULE_LOG_WRITE : RULE_IPC_FULL, t, fd, judge_other_end(&j->facts->b, fd));
}

static void judge_writer(const struct judge *j, const struct facts_thread *t)
{
    const struct call *c = judge_call(t);
    if (c->kind != CALL_WRITE || !c->fd || !judge_blocked(j, t) || t->state == 'D')
        return;
    const struct facts_fd *fd = facts_fd(&j->facts->b, t->pid, (int)t->arg[0]);
    if (!fd)
        return;
    if (fd->kind == FACTS_FD_SOCKET) {
        judge_unix(j, t, fd);
    } else if (fd->kind == FACTS_FD_PIPE) {
        uint32_t reader = judge_other_end(&j->facts->b, fd);
        add(j, is_log_pipe(j, fd, reader) ? RULE_LOG_WRITE : RULE_IPC_FULL, t, fd, reader);
    } else if (fd->kind == FACTS_FD_TTY || (fd->kind == FACTS_FD_FILE && is_pipe_wait(t))) {
        add(j, RULE_LOG_WRITE, t, fd, 0);
    }
}

/* Both rules are one judgement: which of them it is depends on who reads. */
void rule_blocked_write(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->threads.n; i++)
        if (judge_is_target(j, b->threads.v[i].pid))
            judge_writer(j, &b->threads.v[i]);
}
