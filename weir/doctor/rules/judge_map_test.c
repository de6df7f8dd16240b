/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_test.h"

#include <time.h>

static struct judge_map map;

static void chart(const struct judge_target *t)
{
    if (facts_seal(&facts.a) || facts_seal(&facts.b) || judge_map_init(&map, &facts, t))
        abort();
}

static void thrown_away(void)
{
    judge_map_deinit(&map);
    facts_deinit(&facts);
}

static const struct judge_conn *conn_of(uint64_t cookie)
{
    const struct facts_socket *s = facts_socket(&facts.b, cookie);
    return &map.conn[s - facts.b.sockets.v];
}

static void test_roles(void)
{
    tap_fresh();
    tap_process(1, (struct facts_process){0});
    tap_listener(80);
    tap_socket(
        1,
        (struct facts_socket){.cookie = 1, .inode = 1, .local_port = 80, .remote_port = 40000},
        NULL);
    tap_socket(
        1,
        (struct facts_socket){.cookie = 2, .inode = 2, .local_port = 40001, .remote_port = 443},
        NULL);
    tap_socket(1,
               (struct facts_socket){
                   .cookie = 3, .inode = 3, .local_port = 8080, .remote_port = 40002},
               NULL);
    tap_socket(
        1,
        (struct facts_socket){
            .cookie = 4, .state = FACTS_TIME_WAIT, .local_port = 40003, .remote_port = 443},
        NULL);
    tap_socket(
        0,
        (struct facts_socket){.cookie = 2, .inode = 2, .local_port = 40001, .remote_port = 443},
        NULL);
    chart(&everything);
    is_int(conn_of(80)->role, JUDGE_LISTENER, "a listener");
    is_int(conn_of(1)->role, JUDGE_IN, "came to a port that somebody listens on");
    is_int(conn_of(2)->role, JUDGE_OUT, "went out");
    is_int(conn_of(3)->role, JUDGE_IN, "came in before its listener was closed");
    is_int(conn_of(4)->peer, conn_of(2)->peer, "TIME_WAIT stands by its destination");
    ok(conn_of(1)->peer != conn_of(2)->peer, "who came in is no destination");
    ok(conn_of(2)->before != FACTS_NONE, "known at the first look");
    is_int(conn_of(1)->before, FACTS_NONE, "new");
    is_int(map.peer[conn_of(2)->peer].n, 2, "two sockets to that destination");
    is_int(map.peer[conn_of(2)->peer].n_before, 1, "one of them at the first look");
    is_int(conn_of(4)->process, FACTS_NONE, "nobody has a TIME_WAIT");
    uint32_t n;
    const uint32_t *run = judge_map_of(&map, 0, &n);
    is_int(n, 4, "the process has four sockets");
    ok(run[0] < run[1] && run[1] < run[2] && run[2] < run[3], "in their order");
    thrown_away();
}

static void test_target(void)
{
    static const uint32_t mine = 8;
    const struct judge_target t = {.pids = &mine, .n_pids = 1};
    tap_fresh();
    tap_process(1, (struct facts_process){0});
    tap_process(1, (struct facts_process){.pid = 8});
    for (uint16_t i = 1; i <= 2; i++)
        tap_socket(1,
                   (struct facts_socket){.cookie = i,
                                         .inode = i,
                                         .local_port = (uint16_t)(40000 + i),
                                         .remote_port = (uint16_t)(440 + i)},
                   NULL);
    struct facts_fd shared = {.pid = 8, .fd = 3, .inode = 2, .kind = FACTS_FD_SOCKET};
    TAP_ADD(1, fds, &shared);
    chart(&t);
    ok(!conn_of(1)->mine, "another process's");
    ok(conn_of(2)->mine, "shared with the target: the target's");
    is_int(conn_of(2)->process, 1, "and its owner is the one that was asked for");
    ok(map.peer[conn_of(2)->peer].mine && !map.peer[conn_of(1)->peer].mine,
       "so are destinations");
    thrown_away();
}

static void test_empty(void)
{
    tap_fresh();
    chart(&everything);
    is_int(map.peers, 0, "nothing: no peers");
    thrown_away();
}

static void test_memory(void)
{
    struct wr_heap_counting c;
    wr_heap_counting_init(&c, wr_heap_libc());
    tap_fresh();
    tap_listener(80);
    if (facts_seal(&facts.a) || facts_seal(&facts.b))
        abort();
    facts.b.heap = &c.heap;
    is_int(judge_map_init(&map, &facts, &everything), 0, "made");
    judge_map_deinit(&map);
    is_int(c.bytes, 0, "all is given back");
    facts.b.heap = wr_heap_libc();
    facts_deinit(&facts);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A hundred thousand sockets of all sorts, a tenth of them at work, are judged by all rules at once. */
static void test_many(void)
{
    tap_fresh();
    tap_listener(80);
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){0});
        for (unsigned i = 0; i < 100000; i++) {
            const struct facts_tcp t = {.bytes_sent = i,
                                        .bytes_received = i,
                                        .min_rtt_us = 50,
                                        .snd_mss = 1448,
                                        .last_data_sent_ms = i % 10 ? 60000 : 10,
                                        .last_data_recv_ms = i % 10 ? 60000 : 20};
            struct facts_socket s = {
                .cookie = 1000 + i, .local_port = 80, .remote_port = 40000};
            tap_ip(s.remote, 10, 1, i >> 8 & 255, i & 255);
            if (i % 3 == 0) {
                s.local_port = (uint16_t)(33000 + i % 25000);
                s.remote_port = (uint16_t)(5000 + i % 7);
            }
            s.state = i % 4 == 1 ? FACTS_TIME_WAIT : FACTS_ESTABLISHED;
            s.inode = s.state == FACTS_TIME_WAIT ? 0 : 200000 + i;
            tap_socket(w, s, s.inode ? &t : NULL);
        }
    }
    if (facts_seal(&facts.a) || facts_seal(&facts.b))
        abort();
    uint64_t begin = now_ms();
    is_int(judge_all(&facts, &everything, &found), 0, "a hundred thousand sockets are judged");
    uint64_t took = now_ms() - begin;
    printf("# in %u ms of processor time\n", (unsigned)took);
    ok(took < 500 * tap_scale(), "and fast");
    facts_deinit(&facts);
}

int main(void)
{
    test_roles();
    test_target();
    test_empty();
    test_memory();
    test_many();
    return tap_done();
}
