/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bare_epoll: the least that a readiness-based server can do, as the floor that libweir is measured
 * against: one thread, level-triggered epoll, a table of connections by descriptor, one canned answer. No
 * timers, no limits, no log, no second chance.
 *
 *     bare_epoll [-p PORT] [-m http|echo|frame] [-S BODY_BYTES] [-d] [-i]
 *
 * http answers each head that ends in a blank line; echo sends back what it reads; frame sends back whole
 * frames (4-byte big-endian length, then that many bytes). -d: TCP_DEFER_ACCEPT, -i: read right after accept.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum mode {
    HTTP,
    ECHO,
    FRAME
};

#define MAX_FD (1 << 17)

/* What of an answer the socket did not take, and what of a request has come so far. */
struct client {
    char *out, *in;
    size_t out_n, in_n;
    bool open, closing;
};

static struct client clients[MAX_FD];
static char scratch[1 << 16], gather[1 << 16], *answer[2];
static size_t answer_n[2];
static int ep, listener;
static enum mode mode = HTTP;
static bool read_at_accept;

static void drop(int fd)
{
    free(clients[fd].out);
    free(clients[fd].in);
    clients[fd] = (struct client){0};
    (void)close(fd);
}

static char *keep(const char *p, size_t n)
{
    char *copy = malloc(n);
    if (!copy)
        abort();
    memcpy(copy, p, n);
    return copy;
}

static void watch(int fd, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    if (epoll_ctl(ep, op, fd, &ev) != 0)
        abort();
}

/* False when the client is gone. What the socket does not take is kept for the next EPOLLOUT. */
static bool put(int fd, const char *p, size_t n)
{
    struct client *c = &clients[fd];
    ssize_t done = c->out_n ? 0 : send(fd, p, n, MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN) {
        drop(fd);
        return false;
    }
    if (done < 0)
        done = 0;
    if ((size_t)done < n) {
        size_t rest = n - (size_t)done;
        c->out = realloc(c->out, c->out_n + rest);
        if (!c->out)
            abort();
        memcpy(c->out + c->out_n, p + done, rest);
        c->out_n += rest;
        watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    return true;
}

/* Bytes of the whole requests at p; their answers are in *out. */
static size_t take_http(struct client *c, const char *p, size_t n, size_t *out)
{
    size_t used = 0;
    const char *end;
    while ((end = memmem(p + used, n - used, "\r\n\r\n", 4))) {
        size_t head = (size_t)(end - p) - used;
        c->closing = memmem(p + used, head, ": close", 7) != NULL;
        if (*out + answer_n[c->closing] > sizeof gather)
            break;
        memcpy(gather + *out, answer[c->closing], answer_n[c->closing]);
        *out += answer_n[c->closing];
        used += head + 4;
    }
    return used;
}

static size_t take_frames(const char *p, size_t n)
{
    size_t used = 0;
    uint32_t len;
    while (n - used >= sizeof len) {
        memcpy(&len, p + used, sizeof len);
        len = ntohl(len);
        if (n - used - sizeof len < len)
            break;
        used += sizeof len + len;
    }
    return used;
}

static bool serve(int fd, const char *p, size_t n)
{
    struct client *c = &clients[fd];
    size_t out = 0, used = n;
    if (mode == HTTP) {
        used = take_http(c, p, n, &out);
        if (out && !put(fd, gather, out))
            return false;
        if (c->closing && !c->out_n) {
            drop(fd);
            return false;
        }
    } else {
        if (mode == FRAME)
            used = take_frames(p, n);
        if (used && !put(fd, p, used))
            return false;
    }
    free(c->in);
    c->in_n = n - used;
    c->in = c->in_n ? keep(p + used, c->in_n) : NULL;
    return true;
}

static void on_read(int fd)
{
    struct client *c = &clients[fd];
    size_t have = c->in_n;
    if (have)
        memcpy(scratch, c->in, have);
    ssize_t n = recv(fd, scratch + have, sizeof scratch - have, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(fd);
        return;
    }
    (void)serve(fd, scratch, have + (size_t)n);
}

static void on_write(int fd)
{
    struct client *c = &clients[fd];
    ssize_t n = send(fd, c->out, c->out_n, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN)
            drop(fd);
        return;
    }
    c->out_n -= (size_t)n;
    memmove(c->out, c->out + n, c->out_n);
    if (c->out_n == 0 && c->closing)
        drop(fd);
    else if (c->out_n == 0)
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static void on_accept(void)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        if (fd < 0)
            return;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        clients[fd].open = true;
        if (read_at_accept) {
            on_read(fd);
            if (!clients[fd].open)
                continue;
        }
        watch(fd, EPOLL_CTL_ADD, clients[fd].out_n ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void make_answers(size_t body)
{
    static const char *const word[2] = {"keep-alive", "close"};
    for (int k = 0; k < 2; k++) {
        answer[k] = malloc(body + 256);
        if (!answer[k])
            abort();
        answer_n[k] = (size_t)snprintf(answer[k], 256,
                                       "HTTP/1.1 200 OK\r\nServer: bare\r\n"
                                       "Date: Sat, 21 Nov 2026 07:28:00 GMT\r\n"
                                       "Content-Type: text/plain\r\nContent-Length: %zu\r\n"
                                       "Connection: %s\r\n\r\n",
                                       body, word[k]);
        memset(answer[k] + answer_n[k], 'x', body);
        answer_n[k] += body;
    }
}

static void open_listener(int port, bool defer)
{
    int one = 1, secs = 1;
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (defer)
        (void)setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &secs, sizeof secs);
    if (bind(listener, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        listen(listener, 65535) != 0) {
        perror("bare_epoll");
        exit(1);
    }
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
}

static void loop(void)
{
    struct epoll_event evs[1024];
    for (;;) {
        int n = epoll_wait(ep, evs, 1024, -1);
        for (int i = 0; i < n; i++) {
            int fd = evs[i].data.fd;
            if (fd == listener) {
                on_accept();
                continue;
            }
            if (evs[i].events & EPOLLOUT)
                on_write(fd);
            if (clients[fd].open && (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                on_read(fd);
        }
    }
}

int main(int argc, char **argv)
{
    int port = 18080;
    size_t body = 13;
    bool defer = false;
    for (int o; (o = getopt(argc, argv, "p:m:S:di")) != -1;) {
        if (o == 'p')
            port = (int)strtol(optarg, NULL, 10);
        else if (o == 'm')
            mode = optarg[0] == 'h' ? HTTP : optarg[0] == 'e' ? ECHO : FRAME;
        else if (o == 'S')
            body = (size_t)strtol(optarg, NULL, 10);
        else if (o == 'd')
            defer = true;
        else if (o == 'i')
            read_at_accept = true;
        else
            return 64;
    }
    make_answers(body);
    ep = epoll_create1(EPOLL_CLOEXEC);
    open_listener(port, defer);
    loop();
}
