/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef NIGHT_H
#define NIGHT_H

/*
 * What the programs of the nights share: a listener, an answer, a descriptor's flags. Each program is one night's server, with the
 * fault that its notebook tells of; they do no more than that night needs, and end by themselves after two minutes.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 8080
#define LIFE 120

static inline void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static inline void nonblocking(int fd)
{
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0, "fcntl");
}

static inline int listen_here(int backlog)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    must(fd >= 0, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    must(bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0, "bind");
    must(listen(fd, backlog) == 0, "listen");
    (void)alarm(LIFE);
    return fd;
}

static inline void watch(int ep, int fd, unsigned events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll_ctl");
}

static inline void started(void)
{
    (void)printf("READY %d\n", (int)getpid());
    (void)fflush(stdout);
}

/* One request, one answer: false when the connection is over. */
static inline bool answer(int fd)
{
    static const char close_it[] = "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
    static const char keep_it[] =
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 6\r\n\r\nhello\n";
    char request[2048];
    ssize_t n = recv(fd, request, sizeof request - 1, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    request[n] = 0;
    bool keep = strstr(request, "eep-") != NULL;
    const char *text = keep ? keep_it : close_it;
    return send(fd, text, strlen(text), MSG_NOSIGNAL) > 0 && keep;
}

#endif
