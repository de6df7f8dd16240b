/* SPDX-License-Identifier: BSD-2-Clause */
/* What a thread waits for, and who is at the other end, in words. */
#include "weir/doctor/rules/judge_thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char *state_word(char state)
{
    switch (state) {
    case 'T':
        return " (stopped)";
    case 't':
        return " (traced)";
    case 'Z':
        return " (dead)";
    case 'D':
        return " (waits for the disk)";
    case 'R':
        return " (runs)";
    default:
        return " (asleep)";
    }
}

void judge_process_text(const struct judge *j, uint32_t pid, char out[EVIDENCE_TEXT])
{
    const struct facts_process *p = facts_process(&j->facts->b, pid);
    if (!p) {
        (void)snprintf(out, EVIDENCE_TEXT, "pid %u", pid);
        return;
    }
    struct wr_span comm = judge_comm(p->comm);
    (void)snprintf(out, EVIDENCE_TEXT, "pid %u %.*s%s", pid, (int)comm.n, comm.p,
                   state_word(p->state));
}

static bool reads_it(const struct facts_look *l, const struct facts_fd *fd)
{
    const struct facts_thread *t;
    for (uint32_t at = 0; (t = judge_next_thread(l, fd->pid, &at));)
        if (judge_call(t)->kind == CALL_READ && t->arg[0] == (uint64_t)fd->fd)
            return true;
    return false;
}

/* How much this descriptor looks like the reading end that `from` writes to. */
static int reader_score(const struct facts_look *l, const struct facts_fd *from,
                        const struct facts_fd *fd)
{
    if (fd->flags != FACTS_NONE && (fd->flags & O_ACCMODE) == O_WRONLY)
        return 0;
    if (fd->flags != FACTS_NONE && (fd->flags & O_ACCMODE) == O_RDONLY)
        return fd->pid != from->pid ? 100 : 90;
    const struct facts_process *me = facts_process(l, from->pid);
    const struct facts_process *it = facts_process(l, fd->pid);
    int score = fd->pid != from->pid ? 10 : fd->fd != from->fd;
    score += reads_it(l, fd) ? 40 : 0;
    score += fd->fd == 0 ? 30 : 0;
    if (me && it && strcmp(facts_text(l, me->exe), facts_text(l, it->exe)) != 0)
        score += 5;
    return score;
}

uint32_t judge_other_end(const struct facts_look *l, const struct facts_fd *fd)
{
    const struct facts_unix *u = fd->kind == FACTS_FD_SOCKET ? facts_unix(l, fd->inode) : NULL;
    const struct facts_fd *it;
    uint32_t best = 0;
    if (fd->kind == FACTS_FD_SOCKET) {
        /* A socket pair made before fork is held twice at both ends: the other process is meant. */
        for (uint32_t i = 0; u && u->peer && (it = facts_owner(l, u->peer, i)); i++)
            best = best == 0 || it->pid != fd->pid ? it->pid : best;
        return best;
    }
    int high = 0;
    for (uint32_t i = 0; fd->inode && (it = facts_owner(l, fd->inode, i)); i++) {
        int score = reader_score(l, fd, it);
        if (score > high)
            high = score, best = it->pid;
    }
    return best;
}

static void inet_text(const struct facts_socket *s, char out[EVIDENCE_TEXT])
{
    char addr[64];
    const char *what = s->proto == FACTS_UDP ? "udp" : "tcp";
    bool connected = s->remote_port != 0 && s->state != FACTS_LISTEN;
    judge_addr(s, connected, addr);
    if (s->state == FACTS_LISTEN)
        what = "listener";
    (void)snprintf(out, EVIDENCE_TEXT, "%s %s", what, addr);
}

static void with_end(const struct judge *j, const struct facts_fd *fd, const char *what,
                     const char *end, char out[EVIDENCE_TEXT])
{
    char who[EVIDENCE_TEXT];
    uint32_t pid = judge_other_end(&j->facts->b, fd);
    if (pid == 0) {
        (void)snprintf(out, EVIDENCE_TEXT, "%s", what);
        return;
    }
    judge_process_text(j, pid, who);
    (void)snprintf(out, EVIDENCE_TEXT, "%s, %s %.60s", what, end, who);
}

