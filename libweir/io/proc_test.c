/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/proc.h"

#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/log_text.h"
#include "libweir/io/loop.h"
#include "libweir/io/proc_testing.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"
#include "tests/tap.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define SEATS 9

static const struct wr_board_options board_options = {.seats = SEATS};

/* How the children behave; and what the master saw. */
struct fixture {
    struct wr_shm *shm;
    struct wr_board *board;
    struct wr_loop *loop;
    struct wr_procs *procs;
    struct wr_log *log;
    unsigned started, ready, ended, resting, stuck, replaced, stopped, unborn, waiting;
    unsigned give_up_at; /* unborn: then the pool is told to stop; 0: never */
    bool give_up_resting, free_resting;
    int last_status, last_unborn;
    pid_t last_ended;
    uint64_t last_ended_ns, last_ready_ns;
    /* child */
    bool deaf, spin, exit_at_once, linger;
    int hello; /* a descriptor to write to at the start, or 0 */
};

static void set_up(struct fixture *f)
{
    struct wr_shm_part parts[] = {
        {WR_BOARD_PART,        WR_BOARD_VERSION,       wr_board_size(&board_options)},
        { WR_RECORDER_PART, WR_RECORDER_VERSION, wr_recorder_size(SEATS,                           64)},
        { WR_LOG_PART,      WR_LOG_VERSION, wr_log_ring_size(SEATS,              WR_LOG_RING_MIN)},
    };
    struct wr_loop_options o = {.heap = wr_heap_libc()};
    *f = (struct fixture){0};
    ok(wr_shm_new(wr_heap_libc(), "proc test", parts, 3, &f->shm) == 0 &&
           wr_recorder_format(f->shm, SEATS, 64) == 0 &&
           wr_log_ring_format(f->shm, SEATS, WR_LOG_RING_MIN) == 0 &&
           wr_board_new(wr_heap_libc(), f->shm, &board_options, &f->board) == 0 &&
           wr_loop_new(&o, &f->loop) == 0,
       "set up");
}

static void tear_down(struct fixture *f)
{
    wr_procs_free(&f->procs);
    wr_log_free(&f->log);
    wr_loop_free(&f->loop);
    wr_board_free(&f->board);
    wr_shm_free(&f->shm);
}

static void on_event(struct wr_procs *p, enum wr_procs_event event, unsigned index, pid_t pid,
                     int status, void *arg)
{
    struct fixture *f = arg;
    (void)index;
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
    f->started += event == WR_PROCS_STARTED;
    f->ready += event == WR_PROCS_READY;
    f->ended += event == WR_PROCS_ENDED;
    f->resting += event == WR_PROCS_RESTING;
    f->stuck += event == WR_PROCS_STUCK;
    f->replaced += event == WR_PROCS_REPLACED;
    f->stopped += event == WR_PROCS_STOPPED;
    f->waiting += event == WR_PROCS_WAITING;
    if (event == WR_PROCS_UNBORN) {
        f->last_unborn = status;
        if (++f->unborn == f->give_up_at)
            wr_procs_stop(p, false);
    }
    if (event == WR_PROCS_READY)
        f->last_ready_ns = now;
    if (event == WR_PROCS_RESTING && f->give_up_resting)
        wr_procs_stop(p, false);
    if (event == WR_PROCS_RESTING && f->free_resting)
        wr_procs_free(&f->procs);
    if (event == WR_PROCS_ENDED) {
        f->last_status = status;
        f->last_ended = pid;
        f->last_ended_ns = now;
    }
}

/* ---- the child -------------------------------------------------------------------------------------- */

static void child_stop(struct wr_worker *w, enum wr_stop_reason why, void *arg)
{
    struct wr_loop *loop = arg;
    WR_LOG(wr_worker_log(w), INFO, "child", "stopping", "why=%d", (int)why);
    wr_loop_stop(loop);
}

