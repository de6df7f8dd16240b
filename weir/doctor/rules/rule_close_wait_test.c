/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a connection: close-wait-leak, stale-pooled-conn, no-keepalive, no-timeouts, socket-without-protocol. */
#include "weir/doctor/rules/judge_test.h"

struct
    patient { /* n connections, all alike; what differs between the looks is said by _more and _rise */
    unsigned n, more;
    struct facts_socket s;
    struct facts_tcp t;
    uint64_t sent_rise;
    unsigned unread_step; /* the kth has k % unread_step unread bytes more */
};

static void conns(const struct patient *p)
{
    tap_fresh();
    tap_listener(80);
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){0});
        for (unsigned i = 0; i < p->n + (w ? p->more : 0); i++) {
            struct facts_socket s = p->s;
            struct facts_tcp t = p->t;
            s.cookie = 1000 + i;
            s.inode = s.inode ? 500 + i : 0;
            s.rqueue += p->unread_step ? i % p->unread_step : 0;
            if (s.local_port == 80)
                s.remote_port = (uint16_t)(40000 + i);
            else
                s.local_port = (uint16_t)(40000 + i);
            t.bytes_sent += w * p->sent_rise;
            tap_socket(w, s, t.known ? &t : NULL);
        }
    }
    tap_judge();
}

#define ANSWERED                                                                            \
    {                                                                                       \
        .known = 248, .bytes_sent = 100, .bytes_received = 100, .last_data_recv_ms = 60000, \
        .last_data_sent_ms = 59990                                                          \
    }

static struct patient leak(void)
{
    return (struct patient){
        .n = 12,
        .more = 3,
        .s = {.inode = 1, .state = FACTS_CLOSE_WAIT, .local_port = 80},
        .t = ANSWERED,
        .unread_step = 3,
    };
}

static void test_close_wait(void)
{
    struct patient p = leak();
    conns(&p);
    is_int(tap_leader(), RULE_CLOSE_WAIT, "twelve kept, and more come");
    is_int(found.leading, 1, "nothing else");
    is_int(tap_found(RULE_CLOSE_WAIT)->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_found(RULE_CLOSE_WAIT)->subject.pid, TAP_PID, "whose they are");
    is_int(tap_value(RULE_CLOSE_WAIT, EVIDENCE_CLOSE_WAIT), 15, "fifteen now");
    is_int(tap_value(RULE_CLOSE_WAIT, EVIDENCE_EOF_READ), 4, "four read to the end and kept");
    is_int(tap_value(RULE_CLOSE_WAIT, EVIDENCE_EOF_UNREAD), 4, "four never read to the end");
    is_int(tap_value(RULE_CLOSE_WAIT, EVIDENCE_REQUEST_UNREAD), 4, "four never read at all");
    p.t.last_data_sent_ms = 61000;
    conns(&p);
    is_int(tap_leader(), RULE_CLOSE_WAIT, "unanswered ones");
    is_int(tap_found(RULE_CLOSE_WAIT)->certainty, CERTAINTY_LIKELY,
           "may be half-closed by a client that waits: likely");
}

static void test_close_wait_twins(void)
{
    struct patient p = leak();
    p.more = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "twelve that do not grow are normal");
    p.n = 60;
    conns(&p);
    is_int(tap_leader(), RULE_CLOSE_WAIT, "sixty are not");
    p = leak();
    p.t.last_data_recv_ms = 10;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "young ones are work in flight");
    p = leak();
    p.s.inode = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "nobody's are no leak");
    p = leak();
    p.sent_rise = 10;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "a half-closed client that is being served");
    p = leak();
    p.s.wqueue = 10;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "or whose answer is still on its way");
    p = leak();
    p.t.known = 0;
    conns(&p);
    is_int(tap_leader(), RULE_CLOSE_WAIT, "of an unknown age: as old as the first look");
    is_int(tap_value(RULE_CLOSE_WAIT, EVIDENCE_OLDEST_MS), 2000, "and that is said");
}

