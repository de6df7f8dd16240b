/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_thread.h"
#include "weir/doctor/top/top_work.h"

#include <inttypes.h>
#include <stdio.h>

/* Of a TCP connection the end that matters; of a listener where it listens. */
static void name_tcp(const struct facts_socket *s, char *out, size_t n)
{
    char addr[64];
    judge_addr(s, s->state != FACTS_LISTEN, addr);
    (void)snprintf(out, n, "%s%.43s", s->proto == FACTS_UDP ? "udp " : "", addr);
}

/* The kind of channel, and who else has it. */
static void name_channel(const struct facts_look *l, enum doctor_lang lang,
                         const struct facts_fd *fd, const char *what, const char *name,
                         bool full, char *out, size_t n)
{
    uint32_t pid = judge_other_end(l, fd);
    const struct facts_process *p = pid != fd->pid ? facts_process(l, pid) : NULL;
    const char *state = full ? WORD(lang, DOES_FULL) : "";
    if (p)
        (void)snprintf(out, n, WORD(lang, DOES_CHANNEL_OF), what, p->comm, pid, state);
    else
        (void)snprintf(out, n, "%s%s%s%s", what, *name ? " " : "", name, state);
}

static void name_unix(const struct facts_look *l, enum doctor_lang lang,
                      const struct facts_fd *fd, const struct facts_unix *u, char *out,
                      size_t n)
{
    bool full = u->wmem != FACTS_NONE && u->sndbuf && u->sndbuf != FACTS_NONE &&
                (uint64_t)u->wmem * 100 >= (uint64_t)u->sndbuf * 99;
    name_channel(l, lang, fd, WORD(lang, DOES_UNIX), facts_text(l, u->name), full, out, n);
}

static void name_pipe(const struct facts_look *l, enum doctor_lang lang,
                      const struct facts_fd *fd, char *out, size_t n)
{
    const struct facts_pipe *pipe = facts_pipe(l, fd->inode);
    bool full = pipe && pipe->room && pipe->held + 4096 >= pipe->room;
    name_channel(l, lang, fd, WORD(lang, DOES_PIPE), "", full, out, n);
}

static void name_fd(const struct facts_look *l, enum doctor_lang lang,
                    const struct facts_fd *fd, char *out, size_t n)
{
    static const char *const words[][LANG_COUNT] = {
        [FACTS_FD_OTHER] = {"",         ""        },
        [FACTS_FD_FILE] = WORDS(DOES_FILE),
        [FACTS_FD_SOCKET] = WORDS(DOES_SOCKET),
        [FACTS_FD_PIPE] = WORDS(DOES_PIPE),
        [FACTS_FD_EPOLL] = WORDS(DOES_EPOLL),
        [FACTS_FD_EVENT] = {"eventfd",  "eventfd" },
        [FACTS_FD_TIMER] = WORDS(DOES_TIMER),
        [FACTS_FD_RING] = {"io_uring", "io_uring"},
        [FACTS_FD_TTY] = WORDS(DOES_TTY),
    };
    const struct facts_socket *s = facts_socket_of_fd(l, fd);
    const struct facts_unix *u =
        fd->kind == FACTS_FD_SOCKET && !s ? facts_unix(l, fd->inode) : NULL;
    if (s)
        name_tcp(s, out, n);
    else if (u)
        name_unix(l, lang, fd, u, out, n);
    else if (fd->kind == FACTS_FD_PIPE)
        name_pipe(l, lang, fd, out, n);
    else if (fd->path && *facts_text(l, fd->path))
        (void)snprintf(out, n, "%s", facts_text(l, fd->path));
    else
        (void)snprintf(out, n, "%s",
                       fd->kind < WR_ARRAY_LEN(words) ? words[fd->kind][lang]
                                                      : WORD(lang, DOES_DESCRIPTOR));
}

/* Reading from a client, a pipe or a file nobody writes is waiting for work; from who owes us an answer it is not. */
static enum top_wait reading(const struct facts_look *l, const struct judge_map *map,
                             const struct facts_fd *fd)
{
    const struct facts_socket *s = fd ? facts_socket_of_fd(l, fd) : NULL;
    if (!s || s->state == FACTS_LISTEN || s->remote_port == 0)
        return TOP_WAIT_IDLE;
    if (s->proto == FACTS_UDP)
        return s->remote_port == 53 ? TOP_WAIT_BLOCKED : TOP_WAIT_IDLE;
    return judge_map_listens(map, s->local_port) ? TOP_WAIT_IDLE : TOP_WAIT_BLOCKED;
}

