/* SPDX-License-Identifier: BSD-2-Clause */

/* The system calls on descriptors: the same header as os_linux, over the simulated objects. */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define RETURN(r, ...)                         \
    do {                                       \
        long long ret_ = (long long)(r);       \
        if (WR_UNLIKELY(sim_world->opt.trace)) \
            sim_trace(__VA_ARGS__);            \
        return (__typeof__(r))ret_;            \
    } while (0)

/* ---- the table ------------------------------------------------------------------------------------ */
struct sim_file *sim_fd_get(int fd)
{
    struct sim_proc *p = sim_self();
    return fd >= 0 && (unsigned)fd < p->fd_count ? p->fds[fd] : NULL;
}

int sim_fd_new(struct sim_file *f)
{
    struct sim_proc *p = sim_self();
    unsigned fd = 0;
    while (fd < p->fd_count && p->fds[fd])
        fd++;
    if (fd >= p->limits[RLIMIT_NOFILE].rlim_cur) {
        sim_file_drop(f);
        return -EMFILE;
    }
    if (fd == p->fd_count) {
        p->fds = realloc(p->fds, 2 * p->fd_count * sizeof(struct sim_file *));
        WR_ASSERT(p->fds);
        memset(p->fds + p->fd_count, 0, p->fd_count * sizeof(struct sim_file *));
        p->fd_count *= 2;
    }
    p->fds[fd] = f;
    p->fd_open++;
    sim_served(f, p->pid);
    return (int)fd;
}

int sim_fd_close(struct sim_proc *p, int fd)
{
    if (fd < 0 || (unsigned)fd >= p->fd_count || !p->fds[fd])
        return -EBADF;
    struct sim_file *f = p->fds[fd];
    p->fds[fd] = NULL;
    p->fd_open--;
    sim_file_drop(f);
    return 0;
}

/* Room for one more descriptor, before an object is made or taken from a queue for it. */
static int fd_room(void)
{
    struct sim_proc *p = sim_self();
    if (sim_fault(sim_world->opt.faults.no_files))
        return -ENFILE;
    return p->fd_open >= p->limits[RLIMIT_NOFILE].rlim_cur ? -EMFILE : 0;
}

int wr_os_close(int fd)
{
    sim_enter();
    int r = sim_fd_close(sim_self(), fd);
    RETURN(r, "close(%d) = %d", fd, r);
}

int wr_os_close_except(const int *keep, unsigned n)
{
    sim_enter();
    struct sim_proc *p = sim_self();
    for (int fd = 3; fd < (int)p->fd_count; fd++) {
        bool kept = false;
        for (unsigned i = 0; i < n; i++)
            kept |= keep[i] == fd;
        if (!kept && p->fds[fd])
            (void)sim_fd_close(p, fd);
    }
    RETURN(0, "close_except(%u)", n);
}

int wr_os_dup(int fd)
{
    sim_enter();
    struct sim_file *f = sim_fd_get(fd);
    if (!f)
        return -EBADF;
    f->refs++;
    int r = sim_fd_new(f);
    RETURN(r, "dup(%d) = %d", fd, r);
}

int wr_os_set_nonblocking(int fd, bool on)
{
    sim_enter();
    struct sim_file *f = sim_fd_get(fd);
    if (!f)
        return -EBADF;
    f->nonblock = on;
    return 0;
}

/* ---- bytes ---------------------------------------------------------------------------------------- */
size_t sim_iov_size(const struct iovec *v, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i].iov_len;
    return sum;
}

void sim_iov_put(const struct iovec *v, size_t n, size_t at, const void *from, size_t len)
{
    const char *p = from;
    for (size_t i = 0; i < n && len > 0; i++) {
        if (at >= v[i].iov_len) {
            at -= v[i].iov_len;
            continue;
        }
        size_t piece = v[i].iov_len - at < len ? v[i].iov_len - at : len;
        memcpy((char *)v[i].iov_base + at, p, piece);
        p += piece;
        len -= piece;
        at = 0;
    }
}