/* The kernel shows the sockets to everybody, but whose they are only to their owner and to root. */
static void test_hidden_owner(void)
{
    static const uint16_t port = 80;
    const struct judge_target asked = {.ports = &port, .n_ports = 1};
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        for (unsigned i = 0; i < 60; i++) {
            const struct facts_tcp t = ANSWERED;
            tap_socket(w,
                       (struct facts_socket){.cookie = 1000 + i,
                                             .inode = 500 + i,
                                             .state = FACTS_CLOSE_WAIT,
                                             .local_port = 80,
                                             .remote_port = (uint16_t)(40000 + i)},
                       &t);
        }
        tap_look(w)->fds.n = 0;
    }
    tap_judge_for(&asked);
    is_int(tap_leader(), RULE_CLOSE_WAIT, "a leak shows without its owner");
    is_str(tap_found(RULE_CLOSE_WAIT)->subject.comm, "10.0.0.1:80", "named by its address");
}

static void test_one_closes(void)
{
    tap_fresh();
    tap_listener(80);
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){0});
        for (unsigned i = 0; i < 12; i++) { /* two new ones, three of the first look closed */
            const struct facts_tcp t = ANSWERED;
            struct facts_socket s = {.cookie = 1000 + i,
                                     .inode = 500 + i,
                                     .state = FACTS_CLOSE_WAIT,
                                     .local_port = 80,
                                     .remote_port = (uint16_t)(40000 + i)};
            if (w ? i < 3 : i >= 10)
                continue;
            tap_socket(w, s, &t);
        }
    }
    tap_judge();
    is_int(tap_leader(), RULE_COUNT, "a program that closes as many is at work");
}

static struct patient pool(void)
{
    return (struct patient){
        .n = 3,
        .s = {.inode = 1, .state = FACTS_CLOSE_WAIT, .remote_port = 3306, .rqueue = 1},
        .t = ANSWERED,
    };
}

static void test_pool(void)
{
    struct patient p = pool();
    conns(&p);
    is_int(tap_leader(), RULE_STALE_POOL, "three that the server has closed");
    is_int(found.leading, 1, "and no leak besides");
    const struct finding *f = tap_found(RULE_STALE_POOL);
    is_int(f->certainty, CERTAINTY_PROOF, "proof");
    is_str(f->subject.peer, "10.0.0.2:3306", "which server");
    is_int(tap_value(RULE_STALE_POOL, EVIDENCE_STALE), 3, "three");
    is_int(tap_value(RULE_STALE_POOL, EVIDENCE_OLDEST_MS), 60000, "since when");
    p.s.state = FACTS_ESTABLISHED;
    p.s.rqueue = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "an idle pool");
    p = pool();
    p.n = 1;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "one that has just been closed");
    p = pool();
    p.sent_rise = 1;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "one in use");
    p = pool();
    p.t.known = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "unknown: not said");
    p = pool();
    p.s.local_port = 80;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "clients are no pool, and three are no leak");
}

static struct patient asleep(void)
{
    return (struct patient){
        .n = 25,
        .s = {.inode = 1,                   .local_port = 80},
        .t = { .known = 248,
              .bytes_sent = 9,
              .bytes_received = 9,
              .last_data_recv_ms = 3600000,
              .last_data_sent_ms = 3600000},
    };
}

static void test_keepalive(void)
{
    struct patient p = asleep();
    conns(&p);
    is_int(tap_leader(), RULE_NO_KEEPALIVE, "an hour without a word and without a timer");
    is_int(tap_found(RULE_NO_KEEPALIVE)->certainty, CERTAINTY_HINT, "is legal: a hint");
    is_int(tap_found(RULE_NO_KEEPALIVE)->severity, SEVERITY_INFO, "and a note");
    is_int(tap_value(RULE_NO_KEEPALIVE, EVIDENCE_IDLE), 25, "how many");
    p.s.timer = FACTS_TIMER_KEEPALIVE;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "keep-alive is on");
    p = asleep();
    p.s.local_port = 0;
    p.s.remote_port = 3306;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "a pool to a database");
    p = asleep();
    p.t.last_data_sent_ms = 1000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "a stream that speaks");
    p = asleep();
    tap_ip(p.s.remote, 127, 0, 0, 1);
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "inside the machine nobody vanishes");
    p = asleep();
    p.n = 1;
    p.s.timer = FACTS_TIMER_RETRANSMIT;
    p.s.retrans = 6;
    p.s.wqueue = 100;
    p.t.unacked = 1;
    p.t.last_ack_recv_ms = 20000;
    conns(&p);
    is_int(tap_leader(), RULE_NO_KEEPALIVE, "one that no longer acknowledges");
    is_int(tap_found(RULE_NO_KEEPALIVE)->certainty, CERTAINTY_LIKELY, "is likely gone");
    is_int(tap_value(RULE_NO_KEEPALIVE, EVIDENCE_HALF_OPEN), 1, "and counted");
    p.s.retrans = 1;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "one repetition is a lost packet");
}

