/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/board.h"

#include "libweir/base/heap.h"
#include "libweir/io/proc_testing.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>
#include <signal.h>

static const struct wr_board_word extra[] = {
    {"app_orders_total", false},
    {"app_carts",        true },
};
static const struct wr_board_options options = {.seats = 4, .extra = extra, .n_extra = 2};

struct fixture {
    struct wr_shm *shm;
    struct wr_board *board;
    struct wr_board_view view;
};

static void set_up(struct fixture *f)
{
    struct wr_shm_part part = {WR_BOARD_PART, WR_BOARD_VERSION, wr_board_size(&options)};
    size_t n;
    is_int(wr_shm_new(wr_heap_libc(), "board", &part, 1, &f->shm), 0, "memory");
    is_int(wr_board_new(wr_heap_libc(), f->shm, &options, &f->board), 0, "board");
    const void *at = wr_shm_part(f->shm, WR_BOARD_PART, WR_BOARD_VERSION, &n);
    is_int(wr_board_view_init(&f->view, at, n), 0, "view");
}

static void tear_down(struct fixture *f)
{
    wr_board_free(&f->board);
    wr_shm_free(&f->shm);
}

static uint64_t sum_of(struct fixture *f, const char *name, unsigned word)
{
    struct wr_board_field field;
    if (!wr_board_view_find(&f->view, wr_span_str(name), &field))
        return UINT64_MAX;
    return wr_board_view_sum(&f->view, &field, word);
}

static void test_names(void)
{
    struct fixture f;
    struct wr_board_field field;
    set_up(&f);
    wr_seat_count(wr_board_seat(f.board, 0), WR_COUNTER_ACCEPTED, 3);
    wr_seat_count(wr_board_seat(f.board, 3), WR_COUNTER_ACCEPTED, 4);
    wr_seat_gauge(wr_board_seat(f.board, 1), WR_GAUGE_OPEN, 5);
    wr_seat_gauge(wr_board_seat(f.board, 1), WR_GAUGE_OPEN, -2);
    wr_word_add(&wr_board_seat(f.board, 2)->extra[0], 9);
    is_int(sum_of(&f, "weir_connections_accepted_total", 0), 7, "counters add up by name");
    is_int(sum_of(&f, "weir_connections_open", 0), 3, "gauges go both ways");
    is_int(sum_of(&f, "app_orders_total", 0), 9, "the program's own word");
    is_int(sum_of(&f, "no_such_word", 0), -1, "an unknown name");
    ok(wr_board_view_find(&f.view, WR_LIT("app_carts"), &field) && field.kind == WR_BOARD_GAUGE,
       "the program's own gauge");
    is_int(wr_board_view_word(&f.view, &field, 99, 0), 0, "a seat that is not there");
    is_int(wr_board_view_word(&f.view, &field, 0, 99), 0, "a word that is not there");
    wr_seat_count(NULL, WR_COUNTER_ACCEPTED, 1);
    wr_seat_enter(NULL, WR_STAGE_DNS);
    tear_down(&f);
}

static void test_seats(void)
{
    struct fixture f;
    set_up(&f);
    is_int(wr_board_occupy(f.board, 1, 2, 0, 100), 1, "the first of the range");
    is_int(wr_board_occupy(f.board, 1, 2, 1, 100), 2, "the second");
    is_int(wr_board_occupy(f.board, 1, 2, 2, 100), -EBUSY, "full");
    (void)wr_board_vacate(f.board, 2, 9, 200);
    (void)wr_board_vacate(f.board, 1, 0, 300);
    is_int(wr_board_occupy(f.board, 1, 2, 3, 400), 2, "vacated longest ago, taken first");
    is_int(wr_board_seat(f.board, 2)->holders, 2, "its second holder");
    is_int(wr_board_seat(f.board, 2)->role, 3, "its role");
    tear_down(&f);
}

