/* SPDX-License-Identifier: BSD-2-Clause */

/* UDP, as much as a resolver needs: connected and unconnected sockets, loss, refusal, actors' services. */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 64u

struct datagram {
    struct sim_list node;
    struct sim_inet from;
    size_t n;
    char data[];
};

struct sim_udp {
    struct sim_file f;
    struct sim_list of_bound, messages;
    unsigned count;
    int family, err;
    struct sim_inet local, peer;
    bool bound, connected, any;
    sim_datagram_fn *service; /* an actor's */
    void *arg;
};

struct flying {
    struct sim_event e;
    struct sim_inet from, to;
    size_t n;
    char data[];
};

static struct sim_udp *udp_of(struct sim_file *f)
{
    return wr_container_of(f, struct sim_udp, f);
}

static struct sim_udp *udp_find(const struct sim_inet *to)
{
    SIM_EACH_SAFE(&sim_world->bound_udp, it, next)
    {
        struct sim_udp *u = wr_container_of(it, struct sim_udp, of_bound);
        if (u->local.port == to->port &&
            (u->any ? sim_inet_local(to) : memcmp(&u->local.ip, &to->ip, 16) == 0))
            return u;
    }
    return NULL;
}

static void udp_landed(struct sim_event *e)
{
    struct flying *d = wr_container_of(e, struct flying, e);
    struct sim_udp *to = udp_find(&d->to), *from = udp_find(&d->from);
    if (!to && from && from->connected) {
        from->err = ECONNREFUSED;
        sim_wake(&from->f, EPOLLERR);
    } else if (to && to->service) {
        to->service(to->arg, &d->from, d->data, d->n);
    } else if (to && to->count < QUEUE_MAX &&
               (!to->connected || memcmp(&to->peer, &d->from, sizeof d->from) == 0)) {
        struct datagram *m = malloc(sizeof *m + d->n);
        WR_ASSERT(m);
        m->from = d->from;
        m->n = d->n;
        memcpy(m->data, d->data, d->n);
        sim_list_add(&to->messages, &m->node);
        to->count++;
        sim_wake(&to->f, EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND);
    }
    sim_list_del(&d->e.node);
    free(d);
}

static void udp_fly(const struct sim_inet *from, const struct sim_inet *to, const void *bytes,
                    size_t n, uint64_t delay_ns)
{
    struct flying *d = calloc(1, sizeof *d + n);
    WR_ASSERT(d);
    d->e.fn = udp_landed;
    d->from = *from;
    d->to = *to;
    d->n = n;
    memcpy(d->data, bytes, n);
    sim_list_add(&sim_world->flying, &d->e.node);
    sim_after(&d->e, delay_ns + sim_latency(to));
}

void sim_datagram_send(uint32_t from_host, uint16_t from_port, const struct sim_inet *to,
                       const void *bytes, size_t n, uint64_t delay_ns)
{
    struct sim_inet from = sim_inet_host(from_host, from_port);
    udp_fly(&from, to, bytes, n, delay_ns);
}

static uint32_t udp_poll(struct sim_file *f)
{
    struct sim_udp *u = udp_of(f);
    return EPOLLOUT | EPOLLWRNORM | (u->err ? EPOLLERR : 0u) |
           (u->count ? EPOLLIN | EPOLLRDNORM : 0u);
}

static ssize_t udp_recv(struct sim_file *f, struct msghdr *h, int flags)
{
    struct sim_udp *u = udp_of(f);
    (void)flags;
    h->msg_flags = 0;
    h->msg_controllen = 0;
    if (u->err) {
        int err = u->err;
        u->err = 0;
        return -err;
    }
    if (sim_list_empty(&u->messages))
        return -EAGAIN;
    struct datagram *m = wr_container_of(u->messages.next, struct datagram, node);
    size_t want = sim_iov_size(h->msg_iov, h->msg_iovlen), got = want < m->n ? want : m->n;
    sim_iov_put(h->msg_iov, h->msg_iovlen, 0, m->data, got);
    if (got < m->n)
        h->msg_flags |= MSG_TRUNC;
    if (h->msg_name)
        sim_inet_to(&m->from, u->family, h->msg_name, &h->msg_namelen);
    sim_list_del(&m->node);
    u->count--;
    free(m);
    return (ssize_t)got;
}

static void udp_autobind(struct sim_udp *u, const struct sim_inet *to)
{
    if (u->bound)
        return;
    u->bound = true;
    u->local = to && sim_inet_loopback(to) ? *to : sim_inet_host(1, 0);
    do
        u->local.port = (uint16_t)(32768 + sim_rand(28000));
    while (udp_find(&u->local));
    sim_list_add(&sim_world->bound_udp, &u->of_bound);
}

