/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Actors' ends of connections, and a look at the machine.
 *
 * What happens at an end reaches its actor as an event of its own, so an actor may do anything
 * to any socket in its callbacks.
 */

#include "sim/os_sim_tcp.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>

struct sim_peer {
    struct sim_tcp *t;
    const struct sim_peer_ops *ops;
    void *arg;
    struct sim_waiter waiter;
    struct sim_event notice;
    bool told_connected, gone, in_call;
};

static bool peer_woken(struct sim_waiter *w, uint32_t key)
{
    struct sim_peer *p = wr_container_of(w, struct sim_peer, waiter);
    (void)key;
    if (!p->notice.place)
        sim_after(&p->notice, 0);
    return true;
}

static void peer_free(struct sim_peer *p)
{
    sim_cancel(&p->notice);
    free(p);
}

static bool peer_tell(struct sim_peer *p)
{
    struct sim_tcp *t = p->t;
    if (t->state == TCP_LISTENS) {
        if (p->ops->incoming && t->queued > 0)
            p->ops->incoming(p, p->arg);
        return !p->gone;
    }
    if (!p->told_connected && t->state != TCP_SYN_OUT) {
        p->told_connected = true;
        int err = t->state == TCP_DONE && !t->other ? t->err : 0;
        if (p->ops->connected)
            p->ops->connected(p, p->arg, -err);
        if (p->gone || err)
            return !p->gone;
    }
    uint32_t m = tcp_poll(&t->f);
    if ((m & (EPOLLIN | EPOLLHUP | EPOLLERR)) && p->ops->readable)
        p->ops->readable(p, p->arg);
    if (!p->gone && (m & EPOLLOUT) && p->ops->writable)
        p->ops->writable(p, p->arg);
    return !p->gone;
}

static void peer_notice(struct sim_event *e)
{
    struct sim_peer *p = wr_container_of(e, struct sim_peer, notice);
    p->in_call = true;
    bool alive = peer_tell(p);
    p->in_call = false;
    if (!alive)
        peer_free(p);
}

static struct sim_peer *peer_new(struct sim_tcp *t, const struct sim_peer_ops *ops, void *arg)
{
    struct sim_peer *p = calloc(1, sizeof *p);
    WR_ASSERT(p);
    p->t = t;
    p->ops = ops;
    p->arg = arg;
    p->waiter.fn = peer_woken;
    p->notice.fn = peer_notice;
    t->by_actor = true;
    sim_list_add(&t->f.waiters, &p->waiter.node);
    return p;
}

/* Actors' clients have ports without end: the pair of host and number is new for each dial. */
struct sim_peer *sim_dial(uint32_t from_host, uint32_t to_host, uint16_t port,
                          const struct sim_peer_ops *ops, void *arg)
{
    struct sim_tcp *t = tcp_make(AF_INET);
    struct sim_inet to = sim_inet_host(to_host, port);
    t->by_actor = true;
    t->local = sim_inet_host(from_host, (uint16_t)(1024 + sim_world->next_order++ % 64000));
    struct sim_peer *p = peer_new(t, ops, arg);
    int r = tcp_start_connect(t, &to);
    WR_ASSERT(r == -EINPROGRESS);
    return p;
}

struct sim_peer *sim_serve(uint32_t host, uint16_t port, int backlog,
                           const struct sim_peer_ops *ops, void *arg)
{
    struct sim_tcp *t = tcp_make(AF_INET);
    t->local = sim_inet_host(host, port);
    t->bound = true;
    struct sim_peer *p = peer_new(t, ops, arg);
    WR_ASSERT(tcp_start_listen(t, backlog) == 0);
    return p;
}

struct sim_peer *sim_take(struct sim_peer *listener, const struct sim_peer_ops *ops, void *arg)
{
    struct sim_tcp *t = tcp_take(listener->t);
    if (!t)
        return NULL;
    struct sim_peer *p = peer_new(t, ops, arg);
    p->told_connected = true;
    sim_after(&p->notice, 0);
    return p;
}

ssize_t sim_recv(struct sim_peer *p, void *out, size_t n)
{
    struct iovec v = {out, n};
    return tcp_read(p->t, &v, 1, false);
}

ssize_t sim_send(struct sim_peer *p, const void *bytes, size_t n)
{
    struct iovec v = {(void *)(uintptr_t)bytes, n};
    return tcp_write(p->t, &v, 1);
}

void sim_peer_shutdown(struct sim_peer *p)
{
    if (p->t->state == TCP_OPEN || p->t->state == TCP_SYN_IN)
        tcp_shut(p->t, false, true);
}

void sim_peer_window(struct sim_peer *p, uint32_t n)
{
    p->t->rcvbuf = n;
    tcp_push(p->t);
}

void sim_hang_up(struct sim_peer **pp, bool reset)
{
    struct sim_peer *p = *pp;
    if (!p)
        return;
    *pp = NULL;
    sim_list_del(&p->waiter.node);
    sim_cancel(&p->notice);
    if (reset) {
        p->t->linger_on = true;
        p->t->linger_s = 0;
    }
    tcp_release(p->t);
    p->gone = true;
    if (!p->in_call)
        peer_free(p);
}

void sim_served(struct sim_file *f, pid_t by)
{
    struct sim_tcp *t = f->kind == SIM_TCP ? wr_container_of(f, struct sim_tcp, f) : NULL;
    if (t && t->other)
        t->other->served_by = by;
}

pid_t sim_peer_server(const struct sim_peer *p)
{
    return p->t->served_by;
}

/* Only the ends of processes count: what actors do to themselves is their own business. */
void sim_look(struct sim_host_view *out)
{
    struct sim_world *w = sim_world;
    *out = (struct sim_host_view){.overflows = w->overflows,
                                  .lost_queued = w->lost_queued,
                                  .open_files = (unsigned)w->files_open,
                                  .time_wait = sim_ports_waiting()};
    SIM_EACH_SAFE(&w->procs, it, next)
    {
        out->processes += !wr_container_of(it, struct sim_proc, node)->ended;
    }
    SIM_EACH_SAFE(&w->tcps, it2, next2)
    {
        struct sim_tcp *t = wr_container_of(it2, struct sim_tcp, all);
        if (t->by_actor || t->closed)
            continue;
        out->embryos += t->state == TCP_SYN_IN;
        if (t->state == TCP_LISTENS && t->queued > 0) {
            out->queued += t->queued;
            struct sim_tcp *eldest = wr_container_of(t->queue.next, struct sim_tcp, in_queue);
            uint64_t age = sim_now() - eldest->queued_at;
            if (age > out->oldest_queued_ns)
                out->oldest_queued_ns = age;
        }
        if (t->state == TCP_OPEN && !t->listener)
            *(t->got_end && !t->shut_wr ? &out->close_wait : &out->established) += 1;
    }
}
