/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/listen.h"

#include "libweir/io/proc_testing.h"
#include "libweir/io/sock.h"
#include "tests/net_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

struct server {
    struct wr_loop *loop;
    struct wr_listener *l;
    unsigned accepted, notices, pause_after;
    struct wr_listen_notice last;
    bool close_at_accept, keep;
    int fd;
    struct wr_addr peer;
};

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    struct server *s = arg;
    s->accepted++;
    s->peer = *peer;
    if (s->keep)
        s->fd = fd;
    else
        (void)wr_os_close(fd);
    if (s->pause_after && s->accepted == s->pause_after)
        wr_listener_pause(l, WR_PAUSE_CONNS);
    if (s->close_at_accept)
        wr_listener_close(&s->l);
}

static void on_notice(struct wr_listener *l, const struct wr_listen_notice *n, void *arg)
{
    struct server *s = arg;
    (void)l;
    s->notices++;
    s->last = *n;
}

static struct wr_listen_options at(const char *addr)
{
    return (struct wr_listen_options){.addr = net_addr(addr), .on_notice = on_notice};
}

static int begin(struct server *s, struct wr_listen_options *o)
{
    memset(s, 0, sizeof *s);
    if (wr_loop_new(NULL, &s->loop))
        return -1;
    return wr_listener_open(s->loop, o, on_accept, s, &s->l);
}

static void finish(struct server *s)
{
    wr_listener_close(&s->l);
    wr_loop_free(&s->loop);
}

static void test_accept(const char *addr)
{
    struct server s;
    struct wr_listen_options o = at(addr);
    int clients[40], v = 0;
    o.burst = 8;
    s.keep = false;
    is_int(begin(&s, &o), 0, "listener at %s", addr);
    for (int i = 0; i < 40; i++)
        clients[i] = net_connect(wr_listener_addr(s.l));
    (void)wr_loop_turn(s.loop, 100);
    is_int(s.accepted, 8, "one burst per turn");
    ok(net_until(s.loop, 2000, s.accepted == 40), "the rest is announced again");
    is_int(wr_listener_stats(s.l)->accepted, 40, "counted");
    ok(wr_listener_stats(s.l)->full_bursts >= 4, "full bursts counted");
    ok(s.peer.kind == WR_ADDR_UNIX || s.peer.port > 0, "the peer is named");
    s.keep = true;
    int c = net_connect(wr_listener_addr(s.l));
    ok(net_until(s.loop, 2000, s.accepted == 41), "one more");
    if (s.peer.kind == WR_ADDR_V4) {
        is_int(wr_sock_get(s.fd, WR_LIT("nodelay"), &v), 0, "option of the connection");
        ok(v, "NODELAY is inherited");
    }
    (void)wr_os_close(s.fd);
    (void)wr_os_close(c);
    for (int i = 0; i < 40; i++)
        (void)wr_os_close(clients[i]);
    finish(&s);
}

static void test_backlog(void)
{
    struct server s;
    struct wr_listen_options o = at("127.0.0.1:0");
    o.backlog = 100000000;
    is_int(begin(&s, &o), 0, "a huge backlog");
    is_int(s.notices, 1, "one notice");
    is_int(s.last.kind, WR_LISTEN_BACKLOG_CLIPPED, "that it was clipped");
    ok(s.last.wanted == 100000000 && s.last.got == wr_listener_backlog(s.l) &&
           s.last.got < s.last.wanted && s.last.got > 0,
       "to %u", s.last.got);
    finish(&s);
    o.backlog = 5;
    is_int(begin(&s, &o), 0, "a small one");
    is_int(wr_listener_backlog(s.l), 5, "is granted");
    is_int(s.notices, 0, "without a word");
    finish(&s);
}

