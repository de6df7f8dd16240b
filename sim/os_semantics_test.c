/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the kernel promises, as a test that runs on both kernels from this one source: os_linux and the
 * simulated one. A check that one of them fails is a lie in the simulator, and every result of weir-sim
 * rests on there being none.
 */

#include "libweir/io/proc_testing.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#ifdef SIMULATED
#include "sim/sim.h"
#endif

#define EDGE     (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define PAUSE_NS 3000000ull /* longer than anything needs to cross the loopback */

static void settle(void)
{
    wr_os_sleep_ns(PAUSE_NS);
}

static int watch(int ep, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)fd};
    return wr_os_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

/* The events of the one descriptor in this epoll, 0 when there are none. */
static uint32_t events_of(int ep)
{
    struct epoll_event ev[4];
    settle();
    int n = wr_os_epoll_wait(ep, ev, 4, 0);
    return n == 1 ? ev[0].events : n == 0 ? 0 : 0xffffffffu;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static int listen_at(struct sockaddr_in *a, int backlog)
{
    int fd = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    socklen_t n = sizeof *a;
    wr_os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (wr_os_bind(fd, (struct sockaddr *)a, sizeof *a) < 0 || wr_os_listen(fd, backlog) < 0 ||
        wr_os_getsockname(fd, (struct sockaddr *)a, &n) < 0)
        return -1;
    return fd;
}

static int dial(const struct sockaddr_in *a)
{
    int fd = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    int r = wr_os_connect(fd, (const struct sockaddr *)a, sizeof *a);
    if (r < 0 && r != -EINPROGRESS) {
        wr_os_close(fd);
        return r;
    }
    return fd;
}

static void tcp_pair(int out[2])
{
    struct sockaddr_in a = loopback(0);
    int l = listen_at(&a, 8);
    out[0] = dial(&a);
    settle();
    out[1] = wr_os_accept(l, NULL, NULL);
    wr_os_close(l);
    settle();
}

static int so_error(int fd)
{
    int err = -1;
    socklen_t n = sizeof err;
    return wr_os_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0 ? -1 : err;
}

/* ---- epoll over TCP --------------------------------------------------------------------------------- */
static void test_edges(void)
{
    int p[2], ep = wr_os_epoll_create();
    char buf[64];
    tcp_pair(p);
    is_int(watch(ep, p[1], EDGE), 0, "edge: a stream is registered once");
    is_int(watch(ep, p[1], EDGE), -EEXIST, "edge: registering twice is an error");
    is_int(events_of(ep), EPOLLOUT, "edge: what is ready at registration is an event");
    is_int(events_of(ep), 0, "edge: and is told once");
    is_int(wr_os_send(p[0], "abcd", 4, 0), 4, "edge: four bytes leave");
    is_int(events_of(ep), EPOLLIN | EPOLLOUT,
           "edge: an arrival is an event with all that is ready");
    is_int(events_of(ep), 0, "edge: unread bytes are no second event");
    is_int(wr_os_recv(p[1], buf, 2, 0), 2, "edge: two of four bytes are read");
    is_int(events_of(ep), 0, "edge: what is left is no event");
    is_int(wr_os_send(p[0], "ef", 2, 0), 2, "edge: two more leave");
    is_int(events_of(ep), EPOLLIN | EPOLLOUT,
           "edge: a new arrival is, though old bytes lie there");
    is_int(wr_os_recv(p[1], buf, 64, 0), 4, "edge: all is read");
    is_int(wr_os_recv(p[1], buf, 64, 0), -EAGAIN, "edge: then there is nothing");
    is_int(events_of(ep), 0, "edge: reading makes no event");
    is_int(wr_os_send(p[0], "x", 1, 0), 1, "edge: a byte leaves");
    settle();
    is_int(wr_os_recv(p[1], buf, 64, 0), 1, "edge: it is read before anybody waits");
    is_int(events_of(ep), EPOLLOUT, "edge: the event remains, without what is no longer true");
    wr_os_close(p[0]);
    is_int(events_of(ep), EPOLLIN | EPOLLOUT | EPOLLRDHUP, "edge: an end is IN and RDHUP");
    is_int(wr_os_recv(p[1], buf, 64, 0), 0, "edge: the end reads as 0");
    wr_os_close(p[1]);
    is_int(events_of(ep), 0, "edge: a closed descriptor is forgotten");
    wr_os_close(ep);
}

static void test_levels(void)
{
    int p[2], ep = wr_os_epoll_create();
    char buf[64];
    tcp_pair(p);
    is_int(watch(ep, p[1], EPOLLIN | EPOLLRDHUP), 0, "level: registered");
    is_int(events_of(ep), 0, "level: nothing yet");
    is_int(wr_os_send(p[0], "abcd", 4, 0), 4, "level: four bytes leave");
    is_int(events_of(ep), EPOLLIN, "level: readable");
    is_int(events_of(ep), EPOLLIN, "level: told again while it is true");
    is_int(wr_os_recv(p[1], buf, 2, 0), 2, "level: half is read");
    is_int(events_of(ep), EPOLLIN, "level: still readable");
    is_int(wr_os_recv(p[1], buf, 64, 0), 2, "level: the rest");
    is_int(events_of(ep), 0, "level: no longer");
    struct epoll_event ev = {.events = EPOLLOUT | EPOLLONESHOT};
    is_int(wr_os_epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &ev), 0, "level: modified to one shot");
    is_int(events_of(ep), EPOLLOUT, "one shot: told");
    is_int(events_of(ep), 0, "one shot: once");
    is_int(wr_os_epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL), 0, "level: removed");
    is_int(wr_os_epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL), -ENOENT, "level: removed twice");
    is_int(wr_os_epoll_ctl(ep, EPOLL_CTL_ADD, 9999, &ev), -EBADF, "level: no such descriptor");
    wr_os_close(p[0]);
    wr_os_close(p[1]);
    wr_os_close(ep);
}