static int child_main(struct wr_worker *w, void *arg)
{
    struct fixture *f = arg;
    struct wr_loop *loop;
    struct wr_loop_options o = {.stats = wr_worker_loop_stats(w)};
    if (f->exit_at_once)
        return 3;
    if (f->hello && wr_os_write(f->hello, "h", 1) != 1)
        return 5;
    struct wr_worker_callbacks callbacks = {child_stop, NULL, NULL};
    if (wr_loop_new(&o, &loop) < 0)
        return 1;
    callbacks.arg = loop;
    if (wr_worker_attach(w, loop, &callbacks) < 0)
        return 2;
    wr_seat_enter(wr_worker_seat(w), WR_STAGE_HANDLE);
    wr_record(wr_worker_recorder(w), 1, 42, WR_EVENT_REQUEST, 0, 7, 8);
    wr_worker_ready(w);
    while (f->deaf)
        (void)wr_os_sleep_ns(1000000);
    for (uint64_t end = wr_os_now_ns(CLOCK_MONOTONIC) + 50000000; f->spin;)
        if (wr_os_now_ns(CLOCK_MONOTONIC) < end)
            (void)wr_loop_turn(loop, 0);
    int r = wr_loop_run(loop);
    wr_seat_leave(wr_worker_seat(w), WR_STAGE_HANDLE, true);
    wr_worker_detach(w);
    wr_loop_free(&loop);
    return r < 0 ? 4 : 0;
}

static struct wr_procs_options options_of(struct fixture *f, unsigned workers)
{
    return (struct wr_procs_options){
        .name = "weir test",
        .workers = workers,
        .main = child_main,
        .arg = f,
        .shm = f->shm,
        .board = f->board,
        .first_seat = 1,
        .seats = SEATS - 1,
        .log = f->log,
        .log_wake_fd = -1,
        .log_level = WR_LOG_DEBUG,
        .on_event = on_event,
        .event_arg = f,
    };
}

static void run_until(struct fixture *f, const unsigned *counter, unsigned n, unsigned ms)
{
    uint64_t end = wr_os_now_ns(CLOCK_MONOTONIC) + ms * 1000000ull;
    while (*counter < n && wr_os_now_ns(CLOCK_MONOTONIC) < end)
        (void)wr_loop_turn(f->loop, 10);
}

static void run_for(struct fixture *f, unsigned ms)
{
    unsigned never = 0;
    run_until(f, &never, 1, ms);
}

static bool start(struct fixture *f, const struct wr_procs_options *o)
{
    if (wr_procs_start(f->loop, o, &f->procs) < 0)
        return false;
    run_until(f, &f->ready, o->workers, 5000);
    return f->ready == o->workers;
}

static pid_t pid_of(struct fixture *f, unsigned index)
{
    struct wr_procs_info info;
    return wr_procs_info(f->procs, index, &info) ? info.pid : 0;
}

static unsigned seat_of(struct fixture *f, unsigned index)
{
    struct wr_procs_info info;
    return wr_procs_info(f->procs, index, &info) ? info.seat : 0;
}

/* ---- tests ----------------------------------------------------------------------------------------- */

static void test_start_and_stop(void)
{
    struct fixture f;
    set_up(&f);
    struct wr_procs_options o = options_of(&f, 3);
    ok(start(&f, &o), "three are ready");
    is_int(wr_procs_alive(f.procs), 3, "alive");
    is_int(wr_board_seat(f.board, seat_of(&f, 1))->state, WR_SEAT_READY, "on the board");
    is_int(wr_board_seat(f.board, seat_of(&f, 1))->pid, pid_of(&f, 1), "with its pid");
    wr_procs_stop(f.procs, true);
    run_until(&f, &f.stopped, 1, 5000);
    is_int(f.ended, 3, "all ended");
    is_int(f.last_status, 0, "by returning 0");
    is_int(wr_procs_alive(f.procs), 0, "none alive");
    const struct wr_seat *s = wr_board_seat(f.board, 1);
    is_int(s->stage[WR_STAGE_HANDLE].entered, s->stage[WR_STAGE_HANDLE].ok, "books in order");
    tear_down(&f);
}

