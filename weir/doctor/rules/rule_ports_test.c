/* SPDX-License-Identifier: BSD-2-Clause */
/* Destinations: ephemeral-ports-exhausted, time-wait-pile-up, time-wait-harmless, connect-pile-up. */
#include "weir/doctor/rules/judge_test.h"

struct patient {
    unsigned n;      /* sockets, from port 33000 on */
    unsigned open;   /* the first so many are established and owned, the others in `state` */
    unsigned spread; /* over so many destinations */
    uint8_t state, retrans;
    uint32_t timer_ms;
    uint64_t reuse;
    unsigned last; /* of the range */
    bool local;
};

static void range_of(unsigned last, uint64_t reuse)
{
    for (int w = 0; w < 2; w++) {
        tap_look(w)->sysctl[FACTS_SYS_PORT_RANGE][0] = 33000;
        tap_look(w)->sysctl[FACTS_SYS_PORT_RANGE][1] = last ? last : 33019;
        tap_look(w)->sysctl[FACTS_SYS_TW_REUSE][0] = reuse;
        tap_look(w)->sysctl[FACTS_SYS_MAX_TW_BUCKETS][0] = 16384;
    }
}

static void sockets(const struct patient *p)
{
    tap_fresh();
    range_of(p->last, p->reuse);
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){0});
        for (unsigned i = 0; i < p->n; i++) {
            bool owned = i < p->open || p->state == FACTS_SYN_SENT;
            struct facts_socket s = {.cookie = 1 + i,
                                     .inode = owned ? 500 + i : 0,
                                     .state = i < p->open ? FACTS_ESTABLISHED : p->state,
                                     .retrans = p->retrans,
                                     .timer_ms = p->timer_ms,
                                     .local_port = (uint16_t)(33000 + i),
                                     .remote_port =
                                         (uint16_t)(443 + (p->spread ? i % p->spread : 0))};
            if (p->local)
                tap_ip(s.remote, 127, 0, 0, 1);
            tap_socket(w, s, NULL);
        }
    }
    tap_judge();
}

static void test_ports(void)
{
    struct patient p = {.n = 19, .open = 2, .state = FACTS_TIME_WAIT, .timer_ms = 30000};
    sockets(&p);
    is_int(tap_leader(), RULE_PORTS, "nineteen of twenty ports to one destination");
    is_int(found.leading, 1, "explains the TIME_WAIT");
    const struct finding *f = tap_found(RULE_PORTS);
    is_int(f->certainty, CERTAINTY_LIKELY, "likely: the kernel counts no EADDRNOTAVAIL");
    is_int(f->severity, SEVERITY_CRIT, "critical");
    is_str(f->subject.peer, "10.0.0.2:443", "the destination is named");
    is_int(f->subject.pid, TAP_PID, "and who goes there");
    const struct evidence *e = finding_evidence(f, EVIDENCE_PORTS);
    is_int(e ? e->limit : 0, 20, "of how many");
    is_int(tap_value(RULE_PORTS, EVIDENCE_TIME_WAITS), 17, "seventeen of them closed");
    p.spread = 2;
    sockets(&p);
    is_int(tap_leader(), RULE_COUNT, "as many to two destinations: each could use all");
    p.spread = 1;
    p.n = 17;
    p.open = 17;
    sockets(&p);
    is_int(tap_leader(), RULE_COUNT, "seventeen of twenty: room left");
    p = (struct patient){
        .n = 19, .open = 2, .state = FACTS_TIME_WAIT, .timer_ms = 30000, .reuse = 1};
    sockets(&p);
    is_int(tap_leader(), RULE_TIME_WAIT, "TIME_WAIT that may be reused holds no port");
    p.reuse = 2;
    sockets(&p);
    is_int(tap_leader(), RULE_PORTS, "reuse 2 is for inside the machine");
    p.local = true;
    sockets(&p);
    is_int(tap_leader(), RULE_TIME_WAIT, "there it helps");
    p.timer_ms = 59800;
    sockets(&p);
    is_int(tap_leader(), RULE_PORTS, "but not in the first second");
}

