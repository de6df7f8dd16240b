/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/stats/sockdiag.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#define PIECE (32U << 10) /* what the kernel fills at most in one answer */

int sockdiag_attr(struct wr_span *rest, struct wr_span *out)
{
    struct rtattr a;
    if (rest->n < sizeof a)
        return -1;
    memcpy(&a, rest->p, sizeof a);
    if (a.rta_len < sizeof a || a.rta_len > rest->n)
        return -1;
    *out = wr_span(rest->p + sizeof a, a.rta_len - sizeof a);
    *rest = wr_span_sub(*rest, RTA_ALIGN((size_t)a.rta_len), rest->n);
    return a.rta_type;
}

/* What an error message says; a 0 in it is the acknowledgement of a request with NLM_F_ACK. */
static int error_of(struct wr_span body)
{
    int32_t code;
    if (body.n < sizeof code)
        return -EPROTO;
    memcpy(&code, body.p, sizeof code);
    if (code == 0)
        return SOCKDIAG_DONE;
    return code < 0 && code > -4096 ? code : -EPROTO;
}

int sockdiag_walk(struct wr_span piece, sockdiag_fn *fn, void *arg, bool *io_torn)
{
    while (piece.n >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr h;
        memcpy(&h, piece.p, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > piece.n)
            return -EPROTO;
        struct wr_span body = wr_span(piece.p + NLMSG_HDRLEN, h.nlmsg_len - NLMSG_HDRLEN);
        if (h.nlmsg_flags & NLM_F_DUMP_INTR)
            *io_torn = true;
        if (h.nlmsg_type == NLMSG_DONE)
            return SOCKDIAG_DONE;
        if (h.nlmsg_type == NLMSG_ERROR)
            return error_of(body);
        bool row = h.nlmsg_type == SOCK_DIAG_BY_FAMILY || h.nlmsg_type == TCPDIAG_GETSOCK;
        int err = row ? fn(arg, body) : 0;
        if (err < 0)
            return err;
        piece = wr_span_sub(piece, NLMSG_ALIGN((size_t)h.nlmsg_len), piece.n);
    }
    return SOCKDIAG_MORE;
}

static int talk(int fd, const void *request, size_t n, sockdiag_fn *fn, void *arg)
{
    _Alignas(8) char answer[PIECE];
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct iovec v = {.iov_len = n};
    memcpy(answer, request, n);
    v.iov_base = answer;
    struct msghdr m = {
        .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &v, .msg_iovlen = 1};
    ssize_t got = wr_os_sendmsg(fd, &m, 0);
    bool torn = false;
    int r = got < 0 ? (int)got : SOCKDIAG_MORE;
    while (r == SOCKDIAG_MORE) {
        got = wr_os_recv(fd, answer, sizeof answer, 0);
        if (got <= 0)
            return got < 0 ? (int)got : -EPIPE;
        r = sockdiag_walk(wr_span(answer, (size_t)got), fn, arg, &torn);
    }
    return r < 0 ? r : torn ? SOCKDIAG_TORN : 0;
}

int sockdiag_ask(const void *request, size_t n, sockdiag_fn *fn, void *arg)
{
    if (n > PIECE)
        return -EMSGSIZE;
    int fd = wr_os_socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return fd;
    int r = talk(fd, request, n, fn, arg);
    (void)wr_os_close(fd);
    return r;
}
