/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * TCP, the beginning: bind, listen, the three-way handshake with its full queues, accept.
 *
 *   SYN        dropped when the accept queue is full: the client tries again after 1, 2, 4 ... s
 *   SYN+ACK    makes the client OPEN; an embryo waits at the listener
 *   ACK        moves the embryo into the accept queue; dropped when that is full or when the listener
 *              defers until data: the listener's side asks again after 1, 2, 4 ... s, five times
 */

#include "sim/os_sim_tcp.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define SYN_TRIES 6
#define ACK_TRIES 5

/* ---- names ------------------------------------------------------------------------------------------- */
static bool same_ip(const struct sim_inet *a, const struct sim_inet *b)
{
    return memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

static bool names_clash(const struct sim_tcp *a, const struct sim_tcp *b)
{
    if (a->local.port != b->local.port)
        return false;
    bool a_any = sim_inet_any(&a->local), b_any = sim_inet_any(&b->local);
    if (!a_any && !b_any && !same_ip(&a->local, &b->local))
        return false;
    if (a_any != b_any && !sim_inet_local(a_any ? &b->local : &a->local))
        return false; /* another machine's address */
    bool a6 = !IN6_IS_ADDR_V4MAPPED(&a->local.ip), b6 = !IN6_IS_ADDR_V4MAPPED(&b->local.ip);
    if (a6 != b6 && ((a6 && (a->v6_only || !a_any)) || (b6 && (b->v6_only || !b_any))))
        return false;
    if (a->reuse_port && b->reuse_port)
        return false;
    return !(a->reuse_addr && b->reuse_addr && a->state != TCP_LISTENS &&
             b->state != TCP_LISTENS);
}

static bool name_taken(struct sim_tcp *t)
{
    SIM_EACH_SAFE(&sim_world->listeners, it, next)
    {
        struct sim_tcp *o = wr_container_of(it, struct sim_tcp, in_queue);
        if (o != t && names_clash(o, t))
            return true;
    }
    return false;
}

/* Bound and listening sockets share one list; only they can clash. */
static int tcp_bind(struct sim_file *f, const struct sockaddr *sa, socklen_t n)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    struct sim_inet a;
    int err = sim_inet_from(sa, n, &a);
    if (err < 0)
        return err;
    if (t->bound || t->state != TCP_NEW)
        return -EINVAL;
    if (!sim_inet_local(&a))
        return -EADDRNOTAVAIL;
    t->local = a;
    if (a.port == 0) {
        unsigned span = sim_world->opt.port_max - sim_world->opt.port_min + 1;
        unsigned tries = 0;
        do
            t->local.port = (uint16_t)(sim_world->opt.port_min + sim_rand(span));
        while (name_taken(t) && ++tries < span);
    }
    if (name_taken(t)) {
        t->local.port = 0;
        return -EADDRINUSE;
    }
    t->bound = true;
    sim_list_add(&sim_world->listeners, &t->in_queue);
    return 0;
}

int tcp_start_listen(struct sim_tcp *t, int backlog)
{
    if (t->state != TCP_NEW && t->state != TCP_LISTENS)
        return -EINVAL;
    unsigned max = sim_world->opt.somaxconn;
    t->backlog = backlog < 0 || (unsigned)backlog > max ? max : (unsigned)backlog;
    if (t->state == TCP_LISTENS)
        return 0;
    if (name_taken(t) && !t->reuse_port) {
        SIM_EACH_SAFE(&sim_world->listeners, it, next)
        {
            struct sim_tcp *o = wr_container_of(it, struct sim_tcp, in_queue);
            if (o != t && o->state == TCP_LISTENS && names_clash(o, t))
                return -EADDRINUSE;
        }
    }
    t->state = TCP_LISTENS;
    if (sim_list_empty(&t->in_queue))
        sim_list_add(&sim_world->listeners, &t->in_queue);
    return 0;
}

static int tcp_listen(struct sim_file *f, int backlog)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    if (!t->bound && t->state == TCP_NEW) {
        struct sockaddr_in any = {.sin_family = AF_INET};
        int err = tcp_bind(f, (struct sockaddr *)&any, sizeof any);
        if (err < 0)
            return err;
    }
    return tcp_start_listen(t, backlog);
}

