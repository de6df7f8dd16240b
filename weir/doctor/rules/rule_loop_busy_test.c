/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_test.h"

#include <sys/syscall.h>

#define MS    1000000U
#define EPOLL 50

struct
    scene { /* a process of one or two threads, a loop's set with three connections; looks are 2 s apart */
    uint64_t ran_ms, waited_ms, stime, slept, sent;
    unsigned unread;
    bool other_waits, unwatched;
};

static void add_thread(int w, struct facts_thread t)
{
    t.pid = TAP_PID;
    t.start = 1;
    TAP_ADD(w, threads, &t);
}

static void add_connection(int w, const struct scene *p, unsigned i)
{
    const struct facts_tcp tcp = {.bytes_received = 100,
                                  .bytes_sent = 10 + w * p->sent,
                                  .last_data_recv_ms = 2000,
                                  .last_data_sent_ms = 9000};
    tap_socket(w,
               (struct facts_socket){.cookie = 1 + i,
                                     .inode = 10 + i,
                                     .local_port = 80,
                                     .remote_port = (uint16_t)(40000 + i),
                                     .rqueue = i < p->unread ? 30 : 0},
               &tcp);
    struct facts_watch row = {
        .inode = 10 + i, .pid = TAP_PID, .epoll = EPOLL, .fd = (int)(10 + i), .events = 1};
    if (!p->unwatched)
        TAP_ADD(w, watches, &row);
}

static void judged(const struct scene *p)
{
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){.threads = p->other_waits ? 2 : 1});
        add_thread(w, (struct facts_thread){.tid = TAP_PID,
                                            .state = 'R',
                                            .syscall = FACTS_SYSCALL_RUNNING,
                                            .ran_ns = w * p->ran_ms * MS,
                                            .waited_ns = w * p->waited_ms * MS,
                                            .voluntary = w * p->slept,
                                            .stime = w * p->stime,
                                            .utime = w * (p->ran_ms / 10 - p->stime)});
        if (p->other_waits)
            add_thread(w, (struct facts_thread){.tid = TAP_PID + 1,
                                                .state = 'S',
                                                .syscall = SYS_epoll_pwait,
                                                .arg = {EPOLL}});
        for (unsigned i = 0; i < 3; i++)
            add_connection(w, p, i);
    }
    tap_listener(80);
    tap_judge();
}

static void test_sick(void)
{
    struct scene p = {.ran_ms = 1980, .stime = 2, .unread = 3};
    judged(&p);
    is_int(tap_leader(), RULE_LOOP_BUSY, "it computes, and three requests stand unread");
    is_int(tap_found(RULE_LOOP_BUSY)->certainty, CERTAINTY_LIKELY, "likely");
    is_int(tap_value(RULE_LOOP_BUSY, EVIDENCE_UNREAD), 3, "three");
    is_int(tap_found(RULE_LOOP_BUSY)->subject.tid, TAP_PID, "the thread");
    p = (struct scene){.ran_ms = 700, .waited_ms = 1280, .stime = 2, .unread = 3};
    judged(&p);
    is_int(tap_found(RULE_LOOP_BUSY)->rule, RULE_LOOP_BUSY, "also with a part of a processor");
}

static void test_well(void)
{
    struct scene p = {.ran_ms = 1980, .stime = 2, .unread = 1};
    judged(&p);
    ok(!tap_has(RULE_LOOP_BUSY), "one request may be on its way");
    p = (struct scene){.ran_ms = 1980, .stime = 2, .unread = 3, .sent = 500};
    judged(&p);
    ok(!tap_has(RULE_LOOP_BUSY), "bytes move: load");
    p = (struct scene){.ran_ms = 1980, .stime = 2, .unread = 3, .slept = 3};
    judged(&p);
    ok(!tap_has(RULE_LOOP_BUSY), "it sleeps in between");
    p = (struct scene){.ran_ms = 1980, .stime = 2, .unread = 3, .other_waits = true};
    judged(&p);
    ok(!tap_has(RULE_LOOP_BUSY), "another thread asks the set");
    p = (struct scene){.ran_ms = 1980, .stime = 2, .unread = 3, .unwatched = true};
    judged(&p);
    ok(!tap_has(RULE_LOOP_BUSY), "handed over: no loop's");
    p = (struct scene){.ran_ms = 150, .waited_ms = 1830, .stime = 2, .unread = 3};
    judged(&p);
    ok(!tap_has(RULE_LOOP_BUSY), "it hardly gets a processor: others compute");
    p = (struct scene){.ran_ms = 1980, .stime = 90, .unread = 3};
    judged(&p);
    ok(!tap_has(RULE_LOOP_BUSY), "many system calls: it spins");
}

int main(void)
{
    test_sick();
    test_well();
    return tap_done();
}
