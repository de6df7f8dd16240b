/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_DNS_SERVER_H
#define WR_TESTS_DNS_SERVER_H

/*
 * A DNS server for tests, in the test's own loop, on one port over UDP and TCP. The first label of the
 * name says what it does:
 *
 *   v4 v6 both   addresses 127.0.0.1 and ::1      nx       no such name, SOA with a TTL of 30 s
 *   nodata       the name, no records             fail     SERVFAIL
 *   mute         nothing                          wrongid  another id first, then the right answer
 *   trunc        cut over UDP, whole over TCP     loop     a compression pointer to itself
 *   srv          two services                     bytewise TCP answer one byte at a time, cut over UDP
 *   otherq       another question, then nothing   ttl0     an address with a TTL of 0
 *   mute4 mute6  nothing to A, to AAAA
 *
 * Anything else is like "both". server->mute makes it answer nothing at all. ttl_s is what it gives.
 */

#include "libweir/io/listen.h"
#include "tests/net_kit.h"

struct dns_server {
    struct wr_loop *loop;
    struct wr_addr addr;
    struct wr_io udp;
    struct wr_listener *tcp;
    int tcp_fd; /* the latest connection */
    struct wr_io tcp_io;
    unsigned queries, tcp_queries;
    uint32_t ttl_s;
    bool mute;
    uint16_t last_id, last_port;
};

struct dns_reply {
    uint8_t p[1024];
    size_t n;
    unsigned answers;
};

static inline void dns_put(struct dns_reply *r, const void *p, size_t n)
{
    memcpy(r->p + r->n, p, n);
    r->n += n;
}

static inline void dns_put_rr(struct dns_reply *r, uint8_t type, uint32_t ttl_s,
                              const void *data, uint8_t n)
{
    uint8_t head[12] = {0xc0,           12, 0, type, 0, 1, 0, 0, (uint8_t)(ttl_s >> 8),
                        (uint8_t)ttl_s, 0,  n};
    dns_put(r, head, sizeof head);
    dns_put(r, data, n);
    r->answers++;
}

static inline bool dns_is(const uint8_t *q, const char *label)
{
    return q[12] == strlen(label) && memcmp(q + 13, label, q[12]) == 0;
}

