/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A server written straight on the system calls, with the mistakes of the source documents to choose
 * from. It tests the simulator: the right one passes, each wrong one is found.
 */

#include "libweir/base/mutant.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define PORT 2007

struct bare_conn {
    int fd;
    size_t n, at;
    char bytes[32768];
};

struct bare {
    int ep, listener;
    bool stop;
    struct bare_conn *conns[256];
};

static void conn_close(struct bare *b, struct bare_conn *c)
{
    b->conns[c->fd] = NULL;
    wr_os_close(c->fd);
    wr_heap_free(wr_os_heap(), c, sizeof *c);
}

/* Echoes until it would have to wait. */
static void conn_ready(struct bare *b, struct bare_conn *c)
{
    for (;;) {
        while (c->at < c->n) {
            ssize_t r = wr_os_send(c->fd, c->bytes + c->at, c->n - c->at, 0);
            if (r == -EAGAIN)
                return;
            if (r < 0) {
                conn_close(b, c);
                return;
            }
            c->at += (size_t)r;
        }
        c->at = c->n = 0;
        bool hasty = WR_MUTANT("bare-forgotten-edge"); /* one read per edge, not until EAGAIN */
        ssize_t r = wr_os_recv(c->fd, c->bytes, hasty ? 16 : sizeof c->bytes, 0);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            conn_close(b, c);
            return;
        }
        c->n = (size_t)r;
        if (WR_MUTANT("bare-lost-byte") && sim_rand(5000) == 0)
            c->n--;
        while (WR_MUTANT("bare-endless-loop"))
            ;
        if (hasty) {
            ssize_t sent = wr_os_send(c->fd, c->bytes, c->n, 0);
            c->at = sent > 0 ? (size_t)sent : 0;
            return;
        }
    }
}

static void accept_some(struct bare *b)
{
    do {
        int fd = wr_os_accept(b->listener, NULL, NULL);
        if (fd == -ECONNABORTED)
            continue;
        if (fd < 0)
            return;
        struct bare_conn *c = wr_heap_zalloc(wr_os_heap(), sizeof *c);
        if (!c || fd >= 256) {
            wr_heap_free(wr_os_heap(), c, sizeof *c);
            wr_os_close(fd);
            continue;
        }
        c->fd = fd;
        b->conns[fd] = c;
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.fd = fd};
        if (wr_os_epoll_ctl(b->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            conn_close(b, c);
    } while (!WR_MUTANT("bare-one-accept-per-edge"));
}

static int bare_main(void *arg)
{
    struct bare *b = wr_heap_zalloc(wr_os_heap(), sizeof *b);
    (void)arg;
    if (!b)
        return 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    wr_os_sigmask(SIG_BLOCK, &term, NULL);
    b->ep = wr_os_epoll_create();
    b->listener = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    int sig = wr_os_signalfd(&term);
    if (wr_os_bind(b->listener, (struct sockaddr *)&a, sizeof a) < 0 ||
        wr_os_listen(b->listener, 128) < 0)
        return 2;
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = b->listener};
    if (WR_MUTANT("bare-one-accept-per-edge"))
        ev.events |= EPOLLET;
    if (wr_os_epoll_ctl(b->ep, EPOLL_CTL_ADD, b->listener, &ev) < 0)
        return 3;
    ev = (struct epoll_event){.events = EPOLLIN, .data.fd = sig};
    if (wr_os_epoll_ctl(b->ep, EPOLL_CTL_ADD, sig, &ev) < 0)
        return 3;
    while (!b->stop) {
        struct epoll_event evs[32];
        int n = wr_os_epoll_wait(b->ep, evs, 32, -1);
        for (int i = 0; i < n; i++) {
            int fd = evs[i].data.fd;
            if (fd == sig)
                b->stop = true;
            else if (fd == b->listener)
                accept_some(b);
            else if (b->conns[fd])
                conn_ready(b, b->conns[fd]);
        }
    }
    for (int fd = 0; fd < 256; fd++)
        if (b->conns[fd])
            conn_close(b, b->conns[fd]);
    wr_heap_free(wr_os_heap(), b, sizeof *b);
    return 0;
}

static void bare_run(struct sim_case *c)
{
    struct sim_options o = {0};
    case_weather(c, &o);
    case_open(c, &o);
    case_start(c, "bare", bare_main, NULL);
    struct crowd_options w = {.host = 1,
                              .port = PORT,
                              .speech = &speech_frames,
                              .clients = 1 + (unsigned)case_draw(c, 30),
                              .connections = 1 + (unsigned)case_draw(c, 4),
                              .requests_max = 1 + (unsigned)case_draw(c, 40),
                              .size_max = 1 + (unsigned)case_draw(c, 8000),
                              .spread_ns = case_draw(c, 500) * SIM_MS,
                              .think_ns = case_draw(c, 100) * SIM_MS,
                              .patience_ns = 60 * SIM_S,
                              .tempers = 1u << PLAIN | 1u << PIPELINING | 1u << DRIBBLING |
                                         1u << SLOW_READER | 1u << ABORTER | 1u << VANISHER};
    case_crowd(c, &w);
    case_play(c);
    case_rest(c, false);
    case_stop(c, SIGTERM, 5 * SIM_S);
}

const struct scenario scenario_bare = {"bare", "an echo server on the bare system calls",
                                       bare_run};
