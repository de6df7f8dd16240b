/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors of a process. Reading the link of each is the dearest part of a look, so at the second one a socket is
 * not asked again if the first look read its link and one of the process's epoll sets watches that very number
 * and inode now. (Wrong only if the number was closed in between, the socket lives on elsewhere, and the number was
 * given to a file that is not watched: then the set does still hold the socket that is shown.)
 */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct held { /* what a set says that a number is */
    uint64_t inode;
    int32_t fd;
};

struct fds { /* of one process, while they are read */
    struct facts_look *look;
    struct facts_process *process;
    bool sets;
    const struct facts_fd *before; /* sorted */
    uint32_t n_before, at_before;
    FACTS_LIST(struct held) watched; /* sorted */
    uint32_t at_watched;
};

/* ---- epoll sets and rings --------------------------------------------------------------------------- */
struct set { /* that is being read */
    struct facts_look *look;
    struct facts_watch watch;
    struct facts_ring ring;
    uint32_t flags;
    int err;
};

static void on_set_line(void *arg, struct wr_span line)
{
    struct set *s = arg;
    if (s->err)
        return;
    if (s->look->watches.n % LOOK_SOME == 0)
        look_pause(s->look->pace);
    if (proc_watch_line(line, &s->watch))
        s->err = FACTS_ADD(&s->look->watches, s->look->heap, &s->watch);
    else
        proc_flags_line(line, &s->flags);
}

static void on_ring_line(void *arg, struct wr_span line)
{
    struct set *s = arg;
    proc_ring_line(line, &s->ring);
}

static int look_set(struct fds *d, struct facts_fd *io)
{
    char path[48];
    struct set s = {
        .look = d->look,
        .watch = {.pid = io->pid, .epoll = io->fd},
        .ring = {.pid = io->pid, .fd = io->fd   },
        .flags = FACTS_NONE,
    };
    bool ring = io->kind == FACTS_FD_RING;
    (void)snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", io->pid, io->fd);
    int err = look_lines(path, ring ? on_ring_line : on_set_line, &s);
    if (err && err != -ENOENT && err != -ESRCH)
        d->process->unread |= FACTS_UNREAD_FDINFO;
    if (!err && ring)
        s.err = FACTS_ADD(&d->look->rings, d->look->heap, &s.ring);
    io->flags = s.flags;
    return s.err;
}

/* ---- what need not be read again -------------------------------------------------------------------- */
static int held_order(const void *p, const void *q)
{
    const struct held *a = p, *b = q;
    return a->fd < b->fd ? -1 : a->fd > b->fd;
}

/* Reads the sets that were there before, first of all. */
static int read_watched(struct fds *d)
{
    struct facts_look *l = d->look;
    uint32_t first = l->watches.n;
    int err = 0;
    for (uint32_t i = 0; !err && d->sets && i < d->n_before; i++) {
        struct facts_fd f = d->before[i];
        if (f.kind == FACTS_FD_EPOLL)
            err = look_set(d, &f);
    }
    for (uint32_t i = first; !err && i < l->watches.n; i++) {
        struct held h = {.inode = l->watches.v[i].inode, .fd = l->watches.v[i].fd};
        err = FACTS_ADD(&d->watched, l->heap, &h);
    }
    if (d->watched.n)
        qsort(d->watched.v, d->watched.n, sizeof *d->watched.v, held_order);
    return err;
}

/* The descriptors come in order, so both lists are walked along. */
static const struct facts_fd *row_before(struct fds *d, int fd)
{
    while (d->at_before < d->n_before && d->before[d->at_before].fd < fd)
        d->at_before++;
    if (d->at_before == d->n_before)
        return NULL;
    const struct facts_fd *f = &d->before[d->at_before];
    return f->fd == fd ? f : NULL;
}

/* Every set that watches this number means the inode, and one does. */
static bool is_vouched(struct fds *d, int fd, uint64_t inode)
{
    bool is = false;
    while (d->at_watched < d->watched.n && d->watched.v[d->at_watched].fd < fd)
        d->at_watched++;
    for (uint32_t i = d->at_watched; i < d->watched.n && d->watched.v[i].fd == fd; i++) {
        is = d->watched.v[i].inode == inode;
        if (!is)
            return false;
    }
    return is;
}

/* ---- each ------------------------------------------------------------------------------------------- */
static int add_fd(struct fds *d, const struct facts_fd *f)
{
    int err = FACTS_ADD(&d->look->fds, d->look->heap, f);
    return err ? err : 1;
}

static int on_fd(void *arg, int dir, uint32_t fd)
{
    struct fds *d = arg;
    struct facts_look *l = d->look;
    char name[16], link[4096];
    struct facts_fd f = {.pid = d->process->pid, .fd = (int32_t)fd, .flags = FACTS_NONE};
    const struct facts_fd *before = row_before(d, f.fd);
    enum facts_fd_kind kind;
    if (before && before->kind == FACTS_FD_SOCKET && is_vouched(d, f.fd, before->inode)) {
        f.kind = FACTS_FD_SOCKET, f.inode = before->inode;
        return add_fd(d, &f);
    }
    look_pause(l->pace);
    (void)snprintf(name, sizeof name, "%u", fd);
    ssize_t n = wr_os_readlink_at(dir, name, link, sizeof link);
    if (n < 0) {
        if (n != -ENOENT && n != -ESRCH)
            d->process->unread |= FACTS_UNREAD_FDS;
        return 0;
    }
    proc_link(wr_span(link, (size_t)n), &kind, &f.inode);
    f.kind = (uint8_t)kind;
    int err = 0;
    if (kind == FACTS_FD_FILE || kind == FACTS_FD_TTY)
        err = facts_text_add(l, wr_span(link, (size_t)n), &f.path);
    bool read = before && before->kind == FACTS_FD_EPOLL; /* by read_watched */
    if (!err && d->sets && !read && (kind == FACTS_FD_EPOLL || kind == FACTS_FD_RING))
        err = look_set(d, &f);
    return err ? err : add_fd(d, &f);
}

static bool has_many(const struct facts_process *p)
{
    return p->fds != FACTS_UNKNOWN && p->fds > LOOK_MANY_FDS;
}

int look_fds(struct facts_look *l, struct facts_process *io, unsigned what,
             const struct facts_look *before)
{
    char path[40];
    struct fds d = {.look = l, .process = io, .sets = (what & LOOK_SETS) != 0};
    const struct facts_process *p = before ? facts_process(before, io->pid) : NULL;
    if (p && p->start == io->start)
        d.before = facts_fds(before, io->pid, &d.n_before);
    if (d.sets && (what & LOOK_FEW_SETS) && has_many(io)) {
        facts_gap(l, "epoll sets at the first look: too many descriptors", io->pid, -E2BIG);
        d.sets = false;
    }
    int err = read_watched(&d);
    (void)snprintf(path, sizeof path, "/proc/%u/fd", io->pid);
    if (!err)
        err = look_descriptors(path, on_fd, &d);
    FACTS_DROP(&d.watched, l->heap);
    if (err == -ENOMEM || err == -E2BIG)
        return err;
    if (err && err != -ENOENT && err != -ESRCH)
        io->unread |= FACTS_UNREAD_FDS;
    return 0;
}