/* Writes the reply to query q of n bytes; false: none. */
static inline bool dns_reply(struct dns_server *s, const uint8_t *q, size_t n, bool tcp,
                             struct dns_reply *r)
{
    static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
    static const char soa[] = "\0\0\6\0\1\0\0\0\x1e\0\x16"
                              "\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1e";
    size_t end = 12;
    if (n < 17 || s->mute || dns_is(q, "mute"))
        return false;
    while (end < n && q[end])
        end += q[end] + 1u;
    end += 5;
    uint8_t type = q[end - 3], rcode = 0;
    if ((type == 1 && dns_is(q, "mute4")) || (type == 28 && dns_is(q, "mute6")))
        return false;
    bool cut = !tcp && (dns_is(q, "trunc") || dns_is(q, "bytewise"));
    r->n = r->answers = 0;
    dns_put(r, q, end);
    if (dns_is(q, "nx") || dns_is(q, "fail")) {
        rcode = dns_is(q, "nx") ? 3 : 2;
    } else if (dns_is(q, "loop")) {
        dns_put(r, "\xc0", 1);
        uint8_t self = (uint8_t)(r->n - 1);
        dns_put(r, &self, 1);
        dns_put(r, "\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 14);
        r->answers = 1;
    } else if (type == 33) {
        dns_put_rr(r, type, s->ttl_s, "\0\2\0\5\0\x51\1b\0", 9);
        dns_put_rr(r, type, s->ttl_s, "\0\1\0\5\0\x50\1a\0", 9);
    } else if (type == 1 && !dns_is(q, "v6") && !dns_is(q, "nodata") && !cut) {
        dns_put_rr(r, type, dns_is(q, "ttl0") ? 0 : s->ttl_s, v4, 4);
    } else if (type == 28 && !dns_is(q, "v4") && !dns_is(q, "nodata") && !cut) {
        dns_put_rr(r, type, dns_is(q, "ttl0") ? 0 : s->ttl_s, v6, 16);
    }
    uint8_t flags[10] = {(uint8_t)(0x81 | (cut ? 2 : 0)),
                         (uint8_t)(0x80 | rcode),
                         0,
                         1,
                         0,
                         (uint8_t)r->answers,
                         0,
                         rcode == 3,
                         0,
                         0};
    memcpy(r->p + 2, flags, sizeof flags);
    if (rcode == 3)
        dns_put(r, soa, sizeof soa - 1);
    if (dns_is(q, "otherq"))
        r->p[13] = 'x';
    return true;
}

static inline void dns_on_udp(struct wr_io *io, uint32_t events)
{
    struct dns_server *s = wr_container_of(io, struct dns_server, udp);
    uint8_t q[512];
    struct sockaddr_storage sa;
    struct iovec v = {q, sizeof q};
    (void)events;
    for (;;) {
        struct msghdr m = {
            .msg_name = &sa, .msg_namelen = sizeof sa, .msg_iov = &v, .msg_iovlen = 1};
        struct dns_reply r;
        struct wr_addr from;
        ssize_t n = wr_os_recvmsg(wr_io_fd(io), &m, 0);
        if (n < 0)
            return;
        s->queries++;
        s->last_id = (uint16_t)(q[0] << 8 | q[1]);
        if (wr_addr_from_sockaddr((struct sockaddr *)&sa, m.msg_namelen, &from) == 0)
            s->last_port = from.port;
        if (!dns_reply(s, q, (size_t)n, false, &r))
            continue;
        struct iovec w = {r.p, r.n};
        struct msghdr out = {
            .msg_name = &sa, .msg_namelen = m.msg_namelen, .msg_iov = &w, .msg_iovlen = 1};
        if (dns_is(q, "wrongid")) {
            r.p[0] ^= 0x55;
            (void)!wr_os_sendmsg(wr_io_fd(io), &out, 0);
            r.p[0] ^= 0x55;
        }
        (void)!wr_os_sendmsg(wr_io_fd(io), &out, 0);
    }
}

static inline void dns_on_tcp(struct wr_io *io, uint32_t events)
{
    struct dns_server *s = wr_container_of(io, struct dns_server, tcp_io);
    uint8_t q[512], head[2];
    struct dns_reply r;
    (void)events;
    ssize_t n = wr_os_recv(wr_io_fd(io), q, sizeof q, 0);
    if (n == -EAGAIN)
        return;
    if (n < 19) {
        wr_io_close(io);
        return;
    }
    s->tcp_queries++;
    if (!dns_reply(s, q + 2, (size_t)n - 2, true, &r))
        return;
    head[0] = (uint8_t)(r.n >> 8);
    head[1] = (uint8_t)r.n;
    (void)!wr_os_send(wr_io_fd(io), head, 1, 0);
    (void)!wr_os_send(wr_io_fd(io), head + 1, 1, 0);
    for (size_t i = 0; i < r.n; i++)
        (void)!wr_os_send(wr_io_fd(io), r.p + i, 1, 0);
}

static inline void dns_on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer,
                                 void *arg)
{
    struct dns_server *s = arg;
    (void)l;
    (void)peer;
    wr_io_close(&s->tcp_io);
    if (wr_io_open(s->loop, &s->tcp_io, fd, WR_IO_EDGE, dns_on_tcp))
        (void)wr_os_close(fd);
}

WR_MUST static inline int dns_server_open(struct dns_server *s, struct wr_loop *loop)
{
    struct wr_listen_options o = {.addr = net_addr("127.0.0.1:0")};
    struct sockaddr_storage sa;
    socklen_t n = 0;
    memset(s, 0, sizeof *s);
    s->loop = loop;
    s->ttl_s = 300;
    int err = wr_listener_open(loop, &o, dns_on_accept, s, &s->tcp);
    if (err)
        return err;
    s->addr = *wr_listener_addr(s->tcp);
    int fd = wr_os_socket(AF_INET, SOCK_DGRAM, 0);
    err = fd < 0 ? fd : wr_addr_to_sockaddr(&s->addr, &sa, &n);
    if (!err)
        err = wr_os_bind(fd, (struct sockaddr *)&sa, n);
    if (!err)
        err = wr_io_open(loop, &s->udp, fd, WR_IO_READ, dns_on_udp);
    if (err && fd >= 0)
        (void)wr_os_close(fd);
    return err;
}

static inline void dns_server_close(struct dns_server *s)
{
    wr_io_close(&s->udp);
    wr_io_close(&s->tcp_io);
    wr_listener_close(&s->tcp);
}

#endif