static void test_books_balance(void)
{
    struct fixture f;
    struct wr_board_field field;
    set_up(&f);
    int seat = wr_board_occupy(f.board, 0, 4, 0, 1);
    struct wr_seat *s = wr_board_seat(f.board, (unsigned)seat);
    for (int i = 0; i < 10; i++)
        wr_seat_enter(s, WR_STAGE_CONNECT);
    for (int i = 0; i < 7; i++)
        wr_seat_leave(s, WR_STAGE_CONNECT, i % 3 != 0);
    wr_seat_gauge(s, WR_GAUGE_OPEN, 3);
    wr_word_add(&s->extra[1], 8);
    is_int(wr_board_vacate(f.board, (unsigned)seat, SIGKILL, 2), 3, "three were in flight");
    ok(wr_board_view_find(&f.view, WR_LIT("client/connect"), &field), "the stage by name");
    struct wr_stage_words w = wr_board_view_stage(&f.view, &field, (unsigned)seat);
    is_int(w.entered, 10, "entered");
    is_int(w.ok, 4, "left ok");
    is_int(w.failed, 6, "left failed: three of them by the death");
    is_int(sum_of(&f, "weir_connections_open", 0), 0, "a dead process has no connections");
    is_int(sum_of(&f, "app_carts", 0), 0, "nor anything else that is now");
    is_int(sum_of(&f, "seat_lost", 0), 3, "the loss is on the record");
    tear_down(&f);
}

static void test_histogram(void)
{
    struct fixture f;
    set_up(&f);
    struct wr_seat *s = wr_board_seat(f.board, 0);
    bool good = true;
    for (uint64_t ns = 1; ns < 1ull << 45; ns = ns * 5 / 4 + 1) {
        unsigned i = wr_board_bucket_of(ns);
        good &= i < WR_BOARD_BUCKETS && wr_board_bucket_floor(i) <= ns;
        good &= i + 1 == WR_BOARD_BUCKETS || wr_board_bucket_floor(i + 1) > ns;
        wr_seat_measure(s, WR_HIST_REQUEST, ns);
    }
    ok(good, "every duration lies in its bucket");
    ok(wr_board_bucket_of(UINT64_MAX) < WR_BOARD_BUCKETS, "the longest too");
    uint64_t in_buckets = 0;
    for (unsigned i = 0; i < WR_BOARD_BUCKETS; i++)
        in_buckets += s->hist[WR_HIST_REQUEST].bucket[i];
    is_int(in_buckets, s->hist[WR_HIST_REQUEST].count, "the buckets add up");
    tear_down(&f);
}

/* A reader beside a writer of another process: never a leave without its enter. */
static int count_for_ever(void *arg)
{
    struct wr_seat *s = arg;
    while (s) {
        wr_seat_enter(s, WR_STAGE_SEND);
        wr_seat_leave(s, WR_STAGE_SEND, true);
    }
    return 0;
}

static void test_live_reader(void)
{
    struct fixture f;
    struct wr_board_field field;
    int status;
    set_up(&f);
    pid_t pid = wr_os_spawn(count_for_ever, wr_board_seat(f.board, 1), NULL);
    bool found = wr_board_view_find(&f.view, WR_LIT("client/send"), &field), good = found;
    uint64_t until = wr_os_now_ns(CLOCK_MONOTONIC) + 100000000, seen = 0;
    while (found && (wr_os_now_ns(CLOCK_MONOTONIC) < until ||
                     !seen)) { /* a busy machine starts it late */
        struct wr_stage_words w = wr_board_view_stage(&f.view, &field, 1);
        good &= w.entered >= w.ok + w.failed && w.entered >= seen;
        seen = w.entered;
    }
    ok(good && seen > 0, "in flight is never negative");
    status = testing_kill(pid);
    (void)wr_board_vacate(f.board, 1, status, 1);
    struct wr_stage_words w = wr_board_view_stage(&f.view, &field, 1);
    is_int(w.entered, w.ok + w.failed, "and balanced after its death");
    tear_down(&f);
}

int main(void)
{
    test_names();
    test_seats();
    test_books_balance();
    test_histogram();
    test_live_reader();
    return tap_done();
}