void sim_iov_get(const struct iovec *v, size_t n, size_t at, void *to, size_t len)
{
    char *p = to;
    for (size_t i = 0; i < n && len > 0; i++) {
        if (at >= v[i].iov_len) {
            at -= v[i].iov_len;
            continue;
        }
        size_t piece = v[i].iov_len - at < len ? v[i].iov_len - at : len;
        memcpy(p, (char *)v[i].iov_base + at, piece);
        p += piece;
        len -= piece;
        at = 0;
    }
}

/*
 * A copy of the message that asks for fewer bytes: the fault of the short read or write. epoll(7) allows
 * a program to take a short count for "no more now", so the kernel owes it an edge afterwards: the
 * rest counts as having arrived, or the space as having come free, just behind the call.
 */
#define SHORT_IOV 16
static bool shorten(unsigned chance, const struct msghdr *m, struct msghdr *out,
                    struct iovec v[SHORT_IOV])
{
    size_t all = sim_iov_size(m->msg_iov, m->msg_iovlen);
    if (!sim_fault(chance) || all < 2)
        return false;
    size_t n = sim_fault(sim_world->opt.faults.one_byte) ? 1 : 1 + sim_rand(all - 1);
    *out = *m;
    out->msg_iov = v;
    size_t i = 0;
    for (; i < m->msg_iovlen && i < SHORT_IOV && n > 0; i++) {
        v[i] = m->msg_iov[i];
        if (v[i].iov_len > n)
            v[i].iov_len = n;
        n -= v[i].iov_len;
    }
    out->msg_iovlen = i;
    return true;
}

static bool streams(const struct sim_file *f)
{
    return f->kind == SIM_TCP || f->kind == SIM_PIPE_READ || f->kind == SIM_PIPE_WRITE;
}

static ssize_t file_recv(int fd, struct msghdr *m, int flags)
{
    struct sim_file *f = sim_fd_get(fd);
    if (!f)
        return -EBADF;
    if (!f->ops->recv)
        return -EINVAL;
    struct msghdr cut;
    struct iovec v[SHORT_IOV];
    bool less = streams(f) && shorten(sim_world->opt.faults.short_read, m, &cut, v);
    sim_hold(f);
    ssize_t r;
    for (;;) {
        r = f->ops->recv(f, less ? &cut : m, flags);
        if (r != -EAGAIN || f->nonblock || (flags & MSG_DONTWAIT))
            break;
        (void)sim_park(f, UINT64_MAX);
    }
    if (less && r > 0)
        sim_wake(f, EPOLLIN | EPOLLRDNORM);
    sim_let_go();
    if (less && r >= 0) {
        m->msg_flags = cut.msg_flags;
        m->msg_namelen = cut.msg_namelen;
        m->msg_controllen = cut.msg_controllen;
    }
    return r;
}

static ssize_t file_send(int fd, const struct msghdr *m, int flags)
{
    struct sim_file *f = sim_fd_get(fd);
    if (!f)
        return -EBADF;
    if (!f->ops->send)
        return -EINVAL;
    struct msghdr cut;
    struct iovec v[SHORT_IOV];
    bool less = streams(f) && shorten(sim_world->opt.faults.short_write, m, &cut, v);
    sim_hold(f);
    ssize_t r;
    for (;;) {
        r = f->ops->send(f, less ? &cut : m, flags);
        if (r != -EAGAIN || f->nonblock || (flags & MSG_DONTWAIT))
            break;
        (void)sim_park(f, UINT64_MAX);
    }
    if (less && r > 0)
        sim_wake(f, EPOLLOUT | EPOLLWRNORM);
    sim_let_go();
    return r;
}

ssize_t wr_os_readv(int fd, const struct iovec *v, int n)
{
    sim_enter();
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n};
    ssize_t r = file_recv(fd, &m, 0);
    RETURN(r, "readv(%d, %zu) = %zd", fd, sim_iov_size(v, (size_t)n), r);
}

ssize_t wr_os_writev(int fd, const struct iovec *v, int n)
{
    sim_enter();
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n};
    ssize_t r = file_send(fd, &m, 0);
    RETURN(r, "writev(%d, %zu) = %zd", fd, sim_iov_size(v, (size_t)n), r);
}

