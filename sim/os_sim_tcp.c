/* SPDX-License-Identifier: BSD-2-Clause */

/* TCP, the stream: bytes, windows, ends and resets between two ends that exist. */

#include "sim/os_sim_tcp.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- one direction ----------------------------------------------------------------------------------- */
static void flow_reserve(struct tcp_flow *w, size_t more)
{
    size_t used = w->ready + w->flight + w->unsent;
    if (used + more <= w->room)
        return;
    size_t room = w->room ? w->room : 512;
    while (room < used + more)
        room *= 2;
    char *data = malloc(room);
    WR_ASSERT(data);
    size_t first = w->room - w->head < used ? w->room - w->head : used;
    if (used > 0) {
        memcpy(data, w->data + w->head, first);
        memcpy(data + first, w->data, used - first);
    }
    free(w->data);
    w->data = data;
    w->room = room;
    w->head = 0;
}

static void flow_append(struct tcp_flow *w, const struct iovec *v, size_t n, size_t len)
{
    flow_reserve(w, len);
    size_t at = (w->head + w->ready + w->flight + w->unsent) % w->room;
    size_t first = w->room - at < len ? w->room - at : len;
    sim_iov_get(v, n, 0, w->data + at, first);
    sim_iov_get(v, n, first, w->data, len - first);
    w->unsent += len;
}

static void segment_send(struct sim_tcp *to, enum tcp_what what, uint32_t n)
{
    struct tcp_flow *w = &to->in;
    if (w->seg_n == w->seg_room) {
        uint32_t room = w->seg_room ? w->seg_room * 2 : 8;
        struct tcp_segment *segs = malloc(room * sizeof *segs);
        WR_ASSERT(segs);
        for (uint32_t i = 0; i < w->seg_n; i++)
            segs[i] = w->segs[(w->seg_head + i) % w->seg_room];
        free(w->segs);
        w->segs = segs;
        w->seg_room = room;
        w->seg_head = 0;
    }
    uint64_t at = sim_now() + sim_latency(&to->peer);
    if (at < w->last_at)
        at = w->last_at;
    w->last_at = at;
    w->segs[(w->seg_head + w->seg_n++) % w->seg_room] = (struct tcp_segment){at, n, what};
    if (w->seg_n == 1)
        sim_at(&w->arrival, at);
}

void tcp_push(struct sim_tcp *to)
{
    struct tcp_flow *w = &to->in;
    while (w->unsent > 0) {
        size_t window =
            to->rcvbuf > w->ready + w->flight ? to->rcvbuf - w->ready - w->flight : 0;
        size_t n = w->unsent < window ? w->unsent : window;
        if (n == 0)
            return;
        if (n > 65483)
            n = 65483;
        if (n > 1 && sim_fault(sim_world->opt.faults.split))
            n = 1 + sim_rand(n - 1);
        w->unsent -= n;
        w->flight += n;
        segment_send(to, SEG_BYTES, (uint32_t)n);
    }
    if (w->end_wanted && !w->end_sent) {
        w->end_sent = true;
        segment_send(to, SEG_END, 0);
    }
}

/* ---- events of one end --------------------------------------------------------------------------------- */
static bool write_space(const struct sim_tcp *t)
{
    size_t queued = t->other ? t->other->in.unsent + t->other->in.flight : 0;
    return queued <= t->sndbuf && t->sndbuf - queued >= queued / 2;
}

size_t tcp_space(const struct sim_tcp *t)
{
    size_t queued = t->other ? t->other->in.unsent + t->other->in.flight : 0;
    return queued < t->sndbuf ? t->sndbuf - queued : 0;
}

size_t sim_tcp_room(struct sim_file *f)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    size_t space = t->state == TCP_OPEN && !t->shut_wr && !t->err ? tcp_space(t) : SIZE_MAX;
    t->no_space |= space == 0;
    return space; /* an end in error takes anything, and says so */
}

uint32_t tcp_poll(struct sim_file *f)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    uint32_t m = t->err ? EPOLLERR : 0;
    if (t->state == TCP_LISTENS)
        return m | (t->queued > 0 ? EPOLLIN | EPOLLRDNORM : 0u);
    bool rcv_shut = t->shut_rd || t->got_end || t->state == TCP_DONE;
    if (t->state == TCP_NEW || t->state == TCP_DONE || (rcv_shut && t->shut_wr))
        m |= EPOLLHUP;
    if (rcv_shut)
        m |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    if (t->state == TCP_SYN_OUT)
        return m;
    if (t->in.ready > 0)
        m |= EPOLLIN | EPOLLRDNORM;
    if (t->shut_wr || t->state == TCP_DONE || t->state == TCP_NEW || write_space(t))
        m |= EPOLLOUT | EPOLLWRNORM;
    else
        t->no_space = true;
    return m;
}

