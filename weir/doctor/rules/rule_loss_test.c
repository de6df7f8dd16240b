/* SPDX-License-Identifier: BSD-2-Clause */
/* The path: loss, slow path, closed window, small buffers, Nagle. */
#include "weir/doctor/rules/judge_test.h"

/* Connections that are alike; a and b are their tcp_info at the two looks. */
struct patient {
    unsigned n;
    bool incoming, local;
    struct facts_socket s;
    struct facts_tcp a, b;
    int nodelay; /* as the socket itself says; 0: it was not asked, else 1 + the option */
};

static void conns(const struct patient *p)
{
    tap_fresh();
    tap_listener(80);
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){0});
        for (unsigned i = 0; i < p->n; i++) {
            struct facts_socket s = p->s;
            s.cookie = 1000 + i;
            s.inode = 500 + i;
            s.local_port = p->incoming ? 80 : (uint16_t)(40000 + i);
            s.remote_port = p->incoming ? (uint16_t)(40000 + i) : 5432;
            if (p->local)
                tap_ip(s.remote, 127, 0, 0, 1);
            tap_socket(w, s, w ? &p->b : &p->a);
            struct facts_peek k = {.pid = TAP_PID,
                                   .fd = (int)s.inode,
                                   .inode = s.inode,
                                   .shown = 1,
                                   .nodelay = (uint8_t)(p->nodelay - 1)};
            if (p->nodelay)
                TAP_ADD(w, peeks, &k);
        }
    }
    tap_judge();
}

/* The values of a real 20 % loss: 252000 sent, 72000 again. */
static struct patient lossy(void)
{
    return (struct patient){
        .n = 1,
        .b = {.snd_mss = 1448, .bytes_sent = 252000, .bytes_retrans = 72000, .dsack_dups = 2}
    };
}

static void test_loss(void)
{
    struct patient p = lossy();
    conns(&p);
    is_int(tap_leader(), RULE_LOSS, "a fifth is sent again");
    is_int(tap_found(RULE_LOSS)->certainty, CERTAINTY_PROOF, "proof");
    is_str(tap_found(RULE_LOSS)->subject.peer, "10.0.0.2:5432", "where to");
    is_int(tap_value(RULE_LOSS, EVIDENCE_RETRANS), 72000 - 2 * 1448, "less what was in vain");
    p.incoming = true;
    conns(&p);
    is_int(tap_leader(), RULE_LOSS, "clients too");
    is_str(tap_found(RULE_LOSS)->subject.peer, "10.0.0.2", "by their address");
    p.b.bytes_retrans = 2500;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "one in a hundred is the weather");
    p = lossy();
    p.b.dsack_dups = 50;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "all of it arrived twice: no loss");
    p = lossy();
    p.a = p.b;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "an old loss is over");
    p = lossy();
    p.b.bytes_sent = p.b.bytes_retrans = 1500;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "one packet is no statistic");
    p = lossy();
    p.b.dsack_dups = FACTS_NONE;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "what the kernel does not tell proves nothing");
}

static struct patient slow(void)
{
    return (struct patient){
        .n = 1,
        .s = {.wqueue = 800000, .timer = FACTS_TIMER_RETRANSMIT},
        .b = { .bytes_sent = 100000,
              .bytes_acked = 90000,
              .busy_us = 1990000,
              .snd_cwnd = 4,
              .snd_mss = 1448}
    };
}

static void test_slow_path(void)
{
    struct patient p = slow();
    conns(&p);
    is_int(tap_leader(), RULE_SLOW_PATH, "at this rate the queue needs many seconds");
    is_int(tap_found(RULE_SLOW_PATH)->severity, SEVERITY_INFO, "a note");
    is_int(tap_value(RULE_SLOW_PATH, EVIDENCE_DRAIN_MS), 800000ULL * 2000 / 90000, "so long");
    p.b.bytes_acked = 90000000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "a fast download always has a queue");
    p = slow();
    p.b.rwnd_limited_us = 1000000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "the reader's window is not the path");
    p = slow();
    p.s.wqueue = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "no queue");
}

static struct patient shut(unsigned n)
{
    return (struct patient){
        .n = n,
        .incoming = true,
        .s = {.wqueue = 2803712,           .timer = FACTS_TIMER_PERSIST},
        .b = { .busy_us = 2000000, .rwnd_limited_us = 2000000,     .notsent_bytes = 2803712}
    };
}