ssize_t wr_os_read(int fd, void *p, size_t n)
{
    struct iovec v = {p, n};
    return wr_os_readv(fd, &v, 1);
}

ssize_t wr_os_write(int fd, const void *p, size_t n)
{
    struct iovec v = {(void *)(uintptr_t)p, n};
    return wr_os_writev(fd, &v, 1);
}

ssize_t wr_os_recvmsg(int fd, struct msghdr *m, int flags)
{
    sim_enter();
    if (sim_fd_get(fd) && !sim_sock_of(sim_fd_get(fd)))
        return -ENOTSOCK;
    ssize_t r = file_recv(fd, m, flags);
    RETURN(r, "recvmsg(%d, %zu, 0x%x) = %zd", fd, sim_iov_size(m->msg_iov, m->msg_iovlen),
           flags, r);
}

ssize_t wr_os_sendmsg(int fd, const struct msghdr *m, int flags)
{
    sim_enter();
    if (sim_fd_get(fd) && !sim_sock_of(sim_fd_get(fd)))
        return -ENOTSOCK;
    ssize_t r = file_send(fd, m, flags);
    RETURN(r, "sendmsg(%d, %zu, 0x%x) = %zd", fd, sim_iov_size(m->msg_iov, m->msg_iovlen),
           flags, r);
}