static bool reaches(const struct sim_tcp *l, const struct sim_inet *to)
{
    if (l->state != TCP_LISTENS || l->local.port != to->port)
        return false;
    bool v6 = !IN6_IS_ADDR_V4MAPPED(&l->local.ip), to6 = !IN6_IS_ADDR_V4MAPPED(&to->ip);
    if (sim_inet_any(&l->local))
        return sim_inet_local(to) && (v6 == to6 || (v6 && !l->v6_only));
    return same_ip(&l->local, to) || (l->by_actor && sim_inet_twin(&l->local, to));
}

/* Among listeners that share a port the connection's names decide: here, the seed does. */
static struct sim_tcp *listener_find(const struct sim_inet *to)
{
    struct sim_tcp *hit = NULL;
    unsigned n = 0;
    SIM_EACH_SAFE(&sim_world->listeners, it, next)
    {
        struct sim_tcp *l = wr_container_of(it, struct sim_tcp, in_queue);
        if (reaches(l, to) && sim_rand(++n) == 0)
            hit = l;
    }
    return hit;
}

/* ---- the handshake ------------------------------------------------------------------------------------- */
static void queue_full(struct sim_tcp *l)
{
    if (!l->by_actor)
        sim_world->overflows++;
    (void)l;
}

/* The ACK at the server's side, or the data that a deferring listener waits for. */
static bool embryo_accept(struct sim_tcp *c)
{
    struct sim_tcp *l = c->listener;
    if (l->queued > l->backlog) {
        queue_full(l);
        return false;
    }
    sim_list_del(&c->in_queue);
    sim_list_add(&l->queue, &c->in_queue);
    l->queued++;
    c->queued_at = sim_now();
    c->state = TCP_OPEN;
    sim_cancel(&c->handshake);
    sim_wake(&l->f, EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND);
    return true;
}

void tcp_embryo_data(struct sim_tcp *c)
{
    c->acked = true; /* data acknowledges, too */
    (void)embryo_accept(c);
}

void tcp_embryo_reset(struct sim_tcp *c)
{
    sim_list_del(&c->in_queue);
    sim_cancel(&c->handshake);
    c->listener = NULL;
    c->closed = true; /* nobody owns it: the arrival that brought the reset frees it */
}

/* Timers of a real kernel never keep step: those who were turned away together do not come back so. */
static uint64_t about(uint64_t ns)
{
    return ns + sim_rand(ns / 8);
}

static void embryo_give_up(struct sim_tcp *c)
{
    sim_list_del(&c->in_queue);
    sim_served(&c->f, -2);
    c->listener = NULL;
    c->linger_on = true;
    c->linger_s = 0;
    tcp_release(c);
}

static void embryo_step(struct sim_tcp *c)
{
    c->acked = true;
    struct sim_tcp *l = c->listener;
    bool waits = l->defer_s > 0 && c->in.ready == 0 && !c->got_end &&
                 sim_now() < c->opened_at + (uint64_t)l->defer_s * SIM_S;
    if (!waits && embryo_accept(c))
        return;
    if (!waits && ++c->tries > ACK_TRIES) {
        embryo_give_up(c);
        return;
    }
    sim_after(&c->handshake, about(waits ? SIM_S : SIM_S << c->tries));
}

static void client_open(struct sim_tcp *t, struct sim_tcp *l)
{
    struct sim_tcp *c = tcp_make(l->family);
    c->state = TCP_SYN_IN;
    c->local = t->peer;
    c->peer = t->local;
    c->by_actor = l->by_actor;
    c->listener = l;
    c->rcvbuf = l->rcvbuf;
    c->sndbuf = l->sndbuf;
    c->opened_at = sim_now();
    c->other = t;
    t->other = c;
    sim_list_add(&l->embryos, &c->in_queue);
    t->state = TCP_OPEN;
    sim_wake(&t->f, 0);
    if (sim_inet_loopback(&c->peer))
        embryo_step(c); /* the loopback shakes hands without a pause */
    else
        sim_after(&c->handshake, sim_latency(&c->peer));
}

static void connect_failed(struct sim_tcp *t, int err)
{
    t->err = err;
    t->state = TCP_DONE;
    if (t->port_owned)
        sim_port_free(&t->local, &t->peer, false);
    t->port_owned = false;
    sim_wake(&t->f, 0);
}

