/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/fdpass.h"

#include "libweir/base/assert.h"
#include "libweir/os/os.h"

#include <errno.h>

union control { /* aligned for a header and as large as the kernel's limit */
    struct cmsghdr head;
    char bytes[CMSG_SPACE(WR_FD_MAX * sizeof(int))];
};

static ssize_t send_some(int sock, const int *fds, unsigned n, struct wr_span tag)
{
    union control control;
    struct iovec iov = {(void *)(uintptr_t)tag.p, tag.n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        memset(&control, 0, m.msg_controllen);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
    }
    return wr_os_sendmsg(sock, &m, MSG_DONTWAIT);
}

int wr_fd_send(int sock, const int *fds, unsigned n, struct wr_span tag)
{
    WR_ASSERT(tag.n > 0 && tag.n <= WR_FD_TAG_MAX);
    unsigned sent = 0;
    do {
        unsigned part = n - sent < WR_FD_MAX ? n - sent : WR_FD_MAX;
        ssize_t r = send_some(sock, part ? fds + sent : NULL, part, tag);
        if (r < 0)
            return sent ? (int)sent : (int)r;
        sent += part;
    } while (sent < n);
    return (int)sent;
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        (void)wr_os_close(fds[i]);
}

/* Every descriptor that the message carried is in this process now: gather them all, to keep or close. */
static unsigned gather(struct msghdr *m, int got[static WR_FD_MAX])
{
    unsigned n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            c->cmsg_len < CMSG_LEN(0))
            continue;
        unsigned in_this = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        if (in_this > WR_FD_MAX - n)
            in_this = WR_FD_MAX - n;
        memcpy(got + n, CMSG_DATA(c), in_this * sizeof(int));
        n += in_this;
    }
    return n;
}

int wr_fd_recv(int sock, int *fds, unsigned *n_fds, void *tag, size_t *n_tag)
{
    union control control;
    int got[WR_FD_MAX];
    struct iovec iov = {tag, *n_tag};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t r = wr_os_recvmsg(sock, &m, MSG_DONTWAIT);
    if (r < 0)
        return (int)r;
    unsigned n = gather(&m, got);
    if (r == 0 && n == 0) /* a tag is never empty */
        return -EPIPE;
    if (r == 0 || n > *n_fds || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        close_all(got, n);
        return -EMSGSIZE;
    }
    memcpy(fds, got, n * sizeof(int));
    *n_fds = n;
    *n_tag = (size_t)r;
    return 0;
}
