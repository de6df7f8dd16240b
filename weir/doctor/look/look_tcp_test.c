/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/io/listen.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"
#include "tests/tap.h"
#include "weir/stats/sockdiag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <unistd.h>

static const struct look_ask all_tcp = {.proto = FACTS_TCP, .states = LOOK_ALL_STATES};

static size_t attr(char *at, uint16_t type, const void *p, size_t n)
{
    uint16_t head[2] = {(uint16_t)(n + 4), type};
    memcpy(at, head, 4);
    memcpy(at + 4, p, n);
    return (n + 4 + 3) & ~(size_t)3;
}

/* An unaccepted connection with an unread request, as the kernel tells of it. */
static size_t message(char *out, size_t info_bytes)
{
    struct inet_diag_msg d = {
        .idiag_family = AF_INET,
        .idiag_state = FACTS_CLOSE_WAIT,
        .idiag_timer = 4,
        .idiag_rqueue = 115,
        .idiag_expires = 2500,
        .id = {
               .idiag_sport = htons(8080), .idiag_dport = htons(40000), .idiag_cookie = {7, 1}}
    };
    struct tcp_info i = {.tcpi_rtt = 100,
                         .tcpi_last_data_recv = 41200,
                         .tcpi_bytes_received = 115,
                         .tcpi_busy_time = 5};
    uint32_t mem[SK_MEMINFO_VARS] = {[SK_MEMINFO_RMEM_ALLOC] = 768, [SK_MEMINFO_DROPS] = 36};
    uint8_t shut = 3;
    const uint8_t ip[4] = {192, 168, 56, 2};
    memcpy(d.id.idiag_src, ip, 4);
    memcpy(out, &d, sizeof d);
    size_t n = sizeof d;
    n += attr(out + n, INET_DIAG_SHUTDOWN, &shut, 1);
    n += attr(out + n, INET_DIAG_SKMEMINFO, mem, sizeof mem);
    n += attr(out + n, INET_DIAG_INFO, &i, info_bytes);
    return n;
}

static void test_row(void)
{
    char m[1024] = {0};
    struct facts_look l;
    facts_look_init(&l, wr_heap_libc());
    size_t n = message(m, sizeof(struct tcp_info));
    ok(look_inet_row(&l, &all_tcp, wr_span(m, n)) == 0 && l.sockets.n == 1, "a row");
    const struct facts_socket *s = &l.sockets.v[0];
    ok(s->cookie == (1ULL << 32 | 7) && s->inode == 0 && s->state == FACTS_CLOSE_WAIT, "who");
    ok(s->local_port == 8080 && s->remote_port == 40000 && s->local[3] == 2, "where");
    ok(s->rqueue == 115 && s->timer == FACTS_TIMER_PERSIST && s->timer_ms == 2500,
       "queue, timer");
    ok(s->rmem == 768 && s->drops == 36 && s->shutdown == 3, "memory, drops, half-closed");
    const struct facts_tcp *t = facts_tcp(&l, s);
    ok(t && t->rtt_us == 100 && t->last_data_recv_ms == 41200 && t->busy_us == 5, "tcp_info");

    n = message(m, offsetof(struct tcp_info, tcpi_busy_time));
    ok(look_inet_row(&l, &all_tcp, wr_span(m, n)) == 0, "an old kernel's row");
    t = facts_tcp(&l, &l.sockets.v[1]);
    ok(t && t->bytes_received == 115 && t->busy_us == FACTS_UNKNOWN,
       "what it lacks is not known");
    bool good = true;
    for (size_t cut = 0; cut < n; cut++) {
        int r = look_inet_row(&l, &all_tcp, wr_span(m, cut));
        good = good && r == (cut < sizeof(struct inet_diag_msg) ? -EPROTO : 0);
    }
    ok(good, "cut off anywhere: too short, or a row with fewer facts");
    facts_look_deinit(&l);
}

static int count(void *arg, struct wr_span m)
{
    *(unsigned *)arg += m.n == 4;
    return 0;
}

