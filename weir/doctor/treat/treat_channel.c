/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Treatments of a full channel between processes: a pipe, a unix socket, the log's pipe.
 *
 * A sender that sleeps in the kernel does not notice O_NONBLOCK; it is woken by room. A larger buffer is room that
 * costs no message: a unix socket wakes its senders once four times what is in use fits, a pipe at once.
 */
#include "weir/doctor/treat/treat_private.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>

#define PIPE_MAX   (1 << 20) /* /proc/sys/fs/pipe-max-size, unless somebody changed it */
#define DRAIN_MOST 100000U

/* What the thread that the finding names writes to; NULL: it is not in a write. */
static const struct facts_fd *written_by(const struct treat *t, const struct finding *f)
{
    const struct facts_look *b = &t->facts.b;
    for (uint32_t i = 0; i < b->threads.n; i++) {
        const struct facts_thread *th = &b->threads.v[i];
        bool writes = th->syscall == SYS_write || th->syscall == SYS_writev ||
                      th->syscall == SYS_sendto || th->syscall == SYS_sendmsg;
        if (th->pid == t->pid && writes &&
            (f->subject.tid == 0 || th->tid == (uint32_t)f->subject.tid))
            return facts_fd(b, t->pid, (int)th->arg[0]);
    }
    return NULL;
}

static int add(struct treat *t, const struct facts_fd *fd, bool stopped)
{
    struct hand h = {.pid = fd->pid,
                     .fd = fd->fd,
                     .inode = fd->inode,
                     .epoll = -1,
                     .events = fd->kind == FACTS_FD_PIPE,
                     .stopped = stopped};
    if (stopped)
        (void)snprintf(h.name, sizeof h.name, WORD(t->o->lang, T_READS), fd->pid);
    else if (fd->kind == FACTS_FD_PIPE)
        (void)snprintf(h.name, sizeof h.name, WORD(t->o->lang, T_PIPE), fd->pid);
    else
        (void)snprintf(h.name, sizeof h.name, WORD(t->o->lang, T_SOCKET), fd->pid);
    return hand_add(t, &h);
}

static bool is_channel(const struct facts_fd *fd)
{
    return fd && fd->inode && (fd->kind == FACTS_FD_PIPE || fd->kind == FACTS_FD_SOCKET);
}

/* The i-th descriptor at the other end. */
static const struct facts_fd *other_end(const struct treat *t, const struct facts_fd *fd,
                                        uint32_t i)
{
    if (fd->kind == FACTS_FD_PIPE)
        return facts_owner(&t->facts.b, fd->inode, i);
    const struct facts_unix *u = facts_unix(&t->facts.b, fd->inode);
    return u && u->peer ? facts_owner(&t->facts.b, u->peer, i) : NULL;
}

static int room_of(int fd, bool pipe, uint64_t *out)
{
    uint32_t held, room;
    int v = 0;
    socklen_t n = sizeof v;
    int err = pipe ? wr_os_pipe_fill(fd, &held, &room)
                   : wr_os_getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, &n);
    if (err == 0)
        *out = pipe ? room : (uint64_t)v;
    return err;
}

static int enlarge(int fd, bool pipe)
{
    uint64_t room = 0;
    int err = room_of(fd, pipe, &room);
    if (err)
        return err;
    if (pipe) {
        int r = wr_os_set_pipe_size(fd, room * 4 < PIPE_MAX ? (int)room * 4 : PIPE_MAX);
        return r < 0 ? r : 0;
    }
    int v = (int)(room * 2 + 4096); /* the kernel doubles it once more */
    err = wr_os_setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &v, sizeof v);
    return err == -EPERM ? wr_os_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof v) : err;
}

/* ---- a sender that stops ------------------------------------------------------------------------------- */
static int nonblock_gather(struct treat *t, const struct finding *f)
{
    const struct facts_fd *fd = f ? written_by(t, f) : NULL;
    if (f)
        return is_channel(fd) ? add(t, fd, false) : 0;
    uint32_t n = 0;
    fd = facts_fds(&t->facts.b, t->pid, &n);
    for (uint32_t i = 0; i < n; i++) {
        int err = is_channel(&fd[i]) ? add(t, &fd[i], false) : 0;
        if (err)
            return err;
    }
    return 0;
}

static int nonblock_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int flags = wr_os_file_flags(fd);
    int err = flags < 0 ? flags : room_of(fd, h->events != 0, &out[1]);
    (void)wr_os_close(fd);
    if (err == 0)
        out[0] = (flags & O_NONBLOCK) != 0;
    return err;
}

