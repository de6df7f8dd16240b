/* SPDX-License-Identifier: BSD-2-Clause */
/* The process: cpu-starved, busy-spin, session-pile-up, thread-explosion, zombie-children,
 * cpu-throttled. */
#include "weir/doctor/rules/judge_test.h"

#define MS 1000000ULL

static void thread(int which, uint32_t tid, uint64_t ran_ms, uint64_t waited_ms)
{
    struct facts_thread t = {.pid = TAP_PID,
                             .tid = tid,
                             .start = 1,
                             .state = 'S',
                             .ran_ns = ran_ms == FACTS_UNKNOWN ? FACTS_UNKNOWN : ran_ms * MS,
                             .waited_ns =
                                 waited_ms == FACTS_UNKNOWN ? FACTS_UNKNOWN : waited_ms * MS};
    TAP_ADD(which, threads, &t);
}

/* One thread that in two seconds ran and waited for so long. */
static void starved(uint64_t ran_ms, uint64_t waited_ms)
{
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){0});
        thread(w, TAP_PID, w ? 100 + ran_ms : 100,
               waited_ms == FACTS_UNKNOWN ? FACTS_UNKNOWN : w * waited_ms);
    }
    tap_judge();
}

static void test_starved(void)
{
    starved(200, 1600);
    is_int(tap_leader(), RULE_CPU_STARVED, "waits for a processor most of the time");
    is_int(tap_found(RULE_CPU_STARVED)->severity, SEVERITY_WARN, "others take it: a warning");
    is_int(tap_found(RULE_CPU_STARVED)->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_value(RULE_CPU_STARVED, EVIDENCE_RUN_DELAY), 80, "four fifths of the time");
    is_int(tap_value(RULE_CPU_STARVED, EVIDENCE_RAN), 10, "and runs a tenth");
    starved(1000, 900);
    is_int(tap_found(RULE_CPU_STARVED)->severity, SEVERITY_INFO,
           "runs as much as it waits: its own load, a note");
    starved(1000, 100);
    is_int(tap_leader(), RULE_COUNT, "a busy thread that gets its processor");
    starved(200, FACTS_UNKNOWN);
    is_int(tap_leader(), RULE_COUNT, "an unknown wait proves nothing");
}

struct spin {
    uint64_t ran_ms, voluntary, stime, received, seconds_owed;
    bool hung_up;
};

static void spinning(const struct spin *p)
{
    tap_fresh();
    tap_listener(80);
    for (int w = 0; w < 2; w++) {
        struct facts_thread t = {.pid = TAP_PID,
                                 .tid = TAP_PID,
                                 .start = 1,
                                 .state = 'R',
                                 .syscall = FACTS_SYSCALL_RUNNING,
                                 .ran_ns = w * p->ran_ms * MS,
                                 .voluntary = w * p->voluntary,
                                 .stime = w * p->stime,
                                 .utime = w * (p->ran_ms / 10 - p->stime)};
        const struct facts_tcp tcp = {.bytes_received = 100 + w * p->received,
                                      .bytes_sent = 100,
                                      .last_data_recv_ms = 3000,
                                      .last_data_sent_ms = p->seconds_owed ? 9000 : 2000};
        struct facts_socket s = {.cookie = 1,
                                 .inode = 5,
                                 .state = p->hung_up ? FACTS_CLOSE_WAIT : FACTS_ESTABLISHED,
                                 .local_port = 80,
                                 .remote_port = 40000};
        tap_process(w, (struct facts_process){0});
        TAP_ADD(w, threads, &t);
        tap_socket(w, s, &tcp);
    }
    tap_judge();
}

