/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a turn costs beside the kernel's part: N socket pairs, K of them ready per turn, one byte read and
 * one written back per event; the same with nothing but epoll. Best of several interleaved rounds.
 *
 *     io_loop_bench [pairs [events per turn]]
 */
#include "libweir/base/assert.h"
#include "libweir/io/loop.h"
#include "libweir/os/os.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROUNDS = 9,
    EVENTS = 40000
};

struct pair {
    struct wr_io io;
    int near, far;
};

static struct pair *pairs;
static int n_pairs = 64, per_turn = 8;
static uint64_t sink;

static void echo(int fd)
{
    char c;
    if (wr_os_recv(fd, &c, 1, 0) == 1)
        sink += (uint64_t)wr_os_send(fd, &c, 1, 0);
}

static void on_event(struct wr_io *io, uint32_t events)
{
    if (events & EPOLLIN)
        echo(wr_io_fd(io));
}

static void open_pairs(void)
{
    for (int i = 0; i < n_pairs; i++) {
        int s[2];
        if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, s))
            WR_PANIC("no socketpair");
        pairs[i] = (struct pair){.near = s[0], .far = s[1]};
    }
}

/* Makes per_turn pairs ready; first takes the answers of the last round. */
static void feed(int *at)
{
    char c = 'x';
    for (int i = 0; i < per_turn; i++) {
        struct pair *p = &pairs[(*at)++ % n_pairs];
        (void)!wr_os_recv(p->far, &c, 1, 0);
        (void)!wr_os_send(p->far, &c, 1, 0);
    }
}

static double with_loop(void)
{
    struct wr_loop *l;
    uint64_t spent = 0;
    int at = 0;
    if (wr_loop_new(NULL, &l))
        WR_PANIC("no loop");
    for (int i = 0; i < n_pairs; i++)
        if (wr_io_open(l, &pairs[i].io, pairs[i].near, WR_IO_EDGE, on_event))
            WR_PANIC("no io");
    (void)wr_loop_turn(l, 0);
    for (int done = 0; done < EVENTS; done += per_turn) {
        feed(&at);
        uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
        (void)wr_loop_turn(l, -1);
        spent += wr_os_now_ns(CLOCK_MONOTONIC) - t;
    }
    for (int i = 0; i < n_pairs; i++)
        (void)!wr_io_detach(&pairs[i].io);
    wr_loop_free(&l);
    return (double)spent / EVENTS;
}

static double bare(void)
{
    static struct epoll_event evs[512];
    uint64_t spent = 0;
    int at = 0, ep = wr_os_epoll_create();
    for (int i = 0; i < n_pairs; i++) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET,
                                 .data.fd = pairs[i].near};
        if (wr_os_epoll_ctl(ep, EPOLL_CTL_ADD, pairs[i].near, &ev))
            WR_PANIC("no epoll");
    }
    (void)!wr_os_epoll_wait(ep, evs, 512, 0);
    for (int done = 0; done < EVENTS; done += per_turn) {
        feed(&at);
        uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
        int n = wr_os_epoll_wait(ep, evs, 512, -1);
        for (int i = 0; i < n; i++)
            if (evs[i].events & EPOLLIN)
                echo(evs[i].data.fd);
        spent += wr_os_now_ns(CLOCK_MONOTONIC) - t;
    }
    for (int i = 0; i < n_pairs; i++)
        (void)!wr_os_epoll_ctl(ep, EPOLL_CTL_DEL, pairs[i].near, &evs[0]);
    (void)wr_os_close(ep);
    return (double)spent / EVENTS;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        n_pairs = (int)strtol(argv[1], NULL, 10);
    if (argc > 2)
        per_turn = (int)strtol(argv[2], NULL, 10);
    pairs = calloc((size_t)n_pairs, sizeof *pairs);
    if (!pairs || n_pairs < per_turn || per_turn < 1)
        return 2;
    open_pairs();
    double best_loop = 1e9, best_bare = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double b = bare(), l = with_loop();
        best_bare = b < best_bare ? b : best_bare;
        best_loop = l < best_loop ? l : best_loop;
    }
    printf("%d pairs, %d events a turn: bare epoll %.0f ns, loop %.0f ns an event; "
           "the loop's share %.0f ns, ratio %.3f\n",
           n_pairs, per_turn, best_bare, best_loop, best_loop - best_bare,
           best_loop / best_bare);
    return 0;
}
