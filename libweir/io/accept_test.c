/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/accept.h"

#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/listen.h"
#include "libweir/io/loop.h"
#include "libweir/io/proc_testing.h"
#include "libweir/io/shm.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/wait.h>

#define WORKERS 3
#define SEATS   (1 + 4 * WORKERS) /* seat 0 is the client's */
#define WIDE    16                /* connections that the client has open at a time */

static const struct wr_board_options board_options = {.seats = SEATS};

struct fixture {
    struct wr_shm *shm;
    struct wr_board *board;
    struct wr_loop *loop;
    struct wr_procs *procs;
    struct wr_accept_share *share;
    enum wr_accept_mode mode;
    uint16_t port;
    unsigned ready, ended, replaced, connections;
    pid_t client;
    uint64_t paused_worker;   /* index + 1 */
    uint64_t crashing_worker; /* index + 1 */
};

/* ---- worker: says "ok" and hangs up ------------------------------------------------------------- */

struct worker {
    struct wr_loop *loop;
    struct wr_seat *seat;
    struct wr_accept *accept;
};

static void on_connection(int fd, void *arg)
{
    struct worker *me = arg;
    wr_seat_enter(me->seat, WR_STAGE_REPLY);
    bool sent = wr_os_send(fd, "ok", 2, 0) == 2;
    (void)wr_os_close(fd);
    wr_seat_leave(me->seat, WR_STAGE_REPLY, sent);
}

static void on_stop(struct wr_worker *w, enum wr_stop_reason why, void *arg)
{
    struct worker *me = arg;
    (void)w;
    (void)why;
    wr_accept_close(&me->accept);
    wr_loop_stop(me->loop);
}

static unsigned list_to_close(unsigned index, int out[static WR_PROCS_CLOSE_MAX], void *arg)
{
    struct fixture *f = arg;
    return wr_accept_share_list(f->share, index, out);
}

static int worker_main(struct wr_worker *w, void *arg)
{
    struct fixture *f = arg;
    struct worker me = {.seat = wr_worker_seat(w)};
    struct wr_worker_callbacks callbacks = {on_stop, NULL, &me};
    struct wr_loop_options o = {.stats = wr_worker_loop_stats(w)};
    if (f->crashing_worker == wr_worker_index(w) + 1)
        return 9;
    if (wr_loop_new(&o, &me.loop) < 0 ||
        wr_accept_open(me.loop, f->share, wr_worker_index(w), on_connection, &me, me.seat, NULL,
                       &me.accept) < 0 ||
        wr_worker_attach(w, me.loop, &callbacks) < 0)
        return 1;
    if (f->paused_worker == wr_worker_index(w) + 1)
        wr_accept_pause(me.accept);
    wr_worker_ready(w);
    int r = wr_loop_run(me.loop);
    wr_worker_detach(w);
    wr_loop_free(&me.loop);
    return r < 0 ? 2 : 0;
}

/* ---- client: a process of its own, WIDE connections at a time ------------------------------------ */

static int open_connection(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {10, 0};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = wr_os_socket(AF_INET, SOCK_STREAM | WR_OS_BLOCKING, 0);
    if (fd < 0)
        return fd;
    (void)wr_os_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int r = wr_os_connect(fd, (struct sockaddr *)&sa, sizeof sa);
    if (r == 0)
        return fd;
    (void)wr_os_close(fd);
    return r;
}

static bool was_answered(int fd)
{
    char buf[8];
    size_t n = 0;
    ssize_t r;
    while (n < sizeof buf && (r = wr_os_recv(fd, buf + n, sizeof buf - n, 0)) > 0)
        n += (size_t)r;
    return n == 2 && buf[0] == 'o' && buf[1] == 'k';
}

static int client_main(void *arg)
{
    struct fixture *f = arg;
    struct wr_seat *seat = wr_board_seat(f->board, 0);
    int inherited[WR_PROCS_CLOSE_MAX];
    unsigned n = wr_accept_share_list(f->share, WORKERS, inherited);
    for (unsigned i = 0; i < n; i++)
        (void)wr_os_close(inherited[i]);
    for (unsigned done = 0; done < f->connections; done += WIDE) {
        int fds[WIDE];
        for (unsigned i = 0; i < WIDE; i++)
            fds[i] = open_connection(f->port);
        for (unsigned i = 0; i < WIDE; i++) {
            bool good = fds[i] >= 0 && was_answered(fds[i]);
            wr_seat_count(seat, good ? WR_COUNTER_REQUESTS : WR_COUNTER_ABORTED, 1);
            if (fds[i] >= 0)
                (void)wr_os_close(fds[i]);
        }
    }
    return 0;
}