ssize_t wr_os_recv(int fd, void *p, size_t n, int flags)
{
    struct iovec v = {p, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return wr_os_recvmsg(fd, &m, flags);
}

ssize_t wr_os_send(int fd, const void *p, size_t n, int flags)
{
    struct iovec v = {(void *)(uintptr_t)p, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return wr_os_sendmsg(fd, &m, flags);
}

static struct sim_regular *regular_at(int fd, int *err)
{
    struct sim_file *f = sim_fd_get(fd);
    *err = !f ? -EBADF : -ESPIPE;
    return f && f->kind == SIM_REGULAR ? wr_container_of(f, struct sim_regular, f) : NULL;
}

ssize_t wr_os_pread(int fd, void *p, size_t n, off_t at)
{
    sim_enter();
    int err;
    struct sim_regular *r = regular_at(fd, &err);
    struct iovec v = {p, n};
    return r ? sim_regular_read(r, &v, 1, (size_t)at) : err;
}

ssize_t wr_os_pwrite(int fd, const void *p, size_t n, off_t at)
{
    sim_enter();
    int err;
    struct sim_regular *r = regular_at(fd, &err);
    struct iovec v = {(void *)(uintptr_t)p, n};
    return r ? sim_regular_write(r, &v, 1, (size_t)at) : err;
}

/* Through a bounce buffer: what the other side does not take stays unread. */
ssize_t wr_os_sendfile(int out_fd, int in_fd, off_t *offset, size_t n)
{
    sim_enter();
    int err;
    struct sim_regular *in = regular_at(in_fd, &err);
    if (!in)
        return err;
    size_t at = offset ? (size_t)*offset : in->at;
    if (at >= in->inode->size)
        return 0;
    size_t have = in->inode->size - at;
    struct iovec v = {in->inode->data + at, n < have ? n : have};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t r = file_send(out_fd, &m, 0);
    if (r > 0) {
        if (offset)
            *offset += r;
        else
            in->at += (size_t)r;
    }
    RETURN(r, "sendfile(%d, %d, %zu) = %zd", out_fd, in_fd, n, r);
}

ssize_t wr_os_splice(int in_fd, int out_fd, size_t n, unsigned flags)
{
    sim_enter();
    (void)flags;
    struct sim_file *in = sim_fd_get(in_fd), *out = sim_fd_get(out_fd);
    if (!in || !out)
        return -EBADF;
    bool from_pipe = in->kind == SIM_PIPE_READ, to_pipe = out->kind == SIM_PIPE_WRITE;
    if (!from_pipe && !to_pipe)
        return -EINVAL;
    char bounce[16384];
    if (n > sizeof bounce)
        n = sizeof bounce;
    /* Ask for no more than the other side can take, so that nothing has to be put back. */
    size_t room = sim_file_room(out);
    if (room == 0)
        return -EAGAIN;
    struct iovec v = {bounce, n < room ? n : room};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t r = in->ops->recv(in, &m, MSG_DONTWAIT);
    if (r > 0) {
        v.iov_len = (size_t)r;
        ssize_t put = out->ops->send(out, &m, MSG_DONTWAIT);
        if (put < 0)
            r = put;
        else if (put != r)
            sim_violation("splice: the simulated kernel lost bytes");
    }
    RETURN(r, "splice(%d, %d, %zu) = %zd", in_fd, out_fd, n, r);
}

/* ---- making descriptors ---------------------------------------------------------------------------- */
static int fd_of(struct sim_file *f)
{
    return f ? sim_fd_new(f) : -ENOMEM;
}

int wr_os_pipe(int fds[2], int size_hint)
{
    sim_enter();
    int err = fd_room();
    if (err < 0)
        return err;
    struct sim_file *ends[2];
    sim_pipe_new(size_hint, ends);
    int a = sim_fd_new(ends[0]), b = sim_fd_new(ends[1]);
    if (a < 0 || b < 0) {
        if (a >= 0)
            sim_fd_close(sim_self(), a);
        if (b >= 0)
            sim_fd_close(sim_self(), b);
        return -EMFILE;
    }
    fds[0] = a;
    fds[1] = b;
    RETURN(0, "pipe() = [%d, %d]", a, b);
}

int wr_os_eventfd(unsigned value, int flags)
{
    sim_enter();
    int err = fd_room();
    if (err < 0)
        return err;
    struct sim_file *f = sim_eventfd_new(value, (flags & EFD_SEMAPHORE) != 0);
    f->nonblock = !(flags & WR_OS_BLOCKING);
    int r = fd_of(f);
    RETURN(r, "eventfd(%u) = %d", value, r);
}

int wr_os_eventfd_add(int fd, uint64_t n)
{
    ssize_t r = wr_os_write(fd, &n, sizeof n);
    return r < 0 ? (int)r : 0;
}

int wr_os_eventfd_take(int fd, uint64_t *out)
{
    uint64_t got;
    ssize_t r = wr_os_read(fd, &got, sizeof got);
    if (r < 0)
        return (int)r;
    *out = got;
    return 0;
}

int wr_os_open(const char *path, int flags, mode_t mode)
{
    sim_enter();
    int err = fd_room();
    if (err < 0)
        return err;
    struct sim_file *f = sim_file_open(path, flags, mode, &err);
    int r = f ? sim_fd_new(f) : err;
    RETURN(r, "open(%s, 0%o) = %d", path, flags, r);
}

int wr_os_memfd(const char *name, size_t size)
{
    sim_enter();
    int err = fd_room();
    if (err < 0)
        return err;
    int r = fd_of(sim_file_memfd(size));
    RETURN(r, "memfd(%s, %zu) = %d", name, size, r);
}

int wr_os_fsync(int fd)
{
    sim_enter();
    while (sim_world->disk_stuck)
        (void)sim_park(sim_world->disk_wait, UINT64_MAX);
    return sim_fd_get(fd) ? 0 : -EBADF;
}

void *wr_os_map_shared(int fd, size_t n, bool writable)
{
    sim_enter();
    int err;
    struct sim_regular *r = regular_at(fd, &err);
    (void)writable;
    if (!r || !r->inode->memfd || n > r->inode->room)
        return NULL;
    r->inode->refs++; /* a mapping keeps it; all mappings end with the world */
    return r->inode->data;
}

int wr_os_unmap(void *p, size_t n)
{
    sim_enter();
    return sim_address_private(p) ? sim_unmap_private(p, n) : 0;
}

/* ---- readiness ------------------------------------------------------------------------------------ */
int wr_os_epoll_create(void)
{
    sim_enter();
    int err = fd_room();
    int r = err < 0 ? err : sim_fd_new(sim_epoll_new());
    RETURN(r, "epoll_create() = %d", r);
}

int wr_os_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    sim_enter();
    struct sim_file *e = sim_fd_get(ep), *f = sim_fd_get(fd);
    int r = !e || !f ? -EBADF
            : op == EPOLL_CTL_ADD && sim_fault(sim_world->opt.faults.no_buffers)
                ? -ENOMEM
                : sim_epoll_ctl(e, op, fd, f, ev);
    RETURN(r, "epoll_ctl(%d, %d, %d, 0x%x) = %d", ep, op, fd, ev ? ev->events : 0, r);
}

int wr_os_epoll_wait(int ep, struct epoll_event *evs, int max, int timeout_ms)
{
    sim_enter();
    struct sim_file *e = sim_fd_get(ep);
    if (!e || e->kind != SIM_EPOLL || max <= 0)
        return !e ? -EBADF : -EINVAL;
    uint64_t until = timeout_ms < 0 ? UINT64_MAX : sim_now() + (uint64_t)timeout_ms * SIM_MS;
    sim_hold(e);
    int n = 0;
    if (!(timeout_ms != 0 && sim_fault(sim_world->opt.faults.wait_spurious))) {
        n = sim_epoll_collect(e, evs, max);
        while (n == 0 && timeout_ms != 0) {
            bool woken = sim_park(e, until);
            n = sim_epoll_collect(e, evs, max);
            if (!woken)
                break;
        }
    }
    sim_let_go();
    for (int i = 0; sim_world->opt.trace && i < n; i++)
        sim_trace("  event 0x%x data %llx", evs[i].events, (unsigned long long)evs[i].data.u64);
    RETURN(n, "epoll_wait(%d, %d, %d ms) = %d", ep, max, timeout_ms, n);
}

/* ---- sockets --------------------------------------------------------------------------------------- */
static const struct sim_sock_ops *sock_get(int fd, struct sim_file **f, int *err)
{
    *f = sim_fd_get(fd);
    *err = *f ? -ENOTSOCK : -EBADF;
    return *f ? sim_sock_of(*f) : NULL;
}

const struct sim_sock_ops *sim_sock_of(struct sim_file *f)
{
    return f->kind == SIM_TCP    ? &sim_tcp_sock
           : f->kind == SIM_UNIX ? &sim_unix_sock
           : f->kind == SIM_UDP  ? &sim_udp_sock
                                 : NULL;
}

int wr_os_socket(int family, int type, int protocol)
{
    sim_enter();
    (void)protocol;
    bool blocking = (type & WR_OS_BLOCKING) != 0;
    int kind = type & 0xf;
    int err = fd_room();
    if (err == 0 && sim_fault(sim_world->opt.faults.no_buffers))
        err = -ENOBUFS;
    if (err < 0)
        RETURN(err, "socket(%d, %d) = %d", family, kind, err);
    struct sim_file *f = family == AF_UNIX                         ? sim_unix_new(kind)
                         : family != AF_INET && family != AF_INET6 ? NULL
                         : kind == SOCK_STREAM                     ? sim_tcp_new(family)
                                                                   : sim_udp_new(family);
    if (!f)
        return -EAFNOSUPPORT;
    f->nonblock = !blocking;
    int r = sim_fd_new(f);
    RETURN(r, "socket(%d, %d) = %d", family, kind, r);
}

int wr_os_socketpair(int family, int type, int fds[2])
{
    sim_enter();
    if (family != AF_UNIX)
        return -EOPNOTSUPP;
    int err = fd_room();
    if (err < 0)
        return err;
    struct sim_file *ends[2];
    sim_unix_pair(type & 0xf, ends);
    ends[0]->nonblock = ends[1]->nonblock = !(type & WR_OS_BLOCKING);
    int a = sim_fd_new(ends[0]), b = sim_fd_new(ends[1]);
    if (a < 0 || b < 0) {
        if (a >= 0)
            sim_fd_close(sim_self(), a);
        if (b >= 0)
            sim_fd_close(sim_self(), b);
        return -EMFILE;
    }
    fds[0] = a;
    fds[1] = b;
    RETURN(0, "socketpair() = [%d, %d]", a, b);
}

int wr_os_bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    sim_enter();
    struct sim_file *f;
    int r;
    const struct sim_sock_ops *o = sock_get(fd, &f, &r);
    if (o)
        r = o->bind(f, sa, n);
    RETURN(r, "bind(%d) = %d", fd, r);
}