static int nonblock_apply(struct treat *t, const struct hand *h)
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = wr_os_set_nonblocking(fd, !t->o->undo);
    if (err == 0 && !t->o->undo)
        err = enlarge(fd, h->events != 0);
    (void)wr_os_close(fd);
    return err;
}

const struct treat_kind treat_kind_nonblock = {
    .name = "nonblock",
    .label = {WORDS(K_NONBLOCK), WORDS(K_BUFFER)},
    .unit = {UNIT_NUMBER,       UNIT_BYTES     },
    .gather = nonblock_gather,
    .read = nonblock_read,
    .apply = nonblock_apply,
};

/* ---- reading it empty ---------------------------------------------------------------------------------- */
static int drain_gather(struct treat *t, const struct finding *f)
{
    const struct facts_fd *fd = f ? written_by(t, f) : NULL, *other;
    for (uint32_t i = 0; is_channel(fd) && (other = other_end(t, fd, i)) != NULL; i++) {
        int ours = hand_take_fd(t, other->pid, other->fd, other->inode);
        int flags = ours < 0 ? ours : wr_os_file_flags(ours);
        if (ours >= 0)
            (void)wr_os_close(ours);
        if (flags < 0)
            return flags;
        if ((flags & O_ACCMODE) != O_WRONLY)
            return add(t, other, false); /* one reader is enough */
    }
    return 0;
}

static int drain_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int r = wr_os_poll(fd, POLLIN, 0);
    (void)wr_os_close(fd);
    if (r >= 0)
        out[0] = (r & POLLIN) != 0;
    return r < 0 ? r : 0;
}

/* Bounded: a sender that was woken fills it while it is read. */
static int drain_apply(struct treat *t, const struct hand *h)
{
    char gone[4096];
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    ssize_t n = 1;
    for (uint32_t i = 0; i < DRAIN_MOST && n > 0 && wr_os_poll(fd, POLLIN, 0) > 0; i++)
        n = h->events ? wr_os_read(fd, gone, sizeof gone)
                      : wr_os_recv(fd, gone, sizeof gone, MSG_DONTWAIT);
    (void)wr_os_close(fd);
    return n < 0 && n != -EAGAIN ? (int)n : 0;
}

const struct treat_kind treat_kind_channel_drain = {
    .name = "drain",
    .label = {WORDS(K_UNREAD), {"", ""}  },
    .unit = {UNIT_NUMBER,     UNIT_COUNT},
    .gather = drain_gather,
    .read = drain_read,
    .apply = drain_apply,
};

/* ---- the log's reader ------------------------------------------------------------------------------------ */
static int reader_gather(struct treat *t, const struct finding *f)
{
    const struct facts_fd *fd = f ? written_by(t, f) : NULL, *other;
    char state;
    if (!is_channel(fd))
        return 0;
    for (uint32_t i = 0; (other = other_end(t, fd, i)) != NULL; i++)
        if (other->pid != t->pid && treat_state(other->pid, &state) == 0 && state == 'T')
            return add(t, other, true);
    return fd->kind == FACTS_FD_PIPE ? add(t, fd, false) : 0;
}

static int reader_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    char state;
    if (!h->stopped) {
        uint64_t v[2];
        int failed = nonblock_read(t, h, v);
        if (failed == 0)
            out[1] = v[1];
        return failed;
    }
    int err = treat_state(h->pid, &state);
    if (err == 0)
        out[0] = state == 'T';
    return err;
}

/* The pidfd comes first: if what is behind it still lives once its descriptor was seen, it is the reader. */
static int continue_reader(struct treat *t, const struct hand *h)
{
    int pidfd = wr_os_pidfd_open((pid_t)h->pid);
    if (pidfd < 0)
        return pidfd;
    int fd = hand_take(t, h);
    int err = fd < 0 ? fd : wr_os_pidfd_signal(pidfd, SIGCONT);
    if (fd >= 0)
        (void)wr_os_close(fd);
    (void)wr_os_close(pidfd);
    return err;
}

static int reader_apply(struct treat *t, const struct hand *h)
{
    if (h->stopped)
        return continue_reader(t, h);
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = enlarge(fd, true);
    (void)wr_os_close(fd);
    return err;
}

const struct treat_kind treat_kind_reader = {
    .name = "reader",
    .label = {WORDS(K_STOPPED), WORDS(K_PIPE)},
    .unit = {UNIT_NUMBER,      UNIT_BYTES   },
    .gather = reader_gather,
    .read = reader_read,
    .apply = reader_apply,
};