static void test_pause(void)
{
    struct server s;
    struct wr_listen_options o = at("127.0.0.1:0");
    int c[3];
    is_int(begin(&s, &o), 0, "listener");
    s.pause_after = 1;
    for (int i = 0; i < 3; i++)
        c[i] = net_connect(wr_listener_addr(s.l));
    net_turns(s.loop, 30);
    is_int(s.accepted, 1, "paused from within on_accept: the burst ends");
    is_int(wr_listener_paused(s.l), WR_PAUSE_CONNS, "the reason is told");
    wr_listener_pause(s.l, WR_PAUSE_BUDGET);
    wr_listener_resume(s.l, WR_PAUSE_CONNS);
    net_turns(s.loop, 30);
    is_int(s.accepted, 1, "another reason still holds");
    wr_listener_resume(s.l, WR_PAUSE_BUDGET);
    ok(net_until(s.loop, 2000, s.accepted == 3), "resumed: nothing was lost");
    for (int i = 0; i < 3; i++)
        (void)wr_os_close(c[i]);
    int last = net_connect(wr_listener_addr(s.l));
    s.close_at_accept = true;
    ok(net_until(s.loop, 2000, s.l == NULL), "closed from within on_accept");
    (void)wr_os_close(last);
    finish(&s);
}

static void test_options(void)
{
    struct server s;
    struct wr_listen_options o = at("127.0.0.1:0");
    int v = 0;
    o.reuseport = o.exclusive = true;
    o.readd_every = 2;
    o.defer_accept_s = 1;
    o.rcvbuf = 65536;
    o.congestion = WR_LIT("no-such-algorithm");
    ok(begin(&s, &o) < 0, "an unknown congestion control is an error");
    wr_loop_free(&s.loop);
    o.congestion = (struct wr_span){0};
    is_int(begin(&s, &o), 0, "reuseport, exclusive, defer accept");
    ok(wr_sock_get(wr_listener_fd(s.l), WR_LIT("defer_accept_s"), &v) == 0 && v > 0,
       "deferred");
    int c[6];
    for (int i = 0; i < 6; i++) {
        c[i] = net_connect(wr_listener_addr(s.l));
        (void)!wr_os_send(c[i], "x", 1, 0);
        (void)net_until(s.loop, 1000, s.accepted == (unsigned)i + 1);
    }
    is_int(s.accepted, 6, "accepted, also after registering again");
    for (int i = 0; i < 6; i++)
        (void)wr_os_close(c[i]);
    /* a second one on the same port, as another worker would */
    struct wr_listen_options again = o;
    struct wr_listener *second = NULL;
    again.addr = *wr_listener_addr(s.l);
    is_int(wr_listener_open(s.loop, &again, on_accept, &s, &second), 0, "reuseport");
    again.reuseport = false;
    struct wr_listener *third = NULL;
    is_int(wr_listener_open(s.loop, &again, on_accept, &s, &third), -EADDRINUSE,
           "without it: taken");
    wr_listener_close(&second);
    finish(&s);
}

static void test_adopt(void)
{
    struct server s;
    struct wr_listen_options o = at("127.0.0.1:0");
    int fd = -1, fds[2];
    unsigned backlog;
    o.backlog = 7;
    is_int(wr_listen_socket(&o, &fd, &backlog), 0, "a master's socket");
    o.addr = (struct wr_addr){.kind = WR_ADDR_FD, .fd = fd};
    o.manual = true;
    o.backlog = 0;
    is_int(begin(&s, &o), 0, "adopted");
    is_int(wr_listener_backlog(s.l), 7, "with the queue that its maker chose");
    ok(wr_listener_addr(s.l)->kind == WR_ADDR_V4 && wr_listener_addr(s.l)->port,
       "knows its address");
    int a = net_connect(wr_listener_addr(s.l)), b = net_connect(wr_listener_addr(s.l));
    net_turns(s.loop, 30);
    is_int(s.accepted, 0, "manual: epoll accepts nothing");
    is_int(wr_listener_drain(s.l, 100), 2, "drained");
    is_int(wr_listener_drain(s.l, 100), 0, "empty");
    wr_listener_pause(s.l, WR_PAUSE_CONNS);
    int late = net_connect(wr_listener_addr(s.l));
    is_int(wr_listener_drain(s.l, 100), 0, "paused: not drained");
    wr_listener_resume(s.l, WR_PAUSE_CONNS);
    ok(net_until(s.loop, 1000, s.accepted == 3), "resumed: accepted without another notice");
    (void)wr_os_close(late);
    finish(&s);
    (void)wr_os_close(a);
    (void)wr_os_close(b);
    ok(wr_os_socketpair(AF_UNIX, SOCK_DGRAM, fds) == 0, "something else");
    o.addr.fd = fds[0];
    is_int(begin(&s, &o), -EPROTOTYPE, "is not adopted");
    ok(wr_os_close(fds[0]) == 0, "and is still the caller's");
    (void)wr_os_close(fds[1]);
    wr_loop_free(&s.loop);
}