static void test_killed_is_replaced(void)
{
    struct fixture f;
    struct wr_event e[8];
    size_t n;
    set_up(&f);
    struct wr_procs_options o = options_of(&f, 3);
    ok(start(&f, &o), "ready");
    pid_t victim = pid_of(&f, 1), other = pid_of(&f, 0);
    unsigned seat = seat_of(&f, 1);
    is_int(wr_os_kill(victim, SIGKILL), 0, "kill -9");
    uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
    run_until(&f, &f.ready, 4, 5000);
    ok(f.ready == 4 && f.last_ready_ns - t < 200000000, "replaced within 200 ms (%llu us)",
       (unsigned long long)(f.last_ready_ns - t) / 1000);
    ok(f.last_ended == victim && WIFSIGNALED(f.last_status) &&
           WTERMSIG(f.last_status) == SIGKILL,
       "its end was told");
    ok(pid_of(&f, 0) == other && pid_of(&f, 1) != victim, "others untouched");
    ok(seat_of(&f, 1) != seat, "the successor sits elsewhere");
    const struct wr_seat *s = wr_board_seat(f.board, seat);
    is_int(s->lost, 1, "one operation went down with it");
    is_int(s->stage[WR_STAGE_HANDLE].failed, 1, "and is accounted for");
    const void *part = wr_shm_part(f.shm, WR_RECORDER_PART, WR_RECORDER_VERSION, &n);
    int got = wr_recorder_read(part, n, seat, (uint32_t)victim, e, 8);
    ok(got == 2 && e[0].code == WR_EVENT_START && e[1].id == 42,
       "its last events are readable");
    tear_down(&f);
}

/* The caller's list of what children keep may be gone when the second child is born. */
static void test_kept_by_successor(void)
{
    struct fixture f;
    int pipe[2];
    char got[4];
    set_up(&f);
    ok(wr_os_pipe(pipe, 0) == 0, "a pipe");
    f.hello = pipe[1];
    int keep[] = {pipe[1]};
    struct wr_procs_options o = options_of(&f, 1);
    o.keep_fds = keep;
    o.n_keep = 1;
    bool started = start(&f, &o);
    keep[0] = -1;
    ok(started && wr_os_kill(pid_of(&f, 0), SIGKILL) == 0, "the first is killed");
    run_until(&f, &f.ready, 2, 5000);
    is_int(f.ready, 2, "its successor starts");
    is_int(wr_os_read(pipe[0], got, sizeof got), 2, "and holds what the first held");
    wr_os_close(pipe[0]);
    wr_os_close(pipe[1]);
    tear_down(&f);
}

static unsigned list_hello(unsigned index, int out[static WR_PROCS_KEEP_MAX], void *arg)
{
    struct fixture *f = arg;
    (void)index;
    out[0] = f->hello;
    return 1;
}

/* The successor keeps what the master has by then. */
static void test_kept_changes(void)
{
    struct fixture f;
    int first[2], second[2];
    char got[4];
    set_up(&f);
    ok(wr_os_pipe(first, 0) == 0 && wr_os_pipe(second, 0) == 0, "two pipes");
    f.hello = first[1];
    struct wr_procs_options o = options_of(&f, 1);
    o.list_to_keep = list_hello;
    bool started = start(&f, &o);
    f.hello = second[1];
    wr_os_close(first[1]);
    ok(started && wr_os_kill(pid_of(&f, 0), SIGKILL) == 0, "the first is killed");
    run_until(&f, &f.ready, 2, 5000);
    is_int(wr_os_read(first[0], got, sizeof got), 1, "the first wrote into the first pipe");
    is_int(wr_os_read(first[0], got, sizeof got), 0, "which nobody holds any more");
    is_int(wr_os_read(second[0], got, sizeof got), 1, "its successor into the second");
    wr_os_close(first[0]);
    wr_os_close(second[0]);
    wr_os_close(second[1]);
    tear_down(&f);
}

