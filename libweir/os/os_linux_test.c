/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>

static jmp_buf panicked;
static char panic_text[256];

static void on_panic(const char *message)
{
    (void)snprintf(panic_text, sizeof panic_text, "%s", message);
    longjmp(panicked, 1);
}

static bool is_cloexec(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static void test_time(void)
{
    uint64_t a = wr_os_now_ns(CLOCK_MONOTONIC);
    is_int(wr_os_sleep_ns(2000000), 0, "sleeps");
    uint64_t b = wr_os_now_ns(CLOCK_MONOTONIC);
    ok(b - a >= 2000000, "at least as long as asked");
    char r[2][64] = {{0}, {0}};
    is_int(wr_os_random(r[0], 64) | wr_os_random(r[1], 64), 0, "random bytes");
    ok(memcmp(r[0], r[1], 64) != 0, "that differ");
}

static void test_memory(void)
{
    char *p = wr_os_map(65536);
    ok(p && p[65535] == 0, "maps zeroed memory");
    is_int(wr_os_madvise(p, 65536, MADV_DONTNEED), 0, "madvise");
    is_int(wr_os_mprotect(p, 4096, PROT_NONE), 0, "mprotect");
    is_int(wr_os_unmap(p, 65536), 0, "unmaps");
    ok(wr_os_map((size_t)1 << 60) == NULL, "NULL at the limit");
    int fd = wr_os_memfd("weir-test", 8192);
    ok(fd >= 0 && is_cloexec(fd), "memfd");
    ok(wr_os_ftruncate(fd, 4096) == -EPERM, "which cannot shrink");
    int *a = wr_os_map_shared(fd, 8192, true), *b = wr_os_map_shared(fd, 8192, false);
    ok(a && b, "is mapped twice");
    *a = 42;
    is_int(*b, 42, "and shared");
    is_int(wr_os_unmap(a, 8192) | wr_os_unmap(b, 8192) | wr_os_close(fd), 0, "released");
}

static void test_descriptors(void)
{
    uint64_t n = 0;
    int fd = wr_os_eventfd(0, 0);
    ok(fd >= 0 && is_cloexec(fd) && is_nonblocking(fd), "eventfd is non-blocking, cloexec");
    is_int(wr_os_eventfd_take(fd, &n), -EAGAIN, "empty");
    is_int(wr_os_eventfd_add(fd, 3) | wr_os_eventfd_add(fd, 4), 0, "add");
    ok(wr_os_eventfd_take(fd, &n) == 0 && n == 7, "take takes all");
    is_int(wr_os_eventfd_add(fd, UINT64_MAX - 1), 0, "fill");
    is_int(wr_os_eventfd_add(fd, 1), -EAGAIN, "a full one cannot block");
    int two = wr_os_dup(fd);
    ok(two > fd && is_cloexec(two), "dup is cloexec");
    is_int(wr_os_close(two) | wr_os_close(fd), 0, "close");
    is_int(wr_os_close(fd), -EBADF, "closed");
    fd = wr_os_eventfd(1, WR_OS_BLOCKING | EFD_SEMAPHORE);
    ok(fd >= 0 && !is_nonblocking(fd), "a blocking one when asked");
    is_int(wr_os_set_nonblocking(fd, true), 0, "switched");
    ok(is_nonblocking(fd), "to non-blocking");
    (void)wr_os_close(fd);
    int p[2];
    is_int(wr_os_pipe(p, 1 << 16), 0, "pipe");
    ok(is_nonblocking(p[0]) && is_cloexec(p[1]), "non-blocking, cloexec");
    ok(wr_os_write(p[1], "ab", 2) == 2 && wr_os_close(p[1]) == 0, "write, close");
    char buf[4];
    is_int(wr_os_read(p[0], buf, 4), 2, "read");
    is_int(wr_os_read(p[0], buf, 4), 0, "end");
    (void)wr_os_close(p[0]);
    is_int(wr_os_open("/nonexistent/file", O_RDONLY, 0), -ENOENT, "open says why");
}

static void test_sockets(void)
{
    int s[2], t[2];
    is_int(wr_os_socketpair(AF_UNIX, SOCK_STREAM, s), 0, "socketpair");
    ok(is_nonblocking(s[0]) && is_cloexec(s[1]), "non-blocking, cloexec");
    is_int(wr_os_socketpair(AF_UNIX, SOCK_STREAM | WR_OS_BLOCKING, t), 0, "blocking");
    ok(!is_nonblocking(t[0]), "when asked");
    char buf[8];
    is_int(wr_os_recv(s[0], buf, 8, 0), -EAGAIN, "nothing there");
    is_int(wr_os_close(s[1]), 0, "peer closes");
    is_int(wr_os_send(s[0], "x", 1, 0), -EPIPE, "EPIPE and no signal");
    (void)(wr_os_close(s[0]) | wr_os_close(t[0]) | wr_os_close(t[1]));
    int l = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t n = sizeof in;
    is_int(wr_os_bind(l, (struct sockaddr *)&in, n), 0, "bind");
    is_int(wr_os_listen(l, 5), 0, "listen");
    is_int(wr_os_getsockname(l, (struct sockaddr *)&in, &n), 0, "getsockname");
    int c = wr_os_socket(AF_INET, SOCK_STREAM | WR_OS_BLOCKING, 0);
    is_int(wr_os_connect(c, (struct sockaddr *)&in, n), 0, "a blocking connect");
    int a = wr_os_accept(l, NULL, NULL);
    ok(a >= 0 && is_nonblocking(a) && is_cloexec(a), "accepted, non-blocking, cloexec");
    is_int(wr_os_accept(l, NULL, NULL), -EAGAIN, "no more");
    (void)(wr_os_close(a) | wr_os_close(c) | wr_os_close(l));
}

/* A daemon that was started without standard input gets its /dev/null as number 0. */
static void test_dup_to(void)
{
    int fd = wr_os_open("/dev/null", O_RDWR, 0);
    ok(fd >= 0 && is_cloexec(fd), "open");
    int to = wr_os_dup(fd);
    is_int(wr_os_dup_to(fd, to), to, "onto another number");
    ok(!is_cloexec(to), "survives exec");
    is_int(wr_os_dup_to(fd, fd), fd, "onto its own number");
    ok(!is_cloexec(fd), "survives exec as well");
    (void)(wr_os_close(fd) | wr_os_close(to));
    is_int(wr_os_dup_to(fd, fd), -EBADF, "what is closed stays so");
}

/* setitimer is the process's, so any thread may stop it. */
static void stop_ticks(void *arg)
{
    struct itimerval none = {
        {0, 0},
        {0, 0}
    };
    (void)arg;
    (void)wr_os_sleep_ns(2000000000u);
    (void)setitimer(ITIMER_REAL, &none, NULL);
}

static void on_alarm(int sig)
{
    (void)sig;
}

static void test_poll(void)
{
    int fd = wr_os_eventfd(0, 0);
    is_int(wr_os_poll(fd, POLLIN, 0), 0, "nothing");
    is_int(wr_os_poll(fd, POLLIN | POLLOUT, -1), POLLOUT, "room");
    /* Ticks that come sooner than the limit, for at most two seconds. */
    struct sigaction old, act = {.sa_handler = on_alarm};
    struct itimerval tick =
                         {
                             {0, 20000},
                             {0, 20000}
    },
                     none = {{0, 0}, {0, 0}};
    uint64_t begin = wr_os_now_ns(CLOCK_MONOTONIC);
    (void)sigaction(SIGALRM, &act, &old);
    (void)setitimer(ITIMER_REAL, &tick, NULL);
    struct wr_os_thread *t = NULL;
    is_int(wr_os_thread_start(stop_ticks, NULL, &t), 0, "a thread that ends the ticks");
    is_int(wr_os_poll(fd, POLLIN, 200), 0, "a limit of 200 ms");
    uint64_t took = (wr_os_now_ns(CLOCK_MONOTONIC) - begin) / 1000000;
    (void)wr_os_thread_join(t);
    (void)setitimer(ITIMER_REAL, &none, NULL);
    (void)sigaction(SIGALRM, &old, NULL);
    ok(took >= 200 && took < 1900, "is kept while signals come: %d ms", (int)took);
    (void)wr_os_close(fd);
}

static int child_exit(void *arg)
{
    return *(int *)arg;
}

static int child_wait(void *arg)
{
    (void)arg;
    (void)wr_os_parent_death_signal(SIGKILL);
    (void)wr_os_sleep_ns(30000000000u);
    return 0;
}

static int wait_for(pid_t pid, int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int status = -1;
    (void)poll(&p, 1, 5000);
    return wr_os_reap(pid, &status) == 1 ? status : -1;
}

static void test_processes(void)
{
    int seven = 7, fd = -1, status;
    pid_t pid = wr_os_spawn(child_exit, &seven, &fd);
    if (pid == -ENOSYS) { /* valgrind before 3.21 */
        skip("no pidfd here");
        return;
    }
    ok(pid > 0 && fd >= 0, "spawn");
    status = wait_for(pid, fd);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "ends with fn's result");
    is_int(wr_os_reap(pid, &status), -ECHILD, "is gone");
    (void)wr_os_close(fd);
    pid = wr_os_spawn(child_wait, NULL, &fd);
    is_int(wr_os_reap(pid, &status), 0, "runs");
    is_int(wr_os_pidfd_alive(fd), 1, "and is alive");
    is_int(wr_os_pidfd_signal(fd, SIGTERM), 0, "is told to stop");
    is_int(wr_os_poll(fd, POLLIN, 5000), POLLIN, "ends");
    is_int(wr_os_pidfd_alive(fd), 0, "and is not alive, though nobody has reaped it");
    status = wait_for(pid, fd);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "was stopped");
    is_int(wr_os_pidfd_alive(fd), 0, "nor when it is reaped");
    (void)wr_os_close(fd);
    is_int(wr_os_pidfd_alive(fd), -EBADF, "a closed descriptor is an error");
    struct rlimit lim;
    is_int(wr_os_rlimit_get(RLIMIT_NOFILE, &lim), 0, "limits");
    is_int(wr_os_rlimit_set(RLIMIT_NOFILE, &lim), 0, "set as they were");
    ok(wr_os_cpu_count() >= 1, "processors");
    is_int(wr_os_set_affinity(1u << 30), -EINVAL, "no such processor");
}

