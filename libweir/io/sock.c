/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/sock.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

static const struct option {
    const char *name;
    int level, number;
} options[] = {
    {"nodelay",         IPPROTO_TCP,  TCP_NODELAY            },
    {"cork",            IPPROTO_TCP,  TCP_CORK               },
    {"quickack",        IPPROTO_TCP,  TCP_QUICKACK           },
    {"keepalive",       SOL_SOCKET,   SO_KEEPALIVE           },
    {"keepidle_s",      IPPROTO_TCP,  TCP_KEEPIDLE           },
    {"keepintvl_s",     IPPROTO_TCP,  TCP_KEEPINTVL          },
    {"keepcnt",         IPPROTO_TCP,  TCP_KEEPCNT            },
    {"user_timeout_ms", IPPROTO_TCP,  TCP_USER_TIMEOUT       },
    {"notsent_lowat",   IPPROTO_TCP,  TCP_NOTSENT_LOWAT      },
    {"defer_accept_s",  IPPROTO_TCP,  TCP_DEFER_ACCEPT       },
    {"maxseg",          IPPROTO_TCP,  TCP_MAXSEG             },
    {"reuseaddr",       SOL_SOCKET,   SO_REUSEADDR           },
    {"reuseport",       SOL_SOCKET,   SO_REUSEPORT           },
    {"rcvbuf",          SOL_SOCKET,   SO_RCVBUF              },
    {"sndbuf",          SOL_SOCKET,   SO_SNDBUF              },
    {"mark",            SOL_SOCKET,   SO_MARK                },
    {"priority",        SOL_SOCKET,   SO_PRIORITY            },
    {"incoming_cpu",    SOL_SOCKET,   SO_INCOMING_CPU        },
    {"busy_poll_us",    SOL_SOCKET,   SO_BUSY_POLL           },
    {"linger_s",        SOL_SOCKET,   SO_LINGER              },
    {"v6only",          IPPROTO_IPV6, IPV6_V6ONLY            },
    {"freebind",        IPPROTO_IP,   IP_FREEBIND            },
    {"bind_no_port",    IPPROTO_IP,   IP_BIND_ADDRESS_NO_PORT},
    {"tos",             IPPROTO_IP,   IP_TOS                 },
};

static const struct option *find(struct wr_span name)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(options); i++)
        if (wr_span_eq(name, wr_span_str(options[i].name)))
            return &options[i];
    return NULL;
}

const char *wr_sock_option_name(unsigned n)
{
    return n < WR_ARRAY_LEN(options) ? options[n].name : NULL;
}

int wr_sock_set(int fd, struct wr_span option, int value)
{
    const struct option *o = find(option);
    if (!o)
        return WR_E_NOT_FOUND;
    if (o->number == SO_LINGER && o->level == SOL_SOCKET) {
        struct linger linger = {value >= 0, value >= 0 ? value : 0};
        return wr_os_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    return wr_os_setsockopt(fd, o->level, o->number, &value, sizeof value);
}

int wr_sock_get(int fd, struct wr_span option, int *out_value)
{
    const struct option *o = find(option);
    if (!o)
        return WR_E_NOT_FOUND;
    struct linger linger = {0};
    int value = 0;
    bool is_linger = o->number == SO_LINGER && o->level == SOL_SOCKET;
    socklen_t n = is_linger ? sizeof linger : sizeof value;
    int err = wr_os_getsockopt(fd, o->level, o->number,
                               is_linger ? (void *)&linger : (void *)&value, &n);
    if (err)
        return err;
    *out_value = is_linger ? (linger.l_onoff ? linger.l_linger : -1) : value;
    return 0;
}

int wr_sock_set_congestion(int fd, struct wr_span name)
{
    return wr_os_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.p, (socklen_t)name.n);
}

int wr_sock_congestion(int fd, char out_name[16])
{
    char name[16] = "";
    socklen_t n = sizeof name - 1;
    int err = wr_os_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n);
    if (!err)
        memcpy(out_name, name, sizeof name);
    return err;
}

int wr_sock_take_error(int fd)
{
    int value = 0;
    socklen_t n = sizeof value;
    int err = wr_os_getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &n);
    return err ? err : -value;
}

int wr_sock_info(int fd, struct wr_sock_info *out_info)
{
    struct tcp_info t;
    socklen_t n = sizeof t;
    memset(&t, 0, sizeof t); /* an older kernel fills less */
    int err = wr_os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &n);
    if (err)
        return err;
    enum {
        LISTEN = 10
    };
    *out_info = (struct wr_sock_info){
        .state = t.tcpi_state,
        .rtt_us = t.tcpi_rtt,
        .rtt_var_us = t.tcpi_rttvar,
        .min_rtt_us = t.tcpi_min_rtt,
        .cwnd = t.tcpi_snd_cwnd,
        .mss = t.tcpi_snd_mss,
        .unacked = t.tcpi_unacked,
        .retrans = t.tcpi_total_retrans,
        .not_sent = t.tcpi_notsent_bytes,
        .bytes_acked = t.tcpi_bytes_acked,
        .bytes_received = t.tcpi_bytes_received,
        .rwnd_limited_us = t.tcpi_rwnd_limited,
        .sndbuf_limited_us = t.tcpi_sndbuf_limited,
        .busy_us = t.tcpi_busy_time,
        /* the kernel lends two fields to listeners: unacked is the queue, sacked its limit */
        .backlog_max = t.tcpi_state == LISTEN ? t.tcpi_sacked : 0,
    };
    return 0;
}

int wr_sock_shutdown_write(int fd)
{
    return wr_os_shutdown(fd, SHUT_WR);
}

int wr_sock_reset_on_close(int fd)
{
    return wr_sock_set(fd, WR_LIT("linger_s"), 0);
}