/* A SYN reaches the other machine; going and coming back are one step here. */
static void syn_step(struct sim_tcp *t)
{
    struct sim_tcp *l = listener_find(&t->peer);
    if (l && l->queued <= l->backlog) {
        client_open(t, l);
        return;
    }
    bool black_hole = t->peer.ip.s6_addr[12] == 192 && t->peer.ip.s6_addr[13] == 0;
    if (!l && !black_hole) {
        connect_failed(t, ECONNREFUSED);
        return;
    }
    if (l)
        queue_full(l);
    if (++t->tries > SYN_TRIES) {
        connect_failed(t, ETIMEDOUT);
        return;
    }
    sim_after(&t->handshake, about(SIM_S << (t->tries - 1)));
}

void tcp_handshake(struct sim_event *e)
{
    struct sim_tcp *t = wr_container_of(e, struct sim_tcp, handshake);
    if (t->state == TCP_SYN_OUT)
        syn_step(t);
    else if (t->state == TCP_SYN_IN)
        embryo_step(t);
}

int tcp_start_connect(struct sim_tcp *t, const struct sim_inet *to)
{
    t->peer = *to;
    if (sim_inet_any(to))
        t->peer.ip = sim_inet_host(0, 0).ip, t->peer.ip.s6_addr[12] = 127,
        t->peer.ip.s6_addr[15] = 1;
    if (to->ip.s6_addr[12] == 198 && to->ip.s6_addr[13] == 51)
        return -ENETUNREACH;
    if (!t->bound && !t->by_actor) {
        t->local = sim_inet_loopback(&t->peer) ? t->peer : sim_inet_host(1, 0);
        t->local.port = 0;
    }
    if (t->local.port == 0) {
        int port = sim_port_take(&t->local, &t->peer);
        if (port < 0)
            return port;
        t->local.port = (uint16_t)port;
        t->port_owned = true;
    }
    sim_list_del(&t->in_queue);
    t->state = TCP_SYN_OUT;
    t->opened_at = sim_now();
    sim_after(&t->handshake, 2 * sim_latency(&t->peer));
    return -EINPROGRESS;
}

static int tcp_connect(struct sim_file *f, const struct sockaddr *sa, socklen_t n)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    struct sim_inet to;
    int err = sim_inet_from(sa, n, &to);
    if (err < 0)
        return err;
    if (t->state == TCP_SYN_OUT)
        return -EALREADY;
    if (t->state == TCP_OPEN) {
        bool first = !t->connect_reported;
        t->connect_reported = true;
        return first ? 0 : -EISCONN;
    }
    if (t->state != TCP_NEW) {
        err = t->err ? t->err : ECONNABORTED;
        t->err = 0;
        return t->state == TCP_LISTENS ? -EISCONN : -err;
    }
    err = tcp_start_connect(t, &to);
    if (err != -EINPROGRESS || f->nonblock)
        return err;
    while (t->state == TCP_SYN_OUT)
        (void)sim_park(f, UINT64_MAX);
    err = t->err;
    t->err = 0;
    t->connect_reported = true;
    return -err;
}

/* ---- accept and options ---------------------------------------------------------------------------------- */
struct sim_tcp *tcp_take(struct sim_tcp *l)
{
    if (sim_list_empty(&l->queue))
        return NULL;
    struct sim_tcp *c = wr_container_of(l->queue.next, struct sim_tcp, in_queue);
    sim_list_del(&c->in_queue);
    l->queued--;
    c->listener = NULL;
    return c;
}

static int tcp_accept(struct sim_file *f, struct sim_file **out)
{
    struct sim_tcp *l = wr_container_of(f, struct sim_tcp, f);
    if (l->state != TCP_LISTENS)
        return -EINVAL;
    struct sim_tcp *c = tcp_take(l);
    if (!c)
        return -EAGAIN;
    sim_world->files_open++;
    *out = &c->f;
    return 0;
}

static int tcp_shutdown(struct sim_file *f, int how)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    if (t->state == TCP_LISTENS || t->state == TCP_NEW || t->state == TCP_SYN_OUT)
        return -ENOTCONN;
    if (t->state == TCP_DONE)
        return -ENOTCONN;
    tcp_shut(t, how != SHUT_WR, how != SHUT_RD);
    return 0;
}

