/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "weir/stats/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>

/* All ones, then what the kernel gave: what it did not give says so itself. */
static struct facts_tcp tcp_of(struct wr_span given)
{
    struct tcp_info i;
    memset(&i, 0xff, sizeof i);
    memcpy(&i, given.p, given.n < sizeof i ? given.n : sizeof i);
    return (struct facts_tcp){
        .ca_state = i.tcpi_ca_state,
        .retransmits = i.tcpi_retransmits,
        .probes = i.tcpi_probes,
        .backoff = i.tcpi_backoff,
        .options = i.tcpi_options,
        .known = (uint16_t)(given.n < UINT16_MAX ? given.n : UINT16_MAX),
        .rto_us = i.tcpi_rto,
        .ato_us = i.tcpi_ato,
        .snd_mss = i.tcpi_snd_mss,
        .rcv_mss = i.tcpi_rcv_mss,
        .unacked = i.tcpi_unacked,
        .sacked = i.tcpi_sacked,
        .lost = i.tcpi_lost,
        .retrans = i.tcpi_retrans,
        .total_retrans = i.tcpi_total_retrans,
        .last_data_sent_ms = i.tcpi_last_data_sent,
        .last_data_recv_ms = i.tcpi_last_data_recv,
        .last_ack_recv_ms = i.tcpi_last_ack_recv,
        .rtt_us = i.tcpi_rtt,
        .rttvar_us = i.tcpi_rttvar,
        .min_rtt_us = i.tcpi_min_rtt,
        .snd_cwnd = i.tcpi_snd_cwnd,
        .rcv_space = i.tcpi_rcv_space,
        .rcv_rtt_us = i.tcpi_rcv_rtt,
        .rcv_ssthresh = i.tcpi_rcv_ssthresh,
        .snd_wnd = i.tcpi_snd_wnd,
        .segs_out = i.tcpi_segs_out,
        .segs_in = i.tcpi_segs_in,
        .data_segs_in = i.tcpi_data_segs_in,
        .data_segs_out = i.tcpi_data_segs_out,
        .notsent_bytes = i.tcpi_notsent_bytes,
        .dsack_dups = i.tcpi_dsack_dups,
        .bytes_acked = i.tcpi_bytes_acked,
        .bytes_received = i.tcpi_bytes_received,
        .bytes_sent = i.tcpi_bytes_sent,
        .bytes_retrans = i.tcpi_bytes_retrans,
        .delivery_rate = i.tcpi_delivery_rate,
        .busy_us = i.tcpi_busy_time,
        .rwnd_limited_us = i.tcpi_rwnd_limited,
        .sndbuf_limited_us = i.tcpi_sndbuf_limited,
    };
}

static void memory_of(struct wr_span given, struct facts_socket *s)
{
    uint32_t m[SK_MEMINFO_VARS] = {0}; /* an old kernel ends before the drops */
    memcpy(m, given.p, given.n < sizeof m ? given.n : sizeof m);
    s->rmem = m[SK_MEMINFO_RMEM_ALLOC];
    s->rcvbuf = m[SK_MEMINFO_RCVBUF];
    s->wmem = m[SK_MEMINFO_WMEM_ALLOC];
    s->sndbuf = m[SK_MEMINFO_SNDBUF];
    s->backlog_bytes = m[SK_MEMINFO_BACKLOG];
    s->drops = m[SK_MEMINFO_DROPS];
}

static bool is_detailed(const struct look_ask *ask, uint32_t inode)
{
    return !ask->detail || inode == 0 || look_has32(ask->detail, ask->n_detail, inode);
}

bool look_is_asked(const struct look_ask *ask, const struct facts_socket *s)
{
    for (uint32_t i = 0; i < ask->n_ports; i++)
        if (ask->ports[i] == s->local_port || ask->ports[i] == s->remote_port)
            return true;
    return ask->n_ports == 0;
}

static int attributes(struct facts_look *l, const struct look_ask *ask, struct wr_span rest,
                      struct facts_socket *s)
{
    struct wr_span value;
    int type, err = 0;
    while (!err && (type = sockdiag_attr(&rest, &value)) >= 0) {
        if (type == INET_DIAG_SKMEMINFO) {
            memory_of(value, s);
        } else if (type == INET_DIAG_SHUTDOWN && value.n > 0) {
            s->shutdown = (uint8_t)value.p[0];
        } else if (type == INET_DIAG_INFO && value.n > 0 && s->tcp == FACTS_NONE &&
                   is_detailed(ask, s->inode)) {
            struct facts_tcp t = tcp_of(value);
            err = FACTS_ADD(&l->tcps, l->heap, &t);
            s->tcp = err ? FACTS_NONE : l->tcps.n - 1;
        }
    }
    return err;
}

int look_inet_row(struct facts_look *l, const struct look_ask *ask, struct wr_span message)
{
    struct inet_diag_msg d;
    if (message.n < sizeof d)
        return -EPROTO;
    memcpy(&d, message.p, sizeof d);
    struct facts_socket s = {
        .cookie = (uint64_t)d.id.idiag_cookie[1] << 32 | d.id.idiag_cookie[0],
        .inode = d.idiag_inode,
        .proto = (uint8_t)ask->proto,
        .family = d.idiag_family,
        .state = d.idiag_state,
        .timer = d.idiag_timer,
        .retrans = d.idiag_retrans,
        .local_port = ntohs(d.id.idiag_sport),
        .remote_port = ntohs(d.id.idiag_dport),
        .interface = d.id.idiag_if,
        .uid = d.idiag_uid,
        .rqueue = d.idiag_rqueue,
        .wqueue = d.idiag_wqueue,
        .timer_ms = d.idiag_expires,
        .rmem = FACTS_NONE,
        .rcvbuf = FACTS_NONE,
        .wmem = FACTS_NONE,
        .sndbuf = FACTS_NONE,
        .tcp = FACTS_NONE,
    };
    size_t ip = d.idiag_family == AF_INET ? 4 : 16;
    memcpy(s.local, d.id.idiag_src, ip);
    memcpy(s.remote, d.id.idiag_dst, ip);
    if (!look_is_asked(ask, &s))
        return 0;
    int err = attributes(l, ask, wr_span_sub(message, sizeof d, message.n), &s);
    return err ? err : FACTS_ADD(&l->sockets, l->heap, &s);
}

