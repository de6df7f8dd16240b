/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_listener.h"

#include "weir/doctor/rules/judge_kit_test.h"

/* Port 80: inode 100, descriptor 3 of pid 7, three that nobody accepts. */
static void stuck(int call, uint64_t arg, uint64_t woken)
{
    world();
    process(7, "patient", "/usr/bin/patient");
    listener(7, 3, 100, 80, 3, 128);
    unaccepted(900, 80, 3);
    thread(7, 7, "patient", call, arg, woken);
}

static void test_unwatched(void)
{
    stuck(TEST_EPOLL, 4, 9);
    led_by(RULE_UNWATCHED, CERTAINTY_LIKELY, "a loop that turns without its listener");
    is_int(findings.leading, 1, "nothing else leads");
    is_int(value_of(RULE_UNWATCHED, EVIDENCE_UNACCEPTED), 3, "three wait");
    is_int(value_of(RULE_UNWATCHED, EVIDENCE_OWNERS), 1, "one holds it");
    stuck(SYS_clock_nanosleep, 0, 0);
    thread(7, 8, "worker", SYS_futex, 0, 0);
    led_by(RULE_UNWATCHED, CERTAINTY_LIKELY, "the accept thread is gone, the main one sleeps");
    stuck(SYS_poll, 0x7000, 0);
    led_by(RULE_UNWATCHED, CERTAINTY_LIKELY, "poll() would have told of it");

    stuck(TEST_EPOLL, 4, 9);
    watch(7, 4, 3, 100, 0x19);
    silent("a loop that watches it and wakes");
    stuck(SYS_poll, 0x7000, 3);
    silent("one thread that is busy may come back");
    stuck(SYS_accept4, 3, 0);
    silent("one in accept()");
    stuck(SYS_rt_sigsuspend, 0, 0);
    process(8, "patient", "/usr/bin/patient");
    fd(8, 3, FACTS_FD_SOCKET, 100);
    watch(8, 4, 3, 100, 0x19);
    thread(8, 8, "patient", TEST_EPOLL, 4, 9);
    silent("another owner watches it");
}

static void test_unwatched_unknown(void)
{
    stuck(TEST_EPOLL, 4, 9);
    process(8, "patient", "/usr/bin/patient");
    fd(8, 3, FACTS_FD_SOCKET, 100);
    silent("an owner whose threads are not known");
    stuck(FACTS_SYSCALL_UNKNOWN, 0, 9);
    facts.b.processes.v[0].unread = FACTS_UNREAD_SYSCALL;
    silent("a call that could not be read");
    stuck(TEST_EPOLL, 4, 9);
    facts.a.processes.v[0].unread = FACTS_UNREAD_FDINFO;
    silent("a set that could not be read");
    stuck(TEST_EPOLL, 4, 9);
    watch(7, 4, 3, FACTS_UNKNOWN, 0x19);
    silent("an old kernel that tells no inode of a watch");
    stuck(SYS_io_uring_enter, 5, 0);
    BOTH(rings, .pid = 7, .fd = 5, .polls = 1, .accepts = 1);
    silent("a ring with an accept pending");
}

static void limit(uint64_t fds, uint64_t soft, unsigned waiting, uint64_t ticks)
{
    world();
    process(7, "patient", "/usr/bin/patient");
    for (int w = 0; w < 2; w++) {
        look(w)->processes.v[0].fds = fds;
        look(w)->processes.v[0].nofile_soft = soft;
    }
    listener(7, 3, 100, 80, waiting, 128);
    watch(7, 4, 3, 100, 0x19);
    unaccepted(900, 80, waiting);
    struct facts_thread t = a_thread(7, 7, "patient", FACTS_SYSCALL_RUNNING, 0);
    t.state = 'R';
    PUT_ROW(0, threads, &t);
    t.utime += ticks;
    PUT_ROW(1, threads, &t);
}