static int info_get(struct sim_tcp *t, void *val, socklen_t *n)
{
    struct tcp_info info;
    memset(&info, 0, sizeof info);
    info.tcpi_state = t->state == TCP_LISTENS ? TCP_LISTEN
                      : t->state == TCP_OPEN  ? (t->got_end ? TCP_CLOSE_WAIT : TCP_ESTABLISHED)
                                              : TCP_CLOSE;
    if (t->state == TCP_LISTENS) {
        info.tcpi_unacked = t->queued;
        info.tcpi_sacked = t->backlog;
    }
    socklen_t size = *n < sizeof info ? *n : (socklen_t)sizeof info;
    memcpy(val, &info, size);
    *n = size;
    return 0;
}

static int tcp_getopt(struct sim_file *f, int level, int opt, void *val, socklen_t *n)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    if (level == SOL_SOCKET && opt == SO_ERROR) {
        int err = t->err;
        t->err = 0;
        return sim_opt_int(val, n, err);
    }
    if (level == IPPROTO_TCP && opt == TCP_INFO)
        return info_get(t, val, n);
    int value = 0;
    if (level == SOL_SOCKET)
        value = opt == SO_TYPE         ? SOCK_STREAM
                : opt == SO_DOMAIN     ? t->family
                : opt == SO_ACCEPTCONN ? t->state == TCP_LISTENS
                : opt == SO_REUSEPORT  ? t->reuse_port
                : opt == SO_REUSEADDR  ? t->reuse_addr
                : opt == SO_SNDBUF     ? (int)t->sndbuf
                : opt == SO_RCVBUF     ? (int)t->rcvbuf
                : opt == SO_PROTOCOL   ? IPPROTO_TCP
                                       : 0;
    else if (level == IPPROTO_TCP && opt == TCP_DEFER_ACCEPT)
        value = t->defer_s;
    return sim_opt_int(val, n, value);
}

static int tcp_setopt(struct sim_file *f, int level, int opt, const void *val, socklen_t n)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    if (level == SOL_SOCKET && opt == SO_LINGER) {
        const struct linger *l = val;
        if (n < sizeof *l)
            return -EINVAL;
        t->linger_on = l->l_onoff != 0;
        t->linger_s = l->l_linger;
        return 0;
    }
    int value = 0;
    if (n < sizeof value)
        return -EINVAL;
    memcpy(&value, val, sizeof value);
    if (level == SOL_SOCKET && opt == SO_REUSEPORT)
        t->reuse_port = value != 0;
    else if (level == SOL_SOCKET && opt == SO_REUSEADDR)
        t->reuse_addr = value != 0;
    else if (level == SOL_SOCKET && opt == SO_SNDBUF)
        t->sndbuf = 2u * (uint32_t)(value < 2304 ? 2304 : value);
    else if (level == SOL_SOCKET && opt == SO_RCVBUF)
        t->rcvbuf = 2u * (uint32_t)(value < 1152 ? 1152 : value);
    else if (level == IPPROTO_IPV6 && opt == IPV6_V6ONLY)
        t->v6_only = value != 0;
    else if (level == IPPROTO_TCP && opt == TCP_DEFER_ACCEPT)
        t->defer_s = value;
    return 0;
}

static int tcp_name(struct sim_file *f, bool peer, struct sockaddr *sa, socklen_t *n)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    if (peer && t->state != TCP_OPEN && !t->peer.port)
        return -ENOTCONN;
    struct sim_inet blank = sim_inet_host(0, 0);
    memset(blank.ip.s6_addr + 12, 0, 4);
    const struct sim_inet *a = peer                              ? &t->peer
                               : t->bound || t->state != TCP_NEW ? &t->local
                                                                 : &blank;
    sim_inet_to(a, t->family, sa, n);
    return 0;
}

const struct sim_sock_ops sim_tcp_sock = {tcp_bind,     tcp_listen, tcp_accept, tcp_connect,
                                          tcp_shutdown, tcp_getopt, tcp_setopt, tcp_name};

struct sim_file *sim_tcp_new(int family)
{
    struct sim_tcp *t = tcp_make(family);
    sim_world->files_open++;
    return &t->f;
}
