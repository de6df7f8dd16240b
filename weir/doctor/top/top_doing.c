/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/syscall.h>

enum kind {
    IDLE,
    PARKED,
    READS,  /* from the descriptor in its first argument */
    WRITES, /* to it */
    ACCEPTS,
    CONNECTS,
    FILES, /* works on a file system */
};

struct call {
    int number;
    const char *name;
    enum kind kind;
};

#define CALL(name, kind)        \
    {                           \
        SYS_##name, #name, kind \
    }

static const struct call calls[] = {
#ifdef SYS_epoll_wait
    CALL(epoll_wait, IDLE),      CALL(poll, IDLE),
    CALL(select, IDLE),          CALL(pause, IDLE),
    CALL(open, FILES),           CALL(stat, FILES),
    CALL(lstat, FILES),          CALL(unlink, FILES),
    CALL(rename, FILES),         CALL(mkdir, FILES),
    CALL(getdents, FILES),
#endif
    CALL(epoll_pwait, IDLE),
#ifdef SYS_epoll_pwait2
    CALL(epoll_pwait2, IDLE),
#endif
    CALL(ppoll, IDLE),           CALL(pselect6, IDLE),
    CALL(nanosleep, IDLE),       CALL(clock_nanosleep, IDLE),
    CALL(rt_sigtimedwait, IDLE), CALL(rt_sigsuspend, IDLE),
    CALL(wait4, IDLE),           CALL(waitid, IDLE),
    CALL(restart_syscall, IDLE), CALL(io_getevents, IDLE),
#ifdef SYS_io_uring_enter
    CALL(io_uring_enter, IDLE),
#endif
    CALL(sched_yield, IDLE),     CALL(futex, PARKED),
    CALL(semtimedop, PARKED),    CALL(semop, PARKED),
    CALL(flock, FILES),          CALL(fcntl, FILES),
    CALL(accept, ACCEPTS),       CALL(accept4, ACCEPTS),
    CALL(connect, CONNECTS),     CALL(read, READS),
    CALL(readv, READS),          CALL(pread64, READS),
    CALL(recvfrom, READS),       CALL(recvmsg, READS),
    CALL(recvmmsg, READS),       CALL(write, WRITES),
    CALL(writev, WRITES),        CALL(pwrite64, WRITES),
    CALL(sendto, WRITES),        CALL(sendmsg, WRITES),
    CALL(sendmmsg, WRITES),      CALL(sendfile, WRITES),
    CALL(splice, READS),         CALL(fsync, FILES),
    CALL(fdatasync, FILES),      CALL(openat, FILES),
    CALL(newfstatat, FILES),     CALL(unlinkat, FILES),
    CALL(renameat, FILES),       CALL(mkdirat, FILES),
    CALL(getdents64, FILES),     CALL(close, FILES),
    CALL(mmap, FILES),           CALL(munmap, FILES),
};

static const struct call *find_call(int number)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(calls); i++)
        if (calls[i].number == number)
            return &calls[i];
    return NULL;
}

/* Of a TCP connection the end that matters; of a listener where it listens. */
static void name_tcp(const struct facts_socket *s, char *out, size_t n)
{
    char addr[64];
    judge_addr(s, s->state != FACTS_LISTEN, addr);
    (void)snprintf(out, n, "%s%.43s", s->proto == FACTS_UDP ? "udp " : "", addr);
}

static void name_unix(const struct facts_look *l, const struct facts_unix *u, char *out,
                      size_t n)
{
    const struct facts_fd *reader = u->peer ? facts_owner(l, u->peer, 0) : NULL;
    const struct facts_process *p = reader ? facts_process(l, reader->pid) : NULL;
    bool full = u->wmem != FACTS_NONE && u->sndbuf && u->sndbuf != FACTS_NONE &&
                (uint64_t)u->wmem * 100 >= (uint64_t)u->sndbuf * 99;
    if (p)
        (void)snprintf(out, n, "unix socket of %.16s %" PRIu32 "%s", p->comm, p->pid,
                       full ? " (full)" : "");
    else
        (void)snprintf(out, n, "unix socket %s%s", facts_text(l, u->name),
                       full ? " (full)" : "");
}

static void name_pipe(const struct facts_look *l, const struct facts_fd *fd, char *out,
                      size_t n)
{
    const struct facts_pipe *pipe = facts_pipe(l, fd->inode);
    const char *full = pipe && pipe->room && pipe->held + 4096 >= pipe->room ? " (full)" : "";
    const struct facts_fd *other = NULL;
    for (uint32_t i = 0; (other = facts_owner(l, fd->inode, i)) && other->pid == fd->pid;)
        i++;
    const struct facts_process *p = other ? facts_process(l, other->pid) : NULL;
    if (p)
        (void)snprintf(out, n, "pipe of %.16s %" PRIu32 "%s", p->comm, p->pid, full);
    else
        (void)snprintf(out, n, "pipe%s", full);
}

