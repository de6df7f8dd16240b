/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/stats/diag.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define ANSWER (16U << 10)

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 ask;
};

static int ask(int fd, int family)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct question q = {
        .head = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .ask = { .sdiag_family = (uint8_t)family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1),
                 .idiag_states = 1 << TCP_LISTEN},
    };
    struct iovec v = {&q, sizeof q};
    struct msghdr m = {
        .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &v, .msg_iovlen = 1};
    ssize_t r = wr_os_sendmsg(fd, &m, 0);
    return r < 0 ? (int)r : 0;
}

static bool is_at(const struct diag_listener *l, const struct inet_diag_msg *d)
{
    if (ntohs(d->id.idiag_sport) != l->addr.port)
        return false;
    if (l->addr.kind == WR_ADDR_V4)
        return d->idiag_family == AF_INET && memcmp(d->id.idiag_src, l->addr.v4, 4) == 0;
    return l->addr.kind == WR_ADDR_V6 && d->idiag_family == AF_INET6 &&
           memcmp(d->id.idiag_src, l->addr.v6, 16) == 0;
}

static uint32_t drops_of(const struct inet_diag_msg *d, unsigned len)
{
    uint32_t mem[SK_MEMINFO_VARS] = {0};
    const char *at = (const char *)(d + 1);
    const char *end = (const char *)d + len;
    while ((size_t)(end - at) >= sizeof(struct rtattr)) {
        struct rtattr a;
        memcpy(&a, at, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > (size_t)(end - at))
            break;
        size_t n = a.rta_len - sizeof a;
        if (a.rta_type == INET_DIAG_SKMEMINFO)
            memcpy(mem, at + sizeof a, n < sizeof mem ? n : sizeof mem);
        at += NLMSG_ALIGN(a.rta_len) < (size_t)(end - at) ? NLMSG_ALIGN(a.rta_len)
                                                          : (size_t)(end - at);
    }
    return mem[SK_MEMINFO_DROPS];
}

static void note(struct diag_listener *rows, unsigned n, const struct inet_diag_msg *d,
                 unsigned len)
{
    for (unsigned i = 0; i < n; i++) {
        if (!is_at(&rows[i], d))
            continue;
        rows[i].sockets++;
        rows[i].queue += d->idiag_rqueue;
        rows[i].limit += d->idiag_wqueue;
        rows[i].drops += drops_of(d, len);
    }
}

/* 1: more will come, 0: that was all, or a negative error. */
static int take(struct diag_listener *rows, unsigned n, const char *p, size_t len)
{
    while (len >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr h;
        memcpy(&h, p, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > len)
            return -EPROTO;
        if (h.nlmsg_type == NLMSG_DONE)
            return 0;
        if (h.nlmsg_type == NLMSG_ERROR)
            return -EPROTO;
        if (h.nlmsg_type == SOCK_DIAG_BY_FAMILY &&
            h.nlmsg_len >= NLMSG_HDRLEN + sizeof(struct inet_diag_msg))
            note(rows, n, (const void *)(p + NLMSG_HDRLEN), h.nlmsg_len - NLMSG_HDRLEN);
        size_t step = NLMSG_ALIGN(h.nlmsg_len);
        if (step > len)
            step = len;
        p += step;
        len -= step;
    }
    return 1;
}

static int dump(int fd, int family, struct diag_listener *rows, unsigned n)
{
    _Alignas(8) char answer[ANSWER];
    int r = ask(fd, family);
    while (r == 0 || r == 1) {
        ssize_t got = wr_os_recv(fd, answer, sizeof answer, 0);
        if (got <= 0)
            return got == -EAGAIN ? 0 : got < 0 ? (int)got : -EPIPE;
        r = take(rows, n, answer, (size_t)got);
        if (r == 0)
            return 0;
    }
    return r;
}

int diag_listeners(struct diag_listener *rows, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        rows[i].sockets = rows[i].queue = rows[i].limit = 0, rows[i].drops = 0;
    int fd = wr_os_socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return fd;
    int r = dump(fd, AF_INET, rows, n);
    if (r == 0)
        r = dump(fd, AF_INET6, rows, n);
    (void)wr_os_close(fd);
    return r;
}

/* The value in the line behind `TcpExt:` whose name stands at the same place in the line before. */
static uint64_t column(const char *names, const char *values, const char *name)
{
    size_t len = strlen(name);
    while (*names && *names != '\n') {
        size_t n = strcspn(names, " \n"), v = strcspn(values, " \n");
        if (n == len && memcmp(names, name, n) == 0) {
            uint64_t out = 0;
            for (size_t i = 0; i < v && values[i] >= '0' && values[i] <= '9'; i++)
                out = out * 10 + (uint64_t)(values[i] - '0');
            return out;
        }
        names += n + (names[n] == ' ');
        values += v + (values[v] == ' ');
    }
    return 0;
}

int diag_host(struct diag_host *out)
{
    char text[8192];
    *out = (struct diag_host){0};
    int fd = wr_os_open("/proc/net/netstat", O_RDONLY, 0);
    if (fd < 0)
        return fd;
    ssize_t n = wr_os_read(fd, text, sizeof text - 1);
    (void)wr_os_close(fd);
    if (n < 0)
        return (int)n;
    text[n] = 0;
    const char *names = strstr(text, "TcpExt: ");
    const char *values = names ? strstr(names + 1, "TcpExt: ") : NULL;
    if (!values)
        return -EPROTO;
    out->listen_overflows = column(names, values, "ListenOverflows");
    out->listen_drops = column(names, values, "ListenDrops");
    return 0;
}