static void got_reset(struct sim_tcp *t)
{
    if (t->state == TCP_DONE)
        return;
    t->err = t->state == TCP_SYN_OUT     ? ECONNREFUSED
             : t->got_end && !t->shut_wr ? EPIPE
                                         : ECONNRESET;
    t->got_reset = true;
    if (t->port_owned)
        sim_port_free(&t->local, &t->peer, false);
    t->port_owned = false;
    if (t->listener && t->state == TCP_SYN_IN)
        tcp_embryo_reset(t);
    t->state = TCP_DONE;
    if (t->other) {
        t->other->in.unsent = 0; /* what we had not sent is void */
        t->other->in.end_wanted = false;
    }
    sim_wake(&t->f, 0);
}

void tcp_arrival(struct sim_event *e)
{
    struct sim_tcp *t =
        wr_container_of(wr_container_of(e, struct tcp_flow, arrival), struct sim_tcp, in);
    struct tcp_flow *w = &t->in;
    while (w->seg_n > 0 && w->segs[w->seg_head].at <= sim_now()) {
        struct tcp_segment s = w->segs[w->seg_head];
        w->seg_head = (w->seg_head + 1) % w->seg_room;
        w->seg_n--;
        if (s.what == SEG_RESET) {
            got_reset(t);
            continue;
        }
        if (s.what == SEG_END) {
            t->got_end = true;
            if (t->state != TCP_DONE)
                sim_wake(&t->f, 0);
            continue;
        }
        w->flight -= s.n;
        if (t->closed || t->shut_rd || t->state == TCP_DONE) {
            w->head = w->room ? (w->head + s.n) % w->room : 0;
            if (t->closed && t->other) {
                t->state = TCP_DONE;
                tcp_reset_other(t);
            }
            continue;
        }
        w->ready += s.n;
        if (t->state == TCP_SYN_IN)
            tcp_embryo_data(t);
        sim_wake(&t->f, EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND);
        struct sim_tcp *o = t->other;
        if (o && o->no_space && write_space(o)) {
            o->no_space = false;
            sim_wake(&o->f, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
        }
    }
    if (w->seg_n > 0)
        sim_at(&w->arrival, w->segs[w->seg_head].at);
    tcp_free_if_gone(t);
}

/* ---- reading and writing ------------------------------------------------------------------------------- */
ssize_t tcp_read(struct sim_tcp *t, const struct iovec *v, size_t n, bool peek)
{
    struct tcp_flow *w = &t->in;
    if (t->state == TCP_LISTENS || (t->state == TCP_NEW && !t->err))
        return -ENOTCONN;
    size_t want = sim_iov_size(v, n), got = want < w->ready ? want : w->ready;
    if (got > 0) {
        size_t first = w->room - w->head < got ? w->room - w->head : got;
        sim_iov_put(v, n, 0, w->data + w->head, first);
        sim_iov_put(v, n, first, w->data, got - first);
        if (peek)
            return (ssize_t)got;
        w->head = (w->head + got) % w->room;
        w->ready -= got;
        if (t->other && w->unsent > 0)
            tcp_push(t);
        return (ssize_t)got;
    }
    if (want == 0)
        return 0;
    if (t->err) {
        int err = t->err;
        t->err = 0;
        return -err;
    }
    if (t->got_end || t->shut_rd || t->state == TCP_DONE)
        return 0;
    return -EAGAIN;
}

ssize_t tcp_write(struct sim_tcp *t, const struct iovec *v, size_t n)
{
    if (t->err) {
        int err = t->err;
        t->err = 0;
        return -err;
    }
    if (t->shut_wr || t->state == TCP_DONE || t->state == TCP_NEW || t->state == TCP_LISTENS)
        return -EPIPE;
    if (t->state == TCP_SYN_OUT)
        return -EAGAIN;
    size_t want = sim_iov_size(v, n), space = tcp_space(t);
    if (want == 0)
        return 0;
    if (space == 0) {
        t->no_space = true;
        return -EAGAIN;
    }
    size_t len = want < space ? want : space;
    if (len < want)
        t->no_space = true;
    if (!t->other) /* the other end is gone for good: the first bytes bring its reset */
        return (ssize_t)len;
    flow_append(&t->other->in, v, n, len);
    tcp_push(t->other);
    return (ssize_t)len;
}

void tcp_shut(struct sim_tcp *t, bool rd, bool wr)
{
    if (rd)
        t->shut_rd = true;
    if (wr && !t->shut_wr) {
        t->shut_wr = true;
        if (t->other && t->state != TCP_DONE) {
            t->other->in.end_wanted = true;
            tcp_push(t->other);
        }
    }
    sim_wake(&t->f, 0);
}

void tcp_reset_other(struct sim_tcp *t)
{
    struct sim_tcp *o = t->other;
    if (!o)
        return;
    o->in.unsent = 0;
    o->in.end_wanted = false;
    segment_send(o, SEG_RESET, 0);
}

static ssize_t tcp_recv(struct sim_file *f, struct msghdr *m, int flags)
{
    struct sim_tcp *t = wr_container_of(f, struct sim_tcp, f);
    m->msg_flags = 0;
    m->msg_controllen = 0;
    return tcp_read(t, m->msg_iov, m->msg_iovlen, (flags & MSG_PEEK) != 0);
}

static ssize_t tcp_send(struct sim_file *f, const struct msghdr *m, int flags)
{
    (void)flags;
    return tcp_write(wr_container_of(f, struct sim_tcp, f), m->msg_iov, m->msg_iovlen);
}

/* ---- letting go -------------------------------------------------------------------------------------- */
static void tcp_file_release(struct sim_file *f)
{
    tcp_release(wr_container_of(f, struct sim_tcp, f));
}

struct sim_tcp *tcp_make(int family)
{
    struct sim_tcp *t = calloc(1, sizeof *t);
    WR_ASSERT(t);
    static const struct sim_file_ops ops = {tcp_poll, tcp_file_release, tcp_recv, tcp_send};
    sim_file_init(&t->f, SIM_TCP, &ops);
    sim_world->files_open--; /* not a descriptor yet */
    t->family = family;
    t->handshake.fn = tcp_handshake;
    t->sndbuf = sim_world->opt.tcp_sndbuf;
    t->rcvbuf = sim_world->opt.tcp_rcvbuf;
    t->in.arrival.fn = tcp_arrival;
    sim_list_init(&t->in_queue);
    sim_list_init(&t->queue);
    sim_list_init(&t->embryos);
    sim_list_add(&sim_world->tcps, &t->all);
    return t;
}

static void tcp_destroy(struct sim_tcp *t)
{
    sim_cancel(&t->in.arrival);
    sim_cancel(&t->handshake);
    sim_list_del(&t->all);
    sim_list_del(&t->in_queue);
    if (t->other)
        t->other->other = NULL;
    free(t->in.data);
    free(t->in.segs);
    free(t);
}

/* Both owners let go, or nothing can come from the other end any more. */
void tcp_free_if_gone(struct sim_tcp *t)
{
    if (!t->closed)
        return;
    struct sim_tcp *o = t->other;
    if (o && !o->closed)
        return; /* still reachable: late bytes must meet a reset */
    if (o && (o->in.seg_n > 0 || t->in.seg_n > 0))
        return;
    if (o)
        tcp_destroy(o);
    tcp_destroy(t);
}

static void listener_drop(struct sim_tcp *t)
{
    SIM_EACH_SAFE(&t->queue, it, next)
    {
        struct sim_tcp *c = wr_container_of(it, struct sim_tcp, in_queue);
        sim_list_del(&c->in_queue);
        c->listener = NULL;
        sim_world->lost_queued++;
        c->linger_on = true;
        c->linger_s = 0;
        tcp_release(c);
    }
    SIM_EACH_SAFE(&t->embryos, it2, next2)
    {
        struct sim_tcp *c = wr_container_of(it2, struct sim_tcp, in_queue);
        sim_list_del(&c->in_queue);
        sim_cancel(&c->handshake);
        c->listener = NULL;
        c->linger_on = true;
        c->linger_s = 0;
        tcp_release(c);
    }
    t->queued = 0;
}

void tcp_release(struct sim_tcp *t)
{
    t->closed = true;
    t->f.refs = 0;
    sim_cancel(&t->handshake);
    if (t->state == TCP_LISTENS) {
        sim_list_del(&t->in_queue);
        listener_drop(t);
        tcp_destroy(t);
        return;
    }
    bool active = t->state == TCP_OPEN && !t->got_end;
    bool reset =
        t->in.ready > 0 || (t->linger_on && t->linger_s == 0) || t->state == TCP_SYN_OUT;
    if (t->port_owned)
        sim_port_free(&t->local, &t->peer, active && !reset);
    t->port_owned = false;
    if (!t->other) {
        tcp_destroy(t);
        return;
    }
    if (t->state != TCP_DONE) {
        if (reset) {
            tcp_reset_other(t);
        } else if (!t->shut_wr) {
            t->shut_wr = true;
            t->other->in.end_wanted = true;
            tcp_push(t->other);
        }
    }
    t->in.ready = 0;
    tcp_free_if_gone(t);
}

void sim_tcp_close_all(void)
{
    while (!sim_list_empty(&sim_world->tcps)) {
        struct sim_tcp *t = wr_container_of(sim_world->tcps.next, struct sim_tcp, all);
        sim_list_del(&t->in_queue);
        tcp_destroy(t);
    }
    sim_ports_close();
}