static void test_unix_stale(void)
{
    struct server s, other;
    char path[64] = "unix:/tmp/wr-listen-test-", *p = path + strlen(path);
    for (int pid = wr_os_getpid(); pid; pid /= 10)
        *p++ = (char)('0' + pid % 10);
    struct wr_listen_options o = at(path);
    is_int(begin(&s, &o), 0, "unix path");
    is_int(begin(&other, &o), -EADDRINUSE, "somebody listens: taken");
    wr_loop_free(&other.loop);
    finish(&s);
    is_int(begin(&s, &o), 0, "nobody listens any more: replaced");
    finish(&s);
    (void)wr_os_unlink(path + 5);
    int fd = wr_os_open(path + 5, O_CREAT | O_WRONLY, 0600);
    is_int(wr_os_write(fd, "precious", 8), 8, "a file that is no socket");
    (void)wr_os_close(fd);
    is_int(begin(&s, &o), -EADDRINUSE, "the path is taken");
    wr_loop_free(&s.loop);
    struct stat st = {0};
    ok(wr_os_stat(path + 5, &st) == 0 && st.st_size == 8, "and the file is left alone");
    (void)wr_os_unlink(path + 5);
}

/* Backlog 5 and thousands of connections, the first of which overflow the queue. What does not fit the kernel drops and the client's kernel
 * sends again; a client that believes to be connected (the kernel answered it with a cookie and then had
 * no room) is known only by its first bytes, so every client sends one. All are accepted. */
static void test_flood(void)
{
    enum {
        CLIENTS = 3000,
        OVERFLOW = 12,
        STEP = 6
    };
    static int fds[CLIENTS];
    static bool sent[CLIENTS];
    struct server s;
    struct wr_listen_options o = at("127.0.0.1:0");
    o.backlog = 5;
    is_int(begin(&s, &o), 0, "backlog 5");
    unsigned begun = 0;
    for (; begun < CLIENTS; begun++) {
        fds[begun] = net_connect(wr_listener_addr(s.l));
        if (fds[begun] < 0)
            break;
        if (begun >= OVERFLOW && begun % STEP == STEP - 1)
            (void)wr_loop_turn(s.loop, 0);
    }
    is_int(begun, CLIENTS, "clients");
    unsigned at_once = s.accepted;
    for (int round = 0; round < 3000 && s.accepted < CLIENTS; round++) {
        for (unsigned i = 0; i < begun; i++)
            sent[i] = sent[i] || wr_os_send(fds[i], "x", 1, 0) != -EAGAIN;
        net_turns(s.loop, 5);
    }
    is_int(s.accepted, CLIENTS, "all accepted (%u at once)", at_once);
    struct wr_sock_info info = {0};
    ok(wr_sock_info(wr_listener_fd(s.l), &info) == 0 && info.unacked == 0,
       "the queue is empty");
    for (unsigned i = 0; i < begun; i++)
        (void)wr_os_close(fds[i]);
    finish(&s);
}

/* ---- out of descriptors, in a process of its own ----------------------------------------------------- */

