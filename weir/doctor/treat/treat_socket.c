/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Treatments of connections: options of the open ones, the end of dead ones.
 */
#include "weir/doctor/treat/treat_private.h"

#include "libweir/os/os.h"
#include "weir/stats/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/syscall.h>

#ifndef SOCK_DESTROY
#define SOCK_DESTROY 21
#endif
#define PROBES           6
#define PROBE_INTERVAL_S 10

static bool is_open(const struct treat *t, const struct finding *f,
                    const struct facts_socket *s)
{
    (void)t;
    (void)f;
    return s->state == FACTS_ESTABLISHED;
}

static int gather_open(struct treat *t, const struct finding *f)
{
    return hand_gather_sockets(t, f, is_open);
}

static int set(int fd, int level, int option, int value)
{
    return wr_os_setsockopt(fd, level, option, &value, sizeof value);
}

static bool is_on(const struct treat *t, const struct hand *h)
{
    return (h->before[0] != 0) == !t->o->undo;
}

/* ---- TCP_NODELAY ------------------------------------------------------------------------------------------ */
static int nodelay_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    return hand_option(t, h, IPPROTO_TCP, TCP_NODELAY, &out[0]);
}

static int nodelay_apply(struct treat *t, const struct hand *h)
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = set(fd, IPPROTO_TCP, TCP_NODELAY, !t->o->undo);
    (void)wr_os_close(fd);
    return err;
}

const struct treat_kind treat_kind_nodelay = {
    .name = "nodelay",
    .label = {WORDS(K_NODELAY), {"", ""}  },
    .unit = {UNIT_NUMBER,      UNIT_COUNT},
    .gather = gather_open,
    .read = nodelay_read,
    .apply = nodelay_apply,
    .well = is_on,
};

/* ---- keep-alive ------------------------------------------------------------------------------------------- */
static int keepalive_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    int err = hand_option(t, h, SOL_SOCKET, SO_KEEPALIVE, &out[0]);
    return err ? err : hand_option(t, h, IPPROTO_TCP, TCP_USER_TIMEOUT, &out[1]);
}

/* A user timeout that the program has set itself stays; undoing takes back only the one that was set here. */
static int keepalive_set(const struct treat *t, const struct hand *h, int fd)
{
    int idle = (int)(t->to < 7200 ? t->to : 7200);
    uint64_t timeout = ((uint64_t)idle + PROBES * PROBE_INTERVAL_S) * 1000;
    int err = set(fd, SOL_SOCKET, SO_KEEPALIVE, !t->o->undo);
    if (err == 0 && !t->o->undo) {
        err = set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
        if (err == 0)
            err = set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_INTERVAL_S);
        if (err == 0)
            err = set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
    }
    if (err == 0 && h->before[1] == (t->o->undo ? timeout : 0))
        err = set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, t->o->undo ? 0 : (int)timeout);
    return err;
}

static int keepalive_apply(struct treat *t, const struct hand *h)
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = keepalive_set(t, h, fd);
    (void)wr_os_close(fd);
    return err;
}

const struct treat_kind treat_kind_keepalive = {
    .name = "keepalive",
    .label = {WORDS(K_KEEPALIVE), WORDS(K_USER_TIMEOUT)},
    .unit = {UNIT_NUMBER,        UNIT_MS              },
    .gather = gather_open,
    .read = keepalive_read,
    .apply = keepalive_apply,
    .well = is_on,
};

/* ---- dead connections ---------------------------------------------------------------------------------- */
/* The same socket, dead at both looks; of a pool: towards the peer that the finding names. */
static bool is_dead(const struct treat *t, const struct finding *f,
                    const struct facts_socket *s)
{
    char peer[64];
    if (s->state != FACTS_CLOSE_WAIT)
        return false;
    const struct facts_socket *before = facts_socket(&t->facts.a, s->cookie);
    if (!before || before->state != FACTS_CLOSE_WAIT)
        return false;
    judge_addr(s, true, peer);
    return !f || t->o->rule != RULE_STALE_POOL || strcmp(peer, f->subject.peer) == 0;
}

static int destroy_gather(struct treat *t, const struct finding *f)
{
    return hand_gather_sockets(t, f, is_dead);
}

static int state_of(struct treat *t, const struct hand *h, uint64_t *out)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = wr_os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n);
    (void)wr_os_close(fd);
    if (err == 0)
        *out = info.tcpi_state;
    return err;
}