static void test_fd_limit(void)
{
    limit(12, 12, 14, 190);
    led_by(RULE_FD_LIMIT, CERTAINTY_PROOF, "at the limit, a queue, a loop that spins");
    is_int(value_of(RULE_FD_LIMIT, EVIDENCE_FDS), 12, "twelve open");
    is_int(value_of(RULE_FD_LIMIT, EVIDENCE_CPU_PERCENT), 95, "95 percent of a processor");
    is_int(value_of(RULE_FD_LIMIT, EVIDENCE_UNACCEPTED), 14, "fourteen wait");
    limit(12, 12, 14, 0);
    led_by(RULE_FD_LIMIT, CERTAINTY_PROOF, "a queue is enough");
    limit(12, 12, 0, 190);
    led_by(RULE_FD_LIMIT, CERTAINTY_PROOF, "a spin is enough");
    limit(12, 12, 0, 10);
    silent("a process that lives well at its limit");
    limit(9, 12, 14, 190);
    silent("one that has room");
    limit(FACTS_UNKNOWN, 12, 14, 190);
    silent("an unknown count proves nothing");
    limit(12, FACTS_UNKNOWN, 14, 190);
    silent("nor does an unknown limit");
}

/* Four listeners at port 80, one to a process; the queue of the third has `waiting`. */
static void group(unsigned waiting, unsigned of_others)
{
    world();
    for (uint32_t i = 0; i < 4; i++) {
        process(7 + i, "worker", "/usr/bin/patient");
        listener(7 + i, 3, 100 + i, 80, i == 2 ? waiting : of_others, 64);
        if (i != 2)
            watch(7 + i, 4, 3, 100 + i, 0x19);
        thread(7 + i, 7 + i, "worker", i == 2 ? SYS_rt_sigsuspend : TEST_EPOLL, 4,
               i == 2 ? 0 : 20);
    }
    unaccepted(900, 80, waiting + 3 * of_others);
}

static void test_reuseport(void)
{
    group(16, 0);
    led_by(RULE_REUSEPORT_DEAD, CERTAINTY_LIKELY, "one of four does not accept");
    is_int(findings.leading, 1, "it explains that nobody watches its listener");
    is_int(value_of(RULE_REUSEPORT_DEAD, EVIDENCE_MEMBERS), 4, "four members");
    is_int(value_of(RULE_REUSEPORT_DEAD, EVIDENCE_STUCK_MEMBERS), 1, "one stuck");
    is_int(finding_of_rule(RULE_REUSEPORT_DEAD)->subject.pid, 9, "whose it is");
    group(0, 0);
    silent("a group that serves");
    group(16, 2);
    judge();
    ok(finding_of_rule(RULE_REUSEPORT_DEAD)->rule != RULE_REUSEPORT_DEAD,
       "all have a queue: load, or worse");
}

static void test_inherited(void)
{
    world();
    process(7, "sleep", "/usr/bin/sleep");
    listener(7, 9, 100, 80, 4, 64);
    unaccepted(900, 80, 4);
    thread(7, 7, "sleep", SYS_clock_nanosleep, 0, 0);
    led_by(RULE_INHERITED, CERTAINTY_PROOF, "sleep holds a listener");
    is_int(findings.leading, 1, "which explains that nobody watches it");
    is_str(text_of(RULE_INHERITED, EVIDENCE_OWNER), "pid 7 sleep (asleep)", "who it is");
    world();
    process(7, "sleep", "/usr/bin/sleep");
    process(8, "patient", "/usr/bin/patient");
    listener(7, 9, 100, 80, 0, 64);
    fd(8, 3, FACTS_FD_SOCKET, 100);
    watch(8, 4, 3, 100, 0x19);
    thread(7, 7, "sleep", SYS_clock_nanosleep, 0, 0);
    thread(8, 8, "patient", TEST_EPOLL, 4, 7);
    silent("while the server lives it does no harm");
}

