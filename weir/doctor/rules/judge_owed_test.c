/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_owed.h"

#include "weir/doctor/rules/judge_kit_test.h"

static void server(void)
{
    world();
    process(7, "patient", "/usr/bin/patient");
    listener(7, 3, 100, 80, 0, 128);
    watch(7, 4, 3, 100, 0x19);
    thread(7, 7, "patient", TEST_EPOLL, 4, 40);
}

/* n clients whose request came age ms ago; answered: an answer went after it. */
static void clients(unsigned n, uint32_t age, bool answered)
{
    for (unsigned i = 0; i < n; i++)
        connection((struct a_conn){.pid = 7,
                                   .inode = 400 + i,
                                   .fd = 20 + (int)i,
                                   .local_port = 80,
                                   .remote_port = (uint16_t)(5000 + i),
                                   .in_bytes = 77,
                                   .out_bytes = answered ? 90 : 0,
                                   .received_ms = age,
                                   .sent_ms = answered ? age - 100 : age});
}

/* n connections to 10.0.0.7:9105, of which `owe` have a question and no answer. */
static void upstream(unsigned n, unsigned owe, uint32_t age)
{
    for (unsigned i = 0; i < n; i++)
        connection((struct a_conn){.pid = 7,
                                   .inode = 600 + i,
                                   .fd = 60 + (int)i,
                                   .local_port = (uint16_t)(41000 + i),
                                   .remote_port = 9105,
                                   .in_bytes = 50,
                                   .out_bytes = 77,
                                   .sent_ms = age,
                                   .received_ms = i < owe ? age + 3000 : age - 200});
}

static void test_slow_upstream(void)
{
    server();
    clients(10, 8000, false);
    upstream(10, 10, 8000);
    led_by(RULE_SLOW_UPSTREAM, CERTAINTY_LIKELY, "ten wait and the upstream owes ten");
    is_int(value_of(RULE_SLOW_UPSTREAM, EVIDENCE_OWED), 10, "ten owed");
    is_int(value_of(RULE_SLOW_UPSTREAM, EVIDENCE_UPSTREAM_OWES), 10, "ten owed to us");
    is_int(value_of(RULE_SLOW_UPSTREAM, EVIDENCE_OLDEST_MS), 8000, "for eight seconds");
    is_str(finding_of_rule(RULE_SLOW_UPSTREAM)->subject.peer, "10.0.0.7:9105", "by whom");
    ok(finding_of_rule(RULE_STUCK_INSIDE)->rule != RULE_STUCK_INSIDE, "it is not stuck inside");

    server();
    clients(10, 8000, true);
    upstream(10, 0, 8000);
    silent("all answered");
    server();
    clients(2, 8000, false);
    upstream(2, 2, 8000);
    ok(finding_of_rule(RULE_SLOW_UPSTREAM)->rule != RULE_SLOW_UPSTREAM, "two are few");
    judge();
    server();
    clients(10, 2100, false);
    upstream(10, 10, 900);
    judge();
    ok(finding_of_rule(RULE_SLOW_UPSTREAM)->rule != RULE_SLOW_UPSTREAM, "a young question");
}

/* The program's own account of a pool. */
static void own_pool(uint64_t lent, uint64_t waiting)
{
    for (int w = 0; w < 2; w++) {
        uint32_t db = text_at(w, "db");
        PUT(w, weir_pools, .pid = 7, .name = db, .max_open = 8, .open = 8, .lent = lent,
            .waiting = waiting, .waited_ms = 8000);
        PUT(w, weir_leases, .pid = 7, .pool = db, .where = text_at(w, "on_request (shop.c:9)"),
            .lease = 1, .held_ms = 100);
        PUT(w, weir_leases, .pid = 7, .pool = text_at(w, "db"),
            .where = text_at(w, "on_report (shop.c:42)"), .lease = 2, .held_ms = 45200);
    }
}

static void test_own_pool(void)
{
    server();
    clients(7, 8000, false);
    silent("seven wait in a program that tells nothing");
    server();
    clients(7, 8000, false);
    own_pool(8, 7);
    led_by(RULE_STUCK_INSIDE, CERTAINTY_LIKELY, "and in one whose pool is empty");
    const struct finding *f = finding_of_rule(RULE_STUCK_INSIDE);
    is_int(f->severity, SEVERITY_WARN, "a warning");
    is_str(finding_evidence(f, EVIDENCE_POOL)->text, "db: 8 of 8 lent, 7 wait", "which pool");
    is_str(finding_evidence(f, EVIDENCE_BORROWER)->text, "on_report (shop.c:42), 45.2 s",
           "and who holds one longest");
    server();
    clients(7, 8000, false);
    own_pool(5, 0);
    silent("a pool that has more is not why");
}