static int destroy_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    uint64_t state = 0;
    int err = state_of(t, h, &state);
    if (err == 0)
        out[0] = state == FACTS_CLOSE_WAIT;
    return err;
}

static int on_message(void *arg, struct wr_span message)
{
    (void)arg;
    (void)message;
    return 0;
}

static int destroy(const struct facts_socket *s)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 ask;
    } q = {
        .head = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DESTROY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .ask = {.sdiag_family = s->family,
                 .sdiag_protocol = s->proto,
                 .idiag_states = 1U << FACTS_CLOSE_WAIT  },
    };
    struct inet_diag_sockid *id = &q.ask.id;
    id->idiag_sport = htons(s->local_port);
    id->idiag_dport = htons(s->remote_port);
    memcpy(id->idiag_src, s->local, sizeof id->idiag_src);
    memcpy(id->idiag_dst, s->remote, sizeof id->idiag_dst);
    id->idiag_if = s->interface;
    id->idiag_cookie[0] = (uint32_t)s->cookie;
    id->idiag_cookie[1] = (uint32_t)(s->cookie >> 32);
    return sockdiag_ask(&q, sizeof q, on_message, NULL);
}

struct errand {
    struct treat *treat;
    const struct hand *hand;
};

/* Sockets are destroyed in the namespace that they live in; a child goes there. */
static int go_and_destroy(void *arg)
{
    struct errand *e = arg;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%u/ns/net", e->hand->pid);
    int ns = wr_os_open(path, O_RDONLY, 0);
    int err = ns < 0 ? ns : wr_os_join_net(ns);
    return err < 0 ? err : destroy(&e->hand->socket);
}

static int destroy_apply(struct treat *t, const struct hand *h)
{
    struct errand e = {t, h};
    struct stat own, theirs;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%u/ns/net", h->pid);
    int err = wr_os_stat(path, &theirs);
    if (err == 0)
        err = wr_os_stat("/proc/self/ns/net", &own);
    if (err)
        return err;
    return own.st_ino == theirs.st_ino ? destroy(&h->socket)
                                       : hand_in_child(go_and_destroy, &e);
}

const struct treat_kind treat_kind_destroy = {
    .name = "destroy",
    .label = {WORDS(K_CLOSE_WAIT), {"", ""}  },
    .unit = {UNIT_COUNT,          UNIT_COUNT},
    .gather = destroy_gather,
    .read = destroy_read,
    .apply = destroy_apply,
};

/* ---- the connection that a loop waits for ------------------------------------------------------------ */
static bool waits_on_first(int32_t call)
{
    return call == SYS_recvfrom || call == SYS_recvmsg || call == SYS_read ||
           call == SYS_readv || call == SYS_sendto || call == SYS_sendmsg ||
           call == SYS_write || call == SYS_writev || call == SYS_connect;
}

static int cut_gather(struct treat *t, const struct finding *f)
{
    const struct facts_look *b = &t->facts.b;
    for (uint32_t i = 0; f && i < b->threads.n; i++) {
        const struct facts_thread *th = &b->threads.v[i];
        if (th->tid != (uint32_t)f->subject.tid || !waits_on_first(th->syscall))
            continue;
        const struct facts_fd *fd = facts_fd(b, t->pid, (int)th->arg[0]);
        const struct facts_socket *s =
            fd && fd->inode ? facts_socket_of_inode(b, fd->inode) : NULL;
        if (s && s->proto == FACTS_TCP)
            return hand_add_socket(t, s, t->pid);
    }
    return 0;
}

static int cut_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    uint64_t state = 0;
    int err = state_of(t, h, &state);
    if (err == 0)
        out[0] = state == FACTS_ESTABLISHED || state == FACTS_SYN_SENT;
    return err == -EBADF || err == -ESTALE ? (out[0] = 0, 0) : err;
}

static int cut_apply(struct treat *t, const struct hand *h)
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = wr_os_shutdown(fd, SHUT_RDWR);
    (void)wr_os_close(fd);
    return err;
}

const struct treat_kind treat_kind_cut = {
    .name = "cut",
    .label = {WORDS(K_OPEN), {"", ""}  },
    .unit = {UNIT_COUNT,    UNIT_COUNT},
    .gather = cut_gather,
    .read = cut_read,
    .apply = cut_apply,
};