static void test_half_close(void)
{
    int p[2], ep = wr_os_epoll_create();
    char buf[64];
    tcp_pair(p);
    is_int(watch(ep, p[0], EDGE), 0, "half: registered");
    is_int(events_of(ep), EPOLLOUT, "half: writable");
    is_int(wr_os_shutdown(p[0], SHUT_WR), 0, "half: our direction ends");
    is_int(events_of(ep), EPOLLOUT, "half: ending our direction wakes");
    is_int(wr_os_send(p[0], "x", 1, 0), -EPIPE, "half: writing after it is EPIPE");
    is_int(wr_os_recv(p[1], buf, 64, 0), 0, "half: the other end reads the end");
    is_int(wr_os_send(p[1], "late", 4, 0), 4, "half: and may still write");
    is_int(events_of(ep), EPOLLIN | EPOLLOUT, "half: which arrives");
    is_int(wr_os_recv(p[0], buf, 64, 0), 4, "half: and is read");
    is_int(wr_os_shutdown(p[1], SHUT_WR), 0, "half: the other direction ends");
    is_int(events_of(ep), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP,
           "half: both ended is HUP");
    is_int(wr_os_recv(p[0], buf, 64, 0), 0, "half: the end reads as 0");
    is_int(wr_os_recv(p[0], buf, 64, 0), 0, "half: every time");
    wr_os_close(p[0]);
    wr_os_close(p[1]);
    wr_os_close(ep);
}