int wr_os_listen(int fd, int backlog)
{
    sim_enter();
    struct sim_file *f;
    int r;
    const struct sim_sock_ops *o = sock_get(fd, &f, &r);
    if (o)
        r = o->listen ? o->listen(f, backlog) : -EOPNOTSUPP;
    RETURN(r, "listen(%d, %d) = %d", fd, backlog, r);
}

/* A new connection's peer; a reset one has none any more, and accept does not care. */
static void peer_name(struct sim_file *f, struct sockaddr *sa, socklen_t *n)
{
    const struct sim_sock_ops *o = sim_sock_of(f);
    if (sa && n && o && o->name(f, true, sa, n) < 0)
        *n = 0;
}

static int accept_one(int fd, struct sockaddr *sa, socklen_t *n)
{
    struct sim_file *f = NULL;
    int err;
    const struct sim_sock_ops *o = sock_get(fd, &f, &err);
    if (!o || !f || !o->accept)
        return err;
    if (sim_fault(sim_world->opt.faults.accept_again) && f->nonblock)
        return -EAGAIN;
    if (sim_fault(sim_world->opt.faults.accept_aborted))
        return -ECONNABORTED;
    if (sim_fault(sim_world->opt.faults.no_buffers))
        return -ENOBUFS;
    err = fd_room(); /* Linux looks for a number first: at the limit nothing leaves the queue */
    if (err < 0)
        return err;
    struct sim_file *got = NULL;
    while ((err = o->accept(f, &got)) == -EAGAIN && !f->nonblock)
        (void)sim_park(f, UINT64_MAX);
    if (err < 0)
        return err;
    peer_name(got, sa, n);
    return sim_fd_new(got);
}