static void test_spin(void)
{
    struct spin p = {.ran_ms = 1980, .stime = 90, .hung_up = true};
    spinning(&p);
    is_int(tap_leader(), RULE_BUSY_SPIN, "all the time, for a hang-up that nobody handles");
    is_int(tap_found(RULE_BUSY_SPIN)->certainty, CERTAINTY_LIKELY, "likely");
    is_int(tap_found(RULE_BUSY_SPIN)->severity, SEVERITY_WARN, "a warning");
    is_int(tap_value(RULE_BUSY_SPIN, EVIDENCE_CPU_PERCENT), 99, "nearly all of a processor");
    is_int(tap_value(RULE_BUSY_SPIN, EVIDENCE_UNHANDLED), 1, "one such socket");
    p.hung_up = false;
    spinning(&p);
    is_int(tap_found(RULE_BUSY_SPIN)->certainty, CERTAINTY_HINT, "without a cause: a hint");
    is_int(tap_found(RULE_BUSY_SPIN)->severity, SEVERITY_INFO, "and a note");
    p.seconds_owed = 1;
    spinning(&p);
    is_int(tap_leader(), RULE_COUNT, "while somebody waits it may compute the answer");
    p = (struct spin){.ran_ms = 1980, .stime = 90, .hung_up = true, .received = 5000};
    spinning(&p);
    is_int(tap_leader(), RULE_COUNT, "bytes move: load");
    p = (struct spin){.ran_ms = 1980, .stime = 1, .hung_up = true};
    spinning(&p);
    is_int(tap_leader(), RULE_COUNT, "no system calls: it computes");
    p = (struct spin){.ran_ms = 1980, .stime = 90, .hung_up = true, .voluntary = 40};
    spinning(&p);
    is_int(tap_leader(), RULE_COUNT, "it sleeps in between");
    p = (struct spin){.ran_ms = 400, .stime = 20, .hung_up = true};
    spinning(&p);
    is_int(tap_leader(), RULE_COUNT, "a fifth of a processor is no spin");
}

static void sessions(unsigned before, unsigned now, uint32_t age_ms, uint64_t pages)
{
    tap_fresh();
    tap_listener(80);
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){.rss_pages = 1000 + w * pages});
        for (unsigned i = 0; i < (w ? now : before); i++) {
            const struct facts_tcp t = {.bytes_received = 50,
                                        .bytes_sent = 1,
                                        .last_data_recv_ms = age_ms,
                                        .last_data_sent_ms = age_ms + 100};
            tap_socket(w,
                       (struct facts_socket){.cookie = 1000 + i,
                                             .inode = 500 + i,
                                             .local_port = 80,
                                             .remote_port = (uint16_t)(20000 + i)},
                       &t);
        }
    }
    tap_judge();
}

static void test_sessions(void)
{
    sessions(100, 150, 9000, 500);
    const struct finding *f = tap_found(RULE_SESSION_PILE_UP);
    is_int(f->certainty, CERTAINTY_LIKELY, "fifty more wait, and memory grows: likely");
    is_int(tap_value(RULE_SESSION_PILE_UP, EVIDENCE_SESSIONS), 150, "how many");
    sessions(100, 150, 9000, 0);
    ok(!tap_has(RULE_SESSION_PILE_UP), "memory stands");
    sessions(100, 150, 200, 500);
    ok(!tap_has(RULE_SESSION_PILE_UP), "a wave that is answered quickly");
    sessions(150, 100, 9000, 500);
    ok(!tap_has(RULE_SESSION_PILE_UP), "they become fewer");
}

static void threads(unsigned before, unsigned middle, unsigned now, uint32_t first_now)
{
    tap_fresh();
    for (unsigned i = 0; i < middle; i++) {
        struct facts_thread t = {.pid = TAP_PID, .tid = 100 + i, .start = 1};
        if (FACTS_ADD(&facts.glance[0].threads, wr_heap_libc(), &t))
            abort();
    }
    facts.glances = 1;
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){.threads = w ? now : before});
        for (unsigned i = 0; i < (w ? now : before); i++)
            thread(w, (w ? first_now : 100) + i, 0, 0);
    }
    tap_judge();
}