static void test_reset(void)
{
    int p[2], ep = wr_os_epoll_create();
    char buf[64];
    struct linger hard = {1, 0};
    tcp_pair(p);
    is_int(watch(ep, p[1], EDGE), 0, "reset: registered");
    is_int(events_of(ep), EPOLLOUT, "reset: writable");
    is_int(wr_os_send(p[0], "abc", 3, 0), 3, "reset: bytes before it");
    is_int(wr_os_setsockopt(p[0], SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0, "reset: hard");
    wr_os_close(p[0]);
    is_int(events_of(ep), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR,
           "reset: everything at once");
    is_int(wr_os_recv(p[1], buf, 64, 0), 3, "reset: what came before is still read");
    is_int(wr_os_recv(p[1], buf, 64, 0), -ECONNRESET, "reset: then the error");
    is_int(wr_os_recv(p[1], buf, 64, 0), 0, "reset: then the end");
    is_int(wr_os_send(p[1], "x", 1, 0), -EPIPE, "reset: and no writing");
    wr_os_close(p[1]);

    tcp_pair(p);
    is_int(wr_os_send(p[0], "unread", 6, 0), 6, "reset: bytes that nobody will read");
    settle();
    wr_os_close(p[1]);
    settle();
    is_int(so_error(p[0]), ECONNRESET, "reset: closing with unread bytes resets");
    is_int(so_error(p[0]), 0, "reset: SO_ERROR is told once");
    wr_os_close(p[0]);

    tcp_pair(p);
    wr_os_close(p[1]);
    settle();
    is_int(wr_os_send(p[0], "x", 1, 0), 1, "reset: the first write to a closed end is taken");
    settle();
    is_int(wr_os_send(p[0], "x", 1, 0), -EPIPE, "reset: the second is EPIPE");
    wr_os_close(p[0]);
    wr_os_close(ep);
}

static void test_full(void)
{
    int p[2], ep = wr_os_epoll_create(), small = 8192;
    static char big[1 << 20];
    tcp_pair(p);
    wr_os_setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    is_int(watch(ep, p[0], EDGE), 0, "full: registered");
    is_int(events_of(ep), EPOLLOUT, "full: writable");
    ssize_t r;
    long sum = 0;
    do {
        r = wr_os_send(p[0], big, sizeof big, 0);
        sum += r > 0 ? r : 0;
        settle();
    } while (r > 0);
    is_int(r, -EAGAIN, "full: a buffer and a window hold only so much");
    is_int(events_of(ep), 0, "full: no event while it is full");
    long got = 0;
    while (got < sum && (r = wr_os_recv(p[1], big, sizeof big, 0)) != 0) {
        got += r > 0 ? r : 0;
        settle();
    }
    is_int(got, sum, "full: every byte arrives");
    is_int(events_of(ep), EPOLLOUT, "full: space is an edge");
    wr_os_close(p[0]);
    wr_os_close(p[1]);
    wr_os_close(ep);
}

static void test_batch_reuse(void)
{
    int p[2], q[2], ep = wr_os_epoll_create();
    tcp_pair(p);
    int was = p[1];
    is_int(watch(ep, p[1], EDGE), 0, "reuse: registered");
    int copy = wr_os_dup(p[1]);
    wr_os_close(p[1]);
    is_int(wr_os_send(p[0], "x", 1, 0), 1, "reuse: a byte for the closed number");
    ok(events_of(ep) & EPOLLIN, "reuse: the registration lives as long as the description");
    is_int(wr_os_epoll_ctl(ep, EPOLL_CTL_DEL, was, NULL), -EBADF,
           "reuse: and cannot be removed by its old number");
    wr_os_close(copy);
    is_int(events_of(ep), 0, "reuse: the last close forgets it");
    tcp_pair(q);
    ok(q[0] == was || q[1] == was, "reuse: the lowest free number is taken again");
    wr_os_close(q[0]);
    wr_os_close(q[1]);
    wr_os_close(p[0]);
    wr_os_close(ep);
}

/* ---- listeners and connecting ------------------------------------------------------------------------- */
static void test_listener(void)
{
    struct sockaddr_in a = loopback(0);
    int l = listen_at(&a, 8), ep = wr_os_epoll_create(), c[3];
    is_int(watch(ep, l, EPOLLIN), 0, "listen: registered, level");
    is_int(events_of(ep), 0, "listen: nobody there");
    is_int(wr_os_accept(l, NULL, NULL), -EAGAIN, "listen: nobody to accept");
    for (int i = 0; i < 3; i++)
        c[i] = dial(&a);
    is_int(events_of(ep), EPOLLIN, "listen: somebody there");
    struct tcp_info info;
    socklen_t n = sizeof info;
    is_int(wr_os_getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &n), 0,
           "listen: asked for its queue");
    is_int(info.tcpi_unacked, 3, "listen: three wait");
    is_int(info.tcpi_sacked, 8, "listen: eight may");
    int s = wr_os_accept(l, NULL, NULL);
    ok(s >= 0, "listen: the first is accepted");
    is_int(events_of(ep), EPOLLIN, "listen: told again for the others");
    for (int i = 1; i < 3; i++)
        wr_os_close(wr_os_accept(l, NULL, NULL));
    is_int(events_of(ep), 0, "listen: until the queue is empty");
    is_int(so_error(c[0]), 0, "connect: no error");
    struct sockaddr_in peer;
    n = sizeof peer;
    is_int(wr_os_getpeername(c[0], (struct sockaddr *)&peer, &n), 0, "connect: it has a peer");
    is_int(peer.sin_port, a.sin_port, "connect: which is the listener's port");
    int l2 = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    is_int(wr_os_bind(l2, (struct sockaddr *)&a, sizeof a), -EADDRINUSE,
           "bind: the port is taken");
    wr_os_close(l2);
    wr_os_close(l);
    for (int i = 0; i < 3; i++)
        wr_os_close(c[i]);
    wr_os_close(s);
    is_int(events_of(ep), 0, "listen: closed, forgotten");
    wr_os_close(ep);
}

static void test_listener_edge(void)
{
    struct sockaddr_in a = loopback(0);
    int l = listen_at(&a, 8), ep = wr_os_epoll_create(), c[3];
    is_int(watch(ep, l, EPOLLIN | EPOLLET), 0, "listen edge: registered");
    for (int i = 0; i < 3; i++)
        c[i] = dial(&a);
    is_int(events_of(ep), EPOLLIN, "listen edge: three arrivals are one event");
    wr_os_close(wr_os_accept(l, NULL, NULL));
    is_int(events_of(ep), 0, "listen edge: the two that wait are never told again");
    int d = dial(&a);
    is_int(events_of(ep), EPOLLIN, "listen edge: until another one comes");
    for (int i = 0; i < 3; i++)
        wr_os_close(c[i]);
    wr_os_close(d);
    wr_os_close(l);
    wr_os_close(ep);
}

static void test_connect(void)
{
    struct sockaddr_in a = loopback(0);
    int l = listen_at(&a, 8), ep = wr_os_epoll_create();
    int c = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    is_int(watch(ep, c, EDGE), 0, "connect: a fresh socket is registered");
    is_int(events_of(ep), EPOLLOUT | EPOLLHUP, "connect: and is OUT and HUP");
    is_int(wr_os_connect(c, (struct sockaddr *)&a, sizeof a), -EINPROGRESS, "connect: begins");
    is_int(events_of(ep), EPOLLOUT, "connect: succeeds");
    is_int(so_error(c), 0, "connect: without an error");
    is_int(wr_os_connect(c, (struct sockaddr *)&a, sizeof a), 0,
           "connect: asked again, it is done");
    is_int(wr_os_connect(c, (struct sockaddr *)&a, sizeof a), -EISCONN, "connect: and again");
    wr_os_close(c);
    wr_os_close(l);

    c = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    is_int(watch(ep, c, EDGE), 0, "refused: registered");
    is_int(events_of(ep), EPOLLOUT | EPOLLHUP, "refused: fresh");
    int r = wr_os_connect(c, (struct sockaddr *)&a, sizeof a);
    ok(r == -EINPROGRESS || r == -ECONNREFUSED, "refused: begins or is told at once");
    if (r == -EINPROGRESS) {
        is_int(events_of(ep), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR,
               "refused: everything at once");
        is_int(so_error(c), ECONNREFUSED, "refused: SO_ERROR says so");
    }
    wr_os_close(c);
    wr_os_close(ep);
}

