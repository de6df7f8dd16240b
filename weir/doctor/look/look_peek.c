/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define PEEKS_BARE  128 /* sockets that no dump shows, in a look */
#define PEEKS_ODD   32  /* slow and idle connections each */
#define PEEKS_OTHER 8   /* of each process: what is usual there */
#define ASK_AT_MOST 2048

struct peeking {
    struct facts_look *look;
    const uint32_t *pids;
    uint32_t n_pids;
    bool whole;
    uint32_t bare, slow, idle;
    uint32_t other, other_pid;
};

static bool is_target(const struct peeking *k, uint32_t pid)
{
    return look_has32(k->pids, k->n_pids, pid);
}

/* The descriptor as one of ours, or -errno. */
static int borrow(uint32_t pid, int fd)
{
    int p = wr_os_pidfd_open((pid_t)pid);
    if (p < 0)
        return p;
    int got = wr_os_pidfd_getfd(p, fd);
    (void)wr_os_close(p);
    return got;
}

static struct facts_process *process_of(struct facts_look *l, uint32_t pid)
{
    const struct facts_process *p = facts_process(l, pid);
    return p ? &l->processes.v[p - l->processes.v] : NULL;
}

static void unreadable(struct facts_look *l, uint32_t pid, int err)
{
    struct facts_process *p = process_of(l, pid);
    if (p && (err == -EPERM || err == -EACCES || err == -ENOSYS))
        p->unread |= FACTS_UNREAD_MEMORY;
}

/* ---- descriptors that threads sit on ---------------------------------------------------------------- */
static void on_flags(void *arg, struct wr_span line)
{
    proc_flags_line(line, arg);
}

static void look_flags(struct facts_fd *f)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", f->pid, f->fd);
    (void)!look_lines(path, on_flags, &f->flags);
}

static int look_pipe(struct facts_look *l, const struct facts_fd *f)
{
    struct facts_pipe pipe = {.inode = f->inode};
    look_pause(l->pace);
    for (uint32_t i = 0; i < l->pipes.n; i++)
        if (l->pipes.v[i].inode == f->inode)
            return 0;
    int fd = borrow(f->pid, f->fd);
    if (fd < 0) {
        unreadable(l, f->pid, fd);
        return 0;
    }
    int err = wr_os_pipe_fill(fd, &pipe.held, &pipe.room);
    (void)wr_os_close(fd);
    return err ? 0 : FACTS_ADD(&l->pipes, l->heap, &pipe);
}

/* In most calls that wait the first argument is the descriptor; where it is something else, it is an address or
 * hardly ever a number that is also one. splice writes to its third. */
static int look_blocked(struct facts_look *l, const struct facts_thread *t)
{
    uint64_t arg = t->syscall == SYS_splice ? t->arg[2] : t->arg[0];
    const struct facts_fd *known =
        t->syscall >= 0 && arg < INT32_MAX ? facts_fd(l, t->pid, (int)arg) : NULL;
    if (!known ||
        known->kind == FACTS_FD_EPOLL) /* whose fdinfo is as long as the set is large */
        return 0;
    struct facts_fd *f = &l->fds.v[known - l->fds.v];
    if (f->flags == FACTS_NONE)
        look_flags(f);
    return f->kind == FACTS_FD_PIPE ? look_pipe(l, f) : 0;
}

static void look_flags_of_listeners(const struct peeking *k)
{
    struct facts_look *l = k->look;
    const struct facts_fd *known;
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        for (uint32_t n = 0; s->state == FACTS_LISTEN && s->inode &&
                             (known = facts_owner(l, s->inode, n)) != NULL;
             n++)
            if (is_target(k, known->pid))
                look_flags(&l->fds.v[known - l->fds.v]);
    }
}

/* ---- sockets ---------------------------------------------------------------------------------------- */
static uint32_t option(int fd, int level, int name)
{
    int v = 0;
    socklen_t n = sizeof v;
    return wr_os_getsockopt(fd, level, name, &v, &n) < 0 ? FACTS_NONE : (uint32_t)v;
}

static uint32_t timeout(int fd, int name)
{
    struct timeval v = {0};
    socklen_t n = sizeof v;
    if (wr_os_getsockopt(fd, SOL_SOCKET, name, &v, &n) < 0)
        return FACTS_NONE;
    return (uint32_t)(v.tv_sec * 1000 + v.tv_usec / 1000);
}

static void ask_tcp(int fd, struct facts_peek *p)
{
    struct tcp_info i = {0};
    socklen_t n = sizeof i;
    p->nodelay = (uint8_t)option(fd, IPPROTO_TCP, TCP_NODELAY);
    p->user_timeout_ms = option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
    if (wr_os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n) < 0)
        return;
    p->state = i.tcpi_state;
    if (n >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof i.tcpi_bytes_received)
        p->bytes = i.tcpi_bytes_acked + i.tcpi_bytes_received;
}