static void test_window(void)
{
    struct patient p = shut(12);
    conns(&p);
    is_int(tap_leader(), RULE_ZERO_WINDOW, "clients that do not read");
    is_int(found.leading, 1, "and the path is not blamed");
    const struct finding *f = tap_found(RULE_ZERO_WINDOW);
    is_int(f->certainty, CERTAINTY_PROOF, "proof");
    is_int(f->severity, SEVERITY_WARN, "twelve: a warning");
    is_int(tap_value(RULE_ZERO_WINDOW, EVIDENCE_STUCK), 12, "all in one finding");
    is_int(tap_value(RULE_ZERO_WINDOW, EVIDENCE_RWND_LIMITED), 100, "all the time");
    p = shut(2);
    conns(&p);
    is_int(tap_found(RULE_ZERO_WINDOW)->severity, SEVERITY_INFO, "the odd client: a note");
    p.incoming = false;
    conns(&p);
    is_int(tap_found(RULE_ZERO_WINDOW)->severity, SEVERITY_WARN, "a destination: a warning");
    p = shut(12);
    p.s.timer = FACTS_TIMER_RETRANSMIT;
    conns(&p);
    ok(!tap_has(RULE_ZERO_WINDOW), "an open window");
    p = shut(12);
    p.b.rwnd_limited_us = 200000;
    conns(&p);
    ok(!tap_has(RULE_ZERO_WINDOW), "closed at times: it reads");
}

static void test_buffers(void)
{
    struct patient p = {
        .n = 1, .b = {.busy_us = 1000000, .sndbuf_limited_us = 500000}
    };
    conns(&p);
    is_int(tap_leader(), RULE_SMALL_BUFFERS, "half of the time our own buffer was the limit");
    is_int(tap_found(RULE_SMALL_BUFFERS)->certainty, CERTAINTY_LIKELY, "likely");
    is_int(tap_value(RULE_SMALL_BUFFERS, EVIDENCE_SNDBUF_LIMITED), 50, "half");
    p.local = true;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "not inside the machine");
    p.local = false;
    p.b.sndbuf_limited_us = 100000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "a tenth is nothing");
    p.b = (struct facts_tcp){.busy_us = 10000, .sndbuf_limited_us = 9000};
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "nor is a moment");
}

static struct patient uploads(void)
{
    return (struct patient){
        .n = 1,
        .incoming = true,
        .s = {.rcvbuf = 8192       },
        .b = { .bytes_received = 1600000, .rcv_rtt_us = 5000, .rcv_ssthresh = 4096}
    };
}

static void test_receive_buffers(void)
{
    struct patient p = uploads(); /* 4000 bytes in each of 400 round trips */
    conns(&p);
    is_int(tap_leader(), RULE_SMALL_BUFFERS, "a window of 4 KiB, full in each round trip");
    is_int(tap_found(RULE_SMALL_BUFFERS)->certainty, CERTAINTY_LIKELY, "likely");
    is_int(tap_value(RULE_SMALL_BUFFERS, EVIDENCE_WINDOW_FILLED), 97, "4000 of 4096");
    is_int(tap_value(RULE_SMALL_BUFFERS, EVIDENCE_RCVBUF), 8192, "the buffer");
    p.s.rcvbuf = 131072;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "not one that the kernel chose");
    p = uploads();
    p.s.rqueue = 5792;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "nor before a program that does not read");
    p = uploads();
    p.b.bytes_received = 400000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "nor where little comes");
    p = uploads();
    p.b.rcv_rtt_us = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "nor where the round trip is not known");
    p = uploads();
    p.local = true;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "nor inside the machine");
}

/* The values of a real one: 25 requests, 43.8 ms each, smallest round trip 2 us. */
static struct patient nagle(void)
{
    return (struct patient){
        .n = 1,
        .s = {.wqueue = 200     },
        .b = { .snd_mss = 1448,
              .snd_cwnd = 10,
              .snd_wnd = 65536,
              .min_rtt_us = 2,
              .unacked = 1,
              .notsent_bytes = 100,
              .busy_us = 1096000,
              .bytes_sent = 5000,
              .data_segs_out = 50,
              .data_segs_in = 25}
    };
}

static void test_nagle(void)
{
    struct patient p = nagle();
    conns(&p);
    is_int(tap_leader(), RULE_NAGLE, "forty milliseconds an exchange on a path of two us");
    is_int(tap_found(RULE_NAGLE)->certainty, CERTAINTY_LIKELY, "likely");
    is_int(tap_value(RULE_NAGLE, EVIDENCE_REQUEST_MS), 43, "43.8 ms each");
    is_int(tap_value(RULE_NAGLE, EVIDENCE_MIN_RTT_US), 2, "two microseconds");
    p.b.notsent_bytes = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "nothing held back: the server is slow");
    p.nodelay = 1;
    conns(&p);
    is_int(tap_leader(), RULE_NAGLE, "or at neither look, but Nagle is on");
    p.b.data_segs_out = 25;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "one segment a message: the server is slow");
    p = nagle();
    p.nodelay = 2;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "TCP_NODELAY is set");
    p = nagle();
    p.b.min_rtt_us = 40000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "a path of 40 ms needs 40 ms");
    p = nagle();
    p.b.busy_us = 25000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "one millisecond each");
    p = nagle();
    p.b.unacked = 10;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "the congestion window holds it, not Nagle");
    p = nagle();
    p.b.min_rtt_us = FACTS_NONE;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "an unknown path proves nothing");
}

int main(void)
{
    test_loss();
    test_slow_path();
    test_window();
    test_buffers();
    test_receive_buffers();
    test_nagle();
    return tap_done();
}
