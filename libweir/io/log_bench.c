/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What counting, recording and logging cost the worker, and what it notices when nobody reads its log.
 */
#include "libweir/io/log.h"

#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 2000000
#define CALLS  200000

static const struct wr_board_options board_options = {.seats = 1};

struct bench {
    struct wr_shm *shm;
    struct wr_board *board;
    struct wr_seat *seat;
    struct wr_recorder recorder;
    struct wr_log_ring ring;
    struct wr_log *log;
};

static bool set_up(struct bench *b)
{
    size_t n;
    struct wr_shm_part parts[] = {
        {WR_BOARD_PART,        WR_BOARD_VERSION,   wr_board_size(&board_options)},
        { WR_RECORDER_PART, WR_RECORDER_VERSION, wr_recorder_size(1,                         1024)},
        { WR_LOG_PART,      WR_LOG_VERSION, wr_log_ring_size(1,                      1 << 20)},
    };
    if (wr_shm_new(wr_heap_libc(), "bench", parts, 3, &b->shm) < 0 ||
        wr_board_new(wr_heap_libc(), b->shm, &board_options, &b->board) < 0 ||
        wr_recorder_format(b->shm, 1, 1024) < 0 ||
        wr_recorder_open(&b->recorder, b->shm, 0, 1) < 0 ||
        wr_log_ring_format(b->shm, 1, 1 << 20) < 0)
        return false;
    b->seat = wr_board_seat(b->board, 0);
    void *part = wr_shm_part(b->shm, WR_LOG_PART, WR_LOG_VERSION, &n);
    struct wr_log_options o = {.wake_fd = -1, .burst = 1u << 30, .seat = b->seat};
    return wr_log_ring_at(part, n, 0, &o.ring) == 0 &&
           (b->ring = o.ring, wr_log_new(wr_heap_libc(), &o, &b->log) == 0);
}

static void report(const char *what, uint64_t since_ns, unsigned n)
{
    uint64_t ns = wr_os_now_ns(CLOCK_MONOTONIC) - since_ns;
    printf("%-28s %7.1f ns\n", what, (double)ns / n);
}

static void bench_words(struct bench *b)
{
    uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < ROUNDS; i++)
        wr_seat_count(b->seat, WR_COUNTER_REQUESTS, 1);
    report("counter", t, ROUNDS);
    t = wr_os_now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < ROUNDS; i++) {
        wr_seat_enter(b->seat, WR_STAGE_HANDLE);
        wr_seat_leave(b->seat, WR_STAGE_HANDLE, true);
    }
    report("stage, enter and leave", t, ROUNDS);
    t = wr_os_now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < ROUNDS; i++)
        wr_seat_measure(b->seat, WR_HIST_REQUEST, 1000 + i);
    report("histogram", t, ROUNDS);
    t = wr_os_now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < ROUNDS; i++)
        wr_record(&b->recorder, t, i, WR_EVENT_REQUEST, 1, i, i);
    report("flight recorder event", t, ROUNDS);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void drain_now(struct bench *b)
{
    static char buf[WR_LOG_RECORD_MAX];
    struct wr_log_record rec;
    uint64_t pos = wr_log_ring_tail(&b->ring);
    while (wr_log_ring_get(&b->ring, &pos, buf, &rec) != 0)
        ;
    wr_log_ring_release(&b->ring, pos);
}

static void bench_calls(struct bench *b, const char *what, bool read)
{
    static uint64_t ns[CALLS];
    static const char line[] = "127.0.0.1 - - [21/Nov/2026:07:26:11 +0000] \"GET / HTTP/1.1\" "
                               "200 612 \"-\" \"curl\"\n";
    for (unsigned i = 0; i < CALLS; i++) {
        uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
        (void)wr_log_raw(b->log, 1, wr_span(line, sizeof line - 1));
        ns[i] = wr_os_now_ns(CLOCK_MONOTONIC) - t;
        if (read && i % 1000 == 0)
            drain_now(b);
    }
    qsort(ns, CALLS, sizeof ns[0], by_size);
    printf("%-28s p50 %llu  p99 %llu  max %llu ns\n", what, (unsigned long long)ns[CALLS / 2],
           (unsigned long long)ns[CALLS / 100 * 99], (unsigned long long)ns[CALLS - 1]);
}

int main(void)
{
    struct bench b = {0};
    if (!set_up(&b))
        return 1;
    bench_words(&b);
    uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < 100000; i++) {
        WR_LOG(b.log, INFO, "bench", "line", "i=%u peer=%s ms=%d", i, "127.0.0.1:8080", 12);
        if (i % 1000 == 0)
            drain_now(&b);
    }
    report("formatted log line", t, 100000);
    bench_calls(&b, "access line, being read", true);
    bench_calls(&b, "access line, nobody reads", false);
    wr_log_free(&b.log);
    wr_board_free(&b.board);
    wr_shm_free(&b.shm);
    return 0;
}