static void test_timeouts(void)
{
    struct patient p = {
        .n = 3,
        .s = {.inode = 1,                 .local_port = 80},
        .t = { .known = 248,
              .bytes_received = 50,
              .last_data_recv_ms = 90000,
              .last_data_sent_ms = 90001},
    };
    conns(&p);
    is_int(tap_leader(), RULE_NO_TIMEOUTS, "three first requests without any answer");
    is_int(tap_found(RULE_NO_TIMEOUTS)->certainty, CERTAINTY_HINT, "a hint");
    is_int(tap_value(RULE_NO_TIMEOUTS, EVIDENCE_OLDEST_MS), 90000, "since when");
    p.t.bytes_sent = 1;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "streams and sessions have been answered once");
    p.t.bytes_sent = 0;
    p.t.bytes_received = 0;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "connections in reserve have asked nothing");
    p.t.bytes_received = 50;
    p.t.last_data_recv_ms = 5000;
    conns(&p);
    is_int(tap_leader(), RULE_COUNT, "five seconds are no minute");
}

struct bare { /* n descriptors of this process that no dump shows */
    unsigned n;
    const char *name;
    uint8_t state;
    uint64_t bytes, net;
    bool shown, young;
};

static void bare(const struct bare *p)
{
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        tap_look(w)->net = 4026531840;
        tap_process(w, (struct facts_process){.fds = 40, .net = p->net});
        for (unsigned i = 0; i < p->n; i++) {
            struct facts_peek k = {.pid = TAP_PID,
                                   .fd = (int)i,
                                   .inode = 500 + i + (p->young ? w * 1000 : 0),
                                   .state = p->state,
                                   .shown = p->shown,
                                   .bytes = p->bytes};
            if (facts_text_add(tap_look(w), wr_span_str(p->name), &k.name))
                abort();
            TAP_ADD(w, peeks, &k);
        }
    }
    tap_judge();
}

static void test_bare(void)
{
    struct bare p = {
        .n = 4, .name = "TCP", .state = FACTS_CLOSE, .bytes = 77, .net = 4026531840};
    bare(&p);
    is_int(tap_leader(), RULE_NO_PROTOCOL, "four that were reset and never closed");
    is_int(tap_found(RULE_NO_PROTOCOL)->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_value(RULE_NO_PROTOCOL, EVIDENCE_BARE_SOCKETS), 4, "four");
    is_int(tap_value(RULE_NO_PROTOCOL, EVIDENCE_WAS_CONNECTED), 4, "all had a connection");
    p.bytes = 0;
    bare(&p);
    is_int(tap_value(RULE_NO_PROTOCOL, EVIDENCE_WAS_CONNECTED), 0, "or none ever had");
    p.name = "NETLINK";
    bare(&p);
    is_int(tap_leader(), RULE_COUNT, "netlink is never in a dump");
    p.name = "TCPv6";
    p.state = FACTS_ESTABLISHED;
    bare(&p);
    is_int(tap_leader(), RULE_COUNT, "connections of another namespace");
    p.state = UINT8_MAX;
    bare(&p);
    is_int(tap_found(RULE_NO_PROTOCOL)->certainty, CERTAINTY_LIKELY, "not asked: likely");
    p.net = 1;
    bare(&p);
    is_int(tap_leader(), RULE_COUNT, "not asked, and of another namespace: not said");
    p.state = FACTS_CLOSE;
    p.young = true;
    bare(&p);
    is_int(tap_leader(), RULE_COUNT, "others at each look: they come and go");
    p.young = false;
    p.shown = true;
    bare(&p);
    is_int(tap_leader(), RULE_COUNT, "in the dump after all");
    p.shown = false;
    p.n = 2;
    bare(&p);
    is_int(tap_leader(), RULE_COUNT, "two are few");
}

int main(void)
{
    test_close_wait();
    test_close_wait_twins();
    test_hidden_owner();
    test_one_closes();
    test_pool();
    test_keepalive();
    test_timeouts();
    test_bare();
    return tap_done();
}