static void test_stuck_inside(void)
{
    server();
    clients(7, 8000, false);
    upstream(3, 0, 9000);
    for (uint32_t i = 0; i < 7; i++)
        thread(7, 10 + i, "worker", SYS_futex, 0x7f00, 0);
    led_by(RULE_STUCK_INSIDE, CERTAINTY_LIKELY, "seven wait, nobody owes, seven at locks");
    is_int(value_of(RULE_STUCK_INSIDE, EVIDENCE_UPSTREAM_IDLE), 3, "three idle connections");
    is_int(value_of(RULE_STUCK_INSIDE, EVIDENCE_FUTEX), 7, "seven threads");
    is_int(finding_of_rule(RULE_STUCK_INSIDE)->severity, SEVERITY_WARN, "a warning");

    server();
    clients(7, 8000, false);
    for (uint32_t i = 0; i < 7; i++)
        thread(7, 10 + i, "worker", SYS_futex, 0x7f00, 0);
    judge();
    is_int(finding_of_rule(RULE_STUCK_INSIDE)->severity, SEVERITY_WARN, "seven at one lock");
    server();
    clients(7, 8000, false);
    for (uint32_t i = 0; i < 7; i++)
        thread(7, 10 + i, "worker", SYS_futex, 0x7f00 + 8 * i, 0);
    judge();
    is_int(finding_of_rule(RULE_STUCK_INSIDE)->severity, SEVERITY_INFO,
           "each at a lock of its own, no upstream: long polls perhaps");
    server();
    clients(7, 8000, false);
    upstream(3, 0, 9000);
    judge();
    is_int(finding_of_rule(RULE_STUCK_INSIDE)->severity, SEVERITY_INFO,
           "without threads it may be long polls: information");
    server();
    clients(6, 70000, false);
    upstream(3, 0, 90000);
    connection((struct a_conn){.pid = 7,
                               .inode = 500,
                               .fd = 99,
                               .local_port = 80,
                               .remote_port = 9,
                               .in_bytes = 8,
                               .received_ms = 2900,
                               .sent_ms = 3000});
    judge();
    is_int(finding_of_rule(RULE_STUCK_INSIDE)->severity, SEVERITY_WARN,
           "new ones join, none is answered");
    server();
    clients(7, 8000, false);
    judge();
    ok(finding_of_rule(RULE_STUCK_INSIDE)->rule != RULE_STUCK_INSIDE,
       "no upstream, no lock: nobody can tell");
}

static void pool(unsigned asleep, unsigned n, bool handed_over, uint32_t unread)
{
    server();
    for (unsigned i = 0; i < 6; i++) {
        connection((struct a_conn){.pid = 7,
                                   .inode = 400 + i,
                                   .fd = 20 + (int)i,
                                   .local_port = 80,
                                   .remote_port = (uint16_t)(5000 + i),
                                   .rqueue = unread,
                                   .in_bytes = 27,
                                   .out_bytes = 90,
                                   .received_ms = 8000,
                                   .sent_ms = unread ? 9000 : 7000});
        if (!handed_over)
            watch(7, 4, 20 + (int)i, 400 + i, 0x2019);
    }
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "pool-1-thread-%u", i + 1);
        thread(7, 10 + i, name, SYS_futex, 0x7f00, i < asleep ? 0 : 5);
    }
    thread(7, 90, "GC Thread#0", SYS_futex, 0x8f00, 0);
}

static void test_pool(void)
{
    pool(2, 2, true, 27);
    led_by(RULE_WORKER_POOL, CERTAINTY_LIKELY, "six handed over, both workers asleep");
    is_int(value_of(RULE_WORKER_POOL, EVIDENCE_UNREAD), 6, "six unread");
    is_int(value_of(RULE_WORKER_POOL, EVIDENCE_FAMILY_ASLEEP), 2, "two asleep");
    is_str(text_of(RULE_WORKER_POOL, EVIDENCE_FAMILY), "pool-*-thread-*", "the family");
    pool(1, 2, true, 27);
    silent("one of the workers works");
    pool(2, 2, false, 27);
    silent("the loop still watches them: it is busy");
    pool(2, 2, true, 0);
    silent("an idle pool");
}

static void test_one_way(void)
{
    server();
    clients(10, 8000, false);
    upstream(10, 10, 8000);
    for (uint32_t i = 0; i < 10; i++)
        facts.a.tcps.v[i].data_segs_in = facts.b.tcps.v[i].data_segs_in = 40;
    silent("a log that is collected waits for no answer");
}

static void test_unknown(void)
{
    server();
    clients(10, 8000, false);
    upstream(10, 10, 8000);
    for (uint32_t i = 0; i < facts.b.tcps.n; i++)
        facts.b.tcps.v[i].bytes_received = FACTS_UNKNOWN;
    silent("a kernel that counts no bytes");
    server();
    for (unsigned i = 0; i < 10; i++)
        connection((struct a_conn){.pid = 7,
                                   .inode = 400 + i,
                                   .fd = 20 + (int)i,
                                   .local_port = 80,
                                   .remote_port = 5000,
                                   .in_bytes = 77,
                                   .moved = 10,
                                   .received_ms = 1500,
                                   .sent_ms = 3000});
    upstream(10, 10, 8000);
    judge();
    ok(finding_of_rule(RULE_SLOW_UPSTREAM)->rule != RULE_SLOW_UPSTREAM,
       "requests that still come are not owed");
}

int main(void)
{
    test_slow_upstream();
    test_stuck_inside();
    test_own_pool();
    test_pool();
    test_one_way();
    test_unknown();
    return tap_done();
}
