/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nights 001 and 003: one loop accepts, edge-triggered, and hands connections to the loops of other threads.
 *
 *     reactor THREADS BACKLOG [drain]
 *
 * Making the connection's object takes a moment; who arrives meanwhile is behind the same edge. With "drain" the
 * listener is accepted empty: the one line that those nights were about.
 */
#include "tests/nights/night.h"

#include <pthread.h>
#include <time.h>

#define MOST 8

static void *loop(void *arg)
{
    int ep = *(int *)arg;
    struct epoll_event ev[64];
    for (;;) {
        int n = epoll_wait(ep, ev, 64, -1);
        for (int i = 0; i < n; i++)
            if (!answer(ev[i].data.fd))
                (void)close(ev[i].data.fd);
    }
    return NULL;
}

static void make_connection(int fd, int ep)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
    nonblocking(fd);
    watch(ep, fd, EPOLLIN);
}

int main(int argc, char **argv)
{
    int sets[MOST], threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1, next = 0;
    bool drain = argc > 3;
    int listener = listen_here(argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1024);
    int ep = epoll_create1(0);
    nonblocking(listener);
    watch(ep, listener, EPOLLIN | EPOLLET);
    for (int i = 0; i < threads && i < MOST; i++) {
        pthread_t t;
        sets[i] = epoll_create1(0);
        must(pthread_create(&t, NULL, loop, &sets[i]) == 0, "pthread_create");
    }
    started();
    for (;;) {
        struct epoll_event ev;
        int fd;
        if (epoll_wait(ep, &ev, 1, -1) < 1)
            continue;
        while ((fd = accept(listener, NULL, NULL)) >= 0) {
            make_connection(fd, sets[next++ % threads]);
            if (!drain) /* the bug is this line */
                break;
        }
    }
}