static void one_shot(uint32_t mask, uint32_t unread, int helper)
{
    world();
    process(7, "patient", "/usr/bin/patient");
    listener(7, 3, 100, 80, 0, 64);
    watch(7, 4, 3, 100, 0x19);
    for (uint32_t i = 0; i < 5; i++) {
        connection((struct a_conn){.pid = 7,
                                   .inode = 400 + i,
                                   .fd = 20 + (int)i,
                                   .local_port = 80,
                                   .remote_port = (uint16_t)(5000 + i),
                                   .rqueue = unread,
                                   .in_bytes = 77,
                                   .out_bytes = 9,
                                   .received_ms = 8000,
                                   .sent_ms = 9000});
        watch(7, 4, 20 + (int)i, 400 + i, mask);
    }
    thread(7, 7, "patient", TEST_EPOLL, 4, 3);
    thread(7, 8, "worker", helper, 0, 0);
}

static void test_oneshot(void)
{
    one_shot(0xc0000000, 39, SYS_futex);
    led_by(RULE_ONESHOT, CERTAINTY_LIKELY, "five spent, five unread");
    is_int(value_of(RULE_ONESHOT, EVIDENCE_UNREAD), 5, "five");
    is_int(value_of(RULE_ONESHOT, EVIDENCE_EPOLL_MASK), 0xc0000000, "the spent mask");
    one_shot(0xc0002001, 39, SYS_futex);
    silent("armed");
    one_shot(0xc0000000, 0, SYS_futex);
    judge();
    ok(finding_of_rule(RULE_ONESHOT)->rule != RULE_ONESHOT, "spent, and nothing to read");
    one_shot(0xc0000000, 39, SYS_recvfrom);
    judge();
    ok(finding_of_rule(RULE_ONESHOT)->rule != RULE_ONESHOT, "a worker is at it");
}

static void backlog(uint32_t queue, uint32_t size, uint64_t somaxconn)
{
    world();
    process(7, "patient", "/usr/bin/patient");
    listener(7, 3, 100, 80, queue, size);
    watch(7, 4, 3, 100, 0x19);
    thread(7, 7, "patient", TEST_EPOLL, 4, 200);
    facts.a.sysctl[FACTS_SYS_SOMAXCONN][0] = facts.b.sysctl[FACTS_SYS_SOMAXCONN][0] = somaxconn;
}

static void test_backlog(void)
{
    backlog(9, 12, 4096);
    led_by(RULE_BACKLOG_CLIPPED, CERTAINTY_LIKELY, "nine of twelve");
    is_int(value_of(RULE_BACKLOG_CLIPPED, EVIDENCE_BACKLOG), 12, "its backlog");
    is_int(finding_of_rule(RULE_BACKLOG_CLIPPED)->severity, SEVERITY_INFO, "nobody is hurt");
    backlog(9, 12, 4096);
    facts.b.sockets.v[0].drops = 5;
    judge();
    is_int(finding_of_rule(RULE_BACKLOG_CLIPPED)->severity, SEVERITY_WARN,
           "with drops: a warning");
    backlog(2000, 2048, 2048);
    led_by(RULE_BACKLOG_CLIPPED, CERTAINTY_LIKELY, "one that somaxconn cut");
    backlog(2000, 2048, FACTS_UNKNOWN);
    silent("a large one");
    backlog(0, 12, 4096);
    silent("a small one that is empty");
}

/* n half-open handshakes; steady: the same at both looks; a new address for each, or one for all. */
static void half_open(unsigned n, bool steady, bool many, uint64_t cookies, uint64_t overflows)
{
    backlog(0, 16, 4096);
    for (int w = 0; w < 2; w++)
        for (unsigned i = 0; i < n; i++)
            PUT(w, sockets, .cookie = 2000 + i + (steady ? 0 : (uint64_t)w * 500),
                .proto = FACTS_TCP, .family = AF_INET, .state = FACTS_SYN_RECV,
                .local = {127, 0, 0, 1}, .local_port = 80,
                .remote = {10, 9, 0, (uint8_t)(many ? i : 1)},
                .remote_port = (uint16_t)(3000 + i), .tcp = FACTS_NONE);
    facts.b.counter[FACTS_SYNCOOKIES_SENT] = cookies;
    facts.b.counter[FACTS_LISTEN_OVERFLOWS] = overflows;
}