int wr_os_accept(int fd, struct sockaddr *sa, socklen_t *n)
{
    sim_enter();
    int r = accept_one(fd, sa, n);
    RETURN(r, "accept(%d) = %d", fd, r);
}

int wr_os_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    sim_enter();
    struct sim_file *f;
    int r;
    const struct sim_sock_ops *o = sock_get(fd, &f, &r);
    if (o)
        r = o->connect(f, sa, n);
    RETURN(r, "connect(%d) = %d", fd, r);
}

int wr_os_shutdown(int fd, int how)
{
    sim_enter();
    struct sim_file *f;
    int r;
    const struct sim_sock_ops *o = sock_get(fd, &f, &r);
    if (o)
        r = o->shutdown ? o->shutdown(f, how) : -EOPNOTSUPP;
    RETURN(r, "shutdown(%d, %d) = %d", fd, how, r);
}

int sim_opt_int(void *val, socklen_t *n, int value)
{
    if (*n < sizeof value)
        return -EINVAL;
    memcpy(val, &value, sizeof value);
    *n = sizeof value;
    return 0;
}

int wr_os_getsockopt(int fd, int level, int opt, void *val, socklen_t *n)
{
    sim_enter();
    struct sim_file *f;
    int r;
    const struct sim_sock_ops *o = sock_get(fd, &f, &r);
    if (o)
        r = o->getopt ? o->getopt(f, level, opt, val, n) : -ENOPROTOOPT;
    RETURN(r, "getsockopt(%d, %d, %d) = %d", fd, level, opt, r);
}

int wr_os_setsockopt(int fd, int level, int opt, const void *val, socklen_t n)
{
    sim_enter();
    struct sim_file *f;
    int r;
    const struct sim_sock_ops *o = sock_get(fd, &f, &r);
    if (o)
        r = o->setopt ? o->setopt(f, level, opt, val, n) : 0;
    RETURN(r, "setsockopt(%d, %d, %d) = %d", fd, level, opt, r);
}

static int name_of(int fd, bool peer, struct sockaddr *sa, socklen_t *n)
{
    sim_enter();
    struct sim_file *f;
    int r;
    const struct sim_sock_ops *o = sock_get(fd, &f, &r);
    return o ? o->name(f, peer, sa, n) : r;
}

int wr_os_getsockname(int fd, struct sockaddr *sa, socklen_t *n)
{
    return name_of(fd, false, sa, n);
}

int wr_os_getpeername(int fd, struct sockaddr *sa, socklen_t *n)
{
    return name_of(fd, true, sa, n);
}