static void name_fd(const struct facts_look *l, const struct facts_fd *fd, char *out, size_t n)
{
    static const char *const words[] = {
        [FACTS_FD_OTHER] = "",          [FACTS_FD_FILE] = "file",
        [FACTS_FD_SOCKET] = "socket",   [FACTS_FD_PIPE] = "pipe",
        [FACTS_FD_EPOLL] = "epoll set", [FACTS_FD_EVENT] = "eventfd",
        [FACTS_FD_TIMER] = "timer",     [FACTS_FD_RING] = "io_uring",
        [FACTS_FD_TTY] = "tty",
    };
    const struct facts_socket *s =
        fd->kind == FACTS_FD_SOCKET ? facts_socket_of_inode(l, fd->inode) : NULL;
    const struct facts_unix *u =
        fd->kind == FACTS_FD_SOCKET && !s ? facts_unix(l, fd->inode) : NULL;
    if (s)
        name_tcp(s, out, n);
    else if (u)
        name_unix(l, u, out, n);
    else if (fd->kind == FACTS_FD_PIPE)
        name_pipe(l, fd, out, n);
    else if (fd->path && *facts_text(l, fd->path))
        (void)snprintf(out, n, "%s", facts_text(l, fd->path));
    else
        (void)snprintf(out, n, "%s",
                       fd->kind < WR_ARRAY_LEN(words) ? words[fd->kind] : "descriptor");
}

/* Reading from a client, a pipe or a file nobody writes is waiting for work; from who owes us an answer it is not. */
static enum top_wait reading(const struct facts_look *l, const struct judge_map *map,
                             const struct facts_fd *fd)
{
    const struct facts_socket *s =
        fd && fd->kind == FACTS_FD_SOCKET ? facts_socket_of_inode(l, fd->inode) : NULL;
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
    case IDLE:
    case ACCEPTS:
        return TOP_WAIT_IDLE;
    case PARKED:
        break;
    case READS:
        return reading(l, map, fd);
    case WRITES:
    case CONNECTS:
    case FILES:
        return TOP_WAIT_BLOCKED;
    }
    for (uint32_t i = 0; i < l->futexes.n; i++)
        if (l->futexes.v[i].tid == t->tid && l->futexes.v[i].owner)
            return TOP_WAIT_BLOCKED; /* a mutex that somebody holds */
    return TOP_WAIT_PARKED;
}

static enum top_wait without_call(const struct facts_thread *t, char *out, size_t n)
{
    if (t->state == 'T' || t->state == 't') {
        (void)snprintf(out, n, "%s", t->state == 'T' ? "stopped" : "held by a debugger");
        return TOP_WAIT_BLOCKED;
    }
    if (t->syscall == FACTS_SYSCALL_RUNNING || t->state == 'R') {
        (void)snprintf(out, n, "running");
        return TOP_WAIT_RUNNING;
    }
    if (t->wchan[0])
        (void)snprintf(out, n, "in %.40s", t->wchan);
    else
        (void)snprintf(out, n, "%s", t->state == 'D' ? "waits for a disk" : "sleeps");
    return t->state == 'D' ? TOP_WAIT_BLOCKED : TOP_WAIT_UNKNOWN;
}

static void tell(const struct facts_look *l, const struct facts_thread *t, const struct call *c,
                 const struct facts_fd *fd, char *out, size_t n)
{
    char what[48] = "";
    if (fd)
        name_fd(l, fd, what, sizeof what);
    if (c)
        (void)snprintf(out, n, "%s%s%s", c->name, what[0] ? " " : "", what);
    else
        (void)snprintf(out, n, "system call %d%s%.40s", (int)t->syscall,
                       t->wchan[0] ? " in " : "", t->wchan);
}

enum top_wait top_doing(const struct facts_look *l, const struct judge_map *map,
                        const struct facts_thread *t, char *out, size_t n)
{
    if (t->syscall < 0 || t->state == 'T' || t->state == 't')
        return without_call(t, out, n);
    const struct call *c = find_call(t->syscall);
    const struct facts_fd *fd = c && c->kind >= READS && t->arg[0] < 1U << 30
                                    ? facts_fd(l, t->pid, (int)t->arg[0])
                                    : NULL;
    tell(l, t, c, fd, out, n);
    if (t->state == 'R')
        return TOP_WAIT_RUNNING;
    return c ? meaning(l, map, t, c, fd) : TOP_WAIT_UNKNOWN;
}
