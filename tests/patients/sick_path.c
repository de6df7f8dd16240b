/* SPDX-License-Identifier: BSD-2-Clause */
/* Patients of the path: what lies between the two programs, and how they send. */
#include "tests/patients/patient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a server that sends as much as it can ------------------------------------------------------------- */
static int send_buffer;
static size_t piece = 65536;

static void *stream(void *arg)
{
    static const char bytes[65536];
    int fd = (int)(intptr_t)arg;
    char request[512];
    if (recv(fd, request, sizeof request, 0) <= 0)
        return NULL;
    for (uint64_t end = now_ms() + 60000; now_ms() < end;) {
        if (send(fd, bytes, piece, MSG_NOSIGNAL) <= 0)
            break;
        if (piece == sizeof bytes)
            nap_ms(2); /* at most 32 MB a second */
    }
    close(fd);
    return NULL;
}

static void streamer(bool sick)
{
    int listener = listen_anywhere(64);
    (void)sick;
    up();
    for (;;) {
        pthread_t t;
        intptr_t fd = accept(listener, NULL, NULL);
        if (send_buffer)
            setsockopt((int)fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
        setsockopt((int)fd, IPPROTO_TCP, TCP_CONGESTION, "reno",
                   4); /* the same on every machine */
        check(pthread_create(&t, NULL, stream, (void *)fd) == 0, "thread");
    }
}

static void read_all(int fd)
{
    static char bytes[65536];
    for (uint64_t end = now_ms() + 60000; now_ms() < end;) {
        if (recv(fd, bytes, sizeof bytes, 0) <= 0)
            return;
    }
}

/* ---- zero-window: a client that does not read ------------------------------------------------------------ */
static void reader(bool sick)
{
    int fds[1];
    crowd(fds, 1, REQUEST);
    nap_ms(sick ? 700 : 100);
    ready();
    if (!sick)
        read_all(fds[0]); /* the bug is that this line is missing */
}

static void far_reader(bool sick)
{
    (void)sick;
    go_far_away();
    int fd;
    crowd(&fd, 1, "");
    int large = 4 << 20; /* its window shall not be the limit */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large);
    say_when_connected(fd, REQUEST);
    nap_ms(500);
    ready();
    read_all(fd);
}

/* ---- small-buffers ------------------------------------------------------------------------------------------- */
static void small_buffers(bool sick)
{
    send_buffer = sick ? 16384 : 0; /* the bug is this line */
    piece = 16384;
    streamer(sick);
}

/* ---- small-rcvbuf: a server that reads at once, into a buffer of a few kilobytes ------------------------------ */
static void *swallow(void *arg)
{
    static char bytes[65536];
    int fd = (int)(intptr_t)arg;
    for (uint64_t end = now_ms() + 60000; now_ms() < end;)
        if (recv(fd, bytes, sizeof bytes, 0) <= 0)
            break;
    close(fd);
    return NULL;
}

static void small_rcvbuf(bool sick)
{
    int listener = listen_anywhere(64), small = 4096;
    if (sick)
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small); /* the bug */
    up();
    for (;;) {
        pthread_t t;
        intptr_t fd = accept(listener, NULL, NULL);
        check(pthread_create(&t, NULL, swallow, (void *)fd) == 0, "thread");
    }
}

static void far_writer(bool sick)
{
    static const char bytes[16384];
    (void)sick;
    go_far_away();
    int fd;
    crowd(&fd, 1, "");
    say_when_connected(fd, REQUEST);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    for (uint64_t begin = now_ms(), now = begin, told = 0; (now = now_ms()) < begin + 60000;) {
        if (!told && now > begin + 500)
            told = 1, ready();
        if (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) <= 0)
            return;
        nap_ms(1); /* at most 16 MB a second */
    }
}

/* ---- nagle: two small writes for an answer ---------------------------------------------------------------------- */
static void two_writes(struct server *s, int fd, const char *bytes, size_t n)
{
    int one = 1;
    (void)bytes, (void)n;
    if (!s->sick)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* the bug: missing */
    say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    say(fd, "body");
}

static void nagle(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 64), .request = two_writes, .sick = sick};
    up();
    serve(&s);
}