enum {
    HUNGRY_FDS = 48,
    KEPT_MAX = 64
};

struct report { /* shared between both processes */
    uint64_t cpu_ns, wall_ns, recovery_ns;
    uint64_t accepted, shed, pauses, shortage_notices, recovered_notices, shed_noticed;
    uint32_t phase; /* 1: starve, 2: clients left, 3: end */
};

struct kept {
    struct wr_io io;
    struct hungry *of;
};

struct hungry {
    struct wr_loop *loop;
    struct wr_listener *l;
    struct report *report;
    struct kept kept[KEPT_MAX];
    int fd;
};

static void on_kept(struct wr_io *io, uint32_t events)
{
    struct kept *k = wr_container_of(io, struct kept, io);
    if (!(events & (EPOLLRDHUP | EPOLLHUP)))
        return;
    wr_io_close(io);
    wr_listener_resume(k->of->l, WR_PAUSE_SHORTAGE);
}

static void hungry_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    struct hungry *h = arg;
    (void)l;
    (void)peer;
    (void)!wr_os_send(fd, "k", 1, 0);
    for (int i = 0; i < KEPT_MAX; i++) {
        if (wr_io_is_open(&h->kept[i].io))
            continue;
        h->kept[i].of = h;
        if (wr_io_open(h->loop, &h->kept[i].io, fd, WR_IO_EDGE, on_kept) == 0)
            return;
        break;
    }
    (void)wr_os_close(fd);
}

static void hungry_notice(struct wr_listener *l, const struct wr_listen_notice *n, void *arg)
{
    struct hungry *h = arg;
    (void)l;
    h->report->shortage_notices += n->kind == WR_LISTEN_SHORTAGE;
    h->report->recovered_notices += n->kind == WR_LISTEN_RECOVERED;
    h->report->shed_noticed += n->shed;
}

static int hungry_child(void *arg)
{
    static struct hungry h;
    struct hungry *given = arg;
    struct rlimit limit = {HUNGRY_FDS, HUNGRY_FDS};
    h = *given;
    struct wr_listen_options o = {
        .addr = {.kind = WR_ADDR_FD, .fd = h.fd},
          .on_notice = hungry_notice
    };
    if (wr_os_rlimit_set(RLIMIT_NOFILE, &limit) || wr_loop_new(NULL, &h.loop) ||
        wr_listener_open(h.loop, &o, hungry_accept, &h, &h.l))
        return 1;
    while (__atomic_load_n(&h.report->phase, __ATOMIC_ACQUIRE) < 1)
        (void)wr_loop_turn(h.loop, 1);
    uint64_t cpu = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = wr_os_now_ns(CLOCK_MONOTONIC);
    while (__atomic_load_n(&h.report->phase, __ATOMIC_ACQUIRE) < 2)
        (void)wr_loop_turn(h.loop, 10);
    h.report->cpu_ns = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    h.report->wall_ns = wr_os_now_ns(CLOCK_MONOTONIC) - wall;
    while (__atomic_load_n(&h.report->phase, __ATOMIC_ACQUIRE) < 3)
        (void)wr_loop_turn(h.loop, 10);
    const struct wr_listen_stats *st = wr_listener_stats(h.l);
    h.report->accepted = st->accepted;
    h.report->shed = st->shed;
    h.report->pauses = st->pauses;
    return 0;
}

/* Milliseconds until a connection was answered with a byte; -1 after 5 s. */
static int time_to_service(const struct wr_addr *a)
{
    uint64_t begin_ns = wr_os_now_ns(CLOCK_MONOTONIC);
    for (;;) {
        uint64_t ms = (wr_os_now_ns(CLOCK_MONOTONIC) - begin_ns) / 1000000;
        char c;
        if (ms > 5000)
            return -1;
        int fd = net_connect(a);
        for (int i = 0; i < 200; i++) {
            ssize_t n = wr_os_recv(fd, &c, 1, 0);
            if (n == 1) {
                (void)wr_os_close(fd);
                return (int)((wr_os_now_ns(CLOCK_MONOTONIC) - begin_ns) / 1000000);
            }
            if (n != -EAGAIN)
                break;
            (void)wr_os_sleep_ns(1000000);
        }
        (void)wr_os_close(fd);
        (void)wr_os_sleep_ns(5000000);
    }
}