static void ask(int fd, struct facts_peek *p)
{
    p->family = (uint16_t)option(fd, SOL_SOCKET, SO_DOMAIN);
    p->type = (uint16_t)option(fd, SOL_SOCKET, SO_TYPE);
    p->protocol = (uint16_t)option(fd, SOL_SOCKET, SO_PROTOCOL);
    p->keepalive = (uint8_t)option(fd, SOL_SOCKET, SO_KEEPALIVE);
    p->receive_timeout_ms = timeout(fd, SO_RCVTIMEO);
    p->send_timeout_ms = timeout(fd, SO_SNDTIMEO);
    if (p->protocol == IPPROTO_TCP && (p->family == AF_INET || p->family == AF_INET6))
        ask_tcp(fd, p);
}

/* "TCP", "UNIX-STREAM", "NETLINK": what /proc tells of a socket's kind to whoever may list the descriptors. */
static struct wr_span protocol_name(const struct facts_fd *f, char *buf, size_t room)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%u/fd/%d", f->pid, f->fd);
    ssize_t n = wr_os_getxattr(path, "system.sockprotoname", buf, room);
    return wr_span(buf, n > 0 ? strnlen(buf, (size_t)n) : 0);
}

static int peek(struct facts_look *l, const struct facts_fd *f, bool shown)
{
    char name[64];
    struct facts_peek p;
    look_pause(l->pace);
    memset(&p, 0xff, sizeof p);
    p.pid = f->pid, p.fd = f->fd, p.inode = f->inode, p.shown = shown;
    int err = facts_text_add(l, protocol_name(f, name, sizeof name), &p.name);
    int fd = borrow(f->pid, f->fd);
    if (fd >= 0) {
        ask(fd, &p);
        (void)wr_os_close(fd);
    } else {
        unreadable(l, f->pid, fd);
    }
    return err ? err : FACTS_ADD(&l->peeks, l->heap, &p);
}

/* Sockets of the internet that no dump shows; netlink, packets and the like are never in one. */
static int peek_bare(struct peeking *k, const struct facts_fd *f)
{
    char buf[64];
    look_pause(k->look->pace);
    struct wr_span name = protocol_name(f, buf, sizeof buf);
    if (!wr_span_has_prefix(name, WR_LIT("TCP")) && !wr_span_has_prefix(name, WR_LIT("MPTCP")))
        return 0;
    k->bare++;
    return peek(k->look, f, false);
}

static bool is_slow(const struct facts_tcp *t)
{
    return t->min_rtt_us < 1000 && t->rtt_us != FACTS_NONE && t->rtt_us > 5000;
}

static bool is_idle(const struct facts_socket *s, const struct facts_tcp *t)
{
    return s->timer == FACTS_TIMER_NONE && t->last_data_recv_ms != FACTS_NONE &&
           t->last_data_recv_ms > 60000 && t->last_data_sent_ms > 60000;
}

static int peek_shown(struct peeking *k, const struct facts_fd *f, const struct facts_socket *s)
{
    const struct facts_tcp *t = facts_tcp(k->look, s);
    if (s->proto != FACTS_TCP || s->state == FACTS_LISTEN || !t)
        return 0;
    if (k->other_pid != f->pid)
        k->other = 0, k->other_pid = f->pid;
    if (is_slow(t)      ? k->slow++ < PEEKS_ODD
        : is_idle(s, t) ? k->idle++ < PEEKS_ODD
                        : k->other++ < PEEKS_OTHER)
        return peek(k->look, f, true);
    return 0;
}

/* Descriptors and sockets are both indexed by inode: one walk along both. */
static int peek_sockets(struct peeking *k)
{
    struct facts_look *l = k->look;
    uint32_t at = 0, asked = 0;
    int err = 0;
    for (uint32_t i = 0; !err && i < l->fd_by_inode.n; i++) {
        const struct facts_fd *f = &l->fds.v[l->fd_by_inode.v[i]];
        if (f->kind != FACTS_FD_SOCKET || !is_target(k, f->pid))
            continue;
        while (at < l->socket_by_inode.n &&
               l->sockets.v[l->socket_by_inode.v[at]].inode < f->inode)
            at++;
        const struct facts_socket *s =
            at < l->socket_by_inode.n ? &l->sockets.v[l->socket_by_inode.v[at]] : NULL;
        if (s && s->inode == f->inode)
            err = peek_shown(k, f, s);
        else if (k->whole && !facts_unix(l, f->inode) && k->bare < PEEKS_BARE &&
                 asked++ < ASK_AT_MOST)
            err = peek_bare(k, f);
    }
    return err;
}

int look_peek(struct facts_look *l, const uint32_t *pids, uint32_t n, bool whole)
{
    struct peeking k = {.look = l, .pids = pids, .n_pids = n, .whole = whole};
    int err = 0;
    look_flags_of_listeners(&k);
    for (uint32_t i = 0; !err && i < l->threads.n; i++)
        if (is_target(&k, l->threads.v[i].pid))
            err = look_blocked(l, &l->threads.v[i]);
    return err ? err : peek_sockets(&k);
}