/* Backlog 1 holds two; what comes then completes only when somebody accepts and it tries again. */
static void test_backlog(void)
{
    struct sockaddr_in a = loopback(0);
    int l = listen_at(&a, 1), c[4], done = 0;
    for (int i = 0; i < 4; i++)
        c[i] = dial(&a);
    settle();
    int ep = wr_os_epoll_create();
    struct epoll_event ev[4];
    for (int i = 0; i < 4; i++)
        ok(watch(ep, c[i], EPOLLOUT) == 0, "backlog: client %d watched", i);
    is_int(wr_os_epoll_wait(ep, ev, 4, 0), 2, "backlog: two of four are connected");
    int s[4];
    for (int i = 0; i < 2; i++)
        s[i] = wr_os_accept(l, NULL, NULL);
    is_int(wr_os_accept(l, NULL, NULL), -EAGAIN, "backlog: the others are not in the queue");
    uint64_t began = wr_os_now_ns(CLOCK_MONOTONIC);
    for (int n = 2; n < 4;) {
        s[n] = wr_os_accept(l, NULL, NULL);
        if (s[n] >= 0)
            n++;
        else
            settle();
    }
    uint64_t took = wr_os_now_ns(CLOCK_MONOTONIC) - began;
    ok(took > 700000000ull && took < 1900000000ull, "backlog: they try again after a second");
    done = wr_os_epoll_wait(ep, ev, 4, 0);
    is_int(done, 4, "backlog: all are connected");
    for (int i = 0; i < 4; i++) {
        wr_os_close(c[i]);
        wr_os_close(s[i]);
    }
    wr_os_close(l);
    wr_os_close(ep);
}

static void test_defer(void)
{
    struct sockaddr_in a = loopback(0);
    int l = listen_at(&a, 8), five = 5;
    is_int(wr_os_setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &five, sizeof five), 0,
           "defer: on");
    int c = dial(&a);
    settle();
    is_int(so_error(c), 0, "defer: the client is connected");
    is_int(wr_os_accept(l, NULL, NULL), -EAGAIN, "defer: the server does not see it");
    is_int(wr_os_send(c, "hi", 2, 0), 2, "defer: the client speaks");
    settle();
    int s = wr_os_accept(l, NULL, NULL);
    char buf[8];
    ok(s >= 0, "defer: now it does");
    is_int(wr_os_recv(s, buf, 8, 0), 2, "defer: with its first bytes");
    wr_os_close(s);
    wr_os_close(c);
    wr_os_close(l);
}