static void test_many_kills(void)
{
    struct fixture f;
    set_up(&f);
    struct wr_procs_options o = options_of(&f, 3);
    o.healthy_ms = 1;
    ok(start(&f, &o), "ready");
    for (unsigned i = 0; i < 30; i++) {
        pid_t pid = pid_of(&f, i % 3);
        if (pid <= 0 || wr_os_kill(pid, SIGKILL) < 0)
            break;
        run_until(&f, &f.ready, 4 + i, 5000);
        run_for(&f, 2);
    }
    is_int(f.ready, 33, "30 kills, 30 successors");
    is_int(f.ended, 30, "each end seen once");
    uint64_t entered = 0, left = 0;
    wr_procs_stop(f.procs, true);
    run_until(&f, &f.stopped, 1, 5000);
    for (unsigned i = 0; i < SEATS; i++) {
        const struct wr_stage_words *w = &wr_board_seat(f.board, i)->stage[WR_STAGE_HANDLE];
        entered += w->entered;
        left += w->ok + w->failed;
    }
    ok(entered == 33 && left == 33, "the books balance");
    tear_down(&f);
}

static void test_crash_loop(void)
{
    struct fixture f;
    set_up(&f);
    f.exit_at_once = true;
    struct wr_procs_options o = options_of(&f, 1);
    o.backoff_min_ms = 20;
    o.backoff_max_ms = 40;
    o.budget = 5;
    o.window_ms = 700;
    is_int(wr_procs_start(f.loop, &o, &f.procs), 0, "started");
    run_until(&f, &f.resting, 1, 5000);
    is_int(f.started, 6, "the first and five more");
    is_int(f.waiting, 5, "all but the second had to wait, and the one to come has to");
    is_int(WEXITSTATUS(f.last_status), 3, "its status");
    run_for(&f, 50);
    is_int(f.started, 6, "then it rests");
    f.exit_at_once = false;
    run_until(&f, &f.ready, 1, 2000);
    is_int(f.ready, 1, "and comes back with the next window");
    tear_down(&f);
}

/* A program that has seen enough when a slot rests. */
static void test_given_up_resting(void)
{
    struct fixture f;
    for (int i = 0; i < 2; i++) {
        set_up(&f);
        f.exit_at_once = true;
        f.give_up_resting = i == 0;
        f.free_resting = i == 1;
        struct wr_procs_options o = options_of(&f, 1);
        o.backoff_min_ms = o.backoff_max_ms = 1;
        o.budget = 2;
        o.window_ms = 300;
        is_int(wr_procs_start(f.loop, &o, &f.procs), 0, "started");
        run_until(&f, &f.resting, 1, 5000);
        unsigned started = f.started;
        ok(f.resting == 1 && started == 3, "three lives, then it rests");
        run_for(&f, 500);
        is_int(f.started, started,
               i ? "freed then: nobody comes later" : "stopped then: nobody comes later");
        tear_down(&f);
    }
}

/* Successors that die before they are ready: the old ones serve on, and the replacement waits. */
static void test_replace_by_the_dying(void)
{
    struct fixture f;
    set_up(&f);
    struct wr_procs_options o = options_of(&f, 2);
    o.backoff_min_ms = o.backoff_max_ms = 20;
    ok(start(&f, &o), "ready");
    pid_t old = pid_of(&f, 0), other = pid_of(&f, 1);
    f.exit_at_once = true;
    is_int(wr_procs_replace(f.procs), 0, "replace");
    run_for(&f, 200);
    ok(f.replaced == 0 && pid_of(&f, 0) == old && pid_of(&f, 1) == other,
       "nobody is replaced, and nobody says so");
    f.exit_at_once = false;
    run_until(&f, &f.replaced, 1, 5000);
    ok(f.replaced == 1 && pid_of(&f, 0) != old && pid_of(&f, 1) != other,
       "successors that live replace them");
    run_for(&f, 100);
    is_int(wr_procs_alive(f.procs), 2, "two, as before");
    tear_down(&f);
}