static void unix_text(const struct judge *j, const struct facts_fd *fd,
                      const struct facts_unix *u, char out[EVIDENCE_TEXT])
{
    char what[64];
    const struct facts_unix *peer = facts_unix(&j->facts->b, u->peer);
    const char *name = facts_text(&j->facts->b, peer && peer->name ? peer->name : u->name);
    (void)snprintf(what, sizeof what, "unix socket%s%.40s", *name ? " " : "", name);
    with_end(j, fd, what, "peer", out);
}

void judge_fd_text(const struct judge *j, uint32_t pid, int fd, char out[EVIDENCE_TEXT])
{
    const struct facts_look *l = &j->facts->b;
    const struct facts_fd *d = facts_fd(l, pid, fd);
    if (!d) {
        (void)snprintf(out, EVIDENCE_TEXT, "descriptor %d", fd);
        return;
    }
    const struct facts_socket *s = facts_socket_of_inode(l, d->inode);
    const struct facts_unix *u = facts_unix(l, d->inode);
    const char *path = facts_text(l, d->path);
    if (d->kind == FACTS_FD_SOCKET && s && d->inode)
        inet_text(s, out);
    else if (d->kind == FACTS_FD_SOCKET && u)
        unix_text(j, d, u, out);
    else if (d->kind == FACTS_FD_PIPE)
        with_end(j, d, "pipe", "other end", out);
    else if (*path)
        (void)snprintf(out, EVIDENCE_TEXT, "%s", path);
    else
        (void)snprintf(out, EVIDENCE_TEXT, "descriptor %d", fd);
}

static void lock_text(const struct judge *j, const struct facts_thread *t,
                      char out[EVIDENCE_TEXT])
{
    const struct facts_look *l = &j->facts->b;
    for (uint32_t i = 0; i < l->futexes.n; i++) {
        const struct facts_futex *x = &l->futexes.v[i];
        if (x->pid != t->pid || x->tid != t->tid || x->addr != t->arg[0] || x->owner == 0)
            continue;
        const struct facts_thread *o;
        for (uint32_t at = 0; (o = judge_next_thread(l, t->pid, &at));)
            if (o->tid == x->owner) {
                (void)snprintf(out, EVIDENCE_TEXT,
                               "a lock that thread %u holds, which is in %s", x->owner,
                               judge_call(o)->name);
                return;
            }
    }
    (void)snprintf(out, EVIDENCE_TEXT, "a lock or a condition");
}

/* select() tells the highest descriptor, poll() how many. */
static bool is_select(const struct facts_thread *t)
{
    return strstr(judge_call(t)->name, "select") != NULL;
}

void judge_wait_text(const struct judge *j, const struct facts_thread *t,
                     char out[EVIDENCE_TEXT])
{
    const struct call *c = judge_call(t);
    *out = '\0';
    if (c->kind == CALL_LOOP)
        (void)snprintf(out, EVIDENCE_TEXT, "events of another set, descriptor %d",
                       (int)t->arg[0]);
    else if (c->fd)
        judge_fd_text(j, t->pid, (int)t->arg[0], out);
    else if (t->syscall >= 0 && c->kind == CALL_LOCK)
        lock_text(j, t, out);
    else if (c->kind == CALL_SLEEP)
        (void)snprintf(out, EVIDENCE_TEXT, "time to pass");
    else if (c->kind == CALL_POLL && t->syscall >= 0)
        (void)snprintf(out, EVIDENCE_TEXT, "events of %s%llu of its descriptors",
                       is_select(t) ? "up to " : "",
                       (unsigned long long)(is_select(t) ? t->arg[0] : t->arg[1]));
    else if (c->kind == CALL_CHILD)
        (void)snprintf(out, EVIDENCE_TEXT, "a child process");
}

void judge_put_sleep(const struct judge *j, struct finding *f, const struct facts_thread *t)
{
    char text[EVIDENCE_TEXT];
    finding_text(f, EVIDENCE_SYSCALL, wr_span_str(judge_call(t)->name));
    judge_wait_text(j, t, text);
    if (*text)
        finding_text(f, EVIDENCE_BLOCKED_ON, wr_span_str(text));
    finding_value(f, EVIDENCE_ASLEEP_MS, judge_between_ms(j), judge_between_ms(j));
    finding_over(f, &j->limits, THRESHOLD_blocked_min_ms);
}
