/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load: the generator of the comparisons. A fixed number of connections, one request in flight on each,
 * for a fixed time; counts what was answered and what it cost here.
 *
 *     load [-p PORT] [-m http|close|echo|frame] [-c CONNECTIONS] [-t SECONDS] [-S MESSAGE_BYTES]
 *
 * http keeps connections, close opens one for each request. Prints one line:
 *     requests N errors N connections N seconds X cpu X p50_us X p99_us X max_us X
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode {
    HTTP,
    CLOSE,
    ECHO,
    FRAME
};

struct conn {
    int fd;
    size_t got, want; /* of the current answer; want 0: its head has not been seen */
    uint64_t sent_ns;
    bool waiting, last; /* last: the server will close behind this answer */
};

#define BUCKETS (64 * 32)

static struct conn *conns;
static int ep, port = 18080;
static unsigned nconns = 64;
static enum mode mode = HTTP;
static char *message;
static size_t message_n = 64;
static uint64_t requests, errors, opened, latency[BUCKETS], latency_max;
static bool over;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Log-linear: 32 steps in each power of two, so within 3 %. */
static unsigned bucket_of(uint64_t v)
{
    if (v < 32)
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - 5u;
    return (shift + 1) * 32 + (unsigned)((v >> shift) & 31);
}

static uint64_t bucket_value(unsigned b)
{
    if (b < 32)
        return b;
    unsigned shift = b / 32 - 1;
    return (uint64_t)(32 + b % 32) << shift;
}

static double percentile_us(double p)
{
    uint64_t seen = 0, rank = (uint64_t)(p * (double)requests);
    for (unsigned b = 0; b < BUCKETS; b++) {
        seen += latency[b];
        if (seen > rank)
            return (double)bucket_value(b) / 1e3;
    }
    return (double)latency_max / 1e3;
}

static void make_message(void)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    static const char http_close[] =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    message = calloc(1, message_n + sizeof http_close);
    if (!message)
        abort();
    if (mode == HTTP || mode == CLOSE) {
        const char *text = mode == HTTP ? http : http_close;
        message_n = strlen(text);
        memcpy(message, text, message_n);
        return;
    }
    memset(message, 'm', message_n);
    if (mode == FRAME) {
        uint32_t len = htonl((uint32_t)(message_n - sizeof len));
        memcpy(message, &len, sizeof len);
    }
}

static void open_conn(struct conn *c);

static void fail_conn(struct conn *c)
{
    errors++;
    (void)close(c->fd);
    if (!over)
        open_conn(c);
}

static void send_request(struct conn *c)
{
    c->got = 0;
    c->last = false;
    c->want = mode == ECHO || mode == FRAME ? message_n : 0;
    c->sent_ns = now_ns();
    c->waiting = true;
    if (send(c->fd, message, message_n, MSG_NOSIGNAL) != (ssize_t)message_n)
        fail_conn(c);
}

static void open_conn(struct conn *c)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        perror("load: connect");
        exit(1);
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    opened++;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        abort();
    send_request(c);
}

/* The length of the whole answer, from its head: 0 while that has not come, -1 when it is not HTTP 200. */
static ssize_t answer_length(const char *p, size_t n, bool *out_last)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    *out_last = memmem(p, (size_t)(end - p), ": close", 7) != NULL;
    const char *cl = memmem(p, (size_t)(end - p), "ontent-", 7);
    while (cl && strncasecmp(cl, "ontent-length:", 14) != 0)
        cl = memmem(cl + 7, (size_t)(end - cl) - 7, "ontent-", 7);
    if (!cl || n < 12 || memcmp(p + 8, " 200", 4) != 0)
        return -1;
    return end - p + 4 + (ssize_t)strtol(cl + 14, NULL, 10);
}

static void answered(struct conn *c)
{
    uint64_t took = now_ns() - c->sent_ns;
    latency[bucket_of(took)]++;
    latency_max = took > latency_max ? took : latency_max;
    requests++;
    c->waiting = false;
    if (over)
        return;
    if (mode == CLOSE || c->last) {
        (void)close(c->fd);
        open_conn(c);
    } else {
        send_request(c);
    }
}

static void on_read(struct conn *c)
{
    static char buf[1 << 16];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !c->waiting) {
        fail_conn(c);
        return;
    }
    if (c->want == 0) {
        ssize_t want = answer_length(buf, (size_t)n, &c->last);
        if (want <= 0) { /* a canned answer comes in one piece on loopback */
            fail_conn(c);
            return;
        }
        c->want = (size_t)want;
    }
    c->got += (size_t)n;
    if (c->got >= c->want)
        answered(c);
}

static void run(double secs)
{
    struct epoll_event evs[512];
    uint64_t end = now_ns() + (uint64_t)(secs * 1e9);
    for (unsigned i = 0; i < nconns; i++)
        open_conn(&conns[i]);
    while (!over) {
        int n = epoll_wait(ep, evs, 512, 1000);
        for (int i = 0; i < n; i++)
            on_read(evs[i].data.ptr);
        if (now_ns() >= end)
            over = true;
    }
}

int main(int argc, char **argv)
{
    double secs = 2;
    for (int o; (o = getopt(argc, argv, "p:m:c:t:S:")) != -1;) {
        if (o == 'p')
            port = (int)strtol(optarg, NULL, 10);
        else if (o == 'm')
            mode = optarg[0] == 'h'   ? HTTP
                   : optarg[0] == 'c' ? CLOSE
                   : optarg[0] == 'e' ? ECHO
                                      : FRAME;
        else if (o == 'c')
            nconns = (unsigned)strtoul(optarg, NULL, 10);
        else if (o == 't')
            secs = strtod(optarg, NULL);
        else if (o == 'S')
            message_n = (size_t)strtoul(optarg, NULL, 10);
        else
            return 64;
    }
    conns = calloc(nconns, sizeof *conns);
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (!conns || ep < 0)
        return 1;
    make_message();
    uint64_t start = now_ns();
    run(secs);
    struct rusage ru;
    (void)getrusage(RUSAGE_SELF, &ru);
    printf("requests %llu errors %llu connections %llu seconds %.3f cpu %.3f p50_us %.0f "
           "p99_us %.0f "
           "max_us %.0f\n",
           (unsigned long long)requests, (unsigned long long)errors, (unsigned long long)opened,
           (double)(now_ns() - start) / 1e9,
           (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
               (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6,
           percentile_us(0.5), percentile_us(0.99), (double)latency_max / 1e3);
    return 0;
}