static void test_reuseport(void)
{
    struct sockaddr_in a = loopback(0);
    int one = 1, l[2];
    for (int i = 0; i < 2; i++) {
        l[i] = wr_os_socket(AF_INET, SOCK_STREAM, 0);
        wr_os_setsockopt(l[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        is_int(wr_os_bind(l[i], (struct sockaddr *)&a, sizeof a), 0, "reuseport: bound, %d", i);
        is_int(wr_os_listen(l[i], 64), 0, "reuseport: listens, %d", i);
        socklen_t n = sizeof a;
        is_int(wr_os_getsockname(l[i], (struct sockaddr *)&a, &n), 0, "reuseport: named, %d",
               i);
    }
    int c[32], got[2] = {0, 0};
    for (int i = 0; i < 32; i++)
        c[i] = dial(&a);
    settle();
    for (int i = 0; i < 2; i++)
        for (int s; (s = wr_os_accept(l[i], NULL, NULL)) >= 0; got[i]++)
            wr_os_close(s);
    is_int(got[0] + got[1], 32, "reuseport: all arrive");
    ok(got[0] > 0 && got[1] > 0, "reuseport: at both");
    int d = dial(&a);
    settle();
    wr_os_close(l[0]);
    wr_os_close(l[1]);
    settle();
    is_int(so_error(d), ECONNRESET, "reuseport: who waits at a closed listener is reset");
    wr_os_close(d);
    for (int i = 0; i < 32; i++)
        wr_os_close(c[i]);
}

/* ---- the small descriptors ----------------------------------------------------------------------------- */
static void test_eventfd(void)
{
    int fd = wr_os_eventfd(0, 0), ep = wr_os_epoll_create();
    uint64_t v = 0;
    is_int(watch(ep, fd, EPOLLIN | EPOLLET), 0, "eventfd: registered");
    is_int(events_of(ep), 0, "eventfd: zero is not readable");
    is_int(wr_os_eventfd_take(fd, &v), -EAGAIN, "eventfd: nothing to take");
    is_int(wr_os_eventfd_add(fd, 3), 0, "eventfd: add 3");
    is_int(events_of(ep), EPOLLIN, "eventfd: readable");
    is_int(events_of(ep), 0, "eventfd: told once");
    is_int(wr_os_eventfd_add(fd, 4), 0, "eventfd: add 4");
    is_int(events_of(ep), EPOLLIN, "eventfd: every addition is an edge");
    is_int(wr_os_eventfd_take(fd, &v), 0, "eventfd: taken");
    is_int(v, 7, "eventfd: the sum");
    is_int(wr_os_eventfd_add(fd, UINT64_MAX - 1), 0, "eventfd: filled");
    is_int(wr_os_eventfd_add(fd, 1), -EAGAIN, "eventfd: a full counter does not wait");
    wr_os_close(fd);
    fd = wr_os_eventfd(2, EFD_SEMAPHORE);
    is_int(wr_os_eventfd_take(fd, &v), 0, "semaphore: taken");
    is_int(v, 1, "semaphore: one at a time");
    is_int(wr_os_eventfd_take(fd, &v), 0, "semaphore: twice");
    is_int(wr_os_eventfd_take(fd, &v), -EAGAIN, "semaphore: not three times");
    wr_os_close(fd);
    wr_os_close(ep);
}

static void test_pipe(void)
{
    int p[2], ep = wr_os_epoll_create();
    static char big[1 << 20];
    is_int(wr_os_pipe(p, 0), 0, "pipe: made");
    is_int(watch(ep, p[1], EPOLLOUT | EPOLLET), 0, "pipe: writer registered");
    is_int(events_of(ep), EPOLLOUT, "pipe: writable");
    ssize_t n = wr_os_write(p[1], big, sizeof big);
    is_int(n, 65536, "pipe: holds 64 KiB");
    is_int(wr_os_write(p[1], big, 1), -EAGAIN, "pipe: full");
    is_int(events_of(ep), 0, "pipe: not writable");
    is_int(wr_os_read(p[0], big, 4096), 4096, "pipe: a page is read");
    is_int(events_of(ep), EPOLLOUT, "pipe: writable again");
    is_int(wr_os_write(p[1], big, 4096), 4096, "pipe: a page fits");
    is_int(wr_os_read(p[0], big, sizeof big), 65536, "pipe: drained");
    is_int(wr_os_read(p[0], big, 1), -EAGAIN, "pipe: empty");
    wr_os_close(p[1]);
    is_int(wr_os_read(p[0], big, 1), 0, "pipe: no writer reads as the end");
    wr_os_close(p[0]);
    is_int(wr_os_pipe(p, 0), 0, "pipe: another");
    is_int(watch(ep, p[0], EPOLLIN), 0, "pipe: reader registered");
    wr_os_close(p[1]);
    is_int(events_of(ep), EPOLLHUP, "pipe: no writer is HUP alone");
    wr_os_close(p[0]);
    wr_os_close(ep);
}

static void test_unix(void)
{
    int p[2], ep = wr_os_epoll_create();
    char buf[64];
    is_int(wr_os_socketpair(AF_UNIX, SOCK_STREAM, p), 0, "unix: a pair");
    is_int(watch(ep, p[1], EDGE), 0, "unix: registered");
    is_int(events_of(ep), EPOLLOUT, "unix: writable");
    is_int(wr_os_send(p[0], "ab", 2, 0), 2, "unix: sent");
    is_int(wr_os_send(p[0], "cd", 2, 0), 2, "unix: sent more");
    is_int(events_of(ep), EPOLLIN | EPOLLOUT, "unix: arrived");
    is_int(wr_os_recv(p[1], buf, 64, 0), 4, "unix: a stream has no borders");
    wr_os_close(p[0]);
    is_int(events_of(ep), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP, "unix: closed is HUP");
    is_int(wr_os_recv(p[1], buf, 64, 0), 0, "unix: the end");
    is_int(wr_os_send(p[1], "x", 1, 0), -EPIPE, "unix: no writing");
    wr_os_close(p[1]);
    is_int(wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, p), 0, "seqpacket: a pair");
    is_int(wr_os_send(p[0], "ab", 2, 0), 2, "seqpacket: sent");
    is_int(wr_os_send(p[0], "cde", 3, 0), 3, "seqpacket: sent more");
    is_int(wr_os_recv(p[1], buf, 64, 0), 2, "seqpacket: one message");
    is_int(wr_os_recv(p[1], buf, 64, 0), 3, "seqpacket: then the other");
    is_int(wr_os_recv(p[1], buf, 64, 0), -EAGAIN, "seqpacket: no more");
    wr_os_close(p[1]);
    is_int(wr_os_send(p[0], "x", 1, 0), -EPIPE, "seqpacket: the other end is gone");
    is_int(wr_os_recv(p[0], buf, 64, 0), 0, "seqpacket: which reads as 0");
    wr_os_close(p[0]);
    is_int(wr_os_socketpair(AF_UNIX, SOCK_DGRAM, p), 0, "dgram: a pair");
    static char kilo[1024];
    ssize_t r;
    int sent = 0;
    while ((r = wr_os_send(p[0], kilo, sizeof kilo, 0)) > 0)
        sent++;
    ok(r == -EAGAIN && sent > 5, "dgram: a full queue does not wait");
    int got = 0;
    while (wr_os_recv(p[1], kilo, sizeof kilo, 0) > 0)
        got++;
    is_int(got, sent, "dgram: all arrive");
    wr_os_close(p[0]);
    wr_os_close(p[1]);
    wr_os_close(ep);
}

static ssize_t send_fd(int sock, int fd)
{
    char room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {(void *)(uintptr_t) "f", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room};
    m.msg_controllen = sizeof room;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return wr_os_sendmsg(sock, &m, 0);
}

static int take_fd(int sock)
{
    int fd = -1;
    char room[CMSG_SPACE(sizeof fd)], byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room};
    m.msg_controllen = sizeof room;
    ssize_t r = wr_os_recvmsg(sock, &m, 0);
    if (r <= 0)
        return (int)r - 1000;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static void test_rights(void)
{
    int p[2], e = wr_os_eventfd(0, 0);
    uint64_t v = 0;
    is_int(wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, p), 0, "rights: a pair");
    is_int(send_fd(p[0], e), 1, "rights: a descriptor is sent");
    is_int(wr_os_eventfd_add(e, 5), 0, "rights: used after sending");
    wr_os_close(e);
    int got = take_fd(p[1]);
    is_int(got, e, "rights: taken under the lowest free number");
    is_int(wr_os_eventfd_take(got, &v), 0, "rights: it is the same object");
    is_int(v, 5, "rights: with what was in it");
    is_int(send_fd(p[0], 9999), -EBADF, "rights: a bad descriptor is refused");
    is_int(send_fd(p[0], got), 1, "rights: sent, never taken");
    wr_os_close(got);
    wr_os_close(p[1]);
    wr_os_close(p[0]);
}