/* ---- the question ----------------------------------------------------------------------------------- */
#define FILTER_PORTS 32 /* more than these are told apart here, not in the kernel */

struct filter {
    struct nlattr head;
    struct inet_diag_bc_op op[FILTER_PORTS * 2 * 3];
};

struct
    question { /* its first form, about TCP only, and the only one that can mean both families */
    struct nlmsghdr head;
    struct inet_diag_req ask;
    struct filter filter;
};

#define EXTENSIONS \
    (1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1) | 1 << (INET_DIAG_SHUTDOWN - 1))

/* "This port, or that one, or ...": each condition (two words: what, and the port) is followed by a jump to the end
 * for when it holds. Behind the end is no; the last condition needs no jump. */
static size_t write_filter(struct inet_diag_bc_op *op, const struct look_ask *ask)
{
    unsigned n = 2 * ask->n_ports, words = 3 * n - 1;
    for (unsigned i = 0; i < n; i++, op += 3) {
        bool last = i == n - 1;
        uint16_t left = (uint16_t)((words - 3 * i) * sizeof *op);
        op[0] = (struct inet_diag_bc_op){.code = i % 2 ? INET_DIAG_BC_D_EQ : INET_DIAG_BC_S_EQ,
                                         .yes = 2 * sizeof *op,
                                         .no = (uint16_t)(last ? left + 4U : 3 * sizeof *op)};
        op[1] = (struct inet_diag_bc_op){.no = ask->ports[i / 2]};
        if (!last)
            op[2] = (struct inet_diag_bc_op){.code = INET_DIAG_BC_JMP,
                                             .yes = sizeof *op,
                                             .no = (uint16_t)(left - 2 * sizeof *op)};
    }
    return words * sizeof *op;
}

/* Its length: 0 where the kernel is not to filter. */
static size_t add_filter(struct filter *f, const struct look_ask *ask, bool filter)
{
    if (!filter)
        return 0;
    f->head = (struct nlattr){
        .nla_type = INET_DIAG_REQ_BYTECODE,
        .nla_len = (uint16_t)(sizeof f->head + write_filter(f->op, ask)),
    };
    return f->head.nla_len;
}

struct answer {
    struct facts_look *look;
    const struct look_ask *ask;
};

static int on_message(void *arg, struct wr_span message)
{
    struct answer *a = arg;
    if (a->look->sockets.n % LOOK_SOME == 0)
        look_pause(a->look->pace);
    int err = look_inet_row(a->look, a->ask, message);
    return err == -EPROTO ? 0 : err;
}

static int ask_family(struct answer *a, int family)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 ask;
    } q = {
        .head = {.nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .ask = { .sdiag_family = (uint8_t)family,
                 .sdiag_protocol = (uint8_t)a->ask->proto,
                 .idiag_ext = EXTENSIONS,
                 .idiag_states = a->ask->states},
    };
    q.head.nlmsg_len = sizeof q;
    return sockdiag_ask(&q, sizeof q, on_message, a);
}

/* Both families in one walk over the kernel's tables, which are large and mostly empty. */
static int ask_both(struct answer *a, bool filter)
{
    struct question q = {
        .head = {.nlmsg_type = TCPDIAG_GETSOCK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .ask = {.idiag_ext = EXTENSIONS,       .idiag_states = a->ask->states           },
    };
    size_t n = offsetof(struct question, filter) + add_filter(&q.filter, a->ask, filter);
    q.head.nlmsg_len = (uint32_t)n;
    return sockdiag_ask(&q, n, on_message, a);
}

static int ask_in_turn(struct answer *a)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    int r = 0;
    for (unsigned i = 0; i < WR_ARRAY_LEN(families); i++) {
        r = ask_family(a, families[i]);
        if (r == -ENOMEM || r == -E2BIG)
            return r;
        if (r != 0)
            facts_gap(a->look, families[i] == AF_INET ? "sock_diag inet" : "sock_diag inet6", 0,
                      r < 0 ? r : -EAGAIN);
    }
    return 0;
}

int look_inet(struct facts_look *l, const struct look_ask *ask)
{
    struct answer a = {l, ask};
    bool filter = ask->n_ports > 0 && ask->n_ports <= FILTER_PORTS;
    uint32_t sockets = l->sockets.n, tcps = l->tcps.n;
    int r = ask->proto == FACTS_TCP ? ask_both(&a, filter) : -EOPNOTSUPP;
    if (r == SOCKDIAG_TORN)
        facts_gap(l, "sock_diag", 0, -EAGAIN);
    if (r >= 0 || r == -ENOMEM || r == -E2BIG)
        return r < 0 ? r : 0;
    l->sockets.n = sockets, l->tcps.n = tcps; /* what came before the error comes again */
    return ask_in_turn(&a); /* an old kernel may not know the conditions of the filter */
}