static enum top_wait meaning(const struct facts_look *l, const struct judge_map *map,
                             const struct facts_thread *t, const struct call *c,
                             const struct facts_fd *fd)
{
    if (t->state == 'D' || t->state == 'T' || t->state == 't')
        return TOP_WAIT_BLOCKED;
    switch (c->kind) {
    case CALL_LOOP:
    case CALL_RING:
    case CALL_POLL:
    case CALL_SLEEP:
    case CALL_CHILD:
    case CALL_SIGNAL:
    case CALL_ACCEPT:
        return TOP_WAIT_IDLE;
    case CALL_READ:
        return c->fd ? reading(l, map, fd) : TOP_WAIT_IDLE;
    case CALL_WRITE:
        return c->fd ? TOP_WAIT_BLOCKED : TOP_WAIT_UNKNOWN;
    case CALL_CONNECT:
    case CALL_FILE:
        return TOP_WAIT_BLOCKED;
    case CALL_LOCK:
        break;
    case CALL_UNKNOWN:
    case CALL_RUNNING:
    case CALL_OTHER:
        return TOP_WAIT_UNKNOWN;
    }
    for (uint32_t i = 0; i < l->futexes.n; i++)
        if (l->futexes.v[i].tid == t->tid && l->futexes.v[i].owner)
            return TOP_WAIT_BLOCKED; /* a mutex that somebody holds */
    return TOP_WAIT_PARKED;
}

static enum top_wait without_call(const struct facts_thread *t, enum doctor_lang lang,
                                  char *out, size_t n)
{
    if (t->state == 'T' || t->state == 't') {
        (void)snprintf(out, n, "%s",
                       t->state == 'T' ? WORD(lang, DOES_STOPPED) : WORD(lang, DOES_TRACED));
        return TOP_WAIT_BLOCKED;
    }
    if (t->syscall == FACTS_SYSCALL_RUNNING || t->state == 'R') {
        (void)snprintf(out, n, "%s", WORD(lang, DOES_RUN));
        return TOP_WAIT_RUNNING;
    }
    if (t->wchan[0])
        (void)snprintf(out, n, WORD(lang, DOES_IN), t->wchan);
    else
        (void)snprintf(out, n, "%s",
                       t->state == 'D' ? WORD(lang, DOES_DISK) : WORD(lang, DOES_SLEEP));
    return t->state == 'D' ? TOP_WAIT_BLOCKED : TOP_WAIT_UNKNOWN;
}

/* The descriptor that the call is about; of loops the set is of no interest. */
static const struct facts_fd *fd_of(const struct facts_look *l, const struct facts_thread *t,
                                    const struct call *c)
{
    bool tells = c->fd && c->kind != CALL_LOOP && c->kind != CALL_RING;
    return tells && t->arg[0] < 1U << 30 ? facts_fd(l, t->pid, (int)t->arg[0]) : NULL;
}

static void tell(const struct facts_look *l, enum doctor_lang lang,
                 const struct facts_thread *t, const struct call *c, const struct facts_fd *fd,
                 char *out, size_t n)
{
    char what[48] = "";
    if (fd)
        name_fd(l, lang, fd, what, sizeof what);
    if (c->kind != CALL_OTHER)
        (void)snprintf(out, n, "%s%s%s", c->name, what[0] ? " " : "", what);
    else if (t->wchan[0])
        (void)snprintf(out, n, WORD(lang, DOES_CALL_IN), (int)t->syscall, t->wchan);
    else
        (void)snprintf(out, n, WORD(lang, DOES_CALL), (int)t->syscall);
}

enum top_wait top_doing(const struct facts_look *l, const struct judge_map *map,
                        enum doctor_lang lang, const struct facts_thread *t, char *out,
                        size_t n)
{
    if (t->syscall < 0 || t->state == 'T' || t->state == 't')
        return without_call(t, lang, out, n);
    const struct call *c = judge_call(t);
    const struct facts_fd *fd = fd_of(l, t, c);
    tell(l, lang, t, c, fd, out, n);
    return t->state == 'R' ? TOP_WAIT_RUNNING : meaning(l, map, t, c, fd);
}