static void start_client(struct fixture *f, unsigned connections)
{
    f->connections = connections;
    f->client = wr_os_spawn(client_main, f, NULL);
}

static bool client_runs(struct fixture *f)
{
    int status;
    if (f->client <= 0 || wr_os_reap(f->client, &status) == 0)
        return f->client > 0;
    f->client = 0;
    return false;
}

/* ---- master -------------------------------------------------------------------------------------------- */

static int listen_on_loopback(bool reuse_port, void *arg)
{
    struct fixture *f = arg;
    struct wr_listen_options o = {.backlog = 512, .reuseport = reuse_port};
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    unsigned backlog;
    int fd;
    o.addr.kind = WR_ADDR_V4;
    o.addr.v4[0] = 127;
    o.addr.v4[3] = 1;
    o.addr.port = f->port;
    int r = wr_listen_socket(&o, &fd, &backlog);
    if (r < 0 || wr_os_getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
        return r < 0 ? r : -EINVAL;
    f->port = ntohs(sa.sin_port);
    return fd;
}

static void on_event(struct wr_procs *p, enum wr_procs_event event, unsigned index, pid_t pid,
                     int status, void *arg)
{
    struct fixture *f = arg;
    (void)p;
    (void)status;
    wr_accept_share_event(f->share, event, index, pid);
    f->ready += event == WR_PROCS_READY;
    f->ended += event == WR_PROCS_ENDED;
    f->replaced += event == WR_PROCS_REPLACED;
}

static void turn(struct fixture *f)
{
    (void)wr_loop_turn(f->loop, 2);
}

static bool set_up(struct fixture *f, enum wr_accept_mode mode, uint64_t paused_worker,
                   uint64_t crashing_worker)
{
    struct wr_shm_part part = {WR_BOARD_PART, WR_BOARD_VERSION, wr_board_size(&board_options)};
    struct wr_loop_options lo = {.heap = wr_heap_libc()};
    *f = (struct fixture){
        .mode = mode, .paused_worker = paused_worker, .crashing_worker = crashing_worker};
    unsigned serving = WORKERS - (crashing_worker != 0);
    struct wr_accept_share_options so = {
        .mode = mode, .workers = WORKERS, .listen = listen_on_loopback, .arg = f};
    struct wr_procs_options po = {
        .name = "weir accept",
        .workers = WORKERS,
        .main = worker_main,
        .arg = f,
        .log_wake_fd = -1,
        .healthy_ms = 1,
        .on_event = on_event,
        .event_arg = f,
        .list_to_close = list_to_close,
        .first_seat = 1,
        .seats = SEATS - 1,
    };
    if (wr_shm_new(wr_heap_libc(), "accept", &part, 1, &f->shm) < 0 ||
        wr_board_new(wr_heap_libc(), f->shm, &board_options, &f->board) < 0 ||
        wr_loop_new(&lo, &f->loop) < 0 || wr_accept_share_new(f->loop, &so, &f->share) < 0)
        return false;
    po.board = f->board;
    if (wr_procs_start(f->loop, &po, &f->procs) < 0)
        return false;
    for (int i = 0; i < 2000 && f->ready < serving; i++)
        turn(f);
    return f->ready == serving;
}

static void tear_down(struct fixture *f)
{
    wr_procs_stop(f->procs, true);
    for (int i = 0; i < 2000 && wr_procs_alive(f->procs); i++)
        turn(f);
    wr_procs_free(&f->procs);
    wr_accept_share_free(&f->share);
    wr_loop_free(&f->loop);
    wr_board_free(&f->board);
    wr_shm_free(&f->shm);
}

static uint64_t client_count(struct fixture *f, enum wr_counter c)
{
    return wr_word_get(&wr_board_seat(f->board, 0)->counter[c]);
}

static uint64_t accepted_by(struct fixture *f, unsigned seat)
{
    return wr_word_get(&wr_board_seat(f->board, seat)->counter[WR_COUNTER_ACCEPTED]);
}

static struct wr_stage_words replies(struct fixture *f)
{
    struct wr_stage_words sum = {0};
    for (unsigned i = 1; i < SEATS; i++) {
        const struct wr_stage_words *w = &wr_board_seat(f->board, i)->stage[WR_STAGE_REPLY];
        sum.entered += w->entered;
        sum.ok += w->ok;
        sum.failed += w->failed;
    }
    return sum;
}

static void test_all_served(enum wr_accept_mode mode)
{
    struct fixture f;
    const char *name = wr_accept_mode_name(mode);
    enum {
        N = 600 * WIDE / 16
    };
    ok(set_up(&f, mode, 0, 0), "%s: ready", name);
    start_client(&f, N);
    while (client_runs(&f))
        turn(&f);
    uint64_t a = accepted_by(&f, 1), b = accepted_by(&f, 2), c = accepted_by(&f, 3);
    uint64_t least = a < b ? (a < c ? a : c) : (b < c ? b : c);
    is_int(client_count(&f, WR_COUNTER_REQUESTS), (N + WIDE - 1) / WIDE * WIDE,
           "%s: all answered, spread %llu/%llu/%llu", name, (unsigned long long)a,
           (unsigned long long)b, (unsigned long long)c);
    if (mode == WR_ACCEPT_FDPASS)
        ok(least >= N / WORKERS - WIDE, "%s: equal shares", name);
    if (mode == WR_ACCEPT_REUSEPORT || mode == WR_ACCEPT_NOTIFY)
        ok(least >= N / 10, "%s: nobody idles", name);
    tear_down(&f);
}

/* A worker dies every 30 ms. What is lost is at most what it had in its hands. */
static void test_killed(enum wr_accept_mode mode)
{
    struct fixture f;
    const char *name = wr_accept_mode_name(mode);
    unsigned kills = 0;
    ok(set_up(&f, mode, 0, 0), "%s: ready", name);
    start_client(&f, 4000);
    uint64_t next = wr_os_now_ns(CLOCK_MONOTONIC) + 30000000;
    while (client_runs(&f)) {
        struct wr_procs_info info;
        turn(&f);
        if (wr_os_now_ns(CLOCK_MONOTONIC) < next || kills == 10)
            continue;
        next += 30000000;
        if (wr_procs_info(f.procs, kills % WORKERS, &info) && info.ready &&
            wr_os_kill(info.pid, SIGKILL) == 0)
            kills++;
    }
    uint64_t good = client_count(&f, WR_COUNTER_REQUESTS);
    uint64_t bad = client_count(&f, WR_COUNTER_ABORTED);
    is_int(good + bad, 4000, "%s: nobody waits for ever (%u killed)", name, kills);
    ok(bad <= kills * WIDE, "%s: %llu lost, at most what the killed held", name,
       (unsigned long long)bad);
    tear_down(&f);
    (void)replies;
}

static void test_replaced(enum wr_accept_mode mode)
{
    struct fixture f;
    const char *name = wr_accept_mode_name(mode);
    unsigned rounds = 0;
    ok(set_up(&f, mode, 0, 0), "%s: ready", name);
    start_client(&f, 4000);
    while (client_runs(&f)) {
        turn(&f);
        if (f.replaced == rounds && rounds < 5 && wr_procs_replace(f.procs) == 0)
            rounds++;
    }
    for (int i = 0; i < 2000 && f.ended < rounds * WORKERS; i++)
        turn(&f);
    is_int(client_count(&f, WR_COUNTER_REQUESTS), 4000,
           "%s: all workers replaced %u times under load, nothing lost", name, f.replaced);
    is_int(f.ended, rounds * WORKERS, "%s: the old ones are gone", name);
    struct wr_stage_words w = replies(&f);
    ok(w.entered == 4000 && w.ok == 4000 && w.failed == 0, "%s: the books balance", name);
    tear_down(&f);
}

/* A worker that takes nothing must not hold anybody up where the master chooses. */
static void test_one_takes_nothing(enum wr_accept_mode mode, bool stopped)
{
    struct fixture f;
    struct wr_procs_info info;
    const char *name = wr_accept_mode_name(mode);
    ok(set_up(&f, mode, stopped ? 0 : 2, 0), "%s: ready", name);
    if (stopped && wr_procs_info(f.procs, 1, &info))
        is_int(wr_os_kill(info.pid, SIGSTOP), 0, "%s: one is stopped", name);
    start_client(&f, 320);
    while (client_runs(&f))
        turn(&f);
    is_int(client_count(&f, WR_COUNTER_REQUESTS), 320, "%s: one %s, all answered", name,
           stopped ? "stopped" : "paused");
    if (stopped && wr_procs_info(f.procs, 1, &info))
        is_int(wr_os_kill(info.pid, SIGCONT), 0, "%s: and continued", name);
    tear_down(&f);
}

/* A worker that dies whenever it is started: what the kernel hands to its socket is served by others. */
static void test_one_crashes(enum wr_accept_mode mode)
{
    struct fixture f;
    const char *name = wr_accept_mode_name(mode);
    ok(set_up(&f, mode, 0, 2), "%s: two are ready", name);
    start_client(&f, 320);
    while (client_runs(&f))
        turn(&f);
    is_int(client_count(&f, WR_COUNTER_REQUESTS), 320, "%s: one never lives, all answered",
           name);
    tear_down(&f);
}

/* What a dead worker's heir had adopted its successor goes on with. */
static void test_heir_is_replaced(void)
{
    struct fixture f;
    ok(set_up(&f, WR_ACCEPT_REUSEPORT, 0, 2), "reuseport: two are ready");
    unsigned before = f.ready;
    is_int(wr_procs_replace(f.procs), 0, "they are replaced");
    for (int i = 0; i < 2000 && f.ready < before + 2; i++)
        turn(&f);
    start_client(&f, 48);
    while (client_runs(&f))
        turn(&f);
    is_int(client_count(&f, WR_COUNTER_REQUESTS), 48, "the orphan's queue is served");
    tear_down(&f);
}

static void count_connection(int fd, void *arg)
{
    unsigned *n = arg;
    (void)wr_os_close(fd);
    ++*n;
}

/* The old one of an index fills up while its successor takes over: its pause ends with it. */
static void test_paused_and_replaced(enum wr_accept_mode mode)
{
    struct fixture f = {0};
    struct wr_loop_options lo = {.heap = wr_heap_libc()};
    struct wr_accept_share_options o = {
        .mode = mode, .workers = 1, .listen = listen_on_loopback, .arg = &f};
    struct wr_accept *old = NULL, *new = NULL;
    unsigned by_old = 0, by_new = 0;
    ok(wr_loop_new(&lo, &f.loop) == 0 && wr_accept_share_new(f.loop, &o, &f.share) == 0 &&
           wr_accept_open(f.loop, f.share, 0, count_connection, &by_old, NULL, NULL, &old) ==
               0 &&
           wr_accept_open(f.loop, f.share, 0, count_connection, &by_new, NULL, NULL, &new) == 0,
       "%s: two of one index", wr_accept_mode_name(mode));
    wr_accept_share_event(f.share, WR_PROCS_READY, 0, 1);
    wr_accept_share_event(f.share, WR_PROCS_READY, 0, 2);
    wr_accept_pause(old);
    wr_accept_share_event(f.share, WR_PROCS_STOPPING, 0, 1);
    wr_accept_close(&old);
    wr_accept_share_event(f.share, WR_PROCS_ENDED, 0, 1);
    int fd = open_connection(f.port);
    for (int i = 0; i < 200 && !by_new; i++)
        turn(&f);
    ok(by_new == 1 && by_old == 0, "%s: the new one is given connections",
       wr_accept_mode_name(mode));
    (void)wr_os_close(fd);
    wr_accept_close(&new);
    (void)wr_loop_turn(f.loop, 0);
    wr_accept_share_free(&f.share);
    (void)wr_loop_turn(f.loop, 0);
    wr_loop_free(&f.loop);
}

struct house {
    struct wr_accept *accept;
    unsigned n, full_at; /* 0: never */
};

static void enter_house(int fd, void *arg)
{
    struct house *h = arg;
    (void)wr_os_close(fd);
    if (++h->n == h->full_at)
        wr_accept_pause(h->accept);
}

/* Full in the middle of what the master has handed over: the rest waits, until there is room or the end. */
static void test_full_house(enum wr_accept_mode mode, bool resumed)
{
    struct fixture f = {0};
    struct house h = {.full_at = 3};
    struct wr_loop_options lo = {.heap = wr_heap_libc()};
    struct wr_accept_share_options o = {
        .mode = mode, .workers = 1, .listen = listen_on_loopback, .arg = &f};
    const char *name = wr_accept_mode_name(mode);
    int fds[20];
    ok(wr_loop_new(&lo, &f.loop) == 0 && wr_accept_share_new(f.loop, &o, &f.share) == 0 &&
           wr_accept_open(f.loop, f.share, 0, enter_house, &h, NULL, NULL, &h.accept) == 0,
       "%s: a worker", name);
    wr_accept_share_event(f.share, WR_PROCS_READY, 0, 1);
    for (unsigned i = 0; i < 20; i++)
        fds[i] = open_connection(f.port);
    for (int i = 0; i < 30; i++)
        turn(&f);
    is_int(h.n, 3, "%s: it takes what it has room for", name);
    if (resumed)
        wr_accept_resume(h.accept);
    else
        wr_accept_close(&h.accept);
    for (int i = 0; i < 30; i++)
        turn(&f);
    if (resumed || mode == WR_ACCEPT_FDPASS)
        is_int(h.n, 20, "%s: and the others %s", name, resumed ? "later" : "at its end");
    for (unsigned i = 0; i < 20; i++)
        (void)wr_os_close(fds[i]);
    wr_accept_close(&h.accept);
    (void)wr_loop_turn(f.loop, 0);
    wr_accept_share_free(&f.share);
    (void)wr_loop_turn(f.loop, 0);
    wr_loop_free(&f.loop);
}

static void test_names(void)
{
    enum wr_accept_mode mode;
    for (unsigned i = 0; i < WR_ACCEPT_MODES; i++)
        ok(wr_accept_mode_parse(wr_accept_mode_name((enum wr_accept_mode)i), &mode) == 0 &&
               mode == (enum wr_accept_mode)i,
           "%s", wr_accept_mode_name((enum wr_accept_mode)i));
    ok(wr_accept_mode_parse("thundering-herd", &mode) < 0, "no such mode");
}

/* Both sides in one process: opened, and given back whatever was refused. */
static int both_sides(const struct wr_heap *heap, void *arg)
{
    const enum wr_accept_mode *mode = arg;
    struct fixture f = {0};
    struct wr_loop_options lo = {.heap = heap};
    struct wr_accept_share_options o = {
        .mode = *mode, .workers = 2, .listen = listen_on_loopback, .arg = &f};
    struct wr_accept *a = NULL;
    int r = wr_loop_new(&lo, &f.loop);
    if (r < 0)
        return r;
    r = wr_accept_share_new(f.loop, &o, &f.share);
    if (r == 0)
        r = wr_accept_open(f.loop, f.share, 0, on_connection, &f, NULL, NULL, &a);
    if (r == 0) {
        wr_accept_share_event(f.share, WR_PROCS_READY, 0, 1);
        (void)wr_loop_turn(f.loop, 0);
        wr_accept_close(&a);
    }
    (void)wr_loop_turn(f.loop, 0);
    wr_accept_share_free(&f.share);
    (void)wr_loop_turn(f.loop, 0);
    wr_loop_free(&f.loop);
    return r;
}

static void test_refused_memory(void)
{
    for (unsigned i = 0; i < WR_ACCEPT_MODES; i++) {
        enum wr_accept_mode mode = (enum wr_accept_mode)i;
        nth_every(wr_accept_mode_name(mode), both_sides, &mode);
    }
}

int main(void)
{
    if (!testing_has_pidfd()) {
        skip("no pidfd here");
        return tap_done();
    }
    test_names();
    for (unsigned i = 0; i < WR_ACCEPT_MODES; i++) {
        enum wr_accept_mode mode = (enum wr_accept_mode)i;
        test_all_served(mode);
        test_killed(mode);
        test_replaced(mode);
        test_one_crashes(mode);
    }
    test_one_takes_nothing(WR_ACCEPT_NOTIFY, true);
    test_one_takes_nothing(WR_ACCEPT_NOTIFY, false);
    test_one_takes_nothing(WR_ACCEPT_FDPASS, false);
    for (unsigned i = 0; i < WR_ACCEPT_MODES; i++)
        test_full_house((enum wr_accept_mode)i, true);
    test_full_house(WR_ACCEPT_FDPASS, false);
    test_heir_is_replaced();
    test_paused_and_replaced(WR_ACCEPT_NOTIFY);
    test_paused_and_replaced(WR_ACCEPT_FDPASS);
    test_refused_memory();
    return tap_done();
}
