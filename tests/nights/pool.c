/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Night 004: a process pool. The parent watches the listener and tells a child of new connections through a socket pair; the
 * child accepts, at most CAP of them for one notice, and answers.
 *
 *     pool edge|level CAP blocking|nonblocking|drained BACKLOG WORK_MS
 *
 * drained: the child reads all its notices at once. WORK_MS is what the child does besides after each notice. edge: the parent is told once per burst. level and blocking: the parent tells on and on while the child is busy, until the
 * pair is full; a sender in a unix socket is woken only when three quarters of it are free again, the child reads one notice an edge:
 * both sleep for ever.
 */
#include "tests/nights/night.h"

#include <signal.h>
#include <time.h>

static void child(int listener, int notices, int cap, size_t notes, long work_ms)
{
    struct epoll_event ev[64];
    int ep = epoll_create1(0);
    char notice[1024];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    nonblocking(notices);
    watch(ep, notices, EPOLLIN | EPOLLET);
    for (;;) {
        int n = epoll_wait(ep, ev, 64, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd != notices) {
                if (!answer(ev[i].data.fd))
                    (void)close(ev[i].data.fd);
                continue;
            }
            (void)!recv(notices, notice, notes, 0);
            for (int k = 0; k < cap; k++) {
                int fd = accept(listener, NULL, NULL);
                if (fd < 0)
                    break;
                nonblocking(fd);
                watch(ep, fd, EPOLLIN);
            }
            nanosleep(&(struct timespec){.tv_nsec = work_ms * 1000000}, NULL);
        }
    }
}

int main(int argc, char **argv)
{
    must(argc > 5, "pool edge|level CAP blocking|nonblocking|drained BACKLOG WORK_MS");
    bool edge = strcmp(argv[1], "edge") == 0;
    int pair[2], cap = (int)strtol(argv[2], NULL, 10),
                 listener = listen_here((int)strtol(argv[4], NULL, 10)), ep = epoll_create1(0);
    nonblocking(listener);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    if (strcmp(argv[3], "nonblocking") == 0)
        nonblocking(pair[0]);
    if (fork() == 0) {
        (void)close(pair[0]);
        child(listener, pair[1], cap, strcmp(argv[3], "drained") == 0 ? 1024 : sizeof(int),
              (int)strtol(argv[5], NULL, 10));
    }
    (void)close(pair[1]);
    watch(ep, listener, EPOLLIN | (edge ? EPOLLET : 0));
    started();
    for (;;) {
        struct epoll_event ev;
        char notice = 1;
        if (epoll_wait(ep, &ev, 1, -1) == 1)
            (void)!send(pair[0], &notice, 1, MSG_NOSIGNAL);
    }
}