/* ---- processes and signals ----------------------------------------------------------------------------- */
struct child_job {
    int fd;
    int value;
};

static int child_write(void *arg)
{
    struct child_job *j = arg;
    j->value = 77; /* in the child's memory only */
    return wr_os_eventfd_add(j->fd, 9) == 0 ? 7 : 1;
}

static int child_wait(void *arg)
{
    struct child_job *j = arg;
    char byte;
    wr_os_set_nonblocking(j->fd, false);
    return wr_os_read(j->fd, &byte, 1) == 0 ? 3 : 4;
}

static void test_processes(void)
{
    struct child_job job = {wr_os_eventfd(0, 0), 1};
    int pidfd = -1, status = 0, ep = wr_os_epoll_create();
    uint64_t v = 0;
    pid_t pid = wr_os_spawn(child_write, &job, &pidfd);
    ok(pid > 0 && pidfd >= 0, "spawn: a child");
    is_int(watch(ep, pidfd, EPOLLIN), 0, "spawn: its pidfd is watched");
    struct epoll_event ev;
    is_int(wr_os_epoll_wait(ep, &ev, 1, 5000), 1, "spawn: its end is an event");
    is_int(wr_os_reap(pid, &status), 1, "spawn: reaped");
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "spawn: with its result");
    is_int(wr_os_reap(pid, &status), -ECHILD, "spawn: once");
    is_int(wr_os_eventfd_take(job.fd, &v), 0, "spawn: descriptors are shared");
    is_int(v, 9, "spawn: it wrote there");
    is_int(job.value, 1, "spawn: memory is not");
    wr_os_close(job.fd);
    wr_os_close(pidfd);

    int p[2];
    is_int(wr_os_pipe(p, 0), 0, "kill: a pipe to hold on to");
    job.fd = p[0];
    pid = wr_os_spawn(child_wait, &job, &pidfd);
    settle();
    is_int(wr_os_reap(pid, &status), 0, "kill: it runs");
    is_int(wr_os_pidfd_signal(pidfd, SIGSTOP), 0, "kill: stopped");
    settle();
    is_int(wr_os_reap(pid, &status), 0, "kill: which is no end");
    is_int(wr_os_pidfd_signal(pidfd, SIGKILL), 0, "kill: killed while stopped");
    is_int(watch(ep, pidfd, EPOLLIN), 0, "kill: watched");
    is_int(wr_os_epoll_wait(ep, &ev, 1, 5000), 1, "kill: its end is an event");
    is_int(wr_os_reap(pid, &status), 1, "kill: reaped");
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "kill: by the signal");
    is_int(wr_os_pidfd_signal(pidfd, SIGKILL), -ESRCH, "kill: no longer there");
    wr_os_close(pidfd);
    wr_os_close(p[0]);
    wr_os_close(p[1]);
    wr_os_close(ep);
}

