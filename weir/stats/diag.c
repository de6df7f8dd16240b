/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/stats/diag.h"

#include "weir/stats/sockdiag.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

struct asked {
    struct diag_listener *rows;
    unsigned n;
};

static bool is_at(const struct diag_listener *l, const struct inet_diag_msg *d)
{
    if (ntohs(d->id.idiag_sport) != l->addr.port)
        return false;
    if (l->addr.kind == WR_ADDR_V4)
        return d->idiag_family == AF_INET && memcmp(d->id.idiag_src, l->addr.v4, 4) == 0;
    return l->addr.kind == WR_ADDR_V6 && d->idiag_family == AF_INET6 &&
           memcmp(d->id.idiag_src, l->addr.v6, 16) == 0;
}

static uint32_t drops_of(struct wr_span attributes)
{
    uint32_t mem[SK_MEMINFO_VARS] = {0};
    struct wr_span value;
    int type;
    while ((type = sockdiag_attr(&attributes, &value)) >= 0)
        if (type == INET_DIAG_SKMEMINFO)
            memcpy(mem, value.p, value.n < sizeof mem ? value.n : sizeof mem);
    return mem[SK_MEMINFO_DROPS];
}

static int note(void *arg, struct wr_span message)
{
    const struct asked *a = arg;
    struct inet_diag_msg d;
    if (message.n < sizeof d)
        return 0;
    memcpy(&d, message.p, sizeof d);
    for (unsigned i = 0; i < a->n; i++) {
        struct diag_listener *l = &a->rows[i];
        if (!is_at(l, &d))
            continue;
        l->sockets++;
        l->queue += d.idiag_rqueue;
        l->limit += d.idiag_wqueue;
        l->drops += drops_of(wr_span_sub(message, sizeof d, message.n));
    }
    return 0;
}

static int ask(uint8_t family, struct asked *asked)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 ask;
    } q = {
        .head = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .ask = { .sdiag_family = family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1),
                 .idiag_states = 1 << TCP_LISTEN},
    };
    int r = sockdiag_ask(&q, sizeof q, note, asked);
    return r < 0 ? r : 0; /* torn: the next look at the page sees the rest */
}

int diag_listeners(struct diag_listener *rows, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        rows[i].sockets = rows[i].queue = rows[i].limit = 0, rows[i].drops = 0;
    struct asked asked = {rows, n};
    int r = ask(AF_INET, &asked);
    return r ? r : ask(AF_INET6, &asked);
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
