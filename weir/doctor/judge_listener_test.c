/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/judge_listener.h"

#include "weir/doctor/judge_kit_test.h"

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

int main(void)
{
    test_unwatched();
    test_unwatched_unknown();
    test_fd_limit();
    return tap_done();
}