static ssize_t udp_send(struct sim_file *f, const struct msghdr *h, int flags)
{
    struct sim_udp *u = udp_of(f);
    (void)flags;
    if (u->err) {
        int err = u->err;
        u->err = 0;
        return -err;
    }
    struct sim_inet to = u->peer;
    if (h->msg_name) {
        int err = sim_inet_from(h->msg_name, h->msg_namelen, &to);
        if (err < 0)
            return err;
    } else if (!u->connected) {
        return -EDESTADDRREQ;
    }
    size_t n = sim_iov_size(h->msg_iov, h->msg_iovlen);
    if (n > 65507)
        return -EMSGSIZE;
    udp_autobind(u, &to);
    char *bytes = malloc(n + 1);
    WR_ASSERT(bytes);
    sim_iov_get(h->msg_iov, h->msg_iovlen, 0, bytes, n);
    udp_fly(&u->local, &to, bytes, n, 0);
    free(bytes);
    return (ssize_t)n;
}

static void udp_release(struct sim_file *f)
{
    struct sim_udp *u = udp_of(f);
    while (!sim_list_empty(&u->messages)) {
        struct datagram *m = wr_container_of(u->messages.next, struct datagram, node);
        sim_list_del(&m->node);
        free(m);
    }
    sim_list_del(&u->of_bound);
    free(u);
}

static struct sim_udp *udp_make(int family)
{
    static const struct sim_file_ops ops = {udp_poll, udp_release, udp_recv, udp_send};
    struct sim_udp *u = calloc(1, sizeof *u);
    WR_ASSERT(u);
    sim_file_init(&u->f, SIM_UDP, &ops);
    u->family = family;
    sim_list_init(&u->of_bound);
    sim_list_init(&u->messages);
    return u;
}

struct sim_file *sim_udp_new(int family)
{
    return &udp_make(family)->f;
}

/* Lives until the world ends. */
void sim_datagram_serve(uint32_t host, uint16_t port, sim_datagram_fn *fn, void *arg)
{
    struct sim_udp *u = udp_make(AF_INET);
    sim_world->files_open--;
    u->local = sim_inet_host(host, port);
    u->bound = true;
    u->service = fn;
    u->arg = arg;
    sim_list_add(&sim_world->bound_udp, &u->of_bound);
}

void sim_udp_close_all(void)
{
    struct sim_world *w = sim_world;
    while (!sim_list_empty(&w->bound_udp))
        udp_release(&wr_container_of(w->bound_udp.next, struct sim_udp, of_bound)->f);
    while (!sim_list_empty(&w->flying)) {
        struct sim_event *e = wr_container_of(w->flying.next, struct sim_event, node);
        sim_cancel(e);
        sim_list_del(&e->node);
        free(wr_container_of(e, struct flying, e));
    }
}

static int udp_bind(struct sim_file *f, const struct sockaddr *sa, socklen_t n)
{
    struct sim_udp *u = udp_of(f);
    struct sim_inet a;
    int err = sim_inet_from(sa, n, &a);
    if (err < 0)
        return err;
    if (u->bound)
        return -EINVAL;
    if (a.port == 0) {
        udp_autobind(u, sim_inet_any(&a) ? NULL : &a);
        u->any = sim_inet_any(&a);
        return 0;
    }
    if (udp_find(&a))
        return -EADDRINUSE;
    u->local = a;
    u->any = sim_inet_any(&a);
    u->bound = true;
    sim_list_add(&sim_world->bound_udp, &u->of_bound);
    return 0;
}

static int udp_connect(struct sim_file *f, const struct sockaddr *sa, socklen_t n)
{
    struct sim_udp *u = udp_of(f);
    int err = sim_inet_from(sa, n, &u->peer);
    if (err < 0)
        return err;
    udp_autobind(u, &u->peer);
    u->connected = true;
    return 0;
}

static int udp_getopt(struct sim_file *f, int level, int opt, void *val, socklen_t *n)
{
    struct sim_udp *u = udp_of(f);
    int value = level == SOL_SOCKET && opt == SO_TYPE     ? SOCK_DGRAM
                : level == SOL_SOCKET && opt == SO_DOMAIN ? u->family
                                                          : 0;
    if (level == SOL_SOCKET && opt == SO_ERROR) {
        value = u->err;
        u->err = 0;
    }
    return sim_opt_int(val, n, value);
}

static int udp_name(struct sim_file *f, bool peer, struct sockaddr *sa, socklen_t *n)
{
    struct sim_udp *u = udp_of(f);
    if (peer && !u->connected)
        return -ENOTCONN;
    sim_inet_to(peer ? &u->peer : &u->local, u->family, sa, n);
    return 0;
}

const struct sim_sock_ops sim_udp_sock = {udp_bind, NULL,       NULL, udp_connect,
                                          NULL,     udp_getopt, NULL, udp_name};