/* Nothing can be opened while this holds; returns the limit as it was. */
static struct rlimit no_descriptors(void)
{
    struct rlimit was = {0}, none;
    ok(wr_os_rlimit_get(RLIMIT_NOFILE, &was) == 0, "the limit");
    none = (struct rlimit){0, was.rlim_max};
    ok(wr_os_rlimit_set(RLIMIT_NOFILE, &none) == 0, "no descriptor more");
    return was;
}

static void test_unborn(void)
{
    struct fixture f;
    set_up(&f);
    struct wr_procs_options o = options_of(&f, 2);
    o.backoff_min_ms = 20;
    struct rlimit was = no_descriptors();
    is_int(wr_procs_start(f.loop, &o, &f.procs), 0, "started");
    is_int(f.unborn, 2, "neither could be born");
    is_int(f.last_unborn, -EMFILE, "for that");
    ok(wr_os_rlimit_set(RLIMIT_NOFILE, &was) == 0, "there are descriptors again");
    run_until(&f, &f.ready, 2, 5000);
    is_int(f.ready, 2, "and both come");
    tear_down(&f);

    set_up(&f);
    f.give_up_at = 2;
    o = options_of(&f, 4);
    was = no_descriptors();
    is_int(wr_procs_start(f.loop, &o, &f.procs), 0, "started");
    ok(wr_os_rlimit_set(RLIMIT_NOFILE, &was) == 0, "there are descriptors again");
    is_int(f.unborn, 2, "told to stop by the second event: the others are not tried");
    is_int(f.stopped, 1, "it has stopped");
    run_for(&f, 50);
    is_int(f.started, 0, "and nobody comes later");
    tear_down(&f);
}

static void test_deadlines(void)
{
    struct fixture f;
    set_up(&f);
    f.deaf = true;
    struct wr_procs_options o = options_of(&f, 2);
    o.stop_timeout_ms = 100;
    ok(start(&f, &o), "ready, and deaf from now on");
    is_int(wr_os_kill(pid_of(&f, 0), SIGSTOP), 0, "one is even stopped");
    uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
    wr_procs_stop(f.procs, true);
    run_until(&f, &f.stopped, 1, 5000);
    t = (wr_os_now_ns(CLOCK_MONOTONIC) - t) / 1000000;
    ok(f.stopped == 1 && t >= 95 && t < 2000, "killed at the deadline (%llu ms)",
       (unsigned long long)t);
    is_int(WTERMSIG(f.last_status), SIGKILL, "by SIGKILL");
    tear_down(&f);
}

static void test_replace(void)
{
    struct fixture f;
    set_up(&f);
    struct wr_procs_options o = options_of(&f, 3);
    ok(start(&f, &o), "ready");
    pid_t old[3] = {pid_of(&f, 0), pid_of(&f, 1), pid_of(&f, 2)};
    is_int(wr_procs_replace(f.procs), 0, "replace");
    is_int(wr_procs_replace(f.procs), -EBUSY, "one at a time");
    run_until(&f, &f.replaced, 1, 5000);
    run_until(&f, &f.ended, 3, 5000);
    is_int(f.ready, 6, "three successors");
    is_int(f.ended, 3, "three gone");
    is_int(wr_procs_alive(f.procs), 3, "three left");
    ok(pid_of(&f, 0) != old[0] && pid_of(&f, 1) != old[1] && pid_of(&f, 2) != old[2],
       "all new");
    is_int(f.last_status, 0, "the old ones ended in order");
    tear_down(&f);
}

static void test_watchdog(void)
{
    struct fixture f;
    set_up(&f);
    f.spin = true;
    struct wr_procs_options o = options_of(&f, 1);
    o.watchdog_ms = 100;
    ok(start(&f, &o), "ready, spins after 50 ms");
    run_until(&f, &f.stuck, 1, 3000);
    is_int(f.stuck, 1, "found stuck");
    run_until(&f, &f.ready, 2, 3000);
    is_int(f.ready, 2, "replaced");
    tear_down(&f);

    set_up(&f);
    o = options_of(&f, 1);
    o.watchdog_ms = 100;
    ok(start(&f, &o), "one that works");
    run_for(&f, 400);
    is_int(f.stuck, 0, "is left alone");
    is_int(wr_os_kill(pid_of(&f, 0), SIGSTOP), 0, "until it is stopped");
    run_until(&f, &f.ready, 2, 3000);
    is_int(f.ready, 2, "replaced");
    tear_down(&f);
}

