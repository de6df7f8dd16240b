/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hands of a treatment: what of the process is touched, and how it gets into ours.
 */
#include "weir/doctor/treat/treat_private.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

bool hand_listed(const struct treat *t, int32_t fd)
{
    struct wr_span rest = wr_span_str(t->o->fds), piece;
    uint64_t v;
    if (!t->o->fds)
        return true;
    while (wr_span_split(&rest, ',', &piece))
        if (wr_num_parse_u64(piece, &v) == 0 && fd >= 0 && v == (uint64_t)fd)
            return true;
    return false;
}

int hand_add(struct treat *t, const struct hand *h)
{
    if (!hand_listed(t, h->fd))
        return 0;
    return FACTS_ADD(&t->hands, t->heap, h);
}

/* The number under which this process has the socket; -1: it does not have it. */
static int32_t number_of(const struct treat *t, uint64_t inode, uint32_t pid)
{
    const struct facts_fd *fd;
    for (uint32_t i = 0; (fd = facts_owner(&t->facts.b, inode, i)) != NULL; i++)
        if (fd->pid == pid)
            return fd->fd;
    return -1;
}

int hand_add_socket(struct treat *t, const struct facts_socket *s, uint32_t pid)
{
    struct hand h = {.pid = pid,
                     .fd = number_of(t, s->inode, pid),
                     .cookie = s->cookie,
                     .inode = s->inode,
                     .socket = *s,
                     .epoll = -1};
    if (h.fd < 0)
        return 0;
    judge_addr(s, s->state != FACTS_LISTEN, h.name);
    return hand_add(t, &h);
}

int hand_gather_sockets(struct treat *t, const struct finding *f,
                        bool (*want)(const struct treat *t, const struct finding *f,
                                     const struct facts_socket *s))
{
    const struct facts_look *b = &t->facts.b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto != FACTS_TCP || s->inode == 0 || !want(t, f, s))
            continue;
        int err = hand_add_socket(t, s, t->pid);
        if (err)
            return err;
    }
    return 0;
}

/* pidfd_getfd by the pidfd that was taken before the first look, where there is one. */
static int get(const struct treat *t, uint32_t pid, int32_t fd)
{
    for (uint32_t i = 0; i < t->n_pids; i++)
        if (t->pids[i] == pid)
            return wr_os_pidfd_getfd(t->pidfds[i], fd);
    int pidfd = wr_os_pidfd_open((pid_t)pid);
    if (pidfd < 0)
        return pidfd;
    int ours = wr_os_pidfd_getfd(pidfd, fd);
    (void)wr_os_close(pidfd);
    return ours;
}

int hand_take_fd(struct treat *t, uint32_t pid, int32_t fd, uint64_t inode)
{
    struct stat st;
    int ours = get(t, pid, fd);
    if (ours < 0 || inode == 0)
        return ours;
    int err = wr_os_fstat(ours, &st);
    if (err == 0 && st.st_ino == inode)
        return ours;
    (void)wr_os_close(ours);
    return err ? err : -ESTALE;
}

int hand_take(struct treat *t, const struct hand *h)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;
    int ours = hand_take_fd(t, h->pid, h->fd, h->inode);
    if (ours < 0 || h->cookie == 0)
        return ours;
    int err = wr_os_getsockopt(ours, SOL_SOCKET, SO_COOKIE, &cookie, &n);
    if (err == 0 && cookie == h->cookie)
        return ours;
    (void)wr_os_close(ours);
    return err ? err : -ESTALE;
}

int hand_option(struct treat *t, const struct hand *h, int level, int option, uint64_t *out)
{
    int v = 0;
    socklen_t n = sizeof v;
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = wr_os_getsockopt(fd, level, option, &v, &n);
    (void)wr_os_close(fd);
    if (err == 0)
        *out = (uint64_t)v;
    return err;
}

struct call {
    int (*fn)(void *arg);
    void *arg;
};

static int child(void *arg)
{
    struct call *c = arg;
    int err = c->fn(c->arg);
    return err < 0 ? -err : 0; /* errno fits into an exit status */
}

int hand_in_child(int (*fn)(void *arg), void *arg)
{
    struct call c = {fn, arg};
    int pidfd, status = 0;
    pid_t pid = wr_os_spawn(child, &c, &pidfd);
    if (pid < 0)
        return pid;
    int r = wr_os_poll(pidfd, POLLIN, -1);
    if (r >= 0)
        r = wr_os_reap(pid, &status);
    (void)wr_os_close(pidfd);
    if (r < 0)
        return r;
    return status & 0x7f ? -EIO : -(status >> 8 & 0xff);
}