static void test_shortage(void)
{
    enum {
        CLIENTS = 300
    };
    static int fds[CLIENTS];
    struct hungry h = {0};
    struct wr_listen_options o = at("127.0.0.1:0");
    struct wr_addr a;
    unsigned backlog, served = 0, reset = 0;
    int pidfd = -1, status = -1, shm = wr_os_memfd("report", sizeof *h.report);
    h.report = wr_os_map_shared(shm, sizeof *h.report, true);
    ok(h.report && wr_listen_socket(&o, &h.fd, &backlog) == 0 &&
           wr_addr_of_socket(h.fd, &a) == 0,
       "a listening socket");
    pid_t pid = wr_os_spawn(hungry_child, &h, &pidfd);
    ok(pid > 0, "a process with %d descriptors", HUNGRY_FDS);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = net_connect(&a);
    (void)wr_os_sleep_ns(100000000);
    __atomic_store_n(&h.report->phase, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 100; i++) { /* a second of clients that do not give up */
        int fd = net_connect(&a);
        (void)wr_os_sleep_ns(10000000);
        (void)wr_os_close(fd);
    }
    for (int i = 0; i < CLIENTS; i++) {
        char c;
        ssize_t n = wr_os_recv(fds[i], &c, 1, 0);
        served += n == 1;
        reset += n == -ECONNRESET;
    }
    __atomic_store_n(&h.report->phase, 2, __ATOMIC_RELEASE);
    for (int i = 0; i < CLIENTS; i++)
        (void)wr_os_close(fds[i]);
    int ms = time_to_service(&a);
    (void)wr_os_sleep_ns(1800000000);
    __atomic_store_n(&h.report->phase, 3, __ATOMIC_RELEASE);
    for (int i = 0; i < 300 && wr_os_reap(pid, &status) == 0; i++)
        (void)wr_os_sleep_ns(10000000);
    is_int(status, 0, "the server lived");
    ok(served > 10 && served < HUNGRY_FDS, "%u clients were served", served);
    ok(reset > 0 && served + reset <= CLIENTS, "%u were told by a RST", reset);
    double cpu = 100.0 * (double)h.report->cpu_ns / (double)(h.report->wall_ns + 1);
    ok(cpu < 5.0, "no spin: %.2f %% of a core while starving", cpu);
    ok(ms >= 0 && ms <= 1000, "served again %d ms after the clients left", ms);
    ok(h.report->shed >= reset && h.report->pauses > 0, "%u shed, %u pauses",
       (unsigned)h.report->shed, (unsigned)h.report->pauses);
    is_int(h.report->shortage_notices, 1, "one notice that it began");
    is_int(h.report->recovered_notices, 1, "one that it ended");
    is_int(h.report->shed_noticed, h.report->shed, "with the number of those shed");
    (void)wr_os_close(h.fd);
    (void)wr_os_close(pidfd);
    (void)wr_os_unmap(h.report, sizeof *h.report);
    (void)wr_os_close(shm);
}