static void small_questions(bool sick)
{
    int fd = connect_to("127.0.0.1", PORT, 0);
    (void)sick;
    for (int i = 0; i < 3000; i++) {
        char bytes[64];
        size_t got = 0;
        say(fd, REQUEST);
        while (got < 23) {
            ssize_t n = recv(fd, bytes, sizeof bytes, 0);
            if (n <= 0)
                return;
            got += (size_t)n;
        }
        if (i == 20)
            ready();
        nap_ms(2);
    }
}

/* ---- synflood: handshakes that begin and never end ------------------------------------------------------------------ */
static uint16_t sum16(const void *data, size_t n, uint32_t sum)
{
    const uint8_t *p = data;
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void send_syn(int raw, uint32_t from, const struct sockaddr_in *to)
{
    struct {
        struct iphdr ip;
        struct tcphdr tcp;
    } p = {
        .ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP}
    };
    struct {
        uint32_t from, to;
        uint8_t zero, protocol;
        uint16_t length;
    } pseudo = {htonl(from), to->sin_addr.s_addr, 0, IPPROTO_TCP, htons(sizeof p.tcp)};
    p.ip.tot_len = htons(sizeof p);
    p.ip.saddr = htonl(from);
    p.ip.daddr = to->sin_addr.s_addr;
    p.tcp.source = htons((uint16_t)(1024 + from % 50000));
    p.tcp.dest = to->sin_port;
    p.tcp.seq = htonl(from);
    p.tcp.doff = 5;
    p.tcp.syn = 1;
    p.tcp.window = htons(1000);
    uint16_t sum = sum16(&pseudo, sizeof pseudo, 0);
    p.tcp.check = htons((uint16_t)~sum16(&p.tcp, sizeof p.tcp, sum));
    (void)!sendto(raw, &p, sizeof p, 0, (const struct sockaddr *)to, sizeof *to);
}

static void synflood(bool sick)
{
    struct server s = {.listener = listen_anywhere(16)};
    (void)sick;
    up();
    serve(&s);
}

static void flood(bool sick)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    check(raw >= 0, "raw socket");
    inet_pton(AF_INET, "10.9.0.1", &to.sin_addr);
    for (uint32_t i = 0; i < 6000; i++) {
        if (sick)
            send_syn(raw, 0x0a090200 + i % 40000, &to); /* the bug is this line */
        if (i == 100)
            ready();
        nap_ms(5);
    }
}

/* ---- reset-storm: closed with unread bytes ------------------------------------------------------------------------------ */
static void read_a_bit(bool sick)
{
    int listener = listen_on(PORT, 511);
    up();
    for (;;) {
        char bytes[512];
        int fd = accept(listener, NULL, NULL);
        (void)!recv(fd, bytes, sick ? 10 : sizeof bytes, 0); /* the bug is this line */
        say(fd, "ok\n");
        close(fd);
    }
}

static void two_hundred_a_second(bool sick)
{
    (void)sick;
    ready();
    for (int i = 0; i < 4000; i++) {
        int fd;
        char bytes[64];
        crowd(&fd, 1, REQUEST);
        nap_ms(5);
        (void)!recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        close(fd);
    }
}

/* ---- udp-drop: datagrams come faster than they are read --------------------------------------------------------------------- */
static void udp_drop(bool sick)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int small = 2048, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (sick)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small); /* the bug is this line */
    check(bind(fd, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    listen_on(PORT, 64);
    up();
    for (;;) {
        char bytes[1024];
        nap_ms(20);
        while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
    }
}

static void datagrams(bool sick)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char bytes[500] = {0};
    (void)sick;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ready();
    for (int i = 0; i < 3000; i++) {
        for (int k = 0; k < 20; k++)
            (void)!sendto(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&a, sizeof a);
        nap_ms(20);
    }
}

const struct patient path_patients[] = {
    {"zero-window",   streamer,      reader,               NULL},
    {"loss",          streamer,      far_reader,           NULL}, /* the harness makes the path sick */
    {"slow-path",     streamer,      far_reader,           NULL},
    {"small-buffers", small_buffers, far_reader,           NULL},
    {"small-rcvbuf",  small_rcvbuf,  far_writer,           NULL},
    {"nagle",         nagle,         small_questions,      NULL},
    {"synflood",      synflood,      flood,                NULL},
    {"reset-storm",   read_a_bit,    two_hundred_a_second, NULL},
    {"udp-drop",      udp_drop,      datagrams,            NULL},
    {NULL,            NULL,          NULL,                 NULL},
};