struct gate {
    int in, out;
    bool blocked;
    uintptr_t self;
};

static void thread_fn(void *arg)
{
    struct gate *g = arg;
    sigset_t mask;
    uint64_t n;
    (void)wr_os_sigmask(SIG_BLOCK, NULL, &mask);
    g->blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1);
    g->self = wr_os_thread_self();
    (void)wr_os_eventfd_add(g->out, 1);
    (void)!wr_os_eventfd_take(g->in, &n);
}

static void test_threads(void)
{
    struct gate g = {wr_os_eventfd(0, WR_OS_BLOCKING), wr_os_eventfd(0, WR_OS_BLOCKING), false,
                     0};
    struct wr_os_thread *t = NULL;
    uint64_t n;
    int zero = 0;
    int before = wr_os_thread_count();
    is_int(wr_os_thread_start(thread_fn, &g, &t), 0, "thread");
    (void)!wr_os_eventfd_take(g.out, &n);
    is_int(wr_os_thread_count(), before + 1, "one more");
    ok(g.blocked, "signals are blocked in it");
    ok(g.self != wr_os_thread_self(), "it is another");
    wr_panic_hook *old = wr_panic_set_hook(on_panic);
    if (setjmp(panicked) == 0)
        (void)!wr_os_spawn(child_exit, &zero, NULL);
    (void)wr_panic_set_hook(old);
    ok(strstr(panic_text, "threads; a child would inherit locks"), "no fork beside threads");
    (void)wr_os_eventfd_add(g.in, 1);
    is_int(wr_os_thread_join(t), 0, "joined");
    (void)(wr_os_close(g.in) | wr_os_close(g.out));
}

static void test_signals(void)
{
    sigset_t set;
    struct signalfd_siginfo info;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    is_int(wr_os_sigmask(SIG_BLOCK, &set, NULL), 0, "blocked");
    int fd = wr_os_signalfd(&set);
    is_int(wr_os_signalfd_read(fd, &info), -EAGAIN, "none pending");
    is_int(wr_os_kill(wr_os_getpid(), SIGUSR1), 0, "sent");
    ok(wr_os_signalfd_read(fd, &info) == 1 && info.ssi_signo == SIGUSR1, "and read");
    (void)wr_os_close(fd);
}

int main(void)
{
    test_time();
    test_memory();
    test_descriptors();
    test_dup_to();
    test_sockets();
    test_processes(); /* before the first thread */
    test_poll();
    test_threads();
    test_signals();
    return tap_done();
}