/* Not even a reserve: nothing can be shed, so only the pause keeps the loop from spinning. */
static int starved_child(void *arg)
{
    static struct hungry h;
    struct hungry *given = arg;
    struct rlimit limit = {HUNGRY_FDS, HUNGRY_FDS};
    int extra[HUNGRY_FDS], n = 0;
    h = *given;
    struct wr_listen_options o = {
        .addr = {.kind = WR_ADDR_FD, .fd = h.fd}
    };
    if (wr_os_rlimit_set(RLIMIT_NOFILE, &limit) || wr_loop_new(NULL, &h.loop))
        return 1;
    while (n < HUNGRY_FDS && (extra[n] = wr_os_dup(0)) >= 0)
        n++;
    if (wr_listener_open(h.loop, &o, hungry_accept, &h, &h.l))
        return 2;
    uint64_t cpu = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = wr_os_now_ns(CLOCK_MONOTONIC);
    net_turns(h.loop, 1000);
    h.report->cpu_ns = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    h.report->wall_ns = wr_os_now_ns(CLOCK_MONOTONIC) - wall;
    while (n)
        (void)wr_os_close(extra[--n]);
    wall = wr_os_now_ns(CLOCK_MONOTONIC);
    (void)net_until(h.loop, 3000, wr_listener_stats(h.l)->accepted);
    h.report->recovery_ns = wr_os_now_ns(CLOCK_MONOTONIC) - wall;
    h.report->accepted = wr_listener_stats(h.l)->accepted;
    h.report->shed = wr_listener_stats(h.l)->shed;
    h.report->pauses = wr_listener_stats(h.l)->pauses;
    return 0;
}

static void test_no_reserve(void)
{
    struct hungry h = {0};
    struct wr_listen_options o = at("127.0.0.1:0");
    struct wr_addr a;
    unsigned backlog;
    int pidfd = -1, status = -1, shm = wr_os_memfd("report", sizeof *h.report);
    h.report = wr_os_map_shared(shm, sizeof *h.report, true);
    ok(h.report && wr_listen_socket(&o, &h.fd, &backlog) == 0 &&
           wr_addr_of_socket(h.fd, &a) == 0,
       "a listening socket");
    int client = net_connect(&a);
    pid_t pid = wr_os_spawn(starved_child, &h, &pidfd);
    for (int i = 0; i < 600 && wr_os_reap(pid, &status) == 0; i++)
        (void)wr_os_sleep_ns(10000000);
    is_int(status, 0, "the server lived");
    double cpu = 100.0 * (double)h.report->cpu_ns / (double)(h.report->wall_ns + 1);
    ok(cpu < 5.0, "no reserve, no spin: %.2f %% of a core", cpu);
    ok(h.report->pauses > 3 && h.report->pauses < 20, "%u pauses", (unsigned)h.report->pauses);
    ok(h.report->accepted == 1 && h.report->shed == 0, "the client waited and was accepted");
    ok(h.report->recovery_ns < 1000000000, "%u ms after there was a descriptor",
       (unsigned)(h.report->recovery_ns / 1000000));
    (void)wr_os_close(client);
    (void)wr_os_close(h.fd);
    (void)wr_os_close(pidfd);
    (void)wr_os_unmap(h.report, sizeof *h.report);
    (void)wr_os_close(shm);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct server s = {0};
    struct wr_loop_options lo = {.heap = heap};
    struct wr_listen_options o = at("127.0.0.1:0");
    (void)arg;
    int err = wr_loop_new(&lo, &s.loop);
    if (err)
        return err;
    err = wr_listener_open(s.loop, &o, on_accept, &s, &s.l);
    if (!err) {
        int c = net_connect(wr_listener_addr(s.l));
        (void)wr_loop_turn(s.loop, 100);
        wr_listener_pause(s.l, WR_PAUSE_USER);
        wr_listener_resume(s.l, WR_PAUSE_USER);
        (void)wr_os_close(c);
    }
    finish(&s);
    return err;
}

int main(void)
{
    struct rlimit limit;
    if (wr_os_rlimit_get(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)!wr_os_rlimit_set(RLIMIT_NOFILE, &limit);
    }
    if (testing_has_pidfd()) {
        test_shortage();
        test_no_reserve();
    }
    test_accept("127.0.0.1:0");
    test_accept("*:0");
    test_accept("unix:@wr-listen-test");
    test_backlog();
    test_pause();
    test_options();
    test_adopt();
    test_unix_stale();
    test_flood();
    nth_every("listener", scenario, NULL);
    return tap_done();
}