static void test_walk(void)
{
    struct {
        struct nlmsghdr h[2];
    } two = {
        {{.nlmsg_len = 16, .nlmsg_type = SOCK_DIAG_BY_FAMILY},
         {.nlmsg_len = 16, .nlmsg_type = NLMSG_DONE, .nlmsg_flags = NLM_F_DUMP_INTR}}
    };
    unsigned n = 0;
    bool torn = false;
    ok(sockdiag_walk(wr_span(&two, 16), count, &n, &torn) == SOCKDIAG_MORE && !torn,
       "more follows");
    ok(sockdiag_walk(wr_span(&two, 32), count, &n, &torn) == SOCKDIAG_DONE && torn,
       "the end, torn");
    two.h[1].nlmsg_len = 17;
    ok(sockdiag_walk(wr_span(&two, 32), count, &n, &torn) == -EPROTO, "longer than the answer");
    two.h[0].nlmsg_len = 3;
    ok(sockdiag_walk(wr_span(&two, 32), count, &n, &torn) == -EPROTO, "shorter than its head");
    two.h[0] = (struct nlmsghdr){.nlmsg_len = 20, .nlmsg_type = NLMSG_ERROR};
    two.h[1].nlmsg_len = (uint32_t)-EACCES;
    ok(sockdiag_walk(wr_span(&two, 32), count, &n, &torn) == -EACCES, "an error by its number");
}

/* A listener of ours with one connection that is not accepted: queue, backlog, no owner, unread bytes. */
static void test_real(void)
{
    struct wr_listen_options o = {.addr = wr_addr_v4((const uint8_t[4]){127, 0, 0, 1}, 0),
                                  .backlog = 5};
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    struct facts_look l;
    unsigned backlog, waiting = 0, listening = 0, bytes = 0;
    int lfd, c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool up = wr_listen_socket(&o, &lfd, &backlog) == 0 &&
              getsockname(lfd, (struct sockaddr *)&at, &len) == 0 &&
              connect(c, (struct sockaddr *)&at, len) == 0 && write(c, "hello", 5) == 5;
    ok(up, "a listener and a client");
    facts_look_init(&l, wr_heap_libc());
    is_int(look_inet(&l, &all_tcp), 0, "looked");
    is_int(facts_seal(&l), 0, "sealed");
    if (l.gaps.n) {
        skip("no sock_diag here");
    } else {
        for (uint32_t i = 0; i < l.sockets.n; i++) {
            const struct facts_socket *s = &l.sockets.v[i];
            if (s->local_port != ntohs(at.sin_port))
                continue;
            listening += s->state == FACTS_LISTEN && s->rqueue == 1 && s->inode != 0;
            waiting += s->state == FACTS_ESTABLISHED && s->inode == 0 && s->rqueue == 5;
            bytes += s->state == FACTS_ESTABLISHED && facts_tcp(&l, s) &&
                     facts_tcp(&l, s)->bytes_received == 5;
        }
        ok(listening == 1 && waiting == 1 && bytes == 1,
           "one in the queue, without an owner, unread");
    }
    facts_look_deinit(&l);
    close(c);
    close(lfd);
}

static void test_unix(void)
{
    struct facts_look l;
    struct stat st[2];
    int sv[2];
    ok(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sv) == 0 &&
           fstat(sv[0], &st[0]) == 0 && fstat(sv[1], &st[1]) == 0 && write(sv[0], "x", 1) == 1,
       "a pair with a byte in it");
    facts_look_init(&l, wr_heap_libc());
    is_int(look_unix(&l), 0, "looked");
    is_int(facts_seal(&l), 0, "sealed");
    if (l.gaps.n) {
        skip("no unix_diag here");
    } else {
        const struct facts_unix *a = facts_unix(&l, st[0].st_ino),
                                *b = facts_unix(&l, st[1].st_ino);
        ok(a && b && a->peer == b->inode && b->peer == a->inode, "each is the other's peer");
        ok(a && a->wmem > 0 && b && b->wmem == 0 && b->rqueue > 0,
           "what the one sent waits at the other");
    }
    facts_look_deinit(&l);
    close(sv[0]);
    close(sv[1]);
}

int main(void)
{
    test_row();
    test_walk();
    test_real();
    test_unix();
    return tap_done();
}
