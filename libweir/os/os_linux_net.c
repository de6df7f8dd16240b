/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as it is: readiness and sockets.
 */
#include "libweir/os/os.h"
#include "libweir/os/os_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* ---- readiness ------------------------------------------------------------------------------- */
int wr_os_epoll_create(void)
{
    return WR_OS_ONCE(epoll_create1(EPOLL_CLOEXEC));
}

int wr_os_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    return WR_OS_ONCE(epoll_ctl(ep, op, fd, ev));
}

int wr_os_epoll_wait(int ep, struct epoll_event *evs, int max, int timeout_ms)
{
    int n = WR_OS_ONCE(epoll_wait(ep, evs, max, timeout_ms));
    return n == -EINTR ? 0 : n;
}

int wr_os_eventfd(unsigned value, int flags)
{
    int blocking = flags & WR_OS_BLOCKING ? 0 : EFD_NONBLOCK;
    return WR_OS_ONCE(eventfd(value, (flags & ~WR_OS_BLOCKING) | blocking | EFD_CLOEXEC));
}

int wr_os_eventfd_add(int fd, uint64_t n)
{
    ssize_t put = WR_OS_RETRY(write(fd, &n, sizeof n));
    return put < 0 ? (int)put : 0;
}

int wr_os_eventfd_take(int fd, uint64_t *out)
{
    uint64_t n = 0;
    ssize_t got = WR_OS_RETRY(read(fd, &n, sizeof n));
    if (got < 0)
        return (int)got;
    *out = n;
    return 0;
}

/* ---- sockets ---------------------------------------------------------------------------------- */
static int type_flags(int type)
{
    int blocking = type & WR_OS_BLOCKING ? 0 : SOCK_NONBLOCK;
    return (type & ~WR_OS_BLOCKING) | blocking | SOCK_CLOEXEC;
}

int wr_os_socket(int family, int type, int protocol)
{
    return WR_OS_ONCE(socket(family, type_flags(type), protocol));
}

int wr_os_socketpair(int family, int type, int fds[2])
{
    return WR_OS_ONCE(socketpair(family, type_flags(type), 0, fds));
}

int wr_os_bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    return WR_OS_ONCE(bind(fd, sa, n));
}

int wr_os_listen(int fd, int backlog)
{
    return WR_OS_ONCE(listen(fd, backlog));
}

int wr_os_accept(int fd, struct sockaddr *sa, socklen_t *n)
{
    return WR_OS_RETRY(accept4(fd, sa, n, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

/* An interrupted connect goes on in the kernel, and asking again says EALREADY: its end is waited for
 * instead. Only a blocking socket gets here. */
static int connect_finish(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n = WR_OS_RETRY(poll(&p, 1, -1));
    if (n < 0)
        return n;
    int err = 0;
    socklen_t len = sizeof err;
    n = WR_OS_ONCE(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
    return n < 0 ? n : -err;
}

int wr_os_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    int err = WR_OS_ONCE(connect(fd, sa, n));
    return err == -EINTR ? connect_finish(fd) : err;
}

int wr_os_shutdown(int fd, int how)
{
    return WR_OS_ONCE(shutdown(fd, how));
}

int wr_os_getsockopt(int fd, int level, int opt, void *val, socklen_t *n)
{
    return WR_OS_ONCE(getsockopt(fd, level, opt, val, n));
}

int wr_os_setsockopt(int fd, int level, int opt, const void *val, socklen_t n)
{
    return WR_OS_ONCE(setsockopt(fd, level, opt, val, n));
}

int wr_os_getsockname(int fd, struct sockaddr *sa, socklen_t *n)
{
    return WR_OS_ONCE(getsockname(fd, sa, n));
}

int wr_os_getpeername(int fd, struct sockaddr *sa, socklen_t *n)
{
    return WR_OS_ONCE(getpeername(fd, sa, n));
}

ssize_t wr_os_recv(int fd, void *p, size_t n, int flags)
{
    return WR_OS_RETRY(recv(fd, p, n, flags));
}

ssize_t wr_os_send(int fd, const void *p, size_t n, int flags)
{
    return WR_OS_RETRY(send(fd, p, n, flags | MSG_NOSIGNAL));
}

ssize_t wr_os_recvmsg(int fd, struct msghdr *m, int flags)
{
    return WR_OS_RETRY(recvmsg(fd, m, flags | MSG_CMSG_CLOEXEC));
}

ssize_t wr_os_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return WR_OS_RETRY(sendmsg(fd, m, flags | MSG_NOSIGNAL));
}

ssize_t wr_os_sendfile(int out_fd, int in_fd, off_t *offset, size_t n)
{
    return WR_OS_RETRY(sendfile(out_fd, in_fd, offset, n));
}

ssize_t wr_os_splice(int in_fd, int out_fd, size_t n, unsigned flags)
{
    return WR_OS_RETRY(splice(in_fd, NULL, out_fd, NULL, n, flags | SPLICE_F_NONBLOCK));
}

int wr_os_pipe(int fds[2], int size_hint)
{
    int err = WR_OS_ONCE(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
    if (err)
        return err;
    if (size_hint >
        0) /* over the user's quota the kernel keeps its own size, which works too */
        (void)fcntl(fds[0], F_SETPIPE_SZ, size_hint);
    return 0;
}

int wr_os_resolve(const char *host, struct sockaddr_storage *out, unsigned max)
{
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM},
                    *list = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &list), n = 0;
    if (rc == EAI_SYSTEM)
        return -errno;
    if (rc)
        return rc == EAI_MEMORY ? -ENOMEM : 0;
    for (const struct addrinfo *a = list; a && (unsigned)n < max; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(out[n]))
            continue;
        out[n] = (struct sockaddr_storage){0};
        memcpy(&out[n++], a->ai_addr, a->ai_addrlen);
    }
    freeaddrinfo(list);
    return n;
}
