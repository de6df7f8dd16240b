/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/resolve_impl.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"

#include <errno.h>

#define DATAGRAMS_PER_TURN 16

/*
 *   ask the next server ----------------> waiting --answer--> question answered, over
 *     ^     | none left: question failed     |
 *     |     v                                +-- truncated: the same server over TCP
 *     |    over                              +-- another id or question: counted, keep waiting
 *     `--------------------------------------+-- timeout, error, SERVFAIL, malformed
 */
static void next_server(struct wr_flight *f, int err);
static void on_udp(struct wr_io *io, uint32_t events);
static void on_tcp(struct wr_io *io, uint32_t events);

static struct wr_resolver_server *server_of(struct wr_flight *f)
{
    return &f->resolver->servers[f->server];
}

static void drop_answer(struct wr_flight *f)
{
    wr_heap_free(f->resolver->heap, f->answer, f->answer_n);
    f->answer = NULL;
    f->answer_n = f->answer_at = 0;
}

static void free_flight(struct wr_free_later *later)
{
    struct wr_flight *f = wr_container_of(later, struct wr_flight, later);
    wr_heap_free(f->heap, f, sizeof *f);
}

static void end_flight(struct wr_flight *f)
{
    struct wr_resolver *r = f->resolver;
    wr_loop_timer_cancel(&f->timer);
    wr_io_close(&f->io);
    drop_answer(f);
    f->question->flight = NULL;
    r->stats.in_flight--;
    wr_loop_free_later(r->loop, &f->later, free_flight);
}

void wr_flight_stop(struct wr_question *q)
{
    if (q->flight)
        end_flight(q->flight);
}

/* The server that failed least in a row, or the next one when they take turns. */
static unsigned first_server(struct wr_resolver *r)
{
    unsigned best = r->conf.rotate ? r->rotate_at++ % r->server_count : 0;
    for (unsigned i = 0; i < r->server_count; i++)
        if (r->servers[i].fails < r->servers[best].fails)
            best = i;
    return best;
}

/* ---- sending -------------------------------------------------------------------------------------------- */

static unsigned timeout_ms(const struct wr_resolver *r)
{
    return r->options.timeout_ms ? r->options.timeout_ms : r->conf.timeout_ms;
}

static int write_query(struct wr_flight *f)
{
    f->id = (uint16_t)wr_rand_u64(&f->resolver->rand);
    int n = wr_dns_write_query(f->id, wr_question_name(f->question), f->question->type,
                               !f->no_edns, f->query + 2);
    if (n < 0)
        return n;
    f->query[0] = (uint8_t)(n >> 8);
    f->query[1] = (uint8_t)n;
    f->query_n = (size_t)n + 2;
    f->query_at = f->tcp ? 0 : 2;
    return 0;
}

/* A socket of its own for every query: the kernel draws a random port, and connected it hears nobody
 * but its server. */
