/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct look_ask all = {.proto = FACTS_TCP, .states = LOOK_ALL_STATES};
static struct facts_look l;

static void test_lines(void)
{
    struct wr_span line = WR_LIT(
        "   3: 0100007F:1F90 0200007F:9C40 08 00000005:00000073 01:00000014 00000002  1000"
        "        0 38174 1 0000000000000000 20 4 30 10 -1");
    facts_look_init(&l, wr_heap_libc());
    is_int(look_inet_line(&l, &all, AF_INET, line), 0, "a connection");
    const struct facts_socket *s = &l.sockets.v[0];
    ok(s->local_port == 8080 && s->remote_port == 40000 && s->local[0] == 127 &&
           s->remote[3] == 2,
       "where");
    ok(s->state == FACTS_CLOSE_WAIT && s->rqueue == 115 && s->wqueue == 5, "its queues");
    ok(s->timer == FACTS_TIMER_RETRANSMIT && s->timer_ms == 200 && s->retrans == 2,
       "its timer");
    ok(s->uid == 1000 && s->inode == 38174 && s->tcp == FACTS_NONE, "whose");
    size_t end = (size_t)wr_span_find(line, WR_LIT("38174"));
    bool good = true;
    for (size_t cut = 0; cut < end; cut++)
        good = good && look_inet_line(&l, &all, AF_INET, wr_span(line.p, cut)) == -EPROTO;
    ok(good && l.sockets.n == 1, "cut off: none");
    is_int(look_inet_line(&l, &all, AF_INET6, line), -EPROTO, "of the other family");
    line = WR_LIT(
        "  0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A "
        "00000000:00000003 00:00000000 00000000     0        0 7 1 0");
    is_int(look_inet_line(&l, &all, AF_INET6, line), 0, "a listener");
    s = &l.sockets.v[1];
    ok(s->local[15] == 1 && s->local_port == 22 && s->rqueue == 3, "v6");
    ok(s->wqueue == FACTS_NONE, "its backlog is not told");
    struct look_ask listen = {.proto = FACTS_TCP, .states = LOOK_LISTEN_ONLY};
    is_int(look_inet_line(&l, &listen, AF_INET6, line), 0, "asked for");
    line = WR_LIT(
        "  4: 0100007F:1F90 0200007F:9C40 06 00000000:00000000 03:00000bb8 00000000 0 0 0 3 0");
    is_int(look_inet_line(&l, &listen, AF_INET, line), 0, "not asked for");
    is_int(l.sockets.n, 3, "is left out");
    ok(look_inet_line(&l, &all, AF_INET, line) == 0 &&
           look_inet_line(&l, &all, AF_INET, line) == 0 &&
           l.sockets.v[3].cookie == l.sockets.v[4].cookie && l.sockets.v[3].cookie >> 63,
       "without an inode the same pair is the same socket");
    facts_look_deinit(&l);
}

/* The text and the socket query tell the same. */
static void test_real(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    struct facts_look other;
    int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    ok(bind(s, (struct sockaddr *)&sa, n) == 0 && listen(s, 5) == 0 &&
           getsockname(s, (struct sockaddr *)&sa, &n) == 0 &&
           connect(c, (struct sockaddr *)&sa, n) == 0 && send(c, "abc", 3, 0) == 3,
       "a listener and a client");
    uint16_t port = ntohs(sa.sin_port);
    struct look_ask mine = {
        .proto = FACTS_TCP, .states = LOOK_ALL_STATES, .ports = &port, .n_ports = 1};
    facts_look_init(&l, wr_heap_libc());
    facts_look_init(&other, wr_heap_libc());
    ok(look_inet_text(&l, &mine, (uint32_t)getpid()) == 0 && look_inet(&other, &mine) == 0 &&
           facts_seal(&l) == 0 && facts_seal(&other) == 0,
       "looked in both ways");
    if (other.gaps.n || l.gaps.n) {
        skip("no sock_diag here");
    } else {
        unsigned same = 0;
        for (uint32_t i = 0; i < l.sockets.n; i++)
            for (uint32_t k = 0; k < other.sockets.n; k++) {
                const struct facts_socket *a = &l.sockets.v[i], *b = &other.sockets.v[k];
                same += a->inode == b->inode && a->state == b->state &&
                        a->rqueue == b->rqueue && a->local_port == b->local_port &&
                        a->remote_port == b->remote_port && memcmp(a->local, b->local, 16) == 0;
            }
        ok(l.sockets.n == 3 && other.sockets.n == 3 && same == 3, "the same three sockets");
    }
    facts_look_deinit(&l);
    facts_look_deinit(&other);
    (void)close(s), (void)close(c);
}

int main(void)
{
    test_lines();
    test_real();
    return tap_done();
}