static void test_syn_flood(void)
{
    half_open(17, true, true, 183, 0);
    led_by(RULE_SYN_FLOOD, CERTAINTY_PROOF, "seventeen stay half open, cookies are sent");
    is_int(value_of(RULE_SYN_FLOOD, EVIDENCE_SYN_RECV), 17, "seventeen");
    is_int(value_of(RULE_SYN_FLOOD, EVIDENCE_SOURCES), 17, "of as many addresses");
    half_open(17, true, false, 183, 0);
    led_by(RULE_SYN_FLOOD, CERTAINTY_LIKELY, "of one address: less certain");
    half_open(17, false, true, 183, 0);
    silent("a burst: others at each look");
    half_open(17, true, true, 0, 0);
    silent("no cookie, no drop");
    half_open(17, true, true, 183, 9);
    silent("the accept queue overflows: it is that");
    half_open(17, true, true, FACTS_UNKNOWN, 0);
    silent("counters that are not known");
}

static void shared(unsigned n, uint32_t mask, uint64_t accepts, uint64_t woken)
{
    world();
    for (uint32_t i = 0; i < n; i++) {
        process(7 + i, "worker", "/usr/bin/patient");
        if (i == 0)
            listener(7, 3, 100, 80, 0, 511);
        else
            fd(7 + i, 3, FACTS_FD_SOCKET, 100);
        watch(7 + i, 4, 3, 100, mask);
        thread(7 + i, 7 + i, "worker", TEST_EPOLL, 4, woken);
    }
    facts.b.counter[FACTS_PASSIVE_OPENS] = accepts;
}

static void test_herd(void)
{
    shared(8, 0x19, 200, 199);
    led_by(RULE_HERD, CERTAINTY_PROOF, "eight processes wake for each connection");
    is_int(value_of(RULE_HERD, EVIDENCE_SETS), 8, "eight sets");
    is_int(value_of(RULE_HERD, EVIDENCE_LOOP_WAKEUPS), 1592, "their wake-ups");
    shared(8, 0x10000019, 200, 199);
    silent("EPOLLEXCLUSIVE");
    shared(8, 0x19, 200, 25);
    silent("one wake-up for a connection");
    shared(8, 0x19, 10, 199);
    silent("few connections");
    shared(2, 0x19, 200, 500);
    silent("two are no herd");
    shared(8, 0x19, FACTS_UNKNOWN, 199);
    silent("connections that were not counted");
}

static void conns_of(uint32_t pid, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        connection((struct a_conn){.pid = pid,
                                   .inode = 1000 * pid + i,
                                   .fd = 20 + (int)i,
                                   .local_port = 80,
                                   .remote_port = (uint16_t)(3000 + i),
                                   .in_bytes = 5,
                                   .out_bytes = 5,
                                   .received_ms = 900,
                                   .sent_ms = 800});
}

static void test_imbalance(void)
{
    shared(4, 0x10000019, 0, 50);
    conns_of(7, 170), conns_of(8, 10), conns_of(9, 12), conns_of(10, 8);
    led_by(RULE_IMBALANCE, CERTAINTY_LIKELY, "one has nearly all");
    is_int(finding_of_rule(RULE_IMBALANCE)->subject.pid, 7, "which");
    is_int(value_of(RULE_IMBALANCE, EVIDENCE_CONNS), 170, "how many");
    shared(4, 0x10000019, 0, 50);
    conns_of(7, 60), conns_of(8, 45), conns_of(9, 50), conns_of(10, 45);
    silent("about the same");
    shared(4, 0x10000019, 0, 50);
    conns_of(7, 17), conns_of(8, 1);
    silent("few");
}

int main(void)
{
    test_backlog();
    test_syn_flood();
    test_herd();
    test_imbalance();
    test_reuseport();
    test_inherited();
    test_oneshot();
    test_unwatched();
    test_unwatched_unknown();
    test_fd_limit();
    return tap_done();
}