static void test_threads(void)
{
    threads(100, 120, 140, 100);
    is_int(tap_leader(), RULE_THREADS, "more at every look, and none ends");
    is_int(tap_found(RULE_THREADS)->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_value(RULE_THREADS, EVIDENCE_THREADS), 140, "how many");
    threads(100, 140, 140, 100);
    is_int(tap_leader(), RULE_COUNT, "a pool that has filled");
    threads(100, 120, 140, 110);
    is_int(tap_leader(), RULE_COUNT, "threads that end: one a request");
    threads(10, 30, 50, 100);
    is_int(tap_leader(), RULE_COUNT, "fifty are a small pool");
    threads(100, 0, 140, 100);
    is_int(tap_leader(), RULE_COUNT, "no glance, no verdict");
}

static void zombies(uint32_t before, uint32_t now)
{
    tap_fresh();
    tap_process(0, (struct facts_process){.zombies = before});
    tap_process(1, (struct facts_process){.zombies = now});
    tap_judge();
}

static void test_zombies(void)
{
    zombies(60, 62);
    is_int(tap_leader(), RULE_ZOMBIES, "sixty dead children");
    is_int(tap_found(RULE_ZOMBIES)->severity, SEVERITY_WARN, "a warning");
    is_int(tap_value(RULE_ZOMBIES, EVIDENCE_ZOMBIES), 62, "how many");
    zombies(5, 5);
    is_int(tap_found(RULE_ZOMBIES)->severity, SEVERITY_INFO, "five: a note");
    zombies(60, 0);
    is_int(tap_leader(), RULE_COUNT, "they have been collected");
    zombies(2, 2);
    is_int(tap_leader(), RULE_COUNT, "two are nothing");
    zombies(FACTS_NONE, FACTS_NONE);
    is_int(tap_leader(), RULE_COUNT, "not counted: not said");
}

static void throttled(uint64_t us, unsigned processes, unsigned times)
{
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        struct facts_cgroup g = {.pid = TAP_PID,
                                 .version = 2,
                                 .periods = 100 + 20 * w,
                                 .throttled = 50 + times * w,
                                 .throttled_us = us == FACTS_UNKNOWN ? us : 1000000 + w * us,
                                 .quota_us = 10000,
                                 .period_us = 100000,
                                 .memory = FACTS_UNKNOWN,
                                 .memory_max = FACTS_UNKNOWN};
        if (facts_text_add(tap_look(w), WR_LIT("/box"), &g.path))
            abort();
        for (; g.pid < TAP_PID + processes; g.pid++) {
            tap_process(w, (struct facts_process){.pid = g.pid});
            TAP_ADD(w, cgroups, &g);
        }
    }
    tap_judge();
}

static void test_throttled(void)
{
    throttled(896000, 3, 18);
    is_int(tap_leader(), RULE_CPU_THROTTLED, "stopped by the quota");
    is_int(found.leading, 1, "three processes of one cgroup: one finding");
    is_int(tap_found(RULE_CPU_THROTTLED)->certainty, CERTAINTY_PROOF, "proof");
    is_int(tap_value(RULE_CPU_THROTTLED, EVIDENCE_THROTTLED_MS), 896, "so long");
    is_int(tap_value(RULE_CPU_THROTTLED, EVIDENCE_THROTTLES), 18, "in so many periods");
    is_int(tap_value(RULE_CPU_THROTTLED, EVIDENCE_QUOTA), 10, "a tenth of a processor");
    throttled(20000, 1, 1);
    is_int(tap_leader(), RULE_COUNT, "a moment is nothing");
    throttled(20000, 1, 6);
    is_int(tap_leader(), RULE_CPU_THROTTLED, "a moment in every third period is not");
    throttled(FACTS_UNKNOWN, 1, 18);
    is_int(tap_leader(), RULE_COUNT, "unknown: not said");
}

int main(void)
{
    test_starved();
    test_spin();
    test_sessions();
    test_threads();
    test_zombies();
    test_throttled();
    return tap_done();
}