/* All of them are TIME_WAIT: who used them has none left. */
static void test_nobody(void)
{
    struct patient p = {.n = 19, .state = FACTS_TIME_WAIT, .timer_ms = 30000};
    sockets(&p);
    is_int(tap_leader(), RULE_PORTS, "nobody has a connection left: said all the same");
    is_int(tap_found(RULE_PORTS)->subject.pid, 0, "and nobody is named");
    p.n = 17;
    sockets(&p);
    is_int(tap_leader(), RULE_TIME_WAIT, "seventeen of twenty: room left");
}

static void test_unknown_range(void)
{
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        tap_look(w)->sysctl[FACTS_SYS_PORT_RANGE][0] = FACTS_UNKNOWN;
        tap_look(w)->sysctl[FACTS_SYS_PORT_RANGE][1] = FACTS_UNKNOWN;
        for (unsigned i = 0; i < 27000; i++)
            tap_socket(w,
                       (struct facts_socket){.cookie = 1 + i,
                                             .inode = 500 + i,
                                             .local_port = (uint16_t)(32768 + i),
                                             .remote_port = 443},
                       NULL);
    }
    tap_judge();
    is_int(tap_leader(), RULE_COUNT, "a range that could not be read proves nothing");
}

static void test_time_wait(void)
{
    struct patient p = {.n = 12, .open = 1, .state = FACTS_TIME_WAIT, .timer_ms = 30000};
    sockets(&p);
    is_int(tap_leader(), RULE_TIME_WAIT, "half of the range");
    is_int(tap_found(RULE_TIME_WAIT)->severity, SEVERITY_INFO, "a note");
    is_int(tap_found(RULE_TIME_WAIT)->certainty, CERTAINTY_PROOF, "and a fact");
    is_int(tap_value(RULE_TIME_WAIT, EVIDENCE_TIME_WAITS), 11, "how many");
    p.n = 8;
    sockets(&p);
    is_int(tap_leader(), RULE_COUNT, "a third is nothing");
    p.n = 12;
    p.open = 12;
    sockets(&p);
    is_int(tap_leader(), RULE_COUNT, "open connections are none");
}

static void server(unsigned n)
{
    tap_fresh();
    tap_listener(80);
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){0});
        for (unsigned i = 0; i < n; i++)
            tap_socket(w,
                       (struct facts_socket){.cookie = 1000 + i,
                                             .state = FACTS_TIME_WAIT,
                                             .local_port = 80,
                                             .remote_port = (uint16_t)(20000 + i)},
                       NULL);
    }
    tap_judge();
}

static void test_server(void)
{
    server(20000);
    is_int(tap_leader(), RULE_TIME_WAIT_SERVER, "many at the listener: said to be harmless");
    is_int(found.leading, 1, "and nothing else is said of them");
    is_int(tap_found(RULE_TIME_WAIT_SERVER)->severity, SEVERITY_INFO, "a note");
    is_int(tap_value(RULE_TIME_WAIT_SERVER, EVIDENCE_TIME_WAITS), 20000, "how many");
    server(100);
    is_int(tap_leader(), RULE_COUNT, "a hundred deserve no word");
}

static void test_connect(void)
{
    struct patient p = {.n = 6, .state = FACTS_SYN_SENT, .retrans = 1, .last = 60000};
    sockets(&p);
    is_int(tap_leader(), RULE_CONNECT_PILE_UP, "six connects sent again");
    is_int(tap_found(RULE_CONNECT_PILE_UP)->certainty, CERTAINTY_PROOF, "proof");
    is_str(tap_found(RULE_CONNECT_PILE_UP)->subject.peer, "10.0.0.2:443", "where to");
    is_int(tap_value(RULE_CONNECT_PILE_UP, EVIDENCE_SYN_SENT), 6, "six");
    p.retrans = 0;
    sockets(&p);
    is_int(tap_leader(), RULE_COUNT, "connects in flight");
    p.retrans = 1;
    p.spread = 3;
    sockets(&p);
    is_int(tap_leader(), RULE_COUNT, "two to each of three: not one destination");
}

int main(void)
{
    test_ports();
    test_nobody();
    test_unknown_range();
    test_time_wait();
    test_server();
    test_connect();
    return tap_done();
}