static int child_counts(void *arg)
{
    (void)arg;
    struct rlimit r;
    if (wr_os_rlimit_get(RLIMIT_NOFILE, &r) < 0)
        return 1;
    r.rlim_cur = 24;
    if (wr_os_rlimit_set(RLIMIT_NOFILE, &r) < 0)
        return 2;
    int fd, last = -1;
    while ((fd = wr_os_eventfd(0, 0)) >= 0)
        last = fd;
    if (fd != -EMFILE || last != 23)
        return 3;
    wr_os_close(9);
    return wr_os_eventfd(0, 0) == 9 ? 0 : 4;
}

static void test_limit(void)
{
    int status = -1, pidfd;
    pid_t pid = wr_os_spawn(child_counts, NULL, &pidfd);
    while (wr_os_reap(pid, &status) == 0)
        settle();
    is_int(status, 0, "limit: EMFILE at the limit, and the lowest number after a close");
    wr_os_close(pidfd);
}

static int child_ends(void *arg)
{
    (void)arg;
    return 0;
}

static void test_signals(void)
{
    sigset_t set, old;
    struct signalfd_siginfo info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    wr_os_sigmask(SIG_BLOCK, &set, &old);
    int fd = wr_os_signalfd(&set), ep = wr_os_epoll_create(), status;
    is_int(watch(ep, fd, EPOLLIN), 0, "signal: registered");
    is_int(events_of(ep), 0, "signal: none pending");
    is_int(wr_os_signalfd_read(fd, &info), -EAGAIN, "signal: none to take");
    is_int(wr_os_kill(wr_os_getpid(), SIGUSR1), 0, "signal: sent");
    is_int(wr_os_kill(wr_os_getpid(), SIGUSR1), 0, "signal: sent twice");
    is_int(events_of(ep), EPOLLIN, "signal: pending");
    is_int(wr_os_signalfd_read(fd, &info), 1, "signal: taken");
    is_int(info.ssi_signo, SIGUSR1, "signal: which one");
    is_int(wr_os_signalfd_read(fd, &info), -EAGAIN, "signal: two of a kind are one");
    int pidfd;
    pid_t pid = wr_os_spawn(child_ends, NULL, &pidfd);
    settle();
    settle();
    is_int(events_of(ep), EPOLLIN, "signal: a child's end");
    is_int(wr_os_signalfd_read(fd, &info), 1, "signal: taken");
    is_int(info.ssi_signo, SIGCHLD, "signal: is SIGCHLD");
    is_int(wr_os_reap(pid, &status), 1, "signal: and the child can be reaped");
    wr_os_sigmask(SIG_SETMASK, &old, NULL);
    wr_os_close(pidfd);
    wr_os_close(fd);
    wr_os_close(ep);
}

static int child_serves(void *arg)
{
    int l = *(int *)arg, ep = wr_os_epoll_create();
    struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    if (wr_os_epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev) < 0)
        return 100;
    int woken = 0;
    while (wr_os_epoll_wait(ep, &ev, 1, 300) == 1) {
        int fd = wr_os_accept(l, NULL, NULL);
        woken++;
        if (fd >= 0)
            wr_os_close(fd);
    }
    return woken;
}

/* Several processes wait for one listener: an arrival wakes one of them, none is lost. */
static void test_exclusive(void)
{
    struct sockaddr_in a = loopback(0);
    int l = listen_at(&a, 64), pidfd[3], c[6], sum = 0;
    pid_t pid[3];
    for (int i = 0; i < 3; i++)
        pid[i] = wr_os_spawn(child_serves, &l, &pidfd[i]);
    wr_os_sleep_ns(20000000);
    for (int i = 0; i < 6; i++) {
        c[i] = dial(&a);
        wr_os_sleep_ns(10000000);
    }
    for (int i = 0; i < 3; i++) {
        int status = 0;
        while (wr_os_reap(pid[i], &status) == 0)
            settle();
        sum += WEXITSTATUS(status);
        wr_os_close(pidfd[i]);
    }
    is_int(sum, 6, "exclusive: six arrivals wake six times in all");
    is_int(wr_os_accept(l, NULL, NULL), -EAGAIN, "exclusive: none is left");
    for (int i = 0; i < 6; i++)
        wr_os_close(c[i]);
    wr_os_close(l);
}

static void thread_main(void *arg)
{
    struct child_job *j = arg;
    wr_os_sleep_ns(PAUSE_NS);
    j->value = 5; /* threads do share memory */
    (void)wr_os_eventfd_add(j->fd, 1);
}

static void test_threads(void)
{
    struct child_job job = {wr_os_eventfd(0, WR_OS_BLOCKING), 0};
    struct wr_os_thread *t;
    uint64_t v = 0;
    is_int(wr_os_thread_count(), 1, "thread: alone");
    is_int(wr_os_thread_start(thread_main, &job, &t), 0, "thread: started");
    is_int(wr_os_eventfd_take(job.fd, &v), 0, "thread: a blocking read waits for it");
    is_int(job.value, 5, "thread: memory is shared");
    is_int(wr_os_thread_join(t), 0, "thread: joined");
    wr_os_close(job.fd);
}