/* A master of its own, which is then killed: its children notice. */
static int master_main(void *arg)
{
    struct fixture *f = arg;
    struct wr_loop_options lo = {0};
    struct wr_procs_options o = options_of(f, 3);
    if (wr_loop_new(&lo, &f->loop) < 0 || !start(f, &o))
        return 1;
    wr_word_set(&wr_board_seat(f->board, 0)->request_id, 1);
    for (;;)
        (void)wr_loop_turn(f->loop, 1000);
}

static void test_dead_master(void)
{
    struct fixture f;
    set_up(&f);
    struct wr_loop *ours = f.loop;
    pid_t pid = wr_os_spawn(master_main, &f, NULL);
    const struct wr_seat *flag = wr_board_seat(f.board, 0);
    for (int i = 0; i < 5000 && !wr_word_get(&flag->request_id); i++)
        (void)wr_os_sleep_ns(1000000);
    ok(wr_word_get(&flag->request_id), "the master's children are ready");
    is_int(testing_kill(pid), SIGKILL, "the master is killed");
    unsigned gone = 0;
    for (int i = 0; i < 5000 && gone < 3; i++) {
        gone = 0;
        for (unsigned s = 1; s <= 3; s++)
            gone += wr_os_kill((pid_t)wr_board_seat(f.board, s)->pid, 0) == -ESRCH ||
                    wr_board_seat(f.board, s)->stage[WR_STAGE_HANDLE].ok == 1;
        (void)wr_os_sleep_ns(1000000);
    }
    is_int(gone, 3, "its children finished by themselves");
    f.loop = ours;
    tear_down(&f);
}

static void test_refused_memory(void)
{
    struct wr_heap_counting count;
    struct wr_heap_failing fail;
    bool through = false;
    wr_heap_counting_init(&count, wr_heap_libc());
    for (uint64_t n = 1; n < 100 && !through; n++) {
        struct fixture f;
        set_up(&f);
        wr_loop_free(&f.loop);
        wr_heap_failing_init(&fail, &count.heap, n, 0, 1);
        struct wr_loop_options lo = {.heap = &fail.heap};
        if (wr_loop_new(&lo, &f.loop) == 0) {
            struct wr_procs_options o = options_of(&f, 2);
            o.backoff_min_ms = 1;
            if (start(&f, &o))
                through = fail.fault.refused == 0;
            wr_procs_free(&f.procs);
            (void)wr_loop_turn(f.loop, 0);
        }
        tear_down(&f);
        if (count.objects) {
            ok(false, "refusal %llu left %zu objects", (unsigned long long)n, count.objects);
            return;
        }
    }
    ok(through, "every allocation refused once: nothing left behind, and then it starts");
}

static void test_exit_text(void)
{
    char text[40];
    is_str(wr_exit_text(3 << 8, text, sizeof text), "exit 3", "exit");
    is_str(wr_exit_text(SIGSEGV, text, sizeof text), "signal 11 (SIGSEGV)", "signal");
}

int main(void)
{
    if (!testing_has_pidfd()) {
        skip("no pidfd here");
        return tap_done();
    }
    test_start_and_stop();
    test_killed_is_replaced();
    test_kept_by_successor();
    test_kept_changes();
    test_many_kills();
    test_crash_loop();
    test_given_up_resting();
    test_replace_by_the_dying();
    test_unborn();
    test_deadlines();
    test_replace();
    test_watchdog();
    test_dead_master();
    test_refused_memory();
    test_exit_text();
    return tap_done();
}