static int open_socket(struct wr_flight *f)
{
    struct sockaddr_storage sa;
    socklen_t n;
    const struct wr_addr *to = &server_of(f)->stats.addr;
    int err = wr_addr_to_sockaddr(to, &sa, &n);
    if (err)
        return err;
    int fd = wr_os_socket(wr_addr_family(to), f->tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (fd < 0)
        return fd;
    err = wr_os_connect(fd, (struct sockaddr *)&sa, n);
    if (err == -EINPROGRESS)
        err = 0;
    if (!err && !f->tcp) {
        ssize_t put = wr_os_send(fd, f->query + 2, f->query_n - 2, 0);
        err = put < 0 ? (int)put : 0;
    }
    if (!err)
        err = wr_io_open(f->resolver->loop, &f->io, fd, WR_IO_EDGE, f->tcp ? on_tcp : on_udp);
    if (err)
        (void)wr_os_close(fd);
    return err;
}

static int ask_server(struct wr_flight *f)
{
    drop_answer(f);
    int err = write_query(f);
    if (!err)
        err = open_socket(f);
    if (err)
        return err;
    server_of(f)->stats.queries++;
    if (f->tcp)
        f->resolver->stats.tcp++;
    f->sent_ns = wr_loop_now_ns(f->resolver->loop);
    wr_loop_timer_arm(f->resolver->loop, &f->timer, timeout_ms(f->resolver));
    return 0;
}

/* ---- failing -------------------------------------------------------------------------------------------- */

static void next_server(struct wr_flight *f, int err)
{
    struct wr_resolver *r = f->resolver;
    unsigned rounds = r->options.attempts ? r->options.attempts : r->conf.attempts;
    wr_io_close(&f->io);
    wr_loop_timer_cancel(&f->timer);
    for (;;) {
        server_of(f)->fails++;
        if (++f->attempt >= rounds * r->server_count)
            break;
        f->server = (f->server + 1) % r->server_count;
        f->tcp = r->conf.use_tcp;
        f->no_edns = f->attempt >= r->server_count; /* old servers, odd firewalls */
        err = ask_server(f);
        if (!err)
            return;
        server_of(f)->stats.errors++;
    }
    struct wr_question *q = f->question;
    end_flight(f);
    wr_question_failed(q, err == -ENOMEM || err == -EMFILE ? err : (int)WR_E_DNS);
}

static void on_timeout(struct wr_timer *t)
{
    struct wr_flight *f = wr_container_of(t, struct wr_flight, timer);
    server_of(f)->stats.timeouts++;
    next_server(f, WR_E_DEADLINE);
}

static void on_retry(struct wr_timer *t)
{
    t->fn = on_timeout;
    next_server(wr_container_of(t, struct wr_flight, timer), WR_E_DNS);
}

static void server_error(struct wr_flight *f, int err)
{
    server_of(f)->stats.errors++;
    next_server(f, err);
}

/* ---- hearing -------------------------------------------------------------------------------------------- */

static void note_answer(struct wr_flight *f)
{
    struct wr_resolver_server *s = server_of(f);
    uint32_t us = (uint32_t)((wr_loop_now_ns(f->resolver->loop) - f->sent_ns) / 1000);
    s->stats.rtt_us = s->stats.rtt_us ? s->stats.rtt_us - s->stats.rtt_us / 8 + us / 8 : us + 1;
    s->stats.answers++;
    s->fails = 0;
}

/* True when this message decided the flight: the caller must not touch it again. */
static bool heard(struct wr_flight *f, const void *p, size_t n)
{
    struct wr_dns_answer a;
    struct wr_question *q = f->question;
    wr_dns_read_answer(wr_span(p, n), f->id, wr_question_name(q), q->type, &a);
    if (a.verdict == WR_DNS_NOT_OURS) {
        server_of(f)->stats.wrong++;
        return false;
    }
    if (a.verdict == WR_DNS_TRUNCATED && !f->tcp) {
        wr_io_close(&f->io);
        f->tcp = true;
        int err = ask_server(f);
        if (err)
            server_error(f, err);
        return true;
    }
    if (a.verdict == WR_DNS_SERVFAIL || a.verdict == WR_DNS_BAD ||
        a.verdict == WR_DNS_TRUNCATED) {
        server_error(f, WR_E_DNS);
        return true;
    }
    note_answer(f);
    end_flight(f);
    wr_question_answered(q, &a);
    return true;
}

static void on_udp(struct wr_io *io, uint32_t events)
{
    struct wr_flight *f = wr_container_of(io, struct wr_flight, io);
    char *scratch = wr_loop_scratch(f->resolver->loop);
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        return;
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        ssize_t n = wr_os_recv(wr_io_fd(io), scratch, WR_LOOP_SCRATCH, 0);
        if (n == -EAGAIN)
            return;
        if (n < 0) { /* the port is closed, the network is gone */
            server_error(f, (int)n);
            return;
        }
        if (heard(f, scratch, (size_t)n))
            return;
    }
    wr_io_again(io, EPOLLIN);
}

static int tcp_write(struct wr_flight *f)
{
    while (f->query_at < f->query_n) {
        ssize_t n =
            wr_os_send(wr_io_fd(&f->io), f->query + f->query_at, f->query_n - f->query_at, 0);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        f->query_at += (size_t)n;
    }
    return 0;
}

/* 1: the answer is complete, 0: not yet. */
static int tcp_read(struct wr_flight *f)
{
    for (;;) {
        size_t at = f->answer_at;
        uint8_t *to = at < 2 ? f->head + at : f->answer + (at - 2);
        size_t want = at < 2 ? 2 - at : f->answer_n - (at - 2);
        ssize_t n = wr_os_recv(wr_io_fd(&f->io), to, want, 0);
        if (n <= 0)
            return n == -EAGAIN ? 0 : n ? (int)n : -ECONNRESET;
        f->answer_at += (size_t)n;
        if (f->answer_at == 2) {
            f->answer_n = (size_t)(f->head[0] << 8 | f->head[1]);
            f->answer = f->answer_n ? wr_heap_alloc(f->resolver->heap, f->answer_n) : NULL;
            if (!f->answer) {
                int err = f->answer_n ? -ENOMEM : -EPROTO;
                f->answer_n = 0;
                return err;
            }
        }
        if (f->answer_at >= 2 && f->answer_at - 2 == f->answer_n)
            return 1;
    }
}

static void on_tcp(struct wr_io *io, uint32_t events)
{
    struct wr_flight *f = wr_container_of(io, struct wr_flight, io);
    int err = 0;
    if (events & (EPOLLERR | EPOLLHUP))
        err = wr_sock_take_error(wr_io_fd(io));
    if (!err && (events & EPOLLOUT))
        err = tcp_write(f);
    if (!err && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
        err = tcp_read(f);
    if (err < 0)
        server_error(f, err);
    else if (err == 1 && !heard(f, f->answer, f->answer_n))
        server_error(f, WR_E_DNS); /* whole, and not ours: no second one will come */
}

int wr_flight_start(struct wr_question *q)
{
    struct wr_resolver *r = q->resolver;
    if (r->stats.in_flight >= r->options.max_flights)
        return WR_E_QUEUE_FULL;
    struct wr_flight *f = wr_heap_zalloc(r->heap, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->resolver = r;
    f->heap = r->heap;
    f->question = q;
    f->timer.fn = on_timeout;
    f->server = first_server(r);
    f->tcp = r->conf.use_tcp;
    q->flight = f;
    r->stats.in_flight++;
    r->stats.flights++;
    int err = ask_server(f);
    if (err) { /* the other servers are tried from a timer: nothing is answered from in here */
        server_of(f)->stats.errors++;
        f->timer.fn = on_retry;
        wr_loop_timer_arm(r->loop, &f->timer, 0);
    }
    return 0;
}