/* ---- files and memory ------------------------------------------------------------------------------------ */
static void test_files(void)
{
    const char *path = "/tmp/weir-os-semantics-test";
    char buf[16];
    struct stat st;
    wr_os_unlink(path);
    is_int(wr_os_open(path, O_RDONLY, 0), -ENOENT, "file: not there");
    int fd = wr_os_open(path, O_CREAT | O_RDWR | O_APPEND, 0644);
    ok(fd >= 0, "file: created");
    is_int(wr_os_write(fd, "hello", 5), 5, "file: written");
    is_int(wr_os_pread(fd, buf, sizeof buf, 1), 4, "file: read at 1");
    is_int(wr_os_pread(fd, buf, sizeof buf, 5), 0, "file: nothing behind the end");
    is_int(wr_os_fstat(fd, &st), 0, "file: asked");
    is_int(st.st_size, 5, "file: its size");
    is_int(wr_os_unlink(path), 0, "file: unlinked");
    is_int(wr_os_write(fd, "more", 4), 4, "file: still written to");
    is_int(wr_os_stat(path, &st), -ENOENT, "file: but not there");
    int p[2], ep = wr_os_epoll_create();
    is_int(watch(ep, fd, EPOLLIN), -EPERM, "file: epoll takes no regular file");
    tcp_pair(p);
    off_t at = 2;
    is_int(wr_os_sendfile(p[0], fd, &at, 100), 7, "sendfile: the rest of the file");
    is_int(at, 9, "sendfile: the offset moves");
    settle();
    is_int(wr_os_recv(p[1], buf, sizeof buf, 0), 7, "sendfile: arrives");
    int q[2];
    is_int(wr_os_pipe(q, 0), 0, "splice: a pipe");
    is_int(wr_os_splice(p[1], q[1], 100, 0), -EAGAIN, "splice: nothing there");
    is_int(wr_os_send(p[0], "splice", 6, 0), 6, "splice: sent");
    settle();
    is_int(wr_os_splice(p[1], q[1], 100, 0), 6, "splice: into the pipe");
    is_int(wr_os_splice(q[0], p[1], 100, 0), 6, "splice: and back");
    settle();
    is_int(wr_os_recv(p[0], buf, sizeof buf, 0), 6, "splice: arrives");
    wr_os_close(p[0]);
    settle();
    is_int(wr_os_splice(p[1], q[1], 100, 0), 0, "splice: the end");
    for (int i = 0; i < 2; i++)
        wr_os_close(q[i]);
    wr_os_close(p[1]);
    wr_os_close(fd);
    wr_os_close(ep);
}

static int child_maps(void *arg)
{
    volatile int *shared = wr_os_map_shared(*(int *)arg, 4096, true);
    if (!shared)
        return 1;
    *shared = 42;
    return 0;
}

static void test_memory(void)
{
    int fd = wr_os_memfd("semantics", 4096), status = -1, pidfd;
    volatile int *shared = wr_os_map_shared(fd, 4096, true);
    ok(shared != NULL, "memory: shared pages");
    is_int(*shared, 0, "memory: zeroed");
    pid_t pid = wr_os_spawn(child_maps, &fd, &pidfd);
    while (wr_os_reap(pid, &status) == 0)
        settle();
    is_int(status, 0, "memory: mapped by the child");
    is_int(*shared, 42, "memory: what one process writes the other reads");
    char *own = wr_os_map(10000);
    ok(own && own[0] == 0 && own[9999] == 0, "memory: private pages, zeroed");
    is_int((uintptr_t)own % 4096, 0, "memory: aligned");
    is_int(wr_os_unmap(own, 10000), 0, "memory: unmapped");
    is_int(wr_os_unmap((void *)(uintptr_t)shared, 4096), 0, "memory: shared unmapped");
    wr_os_close(pidfd);
    wr_os_close(fd);
}

static int all_tests(void *arg)
{
    (void)arg;
    test_edges();
    test_levels();
    test_half_close();
    test_reset();
    test_full();
    test_batch_reuse();
    test_listener();
    test_listener_edge();
    test_connect();
    test_backlog();
    test_defer();
    test_reuseport();
    test_eventfd();
    test_pipe();
    test_unix();
    test_rights();
    bool processes = testing_has_pidfd();
    if (processes) {
        test_processes();
        test_limit();
        test_signals();
        test_exclusive();
    }
    test_threads();
    test_files();
    if (processes)
        test_memory();
    return 0;
}

#ifdef SIMULATED
int main(void)
{
    struct sim_options o = {.seed = 1, .latency_ns = 100 * SIM_US, .faults.preempt = 100};
    sim_open(&o);
    pid_t pid = sim_start("test", all_tests, NULL);
    enum sim_end end = sim_run(600 * SIM_S);
    ok(end != SIM_VIOLATED, "the simulated kernel is content: %s",
       sim_violated() ? sim_violated() : "yes");
    is_int(sim_exit_status(pid), 0, "the process ended");
    sim_close();
    return tap_done();
}
#else
int main(void)
{
    all_tests(NULL);
    return tap_done();
}
#endif
