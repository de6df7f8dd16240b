/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/facts.h"

#include "tests/tap.h"

#include <errno.h>

/* Rows in an order that is none; returns the first error. */
static int fill(struct facts_look *l)
{
    static const uint32_t pids[] = {30, 10, 20};
    int err = 0;
    for (unsigned i = 0; i < 100 && !err; i++) {
        struct facts_socket s = {.cookie = 1000 - i * 7,
                                 .inode = i % 10 ? 500 + i : 0,
                                 .tcp = i % 3 ? FACTS_NONE : 0};
        err = FACTS_ADD(&l->sockets, l->heap, &s);
    }
    struct facts_tcp t = {.rtt_us = 77};
    if (!err)
        err = FACTS_ADD(&l->tcps, l->heap, &t);
    for (unsigned i = 0; i < 3 && !err; i++) {
        struct facts_process p = {.pid = pids[i]};
        err = FACTS_ADD(&l->processes, l->heap, &p);
        for (int fd = 9; fd >= 0 && !err; fd--) {
            struct facts_fd d = {.pid = pids[i], .fd = fd, .inode = fd == 3 ? 501 : 0};
            err = FACTS_ADD(&l->fds, l->heap, &d);
        }
        struct facts_watch w = {.pid = pids[i], .inode = 501, .fd = 3, .events = i};
        if (!err)
            err = FACTS_ADD(&l->watches, l->heap, &w);
        struct facts_thread th = {.pid = pids[i], .tid = 5, .start = 100 - i};
        if (!err)
            err = FACTS_ADD(&l->threads, l->heap, &th);
    }
    return err ? err : facts_seal(l);
}

static void test_find(void)
{
    struct facts f;
    uint32_t n;
    facts_init(&f, wr_heap_libc());
    is_int(fill(&f.a), 0, "filled and sealed");
    bool all = true, sorted = true;
    for (unsigned i = 0; i < 100; i++)
        all = all && facts_socket(&f.a, 1000 - i * 7) != NULL;
    for (unsigned i = 1; i < f.a.sockets.n; i++)
        sorted = sorted && f.a.sockets.v[i - 1].cookie < f.a.sockets.v[i].cookie;
    ok(all && sorted, "every socket by its cookie");
    ok(facts_socket(&f.a, 999) == NULL && facts_socket(&f.a, 2000) == NULL, "no other");
    ok(facts_socket_of_inode(&f.a, 501) && facts_socket_of_inode(&f.a, 501)->cookie == 993,
       "by inode");
    ok(facts_socket_of_inode(&f.a, 510) == NULL, "one without an inode is not found by it");
    const struct facts_socket *s = facts_socket(&f.a, 1000);
    ok(s && facts_tcp(&f.a, s) && facts_tcp(&f.a, s)->rtt_us == 77, "its tcp facts");
    s = facts_socket(&f.a, 993);
    ok(s && facts_tcp(&f.a, s) == NULL, "or none");
    ok(facts_process(&f.a, 20) && !facts_process(&f.a, 21), "processes");
    ok(facts_fds(&f.a, 20, &n) && n == 10, "the descriptors of one");
    ok(!facts_fds(&f.a, 21, &n) && n == 0, "and of none");
    ok(facts_fd(&f.a, 30, 9) && facts_fd(&f.a, 30, 9)->pid == 30 && !facts_fd(&f.a, 30, 10),
       "one descriptor");
    ok(facts_owner(&f.a, 501, 0)->pid == 10 && facts_owner(&f.a, 501, 2)->pid == 30 &&
           !facts_owner(&f.a, 501, 3) && !facts_owner(&f.a, 502, 0),
       "three owners, by pid");
    ok(facts_watches(&f.a, 501, &n) && n == 3, "who watches it");
    ok(facts_thread(f.a.threads.v, f.a.threads.n, 5, 99) &&
           facts_thread(f.a.threads.v, f.a.threads.n, 5, 99)->pid == 10 &&
           !facts_thread(f.a.threads.v, f.a.threads.n, 5, 97),
       "a thread by number and start");
    facts_deinit(&f);
}

static void test_text(void)
{
    struct facts_look l;
    uint32_t at[3];
    facts_look_init(&l, wr_heap_libc());
    is_str(facts_text(&l, 7), "", "no text at all");
    ok(facts_text_add(&l, WR_LIT("/bin/true"), &at[0]) == 0 &&
           facts_text_add(&l, WR_LIT(""), &at[1]) == 0 &&
           facts_text_add(&l, wr_span("ab\0cd", 5), &at[2]) == 0,
       "three pieces");
    is_str(facts_text(&l, at[0]), "/bin/true", "the first");
    ok(at[1] == 0, "an empty one costs nothing");
    is_str(facts_text(&l, at[2]), "ab", "a 0 ends it");
    is_str(facts_text(&l, 1000), "", "a place that is none");
    facts_gap(&l, "/proc/1/fd", 1, -EACCES);
    ok(l.gaps.n == 1 && l.gaps.v[0].error == -EACCES, "a gap");
    is_str(facts_text(&l, l.gaps.v[0].what), "/proc/1/fd", "and what it is");
    facts_look_deinit(&l);
}

static void test_counters(void)
{
    struct facts f;
    facts_init(&f, wr_heap_libc());
    ok(facts_rise(&f, FACTS_LISTEN_DROPS) == FACTS_UNKNOWN, "not read: not known");
    f.a.counter[FACTS_LISTEN_DROPS] = 10;
    ok(facts_rise(&f, FACTS_LISTEN_DROPS) == FACTS_UNKNOWN, "once is not enough");
    f.b.counter[FACTS_LISTEN_DROPS] = 17;
    is_int(facts_rise(&f, FACTS_LISTEN_DROPS), 7, "a rise");
    f.b.counter[FACTS_LISTEN_DROPS] = 3;
    is_int(facts_rise(&f, FACTS_LISTEN_DROPS), 0, "a fall is none");
    is_str(facts_counter_name(FACTS_LISTEN_DROPS), "ListenDrops", "name");
    is_str(facts_counter_group(FACTS_LISTEN_DROPS), "TcpExt", "group");
    is_str(facts_sysctl_path(FACTS_SYS_SOMAXCONN), "net/core/somaxconn", "path");
    facts_deinit(&f);
}

static void test_refused(void)
{
    bool good = true;
    int err = -ENOMEM;
    for (uint64_t nth = 1; err && nth < 200; nth++) {
        struct wr_heap_counting count;
        struct wr_heap_failing fail;
        struct facts f;
        wr_heap_counting_init(&count, wr_heap_libc());
        wr_heap_failing_init(&fail, &count.heap, nth, 0, 1);
        facts_init(&f, &fail.heap);
        err = fill(&f.a);
        good = good && (err == 0 || err == -ENOMEM) && f.a.sealed == (err == 0);
        facts_deinit(&f);
        good = good && count.objects == 0 && count.bytes == 0;
    }
    ok(good && err == 0, "memory refused at every place: an error, nothing left behind");
}

int main(void)
{
    test_find();
    test_text();
    test_counters();
    test_refused();
    return tap_done();
}
